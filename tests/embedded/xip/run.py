#!/usr/bin/env python3
"""Code that runs in place, beside the interpreter, on a board in QEMU.

Compiles guest.wat by the tool, builds the library with -DWAFER_FEATURE_XIP=ON and a firmware of
both, runs it, and checks how large the loader is. What has no such code must be refused. Skips
where a tool is missing (exit code 77).
"""
import argparse
import pathlib
import resource
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(ROOT / "examples/embedded"))
from boards import Board  # noqa: E402

# Targets by board: whose code runs on it, and whose code it must refuse.
TARGETS = {
    # Both conventions for floats: the loader must not know which the code has.
    "cortex-m4": (["thumbv7em", "thumbv7em-none-eabi"], ["thumbv8m.main", "riscv32"]),
    # These have what an M4 has.
    "cortex-m33": (["thumbv8m.main", "thumbv8m.main-none-eabi", "thumbv7em"], ["riscv32"]),
    "cortex-m55": (["thumbv8m.main", "thumbv8m.main-none-eabi", "thumbv7em"], ["riscv32"]),
    "riscv32": (["riscv32", "riscv32imc-esp-espidf"],
                ["riscv32imafc", "riscv32imac_zbb", "riscv32imac_zicclsm", "thumbv7em"]),
}
MODULES = ["guest", "trimmed", "known"]
# Bytes of code and constants that the loader may take.
LOADER_LIMIT = 10 * 1024
REFUSED = {
    "vectors": ('(module (func $f) (func $g (param i32) (drop (i32x4.splat (local.get 0)))))',
                "has no i32x4.splat (function 1 g)"),
    "tail calls": ('(module (func $f (export "f") (return_call $f)))',
                   "has no return_call (function 0 f)"),
    "exceptions": ('(module (func $f (block $l (try_table (catch_all $l)))))',
                   "has no try_table (function 0 f)"),
    "references": ('(module (func (param externref)))', "has no values but numbers (function 0)"),
    "locals": ('(module (func $f (export "f") (local v128)))',
               "has no values but numbers (function 0 f)"),
    "indirect calls": ('(module (type $t (func (param externref))) (table 1 funcref) '
                       '(func $f (export "f") (unreachable) (call_indirect (type $t))))',
                       "has no values but numbers (function 0 f)"),
    "memories": ('(module (memory 1) (memory 1))', "has no several memories"),
    "memory64": ('(module (memory i64 1))', "has no memories of 64 bits"),
}
FAR = """(module (table 4000000000 funcref) (elem (i32.const 3999999000) $f)
  (func $f (export "f") (result i32) (call_indirect (result i32) (i32.const 3))))"""


