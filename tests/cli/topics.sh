#!/usr/bin/env bash
# topics.sh WAFER TOPIC [TIERS...]: tests one topic of the command line in a scratch folder,
# with the tiers that make machine code.
set -u
wafer=$1
topic=$2
tiers=${*:3}
source=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
failures=0

# run CODE ARGS...: runs wafer; its output lands in out and err.
run() {
  local want=$1
  shift
  "$wafer" "$@" >out 2>err <"${input:-/dev/null}"
  local got=$?
  if [ "$got" -ne "$want" ]; then
    echo "wafer $*: exit code $got instead of $want"
    cat err
    failures=$((failures + 1))
  fi
}
# expect FILE TEXT: FILE (out or err) is exactly TEXT and a newline.
expect() {
  if [ "$(cat "$1"; echo x)" != "$2"$'\n'x ]; then
    printf '%s holds:\n%s\ninstead of:\n%s\n' "$1" "$(cat "$1")" "$2"
    failures=$((failures + 1))
  fi
}
# has FILE TEXT: FILE contains TEXT.
has() {
  if ! grep -qF -- "$2" "$1"; then
    printf '%s lacks "%s":\n%s\n' "$1" "$2" "$(cat "$1")"
    failures=$((failures + 1))
  fi
}
# empty FILE: FILE is empty or does not exist.
empty() {
  if [ -s "$1" ]; then
    printf '%s is not empty:\n%s\n' "$1" "$(cat "$1")"
    failures=$((failures + 1))
  fi
}
absent() {
  if [ -e "$1" ]; then
    echo "$1 was written"
    failures=$((failures + 1))
  fi
}

