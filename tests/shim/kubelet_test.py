#!/usr/bin/env python3
"""Static pods by a kubelet without a cluster: kubelet_test.py WAFER SHIM FOLDER

With the containerd that fetch_docker.sh has unpacked in FOLDER, its CRI plugin, Debian's network
plugins, and kubelet: the one of the PATH, or else one that go builds once, in FOLDER, if
WAFER_BUILD_KUBELET is set."""

import json
import os
import pathlib
import shutil
import signal
import sys
import time

from build_kubelet import build_kubelet
from lab import Lab, need_docker, need_machine, need_packages, skip

need_machine()
tools = need_docker(sys.argv[3])
kubelet = shutil.which("kubelet", path=f"{tools}:{os.environ['PATH']}")
if not kubelet:
    if not os.environ.get("WAFER_BUILD_KUBELET"):
        skip("no kubelet here (WAFER_BUILD_KUBELET=1 builds it with go)")
    wrong = build_kubelet(tools)
    if wrong:
        skip(f"kubelet cannot be built: {wrong}")
    kubelet = str(tools / "kubelet")
need_packages("runc", "busybox-static", "containernetworking-plugins")
lab = Lab(sys.argv[1], sys.argv[2], tools)
lab.use_cri()
version = lab.containerd()
lab.env["CONTAINERD_NAMESPACE"] = "k8s.io"
for image in (*lab.images(), lab.pause_image()):
    lab.check("import", lab.run("ctr", "images", "import", "--all-platforms", image), 0)

manifests, root, logs = (lab.folder / name for name in ("manifests", "kubelet", "pods"))
for place in (manifests, root, logs):
    place.mkdir()
(lab.folder / "kubelet.json").write_text(json.dumps({
    "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
    "staticPodPath": str(manifests), "podLogsDir": str(logs),
    "containerRuntimeEndpoint": f"unix://{lab.folder}/c.sock",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"}, "readOnlyPort": 10255,
    # As little of the machine as can be.
    "cgroupDriver": "cgroupfs", "cgroupsPerQOS": False, "enforceNodeAllocatable": [],
    "failSwapOn": False, "failCgroupV1": False, "makeIPTablesUtilChains": False,
    "oomScoreAdj": 0, "resolvConf": "", "localStorageCapacityIsolation": False,
    "imageGCHighThresholdPercent": 100, "imageMaximumGCAge": "0s",
    "evictionHard": {"memory.available": "0%", "nodefs.available": "0%",
                     "imagefs.available": "0%"},
    "fileCheckFrequency": "1s", "syncFrequency": "5s", "runtimeRequestTimeout": "30s"}))


def ask(path):
    answer = lab.run(*lab.in_network(), "busybox", "wget", "-qO-", f"http://127.0.0.1:10255/{path}")
    return answer.stdout if answer.returncode == 0 else ""


lab.daemon([*lab.in_network(), kubelet, "--config", str(lab.folder / "kubelet.json"), "--root-dir",
            str(root), "--cert-dir", str(root / "pki"), "--hostname-override", "lab"],
           lambda: ask("healthz") == "ok", "kubelet")


def containers(pod):
    """The states of a pod's containers, by name."""
    pods = json.loads(ask("pods") or "{}").get("items") or []
    found = next((p["status"] for p in pods if p["metadata"]["name"] == f"{pod}-lab"), {})
    return {"ip": found.get("podIP", ""), "phase": found.get("phase", ""),
            **{c["name"]: c for c in found.get("containerStatuses", [])}}


def wait_for(what, condition):
    lab.wait_for(what, condition, seconds=60)


def log_of(pod, name):
    return "".join(f.read_text() for f in logs.glob(f"*_{pod}-lab_*/{name}/*.log"))


def pod(name, containers_, **spec):
    for c in containers_:
        c.setdefault("imagePullPolicy", "Never")
    (manifests / f"{name}.json").write_text(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
        "spec": {"automountServiceAccountToken": False, "enableServiceLinks": False,
                 "terminationGracePeriodSeconds": 5, "containers": containers_, **spec}}))


# A server with probes and limits, a native program beside it, and a volume for both.
probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
volume = {"name": "shared", "mountPath": "/data"}
pod("web", [
    {"name": "web", "image": "localhost/wasm:1", "command": ["/http.wasm"],
     "args": ["hello from a static pod"], "readinessProbe": probe, "livenessProbe": probe,
     "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}},
    {"name": "side", "image": "localhost/busybox:1", "volumeMounts": [volume],
     "command": ["/bin/sh", "-c",
                 "echo from the side > /data/file; exec /bin/busybox sleep 100000"]},
], volumes=[{"name": "shared", "emptyDir": {}}])
wait_for("ready by its probe", lambda: containers("web").get("web", {}).get("ready"))
wait_for("the native one", lambda: containers("web").get("side", {}).get("ready"))
address = containers("web")["ip"]
lab.expect("an address", address.startswith("10.213."), address)
lab.check("an answer", lab.run(*lab.in_network(), "busybox", "wget", "-qO-",
                               f"http://{address}:8080/"), 0, "hello from a static pod")
lab.expect("one shim", len(lab.shim_sockets() - lab.sockets) == 1)

# What ends, with its log, its code, and what is mounted.
(lab.folder / "data").mkdir()
(lab.folder / "data/file").write_text("from the host\n")
pod("once", [{"name": "once", "image": "localhost/wasm:1"},
             {"name": "cat", "image": "localhost/wasm:1", "command": ["/app.wasm#cat"],
              "workingDir": "/", "volumeMounts": [volume]}],
    restartPolicy="Never",
    volumes=[{"name": "shared", "hostPath": {"path": str(lab.folder / "data")}}])
wait_for("its end", lambda: containers("once")["phase"] == "Failed")
ended = {name: containers("once").get(name, {}).get("state", {}).get("terminated", {})
         for name in ("once", "cat")}
lab.expect("its exit code", ended["once"].get("exitCode") == 42, str(ended))
lab.expect("the other's", ended["cat"].get("exitCode") == 0, str(ended))
lab.expect("its log", " stdout F hello from wafer\n" in log_of("once", "once"),
           log_of("once", "once"))
lab.expect("a file of a volume", " stdout F from the host\n" in log_of("once", "cat"),
           log_of("once", "cat"))

# What traps is started again.
pod("traps", [{"name": "traps", "image": "localhost/wasm:1", "command": ["/app.wasm#trap"]}])
wait_for("again", lambda: containers("traps").get("traps", {}).get("restartCount", 0) >= 1)
lab.expect("why", "unreachable" in log_of("traps", "traps"), log_of("traps", "traps")[-300:])

# As is what the system kills.
number = containers("web").get("web", {}).get("containerID", "").removeprefix("containerd://")
tasks = [line.split() for line in lab.run("ctr", "tasks", "ls").stdout.splitlines()]
server = next((int(words[1]) for words in tasks if words[0] == number), 0)
lab.expect("its process", server, str(tasks))
if server:
    os.kill(server, signal.SIGKILL)
    wait_for("after a kill",
             lambda: containers("web").get("web", {}).get("restartCount", 0) == 1 and
             containers("web")["web"]["ready"])

# All goes with the manifests.
for file in manifests.iterdir():
    file.unlink()
wait_for("no pods", lambda: not json.loads(ask("pods") or "{}").get("items"))
wait_for("nothing left behind", lambda: not lab.left_behind("k8s.io"))
lab.finish(f"kubelet without a cluster, containerd {version}")
