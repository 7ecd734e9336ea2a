#!/usr/bin/env python3
"""The shim under a real containerd: containerd_test.py WAFER SHIM [FOLDER]

The containerd that Debian installs, or the one that fetch_docker.sh has unpacked in FOLDER."""

import hashlib
import os
import pathlib
import re
import sys
import time

from lab import RUNTIME, Lab, need_docker, need_machine, need_packages

need_machine()
need_packages("runc", "busybox-static", *([] if sys.argv[3:] else ["containerd"]))
lab = Lab(sys.argv[1], sys.argv[2], need_docker(sys.argv[3]) if sys.argv[3:] else None)
version = lab.containerd()
for image in lab.images():
    lab.check("import", lab.run("ctr", "images", "import", "--all-platforms", image), 0)

WASM, BUSYBOX = ["--platform", "wasi/wasm", "localhost/wasm:1"], ["localhost/busybox:1"]
names = iter(f"c{i}" for i in range(1000))
# Whether the kernel tells which pages were written (PAGEMAP_SCAN).
WRITTEN_PAGES = [int(n) for n in re.findall("\\d+", os.uname().release)[:2]] >= [6, 7]


def run(image, *args, options=(), **more):
    return lab.run("ctr", "run", "--rm", "--runtime", RUNTIME, *options, *image, next(names), *args,
                   **more)


def end(container, signal="SIGKILL"):
    """Ends a task and waits for it; then removes it with its container."""
    lab.check("ended", lab.run("ctr", "tasks", "kill", "-s", signal, container))
    for _ in range(200):
        if not any(line.split()[0] == container and "RUNNING" in line
                   for line in lab.run("ctr", "tasks", "ls").stdout.splitlines()):
            break
        time.sleep(0.05)
    task = lab.run("ctr", "tasks", "rm", container)
    lab.check("removed", lab.run("ctr", "containers", "rm", container), 0)
    return task


# What programs do.
lab.check("a module", run(WASM), 42, "hello from wafer\n")
lab.check("an entry point", run(WASM, "/app.wasm#add", "40", "2"), 0, "42\n")
lab.check("text", run(WASM, "/app.wat"), 42, "hello from wafer\n")
if (lab.folder / "app.wcode").exists():
    lab.check("machine code", run(WASM, "/app.wcode"), 42, "hello from wafer\n")
lab.check("variables", run(WASM, "/app.wasm#env", options=["--env", "COLOUR=blue"]), 0,
          "COLOUR=blue")
lab.check("input", run(WASM, "/app.wasm#echo", input="line\n" * 30000), 0, "line\n" * 30000)
(lab.folder / "data").mkdir()
(lab.folder / "data/file").write_text("from outside\n")
mount = ["--mount", f"type=bind,src={lab.folder}/data,dst=/data,options=rbind:ro"]
lab.check("a mount", run(WASM, "/app.wasm#cat", options=mount), 0, "from outside\n0\n")
lab.check("a trap", run(WASM, "/app.wasm#trap"), 134, err="trap: unreachable")
lab.check("no module", run(WASM, "/bad.wasm"), 1, err="/bad.wasm:0x0: magic header not detected")
lab.check("no file", run(WASM, "/none"), 1, err='cannot find "/none"')
lab.check("a memory limit", run(WASM, "/app.wasm#grow",
                                options=["--memory-limit", str(64 << 20)]), 0, "-1\n")
lab.check("no such option", run(WASM, options=["--runtime-config-path", "/etc/hostname"]), 1,
          err="the runtime's options")
lab.check("filtered system calls", run(WASM, options=["--seccomp"]), 42, "hello from wafer\n")

# Components.
component = run(WASM, "/command.wasm", "one", options=["--env", "COLOUR=blue"])
lab.check("a component", component, 0, "blue\n")
lab.check("its folder and arguments", component, 0, "/\n/command.wasm\none\n")
lab.check("its exit code", run(WASM, "/command.wasm", "one", "two"), 1)
lab.check("its entry point", run(WASM, "/command.wasm#add", "40", "2"), 0, "42\n")
lab.check("no entry point", run(WASM, "/command.wasm#sub"), 1, err="no exported function")


