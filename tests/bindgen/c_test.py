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

from guests import FLAGS, SOURCE, build, compiler, run, steps, worlds


def round_trip(wafer, clang, scratch, failures):
    step = steps(scratch, failures)
    if not build(wafer, clang, scratch, step):
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
    for path, name in worlds(wafer, folder):
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
