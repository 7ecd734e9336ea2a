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
    """A script whose functions have comparisons, and tables, that branch over more than 2^15
    instructions."""
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
(local.get $sum))
(func (export "table") (param $n i32) (result i32) (local $sum i32)
(block $three (block $two (block $one
(br_table $one $two $three (local.get $n)))
{step * 33000})
(local.set $sum (i32.add (local.get $sum) (i32.const 7))))
(i32.mul (local.get $sum) (i32.const 3))))
(assert_return (invoke "far" (i32.const 101)) (i32.const {99 * 33000}))
(assert_return (invoke "table" (i32.const 0)) (i32.const 21))
(assert_return (invoke "table" (i32.const 1)) (i32.const 21))
(assert_return (invoke "table" (i32.const 5)) (i32.const 0))
""")
    return script


def far_slots(out):
    """A script whose functions do the same with locals that short instructions reach and with
    others, of a frame of more than 256 slots; with the operands above as many, and with arguments."""
    types = ("i32", "i64", "f32", "f64")
    steps = []

    def mix(value):
        steps.append(f"(local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) {value}))")

    def narrow(t, value):
        return {"i32": value, "i64": f"(i32.wrap_i64 (i64.xor {value} (i64.shr_u {value} (i64.const 32))))",
                "f32": f"(i32.reinterpret_f32 {value})",
                "f64": f"(i32.wrap_i64 (i64.shr_u (i64.reinterpret_f64 {value}) (i64.const 20)))"}[t]

    integer = "add sub mul and or xor shl shr_s shr_u rotl rotr div_s div_u rem_s rem_u".split()
    compared = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u".split()
    for t in ("i32", "i64"):
        first, second = f"(local.get ${t}a)", f"({t}.or (local.get ${t}b) ({t}.const 1))"
        for op in integer:
            for b in (second, f"({t}.const 7)", f"({t}.const 70000)"):
                steps.append(f"(local.set ${t}c ({t}.{op} {first} {b}))")
                mix(narrow(t, f"(local.get ${t}c)"))
        for op in compared:
            for b in (second, f"({t}.const 7)", f"({t}.const 70000)"):
                mix(f"({t}.{op} {first} {b})")
                mix(f"(if (result i32) ({t}.{op} {first} {b}) (then (i32.const 3)) (else (i32.const 5)))")
        for op in ("clz", "ctz", "popcnt", "extend8_s", "extend16_s"):
            mix(narrow(t, f"({t}.{op} {first})"))
        mix(f"({t}.eqz {first})")
        mix(f"(if (result i32) ({t}.eqz {first}) (then (i32.const 3)) (else (i32.const 5)))")
    for t in ("f32", "f64"):
        first, second = f"(local.get ${t}a)", f"(local.get ${t}b)"
        for op in "add sub mul div min max copysign".split():
            for b in (second, f"({t}.const 1.5)"):
                mix(narrow(t, f"({t}.{op} {first} {b})"))
        for op in "eq ne lt gt le ge".split():
            mix(f"({t}.{op} {first} {second})")
            mix(f"(if (result i32) ({t}.{op} {first} {second}) (then (i32.const 3)) (else (i32.const 5)))")
        for op in "abs neg ceil floor trunc nearest sqrt".split():
            mix(narrow(t, f"({t}.{op} {first})"))
    for to, op, t in (("i32", "wrap_i64", "i64"), ("i64", "extend_i32_s", "i32"),
                      ("i64", "extend_i32_u", "i32"), ("i32", "trunc_sat_f32_s", "f32"),
                      ("i64", "trunc_sat_f64_u", "f64"), ("f32", "convert_i64_s", "i64"),
                      ("f64", "convert_i32_u", "i32"), ("f32", "demote_f64", "f64"),
                      ("f64", "promote_f32", "f32")):
        mix(narrow(to, f"({to}.{op} (local.get ${t}a))"))
    address = "(i32.and (local.get $i32a) (i32.const 1023))"
    for offset in (0, 64, 60000, 66000):
        for t in types:
            for bits in {"i32": ("", "8", "16"), "i64": ("", "8", "16", "32")}.get(t, ("",)):
                for v in (f"(local.get ${t}b)", f"({t}.const 9)"):
                    steps.append(f"({t}.store{bits} offset={offset} {address} {v})")
                    for sign in ("_s", "_u") if bits else ("",):
                        mix(narrow(t, f"({t}.load{bits}{sign} offset={offset} {address})"))
                steps.append(f"({t}.store{bits} offset={offset} (i32.const 8) (local.get ${t}b))")
                mix(narrow(t, f"({t}.load{bits}{'_u' if bits else ''} offset={offset} (i32.const 8))"))
    for t in types:
        mix(narrow(t, f"(select (local.get ${t}a) (local.get ${t}b) (local.get $i32b))"))
        steps.append(f"(global.set ${t} (local.get ${t}a)) (local.set ${t}c (global.get ${t}))")
        mix(narrow(t, f"(local.get ${t}c)"))
        mix(narrow(t, f"(call $id_{t} (local.get ${t}b))"))
        mix(narrow(t, f"(call_indirect (param {t}) (result {t}) (local.get ${t}b) "
                      f"(i32.and (local.get $four_{t}) (i32.const 3)))"))
    for i in ("(local.get $i32b)", "(i32.const 1)"):
        mix("(block $a (result i32) (block $b (result i32) (block $c (result i32) "
            f"(i32.const 11) (br_table $a $b $c $a (i32.and {i} (i32.const 3)))) "
            "(i32.add (local.get $i32a))) (i32.mul (local.get $i32c)))")
    steps.append("(local.set $i32c (i32.const 5)) (loop $l (local.set $h (i32.add (local.get $h) "
                 "(local.get $i32c))) (br_if $l (local.tee $i32c (i32.sub (local.get $i32c) "
                 "(i32.const 1)))))")
    steps.append("(memory.fill (i32.const 300) (local.get $i32b) (i32.const 40))")
    steps.append("(memory.copy (i32.const 310) (i32.const 290) (i32.and (local.get $i32a) (i32.const 31)))")
    mix("(i32.load (i32.const 312))")
    mix("(memory.size)")

    def function(name, dummies):
        params = " ".join(f"(param ${t}{v} {t})" for v in "ab" for t in types)
        temporary = " ".join(f"(local ${t}c {t})" for t in types)
        numbers = " ".join(f"(local $four_{t} i32)" for t in types)
        set_numbers = " ".join(f"(local.set $four_{t} (i32.const {i}))" for i, t in enumerate(types))
        copies = ""
        if dummies:
            # What came near is kept far.
            copies = " ".join(f"(local ${t}{v} {t})" for v in "ab" for t in types)
            params = " ".join(f"(param ${t}{v}_ {t})" for v in "ab" for t in types)
            set_numbers += " ".join(f" (local.set ${t}{v} (local.get ${t}{v}_))" for v in "ab" for t in types)
        return (f'(func ${name} (export "{name}") {params} (result i32) {dummies} {copies} {temporary} '
                f'{numbers} (local $h i32) {set_numbers} {" ".join(steps)} (local.get $h))')

    many = "i32 " * 300
    args = [(5, 1 << 40, 1.5, -2.25, 77, -3, 0.5, 1e10), (-1, -1, -7.0, 3.5, 0, 12345678901, -0.0, 2.0)]
    same = " ".join(f"(local.get {i})" for i in range(8))
    near = "".join(f"(local.get {i})\n" for i in range(300))
    script = out / "far_slots.wast"
    script.write_text(f"""(module (memory 2)
{"".join(f"(global ${t} (mut {t}) ({t}.const 0)) (func $id_{t} (param {t}) (result {t}) (local.get 0))" for t in types)}
(table funcref (elem $id_i32 $id_i64 $id_f32 $id_f64))
{function("near", "")}
{function("far", f"(local {many})")}
{function("some", "(local " + "i32 " * 228 + ")")}
(func $pairs {" ".join(f"(param {t})" for t in types * 2)} (result i32)
(i32.and (i32.eq (call $near {same}) (call $far {same}))
(i32.eq (call $near {same}) (call $some {same}))))
(export "same" (func $pairs))
(func $sum (param {many}) (result i32) {near}{"i32.add " * 299})
(func $last (param {many}) (result i32 i64 i32) (local.get 299) (i64.extend_i32_s (local.get 0))
(i32.mul (local.get 1) (local.get 298)))
(func (export "sum") (result i32) {" ".join(f"(i32.const {i})" for i in range(300))} (call $sum))
(func (export "last") (result i32 i64 i32) {" ".join(f"(i32.const {i})" for i in range(300))} (call $last))
(func $deep (param i32) (result i32) {"(local.get 0) (i32.const 3) (i32.mul) " * 300} {"i32.add " * 299})
(export "deep" (func $deep)))
""" + "".join(
        "(assert_return (invoke \"same\" " +
        " ".join(f"({t}.const {v})" for t, v in zip(types * 2, a)) + ") (i32.const 1))\n" for a in args) + f"""
