"""What is wrong with a component, its world or how it is put together is told in one line, which names
what was asked for, what was there and, where there is something, what would fit.

usage: errors_test.py WAFER SCRATCH
"""
import pathlib
import subprocess
import sys

LOG = """package t:log@1.2.3;
interface logger { twice: func(x: u32) -> u32; }
world log { export logger; }
"""
TWICE = """(module (func (export "t:log/logger@1.2.3#twice") (param i32) (result i32)
  (i32.mul (local.get 0) (i32.const 2))))
"""
FILES = {
    "log.wit": LOG,
    "log.wat": TWICE,
    "log2.wit": LOG.replace("1.2.3", "2.0.0"),
    "log2.wat": TWICE.replace("1.2.3", "2.0.0"),
    "app.wit": """package t:app;
world app { import t:log/logger@1.2.0; export run: func(x: u32) -> u32; }
package t:log@1.2.0 { interface logger { twice: func(x: u32) -> u32; } }
""",
    "app.wat": """(module (import "t:log/logger@1.2.0" "twice" (func $f (param i32) (result i32)))
  (func (export "run") (param i32) (result i32) (call $f (local.get 0))))
""",
    "plain.wat": '(module (func (export "f")))',
    "import.wat": '(module (import "env" "f" (func)))',
    "text": "neither",
    "bad.wit": "package t:bad;\nworld bad { import nothing; }\n",
    "version.wat": """(component (import "wasi:cli/environment@9.0.0" (instance
  (export "get-arguments" (func (result (list string)))))))
""",
    "types.wat": """(component (import "wasi:cli/environment@0.2.0" (instance
  (export "get-argumnts" (func)) (export "get-arguments" (func (result u32))))))
""",
    "module.graph": 'let a = "plain.wasm"\nexport a\n',
    "version.graph": 'let l = "log2.wasm"\nlet a = "app.wasm" with "t:log/logger@1.2.0" = l\nexport a\n',
    "nothing.graph": 'let l = "log2.wasm"\nlet a = "app.wasm" with l\nexport a\n',
    "sort.graph": 'let a = "app.wasm"\nlet b = "app.wasm" with "t:log/logger@1.2.0" = a."run"\nexport b\n',
}

MODULE = ("is a core module; a component was expected"
          " (`wafer component new` makes one of a core module)")
COMPONENT = "is a component; a core module was expected"
NEITHER = "is neither a module nor a component; a component was expected"
NO_WORLD = "is a core module that tells no world; WIT, or a component, was expected"
NOTHING = ("nothing of `{}` fits an import; it exports `t:log/logger@2.0.0`, and wanted is"
           " `t:log/logger@1.2.0`")

# Arguments, and the line behind "error: ".
TABLE = [
    # A module where a component is wanted, the other way round, and what is neither.
    ("serve plain.wasm", f"plain.wasm: {MODULE}"),
    ("serve text", f"text: {NEITHER}"),
    ("component plug plain.wasm --plug log.wasm", f"plain.wasm: {MODULE}"),
    ("component plug app.wasm --plug plain.wasm", f"plain.wasm: {MODULE}"),
    ("component compose module.graph", f"plain.wasm: {MODULE}"),
    ("component targets log.wit plain.wasm", f"plain.wasm: {MODULE}"),
    ("component unbundle plain.wasm --module-dir d", f"plain.wasm: {MODULE}"),
    ("component new log.wasm", f"log.wasm: {COMPONENT}"),
    ("component new plain.wasm --adapt log.wasm", f"log.wasm: {COMPONENT}"),
    ("component link log.wasm", f"log.wasm: {COMPONENT}"),
    ("component embed log.wit log.wasm", f"log.wasm: {COMPONENT}"),
    ("component targets plain.wasm log.wasm", f"plain.wasm: {NO_WORLD}"),
    ("bindgen c plain.wasm -o out", f"plain.wasm: {NO_WORLD}"),
    ("wit plain.wasm", f"plain.wasm: {NO_WORLD}"),
    ("run app.wit", "app.wit: is WIT; a module or component was expected"),
    ("component targets log.wit log.wit", "log.wit: is WIT; a module or component was expected"),
    # What is missing.
    ("run none.wasm", "cannot open none.wasm: No such file or directory"),
    ("run app.wasm", "app.wasm: component imports `t:log/logger@1.2.0`: unknown import"),
    ("serve app.wasm", "app.wasm: component imports `t:log/logger@1.2.0`: unknown import"),
    ("run log.wasm", 'log.wasm: nothing to run: no export "wasi:cli/run"; use --invoke NAME'
     " (exported functions: t:log/logger@1.2.3#twice)"),
    ("run --invoke none() log.wasm", 'log.wasm: no exported function "none"'
     " (exported functions: t:log/logger@1.2.3#twice)"),
    ("serve log.wasm", 'log.wasm: nothing to serve: no export "wasi:http/handler" or'
     ' "wasi:http/incoming-handler"'),
    ("component new import.wasm", "import.wasm: module was not valid: failed to resolve import"
     " `env::f`: module requires an import interface named `env`"),
    ("component new empty.wasm", "empty.wasm: module was not valid: failed to find export of"
     " interface `t:log/logger@1.2.3` function `twice`"),
    ("component embed -w none log.wit plain.wasm",
     "log.wit: no world `none` in the package: there is t:log/log@1.2.3"),
    ("component targets -w none log.wit log.wasm",
     "log.wit: no world `none` in the package: there is t:log/log@1.2.3"),
    # Other versions, types and kinds of what is there.
    ("run version.wat", "version.wat: component imports `wasi:cli/environment@9.0.0`: unknown"
     " import (there is `wasi:cli/environment@0.2.12`, `wasi:cli/environment@0.3.2`)"),
    ("serve version.wat", "version.wat: component imports `wasi:cli/environment@9.0.0`: unknown"
     " import (there is `wasi:cli/environment@0.2.12`, `wasi:cli/environment@0.3.2`)"),
    ("run types.wat", "types.wat: component imports `wasi:cli/environment@0.2.0`: no"
     " `get-argumnts` in it, `get-arguments`: the component's type is func() -> u32, the host's"
     " func() -> list<string>"),
    ("component targets log.wit log2.wasm", "log2.wasm: component does not fit world"
     " `t:log/log@1.2.3`: it does not export `t:log/logger@1.2.3` (there is `t:log/logger@2.0.0`)"),
    ("component targets log.wit app.wasm", "app.wasm: component does not fit world"
     " `t:log/log@1.2.3`: it imports `t:log/logger@1.2.0`, which the world does not have"),
    ("component plug app.wasm --plug log2.wasm", NOTHING.format("log2.wasm")),
    ("component compose nothing.graph", NOTHING.format("l")),
    ("component compose version.graph",
     "`l` has no export `t:log/logger@1.2.0`; it exports `t:log/logger@2.0.0`"),
    ("component compose sort.graph",
     "`b` imports `t:log/logger@1.2.0`: expected instance, found func `run` of `a`"),
]


def main():
    wafer, scratch = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (scratch / name).write_text(text)

    def tool(*args):
        return subprocess.run([wafer, *args], cwd=scratch, stdin=subprocess.DEVNULL,
                              capture_output=True, encoding="utf-8", errors="replace",
                              timeout=60)

    failures = []
    for args in (("component", "embed", "log.wit", "plain.wat", "-o", "empty.wasm"),
                 ("wat2wasm", "plain.wat", "-o", "plain.wasm"),
                 ("wat2wasm", "import.wat", "-o", "import.wasm"),
                 *((("component", "embed", f"{n}.wit", f"{n}.wat", "-o", f"{n}.m.wasm"))
                   for n in ("log", "log2", "app")),
                 *((("component", "new", f"{n}.m.wasm", "-o", f"{n}.wasm"))
                   for n in ("log", "log2", "app"))):
        done = tool(*args)
        if done.returncode:
            failures.append(f"{' '.join(args)}: {done.stderr}")
    for command, line in TABLE:
        done = tool(*command.split())
        if done.returncode != 1 or done.stdout or done.stderr != f"error: {line}\n":
            failures.append(f"{command}: exit code {done.returncode}\n  expected error: {line}\n"
                            f"  found {done.stdout}{done.stderr}")
    # Errors of WIT name file, line and column, and show the line.
    for args in (("component", "embed", "bad.wit", "plain.wasm"), ("wit", "bad.wit"),
                 ("component", "targets", "bad.wit", "log.wasm")):
        done = tool(*args)
        wanted = ("error: interface or world `nothing` does not exist", "--> bad.wit:2:20",
                  "2 | world bad { import nothing; }")
        if (done.returncode != 1 or done.stderr.count("\n") != 1
                or not all(part in done.stderr for part in wanted)):
            failures.append(f"{' '.join(args)}: {done.stderr}")
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else 0


sys.exit(main())
