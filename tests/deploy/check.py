#!/usr/bin/env python3
"""deploy/ without a cluster: check.py DEPLOY

The chart is rendered, and it and the samples are compared with the part of Kubernetes' interface
that they use; install-node runs on folders that stand for nodes."""

import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

try:
    import yaml
except ImportError:
    print("skipped: python3-yaml is needed")
    sys.exit(77)

DEPLOY = pathlib.Path(sys.argv[1])
FAILURES = []


def expect(what, condition):
    if not condition:
        FAILURES.append(what)


# ---- What there is in the interface. "!" marks what has to be there; a list is one of such, a
# dict with "*" is a map with any names.
QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?$")
NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
MAP = {"*": str}
META = {"name!": NAME, "namespace": NAME, "labels": MAP, "annotations": MAP}
SELECTOR = {"matchLabels!": MAP}
RESOURCES = {k: {"memory": QUANTITY, "cpu": QUANTITY} for k in ("requests", "limits")}
PROBE = {"httpGet": {"path!": str, "port!": (int, str)}, "tcpSocket": {"port!": (int, str)},
         "periodSeconds": int, "initialDelaySeconds": int}
CONTAINER = {
    "name!": NAME, "image!": str, "imagePullPolicy": re.compile("^(Always|IfNotPresent|Never)$"),
    "command": [str], "args": [str], "env": [{"name!": str, "value!": str}],
    "ports": [{"name": NAME, "containerPort!": int}], "readinessProbe": PROBE,
    "livenessProbe": PROBE, "resources!": RESOURCES, "securityContext": {"privileged": bool},
    "volumeMounts": [{"name!": NAME, "mountPath!": str, "readOnly": bool}]}
POD = {"runtimeClassName": NAME, "restartPolicy": re.compile("^(Never|OnFailure|Always)$"),
       "hostPID": bool, "automountServiceAccountToken": bool, "nodeSelector": MAP,
       "tolerations": [{"operator!": str}], "initContainers": [CONTAINER],
       "containers!": [CONTAINER],
       "volumes": [{"name!": NAME, "configMap": {"name!": NAME}, "secret": {"secretName!": NAME},
                    "emptyDir": {}, "hostPath": {"path!": str, "type": str}}]}
TEMPLATE = {"metadata!": {"labels!": MAP}, "spec!": POD}
KINDS = {
    ("v1", "ConfigMap"): {"data": MAP},
    ("v1", "Secret"): {"type": str, "stringData": MAP},
    ("v1", "Service"): {"spec!": {"selector!": MAP, "ports!": [
        {"name": NAME, "port!": int, "targetPort": (int, str)}]}},
    ("apps/v1", "Deployment"): {"spec!": {"replicas": int, "selector!": SELECTOR,
                                          "template!": TEMPLATE}},
    ("apps/v1", "DaemonSet"): {"spec!": {"selector!": SELECTOR, "template!": TEMPLATE}},
    ("batch/v1", "Job"): {"spec!": {"backoffLimit": int, "template!": TEMPLATE}},
    ("node.k8s.io/v1", "RuntimeClass"): {
        "handler!": NAME, "overhead": {"podFixed!": {"memory": QUANTITY, "cpu": QUANTITY}},
        "scheduling": {"nodeSelector": MAP}}}


def compare(at, value, shape):
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return expect(f"{at} is no object", False)
        if "*" in shape:
            for k, v in value.items():
                compare(f"{at}.{k}", v, shape["*"])
            return None
        known = {k.rstrip("!"): s for k, s in shape.items()}
        for k in shape:
            expect(f"{at} has no {k[:-1]}", not k.endswith("!") or k[:-1] in value)
        for k, v in value.items():
            if k in known:
                compare(f"{at}.{k}", v, known[k])
            else:
                expect(f"{at}: there is no field {k}", False)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            return expect(f"{at} is no list", False)
        for i, v in enumerate(value):
            compare(f"{at}[{i}]", v, shape[0])
    elif isinstance(shape, re.Pattern):
        expect(f"{at}: {value!r}", isinstance(value, str) and shape.match(value))
    else:
        expect(f"{at}: {value!r} is not of type {shape}",
               isinstance(value, shape) and (shape is not int or not isinstance(value, bool)))
    return None


