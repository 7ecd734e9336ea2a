"""What can be compared: each section measures some engines on some programs."""

import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import tempfile

from . import components
from .engines import NATIVE, NATIVE_CPU, Engine, native_engines
from .measure import OtherCoresBusy, interleave, run
from .programs import Builder, BuildError, Program
from .report import Results


# Ends the names of columns that were measured with the other processors kept busy.
BUSY = "+busy"


@dataclasses.dataclass(frozen=True)
class Setup:
    """What all sections need."""

    builder: Builder
    engines: list[Engine]
    rounds: int
    timeout: float
    quick: bool
    base: str | None
    busy: bool = False

    def base_of(self, names: list[str], wanted: str) -> str:
        """What ratios are against: the user's choice, else `wanted` if it takes part."""
        if self.base in names:
            return self.base
        return wanted if wanted in names else names[0]


def progress(line: str) -> None:
    """Says what is going on."""
    print(line, file=sys.stderr, flush=True)


def execution(setup: Setup, programs: list[Program], kind: str) -> Results:
    """How fast programs run: the seconds that they print themselves, so that neither the
    start nor the compilation before it counts. Modules that print none count as a whole."""
    interpreters = kind == "interpreter"
    engines = [e for e in setup.engines if e.kind == kind]
    if not interpreters:
        engines = native_engines(setup.builder.version) + engines
    names = [e.name for e in engines]
    if setup.busy:
        names += [n + BUSY for n in names]
    results = Results("Interpretation" if interpreters else "Execution", "s", names,
                      setup.base_of(names, "wafer-interp" if interpreters else NATIVE),
                      {p.name: p.group for p in programs})
    for program in programs:
        measure_program(setup, program, engines, setup.quick or interpreters, results)
    return results


def measure_program(setup: Setup, program: Program, engines: list[Engine], quick: bool,
                    results: Results) -> None:
    """Runs one program on all engines in turns, and checks that they agree."""
    arguments = program.quick_arguments if quick else program.arguments
    expected = None
    if program.module is None and all(e.kind != "native" for e in engines):
        done = run([setup.builder.native(program), *arguments], setup.timeout)
        expected = program.read(done.stdout, done.stderr).result

    def task(name: str, command: list):
        def call():
            nonlocal expected
            with OtherCoresBusy() if name.endswith(BUSY) else contextlib.nullcontext():
                done = run(command, setup.timeout)
            reading = program.read(done.stdout, done.stderr)
            failure = done.failure
            if failure is None and not reading.result:
                failure = "it printed no result"
            if failure is None and expected not in (None, reading.result):
                failure = f"it printed {reading.result!r} instead of {expected!r}"
            if failure is not None:
                results.fail(program.name, name, failure)
                return None
            expected = reading.result
            return reading.seconds if reading.seconds is not None else done.wall, done.wall

        return call

    tasks = {}
    for engine in engines:
        if engine.kind == "native" and program.module is not None:
            continue
        try:
            if engine.kind == "native":
                target = setup.builder.native(program, engine.name == NATIVE_CPU)
            else:
                target = engine.prepare(setup.builder.wasm(program), setup.builder.folder)
        except (BuildError, subprocess.CalledProcessError) as error:
            results.fail(program.name, engine.name, str(error))
            continue
        for name in (engine.name, engine.name + BUSY) if setup.busy else (engine.name,):
            tasks[name] = task(name, engine.run(target, list(arguments)))
    for name, (seconds, wall) in interleave(tasks, setup.rounds):
        results.add(program.name, name, seconds, wall=wall)
    best = results.values.get(program.name, {})
    progress(f"{program.name:18}" + "".join(f"  {n} {t:.3f}" for n, t in best.items()))


def startup(setup: Setup, programs: list[Program]) -> Results:
    """Milliseconds from the start of the process to the first output, without a cache, and
    with one that an earlier run of the same program filled."""
    engines = [e for e in setup.engines
               if e.kind == "compiler" and e.starts and not e.ahead]
    variants = {}
    for engine in engines:
        variants[engine.name] = engine.run
        if engine.run_cached is not None:
            variants[f"{engine.name}+cache"] = engine.run_cached
    cold = [n for n in variants if not n.endswith("+cache")]
    names = cold + [n for n in variants if n.endswith("+cache")]
    results = Results("Start to first output", "ms", names,
                      setup.base_of(names, "wafer-auto"), {p.name: p.group for p in programs})
    with tempfile.TemporaryDirectory() as scratch:
        for program in programs:
            try:
                module = setup.builder.wasm(program)
            except BuildError as error:
                results.failures.append(f"{program.name}: {error}")
                continue
            # Size 1 of the suite's programs: hardly any work before the output.
            arguments = list(program.arguments)
            if program.module is None and program.group != "startup":
                arguments = ["1"]
            tasks = {}
            for name in names:
                cache = pathlib.Path(scratch) / program.name / name
                cache.mkdir(parents=True)
                command = [str(part).replace("{cache}", str(cache))
                           for part in variants[name](module, arguments)]
                tasks[name] = start_task(setup, command, program.name, name, results)
                if name.endswith("+cache"):
                    run(command, setup.timeout)
            for name, done in interleave(tasks, setup.rounds):
                results.add(program.name, name, done.first_output * 1000, wall=done.wall * 1000,
                            processor=done.processor * 1000)
            progress(program.name + "".join(
                f"  {n} {t:.1f}" for n, t in results.values.get(program.name, {}).items()))
    return results


