"""Compilers and emulators of the boards, as the toolchain files of presets name them."""
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
TOOLCHAINS = HERE.parent.parent / "cmake/toolchains"


class Board:
    """One for programs of the preset `name`, with libraries that are built for it."""

    def __init__(self, name: str):
        def of(variable):
            return re.search(rf'set\({variable} "?([^")]*)"?\)', text)[1].split()

        text = (TOOLCHAINS / f"{name}.cmake").read_text()
        if name.startswith("riscv"):
            self.prefix, self.kind = "riscv64-unknown-elf", "virt"
            self.xip = name  # as `wafer compile --format xip --target` names it
            specs = ["-mcmodel=medany", "--specs=picolibc.specs"]
        else:
            self.prefix, self.kind = "arm-none-eabi", "mps2"
            self.xip = "thumbv8m.main" if name in ("cortex-m33", "cortex-m55") else "thumbv7em"
            specs = ["--specs=nano.specs"]
            if "mps3-an547" in of("WAFER_QEMU"):
                # Where MPS2 has memory of its own, it has less.
                specs.append("-Wl,--defsym=board_psram=0x71000000")
        self.compiler = f"{self.prefix}-gcc"
        self.options = [*of("wafer_cpu"), *specs]
        # Without the file of the program, which comes last.
        self.emulator = [*of("WAFER_QEMU"), "-nographic", "-semihosting-config",
                         "enable=on,target=native", "-kernel"]

    def compile(self, *arguments) -> list:
        """The command that links a program with the board's start-up code."""
        return [self.compiler, *self.options, "-Os", "-ffunction-sections", "-fdata-sections",
                f"-I{HERE}", f"-I{HERE.parent.parent}/include", HERE / "pool.c",
                HERE / f"board_{self.kind}.c", "-nostartfiles", f"-T{HERE}/{self.kind}.ld",
                "-Wl,--gc-sections", *arguments]


# Presets that have one.
NAMES = sorted(f.stem for f in TOOLCHAINS.glob("*.cmake") if "set(WAFER_QEMU" in f.read_text())
