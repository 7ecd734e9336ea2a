;; Values and start functions (Explainer.md, "Value Definitions", "Start Definitions").

;; All of them are consumed, by exports that are instances.
(component
  (value $a bool true)
  (value $b u8 255)
  (value $c u16 65535)
  (value $d u32 4_294_967_295)
  (value $e u64 18446744073709551615)
  (value $f s8 -128)
  (value $g s16 -32768)
  (value $h s32 -0x8000_0000)
  (value $i s64 -9223372036854775808)
  (value $j f32 9.1)
  (value $k f64 nan)
  (value $l char 'a')
  (value $l2 char '\u{1f600}')
  (value $l3 char '(')
  (value $l4 char '\'')
  (value $l5 char ' ')
  (value $l6 char 'é')
  (value $m string "hello")
  (value $n (record (field "a" bool) (field "b" u8)) (record true 1))
  (value $o (variant (case "a" bool) (case "b" u8) (case "c")) (variant "b" 1))
  (value $o2 (variant (case "a" bool) (case "b" u8) (case "c")) (variant "c"))
  (value $p (list (result (option u8)))
    (list error (ok (some 1)) (ok none) error (ok (some 2))))
  (value $p2 (result (error string)) (error "no"))
  (value $p3 (result) ok)
  (value $q (tuple u8 u16 u32) (tuple 1 2 3))
  (type $abc (flags "a" "b" "c"))
  (value $r $abc (flags "a" "c"))
  (value $s (enum "a" "b" "c") (enum "b"))
  (value $t bool (binary "\00"))
  (value $u string (binary "\07example"))
  (value $v (list u8 3) (list 1 2 3))
  (value $w (map string u16) (map (entry "a" 1) (entry "b" 2)))
  (type $complex
    (tuple
      (record (field "a" (option string)) (field "b" (tuple (option u8) string)))
      (list char) $abc string))
  (value $complex1 (type $complex)
    (tuple (record none (tuple none "empty")) (list) (flags) ""))
  (value $complex2 (type $complex)
    (tuple (record (some "example") (tuple (some 42) "hello")) (list 'a' 'b' 'c')
      (flags "b" "a") "hi"))
  (instance
    (export "a" (value $a)) (export "b" (value $b)) (export "c" (value $c))
    (export "d" (value $d)) (export "e" (value $e)) (export "f" (value $f))
    (export "g" (value $g)) (export "h" (value $h)) (export "i" (value $i))
    (export "j" (value $j)) (export "k" (value $k)) (export "l" (value $l))
    (export "l2" (value $l2)) (export "l3" (value $l3)) (export "l4" (value $l4))
    (export "l5" (value $l5)) (export "l6" (value $l6)) (export "m" (value $m))
    (export "n" (value $n)) (export "o" (value $o)) (export "o2" (value $o2))
    (export "p" (value $p)) (export "p2" (value $p2)) (export "p3" (value $p3))
    (export "q" (value $q)) (export "r" (value $r)) (export "s" (value $s))
    (export "t" (value $t)) (export "u" (value $u)) (export "v" (value $v))
    (export "w" (value $w)) (export "x" (value $complex1)) (export "y" (value $complex2))))

;; A type from outside is known where it is an equal of one that is; else bytes are written.
(component
  (type $r (record (field "x" u8)))
  (export $named "r" (type $r))
  (value $v $named (record 7))
  (export "v" (value $v))
  (component $inner
    (alias outer 1 $r (type $r2))
    (export $r3 "r" (type $r2))
    (value $v $r2 (record 8))
    (export "v" (value $v) (value (type $r3)))))
(assert_malformed
  (component quote
    "(import \"i\" (instance $i (export \"t\" (type (eq 0)))))"
    "(alias export $i \"t\" (type $t)) (value $t (record 1))")
  "")

