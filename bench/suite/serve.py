"""Requests a second of servers for components: wafer serve beside wasmtime serve."""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Its resident memory."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


class Server:
    """One that answers at `self.url`."""

    def __init__(self, name: str, command: list):
        self.name = name
        port = free_port()
        address = f"127.0.0.1:{port}"
        self.url = f"http://{address}/"
        self.process = subprocess.Popen([part.replace("ADDRESS", address) for part in command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self.url, timeout=5).read()
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not answer")
            time.sleep(0.05)

    def load(self, connections: int, seconds: int) -> tuple[float, str, float, float]:
        """Requests a second, the 99th percentile of latency, processor microseconds of the
        server for each request, and its resident memory, under wrk."""
        before = cpu_seconds(self.process.pid)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", self.url],
            capture_output=True, text=True, check=True)
        used = cpu_seconds(self.process.pid) - before
        if "Non-2xx" in done.stdout:
            raise RuntimeError(f"{self.name}: {done.stdout}")
        count = int(re.search(r"(\d+) requests in", done.stdout)[1])
        return (float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)[1]),
                re.search(r"99%\s*(\S+)", done.stdout)[1], used / max(count, 1) * 1e6,
                resident_mib(self.process.pid))

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


def serving(paths: dict[str, str], wafer: str | None, component: pathlib.Path | None, rounds: int,
            seconds: int) -> str:
    """A table; servers take turns, and the best round of each counts."""
    if not component or not wafer or not shutil.which("wrk"):
        return "serve needs --component FILE, a build of wafer, and wrk"
    file = str(component.resolve())
    commands = {"wafer": [wafer, "serve", "--addr", "ADDRESS", file]}
    wasmtime = paths.get("wasmtime") or shutil.which("wasmtime")
    if wasmtime:
        commands["wasmtime"] = [wasmtime, "serve", "-S", "cli", "--addr", "ADDRESS", file]
    lines = ["| Connections | Server | Requests/s | p99 | us of processor | MiB |",
             "| --- | --- | --- | --- | --- | --- |"]
    servers = [Server(name, command) for name, command in commands.items()]
    try:
        for server in servers:
            server.load(8, 1)  # code gets hot
        for connections in (1, 64, 1024):
            best: dict[str, tuple] = {}
            for _ in range(rounds):
                for server in servers:
                    sys.stderr.write(f"serve: {server.name}, {connections} connections\n")
                    got = server.load(connections, seconds)
                    best[server.name] = max(best.get(server.name, got), got)
            for name, (rate, p99, used, mib) in best.items():
                lines.append(f"| {connections} | {name} | {rate:.0f} | {p99} | {used:.0f} | {mib:.0f} |")
    finally:
        for server in servers:
            server.stop()
    return "\n".join(lines)
