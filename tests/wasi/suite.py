"""Runs the official WASI test-suite (its branch of ready programs) on the tool.

  suite.py WAFER TESTSUITE SCRATCH [--version 0.1|0.3] [--tier TIER] [--only TEXT] [-j N]

Each program has a description beside it (doc/specification.md of the suite): how it is run, and
what happens then. What does not apply is in suite_skip.txt, with why. Prints the failures and
counts; exit code 1 if something failed, 77 without programs.
"""

import argparse
import concurrent.futures
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

LIMIT = 60  # seconds for one program


class Failed(Exception):
    pass


# ---- What requests of guests are answered by


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def fields_to(self, end):
        fields = {}
        while (line := self.rfile.readline()) not in end:
            name, _, value = line.decode().partition(":")
            fields[name.strip().lower()] = value.strip()
        return fields

    def body(self):
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length", 0))), {}
        body = b""
        while line := self.rfile.readline():
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return body, self.fields_to((b"", b"\n", b"\r\n"))
            body += self.rfile.read(size)
            self.rfile.read(2)
        return body, {}

    def answer(self):
        body, trailers = self.body()
        endpoint = self.server.endpoints.get((self.command, self.path))
        status, fields, out, chunks, tail = 200, [], b"", None, {}
        if endpoint is None:
            status = 404
        elif endpoint.get("mode") == "echo-body":
            out = body
        elif endpoint.get("mode") == "echo-headers":
            fields = [("x-request-method", self.command), ("x-request-path", self.path)]
            for name in dict.fromkeys(key.lower() for key in self.headers.keys()):
                fields += [("x-echo-" + name, v) for v in self.headers.get_all(name, [])]
            fields += [("x-trailer-" + name, value) for name, value in trailers.items()]
        else:
            response = endpoint.get("response", "")
            if isinstance(response, str):
                response = {"body": response}
            status = response.get("status", 200)
            fields = list(response.get("headers", {}).items())
            out = response.get("body", "").encode()
            chunks = response.get("chunks")
            tail = response.get("trailers", {})
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if chunks is None:
            self.send_header("content-length", str(len(out)))
        else:
            self.send_header("transfer-encoding", "chunked")
            if tail:
                self.send_header("trailer", ", ".join(tail))
            out = b"".join(b"%x\r\n%s\r\n" % (len(c), c.encode()) for c in chunks) + b"0\r\n"
            out += b"".join(f"{n}: {v}\r\n".encode() for n, v in tail.items()) + b"\r\n"
        self.close_connection = True
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(out)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


# ---- One program


