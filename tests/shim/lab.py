"""What the tests under real containerds share: images, daemons, checks. Root only."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

SKIPPED = 77
RUNTIME = "io.containerd.wafer.v1"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def need_machine():
    """Skips where containers cannot be made."""
    if os.geteuid() != 0:
        skip("root is needed for containers")
    if subprocess.run(["unshare", "-mpin", "--fork", "true"], stderr=subprocess.DEVNULL).returncode:
        skip("this machine lets nobody make namespaces")
    probe = pathlib.Path("/sys/fs/cgroup")
    probe = probe / "memory/wafer-probe" if (probe / "memory").is_dir() else probe / "wafer-probe"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        skip(f"control groups cannot be made: {error}")


def need_packages(*names):
    """Installs Debian packages that are missing."""
    missing = [n for n in names
               if "ok installed" not in subprocess.run(
                   ["dpkg-query", "-W", "-f=${Status}", n], capture_output=True,
                   text=True).stdout]
    if not missing:
        return
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for attempt in (["true"], ["apt-get", "update", "-qq"]):
        subprocess.run(attempt, env=environment, capture_output=True)
        if not subprocess.run(command, env=environment, capture_output=True).returncode:
            return
    skip(f"cannot install {' '.join(missing)}")


def need_docker(folder):
    """Docker and containerd of Debian 13, unpacked in `folder`: where their programs are."""
    script = pathlib.Path(__file__).parent / "fetch_docker.sh"
    fetched = subprocess.run([script, folder], capture_output=True, text=True)
    if fetched.returncode == SKIPPED:
        print(fetched.stdout)
        sys.exit(SKIPPED)
    if fetched.returncode:
        skip(f"Docker cannot be unpacked: {fetched.stderr[-300:]}")
    return pathlib.Path(folder) / "bin"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_image(path, name, system, architecture, files, entry):
    """An OCI image as a tar archive. `files`: place in the root -> content."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for place, content in files.items():
            entry_info = tarfile.TarInfo(place.lstrip("/"))
            entry_info.size, entry_info.mode = len(content), 0o755
            tar.addfile(entry_info, io.BytesIO(content))
    layer = layer.getvalue()
    config = json.dumps({
        "architecture": architecture, "os": system,
        "config": {"Entrypoint": entry, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}}).encode()
    kind = "application/vnd.oci.image."
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
        "config": {"mediaType": kind + "config.v1+json", "digest": digest(config),
                   "size": len(config)},
        "layers": [{"mediaType": kind + "layer.v1.tar", "digest": digest(layer),
                    "size": len(layer)}]}).encode()
    index = json.dumps({
        "schemaVersion": 2,
        "manifests": [{"mediaType": kind + "manifest.v1+json", "digest": digest(manifest),
                       "size": len(manifest),
                       "annotations": {"io.containerd.image.name": name,
                                       "org.opencontainers.image.ref.name": name.split(":")[-1]},
                       "platform": {"os": system, "architecture": architecture}}]}).encode()
    write_layout(path, index, (layer, config, manifest))


def write_layout(path, index, blobs):
    with tarfile.open(path, "w") as tar:
        parts = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
        parts.update({"blobs/sha256/" + hashlib.sha256(b).hexdigest(): b for b in blobs})
        for place, content in parts.items():
            info = tarfile.TarInfo(place)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def make_layers_image(path, name, kind, modules, config, system="wasi"):
    """The same of an image whose layers are the modules themselves, of type `kind`.
    `modules`: title -> content; `config`: its type and content."""
    config_type, config = config[0], json.dumps(config[1]).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": config_type, "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": kind, "digest": digest(m), "size": len(m),
                    "annotations": {"org.opencontainers.image.title": title}}
                   for title, m in modules.items()]}).encode()
    index = json.dumps({
        "schemaVersion": 2,
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
                       "digest": digest(manifest), "size": len(manifest),
                       "annotations": {"io.containerd.image.name": name},
                       "platform": {"os": system, "architecture": "wasm"}}]}).encode()
    write_layout(path, index, (*modules.values(), config, manifest))


