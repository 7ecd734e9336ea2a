"""HTTP requests of a guest in C, to servers that answer well, badly, late or not at all.

usage: fetch_test.py WAFER CLANG SCRATCH [VENDOR]
CLANG: command that makes core modules, by "|". Exit code 77: the adapter cannot be had.
"""
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings

from adapters import adapters
from checks import FAILURES, check, finish
from p2_test import Guests


def pattern(n):
    return bytes(ord("a") + i % 23 for i in range(n))


def fnv(data):
    h = 2166136261
    for b in data:
        h = ((h ^ b) * 16777619) & 0xFFFFFFFF
    return f"{h:08x}"


class Server:
    """Answers each request by what `answers` has for its path: bytes, or a function of the
    connection, the head and the body, which gives bytes."""

    def __init__(self, answers, tls=None, host="127.0.0.1"):
        self.answers, self.tls = answers, tls
        self.requests, self.connections = [], 0
        self.socket = socket.create_server((host, 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                data = b""
                while True:
                    while b"\r\n\r\n" not in data:
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        data += piece
                    head, data = data.split(b"\r\n\r\n", 1)
                    path = head.split(b" ")[1].decode()
                    answer = self.answers.get(path, b"HTTP/1.1 404 Not Found\r\n"
                                                    b"Content-Length: 0\r\n\r\n")
                    body = b""
                    if not getattr(answer, "early", False):
                        body, data = self.body(connection, head, data)
                    self.requests.append((head.decode("latin-1"), body))
                    if callable(answer):
                        answer = answer(connection, head, body)
                    if answer is None:
                        return
                    connection.sendall(answer)
                    if b"connection: close" in answer.lower():
                        return
        except OSError:
            pass

    @staticmethod
    def body(connection, head, data):
        def more():
            piece = connection.recv(65536)
            if not piece:
                raise ConnectionError
            return piece
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while True:
                while b"\r\n" not in data:
                    data += more()
                size, data = data.split(b"\r\n", 1)
                size = int(size, 16)
                while len(data) < size + 2:
                    data += more()
                body, data = body + data[:size], data[size + 2 if size else 0:]
                if size == 0:
                    while not data.startswith(b"\r\n") and b"\r\n\r\n" not in data:
                        data += more()
                    if data.startswith(b"\r\n"):
                        return body, data[2:]
                    trailers, data = data.split(b"\r\n\r\n", 1)
                    return body + b"|" + trailers, data
        if b"content-length: " in lower:
            size = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(data) < size:
                data += more()
            return data[:size], data[size:]
        return b"", data


def ok(body, *fields):
    head = b"HTTP/1.1 200 OK\r\n" + b"".join(f + b"\r\n" for f in fields)
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*pieces, trailers=b""):
    out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for p in pieces:
        out += b"%x\r\n" % len(p) + p + b"\r\n"
    return out + b"0\r\n" + trailers + b"\r\n"


def late(seconds, answer):
    def f(connection, head, body):
        time.sleep(seconds)
        return answer
    return f


def parts(*pieces):
    """Sends pieces, and waits for numbers of seconds; then closes."""
    def f(connection, head, body):
        for p in pieces:
            if isinstance(p, bytes):
                connection.sendall(p)
            else:
                time.sleep(p)
    return f


def reset(data):
    def f(connection, head, body):
        connection.sendall(data)
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    return f


def early(f):
    f.early = True
    return f


BIG = pattern(3_000_000)
ANSWERS = {
    "/": ok(b"hello"),
    "/path?q=%20": ok(b"query"),
    "/fields": ok(b"", b"X-One: 1", b"x-one: 2", b"X-Two:  spaces  ", b"Connection: x-hop"),
    "/chunked": chunked(b"one ", b"two ", b"three"),
    "/trailers": chunked(b"body", trailers=b"X-Sum: 42\r\n"),
    "/big": ok(BIG),
    "/big-chunked": chunked(*[BIG[i:i + 50000] for i in range(0, len(BIG), 50000)]),
    "/to-the-end": b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nuntil closed",
    "/none": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
    "/early-hints": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: b\r\n\r\n" +
                    ok(b"after"),
    "/moved": b"HTTP/1.1 302 Found\r\nX-To: 1\r\nLocation: http://127.0.0.2:1/\r\n"
              b"Content-Length: 0\r\n\r\n",
    "/echo": lambda c, head, body: ok(body),
    "/head": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
    "/odd": b"HTTP/1.1 299 Whatever\r\nContent-Length: 2\r\n\r\nok",
    "/enough": early(lambda c, head, body: b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n"
                                           b"Content-Length: 4\r\n\r\nfull"),
    # Answers that are none.
    "/closed": parts(),
    "/reset": reset(b""),
    "/reset-later": reset(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"),
    "/cut-head": parts(b"HTTP/1.1 200 OK\r\nConte"),
    "/cut": parts(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart"),
    "/cut-chunk": parts(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    "/garbage": b"SSH-2.0-nothing\r\n\r\n",
    "/bad-status": b"HTTP/1.1 abc OK\r\n\r\n",
    "/bad-version": b"HTTP/3.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "/bad-field": b"HTTP/1.1 200 OK\r\nBad Field: 1\r\nContent-Length: 0\r\n\r\n",
    "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "/bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "/coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\nxx",
    "/upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "/huge-field": ok(b"", b"X: " + b"y" * 200000),
    "/many-fields": ok(b"", *[b"X-%d: y" % i for i in range(20000)]),
    "/huge-trailers": chunked(b"x", trailers=b"".join(b"X-%d: y\r\n" % i for i in range(20000))),
    "/late": late(3, ok(b"late")),
    "/late-body": parts(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart", 3, b"rest"),
    "/slow": parts(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", 0.2, b"ab", 0.2, b"cd", 0.2,
                   b"ef"),
    "/deaf": early(lambda c, head, body: time.sleep(3)),
}

# What the guest does, and how that ends.
GOOD = [
    ("GET http {} /", "200 size=5 [hello]"),
    ("GET http {} /path?q=%20", "200 size=5 [query]"),
    ("GET http {} /fields", "200 X-One:1 x-one:2 X-Two:spaces size=0 []"),
    ("GET http {} /chunked", "200 size=13 [one two three]"),
    ("GET http {} /trailers", "200 size=4 [body] trailer X-Sum:42"),
    ("GET http {} /big", f"200 size=3000000 hash={fnv(BIG)}"),
    ("GET http {} /big-chunked", f"200 size=3000000 hash={fnv(BIG)}"),
    ("GET http {} /big-chunked read=1", f"200 size=3000000 hash={fnv(BIG)}"),
    ("GET http {} /to-the-end", "200 size=12 [until closed]"),
    ("GET http {} /none", "204 size=0 []"),
    ("GET http {} /not-modified", "304 size=0 []"),
    ("GET http {} /early-hints", "200 size=5 [after]"),
    ("GET http {} /moved", "302 X-To:1 size=0 []"),
    ("HEAD http {} /head", "200 size=0 []"),
    ("GET http {} /odd", "299 size=2 [ok]"),
    ("POST http {} /echo text=abc", "200 size=3 [abc]"),
    ("POST http {} /echo text=abc header=content-length:3", "200 size=3 [abc]"),
    ("PUT http {} /echo body=0", "200 size=0 []"),
    ("PATCH http {} /echo text=abc trailer=x-sum:1", "200 size=12 [abc|x-sum: 1]"),
    ("BREW http {} /echo body=500000", f"200 size=500000 hash={fnv(pattern(500000))}"),
    ("POST http {} /echo body=20000 pause=10", f"200 size=20000 hash={fnv(pattern(20000))}"),
    ("GET http {} /slow between=2000", "200 size=6 [abcdef]"),
    ("GET http {} /big drop", None),
    ("GET http {} /late hold=50", "given up"),
    ("GET http {} /", "200 size=5 [hello]"),
]

BAD = [
    ("GET http {} /closed", "connection-terminated"),
    ("GET http {} /reset", "connection-terminated"),
    ("GET http {} /reset-later", "200 read=connection-terminated size=4 [part] "
                                 "trailers=connection-terminated"),
    ("GET http {} /cut-head", "HTTP-response-incomplete"),
    ("GET http {} /cut", "200 read=HTTP-response-incomplete size=4 [part] "
                         "trailers=HTTP-response-incomplete"),
    ("GET http {} /cut-chunk", "200 read=HTTP-response-incomplete size=5 [hello] "
                               "trailers=HTTP-response-incomplete"),
    ("GET http {} /garbage", "HTTP-protocol-error"),
    ("GET http {} /bad-status", "HTTP-protocol-error"),
    ("GET http {} /bad-version", "HTTP-protocol-error"),
    ("GET http {} /bad-field", "HTTP-protocol-error"),
    ("GET http {} /two-lengths", "HTTP-protocol-error"),
    ("GET http {} /bad-chunk", "200 read=HTTP-protocol-error size=0 [] "
                               "trailers=HTTP-protocol-error"),
    ("GET http {} /coding", "HTTP-response-transfer-coding"),
    ("GET http {} /upgrade", "HTTP-upgrade-failed"),
    ("GET http {} /huge-field", "HTTP-response-header-section-size"),
    ("GET http {} /many-fields", "HTTP-response-header-section-size"),
    ("GET http {} /huge-trailers", "200 read=HTTP-response-trailer-section-size size=1 [x] "
                                   "trailers=HTTP-response-trailer-section-size"),
    ("GET http {} /late first=300", "connection-read-timeout"),
    ("GET http {} /late-body between=300", "200 read=connection-read-timeout size=4 [part] "
                                           "trailers=connection-read-timeout"),
    ("POST http {} /deaf body=20000000 between=300",
     "write-ended write=connection-write-timeout connection-write-timeout"),
    ("POST http {} /enough body=20000000", None),
    ("POST http {} /echo text=abc header=content-length:5",
     "finish=HTTP-request-body-size HTTP-request-body-size"),
    ("POST http {} /echo text=abc abandon", "connection-terminated"),
    ("GET http {} / header=content-length:5", "HTTP-request-body-size"),
    ("GET http {} / header=content-length:x", "HTTP-protocol-error"),
    ("GET http {} / header=host:other", "header-error 1 200 size=5 [hello]"),
    ("GET http {} / header=transfer-encoding:chunked", "header-error 1 200 size=5 [hello]"),
    ("CONNECT http {} /", "HTTP-request-method-invalid"),
    ("GET ftp {} /", "HTTP-request-URI-invalid"),
    ("GET http user@{} /", "HTTP-request-URI-invalid"),
    ("GET http {} x", "HTTP-request-URI-invalid"),
    ("GET http {} /", "200 size=5 [hello]"),
]


def certificates(folder):
    """A certificate authority, one for localhost and 127.0.0.1 by it, and one by nobody."""
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "2")
    for name, alt in (("good", "DNS:localhost,IP:127.0.0.1"), ("other", "DNS:example.org")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={alt}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", f"{name}.ext")
    return folder


class Wafer:
    def __init__(self, wafer, component):
        self.wafer, self.component = wafer, component

    def run(self, specs, *options, env=None):
        done = subprocess.run([self.wafer, "run", *options, self.component, *specs],
                              capture_output=True, text=True, timeout=60,
                              env={**os.environ, **(env or {})})
        if done.returncode:
            FAILURES.append(f"{specs}: {done.returncode} {done.stderr}")
        lines = [line.partition(" ")[2] for line in done.stdout.splitlines()]
        return lines + [""] * (len(specs) - len(lines))

    def check(self, cases, *options, **more):
        got = self.run([spec for spec, _ in cases], *options, **more)
        for (spec, expected), line in zip(cases, got):
            if expected is not None:
                check(spec, line, expected)
        return got


def plain(wafer):
    server = Server(ANSWERS)
    at = f"127.0.0.1:{server.port}"
    got = wafer.check([(s.format(at), e) for s, e in GOOD], "--allow-http", at)
    # Connections are used again: only where it is closed, or given up, another is made.
    check("connections", server.connections <= 5, True)
    check("drop", got[-3].startswith("200 size="), True)
    heads = [h.lower() for h, _ in server.requests]
    check("host", all(f"host: {at}" in h for h in heads), True)
    check("length", "content-length: 0\r\n" in next(h for h in heads if h.startswith("put")) +
          "\r\n", True)
    start = time.monotonic()
    got = wafer.check([(s.format(at), e) for s, e in BAD], "--allow-http", at)
    check("enough", got[[s for s, _ in BAD].index("POST http {} /enough body=20000000")]
          .endswith(("413 size=4 [full]", "connection-terminated")), True)
    check("in time", time.monotonic() - start < 10, True)


def unreachable(wafer):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    # Full: what is connected beyond is not answered.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    clients = []
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(full.getsockname())
        clients.append(c)
    wafer.check([
        (f"GET http 127.0.0.1:{port} /", "connection-refused"),
        (f"GET http nowhere.invalid:{port} /", None),
        (f"GET http 127.0.0.1:{full.getsockname()[1]} / connect=400", "connection-timeout"),
    ], "--allow-http", "127.0.0.1:*", "--allow-http", "nowhere.invalid:*")
    got = wafer.run([f"GET http nowhere.invalid:{port} /"], "--allow-http", "nowhere.invalid:*")
    check("no such name", got[0] in ("DNS-error", "DNS-timeout"), True)


def grants(wafer):
    server = Server(ANSWERS)
    port = server.port
    by_address, by_name = f"GET http 127.0.0.1:{port} /", f"GET http localhost:{port} /"
    hello, denied = "200 size=5 [hello]", "HTTP-request-denied"
    for options, first, second in [
        ([], denied, denied),
        (["127.0.0.1"], denied, denied),  # the port of the scheme
        (["127.0.0.1:1"], denied, denied),
        ([f"127.0.0.1:{port}"], hello, denied),
        (["127.0.0.0/8:*"], hello, denied),
        (["127.0.0.0/31:1-65535"], hello, denied),
        (["10.0.0.0/8:*"], denied, denied),
        (["https://127.0.0.1:*"], denied, denied),
        (["http://127.0.0.1:*"], hello, denied),
        ([f"localhost:{port}"], denied, hello),
        ([f"LOCALHOST.:{port}"], denied, hello),
        (["*.localhost:*"], denied, denied),
        (["*:*"], hello, hello),
        (["*"], denied, denied),
    ]:
        flags = [f for rule in options for f in ("--allow-http", rule)]
        check(f"{options}", wafer.run([by_address, by_name], *flags), [first, second])
    check("inherit", wafer.run([by_address, by_name], "--inherit-network"), [hello, hello])
    # A name below one that is granted, which leads to this machine.
    check("below", wafer.run([f"GET http x.localhost:{port} /"], "--allow-http",
                             "*.localhost:*")[0] in ("destination-IP-prohibited", "DNS-error"), True)
    for rule in ("", "ftp://x", "a b", "1.2.3.4/33", "x:99999", "x:", "[::1", "*.", "http://"):
        done = subprocess.run([wafer.wafer, "run", "--allow-http", rule, wafer.component],
                              capture_output=True, text=True)
        check(f"rule {rule!r}", (done.returncode, done.stderr.count("\n")), (1, 1))


def tls(wafer, folder):
    def server(name, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        context.set_alpn_protocols(["http/1.1"])
        for key, value in options.items():
            setattr(context, key, value)
        return Server(ANSWERS, context)
    names = []
    good = server("good", sni_callback=lambda s, name, c: names.append(name))
    other = server("other")
    warnings.simplefilter("ignore", DeprecationWarning)
    old = server("good", maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)
    picky = server("good", verify_mode=ssl.CERT_REQUIRED)
    plain_one = Server(ANSWERS)
    greeter = socket.create_server(("127.0.0.1", 0))

    def greet():
        connection, _ = greeter.accept()
        connection.sendall(b"220 hello, this is mail\r\n")
        connection.recv(65536)
        connection.close()
    threading.Thread(target=greet, daemon=True).start()
    allow = ["--allow-http", "https://127.0.0.1:*", "--allow-http", "https://localhost:*"]
    trusted = [*allow, "--tls-roots", folder / "ca.pem"]
    hello, untrusted = "200 size=5 [hello]", "TLS-certificate-error"
    wafer.check([
        (f"GET https 127.0.0.1:{good.port} /", hello),
        (f"GET https localhost:{good.port} /", hello),
        (f"GET https localhost:{good.port} /", hello),
        (f"POST https localhost:{good.port} /echo body=500000",
         f"200 size=500000 hash={fnv(pattern(500000))}"),
        (f"GET https localhost:{good.port} /big", f"200 size=3000000 hash={fnv(BIG)}"),
        (f"GET https localhost:{good.port} /to-the-end", None),
        (f"GET https localhost:{good.port} /cut", "200 read=HTTP-response-incomplete size=4 [part] "
                                                 "trailers=HTTP-response-incomplete"),
        (f"GET https localhost:{other.port} /", untrusted),
        (f"GET https localhost:{plain_one.port} / connect=300", "connection-timeout"),
        (f"GET https localhost:{greeter.getsockname()[1]} /", "TLS-protocol-error"),
        (f"GET https localhost:{old.port} /", "TLS-alert-received"),
        (f"GET http localhost:{good.port} /", "HTTP-request-denied"),
    ], *trusted)
    check("SNI", names, [None, "localhost", "localhost"])
    wafer.check([(f"GET https localhost:{good.port} /", untrusted)], *allow)
    wafer.check([(f"GET https localhost:{good.port} /", hello)], *allow,
                env={"SSL_CERT_FILE": str(folder / "ca.pem")})
    got = wafer.run([f"GET https localhost:{picky.port} /"], *trusted)
    check("client certificate", got[0] in ("TLS-alert-received", "connection-terminated"), True)
    done = subprocess.run([wafer.wafer, "run", *allow, "--tls-roots", folder / "good.key",
                           wafer.component], capture_output=True, text=True)
    check("roots", (done.returncode, "good.key" in done.stderr), (1, True))


def main():
    wafer, clang, scratch = sys.argv[1:4]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    component = Guests(wafer, scratch, clang.split("|"), scratch,
                       adapters(scratch, *sys.argv[4:5])).component("fetch")
    runner = Wafer(wafer, component)
    plain(runner)
    unreachable(runner)
    grants(runner)
    tls(runner, certificates(scratch))
    return finish()


if __name__ == "__main__":
    sys.exit(main())
