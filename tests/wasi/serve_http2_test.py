"""`wafer serve` by HTTP/2 and by TLS, as curl and h2load see it; frames that are none; the address
for metrics and health; informational responses.

usage: serve_http2_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter or curl cannot be had.
"""
import http.client
import json
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time

from adapters import adapters
from checks import FAILURES, check, finish
from fetch_test import certificates
from p2_test import Guests
from serve_test import Server


def curl(*args, data=None):
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *map(str, args)], input=data,
                          capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def requests(url, *how, version):
    def get(path, *args, data=None):
        code, out, err = curl(*how, *args, "-w", "\n%{http_code} %{http_version}", url + path,
                              data=data)
        body, _, status = out.rpartition(b"\n")
        if code:
            return code, err
        check(f"{how} {path} version", status.split()[1:], [version])
        return int(status.split()[0]), body

    what = f"{url} {how}"
    check(f"{what} hello", get("/"), (200, b"hello\n"))
    check(f"{what} status", get("/status/418"), (418, b"as you wish\n"))
    check(f"{what} none", get("/nowhere")[0], 404)
    check(f"{what} head", get("/", "-I")[0], 200)
    check(f"{what} big", get("/big"), (200, b"x" * (64 * 65536)))
    big = bytes(range(256)) * 12000
    check(f"{what} echo", get("/echo", "--data-binary", "@-", data=big), (200, big))
    check(f"{what} trap", get("/trap")[0], 500)
    check(f"{what} timeout", get("/spin")[0], 504)
    check(f"{what} cut", get("/cut")[0] in (18, 56, 92), True)
    status, text = get("/describe", "-X", "PATCH", "-H", "X-One: 1", "-H", "x-two: 2")
    lines = text.decode().splitlines()
    check(f"{what} describe", (status, lines[0], lines[1]),
          (200, "method 8 ", "authority " + url.split("/")[2]))


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def fields(*pairs):
    """As literals without a table (RFC 7541, 6.2.2)."""
    out = b""
    for name, value in pairs:
        out += b"\0"
        for text in (name.encode(), value.encode()):
            n = len(text)
            if n < 127:
                out += bytes([n])
            else:
                out += b"\x7f"
                n -= 127
                while n >= 128:
                    out += bytes([n % 128 + 128])
                    n //= 128
                out += bytes([n])
            out += text
    return out


def get(path="/", method="GET", **more):
    return fields((":method", method), (":scheme", "http"), (":path", path), (":authority", "a"),
                  *more.items())


class Client:
    """Sends frames, and collects those that come."""

    def __init__(self, port, preface=PREFACE + frame(SETTINGS, 0, 0)):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.send(preface)
        self.data = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass

    def frames(self, until=lambda f: False, wait=10):
        """Those that come until one for which `until` holds, or the end."""
        out, end = [], time.monotonic() + wait
        self.socket.settimeout(wait)
        while time.monotonic() < end:
            while len(self.data) >= 9 and len(self.data) >= 9 + int.from_bytes(self.data[:3], "big"):
                n = int.from_bytes(self.data[:3], "big")
                f = (self.data[3], self.data[4], struct.unpack(">I", self.data[5:9])[0],
                     self.data[9:9 + n])
                self.data = self.data[9 + n:]
                out.append(f)
                if until(f):
                    return out
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                return out
            except ConnectionError:
                piece = b""
            if not piece:
                return out + [None]
            self.data += piece
        return out


def ended(stream):
    return lambda f: f[2] == stream and (f[0] == RST or f[0] in (DATA, HEADERS) and f[1] & 1)


def alive(server, what):
    check(f"alive after {what}", server.request("GET", "/"), (200, b"hello\n"))


