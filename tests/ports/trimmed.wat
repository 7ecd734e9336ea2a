;; For regions_test.c: a memory that wafer_config_trim_memories_set ends at 2048.
(module
  (memory (export "fast") 1 1)
  (global (export "__heap_base") i32 (i32.const 2048))
  (func (export "read_fast") (param i32) (result i32) (i32.load8_u (local.get 0))))
