#!/usr/bin/env bash
# Runs the tests of the shim as a user who is not root: rootless.sh TESTS SHIM
set -euo pipefail
if [ "$(id -u)" -ne 0 ]; then echo "skipped: the other tests run without root already"; exit 77; fi
as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if ! "${as_nobody[@]}" unshare -Ur true 2>/dev/null; then
  echo "skipped: user namespaces are for root here"
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp "$1" "$2" "$folder"
tls=$(dirname "$2")/libwafer-tls.so
[ ! -f "$tls" ] || cp "$tls" "$folder"
mkdir -m 777 "$folder/tmp"
TMPDIR=$folder/tmp WAFER_TEST_SHIM=$folder/$(basename "$2") \
  "${as_nobody[@]}" "$folder/$(basename "$1")" --gtest_filter='ShimTest.*' --gtest_brief=1
