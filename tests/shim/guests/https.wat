;; Gets https://AUTHORITY/ and gives the status of the response; 1000 and the number of the error
;; code if there is none.
(module
  (import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.12" "[constructor]outgoing-request"
    (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-scheme"
    (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.12" "[method]outgoing-request.set-authority"
    (func $authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/outgoing-handler@0.2.12" "handle" (func $handle (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.12" "[method]future-incoming-response.subscribe"
    (func $subscribe (param i32) (result i32)))
  (import "wasi:http/types@0.2.12" "[method]future-incoming-response.get"
    (func $get (param i32 i32)))
  (import "wasi:http/types@0.2.12" "[method]incoming-response.status"
    (func $status (param i32) (result i32)))
  (import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
  (memory (export "memory") 1)
  (global $free (mut i32) (i32.const 1024))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 7))
      (i32.const -8))))
  (func (export "get") (param $name i32) (param $size i32) (result i32)
    (local $request i32) (local $response i32)
    (local.set $request (call $request (call $fields)))
    (drop (call $scheme (local.get $request) (i32.const 1) (i32.const 1) (i32.const 0)
      (i32.const 0)))
    (drop (call $authority (local.get $request) (i32.const 1) (local.get $name)
      (local.get $size)))
    ;; result<future-incoming-response, error-code>
    (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 0))
    (if (i32.load8_u (i32.const 0)) (then
      (return (i32.add (i32.const 1000) (i32.load8_u (i32.const 8))))))
    (local.set $response (i32.load (i32.const 8)))
    (call $block (call $subscribe (local.get $response)))
    ;; option<result<result<incoming-response, error-code>>>
    (call $get (local.get $response) (i32.const 0))
    (if (i32.load8_u (i32.const 16)) (then
      (return (i32.add (i32.const 1000) (i32.load8_u (i32.const 24))))))
    (call $status (i32.load (i32.const 24)))))
