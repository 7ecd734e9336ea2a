#!/usr/bin/env bash
# topics.sh WAFER TOPIC [TIERS...]: tests one topic of the command line in a scratch folder,
# with the tiers that make machine code.
set -u
wafer=$1
topic=$2
tiers=${*:3}
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
  run 0 compile --interruptible prog.wat -o stop.wcode
  run 134 run --timeout 100ms --invoke spin stop.wcode
  has err "timed out"
  # Other processors' code is made here but does not run here.
  case $(uname -m) in x86_64) other=aarch64 ;; *) other=x86_64 ;; esac
  run 0 compile --target $other prog.wat -o other.wcode
  run 1 run --invoke add other.wcode 1 2
  has err "another kind of processor"
  run 1 compile --target vax prog.wat -o none.wcode
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
  # Nothing is written when the input is bad.
  echo '(module (func (result i32) i64.const 1))' >invalid.wat
  run 1 wat2wasm invalid.wat -o result.wasm
  absent result.wasm
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
}

help() {
  run 0 --help
  for command in run validate wat2wasm wasm2wat inspect wast completions; do
    has out "$command"
  done
  for command in run validate wat2wasm wasm2wat inspect wast completions; do
    run 0 $command --help
    has out "Usage: wafer $command"
    empty err
  done
  run 0 run --help
  for option in --invoke --fuel --timeout --max-memory --dir --env; do has out "$option"; done
  run 0 --version
  has out wafer
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
  echo '(module (memory 1) (memory 1))' >two.wat
  run 0 validate two.wat
  run 1 validate --disable multi-memory two.wat
}

$topic
[ "$failures" -eq 0 ]
