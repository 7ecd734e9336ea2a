"""`wafer serve` with a handler of HTTP requests in C: requests good and bad, and guests that fail.

usage: serve_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import atexit
import http.client
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from adapters import adapters
from checks import FAILURES, check, finish
from p2_test import Guests


class Server:
    def __init__(self, wafer, component, *options, threads=2):
        self.process = subprocess.Popen(
            [wafer, "serve", "--addr", "127.0.0.1:0", "--threads", str(threads), *options,
             component],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if "://127.0.0.1:" not in line:
            raise RuntimeError(line + self.process.stderr.read())
        self.port = int(line.rsplit(":", 1)[1].strip().strip("/"))
        self.errors, self.log = [], []
        self.readers = [
            threading.Thread(target=into.extend, args=(stream,), daemon=True) for into, stream in
            ((self.errors, self.process.stderr), (self.log, self.process.stdout))]
        atexit.register(self.process.kill)
        for reader in self.readers:
            reader.start()

    def request(self, method, path, body=None, headers=None, **more):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers or {}, **more)
        response = connection.getresponse()
        try:
            data = response.read()
        except (http.client.IncompleteRead, ConnectionError):
            data = None
        connection.close()
        return response.status, data

    def raw(self, data, wait=5):
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait) as s:
            s.sendall(data)
            out = b""
            try:
                while piece := s.recv(65536):
                    out += piece
            except (TimeoutError, ConnectionError):
                pass
            return out

    def descriptors(self):
        return len(list(pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        for reader in self.readers:
            reader.join()
        return code, "".join(self.log)


def good(server):
    check("hello", server.request("GET", "/"), (200, b"hello\n"))
    check("status", server.request("GET", "/status/418"), (418, b"as you wish\n"))
    check("head", server.request("HEAD", "/"), (200, b""))
    # What goes out without a body may tell of one (RFC 9110, 8.6).
    for method, path in ("HEAD", "/told/200"), ("HEAD", "/told/404"), ("GET", "/told/304"):
        check(f"{method} {path}", server.request(method, path), (int(path[6:]), b""))
    check("HEAD, finished early", server.request("HEAD", "/early"), (200, b""))
    check("GET, finished early", server.request("GET", "/early"), (500, b"refused\n"))
    check("told of a body", server.raw(b"GET /told/201 HTTP/1.1\r\nHost: a\r\n\r\n"), b"")
    check("none", server.request("GET", "/nowhere")[0], 404)
    status, text = server.request("PATCH", "/describe", headers={"X-One": "1", "x-two": "2"})
    lines = text.decode().splitlines()
    check("describe", (status, lines[0], lines[2]), (200, "method 8 ", "immutable 3"))
    check("headers", [h for h in lines if h.lower().startswith("x-")], ["X-One=1", "x-two=2"])
    check("fields", lines[-1], "syntax 1 value 1 forbidden 2 good 0")
    check("authority", lines[1], f"authority 127.0.0.1:{server.port}")
    absolute = server.raw(b"GET http://example.org/describe HTTP/1.1\r\nHost: x\r\n"
                          b"Connection: close\r\n\r\n")
    check("absolute target", b"authority example.org" in absolute, True)
    big = bytes(range(256)) * 12000
    check("echo", server.request("POST", "/echo", big), (200, big))
    pieces = [big[i:i + 100000] for i in range(0, len(big), 100000)]
    check("echo in chunks", server.request("POST", "/echo", iter(pieces), encode_chunked=True,
                                           headers={"Transfer-Encoding": "chunked"}), (200, big))
    check("big", server.request("GET", "/big"), (200, b"x" * (64 * 65536)))
    trailers = server.raw(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                          b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n")
    check("trailers", trailers.split(b"\r\n\r\n", 1)[1],
          b"5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n")
    waiting = server.raw(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close"
                         b"\r\nExpect: 100-continue\r\n\r\nok")
    check("100-continue", waiting.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), True)
    two = server.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2 +
                     b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("pipelined", two.count(b"hello\n"), 3)
    many = server.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000 +
                      b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("pipelined, thousands", many.count(b"hello\n"), 3001)
    old = server.raw(b"GET / HTTP/1.0\r\n\r\n")
    check("HTTP/1.0", (old.startswith(b"HTTP/1.1 200"), old.endswith(b"hello\n")), (True, True))
    # A body that nobody reads does not disturb the next request.
    unread = server.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + b"y" * 1000 +
                        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("unread body", unread.count(b"200 OK"), 2)


# What is refused, since others may read it in another way.
BAD = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/2.5\r\nHost: a\r\n\r\n",
    b"GET /\r\n\r\n",
    b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nBad\x00Name: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: a\n\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def bad(server):
    for request in BAD:
        answer = server.raw(request)
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0
        if not 400 <= status < 600 or answer.count(b"HTTP/1.1 ") != 1:
            FAILURES.append(f"not refused: {request[:80]!r}: {answer[:80]!r}")
    # A chunk that is none ends the connection.
    answer = server.raw(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    check("bad chunk", b"0\r\n\r\n" in answer, False)
    # Trailers without an end do too.
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        try:
            s.sendall(head)
            for _ in range(20000):  # more than sockets hold
                s.sendall(b"X: " + b"y" * 1000 + b"\r\n")
            FAILURES.append("trailers without an end")
        except ConnectionError:
            pass


def failing(server):
    for path, status in {"/status/101": 500, "/status/100": 500, "/status/103": 500, "/trap": 500, "/none": 500, "/error": 500, "/spin": 504,
                         "/forever": 504, "/grow": 200}.items():
        check(path, server.request("GET", path)[0], status)
    # What breaks off in the middle does not look whole.
    check("/cut", server.request("GET", "/cut")[1], None)
    check("/short", server.raw(b"GET /short HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
          .count(b"x") < 100, True)
    # Clients that go away: before, in the middle of a request and of a response.
    for data in (b"", b"GET / HT", b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxy",
                 b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(data)


def many(server):
    """Requests side by side: good ones are not harmed by bad ones."""
    results = []

    def client(path, expected):
        for _ in range(20):
            results.append(server.request("GET", path)[0] == expected)

    clients = [threading.Thread(target=client, args=case) for case in
               [("/", 200), ("/trap", 500), ("/sleep", 200), ("/none", 500)] * 4]
    start = time.monotonic()
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    check("side by side", (len(results), all(results)), (320, True))
    # 80 sleeps of 300 ms each, 4 at a time; one after the other they would take 24 s.
    check("sleeps at once", time.monotonic() - start < 20, True)


def fresh(server):
    """Each request has an instance in which nothing has happened."""
    first = server.request("GET", "/state")
    check("state", (first[0], first[1][:16]), (200, b"count 7 last 0 p"))
    for path in ["/state"] * 20 + ["/trap", "/state", "/grow", "/state", "/none", "/state", "/cut",
                                   "/state", "/sleep", "/state", "/big", "/state"]:
        got = server.request("GET", path)
        if path == "/state":
            check("state again", got, first)


def written_over(wafer, scratch, component):
    """The served file is written over, and then loaded again: as a component and as machine code."""
    served, other = scratch / "over", scratch / "over.other"
    text = (OTHER.replace("NAME", "handle").replace("INTERFACE", "wasi:http/handler@0.3.0") + "\n" +
            ";;" * (1 << 20))
    for code in False, True:
        if code:
            subprocess.run([wafer, "compile", "--interruptible", component, "-o", served], check=True)
        else:
            served.write_bytes(component.read_bytes())
        good = served.read_bytes()
        server = Server(wafer, served)
        for data in good[:100], b"", bytes(len(good)), text.encode():
            served.write_bytes(data)
            # Parts of it that nothing has needed yet.
            for path, expected in (("/", 200), ("/describe", 200), ("/trap", 500), ("/big", 200)):
                check(f"{path} after {data[:10]}, {code}", server.request("GET", path)[0], expected)
            known = len(server.errors)
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while len(server.errors) == known and time.monotonic() < deadline:
                time.sleep(0.02)
            check("after what is none", server.request("GET", "/"), (200, b"hello\n"))
        served.write_bytes(good)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while not any("loaded again" in e for e in server.errors) and time.monotonic() < deadline:
            time.sleep(0.02)
        check("loaded again", any("loaded again" in e for e in server.errors), True)
        check("after loading what was written", server.request("GET", "/"), (200, b"hello\n"))
        check("exit code", server.stop()[0], 0)


def too_many(wafer, component):
    """Beyond a number of requests at once, over all connections and threads, others are told to come
    again, and the connection stays."""
    server = Server(wafer, component, "--max-requests", "3", "--admin-addr", "127.0.0.1:0",
                    "--access-log", "json")
    while not server.errors:
        time.sleep(0.01)
    metrics = server.errors[0].rsplit(":", 1)[1].split("/")[0]
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(3)]
    for s in slow:
        s.sendall(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.1)
    answer = server.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
                        b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("too many", (answer.count(b"HTTP/1.1 503 Service Unavailable\r\n"),
                       answer.lower().count(b"retry-after: 1\r\n"),
                       answer.count(b"too many requests")), (3, 3, 2))
    done = subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-w", "%{http_code}", "-d", "x",
                           f"http://127.0.0.1:{server.port}/"], capture_output=True)
    if done.returncode != 2:  # a curl without HTTP/2
        check("too many, HTTP/2", done.stdout, b"too many requests at once\n503")
    check("not too many", [s.recv(1000)[9:12] for s in slow], [b"200"] * 3)
    # One that has no client any more does not count.
    for s in slow:
        s.sendall(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
    time.sleep(0.1)
    for s in slow:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        s.close()
    time.sleep(0.3)
    check("afterwards", server.request("GET", "/"), (200, b"hello\n"))
    # Whether anybody waits cannot be told of one that only says no more: not for long.
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
        s.sendall(b"GET /forever HTTP/1.1\r\nHost: a\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        start = time.monotonic()
        check("half closed, and nothing comes", s.recv(1000), b"")
        check("half closed, for a while", 4 < time.monotonic() - start < 8, True)
    time.sleep(0.2)
    connection = http.client.HTTPConnection("127.0.0.1", int(metrics), timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    refused = 4 if done.returncode != 2 else 3
    check("metrics of them", [line for line in text.splitlines()
                              if line.startswith(("wafer_requests_active", "wafer_requests_refused"))],
          ["wafer_requests_active 0", f"wafer_requests_refused_total {refused}"])
    code, log = server.stop()
    check("exit code", code, 0)
    check("log of whose clients were gone", log.count('"target":"/forever","status":499,'), 4)


OTHER = """(component
  (core module $m (func (export "f") (result i32) i32.const 7))
  (core instance $i (instantiate $m))
  (func $h (result u32) (canon lift (core func $i "f")))
  (instance $e (export "NAME" (func $h)))
  (export "INTERFACE" (instance $e)))"""


def of_other_types(wafer, scratch, good):
    """Handlers that are none by their types are told when they are loaded, in one line."""
    served = scratch / "served"
    served.write_bytes(good.read_bytes())
    server = Server(wafer, served)
    for at, (interface, name, why) in enumerate((
            ("wasi:http/handler@0.3.0", "handle", "type is func() -> u32"),
            ("wasi:http/incoming-handler@0.2.0", "handle", "type is func() -> u32"),
            ("wasi:http/handler@0.3.0", "handles", "no function `handle`"))):
        text = scratch / "other.wat"
        text.write_text(OTHER.replace("NAME", name).replace("INTERFACE", interface))
        try:
            done = subprocess.run([wafer, "serve", "--addr", "127.0.0.1:0", text],
                                  capture_output=True, text=True, timeout=5)
            check(f"{interface} {name}",
                  (done.returncode, f'"{interface}"' in done.stderr and why in done.stderr,
                   done.stderr.count("\n")), (1, True, 1))
        except subprocess.TimeoutExpired:
            FAILURES.append(f"{interface} {name} is served")
        # A server that loads it goes on with what it has.
        text.rename(served)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while len(server.errors) <= at and time.monotonic() < deadline:
            time.sleep(0.02)
        check(f"{interface} {name}, loaded again", [why in e for e in server.errors[at:]], [True])
        check(f"after {interface} {name}", server.request("GET", "/"), (200, b"hello\n"))
    check("exit code after failed loads", server.stop()[0], 0)


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    component = Guests(wafer, scratch, clang.split("|"), scratch,
                       adapters(scratch, *sys.argv[4:5])).component("http")
    server = Server(wafer, component, "--timeout", "4s", "--max-memory", "64M", "--access-log",
                    "json")
    good(server)
    before = server.descriptors()
    bad(server)
    failing(server)
    many(server)
    fresh(server)
    time.sleep(1.5)
    check("descriptors", server.descriptors() <= before + 2, True)
    server.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    check("after loading it again", server.request("GET", "/"), (200, b"hello\n"))
    # A request under way is answered, though the server is to stop.
    late = []
    slow = threading.Thread(target=lambda: late.append(server.request("GET", "/sleep")))
    slow.start()
    time.sleep(0.15)
    code, log = server.stop()
    slow.join()
    check("exit code", code, 0)
    check("last request", late, [(200, b"slept\n")])
    check("access log", '"method":"PATCH","target":"/describe","status":200' in log, True)
    check("error log", any("/trap: unreachable" in e for e in server.errors), True)
    check("told of a body, error log", [e for e in server.errors if "refused" in e],
          ["/told/201 was refused\n"])
    check("upgrades", any("/status/101: the guest's response has status 101" in e
                          for e in server.errors), True)
    too_many(wafer, component)
    written_over(wafer, scratch, component)
    of_other_types(wafer, scratch, component)
    # What cannot be served is told in one line.
    core = scratch / "http.core.wasm"
    other = scratch / "other.wasm"
    other.write_bytes(b"no WebAssembly at all\0")
    for argument, part in ((core, "is a core module; a component was expected"),
                           (scratch / "none.wasm", "none.wasm"),
                           (other, "other.wasm: is neither a module nor a component")):
        done = subprocess.run([wafer, "serve", "--addr", "127.0.0.1:0", argument],
                              capture_output=True, text=True, timeout=20)
        check(f"{argument}", (done.returncode, part in done.stderr, done.stderr.count("\n")),
              (1, True, 1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run([wafer, "serve", "--addr", f"127.0.0.1:{taken.getsockname()[1]}",
                               component], capture_output=True, text=True, timeout=20)
        check("port in use", (done.returncode, done.stderr.startswith("error: cannot listen")),
              (1, True))
    return finish()


if __name__ == "__main__":
    sys.exit(main())
