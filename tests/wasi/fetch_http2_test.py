"""HTTP requests of a guest in C by HTTP/2: to `wafer serve`, and to servers that do it wrong.

usage: fetch_http2_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request

from adapters import adapters
from checks import FAILURES, check, finish
from fetch_test import Wafer, certificates, fnv, pattern
from p2_test import Guests
from serve_http2_test import (CONTINUATION, DATA, GOAWAY, HEADERS, PREFACE, RST, SETTINGS, fields,
                              frame)
from serve_test import Server

PUSH_PROMISE = 5
OK = fields((":status", "200"))

# What the guest does, and how that ends.
GOOD = [
    ("HEAD https {} /", "200 size=0 []"),
    ("POST https {} /echo text=abc", "200 size=3 [abc]"),
    ("POST https {} /echo text=abc header=content-length:3", "200 size=3 [abc]"),
    ("PUT https {} /echo body=0", "200 size=0 []"),
    ("PATCH https {} /echo text=abc trailer=x-sum:1", "200 size=3 [abc] trailer x-sum:1"),
    ("POST https {} /echo body=60000", f"200 size=60000 hash={fnv(pattern(60000))}"),
    ("POST https {} /echo body=20000 pause=10", f"200 size=20000 hash={fnv(pattern(20000))}"),
    ("GET https {} /big", f"200 size=4194304 hash={fnv(b'x' * 4194304)}"),
    ("GET https {} /big read=1", f"200 size=4194304 hash={fnv(b'x' * 4194304)}"),
    ("HEAD https {} /hints", "200 size=0 []"),
    ("HEAD https {} /sleep", "200 size=0 []"),
    ("GET https {} /big drop", None),
    ("GET https {} /sleep hold=50", "given up"),
    ("GET https {} /sleep first=100", "connection-read-timeout"),
    ("HEAD https {} /trap", "500 size=0 []"),
    ("GET https {} /cut", re.compile(r"200 read=HTTP-response-incomplete size=\d+ .*"
                                     r"trailers=HTTP-response-incomplete")),
    ("POST https {} /echo text=abc header=content-length:5",
     "finish=HTTP-request-body-size HTTP-request-body-size"),
    ("HEAD https {} / header=connection:close", None),
    ("HEAD https {} / header=X-Upper:1", "200 size=0 []"),
]


def own(wafer, component, folder, allow):
    server = Server(wafer.wafer, component, "--tls-cert", folder / "good.pem", "--tls-key",
                    folder / "good.key", "--access-log", "json", "--admin-addr", "127.0.0.1:0",
                    "--timeout", "4s", threads=1)
    end = time.monotonic() + 5
    while not server.errors and time.monotonic() < end:
        time.sleep(0.01)
    metrics = re.search(r"http://\S+", server.errors[0])[0]

    def connections():
        text = urllib.request.urlopen(metrics, timeout=5).read().decode()
        return int(re.search(r"^wafer_connections_total (\d+)", text, re.M)[1])
    at = f"localhost:{server.port}"
    got = wafer.run([spec.format(at) for spec, _ in GOOD], *allow)
    for (spec, expected), line in zip(GOOD, got):
        if isinstance(expected, str):
            check(spec, line, expected)
        elif expected and not expected.fullmatch(line):
            FAILURES.append(f"{spec}: {line}")
    check("connections of them all", connections(), 1)
    # Many at once by one connection: those that sleep for 300 ms do so together.
    start = time.monotonic()
    got = wafer.run([f"HEAD https {at} /sleep together=40",
                     f"POST https {at} /echo body=20000 together=30"], *allow)
    check("together", got[0], " ".join(["200 size=0 []"] * 40))
    check("bodies together", got[1],
          " ".join([f"200 size=20000 hash={fnv(pattern(20000))}"] * 30))
    check("at once", time.monotonic() - start < 8, True)
    # The first of them makes it, and the others wait for that.
    check("connections together", connections(), 2)
    # What nobody has read of responses that are there does not keep others from coming.
    unread = f"POST https {at} /echo body=60000 together=60 unread read=5"
    got = wafer.run([f"HEAD https {at} /"] + [unread] * 4 + [f"GET https {at} /big first=3000"], *allow)
    check("unread", got[1], " ".join(["200 size=0 []"] * 60))
    check("after what was not read", got[5], f"200 size=4194304 hash={fnv(b'x' * 4194304)}")
    code, log = server.stop()
    lines = [json.loads(line) for line in log.splitlines()]
    check("protocols", {line["protocol"] for line in lines}, {"HTTP/2"})
    check("exit code", code, 0)


class Scripted:
    """For each connection the next answer: what is sent once a request's header is there, or a
    function of the connection and the request's stream."""

    def __init__(self, context, answers):
        self.context, self.answers, self.connections = context, answers, 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.at = f"localhost:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            answer = self.answers[min(self.connections, len(self.answers) - 1)]
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection, answer), daemon=True).start()

    def serve(self, connection, answer):
        try:
            with self.context.wrap_socket(connection, server_side=True) as s:
                check("ALPN", s.selected_alpn_protocol(), "h2")
                data = self.exactly(s, len(PREFACE))
                check("preface", data, PREFACE)
                s.sendall(frame(SETTINGS, 0, 0))
                while True:
                    head = self.exactly(s, 9)
                    self.exactly(s, int.from_bytes(head[:3], "big"))
                    stream = struct.unpack(">I", head[5:9])[0]
                    if head[3] == SETTINGS and not head[4] & 1:
                        s.sendall(frame(SETTINGS, 1, 0))
                    if head[3] == HEADERS and answer is not None:
                        if callable(answer):
                            answer(s, stream)
                            return
                        s.sendall(b"".join(a(stream) if callable(a) else a for a in answer))
        except OSError:
            pass

    @staticmethod
    def exactly(s, n):
        data = b""
        while len(data) < n:
            piece = s.recv(n - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data


def at(kind, flags, payload=b""):
    return lambda stream: frame(kind, flags, stream, payload)


def closing(s, stream):
    s.unwrap()


HELLO = [at(HEADERS, 4, OK), at(DATA, 1, b"ok")]
BIG_FIELD = fields((":status", "200"), ("x", "y" * 100000))
GET = "GET https {} /"
POST = "POST https {} / body=20000000 "
# Answers by connection, request, how it ends (any of these), connections that were made.
WRONG = [
    ([HELLO], GET, ["200 size=2 [ok]"], 1),
    # What a server has not looked at is sent again, once, by another connection.
    ([[at(RST, 0, b"\0\0\0\7")], HELLO], GET, ["200 size=2 [ok]"], 2),
    ([[frame(GOAWAY, 0, 0, bytes(8))], HELLO], GET, ["200 size=2 [ok]"], 2),
    ([[at(RST, 0, b"\0\0\0\7")]], GET, ["HTTP-protocol-error", "connection-limit-reached"], 2),
    ([[at(RST, 0, b"\0\0\0\2")], HELLO], GET, ["connection-terminated"], 1),
    ([closing], GET, ["connection-terminated"], 1),
    ([[b"HTTP/1.1 400 Bad Request\r\n\r\n"]], GET, ["HTTP-protocol-error"], 1),
    ([[at(DATA, 1, b"ok")]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, fields((":status", "abc")))]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, fields(("x", "y")))]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, fields((":status", "200"), ("connection", "x")))]], GET,
     ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 4, fields((":status", "101")))]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, b"\xff\xff\xff\xff\xff\xff")]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, OK)]], GET, ["200 size=0 []"], 1),
    ([[at(HEADERS, 4, fields((":status", "103"), ("x-a", "b"))), *HELLO]], GET, ["200 size=2 [ok]"], 1),
    ([[at(HEADERS, 0, BIG_FIELD[:16000]),
       *[at(CONTINUATION, 0, BIG_FIELD[i:i + 16000]) for i in range(16000, 96000, 16000)],
       at(CONTINUATION, 4, BIG_FIELD[96000:])]], GET,
     ["HTTP-response-header-section-size", "HTTP-protocol-error"], 1),
    ([[at(HEADERS, 4, fields((":status", "200"), ("content-length", "5"))), at(DATA, 1, b"ok")]],
     GET, ["200 read=HTTP-protocol-error size=2 [ok] trailers=HTTP-protocol-error"], 1),
    ([[at(HEADERS, 4, OK), at(DATA, 0, b"part"), at(RST, 0, b"\0\0\0\2")]], GET,
     ["200 read=HTTP-response-incomplete size=4 [part] trailers=HTTP-response-incomplete"], 1),
    ([[at(HEADERS, 4, OK), at(DATA, 1, b"ok"), at(DATA, 1, b"more")]], GET,
     ["200 size=2 [ok]"], 1),
    ([[at(HEADERS, 4, OK), at(DATA, 0, b"part"),
       at(HEADERS, 5, fields((":status", "200")))]], GET,
     ["200 read=HTTP-protocol-error size=4 [part] trailers=HTTP-protocol-error"], 1),
    ([[at(HEADERS, 4, OK), at(DATA, 0, b"part"), at(HEADERS, 5, fields(("x-sum", "4")))]], GET,
     ["200 size=4 [part] trailer x-sum:4"], 1),
    ([[at(PUSH_PROMISE, 4, b"\0\0\0\2" + OK)]], GET, ["HTTP-protocol-error"], 1),
    ([[at(HEADERS, 5, fields((":status", "413"))), at(RST, 0, bytes(4))]], POST,
     ["413 size=0 []", "write-ended 413 size=0 []"], 1),
    ([None], GET + " first=300", ["connection-read-timeout"], 1),
    ([[at(HEADERS, 4, OK), at(DATA, 0, b"part")]], GET + " between=300",
     ["200 read=connection-read-timeout size=4 [part] trailers=connection-read-timeout"], 1),
    ([None], POST + "between=300",
     ["write-ended write=connection-write-timeout connection-write-timeout"], 1),
]