;; Values that do not fit.
(assert_malformed (component quote "(value u8 256)") "value is out of the range of its type")
(assert_malformed (component quote "(value u8 -1)") "value is out of the range of its type")
(assert_malformed (component quote "(value s8 128)") "value is out of the range of its type")
(assert_malformed (component quote "(value s8 -129)") "value is out of the range of its type")
(assert_malformed (component quote "(value u64 18446744073709551616)")
  "value is out of the range of its type")
(assert_malformed (component quote "(value f32 nan:0x1)") "unknown operator")
(assert_malformed (component quote "(value char 'ab')") "malformed character")
(assert_malformed (component quote "(value char '')") "malformed character")
(assert_malformed (component quote "(value char \"a\")") "unexpected token")
(assert_malformed (component quote "(value (enum \"a\") (enum \"b\"))") "the enum has no such case")
(assert_malformed (component quote "(value (variant (case \"a\")) (variant \"b\"))")
  "the variant has no such case")
(assert_malformed (component quote "(value (flags \"a\") (flags \"b\"))")
  "the flags have no such name")
(assert_malformed (component quote "(value (list u8 2) (list 1))")
  "a list of another length than its type has")
(assert_malformed (component quote "(value (tuple u8 u8) (tuple 1))") "unexpected token")
(assert_malformed (component quote "(value (tuple u8 u8) (tuple 1 2 3))") "unexpected token")
(assert_malformed (component quote "(value (option u8) (some))") "unexpected token")
(assert_malformed (component quote "(value (future u8) 1)") "values of this type cannot be written")
(assert_malformed (component quote "(value bool 1)") "unexpected token")

;; The same in binary form.
(assert_invalid (component (value $v (stream u8) (binary "\00")) (export "v" (value $v)))
  "values of type `stream` cannot be written")
(assert_malformed (component (value $v bool (binary "\02")) (export "v" (value $v)))
  "invalid boolean of a value")
(assert_malformed (component (value $v bool (binary "\80\00")) (export "v" (value $v)))
  "invalid boolean of a value")
(assert_malformed (component (value $v bool (binary)) (export "v" (value $v))) "unexpected end")
(assert_malformed (component (value $v bool (binary "\00\00")) (export "v" (value $v)))
  "unexpected content after the value")
(assert_malformed (component (value $v u16 (binary "\80\80\04")) (export "v" (value $v)))
  "integer too large")
(assert_malformed (component (value $v u16 (binary "\80\80\80\00")) (export "v" (value $v)))
  "integer representation too long")
(assert_malformed (component (value $v s16 (binary "\ff\ff\02")) (export "v" (value $v)))
  "integer too large")
(assert_malformed (component (value $v f32 (binary "\01\00\c0\7f")) (export "v" (value $v)))
  "a NaN that is not canonical")
(assert_malformed (component (value $v f64 (binary "\00\00\00\00\00\00\f8\ff")) (export "v" (value $v)))
  "a NaN that is not canonical")
(assert_malformed (component (value $v char (binary "\ed\a0\80")) (export "v" (value $v)))
  "malformed UTF-8 encoding")
(assert_malformed (component (value $v char (binary "\c0\80")) (export "v" (value $v)))
  "malformed UTF-8 encoding")
(assert_malformed (component (value $v (option u8) (binary "\02")) (export "v" (value $v)))
  "invalid case of a value")
(assert_malformed (component (value $v (list u8) (binary "\ff\ff\ff\ff\0f\00")) (export "v" (value $v)))
  "unexpected end-of-file")

;; Each is consumed once.
(assert_invalid (component (value string "a")) "value index 0 was not used")
(assert_invalid (component (value $v string "a") (export $e "a" (value $v)) (export "b" (value $e)))
  "cannot be used more than once")
(assert_invalid
  (component (value $v string "a") (export "a" (value $v)) (instance (export "a" (value $v))))
  "cannot be used more than once")
