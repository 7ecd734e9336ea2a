"""The adapters of WASI 0.1 for components, from a crate."""
import pathlib
import shutil
import subprocess
import sys

CRATE, VERSION = "wasi-preview1-component-adapter-provider", "50.0.1"


def adapters(scratch, crates=None):
    """Folder of the adapters: in `crates`, as `cargo vendor` makes it, or fetched. Exits with 77,
    for a test that is skipped, where that cannot be."""
    folder = pathlib.Path(scratch) / "crates"
    crates = pathlib.Path(crates) if crates else folder / "vendor"
    if not crates.exists():
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "src/lib.rs").write_text("")
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "adapters"\nversion = "0.1.0"\nedition = "2021"\n\n'
            f'[dependencies]\n{CRATE} = "={VERSION}"\n')
        try:
            done = subprocess.run(["cargo", "vendor", "-q"], cwd=folder, capture_output=True,
                                  text=True, timeout=300)
            problem = done.stderr[-300:] if done.returncode else ""
        except FileNotFoundError:
            problem = "there is no cargo"
        if problem:
            shutil.rmtree(crates, ignore_errors=True)
            print("skipped: the adapters cannot be had:", problem)
            sys.exit(77)
    return crates / CRATE / "artefacts"
