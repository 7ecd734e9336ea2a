"""`wafer serve` when much goes wrong at once: it stays up, and nothing is left of it.

usage: serve_faults_test.py WAFER CLANG SCRATCH TIERS [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import struct
import sys
import threading
import time

from adapters import adapters
from checks import FAILURES, check, finish
from p2_test import Guests
from serve_test import Server

# With sanitizers, what a process has in memory says nothing of wafer: its shadow, and what was
# freed and is kept.
SANITIZED = bool(os.environ.get("WAFER_SANITIZE"))
HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Watched(Server):
    def resident(self):
        """MiB."""
        pages = int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / (1 << 20)

    def cpu(self):
        """Seconds."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) / 100

    def children(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for task in tasks for pid in task.read_text().split()]

    def has_no_children(self):
        """Whether the last has ended soon: one that was killed may be followed by another."""
        end = time.monotonic() + 60
        none_since = None
        while time.monotonic() < end:
            if self.children():
                none_since = None
            elif none_since is None:
                none_since = time.monotonic()
            elif time.monotonic() > none_since + 2:
                return True
            time.sleep(0.1)
        return False

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def settles(self, descriptors):
        """Whether it soon has no more descriptors than these."""
        end = time.monotonic() + 10
        while self.descriptors() > descriptors and time.monotonic() < end:
            time.sleep(0.05)
        return self.descriptors() <= descriptors


def statuses(answer):
    return [int(answer[i + 9:i + 12]) for i in range(len(answer))
            if answer.startswith(b"HTTP/1.1 ", i)]


def answered(connection):
    """The status of one response, 0 if none comes."""
    try:
        return (statuses(connection.recv(65536)) + [0])[0]
    except OSError:
        return 0


def read_all(connection):
    out = b""
    try:
        while piece := connection.recv(65536):
            out += piece
    except OSError:
        pass
    return out


# ---- Two readings of one request

POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
# Nothing of these is answered but by an error, and what comes after them is not read.
LENGTHS = [b"Content-Length: " + v for v in (b"+5", b"-5", b"5, 5", b"5,6", b"0x5", b"5 5", b"",
                                             b"5;", b"5.0", b"\x0b5", b"18446744073709551616")] + [
    b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length : 5", b" Content-Length: 5",
    b"Content-Length:\r\n 5", b"X: y\r\n Content-Length: 5", b"X: y\r\n\tContent-Length: 5",
    b"X: y\rContent-Length: 5", b"X: y\nContent-Length: 5", b"Content-Length\x00: 5"]
CODINGS = [b"Transfer-Encoding: " + v for v in (
    b"xchunked", b"chunked\x0b", b"\x0bchunked", b"\"chunked\"", b"identity, chunked", b"identity",
    b"chunked, identity", b"chunked, chunked", b"chunked;q=1", b",chunked", b"chunked,", b"",
    b"gzip, chunked", b"\xc5\xbfhunked")] + [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"X: y\r\rTransfer-Encoding: chunked"]
CHUNKS = [b"0x5\r\nhello\r\n", b"+5\r\nhello\r\n", b"-5\r\nhello\r\n", b" 5\r\nhello\r\n",
          b"5 \r\nhello\r\n", b"5\nhello\r\n", b"5\r\nhello", b"5\r\nhelloXX", b"5\r\nhello\n",
          b"5;a\nb\r\nhello\r\n", b"5;a\rb\r\nhello\r\n", b"\r\nhello\r\n", b"g\r\nhello\r\n",
          b"10000000000000005\r\nhello\r\n"]
TRAILERS = [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n", b"no trailer\r\n",
            b"X : y\r\n", b"X: y\x00\r\n"]
LINES = [b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /\t HTTP/1.1", b"GET\t/ HTTP/1.1",
         b"GET / http/1.1", b"GET / HTTP/1.10", b"GET / HTTP/01.1", b"GET / HTTP/1.2",
         b"GET / HTTP/2.0", b"GET /a b HTTP/1.1", b"GET /\x01 HTTP/1.1", b"GET /\x7f HTTP/1.1",
         b"GET /#part HTTP/1.1", b"GET http://user@b/ HTTP/1.1", b"GET http:// b/ HTTP/1.1",
         b"GET ftp://b/ HTTP/1.1", b"GET nothing HTTP/1.1", b"GET * HTTP/1.1",
         b"GET http:///x HTTP/1.1\r\nHost: b\x0b", b"CONNECT a:80 HTTP/1.1", b"\rGET / HTTP/1.1",
         b" GET / HTTP/1.1", b"/ GET HTTP/1.1", b"GET /"]