SLOW_NAMES = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>
typedef int Get(const char*, const char*, const struct addrinfo*, struct addrinfo**);
int getaddrinfo(const char* name, const char* service, const struct addrinfo* hints,
                struct addrinfo** found) {
  usleep(1500000);
  return ((Get*)dlsym(RTLD_NEXT, "getaddrinfo"))(name, service, hints, found);
}
"""


class Single(Scripted):
    """Speaks HTTP/1.1 only, and takes its time to begin; counts what comes by each connection."""

    def serve(self, connection, answer):
        time.sleep(0.1)
        try:
            with self.context.wrap_socket(connection, server_side=True) as s:
                while True:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += self.exactly(s, 1)
                    s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except OSError:
            pass


class Mute(Scripted):
    """Takes connections, and keeps them without a word."""

    def serve(self, connection, answer):
        connection.recv(1 << 20)
        time.sleep(5)


def together(wafer, folder, allow):
    """Requests that begin at once share what one of them finds out about the way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    single = Single(context, [None])
    got = wafer.run([f"GET https {single.at} / together=10"] * 2, *allow)
    check("by HTTP/1.1", got, [" ".join(["200 size=2 [ok]"] * 10)] * 2)
    check("a connection for each, kept", single.connections, 10)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nobody = f"localhost:{unused.getsockname()[1]}"
    got = wafer.run([f"GET https {nobody} / together=10"], *allow)
    check("nobody there", got, [" ".join(["connection-refused"] * 10)])
    mute = Mute(context, [None])
    start = time.monotonic()
    # By its address: looking up a name may take as long on a busy machine.
    address = mute.at.replace("localhost", "127.0.0.1")
    got = wafer.run([f"GET https {address} / together=10 connect=500"], *allow, "--allow-http",
                    "https://127.0.0.1:*")
    check("no answer", got, [" ".join(["connection-timeout"] * 10)])
    check("no answer, in time", time.monotonic() - start < 4, True)


