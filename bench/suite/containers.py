"""Containers: how fast they start, what memory they take, and HTTP through them."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from .engines import EngineError

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELLO_C = '#include <unistd.h>\nint main(void) { return write(1, "hello\\n", 6) != 6; }\n'
HELLO_WAT = r"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\10\00\00\00\06\00\00\00hello\0a")
  (func (export "_start")
    (drop (call $w (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 32)))))"""
# Waits for the end of its input.
WAIT_WAT = r"""(module
  (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 1))
    (drop (call $r (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"""


def run(*command, timeout=300, **more) -> str:
    """What a command prints; EngineError if it fails."""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True,
                              timeout=timeout, check=False, **more)
    except subprocess.TimeoutExpired as late:
        raise EngineError(f"{command[0]}: no end after {timeout} s") from late
    if done.returncode:
        raise EngineError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def speed(bench: pathlib.Path, shim: pathlib.Path, programs: list, rounds: int,
          count: int) -> list[str]:
    """Containers a second: the best of the rounds, the programs in turns."""
    lines = []
    for at_once in (1, 4):
        best: dict[str, tuple[float, str]] = {}
        for _ in range(rounds):
            for name, program in programs:
                out = run(bench, "--count", count, "--at-once", at_once, "--shim", shim,
                          program).strip()
                rate = float(re.search(r"([\d.]+)/s", out).group(1))
                if name not in best or rate > best[name][0]:
                    best[name] = (rate, out)
        lines += [f"{name}: {best[name][1]}" for name, _ in programs]
    return lines


def memory(bench: pathlib.Path, shim: pathlib.Path, program: pathlib.Path,
           counts: tuple[int, int]) -> list[str]:
    """The proportional set of all processes: containers of one pod, then of a pod each."""
    lines = []
    for what, count, options in (("in one pod", counts[0], ()),
                                 ("in a pod each", counts[1], ("--pods",))):
        out = run(bench, "--hold", *options, "--count", count, "--shim", shim, program)
        lines += [f"{what}: {line}" for line in out.splitlines()]
    return lines


def end_to_end(lab, runtimes: list, times: int) -> list[str]:
    """`ctr run --rm`, from its start to its end."""
    lines = []
    took: dict[str, list[float]] = {name: [] for name, *_ in runtimes}
    for i in range(times):
        for name, runtime, image, args in runtimes:
            begin = time.monotonic()
            done = lab.run("ctr", "run", "--rm", "--runtime", runtime, *image,
                           f"bench-{i}-{runtimes.index((name, runtime, image, args))}", *args)
            if done.returncode not in (0, 42):
                raise EngineError(f"{name}: {done.stderr.strip()[-300:]}")
            took[name].append((time.monotonic() - begin) * 1000)
    for name, values in took.items():
        values.sort()
        lines.append(f"ctr run, {name}: {values[len(values) // 2]:.0f} ms (p50), "
                     f"{values[min(len(values) - 1, len(values) * 99 // 100)]:.0f} ms (p99)")
    return lines