LABEL = "containerd.io/gc.ref.content.wafer-"


def codes():
    """Machine code by the layer that it was made of, as containerd's content store has it."""
    found = {}
    for line in lab.run("ctr", "content", "ls").stdout.splitlines():
        at = line.find(LABEL)
        if at >= 0:
            found[line.split()[0]] = re.split("[,\\s]", line[at:])[0].split("=")
    return found


def wait_for(what, condition):
    lab.wait_for(what, condition, detail=lambda: lab.run("ctr", "content", "ls").stdout)


def pid_of(container):
    for line in lab.run("ctr", "tasks", "ls").stdout.splitlines():
        if line.split()[0] == container:
            return line.split()[1]
    return "0"


def end_server(container):
    lab.check("it ends well", end(container, "SIGTERM"), 0)


def runs_code(pid):
    """Whether a process runs machine code that came from containerd's content store."""
    return re.search("r-xp .*memfd:layer", pathlib.Path(f"/proc/{pid}/maps").read_text())


def served_by_code(image, program):
    """A server goes on by the machine code that is made beside it, or was by another one."""
    for name in ("maker", "taker"):
        lab.check("a server", lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *image, name, program,
                                      "by code"), 0)
        pid = pid_of(name)
        lab.check("its answer", lab.get(pid, 8080), 0, "by code\n")
        wait_for(f"{program}: {name} runs the code", lambda: runs_code(pid))
        for _ in range(3):
            lab.check("its answer by code", lab.get(pid, 8080), 0, "by code\n")
        end_server(name)


def kept_with_an_image():
    """Labels of an image's manifest and the machine code of its files that they name, of large
    ones."""
    sizes, found = {}, {}
    for line in lab.run("ctr", "content", "ls").stdout.splitlines():
        sizes[line.split()[0]] = line.split()[1]
        for label, code in re.findall(f"({LABEL}[0-9a-f]+[.][0-9a-f]+)=([^,\\s]+)", line):
            image = line.split()[0]
            found[label] = code
    return image, {label: code for label, code in found.items()
                   if float(re.sub("[^0-9.]", "", sizes[code])) > 250}


def served_layer(layers):
    if not (lab.folder / "http.wasm").exists() or not (lab.folder / "app.wcode").exists():
        return
    served_by_code(layers, "http.wasm")
    lab.check("one that begins with the code", lab.run("ctr", "run", "-d", "--runtime", RUNTIME,
                                                       *layers, "begins", "http.wasm", "more"), 0)
    pid = pid_of("begins")
    lab.expect("it runs the code", runs_code(pid))
    lab.check("its answer", lab.get(pid, 8080), 0, "more\n")
    end_server("begins")


