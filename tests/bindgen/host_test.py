"""Host bindings that `wafer bindgen host` makes: a program on them with guests in C and C++, in
several tiers; and bindings of the specification's WIT inputs are compiled without a warning.

usage: host_test.py WAFER PROGRAM INCLUDE SCRATCH TIERS [WIT-TESTS]
Exit code 77: there is no compiler with a C library for WASI.
"""
import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
from guests import (SOURCE, build, build_cpp, compiler, cpp_compiler, hard_worlds, refuses, run,
                    steps, worlds)

# Without a compiler for each, the test would take minutes.
AT_ONCE = 12


def compiles(wafer, clang, include, scratch, found, failures):
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", f"-I{include}",
             f"-I{include.parent / 'src'}"]
    pch = scratch / "bindings.pch"
    done = run(clang, *flags, "-x", "c++-header", include / "wafer/bindings.hpp", "-o", pch)
    if done.returncode:
        failures.append(done.stderr)
        return 0
    count, made_names, batch = 0, set(), []

    def flush():
        if not batch:
            return
        source = scratch / "batch.cc"
        source.write_text("".join(f'#include "{h}"\n' for h, _ in batch))
        done = run(clang, *flags, "-include-pch", pch, "-fsyntax-only", source)
        if done.returncode:
            failures.append(f"{', '.join(n for _, n in batch)}: {done.stderr[:3000]}")
        batch.clear()
        made_names.clear()

    for number, (path, name) in enumerate(found):
        out = scratch / f"out{number}"
        shutil.rmtree(out, ignore_errors=True)
        made = run(wafer, "bindgen", "host", path, "-w", name, "-o", out, "--all-features")
        count += 1
        if made.returncode:
            failures.append(f"{path.name}, {name}: {made.stderr}")
            continue
        header = next(out.glob("*.hpp"))
        # Worlds of one name would be one namespace.
        if header.stem in made_names or len(batch) == AT_ONCE:
            flush()
        made_names.add(header.stem)
        batch.append((header, f"{path.name} {name}"))
    flush()
    return count


def compiles_cpp(wafer, command, scratch, found, failures):
    """Guests in C++, with one header for all that is the same."""
    common = scratch / "cpp"
    done = run(*command, "-x", "c++-header", common / "wit.hpp", "-o", common / "wit.pch")
    if done.returncode:
        failures.append(done.stderr)
        return 0
    count = 0
    for path, name in found:
        out = scratch / "out_cpp"
        shutil.rmtree(out, ignore_errors=True)
        done = run(wafer, "bindgen", "cpp", path, "-w", name, "-o", out, "--all-features")
        if "streams, futures" in done.stderr:
            continue
        count += 1
        if not done.returncode:
            (out / "wit.hpp").unlink()
            done = run(*command, "-include-pch", common / "wit.pch", f"-I{common}", "-fsyntax-only",
                       next(out.glob("*.cpp")))
        if done.returncode:
            failures.append(f"{path.name}, {name}: {done.stderr[:3000]}")
    return count


def main():
    wafer, program, include, scratch = (pathlib.Path(a).resolve() for a in sys.argv[1:5])
    scratch.mkdir(parents=True, exist_ok=True)
    clang, failures, count = compiler(scratch), [], 0
    step = steps(scratch, failures)
    if build(wafer, clang, scratch, step):
        for tier in sys.argv[5].split(","):
            step(program, "relay.wasm", "echo.wasm", "waits.wasm", tier)
    cpp = cpp_compiler(clang, scratch)
    cpp_built = cpp and build_cpp(wafer, cpp, scratch, step)
    if cpp_built:
        for tier in sys.argv[5].split(","):
            step(program, "cpp/relay.wasm", "cpp/echo.wasm", "waits.wasm", tier)
    folder = pathlib.Path(sys.argv[6]) if len(sys.argv) > 6 else (
        SOURCE.parent.parent.parent / "shared/wit-tests/ui")
    refuses(wafer, "host", scratch, failures)
    refuses(wafer, "cpp", scratch, failures)
    found, hard = [], hard_worlds(wafer, scratch)
    # A folder that was named has to have some.
    if len(sys.argv) > 6 or folder.is_dir():
        found = list(worlds(wafer, folder))
        if not found:
            failures.append(f"no worlds in {folder}")
    count = compiles(wafer, clang, include, scratch, hard + found[::2], failures)
    if cpp_built:
        # These have streams.
        hard = [found for found in hard if not found[1].endswith("/helpers")]
        made = compiles_cpp(wafer, cpp, scratch, hard, failures)
        if made != len(hard):
            failures.append("not all of the worlds with hard names were made")
        count += made + compiles_cpp(wafer, cpp, scratch, found[1::4], failures)
    for line in failures:
        print("FAIL", line)
    print(f"{count} worlds compiled, {len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
