#!/usr/bin/env python3
"""Pods through the container runtime interface: cri_test.py WAFER SHIM FOLDER [COUNT]

With the containerd that fetch_docker.sh has unpacked in FOLDER, its CRI plugin, Debian's network
plugins, and crictl: the one of the PATH, or else one that go builds once, in FOLDER, if
WAFER_BUILD_CRICTL is set. COUNT containers run at once (default: 10)."""

import json
import os
import pathlib
import subprocess
import sys
import time

from lab import Lab, need_docker, need_machine, need_packages, skip

need_machine()
tools = need_docker(sys.argv[3])
crictl = tools / "crictl"
if not crictl.exists():
    found = subprocess.run(["sh", "-c", "command -v crictl"], capture_output=True, text=True)
    if found.returncode == 0:
        crictl = pathlib.Path(found.stdout.strip())
    elif os.environ.get("WAFER_BUILD_CRICTL"):
        made = subprocess.run(["go", "install", "sigs.k8s.io/cri-tools/cmd/crictl@v1.37.0"],
                              env=dict(os.environ, GOBIN=str(tools)), capture_output=True, text=True)
        if made.returncode:
            skip(f"crictl cannot be built: {made.stderr[-300:]}")
    else:
        skip("no crictl here (WAFER_BUILD_CRICTL=1 builds it with go)")
need_packages("runc", "busybox-static", "containernetworking-plugins")
count = int(sys.argv[4]) if sys.argv[4:] else 10
lab = Lab(sys.argv[1], sys.argv[2], tools)

lab.use_cri()
version = lab.containerd()

endpoint = f"unix://{lab.folder}/c.sock"
lab.env["CONTAINERD_NAMESPACE"] = "k8s.io"


def cri(*words, **more):
    return lab.run(*lab.in_network(), crictl, "-c", lab.folder / "crictl.yaml",
                   "--runtime-endpoint", endpoint, "--image-endpoint", endpoint,
                   "--timeout", "60s", *words, **more)


(lab.folder / "crictl.yaml").write_text("")
if cri("info").returncode:
    print((lab.folder / "containerd.log").read_text()[-2000:])
    lab.close()
    skip(f"the CRI plugin of containerd {version} does not start here")

for image in (*lab.images(), lab.layer_image(), lab.pause_image()):
    lab.check("import", lab.run("ctr", "images", "import", "--all-platforms", image), 0)

logs = lab.folder / "logs"
logs.mkdir()


def pod(name, **more):
    """Runs a pod; gives its number and the file that describes it."""
    file = lab.folder / f"pod-{name}.json"
    file.write_text(json.dumps({
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "attempt": 1},
        "log_directory": str(logs), "linux": {"cgroup_parent": "/wafer-cri"}, **more}))
    made = cri("runp", "--runtime", "wafer", file)
    lab.check(f"pod {name}", made, 0)
    return made.stdout.strip(), file


def container(in_pod, name, image, command=(), args=(), **more):
    """Makes and starts a container; gives its number."""
    number, pod_file = in_pod
    file = lab.folder / f"container-{name}.json"
    file.write_text(json.dumps({
        "metadata": {"name": name}, "image": {"image": image}, "command": list(command),
        "args": list(args), "log_path": f"{name}.log", "linux": {}, **more}))
    made = cri("create", number, file, pod_file)
    lab.check(f"create {name}", made, 0)
    started = cri("start", made.stdout.strip())
    lab.check(f"start {name}", started, more.pop("code", 0))
    return made.stdout.strip()


def state(number):
    told = cri("inspect", number)
    return json.loads(told.stdout)["status"] if told.returncode == 0 else {}


def figures(number):
    """The memory that it works with, in bytes, and the processor time, in nanoseconds."""
    told = cri("stats", "-a", "-o", "json", "--id", number)
    for one in json.loads(told.stdout).get("stats", []) if told.returncode == 0 else []:
        return (int(one.get("memory", {}).get("workingSetBytes", {}).get("value", 0)),
                int(one.get("cpu", {}).get("usageCoreNanoSeconds", {}).get("value", 0)))
    return 0, 0


def log_of(name):
    place = logs / f"{name}.log"
    return place.read_text() if place.exists() else ""


# WebAssembly and native programs side by side.
first = pod("first")
server = container(first, "web", "localhost/wasm:1", ["/http.wasm"], ["hello from a pod"])
side = container(first, "side", "localhost/busybox:1", ["/bin/busybox"], ["sleep", "100000"])
once = container(first, "once", "localhost/wasm:1")
layered = container(first, "layered", "localhost/layers:1", ["/first.wasm#add"], ["40", "2"])
lab.wait_for("an end", lambda: state(once).get("state") == "CONTAINER_EXITED")
lab.expect("its exit code", state(once).get("exitCode") == 42, str(state(once))[-300:])
lab.wait_for("its log", lambda: " stdout F hello from wafer\n" in log_of("once"))
lab.check("its log, by crictl", cri("logs", once), 0, "hello from wafer\n")
lab.wait_for("what a layer prints", lambda: " stdout F 42\n" in log_of("layered"))
# One shim for the pod.
lab.expect("one shim", len(lab.shim_sockets() - lab.sockets) == 1)
# By the pod's address and from beside it.
address = json.loads(cri("inspectp", first[0]).stdout)["status"]["network"]["ip"]
lab.expect("an address", address.startswith("10.213."), address)
lab.check("an answer by the pod's address",
          lab.run(*lab.in_network(), "busybox", "wget", "-qO-",
                  f"http://{address}:8080/"), 0, "hello from a pod")
