"""`wafer serve` and clients of HTTP/2 that mean harm: floods of frames, streams that are begun and
given up, clients that do not read or do not go on. Others are served meanwhile; memory, descriptors
and what guests are at is as before afterwards.

usage: serve_http2_hostile_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import http.client
import os
import pathlib
import re
import select
import socket
import ssl
import struct
import sys
import time

from adapters import adapters
from checks import FAILURES, check, finish
from fetch_test import certificates
from p2_test import Guests
from serve_http2_test import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, PREFACE, RST, SETTINGS,
                              WINDOW, Client, ended, fields, frame, get)
from serve_test import Server

PRIORITY = 2
BEGIN = PREFACE + frame(SETTINGS, 0, 0)
NO_WINDOW = PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
MIB = 1 << 20
# What a client may cost while it is there, and what may be left of it.
MOST_MEMORY = 24 * MIB
# A client that floods is let go of before it has sent as much.
FLOOD = 24 * MIB


def resident(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def processor_time(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text()
    numbers = text.rsplit(")", 1)[1].split()
    return (int(numbers[11]) + int(numbers[12])) / 100


class Target:
    """A server, and what it tells of itself."""

    def __init__(self, wafer, component, *options, context=None):
        self.server = Server(wafer, component, "--admin-addr", "127.0.0.1:0", "--body-timeout", "1s",
                             "--header-timeout", "1s", "--timeout", "3s", "--max-memory", "64M",
                             *options, threads=1)
        self.context = context
        end = time.monotonic() + 5
        while not self.server.errors and time.monotonic() < end:
            time.sleep(0.01)
        self.admin = int(self.server.errors[0].rsplit(":", 1)[1].split("/")[0])

    def metric(self, name):
        c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        c.request("GET", "/metrics")
        text = c.getresponse().read().decode()
        c.close()
        return int(re.search(rf"^{name} (\d+)", text, re.M)[1])

    def connect(self, preface=BEGIN):
        client = Client(self.server.port, b"")
        if self.context:
            client.socket = self.context.wrap_socket(client.socket, server_hostname="localhost")
            check("h2 by ALPN", client.socket.selected_alpn_protocol(), "h2")
        client.send(preface)
        return client

    def served(self, what):
        """Somebody else's request, in time."""
        start = time.monotonic()
        c = self.connect()
        c.send(frame(HEADERS, 5, 1, get()))
        got = c.frames(ended(1))
        c.socket.close()
        check(f"others, {what}", ([f[3] for f in got if f and f[0] == DATA and f[3]],
                                  time.monotonic() - start < 3), ([b"hello\n"], True))

    def left(self, descriptors):
        """What is left of clients that are gone, in time: requests, and descriptors too many."""
        end = time.monotonic() + 6
        while True:
            left = (self.metric("wafer_requests_active"),
                    max(0, self.server.descriptors() - descriptors))
            if left == (0, 0) or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def check_memory(self, what, before):
        # With sanitizers, what was freed is kept.
        if os.environ.get("WAFER_SANITIZE"):
            return
        grown = resident(self.server) - before
        check(f"{what}: memory {grown // MIB} MiB", grown < MOST_MEMORY, True)

    def attack(self, what, how, clients=1, processor=10):
        """`how` is done by each client, with the check of others in between."""
        self.served("before")
        before = resident(self.server), self.server.descriptors(), processor_time(self.server)
        connected = [self.connect() for _ in range(clients)]
        for c in connected:
            how(c)
        self.served(what)
        self.check_memory(what, before[0])
        for c in connected:
            c.socket.close()
        check(f"{what}: requests and descriptors left", self.left(before[1]), (0, 0))
        self.check_memory(f"{what}, after it", before[0])
        took = processor_time(self.server) - before[2]
        check(f"{what}: {took} s of processor", took < processor, True)


