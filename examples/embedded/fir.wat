;; A signal filter as a device might load it: 2 KiB of memory by way of one-byte pages.
;; main.c has the binary: wafer wat2wasm fir.wat
(module
  (import "device" "sample" (func $sample (param i32) (result i32)))
  (memory (export "memory") 2048 2048 (pagesize 1))
  (data (i32.const 0) "\01\03\05\07\07\05\03\01")
  ;; Reads $n samples and gives the largest output of the 8-tap filter.
  (func (export "filter") (param $n i32) (result i32)
    (local $i i32) (local $k i32) (local $sum i32) (local $max i32)
    (loop $read
      (i32.store (i32.add (i32.const 16) (i32.shl (local.get $i) (i32.const 2)))
        (call $sample (local.get $i)))
      (br_if $read
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.set $i (i32.const 7))
    (loop $each
      (local.set $sum (i32.const 0))
      (local.set $k (i32.const 0))
      (loop $tap
        (local.set $sum (i32.add (local.get $sum)
          (i32.mul (i32.load8_u (local.get $k))
            (i32.load (i32.add (i32.const 16)
              (i32.shl (i32.sub (local.get $i) (local.get $k)) (i32.const 2)))))))
        (br_if $tap
          (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (i32.const 8))))
      (if (i32.gt_s (local.get $sum) (local.get $max))
        (then (local.set $max (local.get $sum))))
      (br_if $each
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $max)))