def check(where, objects):
    """Each by itself, and what they say about each other."""
    names = {(o.get("kind"), o.get("metadata", {}).get("name")) for o in objects}
    pods = []
    for o in objects:
        kind = (o.get("apiVersion"), o.get("kind"))
        at = f"{where}: {o.get('kind')}"
        if kind not in KINDS:
            expect(f"{at}: no kind {kind}", False)
            continue
        compare(at, o, {"apiVersion!": str, "kind!": str, "metadata!": META, **KINDS[kind]})
        template = o.get("spec", {}).get("template")
        if not template:
            continue
        labels, pod = template["metadata"]["labels"], template["spec"]
        pods.append((labels, pod))
        wanted = o["spec"].get("selector", {}).get("matchLabels", {})
        expect(f"{at}: its selector does not select its pods", wanted.items() <= labels.items())
        volumes = {v["name"]: v for v in pod.get("volumes", [])}
        used = set()
        for c in pod.get("initContainers", []) + pod["containers"]:
            ports = {p.get("name") for p in c.get("ports", [])}
            for mount in c.get("volumeMounts", []):
                used.add(mount["name"])
                expect(f"{at}: no volume {mount['name']}", mount["name"] in volumes)
            for probe in ("readinessProbe", "livenessProbe"):
                for how in c.get(probe, {}).values():
                    port = how.get("port") if isinstance(how, dict) else None
                    expect(f"{at}: no port {port}", not isinstance(port, str) or port in ports)
        expect(f"{at}: a volume is not used", used == set(volumes))
        for v in volumes.values():
            for field, kind_of, name in (("configMap", "ConfigMap", "name"),
                                         ("secret", "Secret", "secretName")):
                if field in v:
                    expect(f"{at}: no {kind_of} {v[field][name]}", (kind_of, v[field][name]) in names)
    for o in objects:
        if o.get("kind") == "Service":
            wanted = o["spec"]["selector"].items()
            served = [p for labels, p in pods if wanted <= labels.items()]
            expect(f"{where}: a service selects nothing", served)
            ports = {p.get("name") for pod in served for c in pod["containers"]
                     for p in c.get("ports", [])}
            for port in o["spec"]["ports"]:
                expect(f"{where}: the service's port leads nowhere", port["targetPort"] in ports)
    return pods


# ---- The chart
values = yaml.safe_load((DEPLOY / "chart/values.yaml").read_text())
chart = yaml.safe_load((DEPLOY / "chart/Chart.yaml").read_text())
compare("Chart.yaml", chart, {"apiVersion!": re.compile("^v2$"), "name!": NAME, "description": str,
                              "type": str, "version!": re.compile(r"^\d+\.\d+\.\d+$"),
                              "appVersion": str})
USED = set()


def render(text):
    """The part of the template language that the chart uses."""
    def put(match):
        path, quote = match.groups()
        found = {"Values": values, "Release": {"Name": "release"}}
        for step in path[1:].split("."):
            found = found[step]
        USED.add(path)
        return f'"{found}"' if quote else str(found)
    text = re.sub(r"\{\{ (\.[A-Za-z.]+)( \| quote)? \}\}", put, text)
    expect("what is this template?\n" + text, "{{" not in text)
    return text


def leaves(value, path=".Values"):
    if not isinstance(value, dict):
        return {path}
    return {leaf for k, v in value.items() for leaf in leaves(v, f"{path}.{k}")}


objects = []
for file in sorted((DEPLOY / "chart/templates").glob("*.yaml")):
    objects += list(yaml.safe_load_all(render(file.read_text())))
