#!/usr/bin/env python3
"""The official suite on a board in QEMU, or in a build for another processor.

Makes a script of the suite's files that the firmware can read (tests/embedded/suite/main.c),
builds the firmware for a profile, runs it, and prints what failed. Needs `wafer-script-json` of
a build for this machine, which reads the suite's text, and what bench/embedded needs. Files that a
profile lacks are those whose modules are refused: that is a failure only for the files of MVP.

With --cc and --run the library is one for Linux on another processor, which QEMU's user mode runs:
  run.py --library build/linux-s390x/libwafer-embedded.a --cc s390x-linux-gnu-gcc --run qemu-s390x
"""
import argparse
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
sys.path.insert(0, str(ROOT / "examples/embedded"))
from boards import NAMES, Board  # noqa: E402

# Of WebAssembly 1.0 and what `minimal` has besides: no module of these may be refused.
MVP = """address align block br br_if break-drop call comments conversions custom
 data-invalid endianness f32 f32_bitwise f32_cmp f64 f64_bitwise f64_cmp fac float_exprs
 float_literals float_memory float_misc forward func_ptrs i32 i64 if int_exprs int_literals
 labels left-to-right load local_get local_set local_tee loop memory_fill memory_redundancy
 memory_size memory_trap nop return skip-stack-guard-page stack start store switch traps
 unreachable unwind""".split()
# What the board cannot have: more memory, or more native stack.
NOT_HERE = ["memory_grow", "memory_size3", "memory_trap64", "huge", "too-many", "threads"]


# Assertions that need more memory than the board has, or references of the host's.
EXPECTED = {"call": 1, "call_indirect": 1}
# Assertions that need a module which a profile refuses: those with several memories put a function
# into another's table, and bytes into its memory.
EXPECTED_IN = {"minimal": {"linking0": 1, "load1": 5}}


def long_branches(out):
    """A script whose function has comparisons that branch over more than 2^15 instructions."""
    step = "(local.set $sum (i32.add (local.get $sum) (local.get $n)))\n"
    script = out / "long_branches.wast"
    script.write_text(f"""(module
(func (export "far") (param $n i32) (result i32) (local $sum i32)
(loop $again
(if (i32.lt_s (local.get $n) (i32.const 100)) (then
{step * 33000}))
(if (f32.lt (f32.convert_i32_s (local.get $n)) (f32.const 0.5)) (then
{step * 33000}
(br $again)))
(local.set $n (i32.sub (local.get $n) (i32.const 1)))
(br_if $again (i32.ge_u (local.get $n) (i32.const 99))))
(local.get $sum)))
(assert_return (invoke "far" (i32.const 101)) (i32.const {99 * 33000}))
""")
    return script


def value(v):
    kind, bits = v["type"], v.get("value")
    if kind == "i32" or kind == "f32":
        if bits in ("nan:canonical", "nan:arithmetic"):
            return (5 if bits == "nan:canonical" else 6, 0, 0)
        return (0, int(bits) & 0xFFFFFFFF, 0)
    if kind == "i64" or kind == "f64":
        if bits in ("nan:canonical", "nan:arithmetic"):
            return (7 if bits == "nan:canonical" else 8, 0, 0)
        return (1, int(bits) & 0xFFFFFFFFFFFFFFFF, 0)
    if kind == "v128":
        width = {"i8": 1, "i16": 2, "i32": 4, "f32": 4, "i64": 8, "f64": 8}[v["lane_type"]]
        if any(str(lane).startswith("nan") for lane in bits):
            return None
        data = b"".join((int(lane) & (1 << 8 * width) - 1).to_bytes(width, "little") for lane in bits)
        return (2, *struct.unpack("<QQ", data))
    if kind == "ref":
        return (3 if bits == "null" else 4, 0, 0)
    return None  # a reference of the host's, or one of several values


