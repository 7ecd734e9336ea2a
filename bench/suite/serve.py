"""Servers for components: wafer serve beside wasmtime serve, node's http and nginx."""

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from .serve_guests import SOURCES, guests

DOCUMENT = '{"name":"wafer","list":[' + ",".join(map(str, range(100))) + '],"text":"' + \
    "lorem ipsum " * 40 + '"}'
POST = ('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        f"wrk.body = [[{DOCUMENT}]]\n")
HELLO = b"Hello, WASI!\n"
CONNECTIONS = (1, 64, 1024)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def processes(pid: int) -> list[int]:
    """A process and its children."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in processes(int(child))]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its children have used."""
    used = 0
    for one in processes(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        used += int(fields[11]) + int(fields[12])
    return used / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Their resident memory; what they share counts once."""
    total = 0
    for one in processes(pid):
        rollup = pathlib.Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s*(\d+)", rollup, re.M)[1])
    return total / 1024


def milliseconds(text: str) -> float:
    """A time as wrk writes it."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit]


@dataclasses.dataclass(order=True)
class Load:
    """What a server did under load; the greater the better."""

    rate: float  # requests a second that were answered as they should
    p50: float  # milliseconds
    p99: float
    processor: float  # microseconds of the server's for a request
    mib: float  # resident afterwards
    failed: float  # of all requests, those answered otherwise

    def row(self) -> str:
        """Cells of a table."""
        failed = f" ({self.failed * 100:.0f} % failed)" if self.failed else ""
        return (f"{self.rate:,.0f}{failed} | {self.p50:.3g} | {self.p99:.3g} | {self.processor:.0f} | "
                f"{self.mib:.0f}")


def whole(s: socket.socket, part: bytes) -> bool:
    """Reads until `part` has come; whether it has."""
    got = b""
    while part not in got:
        piece = s.recv(4096)
        if not piece:
            return False
        got += piece
    return True


class ServerError(Exception):
    """A server does not do what it should."""


class Server:
    """One that answers at `address`; `first` is the seconds until it did."""

    def __init__(self, name: str, command: Callable[[str, int], list], **environment: str):
        self.name = name
        port = free_port()
        self.address = ("127.0.0.1", port)
        begin = time.monotonic()
        self.process = subprocess.Popen([str(part) for part in command(*self.address)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=os.environ | environment)
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, ServerError):
                self.get("/")
                break
            if self.process.poll() is not None or time.monotonic() > begin + 120:
                self.stop()
                raise ServerError(f"{name} does not answer")
            time.sleep(0.001)
        self.first = time.monotonic() - begin

    def get(self, path: str, body: str | None = None) -> bytes:
        """The body of an answer with status 200, to a POST if there is a body."""
        client = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            client.request("POST" if body else "GET", path, body)
            response = client.getresponse()
            body = response.read()
            if response.status != 200:
                raise ServerError(f"{self.name}: {path}: {response.status}")
            return body
        finally:
            client.close()

    def load(self, path: str, connections: int, seconds: int, script: str | None = None) -> Load:
        """Asks for `path` over so many connections by wrk."""
        pid = self.process.pid
        before = cpu_seconds(pid)
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency",
             *(("-s", script) if script else ()), url], capture_output=True, text=True, check=True)
        used = cpu_seconds(pid) - before
        count = int(re.search(r"(\d+) requests in", done.stdout)[1])
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
        failed = int(bad[1]) / count if bad else 0
        percent = {p: milliseconds(re.search(rf"^\s*{p}%\s+(\S+)", done.stdout, re.M)[1])
                   for p in (50, 99)}
        rate = float(re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)[1])
        return Load(rate * (1 - failed), percent[50], percent[99], used / max(count, 1) * 1e6,
                    resident_mib(pid), failed)

    def settle(self) -> None:
        """Waits for what is compiled and put into a cache in the background."""
        for _ in range(50):
            self.get("/")
        time.sleep(2)

    def hold(self, count: int, path: str | None) -> tuple[float, int]:
        """KiB for each of so many connections that are kept open, and how many are answered
        then. With a path they wait for its answer, which takes ten seconds; without, they have
        had one and wait."""
        before = resident_mib(self.process.pid)
        request = f"GET {path or '/'} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        held = []
        try:
            for _ in range(count):
                held.append(socket.create_connection(self.address, timeout=60))
                held[-1].sendall(request)
                if not path:
                    whole(held[-1], HELLO.strip())
            if path:
                time.sleep(2)
            each = (resident_mib(self.process.pid) - before) * 1024 / count
            for s in held if not path else ():
                s.sendall(request)
            answered = 0
            for s in held:
                with contextlib.suppress(OSError):
                    answered += whole(s, b" 200 ")
            return each, answered
        finally:
            for s in held:
                s.close()

    def stop(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


@dataclasses.dataclass(frozen=True)
class Kind:
    """Servers of the same answers, of which each row of the tables has one."""

    name: str
    command: Callable[[str, int], list]
    guest: str | None = None  # the component behind it


def kinds(wafer: str, wasmtime: str | None, nginx: pathlib.Path | None,
          built: dict[str, pathlib.Path]) -> list[Kind]:
    """All that can be started here."""
    found = []
    for guest, file in built.items():
        found.append(Kind(f"wafer, {guest}", lambda host, port, file=file: [
            wafer, "serve", "--addr", f"{host}:{port}", file], guest))
        if wasmtime:
            options = ["-S", "cli"]
            if guest == "0.3":
                options += ["-S", "p3", "-W", "component-model-async=y"]
            found.append(Kind(f"wasmtime, {guest}",
                              lambda host, port, file=file, options=tuple(options): [
                                  wasmtime, "serve", *options, "--addr", f"{host}:{port}", file],
                              guest))
    if shutil.which("node"):
        found.append(Kind("node", lambda host, port: ["node", SOURCES / "node.mjs", host, port]))
    if nginx:
        found.append(Kind("nginx, files", lambda host, port: nginx_command(nginx, host, port)))
    return found


def nginx_command(folder: pathlib.Path, host: str, port: int) -> list:
    """nginx with the answers as files of `folder`."""
    (folder / "index.html").write_bytes(HELLO)
    (folder / "stream").write_bytes(b"x" * (1 << 20))
    config = folder / "nginx.conf"
    config.write_text(f"""daemon off; worker_processes 1; pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000000;
server {{ listen {host}:{port} backlog=4096; root {folder}; }} }}
""")
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", config, "-p", folder]


def check(server: Server) -> None:
    """That a server answers what the others do."""
    files = server.name.startswith("nginx")
    if (server.get("/") != HELLO or len(server.get("/stream")) != 1 << 20
            or not (files or json.loads(server.get("/json", DOCUMENT))["members"] == 3)):
        raise ServerError(f"{server.name} answers otherwise")


def throughput(servers: list[Server], answers: list[tuple[str, str, str | None]], rounds: int,
               seconds: int) -> list[str]:
    """The table of loads. An answer has a name, a path and a script of wrk; servers take turns,
    and the best round of each counts."""
    lines = ["| Answer | Connections | Server | Requests/s | p50, ms | p99, ms | us of processor "
             "| MiB |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for what, path, script in answers:
        # Files take no POST.
        able = [s for s in servers if not (script and s.name.startswith("nginx"))]
        for connections in CONNECTIONS:
            best: dict[str, Load] = {}
            for _ in range(rounds):
                for server in able:
                    sys.stderr.write(f"serve: {what}, {connections}: {server.name}\n")
                    got = server.load(path, connections, seconds, script)
                    best[server.name] = max(best.get(server.name, got), got)
            lines += [f"| {what} | {connections} | {name} | {load.row()} |"
                      for name, load in best.items()]
    return lines


def cold(found: list[Kind], rounds: int) -> list[str]:
    """Milliseconds from the start of a process to its first answer."""
    lines = ["| Server | first answer, ms | with a cache |", "| --- | --- | --- |"]
    for kind in found:
        took: dict[bool, float] = {}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as cache:
                for again in (False, True):
                    server = Server(kind.name, kind.command, XDG_CACHE_HOME=cache)
                    if not again:
                        server.settle()
                    server.stop()
                    took[again] = min(took.get(again, server.first), server.first)
        lines.append(f"| {kind.name} | {took[False] * 1e3:.0f} | {took[True] * 1e3:.0f} |")
    return lines


def memory(found: list[Kind], connections: int, instances: int) -> list[str]:
    """Memory of a fresh server, of connections that are kept open, and of requests that wait."""
    lines = ["| Server | MiB | KiB a connection | answered | KiB a waiting request | answered |",
             "| --- | --- | --- | --- | --- | --- |"]
    for kind in found:
        server = Server(kind.name, kind.command)
        try:
            server.settle()
            fresh = resident_mib(server.process.pid)
            idle, answered = server.hold(connections, None)
            row = f"| {kind.name} | {fresh:.0f} | {idle:.1f} | {answered} of {connections} |"
            if kind.guest in ("0.2", "0.3"):
                live, waited = server.hold(instances, "/wait")
                row += f" {live:.1f} | {waited} of {instances} |"
            else:
                row += " | |"
            lines.append(row)
        except (OSError, ServerError) as error:
            lines.append(f"| {kind.name} | | {error} | | | |")
        finally:
            server.stop()
    return lines


def serving(paths: dict[str, str], wafer: str | None, component: pathlib.Path | None,
            folder: pathlib.Path, rounds: int, quick: bool) -> str:
    """All tables, of the guests of bench/programs/serve, or of a component of one's own that
    answers 200 at `/`."""
    if not wafer or not shutil.which("wrk"):
        return "serve needs a build of wafer, and wrk"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    folder = folder.resolve() / "serve"
    built = {component.name: component.resolve()} if component else guests(folder)
    wasmtime = paths.get("wasmtime") or shutil.which("wasmtime")
    with tempfile.TemporaryDirectory() as scratch:
        pathlib.Path(scratch).chmod(0o755)  # nginx's worker is another user
        here = pathlib.Path(scratch)
        nginx = shutil.which("nginx") or pathlib.Path("/usr/sbin/nginx").exists()
        found = kinds(wafer, wasmtime, here if nginx and not component else None, built)
        lines = []
        servers = []
        try:
            for kind in list(found):
                try:
                    server = Server(kind.name, kind.command)
                    servers.append(server)
                    if not component:
                        check(server)
                    server.load("/", 8, 1)  # code gets hot
                except ServerError as error:
                    sys.stderr.write(f"serve: {error}\n")
                    found.remove(kind)
                    servers = [s for s in servers if s.name != kind.name or s.stop()]
            answers = [("hello", "/", None)]
            if not component:
                script = here / "post.lua"
                script.write_text(POST)
                answers += [("JSON", "/json", str(script)), ("1 MiB in pieces", "/stream", None)]
            lines += throughput(servers, answers, rounds, 1 if quick else 5)
        finally:
            for server in servers:
                server.stop()
        if not component:
            lines += ["", *cold(found, 1 if quick else rounds), "",
                      *memory(found, 1000 if quick else 10000, 100 if quick else 1000)]
    return "\n".join(lines)

