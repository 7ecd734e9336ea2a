"""Guests in C on the bindings that `wafer bindgen c` makes.

One module implements an interface of types of every kind by giving back what it gets; another
calls all of it and compares. Together they are one component, which a script calls. Bindings of
the specification's WIT inputs are compiled, as C and their headers as C++, without a warning.

usage: c_test.py WAFER SCRATCH [WIT-TESTS]
Exit code 77: there is no compiler with a C library for WASI.
"""
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
from guests import (FLAGS, SOURCE, build, compiler, hard_worlds, refuses, run, steps, worlds)


def round_trip(wafer, clang, scratch, failures):
    step = steps(scratch, failures)
    if not build(wafer, clang, scratch, step):
        return
    if not step(wafer, "component", "plug", "relay.wasm", "--plug", "echo.wasm", "-o",
                "full.wasm"):
        return
    script(wafer, scratch, step, "full",
           '(invoke "run" (str.const "hello")) (result.ok (u32.const 5))')


def script(wafer, scratch, step, name, asserted):
    data = (scratch / f"{name}.wasm").read_bytes()
    (scratch / f"{name}.wast").write_text(
        '(component binary "' + "".join(f"\\{b:02x}" for b in data) + '")\n'
        f"(assert_return {asserted})\n")
    step(wafer, "wast", f"{name}.wast")


def waiting(wafer, clang, scratch, failures):
    """Functions that wait, streams and futures; one side in steps, the other blocks."""
    step = steps(scratch, failures)
    wit = SOURCE / "flows.wit"
    for world, options in ("giver", ["--async-exports"]), ("taker", []):
        if not (step(wafer, "bindgen", "c", wit, "-w", world, "-o", ".", *options) and
                step(clang, *FLAGS, "-O2", "-mexec-model=reactor", "-I.", f"{world}.c",
                     SOURCE / f"{world}_impl.c", f"{world}_component_type.o", "-o",
                     f"{world}.m.wasm") and
                step(wafer, "component", "new", f"{world}.m.wasm", "-o", f"{world}.wasm") and
                step(wafer, "component", "targets", wit, f"{world}.wasm", "-w", world)):
            return
    if not step(wafer, "component", "plug", "taker.wasm", "--plug", "giver.wasm", "-o",
                "flows.wasm"):
        return
    for count in (0, 1, 100, 12345):
        script(wafer, scratch, step, "flows",
               f'(invoke "run" (u32.const {count})) '
               f"(result.ok (u64.const {count * (count - 1) // 2}))")


def compiles(wafer, clang, scratch, found, failures, always=()):
    count = 0
    for path, name in found:
        out = scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        # Half of them with functions in steps.
        options = always or (["--async-exports"] if count % 2 else [])
        made = run(wafer, "bindgen", "c", path, "-w", name, "-o", out, "--all-features", *options)
        if "getters and setters" in made.stderr:
            continue
        count += 1
        done = made
        if not made.returncode:
            source = next(out.glob("*.c"))
            done = run(clang, *FLAGS, "-fsyntax-only", f"-I{out}", source)
        if not done.returncode:
            done = run(clang, *FLAGS, "-fsyntax-only", f"-I{out}", "-x", "c++-header",
                       source.with_suffix(".h"))
        if done.returncode:
            failures.append(f"{path.name}, {name}: {done.stderr}")
    return count


def main():
    wafer, scratch = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    clang, failures, count = compiler(scratch), [], 0
    round_trip(wafer, clang, scratch, failures)
    waiting(wafer, clang, scratch, failures)
    refuses(wafer, "c", scratch, failures)
    hard = hard_worlds(wafer, scratch)
    for options in ["--async-exports"], ["--features", "none"]:
        if compiles(wafer, clang, scratch, hard, failures, options) != len(hard):
            failures.append("not all of the worlds with hard names were made")
    folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else (
        SOURCE.parent.parent.parent / "shared/wit-tests/ui")
    # A folder that was named has to have some.
    if len(sys.argv) > 3 or folder.is_dir():
        count = compiles(wafer, clang, scratch, worlds(wafer, folder), failures)
        if not count:
            failures.append(f"no worlds in {folder}")
    for line in failures:
        print("FAIL", line)
    print(f"{count} worlds compiled, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
