"""The code in the documentation compiles.

A block of `cpp` or `c` is a whole file; with a second word (```cpp streams) it is a part of one, which
the file of that name here includes ("streams.inc"). Of a block of `wit` the second word is a world, of
which the others have bindings for hosts ("app.hpp").

usage: snippets_test.py WAFER CXX CC SCRATCH FLAGS...
"""
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LANGUAGES = {"cpp": (".cc", "-std=c++20"), "c": (".c", "-std=c11")}
BLOCK = re.compile(r"^```(wit|cpp|c)(?: +(\S+))? *\n(.*?)^```$", re.M | re.S)


def main():
    wafer, cxx, cc = sys.argv[1:4]
    scratch, flags = pathlib.Path(sys.argv[4]), sys.argv[5:]
    scratch.mkdir(parents=True, exist_ok=True)
    failures, files, used = [], [], set()

    def run(*command):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
        if done.returncode:
            failures.append(f"{' '.join(map(str, command))}\n{done.stderr}")

    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            language, name, code = block.groups()
            line = text.count("\n", 0, block.start()) + 2
            if language == "wit":
                (scratch / f"{name}.wit").write_text(code)
                run(wafer, "bindgen", "host", scratch / f"{name}.wit", "-w", name, "-o", scratch)
                continue
            ending = LANGUAGES[language][0]
            code = f'#line {line} "{page}"\n{code}'
            if name is None:
                path = scratch / f"{page.stem}_{line}{ending}"
                path.write_text(code)
            else:
                (scratch / f"{name}.inc").write_text(code)
                path = HERE / f"{name}{ending}"
                if not path.exists():
                    failures.append(f"{page}:{line}: there is no {path}")
                    continue
                used.add(path)
            files.append((language, path))
    for path in [*HERE.glob("*.cc"), *HERE.glob("*.c")]:
        if path not in used:
            failures.append(f"{path}: no page has a block of that name")
    for language, path in files:
        run(cxx if language == "cpp" else cc, LANGUAGES[language][1], "-fsyntax-only", "-Wall",
            "-Wextra", "-Werror", f"-I{ROOT / 'include'}", f"-I{scratch}", *flags, path)
    if not files:
        failures.append("there is no code in the documentation")
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else 0


sys.exit(main())