HOSTS = [b"a b", b"a/b", b"a@b", b"a, b", b"a:b", b"a:1:2", b"[::1", b"[::1]x", b"a?b", b"a#b",
         b"\xff", b"http://a"]


def smuggling(server):
    cases = [POST + line + b"\r\n\r\nhello" for line in LENGTHS]
    cases += [POST + line + b"\r\n\r\n0\r\n\r\n" for line in CODINGS]
    cases += [CHUNKED + chunk + b"0\r\n\r\n" for chunk in CHUNKS]
    cases += [CHUNKED + b"5\r\nhello\r\n0\r\n" + line + b"\r\n" for line in TRAILERS]
    cases += [line + b"\r\nHost: a\r\n\r\n" for line in LINES]
    cases += [b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in HOSTS]
    cases += [b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n" for line in
              (b": x", b"X", b"X(y): z", b"X\xe9: z", b"X\x00: z", b"X: \x00", b"X: \x7f")]
    for case in cases:
        answer = server.raw(case + HIDDEN)
        got = statuses(answer)
        # A body that turns out to be none ends the connection.
        if len(got) > 1 or any(s < 400 for s in got) or b"hidden" in answer:
            FAILURES.append(f"taken: {case[:120]!r}: {got}")
    # What all read in the same way is taken.
    for case in (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nhOST:a\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", b"GET / HTTP/1.1\r\nHost:\t a:1 \r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: a_b.c-d%20:\r\n\r\n", b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
                 b"GET https://b?x HTTP/1.1\r\nHost: a\r\n\r\n",
                 POST + b"transfer-ENCODING: Chunked\r\n\r\n005;a=b\r\nhello\r\n0;c\r\n\r\n",
                 POST + b"Content-Length: 0005\r\n\r\nhello"):
        got = statuses(server.raw(case + HELLO.replace(b"a\r\n", b"a\r\nConnection: close\r\n")))
        check(f"{case[:60]!r}", (len(got), got[-1:]), (2, [200]))


# ---- Clients that take their time, or go half way

def half_closed(server):
    big = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n"
    slow = b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n"
    for data, expected in ((HELLO, [200]), (big, [200]), (HELLO * 3, [200] * 3), (slow * 2, [200] * 2),
                           (POST + b"Content-Length: 5\r\n\r\nhello", [200]),
                           (POST + b"Content-Length: 9\r\n\r\nhello", None),
                           (CHUNKED + b"5\r\nhello\r\n", None), (b"GET / HTTP/1.1\r\nHo", [400])):
        with server.connect() as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = read_all(s)
            if expected is None:
                # A body that breaks off is never echoed as a whole.
                check(f"broken off {data[:40]!r}", answer.endswith(b"0\r\n\r\n"), False)
            else:
                check(f"half closed {data[:40]!r}", statuses(answer), expected)
    # One that closes while the guest works leaves nothing behind (looked at by the caller), and
    # one that does not read the response ends with its time.
    for _ in range(50):
        with server.connect() as s:
            s.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")


