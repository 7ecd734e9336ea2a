#!/usr/bin/env python3
"""The shim under Docker: docker_test.py WAFER SHIM FOLDER. Docker is kept in FOLDER."""

import sys
import time

from lab import RUNTIME, Lab, need_docker, need_machine, need_packages

need_machine()
need_packages("runc", "busybox-static", "iproute2")
lab = Lab(sys.argv[1], sys.argv[2], need_docker(sys.argv[3]))
containerd = lab.containerd()
lab.images()
config = lab.folder / "daemon.json"
config.write_text('{"features": {"containerd-snapshotter": true}}')
sock = lab.folder / "docker.sock"
lab.env["DOCKER_HOST"] = f"unix://{sock}"
# In the network namespace of containerd, where containers are to be.
lab.daemon(["nsenter", f"--net=/proc/{lab.process.pid}/ns/net", "dockerd", "--config-file", str(config),
            "--containerd", lab.env["CONTAINERD_ADDRESS"], "--host", f"unix://{sock}",
            "--data-root", str(lab.folder / "docker"), "--exec-root", str(lab.folder / "exec"),
            "--pidfile", str(lab.folder / "docker.pid"), "--iptables=false", "--ip6tables=false",
            "--bridge=none"],
           lambda: lab.run("docker", "version").returncode == 0, "dockerd")
version = lab.run("docker", "version", "--format", "{{.Server.Version}}").stdout.strip()
for image in ("wasm", "busybox"):
    lab.check("load", lab.run("docker", "load", "-i", lab.folder / f"{image}.tar"), 0)

OURS = ["--runtime", RUNTIME]
WASM = [*OURS, "--platform=wasi/wasm"]


def docker(*args, **more):
    return lab.run("docker", *args, **more)


lab.check("a module", docker("run", "--rm", *WASM, "localhost/wasm:1"), 42, "hello from wafer\n")
lab.check("an entry point", docker("run", "--rm", *WASM, "--entrypoint", "/app.wasm#add",
                                   "localhost/wasm:1", "40", "2"), 0, "42\n")
lab.check("variables", docker("run", "--rm", *WASM, "-e", "COLOUR=blue", "--entrypoint",
                              "/app.wasm#env", "localhost/wasm:1"), 0, "COLOUR=blue")
(lab.folder / "data").mkdir()
(lab.folder / "data/file").write_text("from outside\n")
lab.check("a volume", docker("run", "--rm", *WASM, "-v", f"{lab.folder}/data:/data:ro", "--entrypoint",
                             "/app.wasm#cat", "localhost/wasm:1"), 0, "from outside\n0\n")
lab.check("input", docker("run", "--rm", "-i", *WASM, "--entrypoint", "/app.wasm#echo",
                          "localhost/wasm:1", input="some\nlines\n"), 0, "some\nlines\n")
lab.check("a trap", docker("run", "--rm", *WASM, "--entrypoint", "/app.wasm#trap",
                           "localhost/wasm:1"), 134, err="trap: unreachable")
lab.check("a memory limit", docker("run", "--rm", *WASM, "-m", "64m", "--entrypoint",
                                   "/app.wasm#grow", "localhost/wasm:1"), 0, "-1\n")
lab.check("a user", docker("run", "--rm", *WASM, "--user", "1000:1000", "localhost/wasm:1"), 42,
          "hello from wafer\n")
lab.check("read-only, without capabilities",
          docker("run", "--rm", *WASM, "--read-only", "--cap-drop=ALL",
                 "--security-opt", "no-new-privileges", "localhost/wasm:1"), 42)
lab.check("no module", docker("run", "--rm", *WASM, "--entrypoint", "/bad.wasm", "localhost/wasm:1"),
          err="/bad.wasm:0x0: magic header not detected")
lab.check("no file", docker("run", "--rm", *WASM, "--entrypoint", "/none", "localhost/wasm:1"),
          err='cannot find "/none"')
lab.check("native", docker("run", "--rm", *OURS, "--hostname", "box", "--cpus", "0.5",
                           "localhost/busybox:1", "-c", "busybox hostname; exit 7"), 7, "box\n")
lab.check("filtered", docker("run", "--rm", *OURS, "localhost/busybox:1", "-c",
                             "busybox grep Seccomp: /proc/self/status"), 0, "Seccomp:\t2")
lab.check("out of memory", lab.run("sh", "-c", f"""
  docker run --name oom --runtime {RUNTIME} -m 16m localhost/busybox:1 -c 'busybox tail /dev/zero'
  docker inspect -f '{{{{.State.OOMKilled}}}} {{{{.State.ExitCode}}}}' oom; docker rm oom"""), 0,
          "true 137")
lab.check("a terminal", lab.run("script", "-qec", f"docker run --rm -it --runtime {RUNTIME} "
                                "localhost/busybox:1 -c 'test -t 0 && echo terminal; exit 5'",
                                "/dev/null"), 5, "terminal")

lab.check("a component", docker("run", "--rm", *WASM, "-e", "COLOUR=blue", "--entrypoint",
                                "/command.wasm", "localhost/wasm:1", "one"), 0, "one\n")
lab.check("a server", docker("run", "-d", "--name", "web", *WASM, "-e", "PORT=80", "--cpus", "1",
                             "--entrypoint", "/http.wasm", "localhost/wasm:1", "answer"), 0)
lab.check("its answer", lab.get(docker("inspect", "-f", "{{.State.Pid}}", "web").stdout.strip(), 80),
          0, "answer\n")
lab.check("stopped", docker("stop", "web"), 0)
lab.check("its exit code", docker("inspect", "-f", "{{.State.ExitCode}}", "web"), 0, "0\n")
lab.check("removed", docker("rm", "web"), 0)

lab.check("detached", docker("run", "-d", "--name", "wasm", *WASM, "--entrypoint", "/app.wasm#spin",
                             "localhost/wasm:1"), 0)
lab.check("listed", docker("ps"), 0, "wasm")
lab.check("added", docker("exec", "wasm", "/app.wasm"), 42, "hello from wafer\n")
lab.check("measured", docker("stats", "--no-stream", "wasm"), 0, "wasm")
lab.check("its processes", docker("top", "wasm"), 0)
lab.check("paused", docker("pause", "wasm"), 0)
lab.check("resumed", docker("unpause", "wasm"), 0)
lab.check("updated", docker("update", "-m", "100m", "--memory-swap", "200m", "wasm"), 0)
begin = time.monotonic()
lab.check("stopped", docker("stop", "wasm"), 0)
lab.expect("at once", time.monotonic() - begin < 5)
lab.check("its exit code", docker("inspect", "-f", "{{.State.ExitCode}}", "wasm"), 0, "143\n")
lab.check("removed", docker("rm", "wasm"), 0)
docker("run", "--name", "once", *WASM, "localhost/wasm:1")
lab.check("logs", docker("logs", "once"), 0, "hello from wafer\n")
lab.check("restarted", docker("start", "-a", "once"), 42, "hello from wafer\n")
lab.check("removed", docker("rm", "once"), 0)

left = lab.left_behind("docker")
lab.expect("nothing is left behind", not left, str(left))
lab.finish(f"Docker {version}, containerd {containerd}")
