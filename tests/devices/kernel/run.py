"""Devices of a real kernel: Debian's, in QEMU, with i2c-stub and a USB gadget on dummy_hcd.

By hand, as the kernel is 70 MB and takes half a minute to start:

usage: run.py WAFER SCRATCH [FOLDER with vmlinuz and lib/modules]
Without the folder Debian's package is downloaded (apt-get). Needs qemu-system-x86_64, busybox
(static), libusb-1.0 and, for USB, clang with a C library for WASI.
"""
import gzip
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from build_guest import WHOLE, build, compiler, run  # noqa: E402

MODULES = ["i2c-dev", "i2c-stub", "usbcore", "udc-core", "libcomposite", "usb_f_ss_lb", "dummy_hcd"]
GADGET = "/sys/kernel/config/usb_gadget/g"
INIT = f"""#!/bin/sh
busybox mkdir -p /proc /sys /dev /tmp
busybox mount -t proc proc /proc
busybox mount -t sysfs sys /sys
busybox mount -t devtmpfs dev /dev
while read -r module options; do busybox insmod /modules/$module $options; done < /modules/list
check() {{
  what=$1; shift
  echo "RESULT $what: $("$@" 2>&1)"
}}
for bus in /dev/i2c-*; do
  number=${{bus##*-}}
  case $(cat /sys/class/i2c-dev/i2c-$number/name) in *stub*) stub=$bus;; esac
done
check i2c wafer run --tier interp --i2c eeprom=$stub,0x50 --invoke run /i2c.wat 0x50
check i2c-other wafer run --tier interp --i2c eeprom=$stub,0x50 --invoke run /i2c.wat 0x48
check i2c-nobody wafer run --tier interp --i2c eeprom=$stub --invoke run /i2c.wat 0x31
if [ -e /usb.wasm ]; then
  busybox mount -t configfs config /sys/kernel/config
  busybox mkdir -p {GADGET}/configs/c.1 {GADGET}/functions/Loopback.0
  echo 0x1209 > {GADGET}/idVendor
  echo 0x0001 > {GADGET}/idProduct
  busybox ln -s {GADGET}/functions/Loopback.0 {GADGET}/configs/c.1/
  echo dummy_udc.0 > {GADGET}/UDC
  busybox sleep 3
  check usb wafer run --tier interp --usb 1209:0001 --invoke 'check(4617, 1)' /usb.wasm
  check usb-count wafer run --tier interp --usb '1209:*' --invoke 'count()' /usb.wasm
  check usb-other wafer run --tier interp --usb 1209:0002 --invoke 'count()' /usb.wasm
fi
busybox poweroff -f
"""
# 'a', 'b' and no error; else the error's number and its payload's, above.
EXPECTED = {"i2c": str(ord("a") | ord("b") << 8), "i2c-other": str(2 << 16 | 0 << 24),
            "i2c-nobody": None, "usb": "0", "usb-count": "1", "usb-other": "0"}


def kernel(scratch):
    if len(sys.argv) > 3:
        return pathlib.Path(sys.argv[3])
    folder = scratch / "kernel"
    if not list(folder.glob("boot/vmlinuz*")):
        depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"],
                                 capture_output=True, text=True, check=True).stdout
        name = re.search(r"linux-image-[0-9]\S*", depends).group()
        subprocess.run(["apt-get", "download", name], cwd=scratch, check=True)
        subprocess.run(["dpkg-deb", "-x", next(scratch.glob(f"{name}_*.deb")), folder], check=True)
    return folder


def closure(program):
    """A program's shared libraries."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return re.findall(r"(/\S+)", out)


def modules(folder):
    """The modules that are needed, each after those that it depends on."""
    tree = next(folder.glob("lib/modules/*"))
    files = {p.stem.replace("_", "-"): p for p in tree.rglob("*.ko")}
    order = []

    def add(name):
        path = files.get(name.replace("_", "-"))
        if not path or path in order:
            return
        depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes()).group(1).decode()
        for other in filter(None, depends.split(",")):
            add(other)
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def main():
    wafer, scratch = sys.argv[1], pathlib.Path(sys.argv[2])
    scratch.mkdir(parents=True, exist_ok=True)
    folder = kernel(scratch)
    root = scratch / "root"
    shutil.rmtree(root, ignore_errors=True)
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()

    def add(path, to=None):
        to = root / (to or str(path).lstrip("/"))
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)

    add(shutil.which("busybox"), "bin/busybox")
    for name in ("sh", "cat"):
        (root / "bin" / name).symlink_to("busybox")
    add(wafer, "bin/wafer")
    libraries = set(closure(wafer))
    usb = re.search(r"libusb-1\.0\.so\.0 .*=> (\S+)",
                    subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True,
                                   text=True).stdout)
    clang = compiler(scratch) if usb else None
    if clang:
        libraries |= {usb.group(1), *closure(usb.group(1))}
        _, component = build(wafer, clang, scratch, HERE.parent / "usb.wit", HERE.parent / "usb.c",
                             WHOLE)
        add(component, "usb.wasm")
    for library in libraries:
        add(library)
    add(HERE / "i2c.wat", "i2c.wat")
    lines = []
    for path in modules(folder):
        add(path, f"modules/{path.name}")
        lines.append(path.name + (" chip_addr=0x48,0x50" if path.stem == "i2c-stub" else ""))
    (root / "modules/list").write_text("\n".join(lines) + "\n")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    names = subprocess.run(["find", "."], cwd=root, capture_output=True, check=True).stdout
    archive = subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names,
                             capture_output=True, check=True).stdout
    (scratch / "initrd").write_bytes(gzip.compress(archive, 1))

    done = run("qemu-system-x86_64", "-m", "512", "-nographic", "-no-reboot", "-kernel",
               next(folder.glob("boot/vmlinuz*")), "-initrd", scratch / "initrd", "-append",
               "console=ttyS0 quiet panic=-1", timeout=580)
    (scratch / "console").write_text(done.stdout)
    results = dict(re.findall(r"RESULT (\S+): (.*?)\r?$", done.stdout, re.M))
    bad = False
    for what, expected in EXPECTED.items():
        if what.startswith("usb") and not clang:
            continue
        got = results.get(what)
        # Nobody there: whatever the driver calls that, it is no success.
        good = got == expected if expected else got is not None and int(got) >> 16 & 0xFF == 2
        print(f"{what}: {got}{'' if good else f', not {expected}'}")
        bad |= not good
    sys.exit(bad)


main()
