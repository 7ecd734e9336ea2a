"""Components as toolchains make them: a command and an HTTP handler of each language.

usage: toolchains_test.py WAFER LANGUAGE SCRATCH
LANGUAGE: rust, javascript or python. What it needs is fetched by its package manager, at the
versions below. Exit code 77: that cannot be had.
"""
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import sys

from builds import RUST_TARGET, built, cargo, command, fetched, javascript_tools, worlds
from checks import check, finish

SOURCES = pathlib.Path(__file__).parent / "toolchains"
COMPONENTIZE_PY = "0.25.1"
WASIP2 = "2.0.1"


def rust(scratch):
    fetched(["rustup", "target", "add", RUST_TARGET])
    built(["rustc", "-O", "--edition=2021", f"--target={RUST_TARGET}", SOURCES / "command.rs",
           "-o", scratch / "command.wasm"])
    project = scratch / "handler"
    (project / "src").mkdir(parents=True)
    shutil.copy(SOURCES / "handler.rs", project / "src/lib.rs")
    (project / "Cargo.toml").write_text(
        '[package]\nname = "handler"\nversion = "0.1.0"\nedition = "2021"\n'
        f'[lib]\ncrate-type = ["cdylib"]\n[dependencies]\nwasip2 = "={WASIP2}"\n')
    (cargo(project, project / "target") / "handler.wasm").rename(scratch / "handler.wasm")


def javascript(scratch):
    componentize = javascript_tools(scratch)
    for name, world in ("command", "cmd"), ("handler", "serve"):
        componentize(SOURCES / f"{name}.js", world, scratch / f"{name}.wasm")


def python(scratch):
    fetched([sys.executable, "-m", "venv", scratch / "venv"])
    fetched([scratch / "venv/bin/pip", "install", "-q", f"componentize-py=={COMPONENTIZE_PY}"])
    wit = worlds(scratch / "wit", "0.2.12")
    for name, world in ("command", "cmd"), ("handler", "serve"):
        (scratch / name).mkdir()
        shutil.copy(SOURCES / f"{name}.py", scratch / name / "app.py")
        built([scratch / "venv/bin/componentize-py", "-d", wit, "-w", world, "componentize", "app",
               "-o", scratch / f"{name}.wasm"], cwd=scratch / name)


COMMANDS = {
    "rust": """["one", "two words"] Ok("red")
slept true
since 2020 true
read input
in a file
/data/a/b/y.txt 9
Err(PermissionDenied)
tcp ping
udp 4 pong
names true
hashed 1000
""",
    "javascript": """["one","two words"] [["COLOR","red"]]
since 2020 true random true
1,2,3 bbb SS 1180591620717411303424
sum 999989
""",
    "python": """['one', 'two words'] {'COLOR': 'red'}
{"a": [1, 2.5, null]} aXc 2d711642b726b044
True True
slept True
in a file ['x.txt'] 9
['y']
PermissionError
read input
""",
}
BIG = bytes(ord("a") + i % 26 for i in range(1 << 20))
# Method, path, body; status, a header, body.
REQUESTS = {
    "rust": [("POST", "/a?b", b"hello", 200, ("x-path", "/a?b"), b"HELLO"),
             ("GET", "/missing", None, 404, ("x-path", "/missing"), b""),
             ("POST", "/", BIG, 200, ("x-path", "/"), BIG.upper())],
    "javascript": [("POST", "/sum", b'{"values":[1,2,3]}', 200, ("x-kind", "sum"),
                    b'{"values":[1,2,3],"sum":6}'),
                   ("GET", "/parts", None, 200, ("x-kind", None),
                    b"".join(b"part %d\n" % i for i in range(5))),
                   ("PUT", "/x", b"", 404, ("x-kind", None), b"no /x for PUT")],
    "python": [("GET", "/a?b", None, 200, ("content-type", "application/json"),
                b'{"path": "/a?b", "x-names": ["x-one"]}')],
}


def run(wafer, language, scratch):
    folder = scratch / "data"
    folder.mkdir()
    (scratch / "secret").write_text("the secret")
    done = command([wafer, "run", "--env", "COLOR=red", "--dir", f"{folder}::/data",
                    "--inherit-network", scratch / "command.wasm", "one", "two words"],
                   input="input")
    check(f"{language}: command", done.stdout, COMMANDS[language])
    check(f"{language}: exit code", done.returncode, 1)
    check(f"{language}: folder", os.listdir(folder), [])


def serve(wafer, language, scratch):
    server = subprocess.Popen([wafer, "serve", "--addr", "127.0.0.1:0", scratch / "handler.wasm"],
                              stderr=subprocess.PIPE, text=True)
    try:
        line = server.stderr.readline()
        port = int(re.search(r":(\d+)/", line).group(1))
        for method, path, body, status, (name, value), answer in REQUESTS[language]:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            client.request(method, path, body, {"x-one": "1"})
            response = client.getresponse()
            check(f"{language}: {method} {path}",
                  (response.status, response.getheader(name), response.read()),
                  (status, value, answer))
            client.close()
    finally:
        server.terminate()
        check(f"{language}: end of the server", server.wait(20), 0)


wafer, language, scratch = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
shutil.rmtree(scratch, ignore_errors=True)
scratch.mkdir(parents=True)
{"rust": rust, "javascript": javascript, "python": python}[language](scratch)
run(wafer, language, scratch)
serve(wafer, language, scratch)
sys.exit(finish())
