"""Services on web frameworks, driven by curl and by a browser.

usage: web_test.py WAFER FRAMEWORK SCRATCH
FRAMEWORK: axum (Rust) or hono (JavaScript). Building takes minutes the first time, so it is done
only where WAFER_BUILD_WEB is set. Without Chromium the browser's part is left out. Exit code 77:
not asked for, or what is needed cannot be had.
"""
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from builds import HERE, built, cargo, command, javascript_tools, skip
from checks import check, finish
from serve_test import Server

SOURCES = HERE / "web"
PAUSE = 0.2  # between events, as the services have it
BIG = os.urandom(3_000_000)


def axum(scratch):
    shutil.copytree(SOURCES, scratch / "web", dirs_exist_ok=True)
    return cargo(scratch / "web/axum", scratch / "target") / "service.wasm"


def hono(scratch):
    scratch = scratch / "hono"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    componentize = javascript_tools(scratch, SOURCES / "hono/package.json")
    bundle = scratch / "service.js"
    built([scratch / "node_modules/.bin/esbuild", SOURCES / "hono/service.js", "--bundle",
           "--format=esm", "--loader:.html=text", f"--outfile={bundle}"],
          env=os.environ | {"NODE_PATH": str(scratch / "node_modules")})
    componentize(bundle, "serve", scratch / "service.wasm")
    return scratch / "service.wasm"


class Curl:
    def __init__(self, port, version):
        self.base, self.words = f"http://127.0.0.1:{port}", ["curl", "-sN", version, "-m", "60"]

    def __call__(self, path, *options, body=None):
        """Status, header and body of an answer."""
        done = subprocess.run([*self.words, "-i", *options, self.base + path], input=body,
                              capture_output=True, timeout=90)
        header, _, rest = done.stdout.partition(b"\r\n\r\n")
        if b" 100 " in header.split(b"\r\n")[0]:  # curl was told to go on
            header, _, rest = rest.partition(b"\r\n\r\n")
        status, *lines = header.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        return int((status.split() + ["0", "0"])[1]), fields, rest

    def json(self, path, *options, body=None):
        """The same, of an answer in JSON."""
        status, _, body = self(path, *options, body=body)
        return status, json.loads(body) if status == 200 else body

    def sum(self, text):
        return self.json("/sum", "-H", "content-type: application/json", "-d", text)

    def started(self, path, *options):
        return subprocess.Popen([*self.words, *options, self.base + path], stdout=subprocess.PIPE)


def requests(curl):
    status, fields, body = curl("/")
    check("page", (status, fields["content-type"], body),
          (200, "text/html; charset=utf-8", (SOURCES / "page.html").read_bytes()))
    status, fields, body = curl("/", "-I")
    check("head of the page", (status, fields["content-length"], body),
          (200, str((SOURCES / "page.html").stat().st_size), b""))
    check("sum", curl.sum('{"values": [1, 2, 39]}'),
          (200, {"values": [1, 2, 39], "sum": 42}))
    check("not JSON", curl.sum('{"val')[0], 400)
    check("the wrong JSON", curl.sum('{"values": ["x"]}')[0], 422)
    check("a parameter", curl.json("/users/7?more=1"), (200, {"id": 7, "name": "user 7"}))
    check("a bad parameter", curl("/users/x")[0] in (400, 404), True)
    check("no such path", curl("/none/of/it")[0], 404)
    status, fields, _ = curl("/sum")
    check("the wrong method", (status, fields.get("allow")), (405, "post"))


def uploads(curl):
    binary = ["-H", "content-type: application/octet-stream", "--data-binary", "@-"]
    check("upload", curl.json("/upload", *binary, body=BIG),
          (200, {"bytes": len(BIG), "sum": sum(BIG)}))
    status, _, body = curl("/echo", *binary, "-H", "expect:", body=BIG)
    check("echo", (status, body == BIG), (200, True))