def push(client, data, read=True, wait=3):
    """Sends all of it, and takes what comes if `read`. How much went out until the connection ended;
    None if it did not end: by then all was sent, or nothing more was taken for `wait` seconds."""
    s, sent = client.socket, 0
    s.setblocking(False)
    view = memoryview(data)
    moved = time.monotonic()
    try:
        while time.monotonic() - moved < wait:
            writable = [s] if sent < len(view) else []
            ready = select.select([s] if read else [], writable, [], 0.2)
            try:
                if ready[0]:
                    if not s.recv(1 << 18):
                        return sent
                if ready[1]:
                    sent += s.send(view[sent:sent + (1 << 18)])
                    moved = time.monotonic()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
        return None
    except OSError:
        return sent
    finally:
        s.settimeout(10)


def ends(what, data):
    """An attack that ends the connection before all of it was sent, or soon after."""
    def how(client):
        if push(client, data) is None:
            FAILURES.append(f"{what}: goes on")
    return how


def many(frame_of, streams):
    return b"".join(frame_of(i) for i in range(1, 2 * streams, 2))


def repeated(piece, size=FLOOD):
    return piece * (size // len(piece))


def flood_attacks():
    sleep, hello = get("/sleep"), get()
    cancel = struct.pack(">I", 8)
    # Streams that are begun and reset at once, by the client or for what the client does.
    yield "reset at once", ends("reset at once", many(
        lambda i: frame(HEADERS, 5, i, sleep) + frame(RST, 0, i, cancel), 20000))
    yield "window opened by nothing", ends("window opened by nothing", many(
        lambda i: frame(HEADERS, 5, i, sleep) + frame(WINDOW, 0, i, bytes(4)), 20000))
    yield "data after the end", ends("data after the end", many(
        lambda i: frame(HEADERS, 5, i, sleep) + frame(DATA, 0, i, b"x"), 20000))
    upper = hello + fields(("X-Upper", "1"))
    yield "malformed", ends("malformed", many(lambda i: frame(HEADERS, 5, i, upper), 20000))
    for name, piece in (
            ("pings", frame(PING, 0, 0, bytes(8))),
            ("answers to no pings", frame(PING, 1, 0, bytes(8))),
            ("settings", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 16))),
            ("unknown frames", frame(0x42, 0, 0, bytes(100))),
            ("priorities", frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1))),
            ("windows", frame(WINDOW, 0, 0, struct.pack(">I", 1)))):
        yield name, ends(name, repeated(piece))
    yield "empty data", ends("empty data", frame(HEADERS, 4, 1, get("/sleep", "POST")) +
                             repeated(frame(DATA, 0, 1)))
    yield "padding", ends("padding", frame(HEADERS, 4, 1, get("/sleep", "POST")) +
                          repeated(frame(DATA, 8, 1, b"\xff" + bytes(255)), 4 * FLOOD))
    yield "continuations", ends("continuations", frame(HEADERS, 1, 1, hello) +
                                repeated(frame(CONTINUATION, 0, 1)))


def unread_attacks():
    """Clients that send and do not read."""
    sleep, hello = get("/sleep"), get()

    def unread(data):
        return lambda client: push(client, data, read=False, wait=1.5)
    yield "too many, unread", unread(many(lambda i: frame(HEADERS, 5, i, sleep), 300000))
    yield "pings, unread", unread(repeated(frame(PING, 0, 0, bytes(8))))
    yield "settings, unread", unread(repeated(frame(SETTINGS, 0, 0)))
    # Malformed ones are answered with resets that nobody takes.
    upper = hello + fields(("X-Upper", "1"))
    yield "malformed, unread", unread(many(lambda i: frame(HEADERS, 5, i, upper), 200000))


