"""Carries out the cases that come with the crate wit-component, by `wafer component` and `wit`.

What is refused there is refused; what is accepted gives a valid component with the same imports
and exports, package or answer. The crate, and that of the adapters for WASI 0.1, are had by
`cargo vendor` unless a folder of such crates is given.

usage: tools_test.py WAFER SCRATCH [VENDOR]
Exit code 77: the crates cannot be had.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "wit"))
from ui_test import differences, resolved  # noqa: E402

CRATES = {"wit-component": "0.263.0", "wasi-preview1-component-adapter-provider": "50.0.1"}
class Tool:
    def __init__(self, wafer, scratch):
        self.wafer, self.scratch = wafer, scratch

    def __call__(self, *args):
        return subprocess.run([self.wafer, *map(str, args)], capture_output=True, text=True,
                              timeout=60)

    def tree(self, path):
        done = self("wit", "--json", "--all-features", path)
        return (json.loads(done.stdout), "") if done.returncode == 0 else (None, done.stderr)


def vendor(scratch):
    folder = scratch / "crates"
    if not (folder / "vendor").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "src").mkdir(exist_ok=True)
        (folder / "src/lib.rs").write_text("")
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "cases"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
            + "".join(f'{name} = "={version}"\n' for name, version in CRATES.items()))
        try:
            done = subprocess.run(["cargo", "vendor", "-q"], cwd=folder, capture_output=True,
                                  text=True, timeout=300)
            problem = "" if done.returncode == 0 else done.stderr[-300:]
        except FileNotFoundError:
            problem = "there is no cargo"
        if problem:
            shutil.rmtree(folder / "vendor", ignore_errors=True)
            print("skipped: the crates cannot be had:", problem)
            sys.exit(77)
    return folder / "vendor"


def compare(tool, want, got, failures, name):
    (a, why_a), (b, why_b) = tool.tree(want), tool.tree(got)
    if a is None or b is None:
        failures.append(f"{name}: {why_a}{why_b}")
        return
    failures += [f"{name}: {d}" for d in differences(resolved(a), resolved(b))]


def wit_folder(case, scratch):
    """The case's WIT files, which are one package, in a folder of their own."""
    folder = scratch / "wit"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in case.glob("*.wit"):
        shutil.copy(file, folder)
    if (case / "deps").exists():
        shutil.copytree(case / "deps", folder / "deps")
    return folder


def dylink_text(text):
    """The text of a library, with the annotation dylink.0 as a custom section of bytes."""
    start = text.find("(@dylink.0")
    if start < 0:
        return text
    end, depth = start, 0
    while True:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
        if depth == 0:
            break

    def name(s):
        return bytes([len(s)]) + s.encode()

    out, body = b"", text[start:end]
    for size, align, table in re.findall(r"\(mem-info \(memory (\d+) (\d+)\)(.*?\))", body):
        of_table = re.search(r"\(table (\d+) (\d+)\)", table)
        info = bytes([int(size), int(align)] +
                     ([int(of_table[1]), int(of_table[2])] if of_table else [0, 0]))
        out += bytes([1, len(info)]) + info
    needed = re.findall(r'\(needed "([^"]*)"\)', body)
    if needed:
        info = bytes([len(needed)]) + b"".join(map(name, needed))
        out += bytes([2, len(info)]) + info
    weak = re.findall(r'\(import-info "([^"]*)" "([^"]*)" binding-weak\)', body)
    if weak:
        info = bytes([len(weak)]) + b"".join(name(m) + name(n) + b"\x01" for m, n in weak)
        out += bytes([4, len(info)]) + info
    custom = "".join(f"\\{b:02x}" for b in out)
    return f'{text[:start]}(@custom "dylink.0" (before first) "{custom}"){text[end:]}'


def wanted_component(tool, case, out, failures):
    # The attribute has another name in the specification.
    text = (case / "component.wat").read_text().replace("(version-suffix ", "(versionsuffix ")
    source = tool.scratch / "expected.wat"
    source.write_text(text)
    done = tool("wat2wasm", "--no-check", source, "-o", out)
    if done.returncode:
        failures.append(f"{case.name}: {done.stderr}")
    return done.returncode == 0


def packages_case(tool, case, failures):
    """Several packages in one file, each with the world of a module."""
    modules = sorted(case.glob("*/*/module.wat"))
    for source in modules:
        folder, module = source.parent, tool.scratch / "module.wasm"
        name = f"{case.name}/{folder.parent.name}/{folder.name}"
        out, expected = tool.scratch / "component.wasm", tool.scratch / "expected.wasm"
        world = f"{folder.parent.name}:{folder.name}/module"
        done = tool("component", "embed", case / "module.wit", source, "-w", world, "-o", module)
        if done.returncode == 0:
            done = tool("component", "new", module, "-o", out)
        if done.returncode:
            failures.append(f"{name}: {done.stderr}")
        elif wanted_component(tool, folder, expected, failures):
            compare(tool, expected, out, failures, name)
    if not modules:
        failures.append(f"{case.name}: there is no module in it")


