"""Runs commands and takes their times."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a command; times in seconds from the start of the process."""

    wall: float
    first_output: float | None
    processor: float  # user and system time of the process and its children
    stdout: str
    stderr: str
    failure: str | None


def run(command: list, timeout: float) -> Run:
    """Runs a command without standard input, and kills it after `timeout` seconds."""
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=errors,
                                   start_new_session=True)
        timed_out = threading.Event()

        def stop():
            timed_out.set()
            os.killpg(process.pid, signal.SIGKILL)

        timer = threading.Timer(timeout, stop)
        timer.start()
        output, first = bytearray(), None
        while data := os.read(process.stdout.fileno(), 1 << 16):
            first = first or time.perf_counter() - start
            output += data
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        errors.seek(0)
        stderr = errors.read().decode(errors="replace")
    failure = None
    if timed_out.is_set():
        failure = f"took more than {timeout:g} s"
    elif process.returncode != 0:
        last = stderr.strip().splitlines()[-1:] or [""]
        failure = f"exit code {process.returncode}: {last[0]}"
    return Run(wall, first, usage.ru_utime + usage.ru_stime, output.decode(errors="replace"),
               stderr, failure)


class OtherCoresBusy:
    """While it is entered, all processors but one have other work to do."""

    SPIN = "import os, sys\nos.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"

    def __enter__(self):
        processors = sorted(os.sched_getaffinity(0))
        self.spinners = [
            subprocess.Popen([sys.executable, "-c", self.SPIN, str(n)], stdin=subprocess.DEVNULL)
            for n in processors[1:]]
        return self

    def __exit__(self, *_):
        for spinner in self.spinners:
            spinner.kill()
            spinner.wait()


def interleave(tasks: dict[str, Callable[[], object]], rounds: int) -> Iterable[tuple]:
    """Calls every task once a round, each round beginning with another task, so that the
    machine's noise meets all of them. Yields the name and the result of each call. A task
    that gives None is not called again."""
    alive = list(tasks)
    for i in range(rounds):
        shift = i % max(len(alive), 1)
        for name in alive[shift:] + alive[:shift]:
            result = tasks[name]()
            if result is None:
                alive.remove(name)
            else:
                yield name, result
