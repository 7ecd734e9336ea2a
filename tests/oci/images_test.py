#!/usr/bin/env python3
"""Images without a container engine: images_test.py WAFER. With Debian's docker-registry, too."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request

WAFER = os.path.abspath(sys.argv[1])
HERE = pathlib.Path(tempfile.mkdtemp(prefix="wafer-oci-"))
ENV = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")} | {"HOME": str(HERE)}
failures = checks = 0


def wafer(*args):
    return subprocess.run([WAFER, *map(str, args)], env=ENV, cwd=HERE, capture_output=True,
                          text=True, timeout=60)


def check(what, result, code=0, out="", err=""):
    global failures, checks
    checks += 1
    if result.returncode != code or out not in result.stdout or err not in result.stderr:
        failures += 1
        print(f"FAILED {what}: {result.returncode}, wanted {code} {out!r} {err!r}\n"
              f"  {result.stdout[-500:]!r}\n  {result.stderr[-500:]!r}")
    return result.stdout


def expect(what, condition):
    global failures, checks
    checks += 1
    if not condition:
        failures += 1
        print(f"FAILED {what}")


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# Says its arguments: args_get and fd_write.
(HERE / "say.wat").write_text(r"""(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 1024) (i32.const 4096)))
    (i32.store (i32.const 8) (i32.const 4096))
    (i32.store (i32.const 12) (i32.load (i32.const 4)))
    (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))""")

# Made and run.
first = check("build", wafer("image", "build", "say.wat", "oci:one:v1"), out="sha256:")
check("run", wafer("run", "oci:one:v1", "a", "b"), out="/app.wasm\0a\0b\0")
check("the only one", wafer("run", "oci:one", "c"), out="/app.wasm\0c\0")
check("the same again", wafer("image", "build", "say.wat", "oci:two:v1"), out=first)
expect("the same bytes", (HERE / "one/index.json").read_bytes() == (HERE / "two/index.json").read_bytes())
check("an artifact", wafer("image", "build", "--kind", "artifact", "say.wat", "oci:one:v2"))
check("run it", wafer("run", "oci:one:v2", "x"), out="app.wasm\0x\0")
check("which", wafer("run", "oci:one"), 1, err="which image?; there are v1, v2")
check("defaults", wafer("image", "build", "--arg", "hi", "say.wat", "oci:one:v3"))
check("run with them", wafer("run", "oci:one:v3"), out="/app.wasm\0hi\0")
check("and others", wafer("run", "oci:one:v3", "ho"), out="/app.wasm\0ho\0")
check("no image", wafer("run", "oci:nowhere"), 1, err="holds no image")
check("no name", wafer("run", "oci:one:v9"), 1, err="there is no image 'v9'")
check("no program", wafer("image", "build", "/etc/hostname", "oci:one:v4"), 1, err="binary form")

# Many at once: every name is kept, and no blob goes that another is about to name.
def at_once(*commands):
    running = [subprocess.Popen([WAFER, *c], env=ENV, cwd=HERE, stdout=subprocess.DEVNULL)
               for c in commands]
    return [p.wait(60) for p in running]


expect("built at once", not any(at_once(*(
    ("image", "build", "--arg", str(i), "say.wat", f"oci:many:v{i}") for i in range(24)))))
names = {m["annotations"]["org.opencontainers.image.ref.name"]
         for m in json.loads((HERE / "many/index.json").read_text())["manifests"]}
expect(f"every name is there: {sorted(names)}", names == {f"v{i}" for i in range(24)})
for i in range(4):
    check("to be removed", wafer("image", "build", "--arg", "old", "say.wat", "localhost/old:1"))
    expect("built while another is removed", not any(at_once(
        ("rmi", "localhost/old:1"), *(("image", "build", "--arg", str(n), "say.wat",
                                       f"localhost/new:{n}") for n in range(4)))))
    for n in range(4):
        check("all of it is there", wafer("run", f"localhost/new:{n}"), out=f"/app.wasm\0{n}\0")
        check("and goes", wafer("rmi", f"localhost/new:{n}"))

# A blob that is not what its digest says.
shutil.copytree(HERE / "one", HERE / "damaged")
layer = max((HERE / "damaged/blobs/sha256").iterdir(), key=lambda p: p.stat().st_size)
content = bytearray(layer.read_bytes())
content[-1] ^= 1
layer.write_bytes(content)
shutil.rmtree(HERE / ".cache", ignore_errors=True)
check("a bad digest", wafer("run", "oci:damaged:v1"), 1, err="does not have this digest")

# An archive, as docker save writes it, whose layer wants out of its folder.
binary = HERE / "say.wasm"
check("wat2wasm", wafer("wat2wasm", "say.wat", "-o", binary))


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content, link in entries:
            info = tarfile.TarInfo(name)
            if link:
                info.type, info.linkname = tarfile.SYMTYPE, link
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def save(path, *layers, entry="/say.wasm"):
    config = json.dumps({"architecture": "wasm", "os": "wasi", "config": {"Entrypoint": [entry]},
                         "rootfs": {"type": "layers", "diff_ids": [digest(x) for x in layers]}})
    manifest = [{"Config": "config.json", "RepoTags": ["say:1"],
                 "Layers": [f"{i}/layer.tar" for i in range(len(layers))]}]
    path.write_bytes(tar([("manifest.json", json.dumps(manifest).encode(), None),
                          ("config.json", config.encode(), None),
                          *((f"{i}/layer.tar", x, None) for i, x in enumerate(layers))]))


save(HERE / "good.tar", tar([("say.wasm", binary.read_bytes(), None), ("old", b"x", None)]),
     tar([(".wh.old", b"", None), ("new", b"y", None)]))
check("an archive", wafer("run", "docker-archive:good.tar", "q"), out="/say.wasm\0q\0")
check("by name", wafer("run", "docker-archive:good.tar:say:1"), out="/say.wasm\0")
(HERE / "big.wat").write_text((HERE / "say.wat").read_text()[:-1] + f"(data \"{'x' * 300000}\"))")
if not wafer("compile", "big.wat", "-o", "say.wcode").returncode:
    save(HERE / "code.tar", tar([("say.wcode", (HERE / "say.wcode").read_bytes(), None)]),
         entry="/say.wcode")
    check("machine code", wafer("run", "docker-archive:code.tar", "q"), out="/say.wcode\0q\0")
roots = [r for r in (HERE / ".cache/wafer/images").iterdir() if (r / "new").exists()]
expect("whiteouts", len(roots) == 1 and not (roots[0] / "old").exists())
outside = HERE / "outside"
outside.mkdir()
save(HERE / "bad.tar", tar([("../../../escaped", b"x", None), ("link", b"", str(outside)),
                            ("link/through", b"x", None), (str(outside) + "/absolute", b"x", None),
                            ("say.wasm", binary.read_bytes(), None)]))
wafer("run", "docker-archive:bad.tar")
expect("nothing outside", not list(outside.iterdir()) and not (HERE / "escaped").exists())
(HERE / "keep").mkdir()
(HERE / "keep/file").write_text("x")
save(HERE / "white.tar", tar([("dir", b"", str(HERE / "keep")), ("dir/.wh.file", b"", None),
                              (".wh...", b"", None), ("say.wasm", binary.read_bytes(), None)]))
wafer("run", "docker-archive:white.tar")
expect("whiteouts stay inside", (HERE / "keep/file").exists())
check("no archive", wafer("run", "docker-archive:say.wat"), 1)

# A program is looked for in its image, wherever up and down again would lead.
(HERE / ".cache/wafer/images/other").mkdir()
shutil.copy(binary, HERE / ".cache/wafer/images/other/say.wasm")
for place in ("/../other/say.wasm", "../other/say.wasm"):
    save(HERE / "up.tar", tar([("other/say.wasm", b"no program", None)]), entry=place)
    check(place, wafer("run", "docker-archive:up.tar"), 1, err="the image has no file")

# Sizes that only a header claims are not passed over, whatever they take.
for what in ("../say.wasm", ".wh.say.wasm"):
    claims = tarfile.TarInfo(what)
    claims.size = 5 << 30
    save(HERE / "claims.tar", claims.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    check(f"5 GiB of {what}", wafer("run", "docker-archive:claims.tar"), 1, err="too large")

save(HERE / "deep.tar", tar([("say.wasm", binary.read_bytes(), None), ("d/" * 100_000, b"", None)]))
check("100,000 folders", wafer("run", "docker-archive:deep.tar"), 1, err="too long a name")

# What an image is called or says goes to no terminal as it is; what it nests ends.
save(HERE / "escapes.tar", tar([("x", b"", None)]), entry="/\x1b]0;x\x07")
said = wafer("run", "docker-archive:escapes.tar")
expect("no escape sequences", said.returncode == 1 and "\x1b" not in said.stderr)
deep = "[" * 1_000_000 + "]" * 1_000_000
for about in (deep, '{"manifests":' + deep + "}", '{"layers":[],"config":' + deep + "}"):
    place = HERE / "deep/blobs/sha256"
    place.mkdir(parents=True, exist_ok=True)
    (place / digest(about.encode())[7:]).write_text(about)
    (HERE / "deep/index.json").write_text(json.dumps({"manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(about.encode()),
        "size": len(about), "annotations": {"org.opencontainers.image.ref.name": "a"}}]}))
    check("a deep manifest", wafer("run", "oci:deep:a"), 1, err="the manifest is nested too deeply")
    check("to push", wafer("push", "oci:deep:a", "localhost:1/x"), 1, err="is nested too deeply")
(HERE / "deep/index.json").write_text('{"manifests":' + deep + "}")
check("a deep index", wafer("run", "oci:deep:a"), 1, err="index.json is nested too deeply")
(HERE / "deep/index.json").unlink()
os.mkfifo(HERE / "deep/index.json")
check("a pipe", wafer("run", "oci:deep:a"), 1, err="index.json is not a file")

# What comes from no registry cannot be verified; a file may also have the name of an image.
(HERE / "localhost:1").mkdir()
(HERE / "localhost:1/say:1").write_bytes(binary.read_bytes())
for file in ("say.wat", "localhost:1/say:1", "oci:one:v2", "docker-archive:good.tar"):
    for option in (("--verify-key", "ec.pub"), ("--mirror", "localhost:1=localhost:2")):
        check(f"{option[0]} of {file}", wafer("run", *option, file), 2,
              err="of images of registries only" if option[0] == "--verify-key" else
              "for images of registries only")
check("that file", wafer("run", "localhost:1/say:1"), out="say:1\0")

# Names.
for name in ("localhost/UPPER", "localhost:5/a:b:c", "localhost/a@sha256:12", "localhost/a/../b"):
    check(name, wafer("pull", name), 2, err="is no image")
check("nobody there", wafer("pull", "localhost:1/x"), 1,
      err="cannot GET http://localhost:1/v2/x/manifests/latest: the connection was refused")


def registry():
    """Debian's, on a free port; None if it cannot be had."""
    if not shutil.which("docker-registry"):
        if os.geteuid() != 0:
            return None, None
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends",
                        "docker-registry"], capture_output=True, check=False,
                       env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
        if not shutil.which("docker-registry"):
            return None, None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = HERE / "registry.yml"
    config.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {HERE}/registry}}}}\n"
                      f"http: {{addr: '127.0.0.1:{port}'}}\n")
    process = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"localhost:{port}"
        time.sleep(0.05)
    process.kill()
    return None, None