def component_case(tool, case, failures):
    name, scratch = case.name, tool.scratch
    libs = [] if (case / "module.wat").exists() else sorted(
        [*case.glob("lib-*.wat"), *case.glob("dlopen-lib-*.wat")])
    if not libs and not (case / "module.wat").exists():
        return packages_case(tool, case, failures)
    sources = libs or [case / "module.wat"]
    text = "".join(source.read_text() for source in sources)
    config = "".join(line[3:] for line in text.splitlines() if line.startswith(";;!"))
    wit = wit_folder(case, scratch)
    options, problem, modules = [], "", []
    for source in [*sources, *sorted(case.glob("adapt-*.wat"))]:
        module = scratch / (source.stem + ".wasm")
        plain = scratch / source.name
        plain.write_text(dylink_text(source.read_text()))
        done = tool("component", "embed", wit, plain, "-w", source.stem, "--all-features",
                    "-o", module)
        problem = problem or done.stderr
        if source in sources:
            own = re.search(r"^;; module name: (\S+)", source.read_text(), re.M)
            library = f"{own[1] if own else source.stem.removeprefix('dlopen-')[4:]}={module}"
            if source.stem.startswith("dlopen-"):
                options += ["--dl-openable", library]
            else:
                modules.append(library if libs else module)
        else:
            own = re.search(r"^;; module name: (\S+)", source.read_text(), re.M)
            options += ["--adapt", f"{own[1] if own else source.stem[6:]}={module}"]
    for flag in ("realloc-via-memory-grow", "emit-canonical-names", "stub-missing-functions",
                 "use-built-in-libdl"):
        if flag in config:
            options.append("--" + flag)
    out = scratch / "component.wasm"
    if not problem:
        problem = tool("component", "link" if libs else "new", *modules, *options,
                       "-o", out).stderr
    if name.startswith("error-"):
        if not problem:
            failures.append(f"{name}: accepted")
        elif libs and not problem_fits(case, problem):
            failures.append(f"{name}: refused for another reason: {problem}")
        return
    if problem:
        failures.append(f"{name}: refused: {problem}")
        return
    expected = scratch / "expected.wasm"
    if not wanted_component(tool, case, expected, failures):
        return
    compare(tool, expected, out, failures, name)
    if "emit-canonical-names" in config:
        text = tool("wasm2wat", "--enable", "cm-canonical-names", out).stdout
        for part in ('(import "a:b/c@0.1" (versionsuffix ".1")', '"a:b/c@0.1" (versionsuffix ".0")'):
            if part not in text:
                failures.append(f"{name}: no {part}")


# What a refusal of libraries has to speak of, by what the case's own error does.
REASONS = {"unresolved symbol": "unresolved symbol", "missing libraries": "missing libraries",
           "exports both": "exports both", "linker ABI": "is not of type"}


def problem_fits(case, problem):
    wanted = (case / "error.txt").read_text()
    return any(theirs in wanted and ours in problem for theirs, ours in REASONS.items())


# Data and functions of one library that another reaches by address, a constructor, and a function
# that both have.
LIBRARIES = {"a": """(module (@dylink.0 (mem-info (memory 8 2)))
  (import "env" "memory" (memory 1)) (import "env" "__memory_base" (global $base i32))
  (func (export "__wasm_call_ctors")
    (i32.store offset=4 (global.get $base) (i32.const 30)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "both"))
  (global (export "datum") i32 (i32.const 4)))""",
             "b": """(module (@dylink.0 (mem-info (memory 4 2)) (needed "a"))
  (type $add (func (param i32 i32) (result i32)))
  (import "env" "memory" (memory 1)) (import "env" "__memory_base" (global $base i32))
  (import "env" "__indirect_function_table" (table 0 funcref))
  (import "env" "add" (func $add (type $add)))
  (import "GOT.mem" "datum" (global $datum (mut i32)))
  (import "GOT.func" "add" (global $address (mut i32)))
  (func $both (export "both"))
  (func (export "run") (result i32)
    (drop (ref.func $both))
    (call $add (i32.load (global.get $base))
      (call_indirect (type $add) (i32.load (global.get $datum)) (i32.const 5)
        (global.get $address))))
  (data (global.get $base) "\\07\\00\\00\\00"))"""}