def slowloris(server):
    """Hundreds of clients that send a byte now and then; others do not notice."""
    clients = [server.connect() for _ in range(300)]
    # Those that say nothing have the time of a header, too.
    mute = [server.connect() for _ in range(50)]
    begin, latest, used = time.monotonic(), 0.0, server.cpu()
    for s in clients:
        s.sendall(b"GET / HT")
    while time.monotonic() < begin + 1.6:
        start = time.monotonic()
        check("beside slow ones", server.request("GET", "/")[0], 200)
        latest = max(latest, time.monotonic() - start)
        for s in clients:
            try:
                s.send(b"x")
            except OSError:
                pass
        time.sleep(0.2)
    check("waited for others", latest < 1.0, True)
    end = time.monotonic() + 5
    left = clients + mute
    while left and time.monotonic() < end:
        gone = select.select(left, [], [], 0.2)[0]
        left = [s for s in left if s not in gone]
    check("slow headers end", len(left), 0)
    check("busy with slow ones", server.cpu() - used < 3, True)
    for s in clients + mute:
        s.close()
    # A body that comes too slowly, and one that never ends.
    with server.connect() as s:
        s.sendall(POST + b"Content-Length: 100\r\n\r\n")
        start = time.monotonic()
        read_all(s)
        check("slow body", 0.5 < time.monotonic() - start < 5, True)
    with server.connect() as s:
        s.sendall(CHUNKED)
        start = time.monotonic()
        s.settimeout(0.3)
        while time.monotonic() - start < 12:
            try:
                s.sendall(b"1\r\nx\r\n")
                time.sleep(0.3)
            except OSError:
                break
        check("endless body", time.monotonic() - start < 8, True)
    # A response that nobody takes.
    before = server.descriptors()
    with server.connect() as s:
        s.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        check("response not taken", (server.settles(before + 1), server.settles(before)),
              (True, True))


# ---- Many at once

def at_once(server, path, count):
    """Connections that all ask at the same time; the statuses they get."""
    connections = [server.connect() for _ in range(count)]
    for s in connections:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    got = [answered(s) for s in connections]
    for s in connections:
        s.close()
    return got


def trapping(server):
    good = []
    stop = threading.Event()

    def client():
        while not stop.is_set():
            good.append(server.request("GET", "/")[0])

    at_once(server, "/trap", 1000)
    before = server.resident()
    beside = threading.Thread(target=client)
    beside.start()
    for path in ("/trap", "/none", "/trap"):
        check(f"1000 of {path}", at_once(server, path, 1000), [500] * 1000)
    stop.set()
    beside.join()
    check("beside them", (len(good) > 0, set(good)), (True, {200}))
    if not SANITIZED:
        check("memory of traps", server.resident() < before + 8, True)


