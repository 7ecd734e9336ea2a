#!/bin/sh
# esp-idf.sh SOURCE BUILD: the example on ESP-IDF as a process of Linux. ESP_IDF_DIR is the folder of
# ESP-IDF; what its tools need of Python is in the environment ESP_IDF_VENV, or is there.
set -eu
source=$1 build=$2
[ -n "${ESP_IDF_DIR:-}" ] || { echo "skipped: no ESP_IDF_DIR"; exit 77; }
venv=${ESP_IDF_VENV:-}
python=${venv:+$venv/bin/}python3
"$python" -c 'import esp_idf_kconfig, click' 2>/dev/null ||
  "$python" -c 'import kconfgen, click' 2>/dev/null ||
  { echo "skipped: no packages of tools/requirements/requirements.core.txt"; exit 77; }
export IDF_PATH="$ESP_IDF_DIR" IDF_COMPONENT_MANAGER=0 IDF_PYTHON_CHECK_CONSTRAINTS=no
[ -z "$venv" ] || { PATH="$venv/bin:$PATH"; export PATH IDF_PYTHON_ENV_PATH="$venv"; }
rm -rf "$build"
mkdir -p "$build"
idf() {
  "$python" "$IDF_PATH/tools/idf.py" -C "$source/ports/esp-idf/example" -B "$build/linux" \
    -DSDKCONFIG="$build/sdkconfig" --preview "$@" >>"$build/log" 2>&1 ||
    { tail -c 2000 "$build/log"; exit 1; }
}
idf set-target linux
idf build
timeout 60 "$build/linux/wafer_example.elf" >"$build/out" 2>&1 || { cat "$build/out"; exit 1; }
grep "watch: all as expected" "$build/out"