class Script:
    def __init__(self, compile=None, target=None):
        self.compile = compile  # makes machine code of a module, or None
        self.target = target
        self.out = bytearray()
        self.host_references = False

    def command(self, letter, line):
        self.out += letter.encode() + struct.pack("<I", line)

    def text(self, t):
        self.out += t.encode() + b"\0"

    def blob(self, data):
        self.out += struct.pack("<I", len(data)) + data

    def code(self, folder, wasm, line):
        if not self.compile:
            return
        xip = pathlib.Path(folder) / "code.xip"
        done = subprocess.run([self.compile, "compile", "--target", self.target, "--format", "xip",
                               wasm, "-o", xip], capture_output=True, text=True)
        if done.returncode:
            if done.returncode != 1 or "runs in place has no" not in done.stderr:
                sys.exit(f"{wasm}, line {line}: {done.stderr}")
            return
        self.command("C", line)
        data = xip.read_bytes()
        self.out += struct.pack("<I", len(data))
        self.out += bytes(-len(self.out) % 4) + data

    def action(self, action, numbers, current):
        """Appends an action; False, and nothing, if the firmware cannot do it."""
        args = []
        if "\0" in action["field"]:
            return False
        for a in action.get("args", []):
            v = value(a)
            if v is None or v[0] > 3:
                self.host_references = True
                return False
            args += [v[1]] if v[0] != 2 else [v[1], v[2]]
        module = action.get("module")
        self.out += struct.pack("<I", numbers.get(module, 399) if module else current)
        self.out += bytes([action["type"] == "get"])
        self.text(action["field"])
        self.out += struct.pack("<I", len(args)) + b"".join(struct.pack("<Q", a) for a in args)
        return True

    def file(self, wast, reader, spectest):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([reader, wast, folder], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{wast}: {done.stderr}")
            commands = json.loads(done.stdout)["commands"]
            read = lambda c: (pathlib.Path(folder) / c["filename"]).read_bytes()
            start = len(self.out)
            numbers, current, count = {}, 0, 1
            self.command("F", 0)
            self.command("M", 0)
            self.out += struct.pack("<I", 0)
            self.blob(spectest)
            self.command("R", 0)
            self.out += struct.pack("<I", 0)
            self.text("spectest")
            for c in commands:
                kind, line = c["type"], c["line"]
                if "filename" in c and c.get("module_type") == "text":
                    if kind == "module":
                        current = 399  # that nothing is ever loaded as
                    continue
                if kind == "module":
                    current, count = count, count + 1
                    if count >= 399:
                        del self.out[start:]
                        return False
                    if c.get("name"):
                        numbers[c["name"]] = current
                    self.code(folder, pathlib.Path(folder) / c["filename"], line)
                    self.command("M", line)
                    self.out += struct.pack("<I", current)
                    self.blob(read(c))
                elif kind in ("module_definition", "module_instance", "thread", "wait"):
                    del self.out[start:]
                    return False
                elif kind == "register":
                    self.command("R", line)
                    self.out += struct.pack("<I", numbers[c["name"]] if c.get("name") else current)
                    self.text(c["as"])
                elif kind in ("assert_invalid", "assert_malformed", "assert_unlinkable",
                              "assert_uninstantiable"):
                    self.command("X", line)
                    self.blob(read(c))
                elif kind in ("assert_return", "assert_trap", "assert_exhaustion", "action"):
                    expected = [value(v) for v in c.get("expected", [])] \
                        if kind in ("assert_return", "action") else []
                    if any(v is None for v in expected):
                        continue
                    before = len(self.out)
                    self.command("I", line)
                    if not self.action(c["action"], numbers, current):
                        del self.out[before:]
                        continue
                    self.text(c.get("text", "") if kind != "assert_return" else "")
                    if kind == "action":
                        expected = []
                    self.out += struct.pack("<I", len(expected))
                    for v in expected:
                        self.out += struct.pack("<BQQ", *v)
            if self.host_references:  # what an assertion sees may depend on one left out
                self.host_references = False
                del self.out[start:]
                return False
            self.command("E", 0)
            self.text(pathlib.Path(wast).stem)
            return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="full")
    parser.add_argument("--suite", type=pathlib.Path, default=ROOT.parent / "shared/testsuite")
    parser.add_argument("--library", type=pathlib.Path, help="libwafer-embedded.a of the profile")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/embedded-suite")
    parser.add_argument("--reader", type=pathlib.Path, help="wafer-script-json",
                        default=ROOT / "build/release/bin/wafer-script-json")
    parser.add_argument("--board", default="cortex-m4", choices=NAMES, help="preset of the library")
    parser.add_argument("--xip", type=pathlib.Path, metavar="WAFER",
                        help="run machine code that this tool makes; for a library with it")
    parser.add_argument("--cc", help="compiler for a library that is not for a board")
    parser.add_argument("--run", default="", help="command that runs what it makes")
    parser.add_argument("names", nargs="*", help="of files; all of the suite's folder if none")
    args = parser.parse_args()
    on = Board(args.board)
    if args.cc:
        tools = [args.cc, *args.run.split()[:1]]
    else:
        tools = [on.compiler, on.emulator[0]]
    for needed in (args.reader, *tools):
        if not shutil.which(needed):
            print(f"skipped: no {needed}")
            sys.exit(77)
    if not args.library.is_file():
        print(f"skipped: no {args.library}")
        sys.exit(77)
    if not args.suite.is_dir():
        print(f"skipped: no suite in {args.suite}")
        sys.exit(77)
    args.out.mkdir(parents=True, exist_ok=True)
    # A module alone is a script, too.
    subprocess.run([args.reader, HERE / "spectest.wat", args.out], check=True,
                   stdout=subprocess.DEVNULL)
    spectest = (args.out / "0.wasm").read_bytes()
    scripts = [args.suite / f"{name}.wast" for name in args.names] or \
        [*sorted(args.suite.glob("*.wast")), long_branches(args.out)]
    board = ROOT / "examples/embedded"
    elf = args.out / f"suite-{args.profile}.elf"
    common = ["-DPOOL_BYTES=15*1024*1024", HERE / "main.c", args.library, "-lm", "-o", elf]
    if args.cc:
        build = [args.cc, "-Os", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                 f"-I{board}", f"-I{ROOT}/include", board / "pool.c", board / "board_host.c",
                 *common, "-static"]
        run = [*args.run.split(), elf.resolve()]
    else:
        build = on.compile('-DPOOL_PLACE=__attribute__((section(".psram")))',
                           "-Wl,--defsym=board_stack=131072", *common)
        run = [*on.emulator, elf.resolve()]
    if args.xip:
        build.insert(1, "-DXIP")
    subprocess.run(build, check=True)
    totals, bad = [0, 0, 0], []
    # Scripts of a few files each: the board has room for one at a time.
    batch = Script(args.xip, on.xip)
    batches = [batch]
    files = 0
    for script in scripts:
        if any(script.stem.startswith(n) for n in NOT_HERE):
            continue
        if len(batch.out) > 1_000_000:
            batch = Script(args.xip, on.xip)
            batches.append(batch)
        if batch.file(script, args.reader, spectest):
            files += 1
    seen = codes = 0
    expected = EXPECTED | EXPECTED_IN.get(args.profile, {})
    for b in batches:
        b.command("Z", 0)
        (args.out / "script.bin").write_bytes(b.out)
        done = subprocess.run(run, cwd=args.out, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=600)
        notes = []
        for line in done.stdout.splitlines():
            words = line.split()
            if line.startswith("code "):
                codes += int(words[1])
            if not line.startswith("file "):
                notes.append(line)
                continue
            name, counts = words[1], [int(w) for w in words[2:5]]
            seen += 1
            totals = [t + c for t, c in zip(totals, counts)]
            if counts[1] > expected.get(name, 0) or len(words) > 5 or (counts[2] and name in MVP):
                bad.append(name)
                print(line, *notes, sep="\n")
            notes = []
        if not done.stdout.endswith("done\n"):
            print("the firmware did not come to the end:", done.stdout[-300:])
            bad.append("end")
    print(f"{args.profile}: {seen} of {files} files, {totals[0]} assertions passed, "
          f"{totals[1]} failed, {totals[2]} modules refused" +
          (f", {codes} run as machine code" if args.xip else ""))
    sys.exit(1 if bad or seen != files or not files else 0)


main()