def sh(*command, ok=(0,), **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode not in ok:
        sys.exit(f"{' '.join(str(c) for c in command)}: {done.returncode}\n{done.stdout}")
    return done.stdout


def array(name, path):
    data = ",".join(map(str, path.read_bytes()))
    return f"static const _Alignas(8) unsigned char {name}[] = {{{data}}};\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wafer", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--library", type=pathlib.Path,
                        help="folder to build it in, of the board's preset and the profile minimal")
    parser.add_argument("--board", default="cortex-m4", choices=TARGETS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    wafer, out, board = args.wafer.resolve(), args.out, Board(args.board)
    run_on, others = TARGETS[args.board]

    for what, (text, message) in REFUSED.items():
        (out / "refused.wat").write_text(text)
        said = sh(wafer, "compile", "--target", board.xip, "--format", "xip", out / "refused.wat",
                  "-o", out / "refused.xip", ok=(1,))
        if message not in said or len(said.splitlines()) != 1:
            sys.exit(f"{what}: {said}")
    for options, message in ((["--target", "x86_64"], "no code that runs in place for target"),
                             ([], "needs a --target"),
                             (["--target", "thumbv7em", "--fuel"], "cannot count fuel"),
                             (["--target", "thumbv7em", "--cpu", "cortex-m3"], "instructions for f32"),
                             (["--target", "thumbv8m.main", "--cpu", "cortex-m55"], "Armv8.1-M"),
                             (["--target", "riscv32imafdc"], "RISC-V's extension 'd'; there are"),
                             (["--target", "riscv32ic"], "multiply and divide"),
                             (["--target", "riscv32q"], "first letter"),
                             (["--target", "riscv32", "--cpu", "rocket"], "unknown cpu 'rocket'"),
                             (["--target", "riscv32", "--cpu", "sifive-u74"], "no processor of 32"),
                             (["--target", "riscv64"], "thumbv8m.main and riscv32")):
        (out / "refused.wat").write_text("(module)")
        said = sh(wafer, "compile", "--format", "xip", *options, out / "refused.wat",
                  "-o", out / "refused.xip", ok=(1,))
        if message not in said:
            sys.exit(f"{options}: {said}")

    # A table that is no constant, as it would take gigabytes.
    (out / "far.wat").write_text(FAR)
    sh(wafer, "compile", "--target", board.xip, "--format", "xip", out / "far.wat", "-o", out / "far.xip",
       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)))
    if (out / "far.xip").stat().st_size > 4096:
        sys.exit("code of a far element is large")
    for module in MODULES:
        sh(wafer, "wat2wasm", HERE / f"{module}.wat", "-o", out / f"{module}.wasm")
        for target in run_on + others:
            sh(wafer, "compile", "--target", target, "--format", "xip", out / f"{module}.wasm",
               "-o", out / f"{target}-{module}.xip")
    if sh(wafer, "compile", "--target", run_on[0], "--format", "xip", out / "guest.wasm", "-o",
          out / "again.xip") or \
            (out / "again.xip").read_bytes() != (out / f"{run_on[0]}-guest.xip").read_bytes():
        sys.exit("the same module gives other code")

    for tool in (board.compiler, f"{board.prefix}-g++", board.emulator[0]):
        if not shutil.which(tool):
            print(f"skipped: no {tool}")
            sys.exit(77)
    build = args.library or out / "library"
    sh("cmake", "--preset", args.board, "-B", build, "-DWAFER_PROFILE=minimal",
       "-DWAFER_FEATURE_XIP=ON", cwd=ROOT)
    sh("cmake", "--build", build, "--target", "wafer_lib")
    library = build / "libwafer-embedded.a"
    text = 0
    for line in sh(f"{board.prefix}-size", library).splitlines():
        if " xip" in line or "\txip" in line:
            text += int(line.split()[0])
    print(f"loader: {text} bytes of text, of {LOADER_LIMIT} at most")
    if not 0 < text <= LOADER_LIMIT:
        sys.exit("the loader has grown")

    refused = "static const struct {\n  const char* name;\n  const void* code;\n  size_t size;\n} guest_others[] = {\n"
    arrays = "".join(array(f"{m}_wasm", out / f"{m}.wasm") for m in MODULES)
    for i, target in enumerate(others):
        arrays += array(f"guest_other{i}", out / f"{target}-guest.xip")
        refused += f'  {{"{target}", guest_other{i}, sizeof guest_other{i}}},\n'
    for target in run_on:
        codes = "".join(array(f"{m}_xip", out / f"{target}-{m}.xip") for m in MODULES)
        (out / "guest.h").write_text(arrays + codes + refused + "};\n")
        elf = out / f"{target}.elf"
        sh(*board.compile("-Wall", "-Wextra", "-DPOOL_BYTES=4*1024*1024",
                          '-DPOOL_PLACE=__attribute__((section(".psram")))', f"-I{out}",
                          "-Wl,--defsym=board_stack=1048576", HERE / "main.c", library, "-lm", "-o", elf))
        said = sh(*board.emulator, elf.resolve(), ok=(0, 1), timeout=60)
        print(f"{target}: {said.strip()}")
        if "traps, all as expected" not in said:
            sys.exit(1)


main()
