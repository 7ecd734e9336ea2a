;; The sums of relaxed dot products saturate at 16 bits: -128 * -128 + -128 * -128 is 32767,
;; whichever tier runs it, and whether the operands are known when it compiles or not.

(module
  (func (export "dot") (param v128 v128) (result v128)
    (i16x8.relaxed_dot_i8x16_i7x16_s (local.get 0) (local.get 1)))
  (func (export "dot_add") (param v128 v128 v128) (result v128)
    (i32x4.relaxed_dot_i8x16_i7x16_add_s (local.get 0) (local.get 1) (local.get 2)))
  (func (export "constant") (result v128)
    (i16x8.relaxed_dot_i8x16_i7x16_s
      (v128.const i8x16 -128 -128 -128 127 0 0 1 1 -128 -128 2 3 -128 -128 127 127)
      (v128.const i8x16 -128 -128 -128 127 0 0 1 1 -128 -128 2 3 127 127 127 127)))
  (func (export "constant add") (result v128)
    (i32x4.relaxed_dot_i8x16_i7x16_add_s
      (v128.const i8x16 -128 -128 -128 -128 0 0 1 1 -128 -128 2 3 -128 -128 127 127)
      (v128.const i8x16 -128 -128 -128 -128 0 0 1 1 -128 -128 2 3 127 127 127 127)
      (v128.const i32x4 1 2 3 4))))

(assert_return (invoke "constant")
  (v128.const i16x8 32767 32513 0 2 32767 13 -32512 32258))
(assert_return (invoke "constant add")
  (v128.const i32x4 65535 4 32783 -250))
(assert_return
  (invoke "dot"
    (v128.const i8x16 -128 -128 -128 127 0 0 1 1 -128 -128 2 3 -128 -128 127 127)
    (v128.const i8x16 -128 -128 -128 127 0 0 1 1 -128 -128 2 3 127 127 127 127))
  (v128.const i16x8 32767 32513 0 2 32767 13 -32512 32258))
(assert_return
  (invoke "dot_add"
    (v128.const i8x16 -128 -128 -128 -128 0 0 1 1 -128 -128 2 3 -128 -128 127 127)
    (v128.const i8x16 -128 -128 -128 -128 0 0 1 1 -128 -128 2 3 127 127 127 127)
    (v128.const i32x4 1 2 3 4))
  (v128.const i32x4 65535 4 32783 -250))