class Run:
    def __init__(self, options, program):
        self.options = options
        self.program = program
        self.scratch = options.scratch / (program.parents[2].name + "." + program.stem)
        description = program.with_suffix(".json")
        spec = json.loads(description.read_text()) if description.exists() else {}
        self.operations = spec.get("operations")
        if self.operations is None and {"proposals", "servers"} & spec.keys():
            self.operations = [{"type": "run"}, {"type": "wait"}]
        if self.operations is None:
            run = {k: v for k, v in spec.items() if k in ("args", "env", "root")}
            reads = [{"type": "read", "id": id, "payload": spec[id]}
                     for id in ("stdout", "stderr") if spec.get(id) is not None]
            wait = {"type": "wait", "exit_code": spec.get("exit_code", 0)}
            self.operations = [dict(run, type="run"), *reads, wait]
        self.spec = spec
        self.serves = spec.get("world") == "wasi:http/service"
        self.servers, self.sockets = [], {}
        self.process = self.address = None

    def run(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        killer = threading.Timer(LIMIT, lambda: self.process and self.process.kill())
        killer.start()
        try:
            for operation in self.operations:
                getattr(self, "do_" + operation["type"])(operation)
            return None
        except (Failed, OSError, http.client.HTTPException) as e:
            why = f"{type(e).__name__}: {e}"
            if self.process and self.process.poll() is None:
                self.process.kill()
            if self.process and not self.process.stderr.closed:
                why += "\n" + self.process.communicate()[1].decode(errors="replace")
            return why
        finally:
            killer.cancel()
            for s in self.sockets.values():
                s.close()
            for server in self.servers:
                server.shutdown()
                server.server_close()

    def do_run(self, operation):
        env = dict(operation.get("env", {}))
        for server in self.spec.get("servers", []):
            if server.get("kind") == "closed":
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    host, port = s.getsockname()
            else:
                serving = Server(("127.0.0.1", 0), Handler)
                serving.endpoints = {(e.get("method", "GET"), e.get("path", "/")): e
                                     for e in server.get("endpoints", [])}
                threading.Thread(target=serving.serve_forever, daemon=True).start()
                self.servers.append(serving)
                host, port = serving.server_address
            env["HTTP_SERVER_" + server["name"].upper()] = f"{host}:{port}"
        command = [self.options.wafer, "serve" if self.serves else "run"]
        if self.options.tier:
            command += ["--tier", self.options.tier]
        if self.serves:
            command += ["--addr", "127.0.0.1:0"]
        proposals = self.spec.get("proposals", [])
        if "sockets" in proposals or "http" in proposals:
            command += ["--inherit-network"]
        for name, value in env.items():
            command += ["--env", f"{name}={value}"]
        if root := operation.get("root"):
            copy = self.scratch / "root"
            # Changes are made to a copy.
            shutil.copytree(self.program.parent / root, copy, symlinks=True)
            command += ["--dir", f"{copy}::/"]
        command += [str(self.program), *operation.get("args", [])]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def do_read(self, operation):
        expected = operation.get("payload", "").encode()
        got = getattr(self.process, operation.get("id", "stdout")).read(len(expected))
        if got != expected:
            raise Failed(f"{operation}: read {got!r}")

    def do_write(self, operation):
        self.process.stdin.write(operation["payload"].encode())
        self.process.stdin.flush()

    def do_connect(self, operation):
        line = self.process.stdout.readline().decode().strip()
        found = re.fullmatch(r"(.*):(\d+)", line)
        if not found:
            raise Failed(f"{operation}: HOST:PORT expected, {line!r} found")
        address = (found[1], int(found[2]))
        self.sockets[operation["id"]] = socket.create_connection(address, timeout=LIMIT)

    def do_send(self, operation):
        self.sockets[operation["id"]].sendall(operation["payload"].encode())

    def do_recv(self, operation):
        expected = operation["payload"].encode()
        got = b""
        while len(got) < len(expected):
            piece = self.sockets[operation["id"]].recv(len(expected) - len(got))
            if not piece:
                break
            got += piece
        if got != expected:
            raise Failed(f"{operation}: received {got!r}")

    def do_request(self, operation):
        if not self.address:
            line = self.process.stderr.readline().decode()
            found = re.search(r"http://([^/\s]+)", line)
            if not found:
                raise Failed(f"no address in {line!r}")
            self.address = found[1]
        connection = http.client.HTTPConnection(self.address, timeout=LIMIT)
        connection.request(operation["method"], operation["path"],
                           operation.get("body", "").encode() or None,
                           operation.get("headers", {}))
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        expected = operation.get("response", {})
        if response.status != expected.get("status", 200):
            raise Failed(f"{operation}: status {response.status}, {body}")
        for name, value in expected.get("headers", {}).items():
            if response.getheader(name) != value:
                raise Failed(f"{operation}: {name}: {response.getheader(name)}")
        if "body" in expected and body != expected["body"]:
            raise Failed(f"{operation}: body {body!r}")
        connection.close()

    def do_kill(self, operation):
        self.process.send_signal(getattr(signal, operation.get("signal", "SIGTERM")))

    def do_wait(self, operation):
        out, err = self.process.communicate()
        code = self.process.returncode
        if code != operation.get("exit_code", 0):
            raise Failed(f"exit code {code}\n--- stdout\n{out.decode(errors='replace')}"
                         f"\n--- stderr\n{err.decode(errors='replace')}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wafer")
    parser.add_argument("suite", type=pathlib.Path)
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--version", default="*")
    parser.add_argument("--tier")
    parser.add_argument("--only", default="")
    parser.add_argument("-j", type=int, default=os.cpu_count())
    options = parser.parse_args()
    folder = "wasm32-wasip" + options.version.removeprefix("0.")
    skips = {}
    for line in (pathlib.Path(__file__).parent / "suite_skip.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, why = line.partition(" ")
            skips[name] = why.strip()
    programs = sorted(options.suite.glob(f"tests/*/testsuite/{folder}/*.wasm"))
    if not programs:
        print("no programs in", options.suite)
        return 77
    passed = failed = skipped = 0
    began = time.time()
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        waiting = []
        for program in programs:
            name = f"{program.parent.name}/{program.stem}"
            if options.only not in name:
                continue
            if name in skips:
                skipped += 1
                print(f"skipped {name}: {skips[name]}")
                continue
            waiting.append((name, pool.submit(Run(options, program).run)))
        for name, result in waiting:
            if why := result.result():
                failed += 1
                print(f"FAILED {name}: {why}\n")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped, in {time.time() - began:.1f} s")
    return 1 if failed or not passed else 0


sys.exit(main())
