#!/bin/sh
# nuttx.sh SOURCE BUILD: the port to NuttX in its simulator and on Arm's MPS2 board in QEMU.
# NUTTX_DIR is the folder of NuttX, with that of nuttx-apps as ../apps or NUTTX_APPS_DIR.
set -eu
source=$1 build=$2
[ -n "${NUTTX_DIR:-}" ] || { echo "skipped: no NUTTX_DIR"; exit 77; }
apps=${NUTTX_APPS_DIR:-$NUTTX_DIR/../apps}
for tool in kconfig-conf kconfig-tweak genromfs; do
  command -v $tool >/dev/null || { echo "skipped: no $tool (kconfig-frontends, genromfs)"; exit 77; }
done
rm -rf "$build"
mkdir -p "$build"
# NuttX is built where its sources are.
cp -r "$NUTTX_DIR" "$build/nuttx"
cp -r "$apps" "$build/apps"
ln -sfn "$source/ports/nuttx" "$build/apps/interpreters/wafer"
cd "$build/nuttx"

# build BOARD:CONFIG OPTION...
build() {
  [ ! -e .config ] || make distclean >/dev/null 2>&1
  ./tools/configure.sh -l "$1" >"$build/log" 2>&1
  shift
  for option; do kconfig-tweak --enable "$option"; done
  kconfig-tweak --set-val INTERPRETERS_WAFER_STACKSIZE 32768
  # Where the configuration has no keys of threads.
  grep -q '^CONFIG_TLS_NELEM=[1-9]' .config || kconfig-tweak --set-val TLS_NELEM 2
  make olddefconfig >>"$build/log" 2>&1
  make -j"$(nproc)" >>"$build/log" 2>&1 || { tail -c 2000 "$build/log"; exit 1; }
}

# check WHAT OUTPUT PATTERN
check() {
  echo "$1:"
  if ! grep -q "$3" "$2"; then cat "$2"; echo "$1: no '$3'"; exit 1; fi
  grep "$3" "$2"
}

# (Versions differ in whether setjmp is to be asked for.)
options="HAVE_CXX ARCH_SETJMP_H INTERPRETERS_WAFER INTERPRETERS_WAFER_EXAMPLE"
if command -v arm-none-eabi-gcc >/dev/null && command -v qemu-system-arm >/dev/null; then
  build mps2-an500:nsh $options
  (sleep 2; echo wafer_example; sleep 5) |
    timeout 30 qemu-system-arm -M mps2-an500 -nographic -kernel nuttx >"$build/mps2.out" 2>&1 || true
  check "mps2-an500" "$build/mps2.out" "watch: all as expected"
fi
build sim:nsh $options FS_HOSTFS SIM_HOSTFS
(echo wafer_example; echo poweroff) | timeout 60 ./nuttx >"$build/sim.out" 2>&1 || true
check "sim" "$build/sim.out" "watch: all as expected"
# A program for WASI from the host's files.
if [ -n "${WASM:-}" ]; then
  (echo "mount -t hostfs -o fs=$(dirname "$WASM") /host"; echo "wafer /host/$(basename "$WASM")"
   echo poweroff) | timeout 60 ./nuttx >"$build/wasi.out" 2>&1 || true
  check "sim, WASI" "$build/wasi.out" "${PATTERN:-.}"
fi