(assert_invalid
  (component
    (component $c (import "x" (value string)) (export "y" (value 0)))
    (value $v u32 1)
    (instance (instantiate $c (with "x" (value $v)))))
  "expected string, found u32")

;; Bounds by equality.
(component
  (value $a u32 1)
  (export $x "x" (value $a) (value (eq $a))))
(assert_invalid
  (component
    (value $a u32 1) (value $b u32 1)
    (export "x" (value $a) (value (eq $b)))
    (export "y" (value $b)))
  "expected a value that is equal to another")
(assert_invalid (component (type (component (export "x" (value (eq 0)))))) "index out of bounds")
(component
  (type (component (import "a" (value $a u32)) (export "b" (value (eq $a)))))
  (type (instance (export "a" (value $a u32)) (export "b" (value (eq $a))))))

;; Equality holds from scope to scope: what is wanted is compared with what stands for it.
(component
  (component $same (import "a" (value $a u32)) (export "b" (value $a)))
  (type $T (component (import "a" (value $a u32)) (export "b" (value (eq $a)))))
  (export "c" (component $same) (component (type $T))))
(assert_invalid
  (component
    (component $other
      (import "a" (value $a u32)) (value $v u32 1) (export "b" (value $v))
      (instance (export "a" (value $a))))
    (type $T (component (import "a" (value $a u32)) (export "b" (value (eq $a)))))
    (export "c" (component $other) (component (type $T))))
  "expected a value that is equal to another")
;; What an instance of such a type exports twice is the same value; that of another is not.
(component definition
  (component $C
    (import "a" (value $a u32)) (import "b" (value $b (eq $a)))
    (instance (export "a" (value $a)) (export "b" (value $b))))
  (type $T (instance (export "a" (value $a u32)) (export "b" (value (eq $a)))))
  (import "i" (instance $i (type $T)))
  (import "j" (instance $j (type $T)))
  (alias export $i "a" (value $a))
  (alias export $i "b" (value $b))
  (instance (instantiate $C (with "a" (value $a)) (with "b" (value $b))))
  (value $v u32 7)
  (instance $k (export "v" (value $v)))
  (alias export $k "v" (value $v1))
  (alias export $k "v" (value $v2))
  (instance (instantiate $C (with "a" (value $v1)) (with "b" (value $v2))))
  (component $D (import "i" (instance (type $T))))
  (instance (instantiate $D (with "i" (instance $j))))
  (alias export $k "v" (value $v3))
  (alias export $k "v" (value $v4))
  (instance $l (export "a" (value $v3)) (export "b" (value $v4)))
  (instance (instantiate $D (with "i" (instance $l)))))
(assert_invalid
  (component
    (component $C
      (import "a" (value $a u32)) (import "b" (value $b (eq $a)))
      (instance (export "a" (value $a)) (export "b" (value $b))))
    (type $T (instance (export "a" (value $a u32)) (export "b" (value (eq $a)))))
    (import "i" (instance $i (type $T)))
    (import "j" (instance $j (type $T)))
    (alias export $i "a" (value $a))
    (alias export $j "b" (value $b))
    (instance (instantiate $C (with "a" (value $a)) (with "b" (value $b)))))
  "expected a value that is equal to another")
(assert_invalid
  (component
    (type $T (instance (export "a" (value $a u32)) (export "b" (value (eq $a)))))
    (component $D (import "i" (instance (type $T))))
    (value $v u32 1) (value $w u32 1)
    (instance $l (export "a" (value $v)) (export "b" (value $w)))
    (instance (instantiate $D (with "i" (instance $l)))))
  "expected a value that is equal to another")
;; A constant is the same in each instance, the result of a start function is not, nor is what an
;; export keeps abstract.
(component
  (component $Const (value $v u32 1) (export "v" (value $v)))
  (component $C
    (import "a" (value $a u32)) (import "b" (value $b (eq $a)))
    (instance (export "a" (value $a)) (export "b" (value $b))))
  (instance $i (instantiate $Const))
  (instance $j (instantiate $Const))
  (alias export $i "v" (value $a))
  (alias export $j "v" (value $b))
  (instance (instantiate $C (with "a" (value $a)) (with "b" (value $b)))))
