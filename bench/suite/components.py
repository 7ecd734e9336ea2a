"""Calls between components, and of host functions by components: a loop of calls for each row,
in a component that exports run: func(n: u32) -> u32."""

import dataclasses
import pathlib
import subprocess

MEMORY = """(core module $Memory
      (memory (export "mem") 64)
      (global $at (mut i32) (i32.const 4096))
      (func (export "reset") (global.set $at (i32.const 4096)))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $r i32)
        (local.set $r (i32.and (i32.add (global.get $at) (i32.const 7)) (i32.const -8)))
        (global.set $at (i32.add (local.get $r) (local.get 3)))
        (local.get $r)))
    (core instance $memory (instantiate $Memory))"""
OPTIONS = ('(memory (core memory $memory "mem")) '
           '(realloc (core func $memory "realloc"))')
# The caller's: runs `body` n times.
LOOP = """(func (export "run") (param $n i32) (result i32) (local $sum i32) (local $h i32)
        {before}
        (block $done (loop $l
          (br_if $done (i32.eqz (local.get $n)))
          {body}
          (local.set $n (i32.sub (local.get $n) (i32.const 1)))
          (br $l)))
        (local.get $sum))"""
# Pages that nobody wrote are all one page, which is read from the nearest cache.
TOUCH = "(memory.fill (i32.const 1024) (i32.const 0) (i32.const 1052672))"
LIFTED_RUN = '(func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))'
RECORD = """(type $rd (record (field "a" u32) (field "b" f64) (field "c" bool)
      (field "d" (option u16))))"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A kind of call. `calls`: how many are timed at first."""

    name: str
    group: str
    text: str
    calls: int


def between(parameters: str, core: str, callee: str, call: str, encoding: str = "",
            record: bool = False) -> str:
    """Two components, one of which calls the function `f` of the other. `core`: the core
    function's type, `callee`: its body, `call`: how it is called."""
    lends = OPTIONS if "i32 i32" in core else ""
    shared = (f'{RECORD}(export $r "r" (type $rd))', f'{RECORD}(import "r" (type $r (eq $rd)))',
              f'{RECORD}(export $r "r" (type $rd))', '(with "r" (type $r))')
    made, wanted, outside, given = shared if record else ("", "", "", "")
    loop = LOOP.format(before=TOUCH if lends else "", body=call)
    return f"""(component
  (component $C {made} {MEMORY}
    (core module $M (import "" "mem" (memory 64)) (import "" "reset" (func $reset))
      (func (export "f") {core} {callee}))
    (core instance $m (instantiate $M (with "" (instance
      (export "mem" (memory $memory "mem")) (export "reset" (func $memory "reset"))))))
    (func (export "f") {parameters} (canon lift (core func $m "f") {lends})))
  (component $D {wanted} (import "f" (func $f {parameters})) {MEMORY}
    (core func $f' (canon lower (func $f) {encoding} {lends}))
    (core module $M (import "" "mem" (memory 64)) (import "" "reset" (func $reset))
      (import "" "f" (func $f {core}))
      {loop})
    (core instance $m (instantiate $M (with "" (instance (export "mem" (memory $memory "mem"))
      (export "reset" (func $memory "reset")) (export "f" (func $f'))))))
    {LIFTED_RUN})
  {outside} (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "f" (func $c "f")) {given}))
  (func (export "run") (alias export $d "run")))"""


METHOD = f"""(component
  (component $C
    (core module $D (func (export "drop") (param i32)))
    (core instance $d (instantiate $D))
    (type $r' (resource (rep i32) (dtor (core func $d "drop"))))
    (export $r "r" (type $r'))
    (core func $new (canon resource.new $r'))
    (core module $M (import "" "new" (func $new (param i32) (result i32)))
      (func (export "new") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "get") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (func (export "[constructor]r") (param "n" u32) (result (own $r))
      (canon lift (core func $m "new")))
    (func (export "[method]r.get") (param "self" (borrow $r)) (result u32)
      (canon lift (core func $m "get"))))
  (component $D
    (import "c" (instance $c (export "r" (type $r (sub resource)))
      (export "[constructor]r" (func (param "n" u32) (result (own $r))))
      (export "[method]r.get" (func (param "self" (borrow $r)) (result u32)))))
    (core func $new (canon lower (func $c "[constructor]r")))
    (core func $get (canon lower (func $c "[method]r.get")))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (import "" "get" (func $get (param i32) (result i32)))
      {LOOP.format(before="(local.set $h (call $new (i32.const 7)))", body='''
        (local.set $sum (i32.add (local.get $sum) (call $get (local.get $h))))''')})
    (core instance $m (instantiate $M (with "" (instance
      (export "new" (func $new)) (export "get" (func $get))))))
    {LIFTED_RUN})
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "c" (instance $c))))
  (func (export "run") (alias export $d "run")))"""

