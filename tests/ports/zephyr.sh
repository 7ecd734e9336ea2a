#!/bin/sh
# zephyr.sh SOURCE BUILD: the example on Zephyr, as a process of Linux and on Arm's MPS2 board in
# QEMU. ZEPHYR_BASE is the folder of Zephyr, CMSIS_6_DIR that of its module cmsis_6; what its scripts
# need of Python is in the environment ZEPHYR_VENV, or is there.
set -eu
source=$1 build=$2
[ -n "${ZEPHYR_BASE:-}" ] || { echo "skipped: no ZEPHYR_BASE"; exit 77; }
python=$(command -v "${ZEPHYR_VENV:+$ZEPHYR_VENV/bin/}python3")
[ -z "${ZEPHYR_VENV:-}" ] || export PATH="$ZEPHYR_VENV/bin:$PATH"
"$python" -c 'import elftools, yaml, pykwalify, packaging' 2>/dev/null ||
  { echo "skipped: no packages of scripts/requirements-base.txt"; exit 77; }
command -v dtc >/dev/null || { echo "skipped: no dtc (device-tree-compiler)"; exit 77; }
rm -rf "$build"
mkdir -p "$build"

# build BOARD OPTION...
build() {
  echo "$1:"
  board=$1
  shift
  log=$build/log
  { cmake -GNinja -S "$source/ports/zephyr/example" -B "$build/app" -DBOARD="$board" \
    -DPython3_EXECUTABLE="$python" "$@" && ninja -C "$build/app"; } >"$log" 2>&1 ||
    { grep -m5 -A5 'rror' "$log"; exit 1; }
}
# run SECONDS COMMAND...: the system does not end by itself.
run() {
  timeout "$@" >"$build/out" 2>&1 </dev/null || true
  grep "watch: all as expected" "$build/out" || { cat "$build/out"; exit 1; }
}

ZEPHYR_TOOLCHAIN_VARIANT=host build native_sim/native/64
run 10 "$build/app/zephyr/zephyr.exe"
libc=/usr/lib/picolibc/arm-none-eabi
if [ -d "${CMSIS_6_DIR:-}" ] && [ -d $libc ] && command -v qemu-system-arm >/dev/null; then
  rm -rf "$build/app"
  export ZEPHYR_TOOLCHAIN_VARIANT=cross-compile CROSS_COMPILE_TOOLCHAIN_PATH=$libc
  CROSS_COMPILE=$(command -v arm-none-eabi-gcc | sed 's/gcc$//') build mps2/an385 \
    -DZEPHYR_MODULES="$CMSIS_6_DIR"
  run 10 qemu-system-arm -M mps2-an385 -nographic -kernel "$build/app/zephyr/zephyr.elf"
else
  echo "mps2/an385 not tried: needs CMSIS_6_DIR, picolibc for Arm with its C++ library, and QEMU"
fi