check("chart", objects)
expect(f"values that nothing uses: {leaves(values) - USED}", leaves(values) <= USED)
expect("the chart lacks a kind", {o["kind"] for o in objects} == {"RuntimeClass", "DaemonSet"})
handler = next(o["handler"] for o in objects if o["kind"] == "RuntimeClass")

# ---- The samples
samples = sorted((DEPLOY / "samples").glob("*.yaml"))
expect("no samples", samples)
for file in samples:
    for _, pod in check(file.name, list(yaml.safe_load_all(file.read_text()))):
        expect(f"{file.name}: no such runtime class",
               pod.get("runtimeClassName") == values["runtimeClass"])

# ---- Nodes
SHIM = "usr/local/bin/containerd-shim-wafer-v1"
TLS = "usr/local/lib/wafer/libwafer-tls.so"
K3S = "var/lib/rancher/k3s/agent/etc/containerd"
V2, V3 = "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"
# What is on the node; the file that is changed; the table that containerd of that version reads.
NODES = [({}, "etc/containerd/config.toml", V2),
         ({"etc/containerd/config.toml": "version = 2\n[grpc]\n  gid = 5\n"},
          "etc/containerd/config.toml", V2),
         ({"etc/containerd/config.toml": "version = 3\nroot = '/r'"},
          "etc/containerd/config.toml", V3),
         ({f"{K3S}/config.toml": "version = 2\n"}, f"{K3S}/config.toml.tmpl", V2),
         ({f"{K3S}/config.toml": "version = 3\n"}, f"{K3S}/config.toml.tmpl", V3),
         ({f"{K3S}/config.toml": "version = 3\n", f"{K3S}/config-v3.toml.tmpl": "# ours\n"},
          f"{K3S}/config-v3.toml.tmpl", V3)]
for present, changed, table in NODES:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "node"
        shim = pathlib.Path(folder) / "shim"
        shim.write_text("the shim")
        tls = pathlib.Path(folder) / "libwafer-tls.so"
        for place, text in present.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(text)
        root.mkdir(exist_ok=True)

        def install(action):
            done = subprocess.run([DEPLOY / "install-node", "--root", root, "--shim", shim, action],
                                  capture_output=True, text=True)
            expect(f"install-node {action}: {done.stderr}", done.returncode == 0)
            return done.stdout + done.stderr

        expect("a missing library is not told", f"there is no {tls}" in install("install"))
        tls.write_text("TLS")
        install("install")
        first = (root / changed).read_text()
        parsed = tomllib.loads(first.replace('{{ template "base" . }}', "version = 2"))
        runtimes = parsed.get("plugins", {}).get(table, {}).get("containerd", {}).get("runtimes", {})
        expect(f"{present}: containerd does not know {handler}",
               runtimes.get(handler) == {"runtime_type": "io.containerd.wafer.v1"})
        expect("the shim is not there", (root / SHIM).read_text() == "the shim" and
               (root / SHIM).stat().st_mode & 0o777 == 0o755)
        expect("the library is not there", (root / TLS).read_text() == "TLS" and
               (root / TLS).stat().st_mode & 0o777 == 0o755)
        shim.write_text("a newer one")
        expect("a second time something changes",
               "knows already" in install("install") and (root / changed).read_text() == first)
        expect("the shim is not replaced", (root / SHIM).read_text() == "a newer one")
        install("remove")
        now = {str(f.relative_to(root)): f.read_text().strip()
               for f in root.rglob("*") if f.is_file()}
        expect("an empty folder is left", not (root / TLS).parent.exists())
        expect(f"removed, {now} is left of {present}",
               now == {k: v.strip() for k, v in present.items()})

for failure in FAILURES:
    print("FAILED", failure)
print(f"deploy: {len(objects)} objects of the chart, {len(samples)} samples, {len(NODES)} nodes; "
      f"{len(FAILURES)} failed")
sys.exit(1 if FAILURES else 0)