# Thread-local data of two libraries, and one that opens the other.
TLS = {name: f"""(module (@dylink.0 (mem-info (memory 8 2)){needed})
  (import "env" "memory" (memory 1))
  (import "env" "__wasm_get_tls_base" (func $get (result i32)))
  (import "env" "__wasm_set_tls_base" (func $set (param i32)))
  (import "GOT.mem" "__wasm_program_tls_info" (global $info (mut i32)))
  {code}
  (global (export "__wasm_library_tls_info") i32 (i32.const 4)))"""
       for name, needed, code in (
           ("a", "", '(func (export "seta") (param i32) (call $set (local.get 0)))'
            ' (func (export "geta") (result i32) (call $get))'),
           ("b", ' (needed "a")', '(import "env" "seta" (func $seta (param i32)))'
            ' (import "env" "geta" (func $geta (result i32)))'
            ' (func (export "run") (result i32)'
            '  (call $seta (i32.const 1000)) (call $set (i32.const 200))'
            # The count of libraries, and what their bases are.
            '  (i32.add (i32.add (call $geta) (call $get))'
            '   (i32.add (i32.load (global.get $info))'
            '    (i32.load offset=4 (i32.load offset=8 (global.get $info))))))'))}
OPENED = {"main": """(module (@dylink.0 (mem-info (memory 64 2)))
  (type $f (func (param i32 i32) (result i32)))
  (type $error (func (result i32)))
  (import "env" "memory" (memory 1)) (import "env" "__memory_base" (global $base i32))
  (import "env" "__indirect_function_table" (table 0 funcref))
  (import "env" "dlopen" (func $open (type $f)))
  (import "env" "dlsym" (func $sym (type $f)))
  (import "env" "dlclose" (func $close (param i32) (result i32)))
  (import "GOT.func" "dlerror" (global $error (mut i32)))
  (func $text (param i32) (result i32) (i32.add (global.get $base) (local.get 0)))
  (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "run") (result i32) (local $lib i32)
    (call $check (i32.eqz (call_indirect (type $error) (global.get $error))))
    (call $check (i32.eqz (call $open (call $text (i32.const 32)) (i32.const 1))))
    (call $check (i32.eq (i32.load8_u (call_indirect (type $error) (global.get $error)))
      (i32.const 108)))
    (call $check (i32.eqz (call_indirect (type $error) (global.get $error))))
    (local.set $lib (call $open (call $text (i32.const 0)) (i32.const 1)))
    (call $check (local.get $lib))
    (call $check (i32.eqz (call $sym (local.get $lib) (call $text (i32.const 32)))))
    (call $check (i32.eqz (call $sym (i32.const 5) (call $text (i32.const 16)))))
    (call $check (i32.eqz (call $sym (i32.add (local.get $lib) (i32.const 4))
      (call $text (i32.const 16)))))
    (call $check (i32.eqz (call $close (local.get $lib))))
    (call $check (i32.eq (call $close (i32.const 0)) (i32.const -1)))
    (call_indirect (type $f)
      (i32.load (call $sym (local.get $lib) (call $text (i32.const 24))))
      (i32.const 2) (call $sym (local.get $lib) (call $text (i32.const 16)))))
  (data (global.get $base) "open.so\\00--------adder\\00--datum\\00--add\\00"))""",
          "open.so": """(module (@dylink.0 (mem-info (memory 8 2)))
  (import "env" "memory" (memory 1)) (import "env" "__memory_base" (global $base i32))
  (func (export "adder") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (global (export "datum") i32 (i32.const 4))
  (data (global.get $base) "\\00\\00\\00\\00\\28\\00\\00\\00"))"""}


def linked_run(tool, failures, what, libraries, runs, *options, opened=(), answer="42"):
    """Links libraries, of which `runs` exports the function that gives the answer."""
    (tool.scratch / "linked.wit").write_text(
        "package t:t; world none {} world runs { export run: func() -> u32; }")
    args = []
    for name, text in libraries.items():
        source, module = tool.scratch / f"linked-{name}.wat", tool.scratch / f"linked-{name}.wasm"
        source.write_text(dylink_text(text))
        done = tool("component", "embed", tool.scratch / "linked.wit", source, "-w",
                    "runs" if name == runs else "none", "-o", module)
        if done.returncode:
            failures.append(f"{what}: {done.stderr}")
        args += (["--dl-openable"] if name in opened else []) + [f"{name}={module}"]
    out = tool.scratch / "linked.wasm"
    done = tool("component", "link", *args, *options, "-o", out)
    if done.returncode == 0:
        done = tool("run", "--invoke", "run()", out)
    if done.stdout.strip() != answer:
        failures.append(f"{what}: {done.stdout}{done.stderr}")


