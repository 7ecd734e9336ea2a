"""Guests of WASI 0.3 in Rust, on the crate wasip3: a program with files, sockets and clocks, and
a service whose instances answer many requests.

usage: rust_p3_test.py WAFER TIERS SCRATCH
Exit code 77: they cannot be built here (no cargo, no target wasm32-wasip2, no crates).
"""
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

from checks import check, finish
from fetch_http2_test import HELLO, OK, Scripted, at, fields
from fetch_test import certificates
from serve_http2_test import DATA, GOAWAY, HEADERS, RST, Client, frame, get as http2_get
from serve_test import Server

HERE = pathlib.Path(__file__).parent
NETWORK = ["--allow-tcp", "127.0.0.1:*", "--allow-tcp-listen", "127.0.0.1:0", "--allow-udp",
           "127.0.0.1:*", "--allow-udp-bind", "127.0.0.1:0", "--allow-name-lookup"]


def active(server, want):
    """How many requests the guest is at, this one too, once there are `want`, which may take a while."""
    until = time.monotonic() + 20
    while True:
        got = server.request("GET", "/active")[1]
        if got == want or time.monotonic() > until:
            return got
        time.sleep(0.05)


def build(scratch):
    """Folder of the guests."""
    source = scratch / "source"
    source.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "rust_p3").iterdir():
        # Only what has changed is compiled again.
        if not (source / file.name).exists() or (source / file.name).read_bytes() != file.read_bytes():
            shutil.copy(file, source)
    (source / "nothing.rs").touch()
    # The packages of WASI, each a dependency.
    wit = source / "wit/deps"
    shutil.rmtree(wit, ignore_errors=True)
    shutil.copytree(HERE.parents[1] / "src/wasi/p3/wit", wit, ignore=lambda _, names: [
        n for n in names if not n.endswith(".wit")])
    (source / "wit/none.wit").write_text("package test:none;\n")
    command = ["cargo", "build", "-q", "--release", "--target", "wasm32-wasip2", "--examples"]
    try:
        subprocess.run(["rustup", "target", "add", "wasm32-wasip2"], capture_output=True,
                       timeout=200)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        pass
    try:
        done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=400)
        problem = done.stderr[-500:] if done.returncode else ""
    except (FileNotFoundError, subprocess.TimeoutExpired) as e:
        problem = str(e)
    # A mistake in a guest is none of the machine.
    if "error[E" in problem:
        sys.exit(problem)
    if problem:
        print("skipped: guests of WASI 0.3 cannot be built:", problem)
        sys.exit(77)
    return source / "target/wasm32-wasip2/release/examples"


def command(wafer, tiers, guests, scratch):
    for tier in tiers:
        box = scratch / "box"
        shutil.rmtree(box, ignore_errors=True)
        box.mkdir()
        run = [wafer, "run", "--tier", tier]
        done = subprocess.run([*run, "--dir", f"{box}::/", *NETWORK, guests / "command.wasm", "one",
                               "two"], capture_output=True, text=True, timeout=120)
        check(f"command, {tier}", (done.returncode, done.stdout, done.stderr),
              (0, "one two\nclocks\nfiles\ntcp\nudp\nnames\n", ""))
        check("nothing is left", list(box.iterdir()), [])
        done = subprocess.run([*run, "--env", "DENIED=1", guests / "command.wasm", "x"],
                              capture_output=True, text=True, timeout=120)
        check(f"denied, {tier}", (done.returncode, done.stdout, done.stderr),
              (1, "x\nclocks\ndenied\n", ""))


def counts(server, path, times):
    return [int(server.request("GET", path)[1]) for _ in range(times)]


