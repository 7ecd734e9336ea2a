"""Components in C and C++ on the bindings that `wafer bindgen` makes of echo.wit."""
import json
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parent
FLAGS = ["--target=wasm32-wasi", "-Wno-deprecated", "-Wall", "-Wextra", "-Werror"]


def run(*command, cwd=None):
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          timeout=120)


def compiler(scratch):
    (scratch / "probe.c").write_text("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n")
    for name in ("clang-22", "clang"):
        path = shutil.which(name)
        if path and run(path, *FLAGS[:2], "-mexec-model=reactor", "probe.c", "-o", "probe.wasm",
                        cwd=scratch).returncode == 0:
            return path
    print("skipped: there is no clang with a C library for WASI")
    sys.exit(77)


def build(wafer, clang, scratch, step):
    """Makes echo.wasm, relay.wasm and waits.wasm; step() runs a command and tells whether that was good."""
    for world in ("echo", "relay", "waits"):
        if not (step(wafer, "bindgen", "c", SOURCE / "echo.wit", "-w", world, "-o", ".") and
                step(clang, *FLAGS, "-O2", "-mexec-model=reactor", "-I.", f"{world}.c",
                     SOURCE / f"{world}_impl.c", f"{world}_component_type.o", "-o",
                     f"{world}.m.wasm") and
                component(wafer, world, f"{world}.m.wasm", f"{world}.wasm", step)):
            return False
    return True


def component(wafer, world, module, out, step):
    return (step(wafer, "component", "new", module, "-o", out) and
            step(wafer, "component", "targets", SOURCE / "echo.wit", out, "-w", world))


def cpp_compiler(clang, scratch):
    """The command for C++; None: there is no library for WASI."""
    path = pathlib.Path(clang)
    command = [str(path.with_name(path.name.replace("clang", "clang++"))), *FLAGS, "-std=c++20", "-fno-exceptions",
               "-fno-rtti"]
    (scratch / "probe.cpp").write_text("#include <string>\nstd::string f() { return {}; }\n")
    if not shutil.which(command[0]) or run(*command, "-mexec-model=reactor", "probe.cpp", "-o",
                                           "probe.wasm", cwd=scratch).returncode:
        print("without guests in C++: there is no C++ library for WASI")
        return None
    return command


def build_cpp(wafer, command, scratch, step):
    """The same in C++: cpp/echo.wasm and cpp/relay.wasm."""
    for world in ("echo", "relay"):
        if not (step(wafer, "bindgen", "cpp", SOURCE / "echo.wit", "-w", world, "-o", "cpp") and
                step(*command, "-O2", "-mexec-model=reactor", "-Icpp", f"cpp/{world}.cpp",
                     SOURCE / f"{world}_impl.cpp", SOURCE / "no_stdio.cpp",
                     f"cpp/{world}_component_type.o", "-o",
                     f"cpp/{world}.m.wasm") and
                component(wafer, world, f"cpp/{world}.m.wasm", f"cpp/{world}.wasm", step)):
            return False
    return True


def steps(scratch, failures):
    def step(*command):
        done = run(*command, cwd=scratch)
        if done.returncode:
            failures.append(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.returncode == 0
    return step


def command_world(scratch):
    """A folder with a world of WASI's command line, as programs have it."""
    folder = scratch / "command"
    (folder / "deps").mkdir(parents=True, exist_ok=True)
    for path in (SOURCE.parent.parent / "src/wasi/p2/wit").glob("*.wit"):
        shutil.copy(path, folder / "deps")
    cli = (folder / "deps/cli.wit").read_text()
    version = cli[cli.index("@") + 1:cli.index(";")]
    (folder / "command.wit").write_text(
        f"package t:t;\nworld cmd {{ include wasi:cli/command@{version}; }}\n")
    return folder


def hard_worlds(wafer, scratch):
    """Worlds whose names and comments might be taken for something else."""
    folder = scratch / "hard"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE / "worlds", folder)
    (folder / "docs.wit").write_bytes(
        b"package hard:docs;\n/// a return\rint evil = 1;\ninterface i {\n"
        b"  /// a return\rint evil = 1;\n  /// C:\\dir\\\n  f: func(x: u32) -> u32;\n"
        b"  /// blanks behind C:\\dir\\ \t \n  record r {\n    /// what?\?/\n    x: u32,\n"
        b"    /// a \t tab */ /* \rint evil;\\\n    y: u32 }\n  g: func(r: r) -> r;\n"
        b"  enum e {\n    /// one\\\n    a, b }\n  variant v {\n    /// two\\\n    a(e), b }\n"
        b"  h: func(v: v) -> e;\n}\n/// of the world\\\nworld docs { import i; export i; }\n")
    found = list(worlds(wafer, folder)) + [(command_world(scratch), "t:t/cmd")]
    if len(found) < 14:
        sys.exit(f"{len(found)} worlds in {folder}")
    return found


def refuses(wafer, kind, scratch, failures):
    """Types of a size that nothing could be made of."""
    def chain(count, form):
        types = [f"  type t{i} = {form.format('u8' if i == 0 else f't{i - 1}')};"
                 for i in range(count)]
        return types, f"t{count - 1}"
    for name, (types, last), functions in (
            ("large", chain(21, "tuple<{0}, {0}>"), 1), ("long", chain(60, "list<{0}, 9>"), 1),
            ("exponential", chain(60, "tuple<{0}, {0}>"), 0),
            ("many", chain(17, "tuple<{0}, {0}>"), 20), ("deep", chain(600, "option<{0}>"), 1)):
        path = scratch / f"{name}.wit"
        path.write_text("package a:b;\ninterface i {\n" + "\n".join(
            types + [f"  f{i}: func(x: {last}) -> u32;" for i in range(functions)]) +
            "\n}\nworld w { import i; export i; }\n")
        done = run(wafer, "bindgen", kind, path, "-o", scratch / "refused")
        if done.returncode != 1 or not ("too large" in done.stderr or "too deep" in done.stderr):
            failures.append(f"{kind} of {name}: {done.returncode} {done.stderr}")


def worlds(wafer, folder):
    """Every world of the specification's inputs: the path of its package, and its name."""
    for path in sorted(folder.iterdir()):
        tree = run(wafer, "wit", "--json", "--all-features", path)
        if path.suffix not in (".wit", "") or tree.returncode:
            continue
        tree = json.loads(tree.stdout)
        for world in tree["worlds"]:
            package, _, version = tree["packages"][world["package"]]["name"].partition("@")
            yield path, f"{package}/{world['name']}" + (f"@{version}" if version else "")
