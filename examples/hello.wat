;; Greets its arguments and prints the first Fibonacci numbers, over WASI 0.1.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get"
    (func $args_get (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 64) "Hello from ")
  (data (i32.const 96) "fib: ")

  (func $print (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))

  (func $strlen (param $at i32) (result i32)
    (local $n i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (i32.load8_u (i32.add (local.get $at) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $n))

  ;; Decimal digits, written downwards from 200, then a separator.
  (func $print_number (param $n i32)
    (local $at i32)
    (local.set $at (i32.const 200))
    (i32.store8 (local.get $at) (i32.const 32))
    (loop $digit
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
      (br_if $digit (local.tee $n (i32.div_u (local.get $n) (i32.const 10)))))
    (call $print (local.get $at) (i32.sub (i32.const 201) (local.get $at))))

  (func $newline
    (i32.store8 (i32.const 128) (i32.const 10))
    (call $print (i32.const 128) (i32.const 1)))

  (func (export "_start")
    (local $count i32) (local $i i32) (local $a i32) (local $b i32) (local $arg i32)
    (call $print (i32.const 64) (i32.const 11))
    (drop (call $args_sizes_get (i32.const 16) (i32.const 20)))
    (drop (call $args_get (i32.const 1024) (i32.const 4096)))
    (local.set $count (i32.load (i32.const 16)))
    ;; The first argument is the program's own name.
    (local.set $i (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $count)))
        (local.set $arg
          (i32.load (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 2)))))
        (call $print (local.get $arg) (call $strlen (local.get $arg)))
        (i32.store8 (i32.const 128) (i32.const 32))
        (call $print (i32.const 128) (i32.const 1))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (call $newline)
    (call $print (i32.const 96) (i32.const 5))
    (local.set $b (i32.const 1))
    (local.set $i (i32.const 0))
    (loop $fib
      (call $print_number (local.get $a))
      (local.set $arg (i32.add (local.get $a) (local.get $b)))
      (local.set $a (local.get $b))
      (local.set $b (local.get $arg))
      (br_if $fib (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                            (i32.const 16))))
    (call $newline)))