def precompiled(layers):
    """Machine code of layers is made once, kept by containerd, and run by those who come later."""
    if not (lab.folder / "app.wcode").exists():
        return
    files = {n: "sha256:" + hashlib.sha256((lab.folder / f"{n}.wasm").read_bytes()).hexdigest()
             for n in ("app", "command")}
    wait_for("code is kept", lambda: set(files.values()) <= set(codes()))
    label, code = codes()[files["app"]]
    lab.check("the same program", run(layers), 42, "hello from wafer\n")
    lab.check("its entry point", run(layers, "/first.wasm#add", "40", "2"), 0, "42\n")
    lab.check("a component", run(layers, "command.wasm", "one"), 0, "command.wasm\none\n")
    # That it is what runs is seen if it is another's.
    other = codes()[files["command"]][1]
    lab.check("labelled", lab.run("ctr", "content", "label", files["app"], f"{label}={other}"), 0)
    lab.check("that code runs", run(layers, "first.wasm", "one"), 0, "first.wasm\none\n")
    (lab.folder / "plain.toml").write_text("compile = false")
    lab.check("nobody's code", run(layers, options=["--runtime-config-path",
                                                    lab.folder / "plain.toml"]), 42, "hello from wafer\n")
    # Without a label it is of no use, and goes; it is made again.
    lab.check("unlabelled", lab.run("ctr", "content", "label", files["app"], f"{label}="), 0)
    # Nor is it made where somebody has found that it cannot be.
    gave_up = "wafer.given-up-" + label[len(LABEL):]
    lab.check("given up", lab.run("ctr", "content", "label", files["app"], f"{gave_up}=once"), 0)
    lab.check("a program without code", run(layers), 42, "hello from wafer\n")
    lab.expect("its shim has ended", not lab.left_behind("default"))
    lab.expect("it is not made again", files["app"] not in codes())
    lab.check("once more", lab.run("ctr", "content", "label", files["app"], f"{gave_up}="), 0)
    # A store that takes nothing.
    ingest = next(lab.folder.glob("**/io.containerd.content.v1.content")) / "ingest"
    ingest.rename(ingest.with_name("away"))
    ingest.write_text("no folder")
    lab.check("a program all the same", run(layers), 42, "hello from wafer\n")
    lab.check("one that stays", lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *layers, "refused",
                                        "/first.wasm#spin"), 0)
    wait_for("why no code is kept", lambda: f"no machine code of {files['app']} is kept" in
             (lab.folder / "containerd.log").read_text())
    end("refused")
    ingest.unlink()
    ingest.with_name("away").rename(ingest)
    lab.expect("no code then", files["app"] not in codes())
    lab.check("once more", run(layers), 42, "hello from wafer\n")
    wait_for("code is made again", lambda: files["app"] in codes())
    wait_for("no lease is left", lambda: "wafer-" not in lab.run("ctr", "leases", "ls").stdout)
    # It goes with the image.
    lab.check("removed", lab.run("ctr", "images", "rm", "--sync", layers[-1]), 0)
    wait_for("the code has gone", lambda: code not in lab.run("ctr", "content", "ls", "-q").stdout
             and other not in lab.run("ctr", "content", "ls", "-q").stdout)


# Programs that are layers, and no files.
if not version.startswith(("1.6", "v1.6")):
    lab.check("import", lab.run("ctr", "images", "import", "--all-platforms", lab.layer_image()), 0)
    layers = ["--platform", "wasi/wasm", "localhost/layers:1"]
    lab.check("a layer", run(layers), 42, "hello from wafer\n")
    lab.check("its entry point", run(layers, "/first.wasm#add", "40", "2"), 0, "42\n")
    lab.check("the first, by another name", run(layers, "anything"), 42, "hello from wafer\n")
    lab.check("the one of that title", run(layers, "command.wasm", "one"), 0, "command.wasm\none\n")
    lab.check("no module", run(layers, "bad.wasm"), 1, err="magic header not detected")
    served_layer(layers)
    precompiled(layers)


def faults_of(pid):
    """How often a page of its memory was not there."""
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[7])


for program, port, options in (
        ("http.wasm", 8080, []), ("http.wcode", 8080, []),
        ("http.wasm", 81, ["--env", "WAFER_HTTP_ADDRESS=81"]),
        ("http.wasm", 82, ["--annotation", "wafer.http-address=127.0.0.1:82"])):
    if not (lab.folder / program).exists():
        continue
    if "--annotation" in options and "--annotation" not in lab.run("ctr", "run", "--help").stdout:
        continue
    lab.check("a server", lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *options, *WASM, "web",
                                  f"/{program}", f"answer {port}"), 0)
    for _ in range(3):
        lab.check("its answer", lab.get(pid_of("web"), port), 0, f"answer {port}\n")
    # Pages of an instance that were written are found and cleared, and not given back.
    before = faults_of(pid_of("web"))
    lab.check("many answers", lab.get(pid_of("web"), port, 500), 0, f"answer {port}\n")
    after = faults_of(pid_of("web"))
    lab.expect("pages stay", not WRITTEN_PAGES or after - before < 250, f"{after - before} faults")
    end_server("web")