def bomb(client):
    """One large field in the table, and thousands that are it again."""
    name = fields(("x", "y" * 3900))
    entry = b"\x40" + name[1:]  # with indexing
    client.send(frame(HEADERS, 1, 1, get() + entry))
    for i in range(4):
        client.send(frame(CONTINUATION, 4 if i == 3 else 0, 1, b"\xbe" * 16000))
    got = client.frames(ended(1), wait=5)
    check("bomb", [f[3] for f in got if f and f[0] == DATA and f[3]], [b"header too large"])


def over_time(target):
    """What is not taken, or does not go on, has its time, whatever else is sent meanwhile."""
    def until_over(client, more, over, wait=5):
        end = time.monotonic() + wait
        while time.monotonic() < end:
            client.send(more)
            if any(f is None or over(f) for f in client.frames(over, wait=0.2)):
                return True
        return False
    # Whole answers that nobody takes, and a ping now and then.
    for path in "/", "/big":
        c = target.connect(NO_WINDOW)
        c.send(frame(HEADERS, 5, 1, get(path)))
        check(f"no window for {path}", until_over(
            c, frame(PING, 0, 0, bytes(8)), lambda f: f[0] == RST and f[2] == 1), True)
        c.send(frame(WINDOW, 0, 0, struct.pack(">I", 1000)) + frame(SETTINGS, 0, 0, struct.pack(
            ">HI", 4, 1000)) + frame(HEADERS, 5, 3, get()))
        got = c.frames(ended(3), wait=3)
        check(f"with a window again, after {path}",
              [f[3] for f in got if f and f[0] == DATA and f[3]], [b"hello\n"])
    # A header in small pieces.
    c = target.connect()
    c.send(frame(HEADERS, 1, 1, get()))
    pieces = iter(frame(CONTINUATION, 0, 1, fields(("x", "y" * 1000))))
    end, over = time.monotonic() + 5, False
    while time.monotonic() < end and not over:
        c.send(bytes([next(pieces)]))
        over = any(f is None or f[0] == GOAWAY for f in c.frames(wait=0.2))
    check("slow header", over, True)
    # A preface that does not come.
    for begun in PREFACE[:10], PREFACE:
        c = target.connect(begun)
        check(f"preface {begun}", None in c.frames(wait=4), True)
    # Slow readers of what is much lose their connection as well.
    c = target.connect(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 30)) +
                       frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30)))
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for i in range(1, 41, 2):
        c.send(frame(HEADERS, 5, i, get("/big")))
    time.sleep(0.3)
    check("requests of whom does not read", target.metric("wafer_requests_active"), 20)
    end = time.monotonic() + 8
    while target.metric("wafer_requests_active") and time.monotonic() < end:
        c.send(frame(PING, 0, 0, bytes(8)))
        time.sleep(0.2)
    check("requests that nobody reads", target.metric("wafer_requests_active"), 0)
    target.served("over time")


