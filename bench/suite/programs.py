"""The benchmark programs, and how they are built natively and for WASI."""

import dataclasses
import hashlib
import pathlib
import re
import shlex
import shutil
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent.parent / "programs"
GROUPS = ("numeric", "codec", "general", "simd", "large")


class BuildError(Exception):
    """A program could not be compiled."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a run of a program printed: its own time, and what all engines must agree on."""

    seconds: float | None
    result: str


def read_seconds(stdout: str, stderr: str) -> Reading:
    """Reads what bench.h prints: the result on stdout, `seconds N` on stderr."""
    found = re.search(r"^seconds ([0-9.]+)$", stderr, re.MULTILINE)
    return Reading(float(found[1]) if found else None, stdout.strip())


def read_coremark(stdout: str, stderr: str) -> Reading:
    """Reads CoreMark's report, of which only the checksums are the same everywhere."""
    del stderr
    found = re.search(r"^Total time \(secs\)\s*: ([0-9.]+)", stdout, re.MULTILINE)
    sums = re.findall(r"^\S*crc\S*\s*: 0x[0-9a-f]+$", stdout, re.MULTILINE)
    return Reading(float(found[1]) if found else None, "\n".join(sums))


def read_wall(stdout: str, stderr: str) -> Reading:
    """For programs that do not measure themselves: the wall time counts."""
    del stderr
    return Reading(None, stdout.strip())


@dataclasses.dataclass(frozen=True)
class Program:
    """A program of the suite, or a module that is there already (then `module` is set)."""

    name: str
    group: str
    sources: tuple[pathlib.Path, ...] = ()
    flags: tuple[str, ...] = ()
    wasm_flags: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    quick_arguments: tuple[str, ...] = ("--quick",)
    read: object = read_seconds
    module: pathlib.Path | None = None


def suite(sqlite: pathlib.Path | None, coremark: pathlib.Path | None) -> list[Program]:
    """Every program of the suite; those of other projects only if their sources are given."""
    programs = []
    for group in GROUPS:
        for source in sorted((SOURCES / group).glob("*.c*")):
            flags = ()
            if source.suffix == ".cc":
                flags = ("-std=c++20", "-fno-exceptions", "-fno-rtti", "-nostdlib++")
            if source.stem == "sqlite":
                if sqlite is None:
                    continue
                flags = ("-w", f"-I{sqlite}")
            wasm_flags = ("-msimd128",) if group == "simd" else ()
            programs.append(Program(source.stem, group, (source,), flags, wasm_flags))
    if coremark is not None:
        programs.append(coremark_program(coremark))
    return programs


def coremark_program(checkout: pathlib.Path) -> Program:
    """CoreMark of a checkout, through its POSIX port."""
    names = ("core_list_join", "core_main", "core_matrix", "core_state", "core_util",
             "posix/core_portme")
    seeds = ("0", "0", "0x66")
    return Program(
        "coremark", "large", tuple(checkout / f"{name}.c" for name in names),
        flags=("-w", f"-I{checkout}", f"-I{checkout}/posix", "-DPERFORMANCE_RUN=1",
               "-DITERATIONS=0", '-DFLAGS_STR="-O2"'),
        arguments=(*seeds, "30000"), quick_arguments=(*seeds, "1000"), read=read_coremark)


def hello_program() -> Program:
    """The smallest program."""
    return Program("hello", "startup", (SOURCES / "startup" / "hello.c",), quick_arguments=(),
                   read=read_wall)


def module_program(line: str) -> Program:
    """A module that is there already, with its arguments: `FILE ARGS...`."""
    path, *arguments = shlex.split(line)
    module = pathlib.Path(path).resolve()
    if not module.is_file():
        raise BuildError(f"{path}: no such file")
    return Program(module.stem, "modules", arguments=tuple(arguments),
                   quick_arguments=tuple(arguments), read=read_wall, module=module)


class Builder:
    """Compiles programs into a folder, where results are kept by what went into them."""

    def __init__(self, folder: pathlib.Path, clang: str):
        self.folder = folder
        self.clang = shutil.which(clang)
        if self.clang is None:
            raise BuildError(f"{clang}: not found; name another with --clang")
        self.version = run_or_fail([self.clang, "--version"]).splitlines()[0]

    def has_wasi(self) -> bool:
        """Whether the compiler has a C library for WASI."""
        try:
            self.wasm(hello_program())
            return True
        except BuildError:
            return False

    def native(self, program: Program, this_processor: bool = False) -> pathlib.Path:
        """The program as machine code, with or without all that this processor can do."""
        # Products and sums must not be fused: everybody rounds both.
        target = ("-march=native", "-ffp-contract=off") if this_processor else ()
        return self._build(program, "native", target, ("-lm",))

    def wasm(self, program: Program) -> pathlib.Path:
        """The program as a module."""
        if program.module is not None:
            return program.module
        target = ("--target=wasm32-wasi", "-Wno-deprecated", *program.wasm_flags)
        return self._build(program, "wasm", target, ("-Wl,--strip-debug",))

    def _build(self, program: Program, kind: str, target: tuple, link: tuple) -> pathlib.Path:
        command = [self.clang, *target, "-O2", *program.flags, *map(str, program.sources), *link]
        # Everything that sources may include counts: the headers beside them and above.
        inputs = set(program.sources)
        for source in program.sources:
            inputs.update(source.parent.glob("*.h"), source.parent.parent.glob("*.h"))
        digest = hashlib.sha256("\0".join([self.version, *command]).encode())
        for path in sorted(inputs):
            digest.update(path.read_bytes())
        output = self.folder / kind / f"{program.name}-{digest.hexdigest()[:12]}"
        if kind == "wasm":
            output = output.with_suffix(".wasm")
        if not output.exists():
            output.parent.mkdir(parents=True, exist_ok=True)
            partial = output.with_name(output.name + ".part")
            run_or_fail([*command, "-o", str(partial)])
            partial.rename(output)
        return output


def run_or_fail(command: list[str]) -> str:
    """Runs a command and returns its output, or fails with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          check=False)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout
