"""The canvas example: guests are built, drawn by the host, and their pictures compared.

usage: test.py WAFER HOST LANGUAGE SCRATCH TIERS
LANGUAGE: c or rust. Exit code 77: its compiler is not there.

What is drawn is computed here once more. The lines have to be those, in order; the SVG has to have
each as a path, and the PNG color along them and none where there is none. That does not depend on
the version of Cairo.
"""
import math
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

HERE = pathlib.Path(__file__).resolve().parent
SIZE = 1000


def command(*words, cwd=None):
    return subprocess.run([str(w) for w in words], cwd=cwd, capture_output=True, text=True,
                          timeout=600)


def must(*words, cwd=None):
    done = command(*words, cwd=cwd)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def skip(why):
    print("skipped:", why)
    sys.exit(77)


def c_guest(wafer, scratch):
    must(wafer, "bindgen", "c", HERE / "canvas.wit", "-o", scratch)
    (scratch / "probe.c").write_text("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n")
    flags = ["--target=wasm32-wasi", "-Wno-deprecated", "-mexec-model=reactor"]
    clang = next((c for c in ("clang-22", "clang") if shutil.which(c)), None)
    if not clang or command(clang, *flags, "probe.c", "-o", "probe.wasm", cwd=scratch).returncode:
        skip("there is no clang with a C library for WASI")
    must(clang, *flags, "-O2", "-Wall", "-Werror", "-D_GNU_SOURCE", "-I.", HERE / "cardioid.c",
         "picture.c", "picture_component_type.o", "-o", "guest.m.wasm", cwd=scratch)


def rust_guest(wafer, scratch):
    target = "wasm32-unknown-unknown"
    project = scratch / "rust"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(HERE / "rust", project, ignore=shutil.ignore_patterns("target"))
    shutil.copy(HERE / "canvas.wit", scratch)
    for words in (["rustup", "target", "add", target], ["cargo", "fetch", "-q"]):
        try:
            done = command(*words, cwd=project)
        except (FileNotFoundError, subprocess.TimeoutExpired) as e:
            skip(e)
        if done.returncode:
            skip(f"{' '.join(words)}: {done.stderr[-300:]}")
    must("cargo", "build", "-q", "--release", f"--target={target}",
         f"--target-dir={scratch / 'target'}", cwd=project)
    shutil.copy(scratch / f"target/{target}/release/dragon.wasm", scratch / "guest.m.wasm")


def cardioid():
    def at(k):
        angle = 2 * math.pi * (k % 360) / 360 + math.pi
        return tuple(math.floor(SIZE / 2 + 0.47 * SIZE * f(angle) + 0.5)
                     for f in (math.cos, math.sin))
    return [at(k) + at(2 * k) for k in range(360)]


def dragon():
    step = SIZE // 140
    x, y, dx, dy, lines = SIZE // 2 + 32 * step, SIZE // 2 + 21 * step, step, 0, []
    for fold in range(1, 2**13 + 1):
        lines.append((x, y, x + dx, y + dy))
        x, y = x + dx, y + dy
        dx, dy = (-dy, dx) if not fold & (fold & -fold) << 1 else (dy, -dx)
    return lines


def png(path):
    """Width and rows of (r, g, b)."""
    data, at, parts = path.read_bytes(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, color = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and color in (2, 6), (depth, color)
        if kind == b"IDAT":
            parts += body
        at += 12 + length
    size = 3 if color == 2 else 4
    raw, rows, above = zlib.decompress(parts), [], bytearray(width * size)
    for y in range(height):
        kind, row = raw[y * (width * size + 1)], bytearray(
            raw[y * (width * size + 1) + 1:(y + 1) * (width * size + 1)])
        for i in range(len(row)):
            left = row[i - size] if i >= size else 0
            corner = above[i - size] if i >= size else 0
            up = above[i]
            if kind == 1:
                add = left
            elif kind == 2:
                add = up
            elif kind == 3:
                add = (left + up) // 2
            elif kind == 4:
                guess = left + up - corner
                add = min((left, up, corner), key=lambda c: abs(guess - c))
            else:
                add = 0
            row[i] = row[i] + add & 255
        rows.append([tuple(row[x * size:x * size + 3]) for x in range(width)])
        above = row
    return width, rows


def near(a, b):
    return len(a) == len(b) and all(abs(p - q) <= 1 for l, m in zip(a, b) for p, q in zip(l, m))


def check(what, good):
    if not good:
        sys.exit(f"FAIL: {what}")


def main():
    wafer, host, language = sys.argv[1:4]
    scratch, tiers = pathlib.Path(sys.argv[4]).resolve(), sys.argv[5].split(",")
    scratch.mkdir(parents=True, exist_ok=True)
    {"c": c_guest, "rust": rust_guest}[language](wafer, scratch)
    must(wafer, "component", "new", "guest.m.wasm", "-o", "guest.wasm", cwd=scratch)
    must(wafer, "component", "targets", HERE / "canvas.wit", "guest.wasm", cwd=scratch)
    wanted = {"c": cardioid, "rust": dragon}[language]()
    for tier in tiers:
        out = scratch / f"picture-{tier}"
        said = must(host, "guest.wasm", out, SIZE, tier, cwd=scratch)
        check(f"{tier}: {said}", said == f"{len(wanted)} lines\n")
        lines = [tuple(map(int, l.split())) for l in out.with_suffix(".txt").read_text().splitlines()]
        check(f"{tier}: lines", near(lines, wanted))

        number = r"([-\d.]+)"
        paths = re.findall(rf'\bd="M {number} {number} L {number} {number} *"',
                           out.with_suffix(".svg").read_text())
        drawn = [tuple(map(float, p)) for p in paths]
        # A line without length is no path, or one of its own kind.
        check(f"{tier}: SVG", [l for l in drawn if l[:2] != l[2:]] ==
              [tuple(map(float, l)) for l in lines if l[:2] != l[2:]])

        width, rows = png(out.with_suffix(".png"))
        background = rows[2][2]
        check(f"{tier}: size", width == SIZE and len(rows) == SIZE)
        check(f"{tier}: background", sum(background) < 100)
        for x0, y0, x1, y1 in lines:
            r, g, b = rows[(y0 + y1) // 2][(x0 + x1) // 2]
            check(f"{tier}: no color at {x0, y0} - {x1, y1}", r + g + b > sum(background) + 60)
        reached = {(x, y) for x0, y0, x1, y1 in lines
                   for i in range(513) for x, y in [((x0 + (x1 - x0) * i / 512) // 4,
                                                     (y0 + (y1 - y0) * i / 512) // 4)]}
        empty = [(x, y) for x in range(2, SIZE // 4 - 2) for y in range(2, SIZE // 4 - 2)
                 if not any((x + i, y + j) in reached for i in (-1, 0, 1) for j in (-1, 0, 1))]
        check(f"{tier}: nothing is empty", len(empty) > 1000)
        for x, y in empty[::7]:
            check(f"{tier}: color at {4 * x, 4 * y}", rows[4 * y + 1][4 * x + 1] == background)
    print(f"{language}: {len(wanted)} lines, {', '.join(tiers)}")


main()