HOST_U64 = f"""(component
  (import "wasi:random/insecure@0.2.0" (instance $random
    (export "get-insecure-random-u64" (func (result u64)))))
  (core func $f (canon lower (func $random "get-insecure-random-u64")))
  (core module $M (import "" "f" (func $f (result i64)))
    {LOOP.format(before="", body='(local.set $sum (i32.wrap_i64 (call $f)))')})
  (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
  {LIFTED_RUN})"""

# A host function that does nothing but answer.
HOST_RESOLUTION = f"""(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "resolution" (func (result u64)))))
  (core func $f (canon lower (func $clock "resolution")))
  (core module $M (import "" "f" (func $f (result i64)))
    {LOOP.format(before="", body='(local.set $sum (i32.wrap_i64 (call $f)))')})
  (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))))))
  {LIFTED_RUN})"""

HOST_METHOD = f"""(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $p)) (result bool)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer)) (export "pollable" (type $p (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $new (canon lower (func $clock "subscribe-duration")))
  (core func $get (canon lower (func $poll "[method]pollable.ready")))
  (core module $M
    (import "" "new" (func $new (param i64) (result i32)))
    (import "" "get" (func $get (param i32) (result i32)))
    {LOOP.format(before="(local.set $h (call $new (i64.const 0)))", body='''
      (local.set $sum (i32.add (local.get $sum) (call $get (local.get $h))))''')})
  (core instance $m (instantiate $M (with "" (instance
    (export "new" (func $new)) (export "get" (func $get))))))
  {LIFTED_RUN})"""

HOST_BYTES = f"""(component
  (import "wasi:random/insecure@0.2.0" (instance $random
    (export "get-insecure-random-bytes" (func (param "len" u64) (result (list u8))))))
  {MEMORY}
  (core func $f (canon lower (func $random "get-insecure-random-bytes") {OPTIONS}))
  (core module $M (import "" "f" (func $f (param i64 i32)))
    (import "" "reset" (func $reset))
    {LOOP.format(before="", body='(call $reset) (call $f (i64.const 1024) (i32.const 16))')})
  (core instance $m (instantiate $M (with "" (instance (export "f" (func $f))
    (export "reset" (func $memory "reset"))))))
  {LIFTED_RUN})"""