def out_of_descriptors(wafer, component):
    """With 64 descriptors and 200 clients: those that find room are served, the others later."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    server = Watched(wafer, component, "--idle-timeout", "30s")
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    check("before", server.request("GET", "/")[0], 200)
    before = server.descriptors()
    clients = [server.connect() for _ in range(200)]
    for s in clients:
        s.sendall(HELLO)
    time.sleep(1)
    used = server.cpu()
    time.sleep(1)
    check("busy without descriptors", server.cpu() - used < 0.5, True)
    check("it has run out", server.descriptors() >= 60, True)
    ready = select.select(clients, [], [], 0)[0]
    check("some are served", 20 < len(ready) < 200, True)
    check("and served well", {answered(s) for s in ready}, {200})
    # Whoever goes makes room for others.
    for s in ready:
        s.close()
    waiting = [s for s in clients if s not in ready]
    while waiting:
        ready = select.select(waiting, [], [], 20)[0]
        got = {answered(s) for s in ready}
        if got != {200}:
            FAILURES.append(f"after others have gone: {got}, {len(waiting)} are left")
            break
        for s in ready:
            s.close()
        waiting = [s for s in waiting if s not in ready]
    for s in waiting:
        s.close()
    check("descriptors are given back", server.settles(before), True)
    check("afterwards", server.request("GET", "/")[0], 200)
    check("exit code", server.stop()[0], 0)


def unanswered(wafer, component):
    """The log tells why requests ended that were not answered."""
    server = Watched(wafer, component, "--body-timeout", "1s", "--access-log", "json")
    expected = []

    def ends(data, status, leave=False, later=b""):
        with server.connect() as s:
            s.sendall(data.replace(b"/echo", b"/forever"))
            time.sleep(0.2)
            s.sendall(later)
            if leave:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            else:
                read_all(s)
        expected.append(status)

    # (What the guest waits for has no end, and it reads nothing.)
    ends(POST + b"Content-Length: 100\r\n\r\nab", 408)
    ends(CHUNKED + b"1\r\nx\r\n", 400, later=b"no chunk\r\n")
    ends(CHUNKED + b"no chunk\r\n", 400)
    ends(POST + b"Content-Length: 100\r\n\r\nab", 499, True)
    ends(POST + b"\r\n", 499, True)
    stopped = server.connect()
    stopped.sendall(POST.replace(b"/echo", b"/forever") + b"\r\n")
    expected.append(503)
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    code, log = server.stop()
    check("exit code", code, 0)
    log = [json.loads(line) for line in log.splitlines()]
    check("statuses", [r["status"] for r in log], expected)
    stopped.close()


def memory(wafer, component, scratch):
    """The code generator is in no server's memory, but where it is asked to be; and it is not loaded
    for code that is cached."""
    os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")
    for most, inside, cached in ((16, False, False), (32, True, False), (16, True, True)):
        if not cached:
            shutil.rmtree(scratch / "cache", ignore_errors=True)
        what = f"{'in the' if inside else 'beside the'} process, {'with' if cached else 'without'} a cache"
        server = Watched(wafer, component, "--tier", "llvm", *["--in-process"] * inside)
        check("by the optimizing compiler", server.request("GET", "/"), (200, b"hello\n"))
        end = time.monotonic() + 20
        while not SANITIZED and server.resident() > most and time.monotonic() < end:
            time.sleep(0.2)
        if not SANITIZED and server.resident() > most:
            FAILURES.append(f"{server.resident()} MiB {what}")
        maps = pathlib.Path(f"/proc/{server.process.pid}/maps").read_text()
        check(f"LLVM is not loaded {what}", "libLLVM" in maps and (cached or not inside), False)
        check("after that", server.request("GET", "/"), (200, b"hello\n"))
        check("exit code", server.stop()[0], 0)


def generators(wafer, component, scratch):
    """Whatever happens to the code generator's process, the server stays up, and in the end there is none."""
    os.environ["XDG_CACHE_HOME"] = str(scratch / "generators")
    for kill in (True, False):
        shutil.rmtree(scratch / "generators", ignore_errors=True)
        server = Watched(wafer, component)
        check("at first", server.request("GET", "/"), (200, b"hello\n"))
        before = server.descriptors()
        seen, killed = set(), 0
        end = time.monotonic() + 20
        while time.monotonic() < end and (killed < 3 if kill else not seen):
            with server.connect() as s:
                s.sendall(HELLO * 100)
                s.shutdown(socket.SHUT_WR)
                check("while code is made", statuses(read_all(s)), [200] * 100)
            for pid in server.children():
                seen.add(pid)
                if kill:
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        check("there was one", bool(seen), True)
        check("none is left", server.has_no_children(), True)
        check("descriptors", server.settles(before), True)
        check("afterwards", server.request("GET", "/"), (200, b"hello\n"))
        check("exit code", server.stop()[0], 0)
        told = [line for line in server.errors if "code generator was ended by signal 9" in line]
        check("it is told, once at most", len(told) <= kill, True)
    # And it ends with a server that ends without a word.
    shutil.rmtree(scratch / "generators", ignore_errors=True)
    server = Watched(wafer, component)
    end = time.monotonic() + 20
    while not (left := server.children()) and time.monotonic() < end:
        server.request("GET", "/")
    server.process.kill()
    server.process.wait()
    check("there was one to be left", bool(left), True)
    end = time.monotonic() + 10
    while any(is_alive(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.1)
    check("it ends too", [pid for pid in left if is_alive(pid)], [])


def is_alive(pid):
    """A process that nobody has taken note of the end of is not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def main():
    if SANITIZED:
        print(f"skipped: resident memory, with sanitizers ({os.environ['WAFER_SANITIZE']})")
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    component = Guests(wafer, scratch, clang.split("|"), scratch,
                       adapters(scratch, *sys.argv[5:6])).component("http")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 4096), limits[1]))
    server = Watched(wafer, component, "--tier", "baseline", "--timeout", "4s", "--header-timeout", "1s",
                     "--body-timeout", "1s")
    check("hello", server.request("GET", "/"), (200, b"hello\n"))
    before = server.descriptors()
    smuggling(server)
    half_closed(server)
    slowloris(server)
    trapping(server)
    check("descriptors", server.settles(before), True)
    check("hello again", server.request("GET", "/"), (200, b"hello\n"))
    check("exit code", server.stop()[0], 0)
    out_of_descriptors(wafer, component)
    unanswered(wafer, component)
    if "llvm" in sys.argv[4].split(","):
        memory(wafer, component, scratch)
        generators(wafer, component, scratch)
    return finish()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main())