(assert_return (invoke "sum") (i32.const {sum(range(300))}))
(assert_return (invoke "last") (i32.const 299) (i64.const 0) (i32.const 298))
(assert_return (invoke "deep" (i32.const 7)) (i32.const {7 * 3 * 300}))
""")
    return script


def constants(out):
    """A script that compares with constants about where they begin to need more room, and where
    one more would be another number; as values and in branches. And subtracts them."""
    compared = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
                "gt": lambda a, b: a > b, "le": lambda a, b: a <= b, "ge": lambda a, b: a >= b}
    functions, checks = [], []
    for bits in (32, 64):
        t, most = f"i{bits}", 1 << bits
        signed = lambda v: (v % most ^ most >> 1) - (most >> 1)
        numbers = [signed(v) for edge in (0, 1 << 15, -1 << 15, 1 << 31, 1 << 32, most >> 1, most)
                   for v in (edge - 1, edge, edge + 1)]
        numbers = sorted(set(numbers))
        for name, holds in compared.items():
            for sign in ("",) if name in ("eq", "ne") else ("_s", "_u"):
                steps, see = [], signed if sign != "_u" else lambda v: v % most
                for c in numbers:
                    test = f"({t}.{name}{sign} (local.get 0) ({t}.const {c}))"
                    steps.append(f"(local.set 1 (i64.add (i64.shl (local.get 1) (i64.const 2)) (i64.extend_i32_u "
                                 f"(i32.add {test} (if (result i32) {test} (then (i32.const 2)) (else (i32.const 0)))))))")
                functions.append(f'(func (export "{t}.{name}{sign}") (param {t}) (result i64) (local i64) '
                                 f'{" ".join(steps)} (local.get 1))')
                for x in numbers:
                    result = 0
                    for c in numbers:
                        result = result << 2 | (3 if holds(see(x), see(c)) else 0)
                    checks.append(f'(assert_return (invoke "{t}.{name}{sign}" ({t}.const {x})) '
                                  f"(i64.const {result % (1 << 64)}))")
        steps = "".join(f"(local.set 1 ({t}.add ({t}.mul (local.get 1) ({t}.const 31)) "
                        f"({t}.sub (local.get 0) ({t}.const {c}))))" for c in numbers)
        functions.append(f'(func (export "{t}.sub") (param {t}) (result {t}) (local {t}) {steps} (local.get 1))')
        for x in numbers:
            result = 0
            for c in numbers:
                result = (result * 31 + x - c) % most
            checks.append(f'(assert_return (invoke "{t}.sub" ({t}.const {x})) ({t}.const {result}))')
    for i, (c, x, result) in enumerate(((0.5, 2, 1.5), (-0.0, -0.0, 0.0), (0.0, -0.0, -0.0), (0.0, 0.0, 0.0),
                                        (-1e10, 1e10, 2e10))):
        functions.append(f'(func (export "f32.sub {i}") (param f32) (result f32) '
                         f"(f32.sub (local.get 0) (f32.const {c})))")
        checks.append(f'(assert_return (invoke "f32.sub {i}" (f32.const {x})) (f32.const {result}))')
    script = out / "constants.wast"
    script.write_text("\n".join(["(module", *functions, ")", *checks]))
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
        [*sorted(args.suite.glob("*.wast")), long_branches(args.out), far_slots(args.out),
         constants(args.out)]
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
    sys.exit(1 if bad or seen != files or not files or (args.xip and not codes) else 0)


main()