def slow_names(wafer, folder, allow):
    """Those who wait for a connection that another makes tell what takes so long, too."""
    if os.environ.get("WAFER_SANITIZE") or not shutil.which("cc"):
        return
    library = folder / "slow_names.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"], check=True,
                   input=SLOW_NAMES, text=True)
    got = wafer.run(["GET https localhost:1 / together=10 connect=200"], *allow,
                    env={"LD_PRELOAD": str(library)})
    check("slow names", got, [" ".join(["DNS-timeout"] * 10)])


def wrong(wafer, folder, allow):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    for answers, request, expected, connections in WRONG:
        server = Scripted(context, answers)
        got = wafer.run([request.format(server.at)], *allow)[0]
        if got not in expected or server.connections != connections:
            FAILURES.append(f"{request} {str(answers)[:150]}: {got} by {server.connections}, "
                            f"expected {expected} by {connections}")
    # A connection on which nobody answers, not even that it is there, is not kept.
    silent = Scripted(context, [None, HELLO])
    got = wafer.run([f"GET https {silent.at} / first=300", f"GET https {silent.at} / first=20000",
                     f"GET https {silent.at} /"], *allow)
    check("silent", got, ["connection-read-timeout", "connection-terminated", "200 size=2 [ok]"])
    # More than the window: ends the connection.
    flood = Scripted(context, [[at(HEADERS, 4, OK), *[at(DATA, 0, bytes(16000))] * 80]])
    got = wafer.run([f"GET https {flood.at} / read=300"], *allow)[0]
    check("more than was asked for", "HTTP-protocol-error" in got or "incomplete" in got, True)


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    guests = Guests(wafer, scratch, clang.split("|"), scratch, adapters(scratch, *sys.argv[4:5]))
    folder = certificates(scratch)
    allow = ["--allow-http", "https://localhost:*", "--tls-roots", folder / "ca.pem"]
    runner = Wafer(wafer, guests.component("fetch"))
    own(runner, guests.component("http"), folder, allow)
    together(runner, folder, allow)
    slow_names(runner, folder, allow)
    wrong(runner, folder, allow)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
