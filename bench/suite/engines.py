"""The engines: where they are, and how each runs a module."""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable

HERE = pathlib.Path(__file__).resolve().parent
NATIVE = "native"
NATIVE_CPU = "native-cpu"


@dataclasses.dataclass(frozen=True)
class Engine:
    """One way to run modules. Commands are lists; `{cache}` in one is a folder for the cache.

    kind: native, compiler or interpreter.
    run: the command that runs MODULE with ARGUMENTS, without use of a cache.
    run_cached: the same with a cache; None where there is none.
    invoke: the command that calls a function of a component; None where there is none.
    compile: the command that compiles MODULE into OUTPUT; None where there is none.
    ahead: `run` takes the output of `compile` instead of the module.
    starts: the time from start to output says something about the engine; it does not for
        an engine that another program, such as an interpreter of Python, has to load.
    """

    name: str
    kind: str
    version: str
    run: Callable
    run_cached: Callable | None = None
    compile: Callable | None = None
    ahead: bool = False
    starts: bool = True
    invoke: Callable | None = None

    def prepare(self, module: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
        """What `run` takes for this module: it, or machine code made ahead of time."""
        if not self.ahead:
            return module
        key = hashlib.sha256(f"{self.name} {self.version}".encode())
        key.update(module.read_bytes())
        output = folder / "ahead" / f"{self.name}-{module.stem}-{key.hexdigest()[:12]}.so"
        if not output.exists():
            output.parent.mkdir(parents=True, exist_ok=True)
            partial = output.with_name("partial-" + output.name)
            subprocess.run(self.compile(module, partial), check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            partial.rename(output)
        return output


def native_engines(clang_version: str) -> list[Engine]:
    """Machine code of the C compiler, for any processor of this kind and for this one, as
    engines compile; `run` takes a program instead of a module."""
    return [Engine(name, "native", clang_version, lambda program, args: [program, *args])
            for name in (NATIVE, NATIVE_CPU)]


def wafer_engines(command: str, version: str) -> list[Engine]:
    """Wafer's tiers, and `relaxed`: llvm with --relaxed-traps."""
    engines = []
    for name in ("llvm", "relaxed", "auto", "baseline", "interp"):
        tier = "llvm" if name == "relaxed" else name
        traps = ["--relaxed-traps"] if name == "relaxed" else []
        base = [command, "run", "--tier", tier, *traps]
        cached = name in ("llvm", "auto")
        compiles = name == "llvm"
        engines.append(Engine(
            f"wafer-{name}", "interpreter" if tier == "interp" else "compiler", version,
            starts=name != "relaxed",
            run=lambda module, args, base=base: [*base, "--no-cache", module, *args],
            run_cached=(lambda module, args, base=base:
                        [*base, "--cache-dir", "{cache}", module, *args]) if cached else None,
            compile=(lambda module, output: [command, "compile", module, "-o", output])
            if compiles else None,
            invoke=(lambda component, call, base=base:
                    [*base, "--no-cache", "--invoke", call, component])
            if name in ("llvm", "baseline", "interp") else None))
    return engines


def wasmtime_engines(command: str, version: str) -> list[Engine]:
    """Wasmtime as it is by default; its cache lies in XDG_CACHE_HOME."""
    return [Engine(
        "wasmtime", "compiler", version,
        run=lambda module, args: [command, "run", "-C", "cache=n", module, *args],
        run_cached=lambda module, args:
            ["env", "XDG_CACHE_HOME={cache}", command, "run", module, *args],
        compile=lambda module, output: [command, "compile", module, "-o", output],
        invoke=lambda component, call:
            [command, "run", "-C", "cache=n", "--invoke", call, component])]


def wasmer_engines(command: str, version: str) -> list[Engine]:
    """Wasmer's command, with its default compiler."""
    return [Engine(
        "wasmer", "compiler", version,
        run=lambda module, args: [command, "run", "--disable-cache", module, "--", *args],
        run_cached=lambda module, args:
            ["env", "WASMER_DIR={cache}", command, "run", module, "--", *args],
        compile=lambda module, output: [command, "compile", module, "-o", output])]


def wasmer_sdk_engines(python: str, version: str) -> list[Engine]:
    """Wasmer's engine inside a Python that has the package wasmer-sdk."""
    script = str(HERE / "wasmer_sdk_run.py")
    return [Engine("wasmer", "compiler", version, starts=False,
                   run=lambda module, args: [python, script, module, *args])]


def wasmedge_engines(command: str, version: str) -> list[Engine]:
    """WasmEdge: machine code that its compiler made ahead of time, and its interpreter."""
    return [
        Engine("wasmedge", "compiler", version, ahead=True,
               run=lambda module, args: [command, "--run-mode", "aot", module, *args],
               compile=lambda module, output: [command, "compile", module, output]),
        Engine("wasmedge-interp", "interpreter", version,
               run=lambda module, args: [command, module, *args])]


def iwasm_engines(command: str, version: str) -> list[Engine]:
    """WebAssembly Micro Runtime's interpreter, with the stack that others have by default."""
    return [Engine("iwasm", "interpreter", version,
                   run=lambda module, args: [command, "--stack-size=1048576", module, *args])]


def wasm3_engines(command: str, version: str) -> list[Engine]:
    """wasm3."""
    return [Engine("wasm3", "interpreter", version,
                   run=lambda module, args: [command, module, *args])]


def node_engines(command: str, version: str) -> list[Engine]:
    """V8, through Node's WASI."""
    script = str(HERE / "node_wasi.mjs")
    return [Engine("node", "compiler", version,
                   run=lambda module, args: [command, "--no-warnings", script, module, *args])]


@dataclasses.dataclass(frozen=True)
class Maker:
    """How an engine is found: the commands that it may have, and what tells its version."""

    commands: tuple[str, ...]
    make: Callable
    version: tuple[str, ...] = ("--version",)


MAKERS = {
    "wafer": Maker(("wafer",), wafer_engines),
    "wasmtime": Maker(("wasmtime",), wasmtime_engines),
    "wasmer": Maker(("wasmer",), wasmer_engines),
    "wasmer-sdk": Maker((), wasmer_sdk_engines, ("-c", (
        "from importlib.metadata import version; "
        "import wasmer_sdk; print('wasmer-sdk', version('wasmer-sdk'))"))),
    "wasmedge": Maker(("wasmedge",), wasmedge_engines),
    "node": Maker(("node", "nodejs"), node_engines),
    "wasm3": Maker(("wasm3",), wasm3_engines),
    "iwasm": Maker(("iwasm",), iwasm_engines),
}


class EngineError(Exception):
    """An engine that was asked for is not there."""


def chosen_paths(options: list[str]) -> dict[str, str]:
    """Reads NAME=PATH from the options, and before them from WAFER_BENCH_ENGINES."""
    paths = {}
    for item in [*os.environ.get("WAFER_BENCH_ENGINES", "").split(), *options]:
        name, equals, path = item.partition("=")
        if not equals or name not in MAKERS:
            raise EngineError(f"{item}: expected NAME=PATH with one of {', '.join(MAKERS)}")
        paths[name] = path
    return paths


def find_wafer() -> str | None:
    """The wafer of this source tree's release build, if it was built."""
    built = HERE.parent.parent / "build" / "release" / "bin" / "wafer"
    return str(built) if built.exists() else None


def find_engines(paths: dict[str, str]) -> list[Engine]:
    """Every engine that is on the PATH or named; `NAME=` leaves one out."""
    engines = []
    for name, maker in MAKERS.items():
        asked = name in paths
        if asked:
            command = shutil.which(paths[name]) if paths[name] else None
            if paths[name] and command is None:
                raise EngineError(f"{name}: {paths[name]} is no program")
        elif name == "wafer" and find_wafer():
            command = find_wafer()
        else:
            command = next(filter(None, map(shutil.which, maker.commands)), None)
        if command is None:
            continue
        command = os.path.abspath(command)
        version = version_of([command, *maker.version])
        if version is None:
            if asked:
                raise EngineError(f"{name}: {command} does not tell its version")
            print(f"{name}: {command} does not work; left out", file=sys.stderr)
            continue
        engines += [e for e in maker.make(command, version)
                    if e.name not in {other.name for other in engines}]
    return engines


def version_of(command: list[str]) -> str | None:
    """The number in the first line that has one, or None when the command fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"[0-9]+\.[0-9]+[0-9A-Za-z.+-]*", done.stdout + done.stderr)
    return found[0] if found else "unknown"