(assert_invalid
  (component
    (component $Make
      (core module $M (func (export "f") (result i32) (i32.const 1)))
      (core instance $m (instantiate $M))
      (func $f (result u32) (canon lift (core func $m "f")))
      (start $f (result (value $v)))
      (export "v" (value $v)))
    (component $C
      (import "a" (value $a u32)) (import "b" (value $b (eq $a)))
      (instance (export "a" (value $a)) (export "b" (value $b))))
    (instance $i (instantiate $Make))
    (instance $j (instantiate $Make))
    (alias export $i "v" (value $a))
    (alias export $j "v" (value $b))
    (instance (instantiate $C (with "a" (value $a)) (with "b" (value $b)))))
  "expected a value that is equal to another")
(assert_invalid
  (component
    (component $Const (value $v u32 1) (export "v" (value $v) (value u32)))
    (component $C
      (import "a" (value $a u32)) (import "b" (value $b (eq $a)))
      (instance (export "a" (value $a)) (export "b" (value $b))))
    (instance $i (instantiate $Const))
    (instance $j (instantiate $Const))
    (alias export $i "v" (value $a))
    (alias export $j "v" (value $b))
    (instance (instantiate $C (with "a" (value $a)) (with "b" (value $b)))))
  "expected a value that is equal to another")
;; Instance types with resources or values of their own are equal where they are so by their names.
(component
  (type $I (instance
    (export "r" (type $r (sub resource))) (export "f" (func (param "r" (own $r))))
    (export "a" (value $a u32)) (export "b" (value (eq $a)))))
  (type $J (instance
    (export "r" (type $r (sub resource))) (export "f" (func (param "r" (own $r))))
    (export "a" (value $a u32)) (export "b" (value (eq $a)))))
  (component $C (import "t" (type (eq $I))))
  (export "c" (component $C) (component (import "t" (type (eq $J))))))
;; Of components from elsewhere it is found out when they are there.
(component definition $Lib
  (component $same (import "a" (value $a u32)) (export "b" (value $a)))
  (component $other
    (import "a" (value $a u32)) (instance (export "a" (value $a)))
    (value $v u32 8) (export "b" (value $v)))
  (export "same" (component $same))
  (export "other" (component $other)))
(component instance $lib $Lib)
(register "lib" $lib)
(component
  (type $T (component (import "a" (value $a u32)) (export "b" (value (eq $a)))))
  (import "lib" (instance $lib (export "same" (component (type $T)))))
  (alias export $lib "same" (component $same))
  (value $v u32 7)
  (instance (instantiate $same (with "a" (value $v)))))
(assert_unlinkable
  (component
    (type $T (component (import "a" (value $a u32)) (export "b" (value (eq $a)))))
    (import "lib" (instance $lib (export "other" (component (type $T)))))
    (alias export $lib "other" (component $other))
    (value $v u32 7)
    (instance (instantiate $other (with "a" (value $v)))))
  "`b`: another value than the one that it is equal to")
;; By what the embedder gives, too.
(component definition $Pair
  (value $v u32 7) (value $w u32 8) (value $x u32 7)
  (export "v" (value $v)) (export "w" (value $w)) (export "x" (value $x)))
(component instance $pair $Pair)
(register "pair" $pair)
(component
  (import "pair" (instance $pair (export "v" (value $v u32)) (export "x" (value (eq $v))))))
(assert_unlinkable
  (component
    (import "pair" (instance $pair (export "v" (value $v u32)) (export "w" (value (eq $v))))))
  "`w`: another value than the one that it is equal to")