def processor_time(pid: int) -> float:
    """Of a process and its threads, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def http(lab, wafer: pathlib.Path, seconds: int, rounds: int) -> list[str]:
    """The same component through the shim and by `wafer serve`, by wrk, in turns. Processor time is
    compared too: a container's group gets another share of a busy machine than a process."""
    if not shutil.which("wrk"):
        return ["http: wrk is not here"]
    place = ["nsenter", f"--net=/proc/{lab.process.pid}/ns/net"]
    lab.run(*place, "ip", "link", "set", "lo", "up")
    # The tests' component answers with its first argument; `wafer serve` has none to give.
    guest = (ROOT / "tests/shim/guests/http.wat").read_text()
    for before, after in (("(i32.load offset=8 (i32.load (i32.const 0)))", "(i32.const 512)"),
                          ("(i32.load offset=12 (i32.load (i32.const 0)))", "(i32.const 6)"),
                          ('(memory (export "memory") 1)',
                           '(memory (export "memory") 1) (data (i32.const 512) "hello\\n")')):
        guest = guest.replace(before, after)
    (lab.folder / "b.wat").write_text(guest)
    program = lab.folder / "served.wasm"
    lab.run(wafer, "component", "embed", "--all-features", "--world", "http", lab.folder / "wit",
            lab.folder / "b.wat", "-o", lab.folder / "b.core")
    lab.run(wafer, "component", "new", lab.folder / "b.core", "-o", program)
    started = lab.run("ctr", "run", "-d", "--net-host", "--runtime", "io.containerd.wafer.v1",
                      "--mount", f"type=bind,src={program},dst=/served.wasm,options=rbind:ro",
                      "--platform", "wasi/wasm", "--env", "PORT=8080", "localhost/wasm:1", "web",
                      "/served.wasm")
    if started.returncode:
        return [f"http: {started.stderr.strip()[-300:]}"]
    rates: dict[str, float] = {}
    costs: dict[str, float] = {}
    server = None
    try:
        server = subprocess.Popen([*place, wafer, "serve", "--addr", "127.0.0.1:8081", "--env",
                                   "PORT=8081", program], stderr=subprocess.DEVNULL)
        tasks = [line.split() for line in lab.run("ctr", "tasks", "ls").stdout.splitlines()]
        container = next((int(words[1]) for words in tasks if words[0] == "web"), None)
        if container is None:
            return ["http: the container has ended"]
        time.sleep(1)
        for _ in range(rounds):
            for name, port, pid in (("through the shim", 8080, container),
                                    ("wafer serve", 8081, server.pid)):
                answer = lab.run(*place, sys.executable, "-c", "import urllib.request as u; "
                                 f"print(u.urlopen('http://127.0.0.1:{port}/').read())")
                if "hello" not in answer.stdout:
                    return [f"http, {name}: {(answer.stdout + answer.stderr).strip()[-300:]}"]
                before = processor_time(pid)
                out = lab.run(*place, "wrk", "-t1", "-c16", f"-d{seconds}s",
                              f"http://127.0.0.1:{port}/", timeout=60).stdout
                found = re.search(r"Requests/sec:\s*([\d.]+)", out)
                rates[name] = max(rates.get(name, 0.0), float(found.group(1)) if found else 0.0)
                cost = (processor_time(pid) - before) / max(1, int(
                    (re.search(r"(\d+) requests in", out) or [0, 1])[1])) * 1e6
                costs[name] = min(costs.get(name, cost), cost)
    finally:
        if server:
            server.terminate()
            server.wait()
        lab.run("ctr", "tasks", "kill", "-s", "SIGKILL", "web")
        time.sleep(0.5)
        lab.run("ctr", "tasks", "rm", "-f", "web")
    return [f"http, {name}: {rate:.0f} requests/s, {costs[name]:.1f} us of processor time each"
            for name, rate in rates.items()]


def containers(wafer: pathlib.Path, clang: str, rounds: int, quick: bool) -> str:
    """All of it, as lines. Root only; containerd and runc are those of the PATH."""
    if os.geteuid() != 0:
        raise EngineError("containers need root")
    build = pathlib.Path(wafer).resolve().parents[1]
    bench, shim = build / "bench/wafer_shim_bench", build / "bin/containerd-shim-wafer-v1"
    for need in (bench, shim):
        if not need.exists():
            raise EngineError(f"{need} is not there: build it")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wafer-containers-"))
    lines: list[str] = []
    try:
        (folder / "hello.c").write_text(HELLO_C)
        run(clang, "-O2", "-static", "-o", folder / "hello", folder / "hello.c")
        for name, text in (("hello", HELLO_WAT), ("wait", WAIT_WAT)):
            (folder / f"{name}.wat").write_text(text)
            run(wafer, "wat2wasm", folder / f"{name}.wat", "-o", folder / f"{name}.wasm")
        programs = [("wafer, WebAssembly", folder / "hello.wasm"),
                    ("wafer, native", folder / "hello")]
        lines += speed(bench, shim, programs, rounds, 100 if quick else 1000)
        lines += memory(bench, shim, folder / "wait.wasm", (20, 5) if quick else (500, 100))
        if shutil.which("containerd"):
            lines += under_containerd(wafer, shim, 5 if quick else 40, 1 if quick else 3, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "\n".join(lines)


def under_containerd(wafer, shim, times: int, seconds: int, rounds: int) -> list[str]:
    """What needs a containerd: one of its own, as in the tests."""
    sys.path.insert(0, str(ROOT / "tests/shim"))
    from lab import Lab  # pylint: disable=import-outside-toplevel
    lab = Lab(str(wafer), str(shim))
    try:
        lines = [f"containerd {lab.containerd()}"]
        for image in lab.images():
            lab.run("ctr", "images", "import", "--all-platforms", image)
        runtimes = [("wafer, WebAssembly", "io.containerd.wafer.v1",
                     ["--platform", "wasi/wasm", "localhost/wasm:1"], ()),
                    ("wafer, native", "io.containerd.wafer.v1", ["localhost/busybox:1"],
                     ("/bin/busybox", "echo")),
                    ("runc, native", "io.containerd.runc.v2", ["localhost/busybox:1"],
                     ("/bin/busybox", "echo"))]
        lines += end_to_end(lab, runtimes, times)
        lines += http(lab, wafer, seconds, rounds)
        return lines
    finally:
        lab.close()