def upload(repository, tag, config, layers):
    """An image by hand. `layers`: (type, content, annotations)."""
    def call(method, url, body=None, kind="application/octet-stream"):
        request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
        return urllib.request.urlopen(request, timeout=10)

    def blob(content):
        place = call("POST", f"http://{host}/v2/{repository}/blobs/uploads/", b"").headers["Location"]
        call("PUT", place + ("&" if "?" in place else "?") + "digest=" + digest(content), content)
        return {"digest": digest(content), "size": len(content)}

    kind = "application/vnd.oci.image."
    manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
                "config": {"mediaType": kind + "config.v1+json"} | blob(config),
                "layers": [{"mediaType": t, "annotations": a} | blob(c) for t, c, a in layers]}
    call("PUT", f"http://{host}/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(),
         manifest["mediaType"])


@contextlib.contextmanager
def unsigned_mirror():
    """A mirror of the registry that has no signatures."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                if self.path.endswith(".sig"):
                    return self.send_error(404)
                request = urllib.request.Request(f"http://{host}{self.path}",
                                                 headers={"Accept": self.headers["Accept"] or "*/*"})
                with urllib.request.urlopen(request, timeout=10) as answer:
                    body, kind = answer.read(), answer.headers["Content-Type"]
            except urllib.error.HTTPError as error:
                return self.send_error(error.code)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        yield f"localhost:{there.server_port}"
        there.shutdown()


def signatures():
    """Of three kinds of keys, made by openssl."""
    if not shutil.which("openssl"):
        print("skipped: no openssl to sign images with")
        return

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=HERE, check=True, capture_output=True)

    (HERE / "text").write_text("no key\n")
    check("no key", wafer("pull", "--verify-key", "text", name), 1, err="no public key")
    for kind, options in (("ec", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                          ("rsa", ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
                          ("ed", ["-algorithm", "ED25519"])):
        openssl("genpkey", *options, "-out", f"{kind}.key")
        openssl("pkey", "-in", f"{kind}.key", "-pubout", "-out", f"{kind}.pub")

        def sign(about):
            text = json.dumps({"critical": {
                "identity": {"docker-reference": f"{host}/team/say"},
                "image": {"docker-manifest-digest": about},
                "type": "cosign container image signature"}, "optional": None}).encode()
            (HERE / "signed").write_bytes(text)
            if kind == "ed":
                openssl("pkeyutl", "-sign", "-rawin", "-in", "signed", "-inkey", f"{kind}.key",
                        "-out", "signature")
            else:
                openssl("dgst", "-sha256", "-sign", f"{kind}.key", "-out", "signature", "signed")
            return text, base64.b64encode((HERE / "signature").read_bytes()).decode()

        signed = "application/vnd.dev.cosign.simplesigning.v1+json"
        tag = image.strip().replace(":", "-") + ".sig"
        annotation = "dev.cosignproject.cosign/signature"
        text, signature = sign(image.strip())
        other, for_other = sign(digest(b"another image"))
        for what, layers, code in (
                ("its signature", [(signed, text, {annotation: signature})], 0),
                ("a second one", [(signed, other, {annotation: for_other}),
                                  (signed, text, {annotation: signature})], 0),
                ("one for another image", [(signed, other, {annotation: for_other})], 1),
                ("one of another text", [(signed, text, {annotation: for_other})], 1),
                ("no base64", [(signed, text, {annotation: "*" * 96})], 1)):
            upload("team/say", tag, b"{}", layers)
            check(f"{kind}: {what}", wafer("pull", "--verify-key", f"{kind}.pub", name), code,
                  err="" if code == 0 else "has no signature by this key")
            check(f"{kind}: {what}, to run", wafer("run", "--verify-key", f"{kind}.pub", name, "z"),
                  code, out="/app.wasm\0z\0" if code == 0 else "")
    check("by another key", wafer("pull", "--verify-key", "ec.pub", name), 1,
          err="has no signature by this key")
    # A mirror without signatures does not stand in the way of what the registry has.
    with unsigned_mirror() as mirror:
        options = ("pull", "--mirror", f"{host}={mirror}", "--verify-key", "ed.pub")
        err = f"not by way of {mirror}: it has no signature by this key"
        upload("team/say", tag, b"{}", [(signed, text, {annotation: signature})])
        check("not signed there", wafer(*options, name), out=image, err=err)
        upload("team/say", tag, b"{}", [(signed, other, {annotation: for_other})])
        check("nor here", wafer(*options, name), 1, err=f"{name} has no signature by this key")
        check("and not looked at", wafer(*options[:3], name), out=image)


server, host = registry()
if server:
    name = f"{host}/team/say:1"
    image = check("build for a registry", wafer("image", "build", "say.wat", name), out="sha256:")
    check("listed", wafer("images"), out=name)
    check("push", wafer("push", name), out=image)
    check("removed", wafer("rmi", name))
    expect("with its blobs", not list((HERE / ".local/share/wafer/images/blobs/sha256").iterdir()))
    check("pulled to run", wafer("run", name, "z"), out="/app.wasm\0z\0", err="pulling")
    check("once", wafer("run", name, "z"), out="/app.wasm\0z\0")
    check("from a layout", wafer("push", "oci:one:v2", f"{host}/art"))
    check("an artifact", wafer("run", f"{host}/art", "z"), out="app.wasm\0z\0")
    check("by digest", wafer("pull", f"{host}/team/say@{image.strip()}"), out=image)
    check("no such image", wafer("pull", f"{host}/none"), 1, err="manifest unknown")
    # Of layers that are programs: the one that is named, of any of the types, or else the first.
    title = "org.opencontainers.image.title"
    config = json.dumps({"config": {"Entrypoint": ["/bin/b.wasm"]}}).encode()
    types = ("application/wasm", "application/vnd.wasm.content.layer.v1+wasm",
             "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm")
    for at, kind in enumerate(types):
        layers = [(kind, b"no program", {title: "a.wasm"}),
                  (kind, binary.read_bytes(), {title: "b.wasm"})]
        upload("layers", f"named{at}", config, layers)
        check(f"named, {kind}", wafer("run", f"{host}/layers:named{at}"), out="/bin/b.wasm\0")
        upload("layers", f"first{at}", b"{}", list(reversed(layers)))
        check(f"first, {kind}", wafer("run", f"{host}/layers:first{at}"), out="b.wasm\0")
    # By way of a mirror: one with the image, and one that is not there.
    check("forget", wafer("rmi", f"{host}/team/say@{image.strip()}"))
    check("a mirror", wafer("pull", "--mirror", f"example.invalid={host}",
                            "example.invalid/team/say:1"), out=image)
    check("it has the name of its registry", wafer("images"), out="example.invalid/team/say:1")
    check("one that is away", wafer("pull", "--mirror", f"{host}=localhost:1",
                                    f"{host}/team/say@{image.strip()}"), out=image,
          err="not by way of localhost:1")
    check("no mirror", wafer("pull", "--mirror", "nonsense", name), 2, err="a mirror is")
    # Signatures, as cosign leaves them beside the image.
    signatures()
    # A registry that lies.
    for data in (HERE / "registry").glob("docker/registry/v2/blobs/sha256/*/*/data"):
        if data.read_bytes().startswith(b"\0asm") or b"\0asm" in data.read_bytes()[:4096]:
            content = bytearray(data.read_bytes())
            content[20] ^= 1
            data.write_bytes(content)
    check("forget", wafer("rmi", f"{host}/art"))
    check("forget", wafer("rmi", "example.invalid/team/say:1"))
    check("forget", wafer("rmi", f"{host}/team/say@{image.strip()}"))
    check("forget", wafer("rmi", name))
    check("a lie", wafer("pull", name), 1, err="does not have this digest")
    server.terminate()
    server.wait()
else:
    print("skipped: docker-registry cannot be had; images were only run from files")
shutil.rmtree(HERE, ignore_errors=True)
print(f"{checks} checks, {failures} failed")
sys.exit(1 if failures else 77 if not server else 0)
