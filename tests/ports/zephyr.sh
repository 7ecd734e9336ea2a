#!/bin/sh
# zephyr.sh SOURCE BUILD: the example on Zephyr, as a process of Linux and on two boards of
# Arm in QEMU. ZEPHYR_BASE is the folder of Zephyr, in west's workspace or with CMSIS_6_DIR, that of its
# module cmsis_6; what its scripts need of Python is in the environment ZEPHYR_VENV, or is there.
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
if [ -n "${CMSIS_6_DIR:-}" ]; then
  # A module without a name in it is called as its folder.
  ln -s "$(realpath "$CMSIS_6_DIR")" "$build/cmsis_6"
  CMSIS_6_DIR=$build/cmsis_6
fi

# build PROGRAM BOARD OPTION...
build() {
  program=$1
  shift
  echo "$1:"
  rm -rf "$build/app"
  log=$build/log
  { cmake -GNinja -S "$source/$program" -B "$build/app" -DBOARD="$@" \
    -DPython3_EXECUTABLE="$python" ${CMSIS_6_DIR:+-DZEPHYR_MODULES="$CMSIS_6_DIR"} && ninja -C "$build/app"; } >"$log" 2>&1 ||
    { grep -m5 -A5 'rror' "$log"; exit 1; }
}
# run LINE COMMAND...: the system does not end by itself.
run() {
  line=$1
  shift
  timeout 10 "$@" >"$build/out" 2>&1 </dev/null || true
  grep "$line" "$build/out" || { cat "$build/out"; exit 1; }
}
example=ports/zephyr/example
expected="watch: all as expected"

export ZEPHYR_TOOLCHAIN_VARIANT=host
build tests/ports/zephyr_files native_sim/native/64
run "files: as expected" "$build/app/zephyr/zephyr.exe"
build $example native_sim/native/64
run "$expected" "$build/app/zephyr/zephyr.exe"
libc=/usr/lib/picolibc/arm-none-eabi
if [ -d $libc ] && command -v arm-none-eabi-gcc qemu-system-arm >/dev/null; then
  CROSS_COMPILE=$(command -v arm-none-eabi-gcc | sed 's/gcc$//')
  export ZEPHYR_TOOLCHAIN_VARIANT=cross-compile CROSS_COMPILE CROSS_COMPILE_TOOLCHAIN_PATH=$libc
  # For versions that do not look there by themselves.
  library="-DSYSROOT_DIR=$libc -DTOOLCHAIN_HAS_PICOLIBC=ON"
  build $example mps2/an385 $library
  run "$expected" qemu-system-arm -M mps2-an385 -nographic -kernel "$build/app/zephyr/zephyr.elf"
  build $example qemu_cortex_m3 $library -DCONFIG_WAFER_INTERPRETER_IN_PLACE=y -DCONFIG_WAFER_WASI=y
  run "$expected" qemu-system-arm -M lm3s6965evb -nographic -kernel "$build/app/zephyr/zephyr.elf"
else
  echo "boards of Arm not tried: needs arm-none-eabi-gcc, picolibc with its C++ library, and QEMU"
fi
