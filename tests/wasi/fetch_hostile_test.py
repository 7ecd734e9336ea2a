"""HTTP requests of a guest in C to servers that mean harm: floods of frames, headers, chunks and
informational responses, answers with two readings, answers that do not go on. Each ends in time and in
its own words, without much memory or processor time.

usage: fetch_hostile_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import contextlib
import os
import pathlib
import re
import ssl
import struct
import subprocess
import sys
import threading
import time

from adapters import adapters
from checks import FAILURES, check, finish
from fetch_http2_test import HELLO, OK, PUSH_PROMISE, Scripted, at
from fetch_test import Server, certificates, chunked, ok, parts
from p2_test import Guests
from serve_http2_hostile_test import FLOOD, MIB, PRIORITY, push, repeated
from serve_http2_test import (CONTINUATION, DATA, GOAWAY, HEADERS, PING, RST, SETTINGS, WINDOW,
                              fields, frame)

# What one answer may cost, in bytes and in seconds of the processor.
MOST_MEMORY = 24 * MIB
MOST_PROCESSOR = 6
ALTSVC = 10


class Push:
    """Sends `first` and then `piece` over and over, and takes what comes if `read`; the connection
    has to end before all is sent, or soon after. Of HTTP/2, they are functions of the stream."""

    def __init__(self, first, piece, size=FLOOD, read=True):
        self.first, self.piece, self.size, self.read, self.goes_on = first, piece, size, read, None

    def __call__(self, connection, *about):
        self.socket = connection
        data = made(self.first, about) + repeated(made(self.piece, about), self.size)
        self.goes_on = push(self, data, read=self.read, wait=4) is None

    def problem(self, most):
        return "goes on" if self.goes_on else None


def made(what, about):
    """Bytes, of the stream if they depend on that."""
    if isinstance(what, list):
        return b"".join(made(w, about) for w in what)
    return what(about[0]) if callable(what) else what


class Drip:
    """Sends a piece every 50 ms until the connection ends; how long that took."""

    def __init__(self, piece, first=b""):
        self.piece, self.first, self.took = piece, first, None

    def __call__(self, connection, *about):
        start = time.monotonic()
        try:
            connection.sendall(made(self.first, about))
            while time.monotonic() - start < 10:
                connection.sendall(made(self.piece, about))
                time.sleep(0.05)
        except OSError:
            self.took = time.monotonic() - start


    def problem(self, most):
        end = time.monotonic() + 2
        while self.took is None and time.monotonic() < end:
            time.sleep(0.02)
        if self.took is None or self.took > most:
            return f"ended after {self.took} s"


class Gone:
    """Begins an answer that does not go on; how long the other side stays."""

    def __init__(self, begin, is_reset=None):
        self.begin, self.is_reset, self.took = begin, is_reset, None

    def __call__(self, connection, *about):
        start = time.monotonic()
        connection.sendall(made(self.begin, about))
        connection.settimeout(12)
        try:
            while piece := connection.recv(65536):
                if self.is_reset and self.is_reset in piece:
                    break
        except TimeoutError:
            return
        except OSError:
            pass
        self.took = time.monotonic() - start

    problem = Drip.problem


class Runner:
    def __init__(self, wafer, component, options):
        self.command = [wafer, "run", *options, component]
        self.idle = None

    def run(self, *specs):
        """Lines of the guest; bytes resident at most, seconds of processor, seconds."""
        start = time.monotonic()
        child = subprocess.Popen([*self.command, *specs], stdout=subprocess.PIPE, text=True)
        limit = threading.Timer(60, child.kill)
        limit.start()
        most = [0]
        threading.Thread(target=self.watch, args=(child, most), daemon=True).start()
        lines = [line.rstrip("\n").partition(" ")[2] for line in child.stdout]
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = status
        limit.cancel()
        if status:
            FAILURES.append(f"{specs}: status {status}")
        return (lines + [""] * (len(specs) - len(lines)), most[0], used.ru_utime + used.ru_stime,
                time.monotonic() - start)

    @staticmethod
    def watch(child, most):
        """What is told of a child that has ended is of whoever began it, too."""
        status = pathlib.Path(f"/proc/{child.pid}/status")
        with contextlib.suppress(OSError):
            while child.returncode is None:
                name = re.search(r"^Name:\s*(\S+)", status.read_text(), re.M)[1]
                peak = re.search(r"^VmHWM:\s*(\d+)", status.read_text(), re.M)
                if name == "wafer" and peak:
                    most[0] = max(most[0], int(peak[1]) * 1024)
                time.sleep(0.02)

    def case(self, what, how, expected, *specs, most=8):
        lines, memory, processor, took = self.run(*specs)
        if not any(lines == [e] if isinstance(e, str) else lines == e for e in expected):
            FAILURES.append(f"{what}: got {str(lines)[:300]}, expected {expected}")
        if problem := how and how.problem(most):
            FAILURES.append(f"{what}: {problem}")
        check(f"{what}: in time ({took} s)", took < most + 4, True)
        # With sanitizers, what was freed is kept.
        if not os.environ.get("WAFER_SANITIZE"):
            check(f"{what}: memory {(memory - self.idle) // MIB} MiB",
                  memory - self.idle < MOST_MEMORY, True)
            check(f"{what}: {processor} s of processor", processor < MOST_PROCESSOR, True)


# ---- HTTP/2

def goaway(last, code=0, more=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + more)


def setting(name, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HI", name, value))


BEGUN = at(HEADERS, 4, OK)
HINT = at(HEADERS, 4, fields((":status", "103"), ("link", "x")))
LATE, WRONG, SIZE = ("connection-read-timeout", "HTTP-protocol-error",
                     "HTTP-response-header-section-size")
ENTRY = b"\x40" + fields(("x", "y" * 3900))[1:]  # with indexing
BOMB = [at(HEADERS, 0, OK + ENTRY), *[at(CONTINUATION, 0, b"\xbe" * 16000)] * 3,
        at(CONTINUATION, 5, b"\xbe" * 16000)]


def incomplete(body, error="HTTP-response-incomplete"):
    return f"200 read={error} size={len(body)} [{body}] trailers={error}"


def broken_off(error=None):
    """A header, and then nothing good."""
    return [incomplete("", e) for e in ([error] if error else [WRONG, "HTTP-response-incomplete"])]


def floods():
    """What, what is sent once and over and over, what the guest may be told."""
    ping = frame(PING, 0, 0, bytes(8))
    field = at(CONTINUATION, 0, fields(("x", "y" * 200)))
    for name, piece in (
            ("pings", ping), ("answers to no pings", frame(PING, 1, 0, bytes(8))),
            ("settings", setting(4, 1 << 16)), ("empty settings", frame(SETTINGS, 0, 0)),
            ("settings of the table", setting(1, 0) + setting(1, 1 << 30)),
            ("unknown frames", frame(0x42, 0, 0, bytes(100))),
            ("priorities", frame(PRIORITY, 0, 1, struct.pack(">IB", 0, 1))),
            ("windows", frame(WINDOW, 0, 0, struct.pack(">I", 1))),
            ("alternatives", frame(ALTSVC, 0, 0, b"\0\1a" + b"h2=\":1\"")),
            ("goaways", goaway((1 << 31) - 1, 0, bytes(100)))):
        yield name, Push(b"", piece), [WRONG]
        yield name + " after a header", Push(BEGUN, piece), broken_off()
    yield "empty data", Push(BEGUN, at(DATA, 0)), broken_off()
    yield "padding", Push(BEGUN, at(DATA, 8, b"\xff" + bytes(255)), 3 * FLOOD), broken_off()
    reset = at(RST, 0, struct.pack(">I", 8))
    yield "data after a reset", Push([BEGUN, reset], at(DATA, 0, bytes(1000))), broken_off()
    yield "resets", Push(b"", reset), ["connection-terminated"]
    yield "continuations", Push(at(HEADERS, 0, OK), at(CONTINUATION, 0)), [WRONG]
    yield "fields", Push(at(HEADERS, 0, OK), field), [SIZE, WRONG]
    yield "informational", Push(b"", HINT), [SIZE]
    yield "trailers", Push([BEGUN, at(HEADERS, 1, fields(("x", "y")))], field), [
        *broken_off(), incomplete("", "HTTP-response-trailer-section-size")]
    yield "promises", Push(b"", at(PUSH_PROMISE, 4, b"\0\0\0\2" + OK)), [WRONG]
    # Nobody takes what is answered.
    for name, piece in ("pings", ping), ("settings", frame(SETTINGS, 0, 0)):
        yield name + ", unread", Push(b"", piece, read=False), [WRONG, "connection-terminated"]


def answers():
    """What, the answer, how it ends, what the request says besides."""
    yield "bomb", BOMB, [SIZE, WRONG], ""
    yield "bomb of trailers", [BEGUN, *[lambda s, b=b: b(s) for b in (
        at(HEADERS, 1, ENTRY), *[at(CONTINUATION, 0, b"\xbe" * 16000)] * 3,
        at(CONTINUATION, 4, b"\xbe" * 16000))]], [
            *broken_off(), incomplete("", "HTTP-response-trailer-section-size")], ""
    yield "a large window", [frame(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000)), *HELLO], [
        "200 size=2 [ok]"], ""
    yield "a window beyond", [frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2], [WRONG], ""
    yield "a window of the stream beyond", [at(WINDOW, 0, b"\x7f\xff\xff\xff")], [
        WRONG, "connection-terminated"], ""
    yield "a window too large", [setting(4, 1 << 31)], [WRONG], ""
    yield "a frame size too small", [setting(5, 1)], [WRONG], ""
    yield "half a setting", [frame(SETTINGS, 0, 0, b"123")], [WRONG], ""
    yield "ping of 7 bytes", [frame(PING, 0, 0, bytes(7))], [WRONG], ""
    yield "window opened by nothing", [at(WINDOW, 0, bytes(4))], [WRONG, "connection-terminated"], ""
    yield "padding beyond", [at(HEADERS, 0xd, b"\xff" + OK)], [WRONG], ""
    yield "a stream of the server's", [frame(HEADERS, 5, 2, OK)], [WRONG], ""
    yield "a stream that is not begun", [frame(HEADERS, 5, 7, OK)], [WRONG], ""
    yield "data of nothing", [frame(DATA, 1, 0, b"x")], [WRONG], ""
    yield "header of nothing", [frame(HEADERS, 5, 0, OK)], [WRONG], ""
    yield "another's continuation", [at(HEADERS, 0, OK), frame(CONTINUATION, 4, 3)], [WRONG], ""
    yield "goaway with a higher stream", [goaway(1), goaway(3)], [WRONG], ""
    yield "goaway, and nothing", [goaway(1)], [LATE], " first=300"
    yield "no streams", [setting(3, 0)], [LATE], " first=300"
    yield "no streams, later", [setting(3, 0), *HELLO], ["200 size=2 [ok]"], ""
    for what, field in (("a line", "a\nb"), ("a return", "a\rb"), ("a zero", "a\0b")):
        yield what + " in a field", [at(HEADERS, 4, fields((":status", "200"), ("x", field)))], [
            WRONG], ""
    for what, *more in (
            ("two statuses", (":status", "204")), ("a request's field", (":path", "/")),
            ("upper case", ("X-Upper", "1")), ("two lengths", ("content-length", "1"),
                                              ("content-length", "2")),
            ("a length that is none", ("content-length", "-1")),
            ("transfer coding", ("transfer-encoding", "chunked")), ("a space", ("a b", "c"))):
        yield what, [at(HEADERS, 5, fields((":status", "200"), *more))], [WRONG], ""
    yield "more than was told", [at(HEADERS, 4, fields((":status", "200"), ("content-length", "1"))),
                                 at(DATA, 1, b"ok")], broken_off(WRONG) + [
        incomplete("ok", WRONG), WRONG], ""
    yield "status in trailers", [BEGUN, at(HEADERS, 5, fields((":status", "200")))], broken_off(
        WRONG), ""
    yield "trailers that do not end", [BEGUN, at(HEADERS, 4, fields(("x", "y")))], broken_off(), ""


# What does not go on in time is not kept by what comes besides: the drip, and how it ends.
def drips():
    ping, first = frame(PING, 0, 0, bytes(8)), " first=500"
    yield "pings", ping, b"", [LATE], first
    yield "hints", at(HEADERS, 4, fields((":status", "103"))), b"", [LATE], first
    # (Some have a limit for the number of them.)
    yield "continuations", at(CONTINUATION, 0, fields(("x", "y"))), at(HEADERS, 0, OK), [LATE, WRONG], \
        first
    yield "pings after a header", ping, BEGUN, [incomplete("", LATE)], " between=500"
    yield "empty data", at(DATA, 0), BEGUN, [incomplete("", LATE)], " between=500"


def http2(wafer, component, folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    context.set_alpn_protocols(["h2"])
    runner = Runner(wafer, component, ["--allow-http", "https://localhost:*", "--tls-roots",
                                       folder / "ca.pem"])

    def get(server, more=""):
        return f"GET https {server.at} /{more}"
    runner.idle = runner.run(get(Scripted(context, [HELLO])))[1]
    for what, how, expected in floods():
        runner.case("HTTP/2, " + what, how, expected, get(Scripted(context, [how]), " first=20000"))
    for what, answer, expected, more in answers():
        runner.case("HTTP/2, " + what, None, expected, get(Scripted(context, [answer]), more))
    for what, piece, first, expected, more in drips():
        how = Drip(piece, first)
        runner.case("HTTP/2, drip of " + what, how, expected, get(Scripted(context, [how]), more))
    # Nobody reads the rest of an answer that does not go on, nor waits for it.
    how = Gone(lambda s: BEGUN(s) + at(DATA, 0, b"part")(s), frame(RST, 0, 1, struct.pack(">I", 8)))
    server = Scripted(context, [how])
    runner.case("HTTP/2, given up", how, [["200 size=4 [part]", "200 size=2 [ok]"]],
                get(server, " drop"), get(Scripted(context, [HELLO, HELLO]), " read=3500"), most=9)


# ---- HTTP/1.1

START = b"HTTP/1.1 200 OK\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"
EVIL = START + b"Content-Length: 4\r\n\r\nevil"
# Lines of a header that nobody reads, or not everybody in the same way; after them, "hello".
REFUSED = [
    b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -5", b"Content-Length: +5",
    b"Content-Length: 0x5", b"Content-Length: 5 5", b"Content-Length:",
    b"Content-Length: 5x", b"Content-Length: 18446744073709551621",
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: \"chunked\"",
    b"X: a\rb", b"X: a\nSet-Cookie: b", b"X: a\0b", b"X : a", b"X",
    b": a", b"X\0: a", b"X\n: a", b"\rX: a",
]
CHUNKS = [b"-5\r\nhello\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n", b" 5\r\nhello\r\n",
          b"g\r\nhello\r\n", b"10000000000000005\r\nhello\r\n", b"5\r\nhelloXX", b"5\nhello\r\n",
          b"5\r\nhello\n", b"\r\nhello\r\n", b"5;a\nb\r\nhello\r\n", b"4\r\nhello\r\n"]
SHORT = [b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
         b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/1.1 -20 OK\r\n\r\n",
         b"HTTP/2 200 OK\r\n\r\n", b"http/1.1 200 OK\r\n\r\n", b"HTTP/1.1200 OK\r\n\r\n",
         b"HTTP/0.9 200 OK\r\n\r\n", b"\0" * 100, b"ICY 200 OK\r\n\r\n"]


def http1(wafer, component):
    runner = Runner(wafer, component, ["--allow-http", "127.0.0.1:*"])

    def one(how, more="", method="GET"):
        server = Server({"/": how, "/good": ok(b"hello"), "/more": ok(b"more")})
        return server, f"{method} http 127.0.0.1:{server.port} /{more}"
    hello = "200 size=5 [hello]"
    runner.idle = runner.run(one(ok(b"hello"))[1])[1]
    trailers = "HTTP-response-trailer-section-size"
    for what, first, piece, expected in (
            ("fields", START, b"X: y\r\n", [SIZE]),
            ("field", START + b"X: ", b"y", [SIZE]),
            ("name", START, b"y", [SIZE, WRONG]),
            ("reason", b"HTTP/1.1 200 ", b"y", [SIZE]),
            ("lines", b"", b"\r\n", [WRONG]),
            ("informational", b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", [SIZE]),
            ("continue", b"", b"HTTP/1.1 100 C\r\n\r\n", [SIZE]),
            ("chunk extension", CHUNKED + b"5;", b"y", broken_off(trailers) + broken_off()),
            ("digits", CHUNKED, b"0", broken_off(trailers) + broken_off()),
            ("trailers", CHUNKED + b"0\r\n", b"X: y\r\n", broken_off(trailers))):
        how = Push(first, piece)
        runner.case("HTTP/1.1, " + what, how, expected, one(how, " first=20000")[1])
    how = Push(CHUNKED, b"1;" + b"y" * 60000 + b"\r\nx\r\n")
    lines = runner.run(one(how, " first=20000")[1])[0]
    check("HTTP/1.1, chunk extensions", ("read=" + WRONG in lines[0], how.goes_on), (True, False))
    for line in REFUSED:
        body = b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in line else b"hello"
        # One that is refused does not get another request, either.
        server, spec = one(START + line + b"\r\n\r\n" + body + EVIL)
        lines = runner.run(spec, f"{spec}good")[0]
        if lines[0].startswith("200") or lines[1] != hello or server.connections != 2:
            FAILURES.append(f"HTTP/1.1, taken: {line!r}: {lines} by {server.connections}")
    for chunk in CHUNKS:
        server, spec = one(CHUNKED + chunk + b"0\r\n\r\n" + EVIL)
        lines = runner.run(spec, f"{spec}good")[0]
        if "read=" not in lines[0] or lines[1] != hello or server.connections != 2:
            FAILURES.append(f"HTTP/1.1, taken: {chunk!r}: {lines} by {server.connections}")
    for line in SHORT:
        lines = runner.run(one(line)[1] + " first=2000")[0]
        check(f"HTTP/1.1, {line[:40]!r}", lines, [WRONG])
    coding = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    check("HTTP/1.0 with a coding", runner.run(one(coding)[1])[0], ["HTTP-response-transfer-coding"])
    # What comes behind an answer is not taken for the next one.
    for what, answer, method, expected in (
            ("behind a body", ok(b"hello") + EVIL, "GET", hello),
            ("behind chunks", chunked(b"hello") + EVIL, "GET", hello),
            ("a body of HEAD", START + b"Content-Length: 4\r\n\r\nevil", "HEAD", "200 size=0 []"),
            ("a body of 204", b"HTTP/1.1 204 No Content\r\n\r\n" + EVIL, "GET", "204 size=0 []"),
            ("a body of 304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n" + EVIL, "GET",
             "304 size=0 []"),
            ("behind a body, later", parts(ok(b"hello"), 0.2, EVIL, 2), "GET", hello)):
        server, spec = one(answer, "", method)
        good = f"GET http 127.0.0.1:{server.port} /good"
        slow = f"GET http 127.0.0.1:{one(ok(b'wait'))[0].port} / read=500"
        lines = runner.run(spec, slow, good, f"{good} read=10")[0]
        check(f"HTTP/1.1, {what}", lines, [expected, "200 size=4 [wait]", hello, hello])
    for what, piece, first, expected, more in (
            ("header", b"X", START, LATE, " first=500"),
            ("hints", b"HTTP/1.1 103 H\r\n\r\n", b"", LATE, " first=500"),
            ("nothing at all", b"", b"", LATE, " first=500")):
        how = Drip(piece, first)
        if piece:
            runner.case("HTTP/1.1, drip of " + what, how, [expected], one(how, more)[1])
        else:
            how = Gone(b"")
            runner.case("HTTP/1.1, " + what, how, [expected], one(how, more)[1])
    how = Gone(START + b"Content-Length: 100\r\n\r\npart")
    other = one(ok(b"wait"))[1]
    runner.case("HTTP/1.1, given up", how, [["200 size=4 [part]", "200 size=4 [wait]"]],
                one(how, " drop")[1], other + " read=3500", most=9)


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    guests = Guests(wafer, scratch, clang.split("|"), scratch, adapters(scratch, *sys.argv[4:5]))
    component, folder = guests.component("fetch"), certificates(scratch)
    http2(wafer, component, folder)
    http1(wafer, component)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