PROGRAM = r"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "hello from wafer\n")
  (data (i32.const 128) "data/file")
  (func $print (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $copy (param $from i32)
    (loop $next
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 512))
      (i32.store (i32.const 8) (i32.const 0))
      (drop (call $read (local.get $from) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (call $print (i32.const 1024) (i32.load (i32.const 8)))
        (br $next)))))
  (func (export "_start")
    (call $print (i32.const 64) (i32.const 17))
    (call $exit (i32.const 42)))
  (func (export "echo") (call $copy (i32.const 0)))
  (func (export "env")
    (drop (call $sizes (i32.const 16) (i32.const 20)))
    (drop (call $environ (i32.const 4096) (i32.const 8192)))
    (call $print (i32.const 8192) (i32.load (i32.const 20))))
  (func (export "cat") (result i32)
    (local $status i32)
    (local.set $status (call $open (i32.const 3) (i32.const 1) (i32.const 128) (i32.const 9)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24)))
    (if (i32.eqz (local.get $status)) (then (call $copy (i32.load (i32.const 24)))))
    (local.get $status))
  (func (export "spin") (loop $l (br $l)))
  (func (export "flood") (loop $l (call $print (i32.const 64) (i32.const 1000)) (br $l)))
  (func (export "eat")
    (loop $l
      (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then
        (memory.fill (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536))
          (i32.const 1) (i32.const 65536))
        (br $l)))))
  (func (export "grow") (result i32) (memory.grow (i32.const 4000)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "trap") unreachable))"""


class Lab:
    """A containerd of our own, in a folder of its own, that finds the shim of this build."""

    def __init__(self, wafer, shim, tools=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wafer-lab-"))
        self.wafer = wafer
        path = [str(pathlib.Path(shim).parent)] + ([str(tools)] if tools else [])
        self.env = dict(os.environ, PATH=":".join([*path, os.environ["PATH"]]))
        self.daemons = []
        self.failures = 0
        self.checks = 0
        self.sockets = self.shim_sockets()
        self.cri = ""  # the configuration of containerd's CRI plugin, where it is wanted

    def use_cri(self):
        """Has containerd's CRI plugin, whose runtime is the shim, with a network of bridges in the
        namespace that containerd runs in."""
        net = self.folder / "net.d"
        net.mkdir()
        (net / "10-wafer.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0", "name": "wafer-lab", "plugins": [
                {"type": "bridge", "bridge": "waferlab0", "isGateway": True, "ipMasq": False,
                 "ipam": {"type": "host-local", "dataDir": str(self.folder / "ipam"),
                          "ranges": [[{"subnet": "10.213.0.0/16"}]]}}]}))
        self.cri = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  max_container_log_line_size = 16384
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{net}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "wafer"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.wafer]
    runtime_type = "io.containerd.wafer.v1"
    pod_annotations = ["wafer.*"]
    container_annotations = ["wafer.*"]
"""

    def in_network(self):
        """What runs a command in the network namespace of containerd."""
        return ["nsenter", f"--net=/proc/{self.process.pid}/ns/net"]

    @staticmethod
    def shim_sockets():
        place = pathlib.Path("/run/containerd/s")
        return set(place.iterdir()) if place.is_dir() else set()

    def daemon(self, command, ready, name):
        log = open(self.folder / f"{name}.log", "w")
        process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log,
                                   start_new_session=True)
        self.daemons.append(process)
        for _ in range(300):
            if process.poll() is not None:
                break
            if ready():
                return process
            time.sleep(0.1)
        print((self.folder / f"{name}.log").read_text()[-3000:])
        self.close()
        skip(f"{name} does not start here")

    def containerd(self):
        sock = self.folder / "c.sock"
        config = self.folder / "config.toml"
        config.write_text(f"""version = 2
root = "{self.folder}/root"
state = "{self.folder}/state"
disabled_plugins = [{"" if self.cri else '"io.containerd.grpc.v1.cri", '}"io.containerd.internal.v1.tracing"]
[grpc]
  address = "{sock}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{self.folder}/opt"
{self.cri}""")
        self.env["CONTAINERD_ADDRESS"] = str(sock)
        self.process = self.daemon(
            ["unshare", "-n", "containerd", "-c", str(config)],
            lambda: sock.exists() and self.run("ctr", "version").returncode == 0, "containerd")
        if self.cri:  # streams of exec are at an address of that namespace
            self.run(*self.in_network(), "busybox", "ip", "link", "set", "lo", "up")
        return self.run("ctr", "version").stdout.split("Server:")[1].split()[1]

    def run(self, *command, input=None, timeout=60):
        try:
            return subprocess.run([str(c) for c in command], env=self.env, input=input,
                                  capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            text = (late.stdout or b"").decode() + (late.stderr or b"").decode()
            return subprocess.CompletedProcess(command, -1, text, "timed out")

    def images(self):
        """The archives of the two images that all tests use."""
        text = self.folder / "app.wat"
        text.write_text(PROGRAM)
        self.run(self.wafer, "wat2wasm", text, "-o", self.folder / "app.wasm")
        self.run(self.wafer, "compile", text, "-o", self.folder / "app.wcode")
        self.components()
        for out, options in (("http.wcode", ["--interruptible"]), ("endless.wcode", [])):
            self.run(self.wafer, "compile", *options, self.folder / "http.wasm", "-o",
                     self.folder / out)
        wasm = {f"/{n}": (self.folder / n).read_bytes()
                for n in ("app.wat", "app.wasm", "app.wcode", "command.wasm", "http.wasm",
                          "large.wasm", "other.wasm", "http.wcode", "endless.wcode")
                if (self.folder / n).exists()}
        wasm["/bad.wasm"] = b"no module"
        make_image(self.folder / "wasm.tar", "localhost/wasm:1", "wasi", "wasm", wasm, ["/app.wasm"])
        return [self.folder / "wasm.tar",
                self.native_image("busybox", ["/bin/busybox", "/bin/sh"], ["/bin/sh"])]

    def native_image(self, name, places, entry):
        """The archive of an image with busybox at these places."""
        busybox = pathlib.Path("/bin/busybox").read_bytes()
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        make_image(self.folder / f"{name}.tar", f"localhost/{name}:1", "linux", architecture,
                   {place: busybox for place in places}, entry)
        return self.folder / f"{name}.tar"

    def pause_image(self):
        """What holds a pod's namespaces."""
        return self.native_image("pause", ["/pause", "/bin/sleep"], ["/bin/sleep", "1000000"])

    def layer_image(self):
        """One that is nothing but modules, as layers. containerd takes those from 1.7 on."""
        app, bad = (self.folder / "app.wasm").read_bytes(), b"no module"
        http = self.folder / "large.wasm"
        make_layers_image(
            self.folder / "layers.tar", "localhost/layers:1",
            "application/vnd.wasm.content.layer.v1+wasm",
            {"first.wasm": app, "command.wasm": (self.folder / "command.wasm").read_bytes(),
             "bad.wasm": bad, **({"http.wasm": http.read_bytes()} if http.exists() else {})},
            ("application/vnd.oci.image.config.v1+json",
             {"architecture": "wasm", "os": "wasi", "config": {"Entrypoint": ["/first.wasm"]},
              "rootfs": {"type": "layers", "diff_ids": []}}))
        return self.folder / "layers.tar"

    def components(self):
        """Of WASI 0.2, from the core modules beside this file."""
        here = pathlib.Path(__file__).parent
        shutil.copytree(here / "../../src/wasi/p2/wit", self.folder / "wit/deps")
        shutil.copy(here / "guests/guests.wit", self.folder / "wit")
        for name in ("command", "http"):
            core, out = self.folder / f"{name}.core.wasm", self.folder / f"{name}.wasm"
            self.check(name, self.run(self.wafer, "component", "embed", "--all-features", "--world",
                                      name, self.folder / "wit", here / f"guests/{name}.wat",
                                      "-o", core), 0)
            self.check(name, self.run(self.wafer, "component", "new", core, "-o", out), 0)
        # With a custom section of 256 KiB: what is as large is mapped, and so is its code.
        for name, value in (("large", b"\0"), ("other", b"\1")):
            (self.folder / f"{name}.wasm").write_bytes(
                (self.folder / "http.wasm").read_bytes() + b"\0\x84\x80\x10\3pad" +
                value * (256 << 10))

    def get(self, pid, port, times=1):
        """What is answered at a port, in the network namespace of a process."""
        return self.run("nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-c",
                        "import urllib.request as u\n"
                        f"for _ in range({times}):\n"
                        f"    a = u.urlopen('http://127.0.0.1:{port}/', timeout=10).read().decode()\n"
                        "print(a)")

    def check(self, what, result, code=None, out=None, err=None):
        """`out` and `err` are to be found in what was printed; `code` is the exit code."""
        self.checks += 1
        wrong = []
        if code is not None and result.returncode != code:
            wrong.append(f"exit code {result.returncode}, not {code}")
        for name, want, have in (("output", out, result.stdout), ("errors", err, result.stderr)):
            if want is not None and want not in have:
                wrong.append(f"{name} without {want!r}")
        if wrong:
            self.failures += 1
            print(f"FAILED {what}: {'; '.join(wrong)[:300]}\n  out: {result.stdout[-600:]!r}\n"
                  f"  err: {result.stderr[-600:]!r}")

    def expect(self, what, condition, detail=""):
        self.checks += 1
        if not condition:
            self.failures += 1
            print(f"FAILED {what} {detail}")

    def wait_for(self, what, condition, seconds=20, detail=lambda: "did not come"):
        """A check that it comes in time."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return self.expect(what, False, detail())
            time.sleep(0.05)

    def left_behind(self, group):
        """What should be gone once all containers are: processes, sockets, groups, mounts."""
        found = []
        for _ in range(100):
            found = [str(s) for s in self.shim_sockets() - self.sockets]
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if words[0].endswith(b"containerd-shim-wafer-v1") and \
                        str(self.folder).encode() in b" ".join(words):
                    found.append(f"process {process.name}")
            for root in ("/sys/fs/cgroup", *pathlib.Path("/sys/fs/cgroup").glob("*")):
                place = pathlib.Path(root) / group
                if place.is_dir():
                    found += [str(g) for g in place.iterdir() if g.is_dir()]
            mounts = pathlib.Path("/proc/self/mountinfo").read_text()
            found += [m for m in mounts.split() if m.startswith(str(self.folder)) and "rootfs" in m]
            if not found:
                return []
            time.sleep(0.05)
        return found

    def close(self):
        for process in reversed(self.daemons):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        subprocess.run(f"awk '{{print $5}}' /proc/self/mountinfo | grep ^{self.folder} | sort -r "
                       "| xargs -r -n1 umount -l", shell=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, title):
        if self.failures:
            for log in self.folder.glob("*.log"):
                print(f"--- {log.name}\n{log.read_text()[-2500:]}")
        self.close()
        print(f"{title}: {self.checks} checks, {self.failures} failed")
        sys.exit(1 if self.failures else 0)
