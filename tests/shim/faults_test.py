#!/usr/bin/env python3
"""What goes wrong around containers: faults_test.py WAFER SHIM

Kills shims, containers and containerd, runs many at once, takes all memory, and never reads what
is written. In the end nothing is left: tasks, processes, sockets, control groups, mounts."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time

from lab import RUNTIME, Lab, need_machine, need_packages

need_machine()
need_packages("runc", "busybox-static", "containerd")
lab = Lab(sys.argv[1], sys.argv[2])
version = lab.containerd()
lab.check("import", lab.run("ctr", "images", "import", "--all-platforms", lab.images()[0]), 0)
WASM = ["--runtime", RUNTIME, "--platform", "wasi/wasm"]


def start(name, *program):
    lab.check(f"start {name}", lab.run("ctr", "run", "-d", *WASM, "localhost/wasm:1", name, *program),
              0)


def tasks():
    """By name: process and state."""
    lines = lab.run("ctr", "tasks", "ls").stdout.splitlines()[1:]
    return {w[0]: (int(w[1]), w[2]) for w in map(str.split, lines)}


def wait(what, condition, seconds=10):
    for _ in range(seconds * 20):
        if condition():
            return
        time.sleep(0.05)
    lab.expect(what, False)


def remove(*names):
    for name in names:
        lab.run("ctr", "tasks", "kill", "-s", "SIGKILL", name)
    wait("all have ended", lambda: not any(tasks().get(n, (0, ""))[1] == "RUNNING" for n in names))
    for name in names:
        lab.run("ctr", "tasks", "rm", name)
        lab.check(f"remove {name}", lab.run("ctr", "containers", "rm", name), 0)
    lab.expect("no task is left", not set(names) & set(tasks()), str(tasks()))


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0])


# Many at once; every one tells what it has to.
with concurrent.futures.ThreadPoolExecutor(24) as pool:
    ended = list(pool.map(lambda i: lab.run("ctr", "run", "--rm", *WASM, "localhost/wasm:1",
                                            f"many{i}"), range(72)))
for result in ended:
    lab.check("one of many", result, 42, "hello from wafer\n")

# Memory: what a program may not have, it does not get; what it may, it can fill, and if that is
# too much for the group, the kernel ends it and containerd is told.
events = lab.folder / "events"
lab.daemon(["sh", "-c", f"exec ctr events > {events}"], lambda: True, "events")
time.sleep(0.3)
hungry = lab.run("ctr", "run", "--rm", *WASM, "--memory-limit", str(24 << 20), "localhost/wasm:1",
                 "hungry", "/app.wasm#eat")
lab.check("out of memory", hungry, 137)
wait("an event of that", lambda: "/tasks/oom " in events.read_text())

# Nobody reads: the program waits, and can be ended.
writer = subprocess.Popen(["ctr", "run", *WASM, "localhost/wasm:1", "writer", "/app.wasm#flood"],
                          env=lab.env, stdout=subprocess.PIPE)
wait("it runs", lambda: "writer" in tasks())
time.sleep(0.5)
lab.expect("it is still there", tasks().get("writer", (0, ""))[1] == "RUNNING")
writer.send_signal(signal.SIGSTOP)
lab.run("ctr", "tasks", "kill", "-s", "SIGTERM", "writer")
wait("it has ended", lambda: tasks().get("writer", (0, ""))[1] != "RUNNING")
writer.kill()
writer.stdout.close()
writer.wait()
remove("writer")

# Each of them dies, while containers run, and have ended but are not removed.
for victim in ("container", "shim", "containerd"):
    start("spinning", "/app.wasm#spin")
    start("ended", "/app.wasm")
    start("server", "/http.wasm", "answer")
    wait("one has ended", lambda: tasks()["ended"][1] == "STOPPED")
    pids = {n: t[0] for n, t in tasks().items() if t[1] == "RUNNING"}
    lab.expect("two run", len(pids) == 2, str(tasks()))
    shims = {parent(pid) for pid in pids.values()}
    if victim == "containerd":
        lab.process.kill()
        lab.process.wait()
        lab.daemons.remove(lab.process)
        # Meanwhile one shim goes as well: both have to be found out.
        os.kill(parent(pids["spinning"]), signal.SIGKILL)
        (lab.folder / "c.sock").unlink()
        lab.containerd()
        lab.expect("the other goes on", tasks().get("server", (0, ""))[1] == "RUNNING", str(tasks()))
        lab.check("and answers", lab.get(pids["server"], 8080), 0, "answer\n")
    else:
        for pid in pids.values() if victim == "container" else shims:
            os.kill(pid, signal.SIGKILL)
    if victim != "containerd":
        wait(f"{victim}: all have ended",
             lambda: not any(t[1] == "RUNNING" for t in tasks().values()))
    wait("no process is left", lambda: victim == "containerd" or
         not any(pathlib.Path(f"/proc/{p}").exists() for p in pids.values()))
    remove("spinning", "ended", "server")

left = lab.left_behind("default")
lab.expect("nothing is left behind", not left, str(left))
lab.finish(f"faults, containerd {version}")
