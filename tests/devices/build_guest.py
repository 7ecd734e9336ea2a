"""Builds guests in C, with bindings of `wafer bindgen`, and in Rust: as modules and components."""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
WIT = ROOT / "src/wasi/devices/wit"
FLAGS = ["--target=wasm32-wasi", "-Wno-deprecated", "-Wall", "-Wextra", "-Werror"]
# No C library, memory of one page, and the end of what is used for runtimes that cut it there.
BARE = ["-Os", "-mcpu=lime1", "-nostdlib", "-Wl,--no-entry,--strip-all,-z,stack-size=4096",
        "-Wl,--stack-first,--export=__heap_base,--initial-memory=65536"]
BARE_RUST = ["--edition=2021", "--crate-type=cdylib", "--target=wasm32-unknown-unknown",
             "-Dwarnings", *(f"-C{option}" for option in (
                 "opt-level=s", "panic=abort", "target-cpu=mvp", "strip=symbols", "lto=fat",
                 "link-arg=-zstack-size=4096", "link-arg=--initial-memory=65536",
                 "link-arg=--export=__heap_base"))]
# With all of the bindings, used or not.
WHOLE = ["-O2", "-mexec-model=reactor", "-Wl,--no-gc-sections,--strip-debug"]


def run(*command, cwd=None, timeout=120):
    return subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True,
                          timeout=timeout)


def must(*command, cwd=None):
    done = run(*command, cwd=cwd)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")


def compiler(scratch):
    """clang with headers and a C library for WASI, or None."""
    (scratch / "have.c").write_text("#include <stdlib.h>\nvoid *f(void) { return malloc(1); }\n")
    for name in ("clang-22", "clang"):
        path = shutil.which(name)
        if path and run(path, *FLAGS, *WHOLE, "have.c", "-o", "have.wasm",
                        cwd=scratch).returncode == 0:
            return path
    return None


def rust_compiler(scratch):
    """rustc with what a guest without the standard library needs, or None."""
    (scratch / "have.rs").write_text(
        "#![no_std]\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo) -> ! { loop {} }\n")
    path = shutil.which("rustc")
    if path and run(path, *BARE_RUST, "have.rs", "-o", "have_rs.wasm",
                    cwd=scratch).returncode == 0:
        return path
    return None


def world(scratch, wit, name):
    """The folder of a world's packages."""
    folder = scratch / f"{name}-wit"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(WIT, folder / "deps", ignore=shutil.ignore_patterns("*.md", "deps"))
    shutil.copy(WIT / "deps/io.wit", folder / "deps/io.wit")
    shutil.copy(wit, folder)
    return folder


def build(wafer, clang, scratch, wit, source, flags):
    """The module and the component of SOURCE, whose world has its file's name."""
    name = pathlib.Path(source).stem
    must(wafer, "bindgen", "c", world(scratch, wit, name), "-o", scratch)
    must(clang, *FLAGS, *flags, "-I.", f"{name}.c", source, f"{name}_component_type.o", "-o",
         f"{name}.wasm", cwd=scratch)
    must(wafer, "component", "new", f"{name}.wasm", "-o", f"{name}.component.wasm", cwd=scratch)
    return scratch / f"{name}.wasm", scratch / f"{name}.component.wasm"


def build_rust(wafer, rustc, scratch, wit, source):
    """The same of a source in Rust, which imports core functions."""
    name = f"{pathlib.Path(source).stem}_rs"
    must(rustc, *BARE_RUST, source, "-o", f"{name}.wasm", cwd=scratch)
    must(wafer, "component", "embed", world(scratch, wit, name), f"{name}.wasm", "-o",
         f"{name}.world.wasm", cwd=scratch)
    must(wafer, "component", "new", f"{name}.world.wasm", "-o", f"{name}.component.wasm",
         cwd=scratch)
    return scratch / f"{name}.wasm", scratch / f"{name}.component.wasm"