def refused(target):
    """Requests that others might read in another way, and frames that are none."""
    def ends_with(what, *sent, stream=1):
        c = target.connect()
        c.send(b"".join(sent))
        got = c.frames(lambda f: f[0] == GOAWAY or f[0] == RST and f[2] == stream, wait=3)
        good = got and (got[-1] is None or got[-1][0] in (RST, GOAWAY))
        if not good or any(f and f[0] == DATA and f[3] == b"hello\n" for f in got):
            FAILURES.append(f"not refused: {what}: {got}")
    good = get()
    for what, block in (
            ("pseudo field after others", fields(("x", "y"), (":method", "GET"), (":path", "/"),
                                                 (":scheme", "http"), (":authority", "a"))),
            ("unknown pseudo field", good + fields((":protocol2", "x"))),
            ("status", good + fields((":status", "200"))),
            ("empty path", get("")),
            ("path without a slash", get("x")),
            ("te", good + fields(("te", "gzip"))),
            ("keep-alive", good + fields(("keep-alive", "1"))),
            ("proxy-connection", good + fields(("proxy-connection", "x"))),
            ("upgrade", good + fields(("upgrade", "h2c"))),
            ("two lengths", good + fields(("content-length", "1"), ("content-length", "2"))),
            ("a length that is none", good + fields(("content-length", "-1"))),
            ("a zero", good + fields(("x", "a\0b"))),
            ("name with a colon", good + fields(("a:b", "c"))),
            ("name with a space", good + fields(("a b", "c"))),
            ("line feed in a path", get("/\nx: y"))):
        ends_with(what, frame(HEADERS, 5, 1, block))
    post = get("/echo", "POST")
    ends_with("too much", frame(HEADERS, 4, 1, post + fields(("content-length", "3"))),
              frame(DATA, 0, 1, b"four"))
    ends_with("too little", frame(HEADERS, 4, 1, post + fields(("content-length", "3"))),
              frame(DATA, 1, 1, b"so"))
    ends_with("pseudo field in trailers", frame(HEADERS, 4, 1, post),
              frame(HEADERS, 5, 1, fields((":path", "/"))))
    ends_with("trailers that do not end", frame(HEADERS, 4, 1, post),
              frame(HEADERS, 4, 1, fields(("x", "y"))))
    ends_with("data after the end", frame(HEADERS, 5, 1, get("/sleep")), frame(DATA, 1, 1, b"x"))
    ends_with("window beyond", frame(HEADERS, 5, 1, get("/sleep")),
              *[frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff")] * 2)
    ends_with("window of all beyond", *[frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff")] * 2)
    ends_with("no window", frame(WINDOW, 0, 0, bytes(4)))
    ends_with("a window too large", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)))
    ends_with("a frame size too small", frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 1)))
    ends_with("half a setting", frame(SETTINGS, 0, 0, b"123"))
    ends_with("ping of 7 bytes", frame(PING, 0, 0, bytes(7)))
    ends_with("reset of nothing", frame(RST, 0, 5, bytes(4)))
    ends_with("padding beyond", frame(HEADERS, 0xd, 1, b"\xff" + good))
    # A client that will go is answered what it has asked for.
    c = target.connect()
    c.send(frame(HEADERS, 5, 1, get("/sleep")) + frame(GOAWAY, 0, 0, bytes(8)))
    got = c.frames(wait=3)
    check("goaway", ([f[3] for f in got if f and f[0] == DATA and f[3]], got[-1]),
          ([b"slept\n"], None))
    target.served("frames that are none")


def handshakes(target):
    """TLS that is begun and not gone on with."""
    before = target.server.descriptors()
    begun = []
    for piece in b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20):
        for _ in range(30):
            s = socket.create_connection(("127.0.0.1", target.server.port), timeout=5)
            s.sendall(piece)
            begun.append(s)
    target.served("half a handshake")
    end = time.monotonic() + 5
    while target.server.descriptors() > before and time.monotonic() < end:
        time.sleep(0.1)
    check("handshakes that were let go of", target.server.descriptors() <= before, True)
    for s in begun:
        s.close()


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    component = Guests(wafer, scratch, clang.split("|"), scratch,
                       adapters(scratch, *sys.argv[4:5])).component("http")
    folder = certificates(scratch)
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.set_alpn_protocols(["h2"])

    target = Target(wafer, component)
    over_time(target)
    refused(target)
    for what, how in flood_attacks():
        target.attack(what, how)
    for what, how in unread_attacks():
        target.attack(what, how)
    target.attack("bomb", bomb, clients=5)
    check("exit code", target.server.stop()[0], 0)

    target = Target(wafer, component, "--tls-cert", folder / "good.pem", "--tls-key",
                    folder / "good.key", context=context)
    over_time(target)
    handshakes(target)
    chosen = ("reset at once", "window opened by nothing", "pings", "too many, unread")
    for what, how in [*flood_attacks(), *unread_attacks()]:
        if what in chosen:
            target.attack(f"{what}, TLS", how)
    check("exit code", target.server.stop()[0], 0)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
