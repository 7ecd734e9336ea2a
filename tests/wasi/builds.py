"""How tests build components with the toolchains of languages.

What is not there is fetched by package managers, at the versions below; a test whose needs
cannot be had is skipped.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
WIT = HERE / "../../src/wasi/p2/wit"
RUST_TARGET = "wasm32-wasip2"
JCO, COMPONENTIZE_JS, NODE = "1.15.0", "0.19.3", 20


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def command(words, **options):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=600,
                          **options)


def fetched(words, **options):
    """A command of a package manager; without success the test is skipped."""
    try:
        done = command(words, **options)
    except (FileNotFoundError, subprocess.TimeoutExpired) as e:
        skip(e)
    if done.returncode:
        skip(f"{' '.join(map(str, words[:3]))}: {done.stderr[-300:]}")


def built(words, **options):
    done = command(words, **options)
    if done.returncode:
        sys.exit(f"{words}\n{done.stdout}{done.stderr}")


def worlds(folder, version):
    """WIT of a command and of a handler, for tools that know no features."""
    (folder / "deps").mkdir(parents=True)
    for file in WIT.glob("*.wit"):
        text = re.sub(r"@unstable\([^)]*\)\s+import [^;]*;", "", file.read_text())
        (folder / "deps" / file.name).write_text(text.replace("0.2.12", version))
    (folder / "worlds.wit").write_text(
        f"package test:guests;\nworld cmd {{ include wasi:cli/command@{version}; }}\n"
        f"world serve {{ include wasi:http/proxy@{version}; }}\n")
    return folder


def cargo(project, target):
    """Builds a crate for WASI 0.2; the folder of what came of it."""
    fetched(["rustup", "target", "add", RUST_TARGET])
    fetched(["cargo", "fetch", "-q"], cwd=project)
    built(["cargo", "build", "-q", "--release", f"--target={RUST_TARGET}",
           f"--target-dir={target}"], cwd=project)
    return target / RUST_TARGET / "release"


def javascript_tools(scratch, package=None):
    """The packages that make components of JavaScript, with those that a package.json needs, in
    a folder, and worlds; gives a function of a source, a world and a target."""
    version = command(["node", "--version"]).stdout if shutil.which("node") else "none"
    if not version.startswith(f"v{NODE}."):
        skip(f"needs node {NODE}, found {version}")
    needs = json.loads(package.read_text()) if package else {}
    needs = needs.get("dependencies", {}) | needs.get("devDependencies", {})
    needs |= {"@bytecodealliance/jco": JCO, "@bytecodealliance/componentize-js": COMPONENTIZE_JS}
    fetched(["npm", "install", "--silent", *(f"{name}@{at}" for name, at in needs.items())],
            cwd=scratch)
    wit = worlds(scratch / "wit", "0.2.3")

    def componentize(source, world, target):
        built([scratch / "node_modules/.bin/jco", "componentize", source, "--wit", wit, "-n", world,
               "-o", target])

    return componentize
