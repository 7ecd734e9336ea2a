"""Components in C on the bindings that `wafer bindgen c` makes of echo.wit."""
import json
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).parent
FLAGS = ["--target=wasm32-wasi", "-Wno-deprecated", "-Wall", "-Wextra", "-Werror"]


def run(*command, cwd=None):
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          timeout=120)


def compiler(scratch):
    (scratch / "probe.c").write_text("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n")
    for name in ("clang-22", "clang"):
        path = shutil.which(name)
        if path and run(path, *FLAGS[:2], "-mexec-model=reactor", "probe.c", "-o", "probe.wasm",
                        cwd=scratch).returncode == 0:
            return path
    print("skipped: there is no clang with a C library for WASI")
    sys.exit(77)


def build(wafer, clang, scratch, step):
    """Makes echo.wasm and relay.wasm; step() runs a command and tells whether that was good."""
    for world in ("echo", "relay"):
        if not (step(wafer, "bindgen", "c", SOURCE / "echo.wit", "-w", world, "-o", ".") and
                step(clang, *FLAGS, "-O2", "-mexec-model=reactor", "-I.", f"{world}.c",
                     SOURCE / f"{world}_impl.c", f"{world}_component_type.o", "-o",
                     f"{world}.m.wasm") and
                step(wafer, "component", "new", f"{world}.m.wasm", "-o", f"{world}.wasm") and
                step(wafer, "component", "targets", SOURCE / "echo.wit", f"{world}.wasm", "-w",
                     world)):
            return False
    return True


def steps(scratch, failures):
    def step(*command):
        done = run(*command, cwd=scratch)
        if done.returncode:
            failures.append(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.returncode == 0
    return step


def worlds(wafer, folder):
    """Every world of the specification's inputs: the path of its package, and its name."""
    for path in sorted(folder.iterdir()):
        tree = run(wafer, "wit", "--json", "--all-features", path)
        if path.suffix not in (".wit", "") or tree.returncode:
            continue
        tree = json.loads(tree.stdout)
        for world in tree["worlds"]:
            package, _, version = tree["packages"][world["package"]]["name"].partition("@")
            yield path, f"{package}/{world['name']}" + (f"@{version}" if version else "")
