"""Modules that use devices in wrong ways trap with a message; grants that are none are refused.

usage: hostile.py WAFER SCRATCH
"""
import pathlib
import subprocess
import sys

I2C = '"wasi:i2c/i2c@0.2.0-draft"'
IMPORTS = f"""
  (import "wafer:devices/i2c@0.1.0" "open" (func $open (param i32 i32 i32)))
  (import "wafer:devices/i2c@0.1.0" "get-delay" (func $delay (result i32)))
  (import {I2C} "[method]i2c.read" (func $read (param i32 i32 i64 i32)))
  (import {I2C} "[method]i2c.write" (func $write (param i32 i32 i32 i32 i32)))
  (import {I2C} "[method]i2c.transaction" (func $transaction (param i32 i32 i32 i32 i32)))
  (import {I2C} "[resource-drop]i2c" (func $drop (param i32)))
  (import "wasi:io/poll@0.2.4" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:gpio/digital@0.2.0" "[method]digital-out-pin.set-state"
    (func $set (param i32 i32 i32)))
  (import "wafer:devices/gpio@0.1.0" "get-digital-out" (func $pin (param i32 i32 i32 i32)))
"""
MEMORY = '(memory (export "memory") 1) (data (i32.const 0) "sensor" "led" "\\ff\\ff")'
REALLOC = '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))'
# The sensor's handle, 1; the led's, 2.
OPEN = "(call $open (i32.const 0) (i32.const 6) (i32.const 16))"
LED = "(call $pin (i32.const 6) (i32.const 3) (i32.const 0) (i32.const 16))"
READ = "(call $read (i32.const 1) (i32.const 0x48) (i64.const 2) (i32.const 32))"
# Traps unless the result at 32 is the error `other`.
FAILED = """(if (i32.or (i32.ne (i32.load8_u (i32.const 32)) (i32.const 1))
                    (i32.ne (i32.load8_u (i32.const 36)) (i32.const 4))) (then unreachable))"""

# Fields of the module, the function's body, what standard error says.
CASES = [
    (MEMORY + REALLOC, OPEN + READ, None),
    ("", "(call $open (i32.const 0) (i32.const 6) (i32.const 16))", 'a memory named "memory"'),
    (MEMORY, OPEN + READ, '"cabi_realloc"'),
    (MEMORY + '(func (export "cabi_realloc") (param i32) (result i32) (i32.const 0))', OPEN + READ,
     '"cabi_realloc"'),
    (MEMORY + '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) '
     "(i32.const 65535))", OPEN + READ, "out of bounds"),
    (MEMORY + '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)',
     OPEN + READ, "unreachable"),
    # The handle that is used is gone when memory is asked for.
    (MEMORY + '(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) '
     "(call $drop (i32.const 1)) (i32.const 1024))", OPEN + READ, None),
    (MEMORY + REALLOC, READ, "unknown handle index"),
    (MEMORY + REALLOC, OPEN + "(call $drop (i32.const 1))" + READ, "unknown handle index"),
    (MEMORY + REALLOC, "(drop (call $delay))" + READ, "unknown handle index"),
    (MEMORY + REALLOC, OPEN + "(call $drop (i32.const 0))", "unknown handle index"),
    (MEMORY + REALLOC, OPEN + "(call $drop (i32.const -1))", "unknown handle index"),
    (MEMORY + REALLOC, "(call $open (i32.const 65530) (i32.const 7) (i32.const 16))",
     "out of bounds"),
    (MEMORY + REALLOC, "(call $open (i32.const 0) (i32.const 6) (i32.const 65532))",
     "out of bounds"),
    (MEMORY + REALLOC, "(call $open (i32.const 0) (i32.const 6) (i32.const 17))", "not aligned"),
    (MEMORY + REALLOC, "(call $open (i32.const 9) (i32.const 2) (i32.const 16))", "UTF-8"),
    (MEMORY + REALLOC, OPEN + "(call $write (i32.const 1) (i32.const 0x48) (i32.const 1) "
     "(i32.const -1) (i32.const 32))", "out of bounds"),
    (MEMORY + REALLOC, OPEN + "(call $transaction (i32.const 1) (i32.const 0x48) (i32.const 64) "
     "(i32.const 0x10000000) (i32.const 32))", "out of bounds"),
    (MEMORY + REALLOC, OPEN + "(i32.store8 (i32.const 64) (i32.const 2)) "
     "(call $transaction (i32.const 1) (i32.const 0x48) (i32.const 64) (i32.const 1) "
     "(i32.const 32))", "invalid variant discriminant"),
    (MEMORY + REALLOC, OPEN + "(i32.store8 (i32.const 64) (i32.const 1)) "
     "(i32.store (i32.const 72) (i32.const 65536)) (i32.store (i32.const 76) (i32.const 1)) "
     "(call $transaction (i32.const 1) (i32.const 0x48) (i32.const 64) (i32.const 1) "
     "(i32.const 32))", "out of bounds"),
    # Too much altogether, and too many parts, are errors of the bus.
    (MEMORY + REALLOC, OPEN + "(i64.store (i32.const 72) (i64.const 40000)) "
     "(i64.store (i32.const 88) (i64.const 40000)) (call $transaction (i32.const 1) "
     "(i32.const 0x48) (i32.const 64) (i32.const 2) (i32.const 32))" + FAILED, None),
    (MEMORY + REALLOC, OPEN + "(i64.store (i32.const 72) (i64.const -1)) (call $transaction "
     "(i32.const 1) (i32.const 0x48) (i32.const 64) (i32.const 2) (i32.const 32))" + FAILED, None),
    (MEMORY + REALLOC, OPEN + "(call $transaction (i32.const 1) (i32.const 0x48) (i32.const 64) "
     "(i32.const 257) (i32.const 32))" + FAILED, None),
    (MEMORY + REALLOC, LED + "(call $set (i32.const 1) (i32.const 2) (i32.const 32))",
     "invalid enum discriminant"),
    (MEMORY + REALLOC, "(call $poll (i32.const 0) (i32.const 0) (i32.const 32))",
     "empty poll list"),
    (MEMORY + REALLOC, "(call $poll (i32.const 0) (i32.const 0x40000000) (i32.const 32))",
     "out of bounds"),
    (MEMORY + REALLOC, "(loop $l (drop (call $delay)) (br $l))", "too many handles"),
]