if (lab.folder / "app.wcode").exists() and (lab.folder / "large.wasm").exists():
    # Kept with the image, by a label of its manifest.
    served_by_code(WASM, "/large.wasm")
    image, first = kept_with_an_image()
    lab.expect("kept with the image", len(first) == 1, str(first))
    served_by_code(WASM, "/other.wasm")
    # Code of another program, by what label ever, is not run.
    (label, code), = first.items()
    other = next(c for c in kept_with_an_image()[1].values() if c != code)
    lab.check("labelled", lab.run("ctr", "content", "label", image, f"{label}={other}"), 0)
    lab.check("a server", lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *WASM, "wary",
                                  "/large.wasm", "by its own"), 0)
    time.sleep(1)
    lab.check("its answer", lab.get(pid_of("wary"), 8080), 0, "by its own\n")
    lab.expect("not by the code of another", not runs_code(pid_of("wary")))
    end_server("wary")
lab.check("no address", run(WASM, "/http.wasm", options=["--env", "WAFER_HTTP_ADDRESS=nowhere"]), 1,
          err="/http.wasm: ")
if (lab.folder / "endless.wcode").exists():
    lab.check("code that cannot be stopped", run(WASM, "/endless.wcode"), 1,
              err="compile it with --interruptible")

# Native programs in the same way.
lab.check("native", run(BUSYBOX, "sh", "-c", "echo $0 $((6*7)); exit 7"), 7, "sh 42\n")
lab.check("its own processes", run(BUSYBOX, "busybox", "ps"), 0, "    1 0        busybox ps")
lab.check("no descriptors of others",
          run(BUSYBOX, "sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done | busybox tr '\\n' ' '"),
          0, "0 1 2 3 ")
lab.check("a read-only root", run(BUSYBOX, "sh", "-c", "echo x > /x", options=["--read-only"]), 1,
          err="Read-only file system")
lab.check("its capabilities", run(BUSYBOX, "busybox", "grep", "CapEff", "/proc/self/status"), 0,
          "00000000a80425fb")
lab.check("masked", run(BUSYBOX, "sh", "-c", "busybox wc -c < /proc/keys"), 0, "0\n")
lab.check("filtered system calls", run(BUSYBOX, "busybox", "unshare", "-m", "true",
                                       options=["--seccomp"]), 1, err="not permitted")
lab.check("out of memory", run(BUSYBOX, "busybox", "tail", "/dev/zero",
                               options=["--memory-limit", str(16 << 20)]), 137)
lab.check("a terminal", lab.run("script", "-qec",
                                f"ctr run --rm -t --runtime {RUNTIME} localhost/busybox:1 tty1 "
                                "sh -c 'test -t 0 && test -t 1 && echo terminal; exit 5'",
                                "/dev/null"), 5, "terminal")

# What only runc does is run by it.
COPY = ["--mount", "type=tmpfs,src=tmpfs,dst=/bin,options=rw:tmpcopyup"]
lab.check("by runc", run(BUSYBOX, "sh", "-c", "echo $0 $((6*7)); exit 7", options=COPY), 7, "sh 42\n")
lab.check("input by runc", run(BUSYBOX, "sh", "-c", "read x; echo got $x", options=COPY,
                               input="line\n"), 0, "got line\n")
lab.check("no such program for runc", run(BUSYBOX, "/none", options=COPY), 1, err="/none")
lab.check("not for WebAssembly", run(WASM, options=COPY), 1,
          err="tmpcopyup of the mount /bin is not supported for WebAssembly programs")
lab.check("a terminal by runc", lab.run(
    "script", "-qec", f"ctr run --rm -t --runtime {RUNTIME} {' '.join(COPY)} localhost/busybox:1 tty2 "
    "sh -c 'test -t 0 && test -t 1 && echo terminal; exit 5'", "/dev/null"), 5, "terminal")
(lab.folder / "no.toml").write_text("runc = '/none/runc'")
lab.check("no runc", run(BUSYBOX, options=[*COPY, "--runtime-config-path", lab.folder / "no.toml"]),
          1, err="and there is no runc to run it")

