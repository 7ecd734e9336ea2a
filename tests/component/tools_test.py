"""Carries out the cases that come with the crate wit-component, by `wafer component` and `wit`.

What is refused there is refused; what is accepted gives a valid component with the same imports
and exports, package or answer. The crate, and that of the adapters for WASI 0.1, are had by
`cargo vendor` unless a folder of such crates is given.

usage: tools_test.py WAFER SCRATCH [VENDOR]
Exit code 77: the crates cannot be had.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "wit"))
from ui_test import differences, resolved  # noqa: E402

CRATES = {"wit-component": "0.263.0", "wasi-preview1-component-adapter-provider": "50.0.1"}
# Cases that are not carried out, and why.
SKIPPED = {
    "lib": "links several modules that share a memory",
    "emit-canonical-names": "versions in names are written whole",
}


class Tool:
    def __init__(self, wafer, scratch):
        self.wafer, self.scratch = wafer, scratch

    def __call__(self, *args):
        return subprocess.run([self.wafer, *map(str, args)], capture_output=True, text=True,
                              timeout=60)

    def tree(self, path):
        done = self("wit", "--json", "--all-features", path)
        return (json.loads(done.stdout), "") if done.returncode == 0 else (None, done.stderr)


def vendor(scratch):
    folder = scratch / "crates"
    if not (folder / "vendor").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "src").mkdir(exist_ok=True)
        (folder / "src/lib.rs").write_text("")
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "cases"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\n'
            + "".join(f'{name} = "={version}"\n' for name, version in CRATES.items()))
        try:
            done = subprocess.run(["cargo", "vendor", "-q"], cwd=folder, capture_output=True,
                                  text=True, timeout=300)
            problem = "" if done.returncode == 0 else done.stderr[-300:]
        except FileNotFoundError:
            problem = "there is no cargo"
        if problem:
            shutil.rmtree(folder / "vendor", ignore_errors=True)
            print("skipped: the crates cannot be had:", problem)
            sys.exit(77)
    return folder / "vendor"


def compare(tool, want, got, failures, name):
    (a, why_a), (b, why_b) = tool.tree(want), tool.tree(got)
    if a is None or b is None:
        failures.append(f"{name}: {why_a}{why_b}")
        return
    failures += [f"{name}: {d}" for d in differences(resolved(a), resolved(b))]


def wit_folder(case, scratch):
    """The case's WIT files, which are one package, in a folder of their own."""
    folder = scratch / "wit"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in case.glob("*.wit"):
        shutil.copy(file, folder)
    if (case / "deps").exists():
        shutil.copytree(case / "deps", folder / "deps")
    return folder


def component_case(tool, case, failures):
    name, scratch = case.name, tool.scratch
    config = "".join(line[3:] for line in (case / "module.wat").read_text().splitlines()
                     if line.startswith(";;!"))
    if "emit-canonical-names" in config:
        return "emit-canonical-names"
    wit = wit_folder(case, scratch)
    options, problem = [], ""
    for source in [case / "module.wat", *sorted(case.glob("adapt-*.wat"))]:
        module = scratch / (source.stem + ".wasm")
        done = tool("component", "embed", wit, source, "-w", source.stem, "--all-features",
                    "-o", module)
        problem = problem or done.stderr
        if source.stem != "module":
            own = re.search(r"^;; module name: (\S+)", source.read_text(), re.M)
            options += ["--adapt", f"{own[1] if own else source.stem[6:]}={module}"]
    if "realloc-via-memory-grow" in config:
        options.append("--realloc-via-memory-grow")
    out = scratch / "component.wasm"
    if not problem:
        problem = tool("component", "new", scratch / "module.wasm", *options, "-o", out).stderr
    if name.startswith("error-"):
        if not problem:
            failures.append(f"{name}: accepted")
        return ""
    if problem:
        failures.append(f"{name}: refused: {problem}")
        return ""
    expected = scratch / "expected.wasm"
    done = tool("wat2wasm", "--no-check", case / "component.wat", "-o", expected)
    if done.returncode:
        failures.append(f"{name}: {done.stderr}")
        return ""
    compare(tool, expected, out, failures, name)
    return ""


def interface_case(tool, source, failures):
    expected, out = tool.scratch / "expected.wasm", tool.scratch / "package.wasm"
    text = source.with_suffix(".wat") if source.is_file() else source.parent / (source.name + ".wat")
    for args in (("wat2wasm", "--no-check", text, "-o", expected),
                 ("wit", "--wasm", "--all-features", source, "-o", out)):
        done = tool(*args)
        if done.returncode:
            failures.append(f"{source.name}: {done.stderr}")
            return
    if re.search(r"^(interface|world) ", tool("wit", source).stdout, re.M):
        compare(tool, expected, out, failures, source.name)


def target_case(tool, case, failures):
    component = tool.scratch / "target.wasm"
    # An older form of names.
    text = re.sub(r'\(interface ("[^"]*")\)', r"\1", (case / "test.wat").read_text())
    (tool.scratch / "target.wat").write_text(text)
    done = tool("wat2wasm", "--no-check", tool.scratch / "target.wat", "-o", component)
    if done.returncode:
        failures.append(f"targets/{case.name}: {done.stderr}")
        return
    done = tool("component", "targets", case / "test.wit", component, "-w", "foobar")
    if (done.returncode != 0) != case.name.startswith("error-"):
        failures.append(f"targets/{case.name}: exit code {done.returncode} {done.stderr}")


def merge_case(tool, case, failures):
    """Both packages as worlds of one module would be merged: by `wit --merge`."""
    done = tool("wit", "--merge", "--json", case / "into", case / "from")
    if case.name.startswith("bad-"):
        if done.returncode == 0:
            failures.append(f"merge/{case.name}: accepted")
        return
    if done.returncode:
        failures.append(f"merge/{case.name}: {done.stderr}")
        return
    got = resolved(json.loads(done.stdout))
    for file in sorted((case / "merge").glob("*.wit")):
        package = re.search(r"^package ([^;]+);", file.read_text(), re.M)[1].replace("%", "")
        if f"package {package}" not in got:
            failures.append(f"merge/{case.name}: no package {package}")


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    crates = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else vendor(scratch)
    tool, failures, skipped, count = Tool(wafer, scratch), [], {}, 0
    tests = crates / "wit-component/tests"
    for case in sorted((tests / "components").iterdir()):
        reason = component_case(tool, case, failures) if (case / "module.wat").exists() else "lib"
        if reason:
            skipped.setdefault(reason, []).append(case.name)
        else:
            count += 1
    for source in sorted((tests / "interfaces").iterdir()):
        if source.is_dir() or (source.suffix == ".wit" and source.with_suffix(".wat").exists()):
            interface_case(tool, source, failures)
            count += 1
    for case in sorted((tests / "targets").iterdir()):
        target_case(tool, case, failures)
        count += 1
    for case in sorted((tests / "merge").iterdir()):
        merge_case(tool, case, failures)
        count += 1
    for line in failures:
        print("FAIL", line)
    for reason, names in skipped.items():
        print(f"skipped, {SKIPPED[reason]}: {', '.join(names)}")
    print(f"{count} cases, {len(failures)} failures")
    return 1 if failures or not count else 0


sys.exit(main())