GRANTS = [
    (["--i2c", "x"], "'x' is not NAME=DEVICE"),
    (["--i2c", "x=/dev/null"], "/dev/null: "),
    (["--i2c", "x=/nowhere,0x50"], "/nowhere: No such file"),
    (["--i2c", "x=/nowhere,0x500"], "NAME=BUS[,ADDRESS]"),
    (["--spi", "x=/nowhere,mode=4"], "mode is a number of at most 3"),
    (["--spi", "x=/nowhere,quickly"], "no such option: 'quickly'"),
    (["--spi", "x=/nowhere,mode=1,mode=2"], "given twice: 'mode'"),
    (["--gpio", "x=gpiochip77:1,in,in"], "given twice: 'in'"),
    (["--gpio", "x=gpiochip77:1,pull-up,pull-down"], "pulled up or down"),
    (["--spi", "x=/dev/null"], "/dev/null: "),
    (["--gpio", "x=gpiochip77"], "NAME=CHIP:LINE"),
    (["--gpio", "x=gpiochip77:1"], "/dev/gpiochip77: "),
    (["--gpio", "x=/dev/null:1"], "/dev/null: "),
    (["--analog", "x=/nowhere"], "/nowhere: "),
    (["--usb", "1209"], "is not VENDOR:PRODUCT"),
    (["--usb", "12090:1"], "is not VENDOR:PRODUCT"),
    (["--usb", "1209:xyz"], "is not VENDOR:PRODUCT"),
    (["--device", "nothing"], "no board called 'nothing'"),
    (["--device", "sim", "--device", "sim"], "two devices called 'sensor'"),
    (["--analog", "x=/dev/null", "--analog", "x=/dev/null"], "two devices called 'x'"),
]


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    failures = []
    file = scratch / "hostile.wat"

    def run(*options):
        done = subprocess.run([wafer, "run", *options, "--invoke", "run", str(file)],
                              capture_output=True, text=True, timeout=20)
        return done.returncode, done.stderr

    for number, (fields, body, message) in enumerate(CASES):
        file.write_text(f'(module {IMPORTS} {fields} (func (export "run") {body}))')
        for tier in ("interp", "auto"):
            code, error = run("--tier", tier, "--device", "sim")
            if (code, error) != (0, "") if message is None else code != 134 or message not in error:
                failures.append(f"case {number}, {tier}: exit code {code}: {error}")
    file.write_text('(module (func (export "run")))')
    for options, message in GRANTS:
        code, error = run(*options)
        if code != 1 or message not in error:
            failures.append(f"{options}: exit code {code}: {error}")
    # A value in a file, whatever it is of.
    (scratch / "raw").write_text("2048\n")
    file.write_text('''(module
      (import "wafer:devices/gpio@0.1.0" "get-analog-in" (func $open (param i32 i32 i32 i32)))
      (import "wasi:gpio/analog@0.2.0" "[method]analog-in-pin.read-raw"
        (func $read (param i32 i32)))
      (memory (export "memory") 1) (data (i32.const 0) "light")
      (func (export "run") (result i32)
        (call $open (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 16))
        (call $read (i32.load (i32.const 20)) (i32.const 32))
        (i32.add (i32.load (i32.const 36)) (i32.load8_u (i32.const 32)))))''')
    done = subprocess.run([wafer, "run", "--analog", f"light={scratch}/raw", "--invoke", "run",
                           str(file)], capture_output=True, text=True, timeout=20)
    if done.stdout.strip() != "2048":
        failures.append(f"a value in a file: {done.stdout}{done.stderr}")
    if failures:
        sys.exit("\n".join(failures))


main()