# Tasks that live on.
events = lab.folder / "events"
watcher = lab.daemon(["sh", "-c", f"exec ctr events > {events}"], lambda: True, "events")
time.sleep(0.3)
SLEEP = ["busybox", "sleep", "1000"]
for kind, image, args, options in (("wasm", WASM, ["/app.wasm#spin"], []),
                                   ("native", BUSYBOX, SLEEP, []), ("runc", BUSYBOX, SLEEP, COPY)):
    lab.check(f"{kind} detached", lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *options, *image,
                                          kind, *args), 0)
    lab.check("listed", lab.run("ctr", "tasks", "ls"), 0, "RUNNING")
    pids = lab.run("ctr", "tasks", "ps", kind)
    lab.check("its processes", pids, 0)
    lab.expect("one process", len(pids.stdout.splitlines()) == 2, pids.stdout)
    lab.check("measured", lab.run("ctr", "tasks", "metrics", kind), 0, "memory.usage")
    lab.check("added", lab.run("ctr", "tasks", "exec", "--exec-id", "x1", kind,
                               *(["/app.wasm"] if kind == "wasm" else ["sh", "-c", "exit 42"])), 42)
    lab.check("not added", lab.run("ctr", "tasks", "exec", "--exec-id", "x2", kind, "/none"), 1,
              err='"/none"')
    lab.check("paused", lab.run("ctr", "tasks", "pause", kind), 0)
    lab.check("shown as paused", lab.run("ctr", "tasks", "ls"), 0, "PAUSED")
    lab.check("resumed", lab.run("ctr", "tasks", "resume", kind), 0)
    lab.check("no checkpoint", lab.run("ctr", "tasks", "checkpoint", kind), 1)
    lab.check("SIGKILL", end(kind), err="137")
for program in ("/app.wasm#spin", "/command.wasm#spin"):
    lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *WASM, "t", program)
    lab.check("SIGTERM", end("t", "SIGTERM"), err="143")
time.sleep(0.2)
told = events.read_text()
for topic in ("create", "start", "exec-added", "exec-started", "exit", "paused", "resumed", "delete"):
    lab.expect("event", f"/tasks/{topic} " in told, topic)

# A pod: containers of one sandbox share a shim.
pod = ["--annotation", "io.kubernetes.cri.sandbox-id=pod1"] if "--annotation" in lab.run(
    "ctr", "run", "--help").stdout else None
if pod:
    before = len(lab.shim_sockets())
    lab.run("ctr", "run", "-d", *pod, "--runtime", RUNTIME, *BUSYBOX, "p1", "busybox", "sleep", "1000")
    lab.run("ctr", "run", "-d", *pod, "--runtime", RUNTIME, *WASM, "p2", "/app.wasm#spin")
    lab.expect("one shim", len(lab.shim_sockets()) == before + 1)
    for c in ("p2", "p1"):
        end(c)

# containerd restarts; its tasks go on.
lab.run("ctr", "run", "-d", "--runtime", RUNTIME, *WASM, "stay", "/app.wasm#spin")
lab.process.kill()
lab.process.wait()
lab.daemons.remove(lab.process)
(lab.folder / "c.sock").unlink()
lab.containerd()
lab.check("still there", lab.run("ctr", "tasks", "ls"), 0, "RUNNING")
end("stay")

# Somebody kills the shim, or the container.
for place, program in (("wasm", [*WASM, "NAME", "/app.wasm#spin"]),
                       ("runc", [*COPY, *BUSYBOX, "NAME", *SLEEP])):
    for victim in ("shim", "container"):
        # containerd takes a while to forget the tasks of a shim that is gone.
        name = f"{place}-{victim}"
        lab.check("to be killed", lab.run("ctr", "run", "-d", "--runtime", RUNTIME,
                                          *(name if w == "NAME" else w for w in program)), 0)
        pid = pid_of(name)
        if victim == "shim":
            pid = pathlib.Path(f"/proc/{pid}/status").read_text().split("PPid:")[1].split()[0]
        os.kill(int(pid), 9)
        end(name)

lab.expect("nothing is left behind", not lab.left_behind("default"), str(lab.left_behind("default")))
lab.finish(f"containerd {version}")
