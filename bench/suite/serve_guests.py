"""The handlers of bench/programs/serve, built by the toolchains that are there."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "bench/programs/serve"
WIT = ROOT / "src/wasi/p2/wit"
JCO, COMPONENTIZE_JS = "1.15.0", "0.19.3"


def run(command: list, folder: pathlib.Path) -> bool:
    """Whether a command of a toolchain succeeded; what it says of its failure is shown."""
    try:
        done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True,
                              text=True, timeout=1200, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"serve: {error}\n")
        return False
    if done.returncode:
        sys.stderr.write(f"serve: {command[0]}: {(done.stderr or done.stdout)[-500:]}\n")
    return done.returncode == 0


def rust(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The handlers in Rust, for 0.2 and 0.3."""
    project = folder / "rust"
    shutil.copytree(SOURCES, project, dirs_exist_ok=True)
    if not run(["cargo", "build", "-q", "--release", "--examples", "--target=wasm32-wasip2",
                "--target-dir=target"], project):
        return {}
    built = project / "target/wasm32-wasip2/release/examples"
    return {"0.2": built / "p2.wasm", "0.3": built / "p3.wasm"}


def javascript(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The handler in JavaScript."""
    out = folder / "javascript/handler.wasm"
    if out.exists() and out.stat().st_mtime > (SOURCES / "handler.js").stat().st_mtime:
        return {"JavaScript": out}
    wit = out.parent / "wit"
    (wit / "deps").mkdir(parents=True, exist_ok=True)
    for file in WIT.glob("*.wit"):
        # This toolchain knows 0.2.3 and no features.
        text = re.sub(r"@unstable\([^)]*\)\s+import [^;]*;", "", file.read_text())
        (wit / "deps" / file.name).write_text(text.replace("0.2.12", "0.2.3"))
    (wit / "serve.wit").write_text(
        "package bench:serve;\nworld serve { include wasi:http/proxy@0.2.3; }\n")
    if not run(["npm", "install", "--silent", f"@bytecodealliance/jco@{JCO}",
                f"@bytecodealliance/componentize-js@{COMPONENTIZE_JS}"], out.parent):
        return {}
    if not run([out.parent / "node_modules/.bin/jco", "componentize", SOURCES / "handler.js",
                "--wit", wit, "-n", "serve", "-o", out], out.parent):
        return {}
    return {"JavaScript": out}


def guests(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """All that can be built, by the name of their kind."""
    folder.mkdir(parents=True, exist_ok=True)
    return rust(folder) | javascript(folder)
