"""Guests in C on the bindings that `wafer bindgen c` makes.

One module implements an interface of types of every kind by giving back what it gets; another
calls all of it and compares. Together they are one component, which a script calls. Bindings of
the specification's WIT inputs are compiled, as C and their headers as C++, without a warning.

usage: c_test.py WAFER SCRATCH [WIT-TESTS]
Exit code 77: there is no compiler with a C library for WASI.
"""
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


def round_trip(wafer, clang, scratch, failures):
    def step(*command):
        done = run(*command, cwd=scratch)
        if done.returncode:
            failures.append(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.returncode == 0

    for world in ("echo", "relay"):
        if not (step(wafer, "bindgen", "c", SOURCE / "echo.wit", "-w", world, "-o", ".") and
                step(clang, *FLAGS, "-O2", "-mexec-model=reactor", "-I.", f"{world}.c",
                     SOURCE / f"{world}_impl.c", f"{world}_component_type.o", "-o",
                     f"{world}.m.wasm") and
                step(wafer, "component", "new", f"{world}.m.wasm", "-o", f"{world}.wasm") and
                step(wafer, "component", "targets", SOURCE / "echo.wit", f"{world}.wasm", "-w",
                     world)):
            return
    if not step(wafer, "component", "plug", "relay.wasm", "--plug", "echo.wasm", "-o",
                "full.wasm"):
        return
    data = (scratch / "full.wasm").read_bytes()
    (scratch / "full.wast").write_text(
        '(component binary "' + "".join(f"\\{b:02x}" for b in data) + '")\n'
        '(assert_return (invoke "run" (str.const "hello")) (result.ok (u32.const 5)))\n')
    step(wafer, "wast", "full.wast")


def compiles(wafer, clang, scratch, folder, failures):
    count = 0
    for path in sorted(folder.iterdir()):
        tree = run(wafer, "wit", "--json", "--all-features", path)
        if path.suffix not in (".wit", "") or tree.returncode:
            continue
        tree = json.loads(tree.stdout)
        for world in tree["worlds"]:
            package, _, version = tree["packages"][world["package"]]["name"].partition("@")
            name = f"{package}/{world['name']}" + (f"@{version}" if version else "")
            out = scratch / "out"
            shutil.rmtree(out, ignore_errors=True)
            made = run(wafer, "bindgen", "c", path, "-w", name, "-o", out, "--all-features")
            if "getters and setters" in made.stderr:
                continue
            count += 1
            done = made
            if not made.returncode:
                source = next(out.glob("*.c"))
                done = run(clang, *FLAGS, "-fsyntax-only", source)
            if not done.returncode:
                done = run(clang, *FLAGS, "-fsyntax-only", "-x", "c++-header",
                           source.with_suffix(".h"))
            if done.returncode:
                failures.append(f"{path.name}, {name}: {done.stderr}")
    return count


def main():
    wafer, scratch = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    clang, failures, count = compiler(scratch), [], 0
    round_trip(wafer, clang, scratch, failures)
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else (
        SOURCE.parent.parent.parent / "shared/wit-tests/ui")
    if folder.is_dir():
        count = compiles(wafer, clang, scratch, folder, failures)
    for line in failures:
        print("FAIL", line)
    print(f"{count} worlds compiled, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