wasi_exit() { # wasi_exit CODE: a program that exits with it
  echo "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func \$x (param i32)))
    (memory (export \"memory\") 1) (func (export \"_start\") (call \$x (i32.const $1))))"
}

# Every tier has the same backtrace, also of functions that were inlined.
backtraces() {
  cat >deep.wat <<'WAT'
(module
  (func $div (param i32) (result i32) (i32.div_s (i32.const 100) (local.get 0)))
  (func $mid (param i32) (result i32) (i32.add (i32.const 1)
    (call $div (i32.sub (local.get 0) (i32.const 7)))))
  (func $outer (param i32) (result i32)
    (i32.mul (call $mid (local.get 0)) (call $mid (i32.add (local.get 0) (i32.const 2)))))
  (func $f (export "f") (param i32) (result i32) (i32.xor (call $outer (local.get 0)) (i32.const 5))))
WAT
  for argument in 5 7; do
    run 134 run --tier interp --invoke f deep.wat $argument
    has err "3: deep!f"
    cp err want
    for tier in $tiers; do
      run 134 run --tier $tier --no-cache --invoke f deep.wat $argument
      expect err "$(cat want)"
    done
  done
}

code_files() {
  cat >prog.wat <<'WAT'
(module (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $deep (export "deep") (param i32) (result i32) (call $inner (local.get 0)))
  (func $inner (param i32) (result i32) (i32.load (i32.mul (local.get 0) (i32.const 65536))))
  (func (export "spin") (loop (br 0))))
WAT
  run 0 compile prog.wat
  run 0 run --invoke add prog.wcode 40 2
  expect out 42
  # Traps have the module's backtrace.
  run 134 run --invoke deep prog.wcode 9
  has err "out of bounds memory access"
  has err "inner"
  has err "deep"
  # Machine code is not for the interpreter, nor for options it was not made for.
  run 1 run --tier interp --fuel 5 --invoke add prog.wcode 1 2
  has err "other options"
  run 0 compile --fuel prog.wat -o fuel.wcode
  run 134 run --fuel 1000 --invoke spin fuel.wcode
  has err "out of fuel"
  # Code of relaxed traps runs only for those who ask for it, and exact code for all.
  cat >edge.wat <<'WAT'
(module (memory 1)
  (func (export "touch") (param i32) (result i32)
    (local.set 0 (i32.load (local.get 0))) (i32.const 7)))
WAT
  run 0 compile edge.wat -o exact.wcode
  run 0 compile --relaxed-traps edge.wat -o relaxed.wcode
  run 134 run --invoke touch exact.wcode 65536
  run 0 run --relaxed-traps --invoke touch exact.wcode 0
  run 1 run --invoke touch relaxed.wcode 0
  has err "other options"
  run 0 run --relaxed-traps --invoke touch relaxed.wcode 0
  # Exact traps leave loops to be made into vectors.
  cat >loop.wat <<'WAT'
(module (memory 1)
  (func (export "add") (param $to i32) (param $from i32) (param $n i32)
    (loop
      (i32.store (local.get $to)
        (i32.add (i32.load (local.get $to)) (i32.load (local.get $from))))
      (local.set $to (i32.add (local.get $to) (i32.const 4)))
      (local.set $from (i32.add (local.get $from) (i32.const 4)))
      (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))
WAT
  export WAFER_DUMP_OPTIMIZED_IR=loop.ll
  run 0 compile --cpu baseline loop.wat -o loop.wcode
  unset WAFER_DUMP_OPTIMIZED_IR
  has loop.ll "store <4 x i32>"
  has loop.ll "load volatile i32"
  run 0 compile --interruptible prog.wat -o stop.wcode
  run 134 run --timeout 100ms --invoke spin stop.wcode
  has err "timed out"
  # Programs that may write to their own file do not change what they run.
  # Small files would be read, and not mapped.
  cat >self.wat <<WAT
(module
  (data "$(head -c 300000 /dev/zero | tr '\0' x)")
  (import "wasi_snapshot_preview1" "path_open" (func \$open
    (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func \$exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "self.wcode")
  (func (export "_start")
    (call \$exit (i32.add (call \$open (i32.const 3) (i32.const 0)
      (i32.const 8) (i32.const 10) (i32.const 8) (i64.const 64) (i64.const 0) (i32.const 0)
      (i32.const 100)) (call \$later))))
  (func \$later (export "later") (result i32) (i32.const 7)))
WAT
  run 0 compile self.wat
  run 7 run --dir . self.wcode
  empty self.wcode
  # Other processors' code is made here but does not run here.
  case $(uname -m) in x86_64) other=aarch64 ;; *) other=x86_64 ;; esac
  run 0 compile --target $other prog.wat -o other.wcode
  run 1 run --invoke add other.wcode 1 2
  has err "another kind of processor"
  for target in vax x86_64-pc-windows-msvc aarch64-apple-darwin aarch64_be-unknown-linux-gnu \
    x86_64-unknown-linux-gnux32 i686-unknown-linux-gnu wasm32-wasi riscv64; do
    run 1 compile --target $target prog.wat -o none.wcode
    has err "no code generator for target '$target'; there are x86_64, aarch64"
    absent none.wcode
  done
  run 1 compile --target thumbv7em prog.wat -o none.wcode
  has err "--format xip"
  run 0 compile --target aarch64-unknown-linux-musl prog.wat -o musl.wcode
  run 1 compile --cpu pdp11 prog.wat -o none.wcode
  has err "unknown cpu 'pdp11'; there are native, baseline, "
  has err 'x86-64-v3'
  absent none.wcode
  # Damage anywhere is noticed before anything runs.
  size=$(wc -c <prog.wcode)
  head -c $((size / 2)) prog.wcode >cut.wcode
  run 1 run --invoke add cut.wcode 1 2
  has err "cut off"
  for at in 9 40 200 4096 $((size - 1)); do
    cp prog.wcode bad.wcode
    byte=$(od -An -tu1 -j "$at" -N 1 bad.wcode)
    printf "\\$(printf %o $(((byte + 1) % 256)))" |
      dd of=bad.wcode bs=1 seek="$at" conv=notrunc 2>/dev/null
    run 1 run --invoke add bad.wcode 1 2
    empty out
  done
  # Bad input: nothing is written.
  echo '(module (func (i32.const 1)))' >bad.wat
  run 1 compile bad.wat -o bad.out
  absent bad.out
}

code_cache() {
  echo '(module (func (export "f") (param i64) (result i64) (i64.mul (local.get 0) (i64.const 3))))' >a.wat
  run 0 run --tier llvm --cache-dir cache --invoke f a.wat 5
  expect out 15
  count() { ls cache | grep -c wcode; }
  [ "$(count)" = 1 ] || { echo "not one file in the cache"; failures=$((failures + 1)); }
  first=$(ls cache)
  run 0 run --tier llvm --cache-dir cache --invoke f a.wat 6
  expect out 18
  # Other settings are other code.
  run 0 run --tier llvm --opt 0 --cache-dir cache --invoke f a.wat 7
  expect out 21
  [ "$(count)" = 2 ] || { echo "not two files in the cache"; failures=$((failures + 1)); }
  run 0 run --tier llvm --relaxed-traps --cache-dir cache --invoke f a.wat 7
  [ "$(count)" = 3 ] || { echo "not three files in the cache"; failures=$((failures + 1)); }
  # A damaged file is made again.
  printf 'XXXX' | dd of="cache/$first" bs=1 seek=5000 conv=notrunc 2>/dev/null
  run 0 run --tier llvm --cache-dir cache --invoke f a.wat 8
  expect out 24
  # Code that others could have changed is not run.
  chmod o+w cache/*
  run 0 run --tier llvm --cache-dir cache --invoke f a.wat 9
  expect out 27
  # The bound holds, and many runs at once do not disturb each other.
  for i in 1 2 3 4 5 6; do
    echo "(module (func (export \"f\") (result i32) (i32.const $i)))" >m$i.wat
    "$wafer" run --tier llvm --cache-dir cache --cache-size 40K --invoke f m$i.wat >got$i &
  done
  wait
  for i in 1 2 3 4 5 6; do expect got$i "$i"; done
  total=$(cat cache/*.wcode | wc -c)
  [ "$total" -le 61440 ] || { echo "cache of $total bytes"; failures=$((failures + 1)); }
  run 0 run --tier llvm --no-cache --cache-dir none --invoke f a.wat 2
  absent none
}

cache_damage() {
  echo '(module (func (export "f") (param i64) (result i64) (i64.mul (local.get 0) (i64.const 3))))' >a.wat
  f() { run 0 run --tier llvm --cache-dir "${1:-cache}" --invoke f a.wat "$2" && expect out $((3 * $2)); }
  f cache 1
  first=cache/$(ls cache)
  # Whatever lies in the place of the entry is neither waited for nor believed.
  rm "$first" && mkfifo "$first" && f cache 2
  [ -f "$first" ] || { echo "a pipe stayed in the cache"; failures=$((failures + 1)); }
  rm "$first" && mkdir "$first" && f cache 3
  rmdir "$first" && echo outside >target && ln -s ../target "$first" && f cache 4
  expect target outside
  rm "$first" && ln -s /dev/zero "$first" && f cache 5
  : >"$first" && f cache 6
  head -c 100000 /dev/zero >"$first" && f cache 7
  chmod 000 "$first" && f cache 8
  # Nor in that of the folder, or of the file that turns are taken at.
  rm -r cache && echo file >cache && f cache 9
  expect cache file
  rm cache && mkfifo cache && f cache 10
  rm cache && mkdir cache && f cache 11
  turn=cache/$(basename "$first" .wcode).turn
  rm -f cache/* && mkfifo "$turn" && f cache 12
  rm -f cache/* "$turn" && mkdir "$turn" && f cache 13
  f /proc/nowhere 14
  f "$(printf 'x%.0s' $(seq 300))" 15
  # No place for one, or a full one.
  (unset HOME XDG_CACHE_HOME; exec "$wafer" run --tier llvm --invoke f a.wat 16) >out
  expect out 48
  HOME=relative run 0 run --tier llvm --invoke f a.wat 16
  absent relative
  for size in 0 1 10 16777215T; do
    run 0 run --tier llvm --cache-dir sized --cache-size $size --invoke f a.wat 2
    expect out 6
  done
  for size in -1 99999999999999999999999 16777216T x ''; do
    run 2 run --cache-size "$size" --invoke f a.wat 2
  done
}

# Many processes that need the same code make it once; one that is stopped or killed while
# it does so holds nobody up.
cache_turns() {
  { # long to optimize
    echo '(module (func (export "f") (param i32) (result i32)'
    for i in $(seq 1500); do
      echo "(if (i32.and (local.get 0) (i32.const $i)) (then (local.set 0 (i32.add
        (i32.mul (local.get 0) (i32.const $((i * 7 + 1)))) (i32.rotl (local.get 0) (i32.const 3))))))"
    done
    echo '(local.get 0)))'
  } >long.wat
  run 0 run --tier llvm --no-cache --invoke f long.wat 5
  mv out want
  seconds() { # of processor time that COMMAND takes with its children
    TIMEFORMAT='%U'
    { time "$@" >/dev/null 2>&1; } 2>&1
  }
  one=$(seconds "$wafer" run --tier llvm --cache-dir one --invoke f long.wat 5)
  again=$(seconds "$wafer" run --tier llvm --cache-dir one --invoke f long.wat 5)
  many() {
    for i in $(seq 20); do "$wafer" run --tier llvm --cache-dir "$1" --invoke f long.wat 5 >got$i & done
    wait
  }
  all=$(seconds many together)
  for i in $(seq 20); do cmp -s want got$i || { echo "run $i differs"; failures=$((failures + 1)); }; done
  # 20 starts that find it, and a few makings at most.
  awk "BEGIN { exit !($all < 20 * $again + 6 * $one + 1) }" ||
    { echo "one run takes $one s, 20 together $all s"; failures=$((failures + 1)); }
  [ "$(ls together | grep -c turn)" = 0 ] || { echo "a turn was left"; failures=$((failures + 1)); }
  for signal in STOP KILL; do
    "$wafer" run --tier llvm --cache-dir $signal --invoke f long.wat 5 >/dev/null 2>&1 &
    holder=$!
    for _ in $(seq 500); do ls $signal 2>/dev/null | grep -q turn && break; sleep 0.01; done
    kill -$signal $holder
    timeout 60 "$wafer" run --tier llvm --cache-dir $signal --invoke f long.wat 5 >out 2>err
    expect out "$(cat want)"
    ls $signal | grep -q wcode || { echo "nothing was kept"; failures=$((failures + 1)); }
    kill -KILL $holder 2>/dev/null
    wait $holder 2>/dev/null
  done
}

# No file may be made or grow: that is no reason to end.
file_size_limit() {
  echo '(module (memory 1) (data (i32.const 0) "abc")
    (func (export "f") (param i32) (result i32) (i32.load8_u (local.get 0))))' >m.wat
  # More data than is copied at the start.
  { printf '(module (memory 4) (data (i32.const 9) "'; head -c 100000 /dev/zero | tr '\0' x
    echo '") (func (export "f") (result i32) (i32.load8_u (i32.const 50000))))'; } >data.wat
  for tier in interp $tiers auto; do
    # The output is a pipe: a file could not be written either.
    [ "$( (ulimit -f 0; exec "$wafer" run --tier $tier --cache-dir c --invoke f m.wat 1) 2>&1 | cat)" = 98 ] &&
      [ "$( (ulimit -f 0; exec "$wafer" run --tier $tier --cache-dir c --invoke f data.wat) 2>&1 | cat)" = 120 ] ||
      { echo "tier $tier fails under a limit of file sizes"; failures=$((failures + 1)); }
  done
  [ "$( (ulimit -f 0; "$wafer" wat2wasm m.wat -o m.wasm; echo $?) 2>&1 | tail -1)" = 1 ] ||
    { echo "wat2wasm under a limit of file sizes"; failures=$((failures + 1)); }
  absent m.wasm
}

# Standard descriptors that are closed stay so for the program; none of our files is there.
closed_descriptors() {
  # Writes to descriptor 1 or reads from 0 and exits with the errno.
  for op in 'write 1' 'read 0'; do
    set -- $op
    cat >$1.wat <<T
(module (import "wasi_snapshot_preview1" "fd_$1" (func \$op (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func \$exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 8) "\40\00\00\00\04") (data (i32.const 64) "MARK")
  (func (export "_start") (local \$i i32) (local \$e i32)
    (loop (local.set \$e (call \$op (i32.const $2) (i32.const 8) (i32.const 1) (i32.const 0)))
      (br_if 0 (i32.and (i32.eq (local.get \$e) (i32.const 8))
        (i32.lt_u (local.tee \$i (i32.add (local.get \$i) (i32.const 1))) (i32.const 100000)))))
    (call \$exit (local.get \$e))))
T
  done
  for tier in interp $tiers auto; do
    for turn in first again; do
      "$wafer" run --tier $tier --cache-dir cache write.wat >&- 2>err
      [ $? = 8 ] || { echo "write to a closed output, $tier $turn"; cat err; failures=$((failures + 1)); }
      "$wafer" run --tier $tier --cache-dir cache read.wat <&- 2>err
      [ $? = 8 ] || { echo "read from a closed input, $tier $turn"; cat err; failures=$((failures + 1)); }
      "$wafer" run --tier $tier --cache-dir cache write.wat <&- >&- 2>&-
      [ $? = 8 ] || { echo "all closed, $tier $turn"; failures=$((failures + 1)); }
    done
  done
  ! grep -rq MARK cache 2>/dev/null || [ -z "$(grep -rl MARKMARK cache)" ] ||
    { echo "the cache was written by the program"; failures=$((failures + 1)); }
  # The tool itself: what cannot be written is an error, and nothing else happens.
  echo '(module (func (export "f") (result i32) (i32.const 7)))' >seven.wat
  "$wafer" run --invoke f seven.wat >&- 2>err
  [ $? = 1 ] || { echo "a result that cannot be written"; failures=$((failures + 1)); }
  has err 'cannot write standard output'
  if [ -e /dev/full ]; then
    for command in 'run --invoke f seven.wat' 'inspect seven.wat' 'wasm2wat seven.wat' --help 'validate -v seven.wat'; do
      "$wafer" $command >/dev/full 2>err
      [ $? = 1 ] || { echo "$command to a full disk"; cat err; failures=$((failures + 1)); }
    done
  fi
  "$wafer" run nosuch.wasm 2>&-
  [ $? = 1 ] || { echo "an error that cannot be told"; failures=$((failures + 1)); }
  "$wafer" validate seven.wat <&- >&- 2>&-
  [ $? = 0 ] || { echo "validate with all closed"; failures=$((failures + 1)); }
  "$wafer" run --invoke f - <&- 2>err
  [ $? = 1 ] || { echo "a module from a closed input"; failures=$((failures + 1)); }
  # Sockets to inherit have to be there, and to be sockets.
  run 1 run --listenfd 77 write.wat
  has err 'descriptor 77 is not open'
  "$wafer" run --listenfd 5 write.wat 5<seven.wat 2>err
  has err 'descriptor 5 is not a listening socket'
}

# What runs does not change with the file that it came from.
written_over() {
  { printf %s '(module (import "wasi_snapshot_preview1" "fd_write"
      (func $write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\01\00\00\00")
    (func (export "_start")
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $later (i32.const 6)))
    (func $later (param i32) (call $exit (i32.add (local.get 0) (i32.const 1))))
    (@custom "padding" (before code) "'
    head -c 200000 /dev/zero | tr '\0' x
    echo '"))'; } >good.wat
  run 0 wat2wasm good.wat
  ways='interp:wasm'
  for tier in $tiers; do ways="$ways $tier:wasm"; done
  case $tiers in *llvm*) run 0 compile good.wat && ways="$ways auto:wcode" ;; esac
  mkfifo in
  for way in $ways; do
    local file=good.${way#*:}
    for with in nothing zeros; do
      cp $file over
      "$wafer" run --tier ${way%:*} over <in >out 2>err &
      local pid=$!
      exec 9>in
      for _ in $(seq 400); do [ -s out ] && break; sleep 0.05; done
      case $with in
        nothing) : >over ;;
        zeros) head -c "$(stat -c %s $file)" /dev/zero | dd of=over conv=notrunc status=none ;;
      esac
      echo >&9
      exec 9>&-
      wait $pid
      local got=$?
      [ $got -eq 7 ] || { echo "$way, written over with $with: $got"; cat err; failures=$((failures + 1)); }
    done
  done
}

# Modules come through pipes as well as from files, to every command.
pipes() {
  echo '(module (func (export "f") (result i32) (i32.const 7)))' >m.wat
  run 0 wat2wasm m.wat
  files='m.wat m.wasm'
  case $tiers in *llvm*) run 0 compile m.wat && files="$files m.wcode" ;; esac
  for file in $files; do
    run 0 run --invoke f <(cat $file)
    expect out 7
    cat $file | "$wafer" run --invoke f /dev/stdin >out
    expect out 7
    cat $file | "$wafer" run --invoke f - >out
    expect out 7
    input=$file run 0 run --invoke f -
    expect out 7
    mkfifo pipe
    { head -c 5 $file; sleep 0.1; tail -c +6 $file; } >pipe &
    run 0 run --invoke f pipe
    expect out 7
    wait
    rm pipe
  done
  for command in validate inspect wasm2wat 'inspect -d'; do
    run 0 $command m.wasm
    mv out want
    run 0 $command <(cat m.wasm)
    sed -i "s,/dev/fd/[0-9]*,m.wasm," out
    cmp want out || failures=$((failures + 1))
  done
  run 0 wat2wasm <(cat m.wat) -o m2.wasm
  cmp m.wasm m2.wasm || failures=$((failures + 1))
  run 0 wast <(echo '(module (func (export "f"))) (invoke "f")')
  # Larger than a pipe holds.
  { cat m.wat; seq 200000 | sed 's/^/;; /'; } >large.wat
  run 0 run --invoke f <(cat large.wat)
  expect out 7
  echo '(module (import "m" "f" (func (result i32))) (export "g" (func 0)))' >main.wat
  run 0 run --preload m=<(cat m.wasm) --invoke g <(cat main.wat)
  expect out 7
  input=main.wat run 1 run --preload m=- --invoke g -
  has err 'read only once'
  # Things without an end, or that are no files.
  run 1 run /dev/zero
  run 1 validate /dev/zero
  run 1 run <(yes)
  run 1 run .
  has err 'directory'
  run 1 run /dev/null
}

# Every literal of the text format, and results that can be given back.
literals() {
  cat >l.wat <<'T'
(module
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "f32bits") (param f32) (result i32) (i32.reinterpret_f32 (local.get 0)))
  (func (export "f64bits") (param f64) (result i64) (i64.reinterpret_f64 (local.get 0)))
  (func (export "v128") (param v128) (result v128) (local.get 0))
  (func (export "lane") (param v128) (result i32) (i32x4.extract_lane 2 (local.get 0)))
  (func (export "extern") (param externref) (result externref) (local.get 0))
  (func (export "func") (param funcref) (result funcref) (local.get 0))
  (func (export "any") (param anyref) (result anyref) (local.get 0))
  (func (export "three") (param i32 i32 i32) (result i32)
    (i32.add (local.get 0) (i32.mul (local.get 1) (local.get 2)))))
T
  # same EXPORT ARGUMENT RESULT: and the result is an argument for itself.
  same() {
    run 0 run --invoke "$1" l.wat "$2"
    expect out "$3"
    run 0 run --invoke "$1" l.wat "$3"
    expect out "$3"
  }
  same i32 0xffff_ffff -1
  same i32 +1_000 1000
  same i64 -0x8000_0000_0000_0000 -9223372036854775808
  same f32 0x1.8p1 3
  same f32 -0x1p-149 -1e-45
  same f32 1_0.5e+1 105
  same f32 nan nan
  same f32 -nan -nan
  same f32 nan:0x20_0000 nan:0x200000
  same f64 -nan:0xfffffffffffff -nan:0xfffffffffffff
  same f64 -inf -inf
  same f64 -0 -0
  same f64 0x1.fffffffffffffp+1023 1.7976931348623157e+308
  run 0 run --invoke f32bits l.wat nan:0x1
  expect out $((0x7f800001))
  run 0 run --invoke f64bits l.wat -- -nan:0x1
  expect out $((0xfff0000000000001))
  same v128 'i32x4 1 2 3 -1' 0xffffffff000000030000000200000001
  same v128 'v128.const i64x2 0x1_0 -1' 0xffffffffffffffff0000000000000010
  same v128 'f32x4 1 nan:0x200000 inf -0.0' 0x800000007f8000007fa000003f800000
  same v128 'i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 255' 0xff0e0d0c0b0a09080706050403020100
  same v128 7 0x00000000000000000000000000000007
  run 0 run --invoke lane l.wat 'i32x4 1 2 -3 4'
  expect out -3
  same extern 'ref.extern 42' 'ref.extern 42'
  same extern ref.null null
  same func null null
  same any 'ref.i31 -5' 'ref.i31 -5'
  for bad in 'i32 1.5' 'i32 4294967296' 'i32 -2147483649' 'i32 1__0' 'i32 _1' 'f32 1e' 'f32 0x' \
    'f32 nan:0x0' 'f32 nan:0x800000' 'f32 1e39' 'f64 .5' 'f64 infinity' 'f64 1.5x' 'func 1' 'v128 i32x4'; do
    run 1 run --invoke "${bad%% *}" l.wat "${bad#* }"
    has err "is not a value of type"
  done
  for bad in 'i32x4 1 2 3' 'i32x4 1 2 3 4 5' 'i32x4 1 2 3 x' 'i8x16 1' 'i33x4 1 2 3 4' "0x$(seq -s '' 34)" 0x1_ ''; do
    run 1 run --invoke v128 l.wat "$bad"
  done
  run 1 run --invoke func l.wat 'ref.extern 1'
  # "--" after FILE says that what follows are arguments.
  run 0 run --invoke three l.wat -- -5 -2 +3
  expect out -11
  run 0 run --invoke three -- l.wat -5 -2 3
  expect out -11
  run 0 --invoke three l.wat -- 1 2 3
  expect out 7
  # A null of another type is none of this one.
  echo '(module (func (export "eq") (param eqref) (result eqref) (local.get 0)))' >eq.wat
  for heap in eq i31 none; do
    run 0 run --invoke eq eq.wat "ref.null $heap"
    expect out null
  done
  for bad in 'ref.null any' 'ref.null func' 'ref.null nonsense' 'null eq'; do
    run 1 run --invoke eq eq.wat "$bad"
    has err "'$bad' is not a value of type eqref"
  done
  # Scripts alone have a name for the canonical NaN.
  run 1 run --invoke f32 l.wat nan:canonical
  has err "'nan:canonical' is not a value of type f32"
}

exit_codes() {
  for code in 0 1 7 125; do
    wasi_exit $code >exit.wat
    run $code run exit.wat
    empty err
  done
  echo '(module (func (export "_start")))' >ok.wat
  run 0 run ok.wat
  run 0 ok.wat
  echo '(module (func $f (export "_start") unreachable))' >trap.wat
  run 134 run trap.wat
  has err 'trap: unreachable'
  has err 'trap.wat'
  echo '(module (tag $t) (func (export "_start") (throw $t)))' >throw.wat
  run 134 run throw.wat
  run 1 run nosuch.wasm
  has err 'nosuch.wasm'
  run 2 run
  run 2 frobnicate
  run 2 run --fuel many ok.wat
  run 2 run --no-such-option ok.wat
  run 1 validate ok.wat nosuch.wasm
}

bad_input() {
  printf '\0asm\1\0\0\0\1\4\1\x60\0\1' >cut.wasm
  run 1 validate cut.wasm
  expect err 'error: cut.wasm:0xe: unexpected end of section or function'
  empty out
  printf '\0asm\2\0\0\0' >version.wasm
  run 1 run version.wasm
  has err 'version.wasm:0x4: unknown binary version'
  printf 'GIF89a..' >gif.wasm
  run 1 run gif.wasm
  [ "$(wc -l <err)" -eq 1 ] || { echo "more than one line of error"; failures=$((failures + 1)); }
  : >empty.wasm
  run 1 run empty.wasm
  mkdir folder
  run 1 run folder
  has err folder
  # An invalid body: the offset of the instruction.
  printf '\0asm\1\0\0\0\1\5\1\x60\0\1\x7f\3\2\1\0\xa\6\1\4\0\x42\1\xb' >invalid.wasm
  run 1 validate invalid.wasm
  has err 'invalid.wasm:0x1a: type mismatch'
  # Fields of the module: the offset of the entry.
  printf '\0asm\1\0\0\0\5\4\1\1\2\1' >limits.wasm
  run 1 validate limits.wasm
  has err 'limits.wasm:0xb: size minimum must not be greater than maximum'
  printf '\0asm\1\0\0\0\5\3\1\0\0\7\x9\2\1a\2\0\1a\2\0' >twice.wasm
  run 1 validate twice.wasm
  has err 'twice.wasm:0x14: duplicate export name "a"'
  printf '\0asm\1\0\0\0\x8\1\3' >start.wasm
  run 1 validate start.wasm
  has err 'start.wasm:0xa: unknown function 3'
  # Binary forms where text is expected.
  printf '\0asm\1\0\0\0' >module.wasm
  printf '\0asm\x0d\0\1\0' >part.wasm
  run 1 wat2wasm module.wasm -o result.wasm
  expect err 'error: module.wasm: is a module in binary form; the text format was expected (`wafer wasm2wat` prints it as text)'
  run 1 wat2wasm part.wasm -o result.wasm
  has err 'part.wasm: is a component in binary form; the text format was expected'
  run 1 wast module.wasm
  has out 'module.wasm: is a module in binary form; a script was expected'
  echo '(assert_return (invoke "f"))' >none.wast
  run 1 wast none.wast
  has out 'usage: no module'
  ! grep -qF '$' out || { echo 'a module of no name'; failures=$((failures + 1)); }
  # Standard input has one name.
  input=module.wasm run 0 validate -v -
  expect out '<stdin>: valid'
  input=cut.wasm run 1 validate -
  has err '<stdin>:0xe: '
  echo '(module (func (export "_start") unreachable))' >trap.wat
  input=trap.wat run 134 run -
  has err 'error: <stdin>: trap: unreachable'
  input=none.wast run 1 wast -
  has out '<stdin>: 0 passed, 1 failed'
  # Nothing is written when the input is bad.
  echo '(module (func (result i32) i64.const 1))' >invalid.wat
  run 1 wat2wasm invalid.wat -o result.wasm
  expect err 'error: invalid.wat:1:39: type mismatch: instruction requires [i32] but stack has [i64]'
  absent result.wasm
  # What validation finds in text is told where the text has it, in components too.
  printf '(component\n  (core module (func nop\n    (drop (f32.neg (i32.const 1)))))\n)' >part.wat
  printf '(component\n  (component)\n  (export "f" (func 7)))' >export.wat
  for command in validate run serve inspect; do
    run 1 "$command" part.wat
    has err 'part.wat:3:12: type mismatch'
    run 1 "$command" export.wat
    has err 'export.wat:3:3: '
  done
  run 1 wasm2wat cut.wasm -o result.wat
  absent result.wat
  empty out
  run 2 wat2wasm --no-such invalid.wat -o result.wasm
  absent result.wasm
}

text_format() {
  cat >m.wat <<'T'
(module $m
  (import "a" "f" (func $f (param i32 i64) (result f32)))
  (memory $mem 1 2)
  (table $t 3 funcref)
  (global $g (mut i32) (i32.const 5))
  (elem (i32.const 1) $f)
  (data (i32.const 0) "bytes\00\ff")
  (func $h (export "h") (param $p i32) (result i32)
    (block $out (result i32)
      (br_if $out (local.get $p) (i32.eqz (local.get $p)))
      (i32.add (i32.const 1)))))
T
  run 0 wat2wasm m.wat -o m.wasm
  run 0 wasm2wat m.wasm -o m2.wat
  run 0 wat2wasm m2.wat -o m2.wasm
  cmp m.wasm m2.wasm || failures=$((failures + 1))
  has m2.wat '$h'
  run 1 run bad.wat
  printf '(module\n  (func (expor "f")))\n' >bad.wat
  run 1 wat2wasm bad.wat
  has err 'bad.wat:2:10:'
  empty out
  input=m.wat run 0 validate -
  echo '(module (func (export "f") (result i32) (i32.const 3)))' >f.wat
  input=f.wat run 0 run --invoke f -
  expect out 3
}

invoke() {
  cat >i.wat <<'T'
(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "wide") (param i64) (result i64) (i64.sub (local.get 0) (i64.const 1)))
  (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func (export "third") (param f32) (result f32) (f32.div (local.get 0) (f32.const 4)))
  (func (export "two") (result i32 i64) (i32.const 1) (i64.const -2))
  (func (export "none")))
T
  run 0 run --invoke add i.wat 2 -5
  expect out -3
  run 0 run --invoke wide i.wat -9223372036854775808
  expect out 9223372036854775807
  run 0 run --invoke half i.wat 3
  expect out 1.5
  run 0 run --invoke third i.wat -1
  expect out -0.25
  run 0 run --invoke two i.wat
  expect out $'1\n-2'
  run 0 run --invoke none i.wat
  empty out
  run 1 run --invoke add i.wat 2
  has err 'takes 2 arguments'
  run 1 run --invoke add i.wat 2 x
  has err "'x' is not a value of type i32"
  run 1 run --invoke nothing i.wat
  has err 'no exported function "nothing"'
  run 1 run i.wat
  has err '--invoke'
}

limits() {
  echo '(module (func (export "_start") (loop (br 0))))' >spin.wat
  run 134 run --fuel 100000 spin.wat
  has err 'out of fuel'
  run 134 run --timeout 50ms spin.wat
  has err 'timed out after 50ms'
  echo '(module (memory 1) (func (export "g") (result i32) (memory.grow (i32.const 100))))' >g.wat
  run 0 run --invoke g g.wat
  expect out 1
  run 0 run --max-memory 1M --invoke g g.wat
  expect out -1
  echo '(module (memory 100))' >m.wat
  run 1 run --max-memory 1M m.wat
  echo '(module (func $f (export "_start") (call $f)))' >deep.wat
  run 134 run deep.wat
  has err 'call stack exhausted'
  run 134 run --stack-size 64K deep.wat
  has err 'call stack exhausted'
  # A guest that blocks is stopped as well.
  cat >wait.wat <<'T'
(module (memory 1 1 shared)
  (func (export "_start")
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
T
  run 134 run --timeout 100ms wait.wat
  has err 'timed out'
  # So is a module that is not ready to run in time, wherever it is.
  awk 'BEGIN {
    print "(module (func (export \"_start\"))"
    for (f = 0; f < 3000; ++f) {
      print "(func (param i32) (result i32) (loop $l"
      for (i = 0; i < 20; ++i)
        print "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (i32.const " i * f "))))"
      print "(br_if $l (local.get 0))) (local.get 0))"
    }
    print ")"
  }' >late.wat
  for tier in $tiers; do
    run 134 run --tier $tier --no-cache --timeout 1ms late.wat
    has err 'late.wat: timed out after 1ms'
    [ "$tier" != llvm ] || run 134 run --tier llvm --no-cache --timeout 500ms late.wat
  done
}

arguments() {
  # Prints its arguments, each ended by a zero byte.
  cat >args.wat <<'T'
(module
  (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $esizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $print (param $at i32) (param $n i32)
    (i32.store (i32.const 16) (local.get $at)) (i32.store (i32.const 20) (local.get $n))
    (drop (call $w (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $get (i32.const 1024) (i32.const 8192)))
    (call $print (i32.const 8192) (i32.load (i32.const 4)))
    (drop (call $esizes (i32.const 0) (i32.const 4)))
    (drop (call $env (i32.const 1024) (i32.const 8192)))
    (call $print (i32.const 8192) (i32.load (i32.const 4)))))
T
  run 0 run args.wat -- -- one
  [ "$(tr '\0' '|' <out)" = 'args.wat|--|one|' ] || { tr '\0' '|' <out; failures=$((failures + 1)); }
  run 0 run args.wat one -- two
  [ "$(tr '\0' '|' <out)" = 'args.wat|one|--|two|' ] || { tr '\0' '|' <out; failures=$((failures + 1)); }
  run 0 run args.wat one --fuel -x
  [ "$(tr '\0' '|' <out)" = 'args.wat|one|--fuel|-x|' ] || { tr '\0' '|' <out; failures=$((failures + 1)); }
  HIDDEN=1 PASSED=yes run 0 run --env A=b --env PASSED --argv0 me args.wat
  [ "$(tr '\0' '|' <out)" = 'me|A=b|PASSED=yes|' ] || { tr '\0' '|' <out; failures=$((failures + 1)); }
}

sandbox() {
  # Opens the path of its argument below descriptor 3; exits with the errno.
  cat >open.wat <<'T'
(module
  (import "wasi_snapshot_preview1" "args_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $p i32) (local $n i32)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $get (i32.const 1024) (i32.const 8192)))
    (local.set $p (i32.load (i32.const 1028)))
    (local.set $n (i32.sub (i32.sub (i32.add (i32.const 8192) (i32.load (i32.const 4)))
                                    (local.get $p)) (i32.const 1)))
    (call $exit (call $open (i32.const 3) (i32.const 1) (local.get $p) (local.get $n)
      (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8)))))
T
  mkdir -p granted/sub
  echo inside >granted/file
  echo outside >secret
  ln -s ../secret granted/link
  ln -s /etc/passwd granted/absolute
  run 0 run --dir granted open.wat file
  run 0 run --dir granted::/data open.wat sub/../file
  for path in ../secret sub/../../secret link absolute /etc/passwd; do
    run 63 run --dir granted open.wat "$path" # perm
  done
  run 44 run --dir granted open.wat missing # noent
  run 8 run open.wat file                   # badf: nothing granted
  run 1 run --dir nosuch open.wat file
}

inspect() {
  echo '(module $named (memory 1) (func $fun (export "f")) (import "x" "y" (global i32)))' >m.wat
  # Imports precede definitions.
  run 1 wat2wasm m.wat
  echo '(module $named (import "x" "y" (global i32)) (memory 1) (func $fun (export "f")))' >m.wat
  run 0 inspect m.wat
  for section in Type Import Function Memory Export Code; do
    grep -qi "$section" out || { echo "no $section section"; failures=$((failures + 1)); }
  done
  run 1 inspect nosuch.wasm
  # A section that is not there.
  run 1 inspect -j data m.wat
  empty out
  run 0 wat2wasm m.wat -o m.wasm
  run 0 inspect -j name m.wasm
  run 1 inspect -j exprot m.wasm
  has err "no section 'exprot'; did you mean 'export'?"
  has err 'there are: type, import, function, memory, export, code, name'
  run 1 inspect --json -j nothing m.wasm
  has err "no section 'nothing'"
  # Callees have their names.
  cat >calls.wat <<'T'
(module (import "env" "out" (func $out)) (import "env" "other" (func))
  (global $total (mut i32) (i32.const 0))
  (func $main (call $out) (call 1) (call $helper (global.get $total)))
  (func $helper (param i32) (return_call $main) (drop (ref.func $main)))
  (elem declare func $main))
T
  run 0 inspect -d calls.wat
  has out 'call 0 <out>'
  has out 'call 1 <env.other>'
  has out 'call 3 <helper>'
  has out 'return_call 2 <main>'
  has out 'ref.func 2 <main>'
  has out 'global.get 0 <total>'
  # Machine code, and what it was made from.
  case " $tiers " in *" llvm "*)
    run 0 compile --fuel --target aarch64 calls.wat -o calls.wcode
    run 0 inspect -d calls.wcode
    has out 'calls.wcode: machine code for aarch64, '
    has out '2 functions'
    has out 'with guard pages, fuel'
    has out 'call 3 <helper>'
    run 0 inspect --json calls.wcode
    has out '"machine": "aarch64"'
    # Machine code for microcontrollers.
    echo '(module (memory 1) (func (export "get") (param i32) (result i32)
      (i32.load (local.get 0))) (func (export "three") (result i32) (i32.const 3)))' >get.wat
    run 0 wat2wasm get.wat -o get.wasm
    for target in 'thumbv7em: Armv7-M; dsp, f32' 'riscv32imc_zba: riscv32; m, c, zba'; do
      run 0 compile --format xip --target "${target%%:*}" get.wasm -o get.xip
      run 0 inspect get.xip
      machine=${target#*: }
      has out "get.xip: machine code for ${machine%;*} that runs in place, $(wc -c <get.xip) bytes; 2 functions, "
      has out "; uses ${machine#*; }"
      has out "made from: a module of $(wc -c <get.wasm) bytes, for a memory of at least "
      run 0 inspect --json get.xip
      has out '"format": "xip"'
      has out '"functions": 2'
    done
    run 1 run get.xip
    has err 'get.xip: is machine code that runs in place; a module or component was expected'
    printf X | dd of=get.xip bs=1 seek=70 conv=notrunc 2>/dev/null
    run 1 inspect get.xip
    has err 'get.xip: machine code is damaged'
    head -c 40 get.xip >cut.xip
    run 1 inspect cut.xip
    has err 'cut.xip: machine code is too short'
    head -c 5000 calls.wcode >cut.wcode
    run 1 inspect cut.wcode
    has err 'cut off' ;;
  esac
}

# Calls of exports of components, with values in WAVE.
# All of a component is one file of machine code: its core modules, and the calls between its
# parts.
size() {
  cat >loop.wat <<'EOF'
(module (memory 1) (func (export "f") (param i32) (result i32) (local i32)
  (loop $again (local.set 1 (i32.add (local.get 1) (local.get 0)))
    (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
  (local.get 1)))
EOF
  run 0 size --profile minimal loop.wat
  has out '     65536  linear memory'
  has out ' code, if every function runs; the largest takes '
  # A word, and one for the branch.
  run 0 size --profile minimal --in-place loop.wat
  has out '        16  side tables, if every function runs; the largest takes 16, bodies have '
  # And one for each stretch of code that is charged.
  run 0 size --profile minimal --in-place --fuel loop.wat
  has out '        48  side tables,'
  run 0 run --tier in-place --invoke f loop.wat 10
  expect out 55
  # What is only needed to make code, and what goes with parts of a module: `line TEXT` gives how
  # many bytes.
  line() { sed -n "s/^ *\([0-9]*\)  $1.*/\1/p" out; }
  run 0 size --profile minimal loop.wat
  local base kept
  base=$(line 'in all') kept=$(line engine)
  python3 -c 'print("(module (memory 1) (func", "block " * 400, "end " * 400, "))")' >deep.wat
  run 0 size --profile minimal deep.wat
  [ "$(line while)" -ge 40000 ] && [ "$(line 'in all')" -ge $((base + 40000)) ] ||
    { echo "size: nothing for what is nested deep"; failures=$((failures + 1)); }
  run 0 size --profile standard loop.wat
  [ "$(line engine)" -ge $((kept + 800)) ] ||
    { echo "size: nothing for references"; failures=$((failures + 1)); }
  printf '(module (func $f) (table 1 funcref) (elem funcref %s))' \
    "$(printf '(ref.func $f) %.0s' {1..500})" >elements.wat
  run 0 size --profile standard elements.wat
  [ "$(line engine)" -ge 6000 ] ||
    { echo "size: too little for a passive segment"; failures=$((failures + 1)); }
  echo '(module)' >empty.wat
  run 0 size --profile minimal empty.wat
  kept=$(line engine)
  echo '(module (import "a" "b" (func)))' >host.wat
  run 0 size --profile minimal host.wat
  [ "$(line engine)" -ge $((kept + 560)) ] ||
    { echo "size: too little for a function of the host"; failures=$((failures + 1)); }
  # A frame of more than 64 KiB is none there, but in place.
  echo "(module (func (local $(printf 'i32 %.0s' {1..9000}))))" >frame.wat
  run 1 size frame.wat
  expect err 'error: function 0 needs too many stack slots for 32-bit processors: 9007, of 8187 at most'
  run 0 size --in-place frame.wat
  echo '(module (func (result v128) v128.const i64x2 1 2))' >vector.wat
  run 0 size vector.wat
  run 1 size --in-place vector.wat
  has err "the profile 'full' does not run this module in place"
  # What no profile runs.
  printf 'GIF89a..' >gif.wasm
  run 1 size gif.wasm
  expect err 'error: gif.wasm:0x0: magic header not detected'
  empty out
}

component_code() {
  cat >two.wat <<'T'
(component
  (import "host" (func $host (param "x" u32) (result u32)))
  (component $C
    (core module $M
      (memory (export "mem") 1)
      (global $at (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $at (i32.add (global.get $at) (i32.const 64)))
        (global.get $at))
      (func (export "count") (param i32 i32) (result i32) (local.get 1)))
    (core instance $m (instantiate $M))
    (func (export "count") (param "s" string) (result u32) (canon lift (core func $m "count")
      (memory (core memory $m "mem")) (realloc (core func $m "realloc")))))
  (component $D
    (import "count" (func $count (param "s" string) (result u32)))
    (core module $Mem (memory (export "mem") 1) (data (i32.const 8) "h\c3\a9llo"))
    (core instance $mem (instantiate $Mem))
    (core func $count' (canon lower (func $count) (memory (core memory $mem "mem"))))
    (core module $M
      (import "" "count" (func $count (param i32 i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (call $count (i32.const 8) (local.get 0)))
      (func (export "boom") unreachable))
    (core instance $m (instantiate $M (with "" (instance (export "count" (func $count'))))))
    (func (export "run") (param "n" u32) (result u32) (canon lift (core func $m "run")))
    (func (export "boom") (canon lift (core func $m "boom"))))
  (instance $c (instantiate $C))
  (instance $d (instantiate $D (with "count" (func $c "count"))))
  (func (export "run") (alias export $d "run"))
  (func (export "boom") (alias export $d "boom")))
T
  sed '/import "host"/d' two.wat >own.wat
  run 0 compile -v own.wat -o own.wcode
  # Two of the parts' own, the memory's, and the adapter.
  has err 'for 4 modules'
  run 0 run --invoke 'run(6)' own.wcode
  expect out 6
  run 134 run --invoke 'run(2)' own.wcode
  has err 'utf-8'
  run 134 run --invoke boom own.wcode
  has err 'trap: unreachable'
  cat own.wcode | "$wafer" run --invoke 'run(3)' - >out
  expect out 3
  run 0 inspect own.wcode
  has out 'machine code for'
  has out 'export run: func(n: u32) -> u32;'
  # What imports stand for makes no difference to the code.
  run 0 compile -v two.wat -o two.wcode
  has err 'for 4 modules'
  run 1 run --invoke 'run(6)' two.wcode
  has err 'component imports `host`: unknown import'
  # Damage is told.
  size=$(wc -c <own.wcode)
  for at in 9 20 40 200 $((size - 4000)); do
    cp own.wcode bad.wcode
    printf 'XXXX' | dd of=bad.wcode bs=1 seek=$at conv=notrunc 2>/dev/null
    run 1 run --invoke 'run(6)' bad.wcode
    has err 'code file'
  done
  for length in 8 100 5000 $((size - 1)); do
    head -c $length own.wcode >bad.wcode
    run 1 run --invoke 'run(6)' bad.wcode
    has err 'code file'
  done
  run 1 compile two.wasm
  # Parts of components are kept in the cache like modules.
  run 0 run --tier llvm --cache-dir cache --invoke 'run(6)' own.wat
  [ "$(ls cache | grep -c wcode)" = 4 ] || { ls cache; failures=$((failures + 1)); }
  touch -d '1 hour ago' cache/*
  run 0 run --tier llvm --cache-dir cache --invoke 'run(5)' own.wat
  expect out 5
  [ "$(ls cache | grep -c wcode)" = 4 ] || { ls cache; failures=$((failures + 1)); }
}

components() {
  cat >c.wat <<'T'
(component
  (core module $M
    (memory (export "mem") 1)
    (global $at (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $at (i32.add (global.get $at) (i32.const 64)))
      (global.get $at))
    (func (export "sum") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
    (func (export "boom") unreachable))
  (core instance $m (instantiate $M))
  (type $point' (record (field "x" u32) (field "y" u32)))
  (export $point "point" (type $point'))
  (func $sum (param "p" $point) (result u32) (canon lift (core func $m "sum")))
  (export "sum" (func $sum))
  (func (export "echo") (param "s" string) (result string)
    (canon lift (core func $m "echo") (memory (core memory $m "mem")) (realloc (core func $m "realloc"))))
  (func (export "boom") (canon lift (core func $m "boom"))))
T
  run 0 wat2wasm c.wat -o c.wasm
  for tier in interp $tiers; do
    run 0 run --tier $tier --invoke 'sum({x: 1, y: 2})' c.wasm
    expect out 3
  done
  run 0 run --invoke sum c.wat '{y: 7, x: 8}'
  expect out 15
  run 0 run --invoke 'echo("h\u{e9}\n☃")' c.wat
  expect out '"hé\n☃"'
  input=c.wasm run 0 run --invoke 'echo("")' -
  expect out '""'
  run 1 run --invoke 'sum({x: 1, z: 2})' c.wasm
  has err 'sum(p: record { x: u32, y: u32 }): ({x: 1, z: 2}): a field (y) expected, `z` found'
  run 1 run --invoke sun c.wasm
  has err 'no exported function "sun" (exported functions: sum, echo, boom)'
  run 134 run --invoke boom c.wasm
  has err 'trap: unreachable'
  # Of an interface: by its name, with or without a version, or without it where that is enough.
  cat >i.wat <<'T'
(component
  (core module $m (func (export "f") (result i32) (i32.const 7)))
  (core instance $m (instantiate $m))
  (component $i (import "f" (func $f (result u32))) (export "f" (func $f)))
  (func $f (result u32) (canon lift (core func $m "f")))
  (instance $i (instantiate $i (with "f" (func $f))))
  (export "a:b/i@1.2.0" (instance $i))
  (export "a:b/j" (instance $i)))
T
  for name in a:b/i@1.2.0#f a:b/i@1.0.0#f 'a:b/i#f()' a:b/j#f; do
    run 0 run --invoke $name i.wat
    expect out 7
  done
  run 1 run --invoke f i.wat
  run 1 run --invoke b/i#f i.wat
  has err '(exported functions: a:b/i@1.2.0#f, a:b/j#f)'
}

# Components, imports that nobody provides, slips of the hand.
messages() {
  printf '\0asm\x0d\0\1\0' >component.wasm
  # An empty component is a valid one.
  run 0 validate component.wasm
  run 0 inspect component.wasm
  has out 'package root:component;'
  run 0 wasm2wat component.wasm
  expect out '(component
)'
  printf '\0asm\x0d\0\1\0\x0b\1' >component.wasm
  run 1 validate component.wasm
  has err 'component.wasm:0x8: unexpected end-of-file'
  echo '(component (core module))' >component.wat
  run 1 run component.wat
  has err 'component.wat: nothing to run: it exports no functions'
  # What is there, where something else was expected: in one line.
  wrong() {
    run 1 "${@:2}"
    has err "$1"
    [ "$(wc -l <err)" -eq 1 ] || { echo "more than one line: $*"; failures=$((failures + 1)); }
  }
  printf 'package a:b;\nworld w { import f: func(); }\n' >w.wit
  echo '(module (import "$root" "f" (func)))' >m.wat
  run 0 wat2wasm m.wat -o m.wasm
  run 0 component embed w.wit m.wasm -o core.wasm
  run 0 component new core.wasm -o c.wasm
  run 0 wit --wasm w.wit -o p.wasm
  : >none.wasm
  mkdir wits
  printf 'package c:d;\nworld v { include a:b/w; }\n' >wits/v.wit
  mkdir wits/deps
  cp p.wasm wits/deps/
  run 0 wit wits
  has out 'import f: func();'
  for binary in p.wasm c.wasm core.wasm; do
    run 0 wit $binary
    has out 'import f: func();'
    run 0 bindgen c $binary -o bound
    run 0 component targets $binary c.wasm
    run 0 component embed $binary m.wasm -o out.wasm
  done
  for bad in 'm.wasm: is a core module that tells no world' 'm.wat: is the text of a module' \
    'none.wasm: no file has a `package` header'; do
    wrong "$bad" wit "${bad%%:*}"
    wrong "$bad" bindgen host "${bad%%:*}" -o bound
    wrong "$bad" component targets "${bad%%:*}" c.wasm
    wrong "$bad" component embed "${bad%%:*}" m.wasm -o out.wasm
  done
  for bad in 'w.wit: is WIT; a module or component was expected' 'none.wasm: is empty' \
    'm.wasm: is a core module; a component was expected' \
    'p.wasm`*: is a WIT package in binary form; a component was expected'; do
    file=${bad%%[:\`]*}
    wrong "${bad#*: }" component plug $file --plug c.wasm -o out.wasm
    wrong "${bad#*: }" component plug c.wasm --plug $file -o out.wasm
    wrong "${bad#*: }" component targets w.wit $file
  done
  for command in validate inspect run 'run --invoke f'; do
    wrong 'w.wit: is WIT; a module or component was expected' $command w.wit
    wrong 'none.wasm: is empty; a module or component was expected' $command none.wasm
  done
  wrong 'c.wasm: is a component; a core module was expected' component new c.wasm -o out.wasm
  wrong 'c.wasm: is a component; a core module was expected' component embed w.wit c.wasm -o out.wasm
  wrong 'c.wasm: is a component; a core module was expected' component link c.wasm -o out.wasm
  wrong 'c.wasm: is a component; a core module was expected' component new m.wasm --adapt c.wasm
  wrong 'm.wasm: is a core module; a component was expected' component unbundle m.wasm --module-dir out
  wrong 'a script was expected' component compose c.wasm -o out.wasm

  cat >imports.wat <<'T'
(module
  (import "env" "emscripten_notify_memory_growth" (func (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wbg" "__wbindgen_throw" (func (param i32 i32)))
  (import "__wbindgen_placeholder__" "x" (func))
  (import "wasix_32v1" "futex_wake" (func (param i32 i32) (result i32)))
  (import "gojs" "runtime.wasmExit" (func (param i32)))
  (import "wasi" "thread-spawn" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_wriet" (func))
  (import "mine" "f" (func))
  (import "mine" "m" (memory 1))
  (func (export "_start")))
T
  run 1 run imports.wat
  [ "$(grep -c '^error:' err)" = 1 ] || { cat err; failures=$((failures + 1)); }
  has err 'error: imports.wat: unknown import: "env" "emscripten_notify_memory_growth", "wbg" "__wbindgen_throw", '
  has err '"wasi_snapshot_preview1" "fd_wriet", "mine" "f", "mine" "m"'
  ! grep '^error' err | grep -q '"fd_write"' || { echo "names what is there"; failures=$((failures + 1)); }
  for hint in '"env": Emscripten' '"wbg": wasm-bindgen' '"__wbindgen_placeholder__": ' \
    '"wasix_32v1": WASIX' "\"gojs\": Go's" '"wasi": threads' \
    '"wasi_snapshot_preview1": no function of WASI 0.1'; do
    has err "hint: $hint"
  done
  ! grep -q 'hint: "mine"' err || { echo "a hint about nothing known"; failures=$((failures + 1)); }

  echo '(module (func (export "_start")))' >ok.wat
  echo '(module (func (export "f") (param i32) (result i32) (local.get 0)))' >f.wat
  run 2 run --fule 5 ok.wat
  has err "unknown option '--fule'; did you mean '--fuel'?"
  run 2 run --teir=llvm ok.wat
  has err "unknown option '--teir'; did you mean '--tier'?"
  run 2 validate --enabel gc ok.wat
  has err "did you mean '--enable'?"
  run 2 --verison
  has err "did you mean '--version'?"
  run 2 vaildate ok.wat
  has err "did you mean 'validate'?"
  run 2 run --tier lvm ok.wat
  has err "did you mean 'llvm'?"
  run 2 run --enable theads ok.wat
  has err "did you mean 'threads'?"
  run 2 run --qqqqqqqq ok.wat
  ! grep -q 'did you mean' err || { echo "a wild guess"; failures=$((failures + 1)); }
  run 2 component wit ok.wat
  has err "'wit' is no command of 'wafer component', but 'wafer wit' is one"
  run 2 component embde ok.wat
  has err "'wafer component' has no command 'embde'; did you mean 'embed'?"
  # Values that begin with a dash are no options.
  run 0 run --argv0 --fule ok.wat

  # Hints are about what is missing: not about functions that may be, and for the file that wants it.
  echo '(module (import "wbg" "f" (func)) (import "mine" "m" (memory 1)))' >memory.wat
  run 1 run --trap-on-unknown-imports memory.wat
  expect err 'error: memory.wat: unknown import: "mine" "m"'
  echo '(module (import "wbg" "f" (func)))' >wants.wat
  run 1 run --preload lib=wants.wat ok.wat
  has err 'error: wants.wat: unknown import: "wbg" "f"'
  has err 'hint: "wbg": wasm-bindgen'

  # Options after FILE are the program's.
  run 0 run ok.wat --fuel=5
  has err "hint: '--fuel' comes after FILE"
  run 1 run f.wat --invoke f 3
  has err "hint: '--invoke' comes after FILE"
  run 1 run --invoke f f.wat 1 --fuel 3
  has err "hint: '--fuel' comes after FILE"
  run 0 run ok.wat --other
  empty err
  echo '(module (import "wasi_snapshot_preview1" "args_get" (func (param i32 i32) (result i32)))
    (memory (export "memory") 1) (func (export "_start")))' >args.wat
  run 0 run args.wat --fuel 3
  empty err
  # Folders in the manner of other tools.
  mkdir host has:colon
  wasi_exit 0 >exit.wat
  run 1 run --dir host:/data exit.wat
  has err "hint: HOST and GUEST are parted by two colons: 'host::/data'"
  run 0 run --dir has:colon exit.wat
  empty err
}

# Where the optimizing compiler is missing, that is told once; and where nothing asks for it,
# not at all.
optimizer() {
  cat >hot.wat <<'T'
(module (func (export "f") (param i32) (result i32) (local i32)
  (loop $l (local.set 1 (i32.add (i32.rotl (local.get 1) (i32.const 3)) (local.get 0)))
    (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
  (local.get 1)))
T
  export WAFER_LLVM=$PWD/nowhere.so
  run 0 run --no-cache --invoke f hot.wat 400000000
  [ "$(grep -c 'warning: no optimizing code generator: .*nowhere.so' err)" = 1 ] &&
    [ "$(wc -l <err)" = 1 ] || { cat err; failures=$((failures + 1)); }
  run 0 run --no-cache --invoke f hot.wat 3
  empty err
  run 0 run --no-cache --tier baseline --invoke f hot.wat 1000000
  empty err
  run 1 run --no-cache --tier llvm --invoke f hot.wat 3
  has err 'no optimizing code generator'
}

# Without signals everything traps as with them, in the same places.
# A processor that is none is told at once, by one line, where code could be made for it.
processors() {
  echo '(module (func (export "f") (result i32) (i32.const 7)))' >f.wat
  for cpu in nonsense i386 help; do
    for with in 'run --tier llvm --invoke f' 'run --tier auto --invoke f' compile; do
      run 1 $with --cpu $cpu f.wat
      has err "unknown cpu '$cpu'; there are native, baseline"
      [ "$(wc -l <err)" -eq 1 ] || { echo "more than one line"; failures=$((failures + 1)); }
      empty out
    done
  done
  for cpu in native baseline; do
    run 0 run --tier llvm --cpu $cpu --invoke f f.wat
    expect out 7
  done
}

no_signals() {
  cat >traps.wat <<'T'
(module (memory 1)
  (func $load (param i32) (result i32) (i32.load (local.get 0)))
  (func $div (param i32) (result i32) (i32.div_s (i32.const 100) (local.get 0)))
  (func (export "load") (param i32) (result i32) (i32.add (call $load (local.get 0)) (i32.const 1)))
  (func (export "div") (param i32) (result i32) (i32.add (call $div (local.get 0)) (i32.const 1)))
  (func (export "none") (param i32) (result i32) unreachable)
  (func $deep (export "deep") (param i32) (result i32) (i32.add (i32.const 1) (call $deep (local.get 0)))))
T
  for call in 'load 65536' 'load -4' 'div 0' 'none 0' 'deep 0'; do
    set -- $call
    run 134 run --tier interp --no-signals --invoke "$1" traps.wat "$2"
    [ "$1" = deep ] && head -1 err >want || cp err want
    # With signals the trap is the same; a build with sanitizers does not know its frames.
    run 134 run --tier interp --invoke "$1" traps.wat "$2"
    [ "$(head -1 err)" = "$(head -1 want)" ] || failures=$((failures + 1))
    for tier in interp $tiers auto; do
      run 134 run --tier $tier --no-cache --no-signals --invoke "$1" traps.wat "$2"
      [ "$1" = deep ] && sed -i 1q err
      expect err "$(cat want)"
    done
  done
  case " $tiers " in *" llvm "*)
    # Code that was made with them is for engines with them.
    run 0 compile traps.wat -o with.wcode
    run 1 run --no-signals --invoke none with.wcode 0
    has err 'other options'
    run 0 compile --no-signals traps.wat -o without.wcode
    run 134 run --no-signals --invoke none without.wcode 0
    has err unreachable
    run 134 run --no-signals --invoke load without.wcode 65536
    has err 'out of bounds memory access' ;;
  esac
}

help() {
  run 0 --help
  mv out help
  run 0 help
  cmp help out || failures=$((failures + 1))
  run 2 help frobnicate
  has err "no command 'frobnicate'"
  run 0 help component new
  has out "wafer component new"
  run 2 help component nwe
  has err "'wafer component' has no command 'nwe'; did you mean 'new'?"
  # Numbers that are none are no limits.
  for number in -1 18446744073709551616 1.5 x; do
    run 2 run --fuel $number nothing.wasm
    has err "'$number' is not a whole number"
    run 2 serve --max-connections $number nothing.wasm
    has err "'$number' is not a whole number"
  done
  run 2 help comple
  has err "did you mean 'compile'?"
  run 0 help
  for command in run validate wat2wasm wasm2wat inspect wast completions; do
    has out "$command"
  done
  for command in run validate wat2wasm wasm2wat inspect wast completions; do
    run 0 $command --help
    has out "Usage: wafer $command"
    empty err
    mv out help
    run 0 help $command
    cmp help out || failures=$((failures + 1))
  done
  run 0 run --help
  for option in --invoke --fuel --timeout --max-memory --dir --env; do has out "$option"; done
  # Values stand as words, without what checks and flags say of themselves.
  run 0 help run
  has out '--opt LEVEL=2 '
  ! grep -E '^  -.*(\{|:INT|:TEXT)' out || { echo "odd words"; failures=$((failures + 1)); }
  run 0 --version
  has out 'wafer 0.'
  grep -Eq '^LLVM ([0-9]+\.[0-9]+|not built in)' out || { cat out; failures=$((failures + 1)); }
  has out 'tiers: auto interp in-place baseline optimizing llvm'
  grep -Eq '^features: .*gc .*simd' out || { cat out; failures=$((failures + 1)); }
  # The commit, where there is a repository.
  if commit=$(git -C "$source" log -1 --format=%h --abbrev=12 2>/dev/null) && [ -n "$commit" ]; then
    has out "($commit "
  fi
}

completions() {
  for shell in bash zsh fish; do
    run 0 completions $shell
    has out wafer
    has out max-memory
  done
  run 0 completions bash
  mv out wafer.bash
  bash -c '
    source ./wafer.bash
    COMP_WORDS=(wafer run --max) COMP_CWORD=2 COMP_LINE="wafer run --max" COMP_POINT=15
    f=$(complete -p wafer | sed "s/.*-F \([^ ]*\).*/\1/")
    $f wafer --max run 2>/dev/null
    printf "%s\n" "${COMPREPLY[@]}"' >out 2>err
  has out --max-memory
  # Values of options, in each shell that is here.
  complete_bash() { # complete_bash WORDS...: of the last one
    bash -c '
      source ./wafer.bash
      COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
      $(complete -p wafer | sed "s/.*-F \([^ ]*\).*/\1/") wafer "${@: -1}" "${@: -2:1}"
      printf "%s\n" "${COMPREPLY[@]}"' - "$@" >out 2>err
  }
  complete_bash wafer run --tier ''
  expect out $'auto\ninterp\nin-place\nbaseline\noptimizing\nllvm'
  complete_bash wafer run --tier = ll
  expect out llvm
  complete_bash wafer run --tier =
  has out baseline
  complete_bash wafer run --opt ''
  expect out $'0\n1\n2\n3'
  complete_bash wafer validate --enable gc,tail
  expect out gc,tail-call
  complete_bash wafer compile --target a
  expect out aarch64
  complete_bash wafer compile --target thumb
  expect out $'thumbv7em\nthumbv8m.main'
  complete_bash wafer compile --target ris
  expect out riscv32
  complete_bash wafer compile --format ''
  expect out $'wcode\nxip'
  complete_bash wafer size --profile s
  expect out standard
  complete_bash wafer serve --access-log ''
  expect out $'none\ntext\njson'
  complete_bash wafer compile --cpu na
  expect out native
  complete_bash wafer component pl
  expect out plug
  complete_bash wafer help comp
  expect out $'compile\ncomponent\ncompletions'
  if command -v fish >/dev/null; then
    run 0 completions fish
    mv out wafer.fish
    complete_fish() {
      HOME=$PWD fish --no-config -c "source wafer.fish; complete -C '$1'" 2>err | cut -f1 >out
    }
    complete_fish 'wafer run --tier l'
    expect out llvm
    complete_fish 'wafer compile --format x'
    expect out xip
    complete_fish 'wafer compile --target a'
    expect out aarch64
    complete_fish 'wafer validate --enable gc,tail'
    expect out gc,tail-call
    complete_fish 'wafer help valid'
    expect out validate
  fi
  if command -v zsh >/dev/null; then
    run 0 completions zsh
    mv out _wafer
    # A terminal of zsh's own, in which the tabulator is pressed.
    cat >complete.zsh <<'Z'
zmodload zsh/zpty
zpty shell "TERM=xterm PS1= HOME=$PWD zsh -f -i"
zpty -w shell "PROMPT=; autoload -U compinit; compinit -u -D; source $PWD/_wafer; echo read''y"
zpty -r -m shell line '*ready*'
zpty -n -w shell "$1"$'\t'
sleep "$2" # what comes while it thinks would end it
zpty -n -w shell $'\x15'
zpty -w shell "echo don''e"
zpty -r -m shell line '*done*'
print -r -- "$line"
zpty -d shell
Z
    complete_zsh() {
      for patience in 0.5 2 8; do
        timeout 20 zsh -f complete.zsh "$1" $patience >out 2>err
        grep -qF -- "$2" out && return
      done
      has out "$2"
    }
    complete_zsh 'wafer run --tier ll' 'wafer run --tier llvm'
    complete_zsh 'wafer run --tier=base' 'wafer run --tier=baseline'
    complete_zsh 'wafer compile --target aa' aarch64
    complete_zsh 'wafer validate --enable gc,tai' gc,tail-call
  fi
  run 2 completions tcsh
}

colour() {
  printf '\0asm' >cut.wasm
  run 1 validate cut.wasm
  ! grep -q $'\033' err || { echo "colour without a terminal"; failures=$((failures + 1)); }
  # Where there are pseudo-terminals.
  if script -qec true /dev/null >/dev/null 2>&1; then
    script -qec "'$wafer' validate cut.wasm" /dev/null >tty 2>&1
    grep -q $'\033' tty || { echo "no colour on a terminal"; failures=$((failures + 1)); }
    NO_COLOR=1 script -qec "'$wafer' validate cut.wasm" /dev/null >tty 2>&1
    ! grep -q $'\033' tty || { echo "colour in spite of NO_COLOR"; failures=$((failures + 1)); }
  fi
}

features() {
  echo '(module (func (result v128) (v128.const i64x2 0 0)))' >simd.wat
  run 0 validate simd.wat
  run 1 validate --disable simd simd.wat
  run 2 validate --disable nonsense simd.wat
  # Types of a feature that is off say which.
  off() { # off FEATURE NAME TEXT
    echo "(module $3)" >off.wat
    run 0 wat2wasm --enable all off.wat -o off.wasm
    run 1 validate --disable $1 off.wasm
    has err ": $2 not enabled"
  }
  off gc 'garbage collection' '(type (struct))'
  off gc 'garbage collection' '(type (sub (func)))'
  off gc 'garbage collection' '(global anyref (ref.null any))'
  off stack-switching 'stack switching' '(type $f (func)) (type (cont $f))'
  off stack-switching 'stack switching' '(func (param contref))'
  off custom-descriptors 'custom descriptors' '(rec (type $a (descriptor 1) (struct)) (type (describes 0) (struct)))'
  off exceptions exceptions '(func (param exnref))'
  off function-references 'function references' '(type $f (func)) (func (param (ref $f)))'
  off simd SIMD '(func (param v128))'
  off memory64 memory64 '(memory i64 1)'
  off memory64 memory64 '(table i64 1 funcref)'
  off threads threads '(memory 1 1 shared)'
  off custom-page-sizes 'custom page sizes' '(memory 1 (pagesize 1))'
  off multi-memory multi-memory '(memory 1) (memory 1)'
  off extended-const 'extended constant expressions' '(global i32 (i32.add (i32.const 1) (i32.const 2)))'
  off exceptions exceptions '(tag)'
  off exceptions exceptions '(import "" "" (tag))'
  off compact-imports 'compact imports' '(import "a" (item "b" (func)))'
  echo '(module (type $f (func)) (type (cont $f)) (func (export "f")))' >cont.wat
  run 0 run --enable stack-switching --invoke f cont.wat
  run 1 run --tier in-place --enable stack-switching --invoke f cont.wat
  has err 'stack switching not enabled'
  has err 'hint: this tier lacks it; other tiers run the module'
  run 1 run --tier in-place --invoke f cont.wat
  ! grep -q hint err || { echo "a hint at tiers for what is off in all"; failures=$((failures + 1)); }
}

$topic
[ "$failures" -eq 0 ]