lab.check("an answer from beside it",
          cri("exec", side, "/bin/busybox", "wget", "-qO-", "http://127.0.0.1:8080/"), 0,
          "hello from a pod")
lab.check("a native process is added", cri("exec", side, "/bin/sh", "-c", "echo $((6*7)); exit 3"),
          1, "42\n")
lab.check("a module is added", cri("exec", "-s", server, "/app.wasm#add", "40", "2"), 0, "42\n")
lab.wait_for("figures of the server", lambda: all(figures(server)))
lab.wait_for("figures of a native program", lambda: figures(side)[0] > 0)
lab.check("the pod's figures", cri("statsp", first[0]), 0)

# What is wrong is said.
broken = cri("create", first[0], lab.folder / "container-once.json", lab.folder / "none.json")
lab.check("no such pod file", broken, 1)
(lab.folder / "container-broken.json").write_text(json.dumps({
    "metadata": {"name": "broken"}, "image": {"image": "localhost/wasm:1"},
    "command": ["/none.wasm"], "log_path": "broken.log", "linux": {}}))
made = cri("create", first[0], lab.folder / "container-broken.json", first[1])
lab.check("no such program", cri("start", made.stdout.strip()), 1, err="/none.wasm")

# Stopping: SIGTERM, and SIGKILL for those that do not mind it.
began = time.monotonic()
lab.check("stop", cri("stop", "-t", "10", server), 0)
lab.expect("it ends by SIGTERM", time.monotonic() - began < 8 and state(server)["exitCode"] == 0,
           str(state(server))[-300:])
lab.check("stop a native one", cri("stop", "-t", "1", side), 0)

# containerd starts anew while containers are being made, and finds those of before.
second = pod("second")
spinning = container(second, "spinning", "localhost/wasm:1", ["/app.wasm#spin"])
(lab.folder / "container-load.json").write_text(json.dumps({
    "metadata": {"name": "load"}, "image": {"image": "localhost/wasm:1"}, "log_path": "load.log",
    "linux": {}}))
ask = f"{crictl} -c {lab.folder}/crictl.yaml -r {endpoint} -i {endpoint} -t 10s"
load = subprocess.Popen(
    ["sh", "-c", f"""while :; do
  id=$({ask} create {second[0]} {lab.folder}/container-load.json {second[1]}) && {ask} start $id
  {ask} rm -f $id
done >/dev/null 2>&1"""], env=lab.env, start_new_session=True)
for _ in range(2):
    time.sleep(0.7)
    lab.process.kill()
    lab.process.wait()
    lab.daemons.remove(lab.process)
    (lab.folder / "c.sock").unlink()
    lab.containerd()
    lab.expect("still running", state(spinning).get("state") == "CONTAINER_RUNNING",
               str(state(spinning))[-300:])
os.killpg(load.pid, 9)
load.wait()
lab.check("exec after that", cri("exec", "-s", spinning, "/app.wasm#add", "1", "2"), 0, "3\n")

# Many at once, in one pod.
many = pod("many")
for i in range(count):
    (lab.folder / f"many-{i}.json").write_text(json.dumps({
        "metadata": {"name": f"many{i}"}, "image": {"image": "localhost/wasm:1"},
        "command": ["/app.wasm#echo"], "stdin": True, "log_path": f"many{i}.log", "linux": {}}))
began = time.monotonic()
script = f"""seq 0 {count - 1} | xargs -P 8 -I@ sh -c '
  id=$({ask} create {many[0]} {lab.folder}/many-@.json {many[1]}) && {ask} start $id'"""
lab.check("many", lab.run("sh", "-c", script, timeout=250), 0)
took = time.monotonic() - began
running = [c for c in json.loads(cri("ps", "-o", "json").stdout)["containers"]
           if c["podSandboxId"] == many[0]]
lab.expect("all of them run", len(running) == count, f"{len(running)} of {count}")
print(f"{count} containers at once in one pod: {took:.1f} s")

# All goes.
lab.check("removed", cri("rmp", "-f", "-a"), 0)
lab.expect("nothing is left behind", not lab.left_behind("wafer-cri"),
           str(lab.left_behind("wafer-cri"))[:600])
lab.finish(f"CRI of containerd {version}, crictl")