# A stream from one component to another: the reader waits, the writer writes 1 MiB.
STREAM = f"""(component
  (component $C
    (core module $Memory (memory (export "mem") 64))
    (core instance $memory (instantiate $Memory))
    (type $s (stream u8))
    (core func $read (canon stream.read $s async (memory (core memory $memory "mem"))))
    (core func $set (canon waitable-set.new))
    (core func $join (canon waitable.join))
    (core func $poll (canon waitable-set.poll (memory (core memory $memory "mem"))))
    (core module $M
      (import "" "read" (func $read (param i32 i32 i32) (result i32)))
      (import "" "set" (func $set (result i32)))
      (import "" "join" (func $join (param i32 i32)))
      (import "" "poll" (func $poll (param i32 i32) (result i32)))
      (global $set (mut i32) (i32.const 0)) (global $end (mut i32) (i32.const 0))
      (func (export "take") (param i32)
        (global.set $end (local.get 0)) (global.set $set (call $set))
        (call $join (global.get $end) (global.get $set)))
      (func (export "read")
        (drop (call $read (global.get $end) (i32.const 4096) (i32.const 1048576))))
      (func (export "done") (result i32) (call $poll (global.get $set) (i32.const 16))))
    (core instance $m (instantiate $M (with "" (instance (export "read" (func $read))
      (export "set" (func $set)) (export "join" (func $join)) (export "poll" (func $poll))))))
    (func (export "take") (param "s" (stream u8)) (canon lift (core func $m "take")))
    (func (export "read") (canon lift (core func $m "read")))
    (func (export "done") (result u32) (canon lift (core func $m "done"))))
  (component $D
    (import "take" (func $take (param "s" (stream u8))))
    (import "read" (func $read)) (import "done" (func $done (result u32)))
    (core module $Memory (memory (export "mem") 64))
    (core instance $memory (instantiate $Memory))
    (type $s (stream u8))
    (core func $new (canon stream.new $s))
    (core func $write (canon stream.write $s async (memory (core memory $memory "mem"))))
    (core func $take' (canon lower (func $take)))
    (core func $read' (canon lower (func $read)))
    (core func $done' (canon lower (func $done)))
    (core module $M
      (import "" "mem" (memory 64))
      (import "" "new" (func $new (result i64)))
      (import "" "write" (func $write (param i32 i32 i32) (result i32)))
      (import "" "take" (func $take (param i32)))
      (import "" "read" (func $read))
      (import "" "done" (func $done (result i32)))
      (func $begin (result i32) (local $both i64)
        (local.set $both (call $new))
        (call $take (i32.wrap_i64 (local.get $both)))
        (i32.wrap_i64 (i64.shr_u (local.get $both) (i64.const 32))))
      {LOOP.format(before=TOUCH + "(local.set $h (call $begin))", body='''
        (call $read)
        (if (i32.ne (call $write (local.get $h) (i32.const 4096) (i32.const 1048576))
                    (i32.const 0x1000000)) (then unreachable))
        (local.set $sum (i32.add (local.get $sum) (call $done)))''')})
    (core instance $m (instantiate $M (with "" (instance (export "mem" (memory $memory "mem"))
      (export "new" (func $new))
      (export "write" (func $write)) (export "take" (func $take')) (export "read" (func $read'))
      (export "done" (func $done'))))))
    {LIFTED_RUN})
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "take" (func $c "take")) (with "read" (func $c "read"))
    (with "done" (func $c "done"))))
  (func (export "run") (alias export $d "run")))"""

POINTER = ("(param i32 i32)", "(call $reset)")
ROWS = (
    Row("nothing", "components", between("", "", "", "(call $f)"), 50_000_000),
    Row("u32", "components",
        between('(param "x" u32) (result u32)', "(param i32) (result i32)",
                "(i32.add (local.get 0) (i32.const 1))",
                "(local.set $sum (call $f (local.get $sum)))"), 50_000_000),
    Row("string", "components",
        between('(param "x" string)', *POINTER, "(call $f (i32.const 1024) (i32.const 1024))"),
        5_000_000),
    Row("string-utf16", "components",
        between('(param "x" string)', *POINTER, "(call $f (i32.const 1024) (i32.const 512))",
                "string-encoding=utf16"), 500_000),
    Row("list-u8", "components",
        between('(param "x" (list u8))', *POINTER,
                "(call $f (i32.const 4096) (i32.const 1048576))"), 5_000),
    Row("list-record", "components",
        between('(param "x" (list $r))', *POINTER,
                "(call $f (i32.const 4096) (i32.const 10000))", record=True), 20_000),
    Row("method", "components", METHOD, 10_000_000),
    Row("stream-u8", "components", STREAM, 5_000),
    Row("host-resolution", "host", HOST_RESOLUTION, 10_000_000),
    Row("host-u64", "host", HOST_U64, 10_000_000),
    Row("host-method", "host", HOST_METHOD, 5_000_000),
    Row("host-bytes", "host", HOST_BYTES, 500_000),
)


def build(row: Row, wafer: str, folder: pathlib.Path) -> pathlib.Path:
    """The row's component."""
    folder.mkdir(parents=True, exist_ok=True)
    text, binary = folder / f"{row.name}.wat", folder / f"{row.name}.wasm"
    text.write_text(row.text)
    subprocess.run([wafer, "wat2wasm", text, "-o", binary], check=True)
    return binary
