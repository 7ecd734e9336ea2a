"""Runs the guests of WASI 0.1 as components for WASI 0.2, and one made for it.

They are made by `wafer component new` with the adapter of a crate, which `cargo vendor` gets
unless a folder of crates is given.

usage: p2_test.py WAFER TIERS GUESTS CLANG SCRATCH [VENDOR]
TIERS: by commas. GUESTS: folder of core modules. CLANG: command that makes some, by "|".
Exit code 77: the adapter cannot be had.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

from adapters import adapters

HERE = pathlib.Path(__file__).parent
INPUT = HERE / "expected/input.txt"
NETWORK = ["--allow-tcp", "127.0.0.1:*", "--allow-tcp-listen", "127.0.0.0/8:*", "--allow-udp",
           "127.0.0.1:*", "--allow-udp-bind", "127.0.0.1:0", "--allow-name-lookup"]
# Guest, folder it gets, options, arguments, input, exit code, part of standard error. An exit
# code other than 0 and 1 does not get through wasi:cli/exit of the adapter.
CASES = [
    ("c_hello", None, [], [], None, 0, "to stderr"),
    ("c_files", "/", [], [], None, 0, ""),
    ("c_args_env", None, ["--env", "GREETING=hello", "--env", "EMPTY="],
     ["one", "two words", "--flag"], None, 1, ""),
    ("c_filter", None, [], [], INPUT, 0, "4 22 105"),
    ("c_clocks", None, [], [], None, 0, ""),
    ("c_random_bytes", None, [], [], None, 0, ""),
    ("c_polling", "/", [], [], None, 0, ""),
    ("c_sorting", None, [], [], None, 0, ""),
    ("c_escape", "/", [], [], None, 0, ""),
    ("c_options", None, [], ["-v", "-n", "12", "-oout", "rest1", "rest2"], None, 0, ""),
    ("c_readonly", "ro:/", [], [], None, 0, ""),
    ("c_fd_table", "/", [], [], None, 0, ""),
    ("c_aborting", None, [], [], None, 134, "unreachable"),
    ("c_sleeping", None, ["--timeout", "300ms"], [], None, 134, "timed out"),
    ("c_spinning", None, ["--timeout", "300ms"], [], None, 134, "timed out"),
    ("rust_collections", None, [], [], None, 0, ""),
    ("rust_files", "/data", ["--env", "COLOR=red"], ["-x", "y"], INPUT, 1, ""),
    ("rust_panics", None, [], [], None, 134, "index out of bounds: the len is 3"),
    ("sockets", None, NETWORK, [], None, 0, ""),
    ("sockets", None, ["--env", "DENIED=1"], [], None, 0, ""),
]


def make_box(scratch):
    box = scratch / "box"
    (box / "inside").mkdir(parents=True)
    (scratch / "secret").write_text("the secret")
    (box / "inside/good").write_text("good")
    for name, target in {"up": "../secret", "absolute": "/etc/passwd", "parent": "..",
                         "root": "/", "good_link": "inside/good"}.items():
        (box / name).symlink_to(target)
    return box


class Guests:
    def __init__(self, wafer, guests, clang, scratch, folder):
        self.wafer, self.guests, self.clang, self.scratch = wafer, guests, clang, scratch
        self.adapters = folder
        self.made = {}

    def tool(self, *args):
        subprocess.run(list(map(str, args)), check=True, timeout=120)

    def component(self, name):
        if name in self.made:
            return self.made[name]
        core, kind = self.guests / f"{name}.wasm", "command"
        if (HERE / f"p2/{name}.c").exists():
            wit = self.scratch / "wit"
            shutil.rmtree(wit, ignore_errors=True)
            (wit / "deps").mkdir(parents=True)
            shutil.copy(HERE / f"p2/{name}.wit", wit)
            for file in (HERE.parent.parent / "src/wasi/p2/wit").glob("*.wit"):
                shutil.copy(file, wit / "deps")
            core, kind = self.scratch / f"{name}.core.wasm", "reactor"
            source = HERE / f"p2/{name}.c"
            clang = [*self.clang, "-std=gnu17", "-mexec-model=reactor", source, "-o", core]
            if f'"{name}.h"' in source.read_text():  # on bindings
                out = self.scratch / "bindings"
                self.tool(self.wafer, "bindgen", "c", wit, "-w", name, "-o", out)
                self.tool(*clang, "-I", out, out / f"{name}.c", out / f"{name}_component_type.o")
            else:
                self.tool(*clang)
                self.tool(self.wafer, "component", "embed", "--all-features", "--world", name, wit,
                          core, "-o", core)
        if not core.exists():
            return None
        out = self.scratch / f"{name}.wasm"
        adapter = self.adapters / f"wasi_snapshot_preview1.{kind}.wasm"
        self.tool(self.wafer, "component", "new", core, "--adapt",
                  f"wasi_snapshot_preview1={adapter}", "-o", out)
        self.made[name] = out
        return out


def run_case(guests, tier, case):
    name, folder, options, args, stdin, code, stderr = case
    component = guests.component(name)
    if component is None:
        return None
    label = name + ("_denied" if "DENIED=1" in options else "")
    command = [guests.wafer, "run", "--tier", tier, *options]
    scratch = guests.scratch / "run"
    shutil.rmtree(scratch, ignore_errors=True)
    box = make_box(scratch)
    if name == "rust_files":
        shutil.rmtree(box)
        box.mkdir()
    if folder:
        flag = "--ro-dir" if folder.startswith("ro:") else "--dir"
        command += [flag, f"{box}::{folder.removeprefix('ro:')}"]
    # Where WASI 0.1 names its program after the module, these are named alike.
    program = scratch / f"{name}.wasm"
    shutil.copy(component, program)
    environment = {**os.environ, "TZ": "CET-1CEST,M3.5.0,M10.5.0/3"}
    with open(stdin or os.devnull, "rb") as source:
        done = subprocess.run([*command, program, *args], stdin=source, capture_output=True,
                              text=True, timeout=60, env=environment)
    own = HERE / f"p2/expected/{label}.out"
    expected = own if own.exists() else HERE / "expected" / (label.replace("_", ".", 1) + ".out")
    failures = []
    if done.returncode != code:
        failures.append(f"exit code {done.returncode}, expected {code}")
    if done.stdout != expected.read_text():
        failures.append(f"standard output differs from {expected}:\n{done.stdout}")
    if stderr not in done.stderr or (not stderr and done.stderr):
        failures.append(f"standard error: {done.stderr}")
    if (scratch / "secret").read_text() != "the secret":
        failures.append("a file outside of the guest's folder was changed")
    return failures


def late_input(guests):
    """Input that comes in pieces while the guest waits, and output that nobody takes."""
    failures = []
    component = guests.component("c_filter")
    if component is None:
        return []
    guest = subprocess.Popen([guests.wafer, "run", component], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for word in ("a b\n", "c\n"):
        time.sleep(0.1)
        guest.stdin.write(word)
        guest.stdin.flush()
    guest.stdin.close()
    if guest.stdout.read() != "A B\nC\n" or guest.wait(20) != 0:
        failures.append("input in pieces did not all come out")
    guest = subprocess.Popen([guests.wafer, "run", component], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    guest.stdout.close()
    try:
        guest.stdin.write("text\n" * 100000)
        guest.stdin.close()
    except BrokenPipeError:
        pass
    if guest.wait(20) < 0:
        failures.append(f"a closed output killed it by signal {-guest.returncode}")
    return failures


def main():
    wafer, tiers, guests, clang, scratch = sys.argv[1:6]
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    guests = Guests(wafer, pathlib.Path(guests), clang.split("|"), scratch,
                    adapters(scratch, *sys.argv[6:7]))
    bad = count = 0
    for tier in tiers.split(","):
        for case in CASES:
            failures = run_case(guests, tier, case)
            if failures is None:
                print(f"not built: {case[0]}")
                continue
            count += 1
            for failure in failures:
                bad += 1
                print(f"{case[0]} ({tier}): {failure}")
    for failure in late_input(guests):
        bad += 1
        print(failure)
    print(f"{count} runs, {bad} failures")
    return 1 if bad or not count else 0


if __name__ == "__main__":
    sys.exit(main())