def frames(server):
    c = Client(server.port)
    c.send(frame(HEADERS, 5, 1, get()))
    got = c.frames(ended(1))
    check("a request", [f[3] for f in got if f[0] == DATA and f[3]], [b"hello\n"])
    # Many at once.
    start = time.monotonic()
    for i in range(101, 161, 2):
        c.send(frame(HEADERS, 5, i, get("/sleep")))
    got = []
    while sum(f[1] & 1 for f in got if f[0] == DATA) < 30 and time.monotonic() < start + 5:
        got += c.frames(lambda f: f[0] == DATA and f[1] & 1, wait=3)
    check("at once", ([f[3] for f in got if f[0] == DATA and f[3]], time.monotonic() - start < 3),
          ([b"slept\n"] * 30, True))
    c = Client(server.port)
    # Trailers, both ways.
    c.send(frame(HEADERS, 4, 3, get("/echo", "POST")) + frame(DATA, 0, 3, b"body") +
           frame(HEADERS, 5, 3, fields(("x-sum", "4"))))
    got = [f for f in c.frames(ended(3)) if f[2] == 3]
    check("trailers", [f[0] for f in got if f[0] != DATA or f[3]], [HEADERS, DATA, HEADERS])
    # Requests that end unanswered, for what the client sends on, and because it wants no more: the
    # log tells them apart.
    c.send(frame(HEADERS, 4, 5, get("/forever", "POST") + fields(("content-length", "3"))) +
           frame(HEADERS, 5, 7, get("/forever")))
    time.sleep(0.3)
    c.send(frame(DATA, 0, 5, b"four") + frame(RST, 0, 7, bytes(3) + b"\x08"))
    c.frames(lambda f: f[0] == RST and f[2] == 5, wait=5)
    # A window that is shut: no more comes than fits, until it is opened.
    c = Client(server.port, PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1000)))
    c.send(frame(HEADERS, 5, 1, get("/big")))
    got = c.frames(wait=1)
    check("shut window", sum(len(f[3]) for f in got if f[0] == DATA), 1000)
    c.send(frame(WINDOW, 0, 1, struct.pack(">I", 500)))
    check("opened", sum(len(f[3]) for f in c.frames(wait=1) if f[0] == DATA), 500)
    c.send(frame(RST, 0, 1, struct.pack(">I", 8)))
    c.send(frame(HEADERS, 5, 3, get()))
    check("after a reset", any(f and f[0] == DATA and f[3] == b"hello\n" for f in c.frames(ended(3))),
          True)
    # A body that nobody reads: the client is told, after the answer.
    for size in (0, 1000, 65535):
        c = Client(server.port)
        c.send(frame(HEADERS, 4, 1, get("/", "POST") + fields(("content-length", "3000000"))))
        for at in range(0, size, 16000):
            c.send(frame(DATA, 0, 1, b"x" * min(16000, size - at)))
        got = c.frames(lambda f: f[0] == RST)
        check("unread", [(f[0], f[3]) for f in got if f[0] != WINDOW][-2:],
              [(DATA, b"hello\n"), (RST, b"\0\0\0\0")])
    # What a guest does not read is not asked for.
    c = Client(server.port)
    c.send(frame(HEADERS, 4, 1, get("/sleep", "POST")))
    for _ in range(4):
        c.send(frame(DATA, 0, 1, b"z" * 16000))
    got = c.frames(wait=0.2)
    check("window of a body", [f for f in got if f[0] == WINDOW and f[2] == 1], [])
    # One that came whole and is not read is given back: the window of the connection is 1 MiB.
    c = Client(server.port)
    opened = 0
    for i in range(1, 41, 2):
        body = b"".join(frame(DATA, last, i, b"y" * 15000) for last in (0, 0, 0, 1))
        c.send(frame(HEADERS, 4, i, get("/unread", "POST")) + body)
        got = c.frames(ended(i), wait=3)
        check("not read", [f[3] for f in got if f and f[0] == DATA and f[3]], [b"not read\n"])
        opened += sum(struct.unpack(">I", f[3])[0] for f in got if f and f[0] == WINDOW and f[2] == 0)
    # What it was opened with, and at least half of what was sent since.
    check("window of the connection", opened >= (1 << 20) - 65535 + 20 * 60000 // 2, True)

    # Streams that are begun and given up, many times.
    c = Client(server.port)
    for i in range(1, 1001, 2):
        c.send(frame(HEADERS, 5, i, get("/sleep")) + frame(RST, 0, i, struct.pack(">I", 8)))
    c.frames(wait=0.5)
    alive(server, "resets")
    # More at once than is allowed: refused, not done.
    c = Client(server.port)
    for i in range(1, 601, 2):
        c.send(frame(HEADERS, 5, i, get("/sleep")))
    got = c.frames(lambda f: f[0] == RST, wait=3)
    check("too many streams", any(f and f[0] == RST and f[3] == struct.pack(">I", 7) for f in got),
          True)
    alive(server, "many streams")

    def refused(what, *sent, stream=1, preface=PREFACE + frame(SETTINGS, 0, 0)):
        """A stream or the connection ends, without a guest."""
        c = Client(server.port, preface)
        for data in sent:
            c.send(data)
        got = c.frames(lambda f: f[0] == GOAWAY or f[0] == RST and f[2] == stream, wait=5)
        good = got and (got[-1] is None or got[-1][0] in (RST, GOAWAY))
        if not good or any(f and f[0] == DATA and f[3] == b"hello\n" for f in got):
            FAILURES.append(f"not refused: {what}: {got}")

    def status(what, expected, *sent):
        c = Client(server.port)
        for data in sent:
            c.send(data)
        got = c.frames(ended(1), wait=5)
        check(what, [f[3] for f in got if f and f[0] == DATA and f[3]], [expected])

    refused("no settings", frame(PING, 0, 0, b"12345678"), preface=PREFACE)
    refused("stream 0", frame(HEADERS, 5, 0, get()))
    refused("even stream", frame(HEADERS, 5, 2, get()))
    refused("frame too large", frame(DATA, 0, 1, b"x" * 20000))
    refused("bad table", frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff"))
    refused("no method", frame(HEADERS, 5, 1, fields((":path", "/"), (":scheme", "http"))))
    refused("two paths", frame(HEADERS, 5, 1, get() + fields((":path", "/x"))))
    refused("upper case", frame(HEADERS, 5, 1, get() + fields(("X-Upper", "1"))))
    refused("connection", frame(HEADERS, 5, 1, get() + fields(("connection", "close"))))
    refused("transfer-encoding", frame(HEADERS, 4, 1, get() +
                                       fields(("transfer-encoding", "chunked"))))
    refused("line feed", frame(HEADERS, 5, 1, get() + fields(("x", "a\r\nb: c"))))
    refused("length", frame(HEADERS, 4, 1, get("/echo", "POST") + fields(("content-length", "3"))),
            frame(DATA, 1, 1, b"hello"))
    refused("data before", frame(DATA, 1, 1, b"hello"))
    refused("continuation", frame(HEADERS, 1, 1, get()), frame(DATA, 0, 1, b""))
    refused("endless header", frame(HEADERS, 1, 1, get()),
            *[frame(CONTINUATION, 0, 1, fields(("x", "y" * 16000)))] * 300)
    status("header too large", b"header too large", frame(HEADERS, 1, 1, get()),
           *[frame(CONTINUATION, 0, 1, fields(("x", "y" * 16000)))] * 4,
           frame(CONTINUATION, 4, 1, fields(("x", "y" * 5000))))
    status("two hosts", b"host", frame(HEADERS, 5, 1, get() + fields(("host", "b"))))
    status("tunnel", b"no tunnels", frame(HEADERS, 5, 1, fields((":method", "CONNECT"),
                                                               (":authority", "a:1"))))
    c = Client(server.port, PREFACE[:10])
    time.sleep(0.1)
    c.send(PREFACE[10:] + frame(SETTINGS, 0, 0) + frame(HEADERS, 5, 1, get()))
    check("preface in parts", any(f and f[0] == DATA for f in c.frames(ended(1))), True)
    check("half a preface", server.raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")[:12], b"HTTP/1.1 505")
    alive(server, "frames")


def admin(port, expect_requests, served):
    def get(path, method="GET"):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request(method, path)
        r = c.getresponse()
        return r.status, r.read().decode()

    def instances():
        return int(re.search(r"^wafer_instances_total (\d+)$", get("/metrics")[1], re.M)[1])
    # An instance whose request has waited is begun anew as well, instead of making another.
    before = instances()
    c = http.client.HTTPConnection("127.0.0.1", served, timeout=10)
    for path in ["/sleep"] * 4 + ["/"] * 4:
        c.request("GET", path)
        check(f"{path} again", c.getresponse().read() != b"", True)
    c.close()
    check("instances", before > 0 and instances() - before <= 1, True)
    check("healthz", get("/healthz"), (200, "ok\n"))
    check("readyz", get("/readyz"), (200, "ok\n"))
    check("nothing else", (get("/")[0], get("/metrics", "POST")[0]), (404, 405))
    status, text = get("/metrics")
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    check("metrics", status, 200)
    for name in ("wafer_requests_total", 'wafer_responses_total{class="2xx"}',
                 'wafer_guest_failures_total{reason="failure"}',
                 'wafer_guest_failures_total{reason="timeout"}', "process_cpu_seconds_total"):
        check(name, values.get(name, 0) > 0, True)
    check("requests", values["wafer_requests_total"] >= expect_requests, True)
    check("histogram", values['wafer_request_duration_seconds_bucket{le="+Inf"}'],
          values["wafer_request_duration_seconds_count"])


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    if not shutil.which("curl") or "HTTP2" not in subprocess.run(
            ["curl", "--version"], capture_output=True, text=True).stdout:
        print("skipped: there is no curl with HTTP/2")
        return 77
    component = Guests(wafer, scratch, clang.split("|"), scratch,
                       adapters(scratch, *sys.argv[4:5])).component("http")
    folder = certificates(scratch)
    limits = ["--timeout", "2s", "--max-memory", "64M", "--access-log", "json"]

    server = Server(wafer, component, *limits, "--admin-addr", "127.0.0.1:0")
    deadline = time.monotonic() + 5
    while not server.errors and time.monotonic() < deadline:
        time.sleep(0.02)
    admin_port = int(server.errors[0].rsplit(":", 1)[1].split("/")[0])
    plain = f"http://127.0.0.1:{server.port}"
    requests(plain, "--http2-prior-knowledge", version=b"2")
    requests(plain, "--http1.1", version=b"1.1")
    before = server.descriptors()
    frames(server)
    time.sleep(1)
    check("descriptors", server.descriptors() <= before + 3, True)
    hints = server.raw(b"GET /hints HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("hints", (hints.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK"),
                    hints.endswith(b"after hints\n")), (True, True))
    code, out, _ = curl("--http2-prior-knowledge", "-i", plain + "/hints")
    check("hints by HTTP/2", (code, out.startswith(b"HTTP/2 103"), b"\r\nHTTP/2 200" in out),
          (0, True, True))
    if shutil.which("h2load"):
        done = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "16", plain + "/"],
                              capture_output=True, text=True, timeout=60)
        check("h2load", "2000 succeeded, 0 failed, 0 errored" in done.stdout, True)
    admin(admin_port, 60, server.port)
    # Requests under way are answered at the end, by a connection that is told so.
    c = Client(server.port)
    c.send(frame(HEADERS, 5, 1, get("/sleep")))
    time.sleep(0.15)
    server.process.send_signal(signal.SIGTERM)
    got = c.frames(wait=5)
    check("drained", (any(f and f[0] == GOAWAY for f in got),
                      any(f and f[0] == DATA and f[3] == b"slept\n" for f in got), got[-1]),
          (True, True, None))
    code, log = server.stop()
    check("exit code", code, 0)
    log = [json.loads(line) for line in log.splitlines()]
    check("access log", {"HTTP/1.1", "HTTP/2"} <= {r["protocol"] for r in log}, True)
    check("statuses", {200, 404, 418, 500, 504} <= {r["status"] for r in log}, True)
    check("unanswered", {400, 499} <= {r["status"] for r in log if r["target"] == "/forever"}, True)

    tls = ["--tls-cert", folder / "good.pem", "--tls-key", folder / "good.key"]
    server = Server(wafer, component, *limits, *tls)
    secure = f"https://localhost:{server.port}"
    ca = ("--cacert", folder / "ca.pem")
    requests(secure, *ca, "--http2", version=b"2")
    requests(secure, *ca, "--http1.1", version=b"1.1")
    check("h2 by ALPN", curl(*ca, "-o", "/dev/null", "-w", "%{http_version}", secure)[1], b"2")
    check("plain", server.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")[:4] != b"HTTP", True)
    # Whoever does not go on with the handshake is let go of.
    idle = socket.create_connection(("127.0.0.1", server.port))
    # Another certificate, without a connection being lost.
    kept = http.client.HTTPSConnection("localhost", server.port, timeout=10,
                                       context=ssl.create_default_context(cafile=folder / "ca.pem"))
    kept.request("GET", "/")
    check("before", kept.getresponse().read(), b"hello\n")
    for kind in ("pem", "key"):
        shutil.copy(folder / f"other.{kind}", folder / f"good.{kind}")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    check("another certificate", curl(*ca, "--http2", secure)[0], 60)
    kept.request("GET", "/")
    check("old connection", kept.getresponse().read(), b"hello\n")
    kept.close()
    idle.close()
    check("exit code", server.stop()[0], 0)

    for options, part in (
            (["--tls-cert", folder / "good.pem"], "both"),
            (["--tls-cert", folder / "good.key", "--tls-key", folder / "good.key"], "certificate"),
            (["--tls-cert", folder / "ca.pem", "--tls-key", folder / "other.key"], "key"),
            (["--admin-addr", "nowhere"], "nowhere")):
        done = subprocess.run([wafer, "serve", "--addr", "127.0.0.1:0", *options, component],
                              capture_output=True, text=True, timeout=20)
        check(f"{options}", (done.returncode, part in done.stderr, done.stderr.count("\n")),
              (1, True, 1))
    server = Server(wafer, component, "--no-http2", *limits)
    check("no HTTP/2", curl("--http2-prior-knowledge", f"http://127.0.0.1:{server.port}/")[0] != 0,
          True)
    alive(server, "refusing HTTP/2")
    server.stop()
    return finish()


if __name__ == "__main__":
    sys.exit(main())
