"""The command line of bench/compare."""

import argparse
import pathlib
import re
import sys

from . import sections
from .containers import containers
from .engines import EngineError, chosen_paths, find_engines, find_wafer
from .plot import draw
from .programs import GROUPS, Builder, BuildError, hello_program, module_program, suite
from .report import Results, remarks, table, write_json
from .serve import serving

SECTIONS = ("execution", "interpreters", "startup", "compile", "instantiate", "serve",
            "components")
# Not part of `all`: it needs root, and starts a containerd.
ALONE = ("containers",)
# What start-up and compilation are measured on: a small, a middling and a large program.
MODULES = ("hello", "interpreter", "sqlite")
DESCRIPTION = """\
Compares Wafer's tiers with native code and with every other engine that is found.

sections:
  execution     speed of compiled code against clang -O2 (the default); native-cpu is
                clang -O2 -march=native
  interpreters  speed of interpreters, on smaller inputs
  startup       from the start of the process to its first output, cold and with a cache
  compile       ahead-of-time compilation
  instantiate   wafer_instantiate_bench
  serve         requests a second of wafer serve, wasmtime serve, node's http and nginx, by
                wrk, for handlers in Rust and JavaScript (built by cargo and npm) or the one
                of --component (which answers 200 at "/"); first answers; memory
  components    calls between components, and of host functions by components
  containers    containers a second, `ctr run`, memory and HTTP of the container shim, beside
                runc's; needs root, and the shim and wafer_shim_bench in the build of wafer
  all           all but containers

Engines: wafer of build/release, and wasmtime, wasmer, wasmedge, node, wasm3 and iwasm of
PATH. Others are named by --engine NAME=PATH, or in WAFER_BENCH_ENGINES, separated by spaces;
`NAME=` leaves one out. `wasmer-sdk` is a python that has Wasmer's package of this name.

Programs are compiled with clang, natively and for WASI, and run in turns, engine after
engine, so that noise meets all; the best of all rounds counts. All engines must print the
same. The exit code is 1 if one did not, or failed.

Two programs need sources of other projects: --sqlite is a folder with sqlite3.c and
sqlite3.h, SQLite's amalgamation (from sqlite.org), and --coremark a checkout of
github.com/eembc/coremark. They are left out if not given.
"""


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(prog="bench/compare", description=DESCRIPTION,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("section", nargs="?", default="execution", choices=(*SECTIONS, *ALONE, "all"))
    p.add_argument("--engine", action="append", default=[], metavar="NAME=PATH",
                   help="where an engine is (repeatable)")
    p.add_argument("--engines", metavar="REGEX", help="only engines of such names, as printed")
    p.add_argument("--programs", metavar="REGEX", help="only programs of such names")
    p.add_argument("--group", action="append", choices=GROUPS,
                   help="only programs of this group (repeatable)")
    p.add_argument("--module", action="append", default=[], metavar="'FILE ARGS'",
                   help="a WASI command besides the suite, with its arguments (repeatable)")
    p.add_argument("--component", type=pathlib.Path, metavar="FILE",
                   help="handler of HTTP requests for `serve`")
    p.add_argument("--sqlite", type=pathlib.Path, metavar="DIR",
                   help="folder of sqlite3.c and sqlite3.h")
    p.add_argument("--coremark", type=pathlib.Path, metavar="DIR", help="checkout of CoreMark")
    p.add_argument("--clang", default="clang-22", help="compiler of the programs (clang-22)")
    p.add_argument("--rounds", type=int, help="runs of each program on each engine")
    p.add_argument("--busy", action="store_true",
                   help="execution once more with the other processors kept busy, so that "
                   "compilation in the background competes with the program")
    p.add_argument("--quick", action="store_true", help="small inputs and one round")
    p.add_argument("--timeout", type=float, default=120, help="seconds for a run (120)")
    p.add_argument("--base", metavar="ENGINE", help="what ratios are against (native)")
    p.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/bench"),
                   metavar="DIR", help="folder of compiled programs (build/bench)")
    p.add_argument("--output", type=pathlib.Path, metavar="DIR",
                   help="folder of the results, JSON and SVG (BUILD/results)")
    return p


def select(programs: list, options: argparse.Namespace) -> list:
    """The programs that the options ask for."""
    pattern = re.compile(options.programs or "")
    return [p for p in programs
            if pattern.search(p.name) and (not options.group or p.group in options.group
                                           or p.group == "modules")]


def publish(results: Results, versions: dict[str, str], name: str,
            folder: pathlib.Path) -> None:
    """Prints the table and writes the files."""
    print(f"\n{results.title}: {results.unit} of {results.base}, others relative to it\n")
    print(table(results))
    for line in results.failures:
        print(f"failed: {line}")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(results, versions, folder / f"{name}.json")
    if any(results.mean(e) for e in results.engines) or results.values:
        (folder / f"{name}.svg").write_text(draw(results), encoding="utf-8")
    sys.stdout.flush()


def compare(options: argparse.Namespace) -> int:
    """Runs the sections that were asked for; the exit code."""
    paths = chosen_paths(options.engine)
    if options.section == "containers":
        print(containers(paths.get("wafer") or find_wafer(), options.clang,
                         options.rounds or (1 if options.quick else 3), options.quick))
        return 0
    builder = Builder(options.build.resolve(), options.clang)
    engines = [e for e in find_engines(paths) if re.search(options.engines or "", e.name)]
    rounds = options.rounds or (1 if options.quick else 3)
    setup = sections.Setup(builder, engines, rounds, options.timeout, options.quick,
                           options.base, options.busy)
    own = [module_program(line) for line in options.module]
    everything = suite(options.sqlite and options.sqlite.resolve(),
                       options.coremark and options.coremark.resolve())
    programs = select(everything + own, options)
    modules = [p for p in (hello_program(), *everything) if p.name in MODULES] + own
    if not builder.has_wasi():
        raise BuildError(f"{options.clang} has no C library for WASI: install wasi-libc and "
                         "the compiler's runtime for wasm32")
    versions = {e.name: e.version for e in engines} | {"native": builder.version}
    folder = options.output or options.build / "results"
    chosen = SECTIONS if options.section == "all" else (options.section,)
    failed = False
    for section in chosen:
        if section == "serve":
            print(serving(paths, paths.get("wafer") or find_wafer(), options.component,
                          options.build, rounds, options.quick))
            continue
        if section == "instantiate":
            print(sections.instantiation(paths.get("wafer") or find_wafer()))
            continue
        if section in ("execution", "interpreters"):
            kind = "compiler" if section == "execution" else "interpreter"
            results = sections.execution(setup, programs, kind)
        elif section == "components":
            results = sections.component_calls(setup, paths.get("wafer") or find_wafer())
        elif section == "startup":
            results = sections.startup(setup, modules)
        else:
            results, lines = sections.compilation(setup, modules)
            print("\n".join(lines))
        publish(results, versions, section, folder)
        if section == "execution":
            peers = [e.name for e in engines if not e.name.startswith("wafer-")]
            notes = remarks(results, "wafer-llvm", peers, 1.15)
            if notes:
                print("\nwafer-llvm is slower than another engine, or over 1.15:")
                print("\n".join(notes))
        failed = failed or bool(results.failures) or not results.values
    return 1 if failed else 0


def main() -> int:
    """Runs the command; the exit code."""
    options = parser().parse_args()
    try:
        return compare(options)
    except (BuildError, EngineError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
