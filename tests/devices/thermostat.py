"""Builds the example's thermostat for firmwares: as the text of an array of bytes in C.

usage: thermostat.py WAFER FOLDER
FOLDER/thermostat_wasm.inc is made. Exit code 77: there is no compiler.
"""
import pathlib
import sys

from build_guest import BARE, ROOT, build, compiler

wafer, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
clang = compiler(folder)
if not clang:
    sys.exit(77)
example = ROOT / "examples/devices"
module, _ = build(wafer, clang, folder, example / "wit/thermostat.wit", example / "thermostat.c",
                  BARE)
(folder / "thermostat_wasm.inc").write_text(",".join(map(str, module.read_bytes())) + "\n")