;; Start functions are called in their turn, with values by way of memory, of any type.
(component $Start
  (component $Show
    (import "n" (value $n s32))
    (import "text" (value $text string))
    (import "many" (value $many (list u16)))
    (core module $M
      (memory (export "memory") 1)
      (global $next (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.get $next)
        (global.set $next (i32.add (global.get $next) (local.get 3))))
      ;; n + length of the text + its first byte + the last of many
      (func (export "sum") (param $n i32) (param $text i32) (param $size i32)
          (param $many i32) (param $count i32) (result i32)
        (i32.add
          (i32.add (local.get $n) (local.get $size))
          (i32.add
            (i32.load8_u (local.get $text))
            (i32.load16_u (i32.add (local.get $many)
              (i32.shl (i32.sub (local.get $count) (i32.const 1)) (i32.const 1)))))))
      (global $seen (mut i32) (i32.const 0))
      (func (export "see") (param i32) (global.set $seen (local.get 0)))
      (func (export "seen") (result i32) (global.get $seen)))
    (core instance $m (instantiate $M))
    (func $sum (param "n" s32) (param "text" string) (param "many" (list u16)) (result s32)
      (canon lift (core func $m "sum") (memory (core memory $m "memory"))
        (realloc (core func $m "realloc"))))
    (func $see (param "n" s32) (canon lift (core func $m "see")))
    (start $sum (value $n) (value $text) (value $many) (result (value $sum)))
    (start $see (value $sum))
    (func (export "seen") (result s32) (canon lift (core func $m "seen"))))
  (value $n s32 -100)
  (value $text string "A23")
  (value $many (list u16) (list 1 2 65000))
  (instance $i (instantiate $Show
    (with "n" (value $n)) (with "text" (value $text)) (with "many" (value $many))))
  (export "seen" (func $i "seen")))
;; -100 + 3 + 65 + 65000
(assert_return (invoke "seen") (s32.const 64968))

;; An instance's values are aliased; a result goes from component to component.
(component
  (component $Make
    (core module $M
      (func (export "make") (result i64) (i64.const 0x1_0000_0007)))
    (core instance $m (instantiate $M))
    (func $make (result u64) (canon lift (core func $m "make")))
    (start $make (result (value $v)))
    (export "v" (value $v)))
  (component $Take
    (import "i" (instance $i (export "v" (value u64))))
    (core module $M
      (global $v (mut i64) (i64.const 0))
      (func (export "set") (param i64) (global.set $v (local.get 0)))
      (func (export "get") (result i64) (global.get $v)))
    (core instance $m (instantiate $M))
    (func $set (param "v" u64) (canon lift (core func $m "set")))
    (alias export $i "v" (value $v))
    (start $set (value $v))
    (func (export "get") (result u64) (canon lift (core func $m "get"))))
  (instance $make (instantiate $Make))
  (instance $take (instantiate $Take (with "i" (instance $make))))
  (export "get" (func $take "get")))
(assert_return (invoke "get") (u64.const 0x1_0000_0007))