def linked_case(tool, failures):
    linked_run(tool, failures, "thread-local data", TLS, "b", answer="1402")
    linked_run(tool, failures, "dlopen", OPENED, "main", "--use-built-in-libdl",
               opened=("open.so",))
    scratch, modules = tool.scratch, []
    (scratch / "linked.wit").write_text(
        "package t:t; world a {} world b { export run: func() -> u32; }")
    for name, text in LIBRARIES.items():
        source, module = scratch / f"linked-{name}.wat", scratch / f"linked-{name}.wasm"
        source.write_text(dylink_text(text))
        done = tool("component", "embed", scratch / "linked.wit", source, "-w", name, "-o", module)
        modules.append(f"{name}={module}")
    # In the order in which those that are needed come last.
    out = scratch / "linked.wasm"
    done = tool("component", "link", *reversed(modules), "-o", out)
    if done.returncode == 0:
        done = tool("run", "--invoke", "run()", out)
    if done.stdout.strip() != "42":
        failures.append(f"linked libraries: {done.stdout}{done.stderr}")
    # Imports that lead nowhere, all of them by way of an export of the same library.
    text = "\n".join(["(module (@dylink.0 (mem-info (memory 0 0)))",
                      *['(import "env" "f" (func))'] * 50_000, '(export "f" (func 0)))'])
    (scratch / "circle.wat").write_text(dylink_text(text))
    tool("component", "embed", scratch / "linked.wit", scratch / "circle.wat", "-w", "a", "-o",
         scratch / "circle.wasm")
    done = tool("component", "link", f"c={scratch / 'circle.wasm'}", "-o", out)
    if done.returncode == 0 or "c needs f (function)" not in done.stderr:
        failures.append(f"imports in a circle: {done.returncode} {done.stderr}")


def interface_case(tool, source, failures):
    expected, out = tool.scratch / "expected.wasm", tool.scratch / "package.wasm"
    text = source.with_suffix(".wat") if source.is_file() else source.parent / (source.name + ".wat")
    for args in (("wat2wasm", "--no-check", text, "-o", expected),
                 ("wit", "--wasm", "--all-features", source, "-o", out)):
        done = tool(*args)
        if done.returncode:
            failures.append(f"{source.name}: {done.stderr}")
            return
    if re.search(r"^(interface|world) ", tool("wit", source).stdout, re.M):
        compare(tool, expected, out, failures, source.name)


def target_case(tool, case, failures):
    component = tool.scratch / "target.wasm"
    # An older form of names.
    text = re.sub(r'\(interface ("[^"]*")\)', r"\1", (case / "test.wat").read_text())
    (tool.scratch / "target.wat").write_text(text)
    done = tool("wat2wasm", "--no-check", tool.scratch / "target.wat", "-o", component)
    if done.returncode:
        failures.append(f"targets/{case.name}: {done.stderr}")
        return
    done = tool("component", "targets", case / "test.wit", component, "-w", "foobar")
    if (done.returncode != 0) != case.name.startswith("error-"):
        failures.append(f"targets/{case.name}: exit code {done.returncode} {done.stderr}")


def merge_case(tool, case, failures):
    """Both packages as worlds of one module would be merged: by `wit --merge`."""
    done = tool("wit", "--merge", "--json", case / "into", case / "from")
    if case.name.startswith("bad-"):
        if done.returncode == 0:
            failures.append(f"merge/{case.name}: accepted")
        return
    if done.returncode:
        failures.append(f"merge/{case.name}: {done.stderr}")
        return
    got = resolved(json.loads(done.stdout))
    for file in sorted((case / "merge").glob("*.wit")):
        package = re.search(r"^package ([^;]+);", file.read_text(), re.M)[1].replace("%", "")
        if f"package {package}" not in got:
            failures.append(f"merge/{case.name}: no package {package}")


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    crates = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else vendor(scratch)
    tool, failures, count = Tool(wafer, scratch), [], 0
    linked_case(tool, failures)
    tests = crates / "wit-component/tests"
    for case in sorted((tests / "components").iterdir()):
        component_case(tool, case, failures)
        count += 1
    for source in sorted((tests / "interfaces").iterdir()):
        if source.is_dir() or (source.suffix == ".wit" and source.with_suffix(".wat").exists()):
            interface_case(tool, source, failures)
            count += 1
    for case in sorted((tests / "targets").iterdir()):
        target_case(tool, case, failures)
        count += 1
    for case in sorted((tests / "merge").iterdir()):
        merge_case(tool, case, failures)
        count += 1
    for line in failures:
        print("FAIL", line)
    print(f"{count} cases, {len(failures)} failures")
    return 1 if failures or not count else 0


sys.exit(main())
