;; Time zones of the host, for --invoke.
(component
  (type $instant' (record (field "seconds" s64) (field "nanoseconds" u32)))
  (import "wasi:clocks/system-clock@0.3.0" (instance $clock
    (export "instant" (type (eq $instant')))))
  (alias export $clock "instant" (type $instant))
  (type $id (option string))
  (type $offset (option s64))
  (import "wasi:clocks/timezone@0.3.0" (instance $zone
    (export "instant" (type $i (eq $instant)))
    (export "iana-id" (func (result $id)))
    (export "utc-offset" (func (param "when" $i) (result $offset)))
    (export "to-debug-string" (func (result string)))))
  (export "zone" (instance $zone)))