def start_task(setup: Setup, command: list, row: str, name: str, results: Results):
    """A task that runs the command and gives the run, or None if it printed nothing."""

    def call():
        done = run(command, setup.timeout)
        if done.failure or done.first_output is None:
            results.fail(row, name, done.failure or "it printed nothing")
            return None
        return done

    return call


def compilation(setup: Setup, programs: list[Program]) -> tuple[Results, list[str]]:
    """Seconds to compile modules ahead of time on all cores, and lines that tell how much
    processor time that was and how many megabytes of Wasm a second."""
    engines = [e for e in setup.engines if e.compile is not None]
    names = [e.name for e in engines]
    results = Results("Compilation", "s", names, setup.base_of(names, "wafer-llvm"),
                      {p.name: "modules" for p in programs})
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for program in programs:
            try:
                module = setup.builder.wasm(program)
            except BuildError as error:
                results.failures.append(f"{program.name}: {error}")
                continue
            tasks = {}
            for engine in engines:
                output = pathlib.Path(scratch) / engine.name
                tasks[engine.name] = compile_task(
                    setup, engine.compile(module, output), output, program.name, engine.name,
                    results)
            for name, done in interleave(tasks, setup.rounds):
                results.add(program.name, name, done.wall, processor=done.processor)
            megabytes = module.stat().st_size / 1e6
            for name, wall in results.values.get(program.name, {}).items():
                used = min(s["processor"] for s in results.samples[program.name][name])
                lines.append(f"{program.name:14}{megabytes:8.3f} MB  {name:14}{wall:9.3f} s"
                             f"{used:9.3f} s of processor{megabytes / wall:9.2f} MB/s")
            progress(f"{program.name} ({megabytes:.3f} MB)")
    return results, lines


def component_calls(setup: Setup, wafer: str) -> Results:
    """Nanoseconds of a call of a component or of a host function: the processor's time for many,
    less that for none, by their number."""
    engines = [e for e in setup.engines if e.invoke is not None]
    names = [e.name for e in engines]
    results = Results("Calls of components", "ns", names, setup.base_of(names, "wasmtime"),
                      {r.name: r.group for r in components.ROWS})
    for row in components.ROWS:
        binary = components.build(row, wafer, setup.builder.folder / "components")
        most = row.calls // 4 if setup.quick else row.calls

        def task(engine: Engine, row=row, binary=binary, most=most):
            calls = most // 20 if engine.kind == "interpreter" else most

            def processor(n: int):
                done = run(engine.invoke(binary, f"run({n})"), setup.timeout)
                if done.failure:
                    results.fail(row.name, engine.name, done.failure)
                    return None
                return done.processor

            def call():
                nonlocal calls
                start = processor(0)
                while start is not None:
                    taken = processor(calls)
                    if taken is None:
                        return None
                    # What the calls take has to stand out of the start, whose time varies.
                    if taken >= max(3 * start, start + 0.1):
                        return (taken - start) / calls
                    calls *= 4
                return None

            return call

        for name, seconds in interleave({e.name: task(e) for e in engines}, setup.rounds):
            results.add(row.name, name, seconds * 1e9)
        progress(row.name + "".join(
            f"  {n} {t:.1f}" for n, t in results.values.get(row.name, {}).items()))
    return results


def compile_task(setup: Setup, command: list, output: pathlib.Path, row: str, name: str,
                 results: Results):
    """A task that compiles, and gives the run, or None if there was no output."""

    def call():
        output.unlink(missing_ok=True)
        done = run(command, setup.timeout)
        if done.failure or not output.exists():
            results.fail(row, name, done.failure or "it wrote nothing")
            return None
        return done

    return call


def instantiation(wafer: str | None) -> str:
    """The output of wafer_instantiate_bench of the build that `wafer` is of."""
    binary = None
    if wafer is not None:
        binary = pathlib.Path(wafer).resolve().parent.parent / "bench" / "wafer_instantiate_bench"
    if binary is None or not binary.exists():
        found = shutil.which("wafer_instantiate_bench")
        binary = pathlib.Path(found) if found else None
    if binary is None:
        raise BuildError("wafer_instantiate_bench was not built: configure with -DWAFER_BENCH=ON")
    return subprocess.run([binary], capture_output=True, text=True, check=True).stdout
