"""Time that the tools take is in proportion to what they are given.

Worlds, modules and components of ten times the size are made, taken apart, printed and bound. What
takes quadratic time takes a hundred times as long, which is seconds here.

usage: large_test.py WAFER SCRATCH
"""
import pathlib
import resource
import shutil
import subprocess
import sys

ALLOCATOR = ('(memory (export "memory") 1) (func (export "cabi_realloc")'
             ' (param i32 i32 i32 i32) (result i32) unreachable)')


def lines(n, text):
    return "".join(text.replace("#", str(i)) + "\n" for i in range(n))


def interfaces(n, port):
    """Interfaces with a resource each, and the module for them."""
    wit = ("package a:b;\n" +
           lines(n, "interface i# { resource r { constructor(); s: static func();"
                 " m: func(x: string) -> u32; } }") +
           "world w {\n" + lines(n, f"{port} i#;") + "}\n")
    functions = (("constructor]r", "(result i32)"), ("static]r.s", ""),
                 ("method]r.m", "(param i32 i32 i32) (result i32)"))
    if port == "import":
        module = lines(n, "".join(f'(import "a:b/i#" "[{name}" (func {type}))'
                                  for name, type in functions) +
                       '(import "a:b/i#" "[resource-drop]r" (func (param i32)))') + ALLOCATOR
    else:
        module = ALLOCATOR + lines(n, "".join(f'(func (export "a:b/i##[{name}") {type} unreachable)'
                                              .replace("##", "#\0") for name, type in functions) +
                                   '(func (export "a:b/i#\0[dtor]r") (param i32))')
    return wit, f"(module {module.replace(chr(0), '#')})"


def functions(n):
    wit = "package a:b;\nworld w {\n" + lines(
        n, "import p#: func(x: string); export e#: func(x: string);") + "}\n"
    return wit, "(module " + lines(n, '(import "$root" "p#" (func (param i32 i32)))') + \
        ALLOCATOR + lines(n, '(func (export "e#") (param i32 i32))') + ")"


WORLDS = {
    "worlds": lambda n: "interface i {}\nworld w0 { import i; }\n" + "".join(
        f"world w{i + 1} {{ include w{i}; }}\n" for i in range(n)) + f"world w {{ include w{n}; }}",
    "renamed": lambda n: "world v {\n" + lines(n, "import p#: func();") + "}\nworld w { include v"
    " with {\n" + lines(n, "p# as q#,") + "} }",
    "included": lambda n: lines(n, "world w# { import p#: func(); }") + "world w {\n" +
    lines(n, "include w#;") + "}",
    "inline": lambda n: "world w {\n" + lines(
        n, "import x#: interface { record t { a: u32 } f: func(x: t) -> list<t>; }") + "}",
    "packages": lambda n: "world w {\n" + lines(n, "import c:p#/i;") + "}\n" + lines(
        n, "package c:p# { interface i { record t { a: u32 } f: func(x: t); } }"),
    "records": lambda n: "interface i {\n" + lines(n, "record r# { a: string, b: u32 }") +
    "}\nworld w { import i; }",
    "cases": lambda n: "interface i { enum e {\n" + lines(n, "c#,") +
    "} f: func(x: e) -> e; }\nworld w { import i; export i; }",
    "params": lambda n: "interface i { f: func(" + ", ".join(f"p{i}: u32" for i in range(n)) +
    "); }\nworld w { import i; }",
}


class Sizes:
    """Runs commands and keeps the seconds of CPU that each took, for each size."""

    def __init__(self, wafer, scratch):
        self.wafer, self.scratch, self.seconds, self.failures = wafer, scratch, {}, []

    def __call__(self, what, n, *args):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([self.wafer, *args], cwd=self.scratch, capture_output=True, text=True,
                              timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds.setdefault(what, []).append(after.ru_utime - before.ru_utime)
        if done.returncode != 0:
            self.failures.append(f"{what}, {n}: {done.stderr[:300]}")

    def write(self, name, text):
        (self.scratch / name).write_text(text)

    def module(self, kind, n, wit, module):
        self.write("w.wit", wit)
        self.write("m.wat", module)
        for command in (("embed", "w.wit", "m.wat", "-o", "core.wasm"),
                        ("new", "core.wasm", "-o", f"{kind}.wasm"),
                        ("targets", "w.wit", f"{kind}.wasm"),
                        ("unbundle", f"{kind}.wasm", "--module-dir", "parts", "-o", "un.wasm")):
            self(f"{kind}: component {command[0]}", n, "component", *command)
        for command in ("validate", "inspect", "wit"):
            self(f"{kind}: {command}", n, command, f"{kind}.wasm")
        self(f"{kind}: wasm2wat", n, "wasm2wat", f"{kind}.wasm", "-o", "text.wat")
        self(f"{kind}: wat2wasm", n, "wat2wasm", "text.wat", "-o", "binary.wasm")

    def world(self, kind, n, wit):
        self.write("w.wit", wit)
        self(f"{kind}: wit of text", n, "wit", "w.wit")
        self(f"{kind}: wit --wasm", n, "wit", "--wasm", "w.wit", "-o", "p.wasm")
        self(f"{kind}: wit of a package", n, "wit", "p.wasm")
        for language in ("c", "cpp", "host"):
            self(f"{kind}: bindgen {language}", n, "bindgen", language, "w.wit", "-w", "w", "-o",
                 "bound")


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    run = Sizes(wafer, scratch)
    for n in (500, 5000):
        imports, exports = interfaces(n, "import"), interfaces(n, "export")
        run.module("imports", n, *imports)
        run.module("exports", n, *exports)
        run.module("functions", n, *functions(n))
        run("plug", n, "component", "plug", "imports.wasm", "--plug", "exports.wasm", "-o",
            "plugged.wasm")
        for kind, wit in {"imports": imports[0], "exports": exports[0],
                          "functions": functions(n)[0]}.items():
            run.world(kind, n, wit)
        for kind, wit in WORLDS.items():
            run.world(kind, n, "package a:b;\n" + wit(n))
    # Ten times the size; below a few hundredths of a second there is nothing to be told apart.
    for what, (small, large) in run.seconds.items():
        if large > 30 * max(small, 0.025):
            run.failures.append(f"{what}: {small:.3f} s, and {large:.3f} s for ten times as much")
    print("\n".join(run.failures) if run.failures else f"{len(run.seconds)} commands, linear")
    sys.exit(1 if run.failures else 0)


main()