;; A resource goes with its value, and only once.
(component definition $Resources
  (component $Make
    (type $r' (resource (rep i32)))
    (export $r "r" (type $r'))
    (core func $new (canon resource.new $r'))
    (core module $M
      (import "" "new" (func $new (param i32) (result i32)))
      (func (export "make") (result i32) (call $new (i32.const 42))))
    (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
    (func $make (result (own $r)) (canon lift (core func $m "make")))
    (start $make (result (value $v)))
    (export "v" (value $v))
    (core func $rep (canon resource.rep $r'))
    (core module $N
      (import "" "rep" (func $rep (param i32) (result i32)))
      (func (export "rep") (param i32) (result i32) (local.get 0)))
    (core instance $n (instantiate $N (with "" (instance (export "rep" (func $rep))))))
    (func (export "rep") (param "r" (borrow $r)) (result u32)
      (canon lift (core func $n "rep"))))
  (component $Take
    (import "i" (instance $i
      (export "r" (type $r (sub resource)))
      (export "v" (value (own $r)))
      (export "rep" (func (param "r" (borrow $r)) (result u32)))))
    (alias export $i "r" (type $r))
    (alias export $i "rep" (func $rep'))
    (core func $rep (canon lower (func $rep')))
    (core module $M
      (import "" "rep" (func $rep (param i32) (result i32)))
      (global $v (mut i32) (i32.const 0))
      (func (export "set") (param i32) (global.set $v (local.get 0)))
      (func (export "get") (result i32) (call $rep (global.get $v))))
    (core instance $m (instantiate $M (with "" (instance (export "rep" (func $rep))))))
    (func $set (param "r" (own $r)) (canon lift (core func $m "set")))
    (alias export $i "v" (value $v))
    (start $set (value $v))
    (func (export "get") (result u32) (canon lift (core func $m "get"))))
  (instance $make (instantiate $Make))
  (instance $take (instantiate $Take (with "i" (instance $make))))
  (export "get" (func $take "get")))
(component instance $i $Resources)
(assert_return (invoke "get") (u32.const 42))
(assert_unlinkable
  (component
    (component $Make
      (type $r' (resource (rep i32)))
      (export $r "r" (type $r'))
      (core func $new (canon resource.new $r'))
      (core module $M
        (import "" "new" (func $new (param i32) (result i32)))
        (func (export "make") (result i32) (call $new (i32.const 42))))
      (core instance $m (instantiate $M (with "" (instance (export "new" (func $new))))))
      (func $make (result (own $r)) (canon lift (core func $m "make")))
      (start $make (result (value $v)))
      (export "v" (value $v)))
    (component $Take
      (import "i" (instance $i
        (export "r" (type $r (sub resource)))
        (export "v" (value (own $r)))))
      (alias export $i "r" (type $r))
      (core module $M (func (export "set") (param i32)))
      (core instance $m (instantiate $M))
      (func $set (param "r" (own $r)) (canon lift (core func $m "set")))
      (alias export $i "v" (value $v))
      (start $set (value $v)))
    (instance $make (instantiate $Make))
    (instance (instantiate $Take (with "i" (instance $make))))
    (instance (instantiate $Take (with "i" (instance $make)))))
  "the resources or streams of a value were given away before")

;; A start function that traps ends the instantiation; one may wait.
(assert_trap
  (component
    (core module $M (func (export "f") unreachable))
    (core instance $m (instantiate $M))
    (func $f (canon lift (core func $m "f")))
    (start $f))
  "unreachable")
(component
  (core func $yield (canon thread.yield))
  (core func $return (canon task.return (result u32)))
  (core module $M
    (import "" "yield" (func $yield (result i32)))
    (import "" "return" (func $return (param i32)))
    (func (export "f") (drop (call $yield)) (call $return (i32.const 9)) (drop (call $yield))))
  (core instance $m (instantiate $M
    (with "" (instance (export "yield" (func $yield)) (export "return" (func $return))))))
  (func $f async (result u32) (canon lift (core func $m "f") async))
  (start $f (result (value $v)))
  (core module $N
    (global $v (mut i32) (i32.const 0))
    (func (export "set") (param i32) (global.set $v (local.get 0)))
    (func (export "get") (result i32) (global.get $v)))
  (core instance $n (instantiate $N))
  (func $set (param "v" u32) (canon lift (core func $n "set")))
  (start $set (value $v))
  (func (export "get") (result u32) (canon lift (core func $n "get"))))
(assert_return (invoke "get") (u32.const 9))

;; Start sections that are wrong.
(assert_invalid
  (component
    (import "f" (func $f (result u32)))
    (start $f))
  "component start function has a result count of 0 but the function type has 1")
(assert_invalid
  (component
    (import "f" (func $f))
    (start $f (result (value))))
  "component start function has a result count of 1 but the function type has 0")
(assert_invalid (component (start 0)) "unknown function 0")