def service(server):
    get = lambda path: server.request("GET", path)
    check("hello", get("/hello"), (200, b"Hello, WASI!"))
    check("empty", get("/empty"), (200, b""))
    check("head", server.request("HEAD", "/hello"), (200, b""))
    check("nowhere", get("/nowhere")[0], 404)
    # What goes out without a body may tell of one, and is sent (RFC 9110, 8.6).
    for path in "/told", "/short":
        check(f"head of {path}", server.request("HEAD", path), (200, b""))
    time.sleep(0.2)
    check("not sent", get("/sent")[1].split()[1], b"0")
    check("about", get("/about"),
          (200, f'GET Some("127.0.0.1:{server.port}") true false'.encode()))
    first = counts(server, "/count", 3)
    check("one instance", [n - first[0] for n in first], [0, 1, 2])
    big = bytes(range(256)) * 12000
    pieces = lambda: iter([big[i:i + 100000] for i in range(0, len(big), 100000)])
    chunked = {"encode_chunked": True, "headers": {"Transfer-Encoding": "chunked"}}
    for path, expected in (("/echo", big), ("/length", b"3072000 bytes, 0 trailers")):
        check(path, server.request("POST", path, big), (200, expected))
        check(path + " in chunks", server.request("POST", path, pieces(), **chunked),
              (200, expected))
        check(path + " of nothing", server.request("POST", path, b"")[0], 200)
    check("stream", get("/stream?64"), (200, b"x" * (64 * 65536)))
    ends = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n"
    answer = server.raw(b"POST /echo HTTP/1.1\r\nHost: a\r\n" + ends)
    check("trailers there and back", answer.split(b"\r\n\r\n", 1)[1],
          b"5\r\nhello\r\n0\r\nX-T: yes\r\n\r\n")
    answer = server.raw(b"POST /length HTTP/1.1\r\nHost: a\r\n" + ends)
    check("trailers that are read", b"5 bytes, 1 trailers" in answer, True)
    answer = server.raw(b"GET /trailers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("trailers that are written", answer.lower().endswith(b"0\r\nx-sum: 4\r\n\r\n"), True)
    # What breaks off does not look whole.
    for path in ("/short", "/long", "/broken"):
        answer = server.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        whole = answer.endswith(b"0\r\n\r\n") or b" 200 " in answer and b"content-length" in answer
        check(path, whole, False)
    check("error", get("/error")[0], 500)
    # To itself, over the network.
    to = {"x-to": f"127.0.0.1:{server.port}/echo"}
    check("forward", server.request("POST", "/forward", big, to), (200, big))
    to = {"x-to": "127.0.0.1:1/"}
    check("forward to nobody", server.request("POST", "/forward", b"", to)[0], 500)


def at_once(server):
    """Several requests are in one instance at a time; how many, the option says."""
    results = []
    clients = [threading.Thread(target=lambda: results.append(server.request("GET", "/sleep?300")))
               for _ in range(4)]
    for c in clients:
        c.start()
    time.sleep(0.1)
    start = time.monotonic()
    check("beside them", server.request("GET", "/hello"), (200, b"Hello, WASI!"))
    check("nobody waits", time.monotonic() - start < 0.2, True)
    for c in clients:
        c.join()
    check("sleeps", [status for status, _ in results], [200] * 4)
    check("at once", int(server.request("GET", "/most")[1]) in (4, 5), True)
    # A client that goes away in the middle harms nobody.
    for request in (b"GET /stream?1000 HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"GET /sleep?100 HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxy",
                    b"POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxy"):
        with socket.create_connection(("127.0.0.1", server.port)) as s:
            s.sendall(request)
            s.settimeout(0.05)
            try:
                s.recv(1000)
            except TimeoutError:
                pass
    # Those that wait are cancelled, by either HTTP, and what the guest is at ends. The first time, it
    # has nothing else to do.
    client = Client(server.port)
    client.send(frame(HEADERS, 5, 1, http2_get("/hang")))
    time.sleep(0.1)
    client.send(frame(RST, 0, 1, struct.pack(">I", 8)))
    check("active after the first reset", active(server, b"1"), b"1")
    client.socket.close()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
        client = Client(server.port)
        client.send(frame(HEADERS, 5, 1, http2_get("/hang")) + frame(HEADERS, 5, 3, http2_get("/hang")))
        check("active", active(server, b"4"), b"4")
        client.send(frame(RST, 0, 1, struct.pack(">I", 8)))
        check("active after a reset", active(server, b"3"), b"3")
        client.socket.close()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    check("active after clients are gone", active(server, b"1"), b"1")
    count = counts(server, "/count", 2)
    check("the same instance", count[1] - count[0] == 1 and count[0] > 10, True)
    sent, not_sent = map(int, server.request("GET", "/sent")[1].split())
    check("what was sent", (sent > 10, not_sent > 0), (True, True))


def failing(server):
    """A trap, and a request that takes too long: others are answered, by another instance."""
    check("trap", server.request("GET", "/trap")[0], 500)
    check("after it", counts(server, "/count", 2), [1, 2])
    # One that waits for too long is let go; what is in its instance beside it is answered.
    results = []
    hang = threading.Thread(target=lambda: results.append(server.request("GET", "/hang")[0]))
    hang.start()
    time.sleep(0.8)
    check("beside one that hangs", server.request("GET", "/sleep?900"), (200, b"4"))
    hang.join()
    check("hang", results, [504])
    check("after it", counts(server, "/count", 2), [1, 2])
    check("spin", server.request("GET", "/spin")[0], 504)
    check("after it", counts(server, "/count", 1), [1])


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def connecting_to(port):
    """Connections of this machine to `port` that are not there yet (SYN_SENT)."""
    rows = [row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(r[2].endswith(f":{port:04X}") and r[3] == "02" for r in rows)


def gone(connections):
    """How many of `connections` the other side has closed; what it sent before is skipped."""
    count = 0
    for c in connections:
        c.settimeout(2)
        try:
            while c.recv(65536):
                pass
            count += 1
        except ConnectionResetError:
            count += 1
        except TimeoutError:
            pass
    return count


def cancel(wafer, guests):
    """What a guest gives up ends at once: connects, requests, reads and writes."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    silent = socket.create_server(("127.0.0.1", 0), backlog=50)
    ports = [s.getsockname()[1] for s in (full, silent)]
    fill = []
    for _ in range(8):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", ports[0]))
        fill.append(s)
    time.sleep(0.2)
    before = connecting_to(ports[0])
    child = subprocess.Popen([wafer, "run", *NETWORK, "--allow-http", f"127.0.0.1:{ports[1]}",
                              "--env", f"FULL={ports[0]}", "--env", f"SILENT={ports[1]}",
                              guests / "cancel.wasm"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    limit = threading.Timer(60, child.kill)
    limit.start()
    open_files = {}
    for line in child.stdout:
        name = line.decode().strip()
        time.sleep(0.05)
        open_files[name] = descriptors(child.pid)
        if name == "connects":
            check("no connection is tried any more", connecting_to(ports[0]), before)
        if name == "requests":
            connections = []
            silent.settimeout(0.05)
            try:
                while True:
                    connections.append(silent.accept()[0])
            except TimeoutError:
                pass
            check("requests are closed", (len(connections), gone(connections)), (5, 5))
    error = child.stderr.read().decode()
    check("cancellation", (child.wait(), error), (0, ""))
    limit.cancel()
    check("nothing is left open", open_files.get("end"), open_files.get("begin"))
    check("sockets are there still", open_files.get("connects", 0) - open_files.get("begin", 0), 5)
    for s in (*fill, full, silent):
        s.close()


def middleware(wafer, guests, scratch):
    """Two guests in one component: requests and responses go from one to the other."""
    both = scratch / "both.wasm"
    subprocess.run([wafer, "component", "plug", guests / "middleware.wasm", "--plug",
                    guests / "service.wasm", "-o", both], check=True)
    server = Server(wafer, both, threads=1)
    answer = server.raw(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("through the middleware", (b"x-by: middleware\r\n" in answer,
                                     answer.endswith(b"Hello, WASI!")), (True, True))
    big = bytes(range(256)) * 12000
    check("echo through it", server.request("POST", "/echo", big), (200, big))
    check("stream through it", server.request("GET", "/stream?64"), (200, b"x" * (64 * 65536)))
    answer = server.raw(b"GET /trailers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check("trailers through it", answer.lower().endswith(b"0\r\nx-sum: 4\r\n\r\n"), True)
    check("errors through it", server.request("GET", "/error")[0], 500)
    check("exit code", server.stop()[0], 0)
    done = subprocess.run([wafer, "serve", "--addr", "127.0.0.1:0", guests / "middleware.wasm"],
                          capture_output=True, text=True, timeout=20)
    check("without a service", (done.returncode, "wasi:http/handler" in done.stderr), (1, True))


def reset(code):
    return at(RST, 0, struct.pack(">I", code))


def goaway(last):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, 0))


def lost(s, stream):
    s.shutdown(socket.SHUT_RDWR)


PART = [at(HEADERS, 4, OK), at(DATA, 0, b"part")]


def part_and_lost(s, stream):
    s.sendall(goaway(1) + b"".join(a(stream) for a in PART))
    time.sleep(0.05)
    lost(s, stream)


PROTOCOL = "HttpProtocolError"
# Error codes of HTTP/2 (RFC 9113, 7), and what they are to a guest without an answer, and with one.
CODES = {0: ("ConnectionTerminated", "HttpResponseIncomplete"), 1: (PROTOCOL, PROTOCOL),
         2: ("ConnectionTerminated", "HttpResponseIncomplete"), 3: (PROTOCOL, PROTOCOL),
         5: (PROTOCOL, PROTOCOL), 8: ("ConnectionTerminated", "HttpResponseIncomplete"),
         11: ("ConnectionLimitReached",) * 2, 13: (PROTOCOL, PROTOCOL)}
GOOD = "200 read=2 trailers=ok sent=ok"
LIMIT = "ConnectionLimitReached sent=ConnectionLimitReached"
GONE = "ConnectionTerminated sent=ConnectionTerminated"
# Answers by connection, request, how it ends, connections that were made.
RESETS = [
    *[([[reset(c)], HELLO], "GET", f"{e} sent={e}", 1) for c, (e, _) in CODES.items()],
    *[([[reset(c)], HELLO], "POST 2000000", f"{e} sent={e} write-ended", 1)
      for c, (e, _) in CODES.items()],
    *[([[*PART, reset(c)], HELLO], "GET", f"200 read=4 trailers={e} sent=ok", 1)
      for c, (_, e) in CODES.items()],
    *[([[*PART, reset(c)], HELLO], "POST 2000000", f"200 read=4 trailers={e} sent={e} write-ended", 1)
      for c, (_, e) in CODES.items()],
    # What was not looked at goes again by another connection, once, but not if it cannot be told again.
    ([[reset(7)], HELLO], "GET", GOOD, 2),
    ([[goaway(0)], HELLO], "GET", GOOD, 2),
    ([[goaway(0)], HELLO], "POST", GOOD, 2),
    ([[goaway(0)], HELLO], "POST 0", GOOD, 2),
    ([[goaway(0)]], "GET", LIMIT, 2),
    ([[reset(7)], HELLO], "POST 2000000", LIMIT + " write-ended", 1),
    ([[goaway(0)], HELLO], "POST 2000000", LIMIT + " write-ended", 1),
    # A server that goes answers what it had before.
    ([[goaway(1), *HELLO]], "GET", GOOD, 1),
    ([[*PART, goaway(1), at(DATA, 1, b"more")]], "GET", "200 read=8 trailers=ok sent=ok", 1),
    ([part_and_lost, HELLO], "GET", "200 read=4 trailers=HttpResponseIncomplete sent=ok", 1),
    ([part_and_lost, HELLO], "POST 2000000", "200 read=4 trailers=HttpResponseIncomplete "
     "sent=HttpResponseIncomplete write-ended", 1),
    ([lost, HELLO], "GET", GONE, 1),
    ([lost, HELLO], "POST 2000000", GONE + " write-ended", 1),
    # An answer that does not wait for the request.
    ([[at(HEADERS, 5, fields((":status", "413"))), reset(0)]], "POST 2000000",
     "413 read=0 trailers=ok sent=ConnectionTerminated write-ended", 1),
]


def resets(wafer, guests, scratch):
    """Servers that end requests, or their connections, by HTTP/2."""
    folder = certificates(scratch)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "good.pem", folder / "good.key")
    context.set_alpn_protocols(["h2"])
    servers = [Scripted(context, answers) for answers, *_ in RESETS]
    specs = []
    for server, (_, request, *_) in zip(servers, RESETS):
        method, _, size = request.partition(" ")
        specs.append(" ".join([method, server.at, size]).strip())
    done = subprocess.run([wafer, "run", "--allow-http", "https://localhost:*", "--tls-roots",
                           folder / "ca.pem", guests / "fetch.wasm", *specs],
                          capture_output=True, text=True, timeout=60)
    check("fetch", (done.returncode, done.stderr), (0, ""))
    got = done.stdout.splitlines()
    check("requests", len(got), len(RESETS))
    for line, server, (answers, request, expected, connections) in zip(got, servers, RESETS):
        check(f"{request} {str(answers)[:150]}", (line, server.connections), (expected, connections))


def main():
    wafer, tiers, scratch = sys.argv[1], sys.argv[2].split(","), pathlib.Path(sys.argv[3])
    guests = build(scratch)
    command(wafer, tiers, guests, scratch)
    cancel(wafer, guests)
    middleware(wafer, guests, scratch)
    resets(wafer, guests, scratch)
    options = ["--inherit-network"]
    server = Server(wafer, guests / "service.wasm", *options, threads=1)
    service(server)
    at_once(server)
    check("exit code", server.stop()[0], 0)
    server = Server(wafer, guests / "service.wasm", *options, "--timeout", "1500ms",
                    threads=1)
    failing(server)
    check("exit code", server.stop()[0], 0)
    server = Server(wafer, guests / "service.wasm", *options, "--max-instance-reuse", "3",
                    "--max-concurrent", "1", threads=1)
    check("reuse", counts(server, "/count", 7), [1, 2, 3, 1, 2, 3, 1])
    threads = [threading.Thread(target=lambda: server.request("GET", "/sleep?100"))
               for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("one at a time", server.request("GET", "/most"), (200, b"1"))
    check("exit code", server.stop()[0], 0)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
