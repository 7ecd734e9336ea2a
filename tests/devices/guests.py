"""Guests in C and Rust, each as module and as component, with the devices of the simulated board.

probe.c uses all functions; its module imports all of them, so that it can only be instantiated if
each has the canonical ABI's core signature. The example's thermostat keeps its temperature.

usage: guests.py WAFER SCRATCH
Exit code 77: there is no compiler with a C library for WASI.
"""
import pathlib
import sys

from build_guest import BARE, ROOT, WHOLE, build, build_rust, compiler, run, rust_compiler

SOURCE = pathlib.Path(__file__).parent


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    clang = compiler(scratch)
    if not clang:
        print("skipped: there is no clang with a C library for WASI")
        sys.exit(77)
    failures = []

    def expect(what, done, value):
        if done.returncode or done.stdout.strip() != str(value):
            failures.append(f"{what}: {done.stdout}{done.stderr}(exit code {done.returncode}), "
                            f"not {value}")

    probe, component = build(wafer, clang, scratch, SOURCE / "probe.wit", SOURCE / "probe.c", WHOLE)
    for tier in ("auto", "interp"):
        common = (wafer, "run", "--tier", tier)
        expect(f"module, {tier}", run(*common, "--device", "sim", "--invoke", "check", probe), 0)
        expect(f"component, {tier}",
               run(*common, "--device", "sim", "--invoke", "check()", component), 0)
        expect(f"module without grants, {tier}", run(*common, "--invoke", "refused", probe), 0)
        expect(f"component without grants, {tier}",
               run(*common, "--invoke", "refused()", component), 0)
    # That the checks can fail.
    for command in (["--invoke", "check", probe], ["--invoke", "check()", component]):
        done = run(wafer, "run", *command)
        if done.returncode or done.stdout.strip() == "0":
            failures.append(f"{command}: devices without a grant")

    _, usb = build(wafer, clang, scratch, SOURCE / "usb.wit", SOURCE / "usb.c", WHOLE)
    expect("usb", run(wafer, "run", "--device", "sim", "--invoke", "check(4617, 1)", usb), 0)
    expect("usb, nothing granted", run(wafer, "run", "--invoke", "count()", usb), 0)

    example = ROOT / "examples/devices"
    wit = example / "wit/thermostat.wit"
    thermostats = {"C": build(wafer, clang, scratch, wit, example / "thermostat.c", BARE)}
    rustc = rust_compiler(scratch)
    if rustc:
        thermostats["Rust"] = build_rust(wafer, rustc, scratch, wit, example / "thermostat.rs")
    else:
        print("there is no rustc for wasm32-unknown-unknown")
    for language, (module, component) in thermostats.items():
        # From 20 degrees up to 22 and then around it.
        for rounds, last in ((1, 320), (3, 336), (60, 360)):
            expect(f"thermostat in {language}, module",
                   run(wafer, "run", "--device", "sim", "--invoke", "run", module, rounds, 352),
                   last)
            expect(f"thermostat in {language}, component",
                   run(wafer, "run", "--device", "sim", "--invoke", f"run({rounds}, 352)",
                       component), last)
        expect(f"thermostat in {language}, nothing granted",
               run(wafer, "run", "--invoke", "run", module, 1, 352), -1001)
        expect(f"thermostat in {language}, no bus but the sensor's name",
               run(wafer, "run", "--invoke", "run(1, 352)", component), -1001)
        small = run(wafer, "size", "--profile", "minimal", module)
        if small.returncode:
            failures.append(f"thermostat in {language}, smallest profile: {small.stderr}")
    if failures:
        sys.exit("\n".join(failures))


main()
