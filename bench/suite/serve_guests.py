"""The handlers of bench/programs/serve, built by the toolchains that are there."""

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "bench/programs/serve"

# Versions and worlds are those of the tests.
sys.path.insert(0, str(ROOT / "tests/wasi"))
import builds  # noqa: E402


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
    shutil.rmtree(wit, ignore_errors=True)
    builds.worlds(wit, "0.2.3")
    if not run(["npm", "install", "--silent", f"@bytecodealliance/jco@{builds.JCO}",
                f"@bytecodealliance/componentize-js@{builds.COMPONENTIZE_JS}"], out.parent):
        return {}
    if not run([out.parent / "node_modules/.bin/jco", "componentize", SOURCES / "handler.js",
                "--wit", wit, "-n", "serve", "-o", out], out.parent):
        return {}
    return {"JavaScript": out}


def guests(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """All that can be built, by the name of their kind."""
    folder.mkdir(parents=True, exist_ok=True)
    return rust(folder) | javascript(folder)
