;; What an instance exports is of the types that it was given, where these are parts of others that
;; stood beside a resource in an import.
(component definition
  (import "types" (instance $types
    (export "res" (type (sub resource)))
    (type $r (record (field "x" u32)))
    (export "r" (type (eq $r)))))
  (alias export $types "res" (type $res))
  (alias export $types "r" (type $r))
  (import "f" (func $f (param "a" (own $res)) (param "b" (list $r))))
  (component $inner
    (import "types" (instance $types
      (export "res" (type (sub resource)))
      (type $r (record (field "x" u32)))
      (export "r" (type (eq $r)))))
    (alias export $types "res" (type $res))
    (alias export $types "r" (type $r))
    (import "f" (func $f (param "a" (own $res)) (param "b" (list $r))))
    (export "g" (func $f)))
  (instance $i (instantiate $inner (with "types" (instance $types)) (with "f" (func $f))))
  (export "g" (func $i "g")))