def echoed(port):
    """What came is on its way back before more is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        got = b""
        for line in b"one\n", b"two\n", b"three\n":
            s.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            while line not in got:
                piece = s.recv(65536)
                if not piece:
                    return check("echo of a line", got, line)
                got += piece
        s.sendall(b"0\r\n\r\n")
        while not got.endswith(b"0\r\n\r\n"):
            piece = s.recv(65536)
            if not piece:
                return check("end of the echo", got, b"a last chunk")
            got += piece


def events(curl):
    """Each comes when the service has it, not when all are there."""
    for seen, first in ((), 1), (("-H", "last-event-id: 2"), 3):
        client = curl.started("/events", *seen)
        times, data = [], []
        for line in client.stdout:
            if line.startswith(b"data:"):
                times.append(time.monotonic())
                data.append(line.split(b":", 1)[1].strip().decode())
        check("events", (data, client.wait(20)), ([f"event {first + i}" for i in range(3)], 0))
        gaps = [b - a for a, b in zip(times, times[1:])]
        check(f"time between events: {gaps}", all(gap > PAUSE / 2 for gap in gaps), True)


def relayed(curl):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status = 200 if self.path == "/here" else 404
            self.send_response(status)
            self.end_headers()
            self.wfile.write(f"at {self.path}".encode())

        def log_message(self, *_):
            pass

    other = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{other.server_port}"
    for path, status in ("/here", 200), ("/gone", 404):
        check("relayed", curl(f"/relay?url={base}{path}")[::2],
              (200, f"{status} at {path}".encode()))
    # It is there, but the service may ask 127.0.0.1 only.
    check("not allowed", curl(f"/relay?url=http://127.0.0.2:{other.server_port}/here")[::2],
          (502, b"nobody answers"))
    other.shutdown()
    other.server_close()
    check("relayed from nobody", curl(f"/relay?url={base}/here")[::2], (502, b"nobody answers"))


def left(server, curl):
    """Clients that go away in the middle of an answer leave nothing."""
    before = server.descriptors()
    clients = [curl.started("/events") for _ in range(8)]
    for client in clients:
        client.stdout.readline()
        client.kill()
        client.communicate()
    deadline = time.monotonic() + 10
    while server.descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.1)
    check("descriptors", server.descriptors() <= before, True)
    check("after that", curl("/users/1")[0], 200)


def browser(server, scratch):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        print("no browser here (Debian's chromium): that part is left out")
        return
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    # Time goes on as it likes while the page waits for nothing, up to this many milliseconds.
    done = command([chromium, "--headless", *sandbox, "--disable-gpu", "--disable-dev-shm-usage",
                    f"--user-data-dir={scratch / 'browser'}", "--virtual-time-budget=20000",
                    "--dump-dom", f"http://127.0.0.1:{server.port}/"])
    page = done.stdout
    check("browser: title", re.findall("<title>(.*)</title>", page), ["Done"])
    check("browser: answers", dict(re.findall(r'<p id="(\w+)">(.*?)</p>', page)),
          {"sum": "42", "refused": "422", "user": "user 7",
           "upload": '{"bytes":300000,"sum":900000}'})
    check("browser: events", re.findall("<li>(.*?)</li>", page),
          [f"{n} event {n}" for n in range(1, 7)])


def main():
    wafer, framework, scratch = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    if not os.environ.get("WAFER_BUILD_WEB"):
        skip("WAFER_BUILD_WEB=1 builds the services, which takes minutes the first time")
    if not shutil.which("curl"):
        skip("no curl here")
    scratch.mkdir(parents=True, exist_ok=True)
    component = {"axum": axum, "hono": hono}[framework](scratch)
    server = Server(wafer, component, "--allow-http", "http://127.0.0.1:*")
    for version in "--http1.1", "--http2-prior-knowledge":
        curl = Curl(server.port, version)
        for part in requests, uploads, events, relayed:
            part(curl)
        left(server, curl)
    echoed(server.port)
    browser(server, scratch)
    check("end of the server", server.stop()[0], 0)
    check("what it said", server.errors, [])
    sys.exit(finish())


if __name__ == "__main__":
    main()
