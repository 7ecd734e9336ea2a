"""Components made by `wafer component` do what the modules in them do.

Modules in text form become components, which are put together in several ways and called by a
script. A program in C becomes a component with the adapter for WASI 0.1, where there is a
compiler for it and the adapter can be had.

usage: compose_test.py WAFER SCRATCH CRATES
"""
import pathlib
import shutil
import subprocess
import sys

WIT = {
    "log": """package t:log@1.2.3;
interface logger {
  resource sink { constructor(n: u32); value: func() -> u32; }
  record entry { a: u32, s: string }
  twice: func(x: u32) -> u32;
  length: func(e: entry) -> u32;
}
world log { export logger; }
""",
    # An older version, of which only a part is used.
    "app": """package t:app;
world app {
  import t:log/logger@1.2.0;
  import extra: func(x: u32) -> u32;
  export run: func(x: u32) -> u32;
}
package t:log@1.2.0 {
  interface logger {
    record entry { a: u32, s: string }
    twice: func(x: u32) -> u32;
    length: func(e: entry) -> u32;
  }
}
""",
    "extra": "package t:extra;\nworld extra { export extra: func(x: u32) -> u32; }\n",
}
WAT = {
    "log": """(module
      (import "[export]t:log/logger@1.2.3" "[resource-new]sink" (func $new (param i32) (result i32)))
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 3))))
      (func (export "t:log/logger@1.2.3#twice") (param i32) (result i32)
        (i32.mul (local.get 0) (i32.const 2)))
      (func (export "t:log/logger@1.2.3#length") (param i32 i32 i32) (result i32)
        (i32.add (local.get 0) (local.get 2)))
      (func (export "t:log/logger@1.2.3#[constructor]sink") (param i32) (result i32)
        (call $new (local.get 0)))
      (func (export "t:log/logger@1.2.3#[method]sink.value") (param i32) (result i32) (local.get 0))
      (func (export "t:log/logger@1.2.3#[dtor]sink") (param i32)))""",
    "app": """(module
      (import "t:log/logger@1.2.0" "twice" (func $twice (param i32) (result i32)))
      (import "t:log/logger@1.2.0" "length" (func $length (param i32 i32 i32) (result i32)))
      (import "$root" "extra" (func $extra (param i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "hello")
      (func (export "run") (param i32) (result i32)
        (i32.add (call $twice (call $extra (local.get 0)))
                 (call $length (i32.const 100) (i32.const 16) (i32.const 5)))))""",
    "extra": '(module (func (export "extra") (param i32) (result i32)'
             " (i32.add (local.get 0) (i32.const 1))))",
}


class Test:
    def __init__(self, wafer, scratch):
        self.wafer, self.scratch, self.failures = wafer, scratch, []

    def tool(self, *args, code=0, says="", silent=False):
        done = subprocess.run([self.wafer, *map(str, args)], cwd=self.scratch,
                              capture_output=True, text=True, timeout=60)
        if done.returncode != code or says not in done.stderr or (silent and done.stderr):
            self.failures.append(f"{' '.join(map(str, args))}: exit code {done.returncode}, "
                                 f"expected {code} {says}: {done.stderr}")
        return done.stdout

    def calls(self, component, *commands):
        """Runs script commands on a component."""
        if not (self.scratch / component).exists():
            return
        data = (self.scratch / component).read_bytes()
        text = '(component binary "' + "".join(f"\\{b:02x}" for b in data) + '")\n'
        (self.scratch / "calls.wast").write_text(text + "\n".join(commands))
        self.tool("wast", "calls.wast")


