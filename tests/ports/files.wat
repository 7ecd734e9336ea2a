;; For memory_test.c: opens a file, fails to remove or rename the directory that it is given, and
;; then uses memory of the library.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory"
    (func $remove (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  ;; The paths, and a piece of one byte at 32.
  (data (i32.const 0) "file" "." "sub/..")
  (data (i32.const 32) "\28\00\00\00\01\00\00\00")
  (func $tell (param $error i32)
    (i32.store8 (i32.const 40) (local.get $error))
    (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 48))))
  ;; Where there is a budget for code, takes that of $tell.
  (func $other)
  (func (export "_start")
    (call $tell (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 44)))
    (call $other)
    (call $tell (call $remove (i32.const 3) (i32.const 4) (i32.const 1)))
    (call $tell (call $remove (i32.const 3) (i32.const 5) (i32.const 6)))
    (call $tell (call $rename (i32.const 3) (i32.const 4) (i32.const 1)
      (i32.const 3) (i32.const 0) (i32.const 4)))
    (call $tell (call $rename (i32.const 3) (i32.const 0) (i32.const 4)
      (i32.const 3) (i32.const 4) (i32.const 1)))))
