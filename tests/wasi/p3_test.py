"""Guests of WASI 0.3 in text: streams of standard input and output, cancellation, time zones, a
service.

  p3_test.py WAFER TIER,TIER,... SCRATCH
"""

import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import serve_test

wafer, tiers, scratch = sys.argv[1], sys.argv[2].split(","), pathlib.Path(sys.argv[3])
guests = pathlib.Path(__file__).parent / "p3"
scratch.mkdir(parents=True, exist_ok=True)
failures = 0


def check(what, ok, detail=""):
    global failures
    if not ok:
        failures += 1
        print(f"FAILED {what}: {detail}")


def run(tier, guest, **how):
    command = [wafer, "run", "--tier", tier, str(guests / guest)]
    return subprocess.run(command, timeout=60, **how)


data = random.Random(1).randbytes(3_000_001)
(scratch / "in").write_bytes(data)

for tier in tiers:
    for guest in ("cat.wat", "copy.wat"):
        name = f"{guest} ({tier})"
        for what, text in (("nothing", b""), ("a byte", b"x"), ("much", data)):
            out = run(tier, guest, input=text, capture_output=True)
            check(f"{name}, {what} through pipes", (out.returncode, out.stdout) == (0, text),
                  f"exit code {out.returncode}, {len(out.stdout)} bytes, {out.stderr}")
        with open(scratch / "in", "rb") as source, open(scratch / "out", "wb") as to:
            code = run(tier, guest, stdin=source, stdout=to).returncode
        check(f"{name}, files", code == 0 and (scratch / "out").read_bytes() == data)
        # Whoever reads the output goes away: that is told, and is no crash.
        with open("/dev/zero", "rb") as source:
            process = subprocess.Popen([wafer, "run", "--tier", tier, str(guests / guest)],
                                       stdin=source, stdout=subprocess.PIPE)
            process.stdout.read(100_000)
            process.stdout.close()
            check(f"{name}, nobody reads", process.wait(60) == 1, process.returncode)
        # There is no output.
        out = subprocess.run(["sh", "-c", 'exec "$0" "$@" >&-', wafer, "run", "--tier", tier,
                              str(guests / guest)], input=b"x", timeout=60)
        check(f"{name}, no output", out.returncode == 1, out.returncode)
        # A slow reader and a slow writer: both wait, and nothing is lost.
        process = subprocess.Popen([wafer, "run", "--tier", tier, str(guests / guest)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for piece in (b"one", b"two"):
            process.stdin.write(piece)
            process.stdin.flush()
            got = process.stdout.read(len(piece))
            check(f"{name}, {piece}", got == piece, got)
        process.stdin.close()
        check(f"{name}, the end", process.stdout.read() == b"" and process.wait(60) == 0)
        process.stdout.close()
    # Its standard input gives nothing and does not end.
    process = subprocess.Popen([wafer, "run", "--tier", tier, str(guests / "cancel.wat")],
                               stdin=subprocess.PIPE)
    check(f"cancel.wat ({tier})", process.wait(60) == 0, process.returncode)
    process.stdin.close()

# ---- Time zones

if os.path.exists("/usr/share/zoneinfo/Europe/Berlin"):
    calls = ["iana-id()", "to-debug-string()", "utc-offset({seconds: 1750000000, nanoseconds: 0})",
             "utc-offset({seconds: -1, nanoseconds: 999999999})"]
    for zone, expected in {
            "Europe/Berlin": ['some("Europe/Berlin")', '"Europe/Berlin"', "some(7200000000000)",
                              "some(3600000000000)"],
            ":UTC": ['some("UTC")', '"UTC"', "some(0)", "some(0)"],
            "CET-1CEST,M3.5.0,M10.5.0/3": ["none", '"CET"', "some(7200000000000)",
                                           "some(3600000000000)"]}.items():
        got = [subprocess.run([wafer, "run", "--invoke", call, str(guests / "zone.wat")],
                              env={**os.environ, "TZ": zone}, timeout=60, text=True,
                              capture_output=True).stdout.strip() for call in calls]
        check(f"zone {zone}", got == expected, got)

# ---- A service

server = serve_test.Server(wafer, str(guests / "http.wat"), "--timeout", "1500ms", threads=1)


def request(method, body=None):
    return server.request(method, "/", body)


got = [request("GET") for _ in range(3)]
check("an instance for many requests", got == [(200, b"number %d" % n) for n in (1, 2, 3)], got)
got = request("POST", data)
check("echo", got == (200, data), got[0])
sleepers, began = [], time.monotonic()
threads = [threading.Thread(target=lambda: sleepers.append(request("PUT"))) for _ in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
check("at once", time.monotonic() - began < 1.2 and [s for s, _ in sleepers] == [200] * 8, sleepers)
got = [request("DELETE")[0], *(request("GET") for _ in range(2))]
check("a trap", got == [500, (200, b"number 1"), (200, b"number 2")], got)
got = [request("PATCH")[0], request("GET")]
check("one that hangs", got == [504, (200, b"number 1")], got)
server.process.send_signal(signal.SIGHUP)
while not any("loaded again" in e for e in server.errors) and time.monotonic() < began + 20:
    time.sleep(0.02)
got = [request("GET") for _ in range(3)]
check("an instance for many, loaded again", got == [(200, b"number %d" % n) for n in (1, 2, 3)], got)
got = server.stop()[0]
check("exit code", got == 0, got)

# ---- Requests whose clients are gone: cancelled, and the instance ends with those that do not end.

text = (guests / "http.wat").read_text()
callback = """(func (export "callback") (param $event i32) (param $index i32) (param $payload i32) (result i32)
"""
assert callback in text
# What a callback does with TASK_CANCELLED; http.wat itself traps.
for name, code in (("deaf", "(return (i32.or (i32.const 2) (i32.shl (call $get) (i32.const 4))))"),
                   ("spins", "(loop $l (br $l))")):
    (scratch / f"{name}.wat").write_text(
        text.replace(callback, f"{callback} (if (i32.eq (local.get $event) (i32.const 6)) (then {code}))\n"))


def leave(server):
    """A request for an hour, whose client goes away."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(b"PATCH / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    time.sleep(0.2)


server = serve_test.Server(wafer, str(guests / "http.wat"), threads=1)
beside = threading.Thread(target=lambda: sleepers.append(request("PUT")))
sleepers.clear()
beside.start()
leave(server)
beside.join()
check("a client is gone beside others", sleepers[0][0] == 200, sleepers)
check("a client is gone beside others: exit code", server.stop()[0] == 0)
servers = {name: serve_test.Server(wafer, str(folder / f"{name}.wat"), threads=1)
           for name, folder in (("http", guests), ("deaf", scratch), ("spins", scratch))}
for name, server in servers.items():
    leave(server)
    began = time.monotonic()
    # Others of an instance that traps are harmed, once.
    expected = {"http": b"number 1", "deaf": b"number 2", "spins": b"number 1"}[name]
    got = server.request("GET", "/")
    check(f"{name}: after a client is gone", got == (200, expected), got)
    check(f"{name}: in time", time.monotonic() - began < (7 if name == "spins" else 1))
leave(servers["http"])
got = servers["http"].request("GET", "/")
check("http: not cancelled again", got == (200, b"number 3"), got)
time.sleep(5.5)
for name, server in servers.items():
    got = server.request("GET", "/")
    check(f"{name}: after its time", got == (200, b"number 2" if name == "spins" else b"number 1"), got)
    check(f"{name}: exit code", server.stop()[0] == 0)

print("failed" if failures else "passed")
sys.exit(1 if failures else 0)