def composition(t):
    for name in WIT:
        (t.scratch / f"{name}.wit").write_text(WIT[name])
        (t.scratch / f"{name}.wat").write_text(WAT[name])
        t.tool("component", "embed", f"{name}.wit", f"{name}.wat", "-o", f"{name}.m.wasm")
        t.tool("component", "new", f"{name}.m.wasm", "-o", f"{name}.wasm")
        t.tool("component", "targets", f"{name}.wit", f"{name}.wasm")
    t.calls("extra.wasm", '(assert_return (invoke "extra" (u32.const 4)) (u32.const 5))')

    # (20 + 1) * 2, and 100 + 5 for the text.
    answer = '(assert_return (invoke "run" (u32.const 20)) (u32.const 147))'
    t.tool("component", "plug", "app.wasm", "--plug", "log.wasm", "--plug", "extra.wasm", "-o",
           "full.wasm")
    t.calls("full.wasm", answer)
    (t.scratch / "graph.txt").write_text(
        'let log = "log.wasm"  # a provider\nlet extra = "extra.wasm"\n'
        'let app = "app.wasm" with log,\n   "extra" = extra\n'
        'let two = "app.wasm" with "t:log/logger@1.2.0" = log, "extra" = app."run"\n'
        'export app\nexport two."run" as "again"\n')
    t.tool("component", "compose", "graph.txt", "-o", "graph.wasm")
    t.calls("graph.wasm", answer,
            '(assert_return (invoke "again" (u32.const 20)) (u32.const 399))')

    # What is left open is imported from outside.
    t.tool("component", "plug", "app.wasm", "--plug", "log.wasm", "-o", "part.wasm")
    if "import extra: func" not in t.tool("wit", "part.wasm"):
        t.failures.append("plug: `extra` is not imported")
    t.tool("component", "plug", "part.wasm", "--plug", "extra.wasm", "-o", "twice.wasm")
    t.calls("twice.wasm", answer)

    # Taken apart, the component imports its modules.
    t.tool("component", "unbundle", "app.wasm", "--module-dir", "modules", "-o", "un.wasm")
    t.tool("validate", "un.wasm")
    t.tool("validate", "modules/unbundled-module0.wasm")

    # A module that tells no world makes a component without exports, and that is said.
    (t.scratch / "plain.wat").write_text('(module (func (export "f")))')
    t.tool("component", "new", "plain.wat", "-o", "plain.wasm",
           says="plain.wat: the module tells no world, so that the component has no exports")
    if "export" in t.tool("wit", "plain.wasm"):
        t.failures.append("new: a module without a world has exports")
    t.tool("component", "new", "extra.m.wasm", "-o", "extra.wasm", silent=True)

    # What does not fit is told in one line.
    t.tool("component", "plug", "app.wasm", "--plug", "app.wasm", code=1,
           says="nothing of `app.wasm` fits")
    t.tool("component", "targets", "log.wit", "app.wasm", code=1, says="which the world does not have")
    t.tool("component", "new", "log.wasm", code=1, says="is a component; a core module was expected")
    t.tool("component", "plug", "app.m.wasm", "--plug", "log.wasm", code=1,
           says="is a core module; a component was expected")
    for script, message in (
            ('let a = "app.wasm" with b', "1:25: there is no instance `b` yet"),
            ('let a "app.wasm"', "1:7: expected `=`"),
            ('let a = "app.wasm"\nlet a = "log.wasm"', "2:5: there is an instance `a` already"),
            ('let a = "app.wasm"', "exports nothing"),
            ('let a = "app.wasm\nexport a', "1:9: a string without an end"),
            ('let a = "app.wasm"\nexport a."no"', "has no export `no`; it exports `run`"),
            ('let l = "log.wasm"\nlet a = "app.wasm" with "x" = l\nexport a',
             "has no import `x`; it imports")):
        (t.scratch / "bad.txt").write_text(script)
        t.tool("component", "compose", "bad.txt", code=1, says=message)


PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char** argv) {
  char* p = malloc(100000);
  p[5] = argc;
  printf("hello %d %s\n", p[5], argv[1]);
  return 0;
}
"""


def program(t, crates):
    compiler = shutil.which("clang-22") or shutil.which("clang")
    adapter = crates / "wasi-preview1-component-adapter-provider/artefacts"
    adapter = adapter / "wasi_snapshot_preview1.command.wasm"
    if not compiler or not adapter.exists():
        return "a program in C: there is no compiler, or no adapter"
    (t.scratch / "hello.c").write_text(PROGRAM)
    done = subprocess.run([compiler, "--target=wasm32-wasi", "-O2", "hello.c", "-o", "hello.wasm"],
                          cwd=t.scratch, capture_output=True, text=True)
    if done.returncode:
        return "a program in C: the compiler has no C library for WASI"
    t.tool("component", "new", "hello.wasm", "--adapt", adapter, "-o", "hello.component.wasm")
    t.tool("validate", "hello.component.wasm")
    world = t.tool("wit", "hello.component.wasm")
    for item in ("import wasi:cli/stdout@0.2.", "export wasi:cli/run@0.2."):
        if item not in world:
            t.failures.append(f"hello: no `{item}` in {world}")
    # Of the adapter, what the program does not use is gone.
    if "wasi:sockets" in world:
        t.failures.append("hello: sockets are imported")
    t.tool("component", "new", "hello.wasm", code=1,
           says="module requires an import interface named `wasi_snapshot_preview1`")
    if runner := shutil.which("wasmtime"):
        done = subprocess.run([runner, "run", "hello.component.wasm", "x"], cwd=t.scratch,
                              capture_output=True, text=True, timeout=120)
        if done.stdout != "hello 2 x\n":
            t.failures.append(f"hello: {done.stdout} {done.stderr}")
    return ""


def main():
    scratch = pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    t = Test(pathlib.Path(sys.argv[1]).resolve(), scratch)
    composition(t)
    left_out = program(t, pathlib.Path(sys.argv[3]))
    for line in t.failures:
        print("FAIL", line)
    if left_out:
        print("left out:", left_out)
    return 1 if t.failures else 0


sys.exit(main())
