/* Runs each export of the guest by the interpreter and as machine code from flash, and compares
 * results, traps and memories; and hands files to the loader that are not what they should be. */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "guest.h"
#include "pool.h"
#include "wafer.h"

enum { STACK = 6 * 1024 };
static wasm_engine_t* engine;
static wasm_store_t* store;
static int failures, comparisons, traps;

static void fail(const char* what, uint32_t number, const char* more) {
  if (++failures > 20) return;
  board_put("FAILED ");
  board_put(what);
  board_put(" ");
  board_put_number(number);
  board_put(" ");
  board_put(more);
  board_put("\n");
}

static wasm_trap_t* trap_of(const char* text) {
  wasm_message_t message;
  wasm_name_new_from_string_nt(&message, text);
  wasm_trap_t* trap = wasm_trap_new(store, &message);
  wasm_byte_vec_delete(&message);
  return trap;
}

/* add(i32, f32, f64, i64): what they are together. */
static wasm_trap_t* host_add(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                             wasm_val_vec_t* results) {
  (void)env, (void)caller;
  results->data[0].kind = WASM_I64;
  results->data[0].of.i64 = args->data[0].of.i32 + (int64_t)(args->data[1].of.f32 * 10) +
                            (int64_t)(args->data[2].of.f64 * 100) + args->data[3].of.i64;
  return NULL;
}
/* fail(i32): traps, but for 7. */
static wasm_trap_t* host_fail(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                              wasm_val_vec_t* results) {
  (void)env, (void)caller;
  if (args->data[0].of.i32 != 7) return trap_of("as the host says");
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = 70;
  return NULL;
}
/* again(i32): calls back, endless for 1000; a trap of `div` in between is not passed on. */
static wasm_trap_t* host_again(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                               wasm_val_vec_t* results) {
  (void)env;
  static const char* const names[] = {"div", "grow"};
  const int32_t number = args->data[0].of.i32;
  results->data[0].kind = WASM_I64;
  results->data[0].of.i64 = 0;
  for (unsigned i = 0; i < 2; ++i) {
    wasm_extern_t* item = wafer_caller_export(caller, number == 1000 ? "endless" : names[i]);
    uint64_t slots[1] = {(uint32_t)number};
    wasm_trap_t* trap = wafer_func_call_raw(wasm_extern_as_func(item), slots);
    wasm_extern_delete(item);
    if (number == 1000) return trap;
    if (!trap) results->data[0].of.i64 += (int64_t)slots[0];
    wasm_trap_delete(trap);
  }
  return NULL;
}

static wafer_error_t* instantiate(const void* wasm, size_t wasm_size, const void* code, size_t size,
                                  wasm_module_t** module, wasm_instance_t** out) {
  wafer_error_t* error = wafer_module_new_in_place(store, wasm, wasm_size, module);
  if (!error && code) error = wafer_module_attach_code(*module, code, size);
  if (error) return error;
  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_importtype_vec_t imports;
  wasm_module_imports(*module, &imports);
  static const wafer_func_callback_t callbacks[] = {host_add, host_fail, host_again};
  for (unsigned i = 0; i < imports.size && !error; ++i) {
    const wasm_functype_t* type =
        wasm_externtype_as_functype_const(wasm_importtype_type(imports.data[i]));
    static const char* const names[] = {"add", "fail", "again"};
    error = wafer_linker_define_func(linker, "host", names[i], type, callbacks[i], NULL, NULL);
  }
  wasm_importtype_vec_delete(&imports);
  if (!error) error = wafer_linker_instantiate(linker, store, *module, out, NULL);
  wafer_linker_delete(linker);
  return error;
}

/* A module twice, interpreted and by its code, in a store of an engine for the two. */
struct pair {
  wasm_module_t* modules[2];
  wasm_instance_t* both[2];
};

static bool open_pair(struct pair* p, bool trim, const void* wasm, size_t wasm_size,
                      const void* code, size_t size) {
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, STACK);
  wafer_config_trim_memories_set(config, trim);
  engine = wasm_engine_new_with_config(config);
  store = wasm_store_new(engine);
  for (int i = 0; i < 2; ++i) {
    wafer_error_t* error =
        instantiate(wasm, wasm_size, i ? code : NULL, size, &p->modules[i], &p->both[i]);
    if (error) {
      fail("instantiate", (uint32_t)i, wafer_error_message(error));
      return false;
    }
  }
  return true;
}

static void close_pair(struct pair* p) {
  for (int i = 0; i < 2; ++i) {
    wasm_instance_delete(p->both[i]);
    wasm_module_delete(p->modules[i]);
  }
  wasm_store_delete(store);
  wasm_engine_delete(engine);
}

static wasm_trap_t* call(wasm_instance_t* instance, const char* name, uint32_t number,
                         uint64_t* slots) {
  wasm_func_t* func = wafer_instance_func(instance, name);
  memset(slots, 0, 8 * sizeof *slots);
  slots[0] = number;
  wasm_trap_t* trap = wafer_func_call_raw(func, slots);
  wasm_func_delete(func);
  return trap;
}

static wasm_memory_t* memory_of(wasm_instance_t* instance) {
  return wasm_extern_as_memory(wafer_instance_export(instance, "memory"));
}

static void compare(wasm_instance_t** both, const char* name, uint32_t number, size_t memory_size) {
  uint64_t slots[2][8];
  wasm_trap_t* trap[2];
  wasm_message_t text[2] = {{0, NULL}, {0, NULL}};
  ++comparisons;
  for (int i = 0; i < 2; ++i) {
    trap[i] = call(both[i], name, number, slots[i]);
    if (trap[i]) wasm_trap_message(trap[i], &text[i]);
  }
  if (trap[0]) ++traps;
  if (!trap[0] != !trap[1])
    fail(name, number, trap[0] ? "does not trap" : text[1].data);
  else if (trap[0] &&
           (wafer_trap_code(trap[0]) != wafer_trap_code(trap[1]) || text[0].size != text[1].size ||
            memcmp(text[0].data, text[1].data, text[0].size) != 0))
    fail(name, number, text[1].data);
  else if (!trap[0] && slots[0][0] != slots[1][0])
    fail(name, number, "gives another number");
  for (int i = 0; i < 2; ++i) {
    if (trap[i]) wasm_byte_vec_delete(&text[i]);
    wasm_trap_delete(trap[i]);
  }
  wasm_memory_t* memory[2] = {memory_of(both[0]), memory_of(both[1])};
  size_t size = wasm_memory_data_size(memory[0]);
  if (memory_size) size = memory_size;
  if (wasm_memory_data_size(memory[0]) != wasm_memory_data_size(memory[1]) ||
      memcmp(wasm_memory_data(memory[0]), wasm_memory_data(memory[1]), size) != 0)
    fail(name, number, "leaves another memory");
  wasm_memory_delete(memory[0]);
  wasm_memory_delete(memory[1]);
}

static void expect_error(const char* what, const void* code, size_t size, wafer_error_kind_t kind) {
  wasm_module_t* module = NULL;
  wafer_error_t* error = wafer_module_new_in_place(store, guest_wasm, sizeof guest_wasm, &module);
  if (!error) error = wafer_module_attach_code(module, code, size);
  if (!error || wafer_error_kind(error) != kind)
    fail(what, 0, error ? wafer_error_message(error) : "is accepted");
  wafer_error_delete(error);
  wasm_module_delete(module);
}

/* More of that is in tests/unit/xip_test.cc. */
static void damaged_files(void) {
  static _Alignas(8) uint8_t copy[sizeof guest_xip + 1];
  memcpy(copy, guest_xip, sizeof guest_xip);
  expect_error("cut off", copy, sizeof guest_xip - 4, WAFER_ERROR_MALFORMED);
  expect_error("header only", copy, 48, WAFER_ERROR_MALFORMED);
  expect_error("nothing", copy, 0, WAFER_ERROR_MALFORMED);
  copy[8] ^= 0x40;
  expect_error("version", copy, sizeof guest_xip, WAFER_ERROR_UNSUPPORTED);
  copy[8] ^= 0x40;
  copy[sizeof guest_xip - 9] ^= 1;
  expect_error("code", copy, sizeof guest_xip, WAFER_ERROR_MALFORMED);
  for (unsigned i = 0; i < sizeof guest_others / sizeof *guest_others; ++i)
    expect_error(guest_others[i].name, guest_others[i].code, guest_others[i].size,
                 WAFER_ERROR_UNSUPPORTED);
  memmove(copy + 1, guest_xip, sizeof guest_xip);
  expect_error("not aligned", copy + 1, sizeof guest_xip, WAFER_ERROR_USAGE);
}

/* A memory that ends at __heap_base, and one that does not for the same code. */
static void trimmed_memories(bool trim) {
  static const char* const names[] = {"load", "offset", "constant", "loop"};
  enum { END = 4096 };
  static const uint32_t numbers[] = {
      0,    1,    2,       3,       15,      91,      92,      93,  95,      96,   97,   126,
      4000, 4020, END - 8, END - 7, END - 4, END - 3, END - 1, END, END + 1, 8191, 65535};
  struct pair p;
  if (!open_pair(&p, trim, trimmed_wasm, sizeof trimmed_wasm, trimmed_xip, sizeof trimmed_xip))
    return;
  const int before = traps;
  for (unsigned n = 0; n < sizeof names / sizeof *names; ++n)
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; ++i)
      compare(p.both, names[n], numbers[i], END);
  if (trim != (traps > before)) fail("trimmed", (uint32_t)(traps - before), "traps");
  close_pair(&p);
}

/* A table that only its segment has written, which code knows. */
static void known_table(void) {
  static const char* const names[] = {"unary", "other", "deep", "late"};
  struct pair p;
  if (!open_pair(&p, false, known_wasm, sizeof known_wasm, known_xip, sizeof known_xip)) return;
  for (unsigned n = 0; n < sizeof names / sizeof *names; ++n)
    for (uint32_t i = 0; i < 40; ++i) compare(p.both, names[n], i < 36 ? i : 0u - i, 0);
  close_pair(&p);
}

int main(void) {
  static const uint32_t numbers[] = {
      0,          1,          2,          3,          4,          5,          6,
      7,          8,          9,          10,         16,         33,         100,
      1000,       65516,      65526,      65528,      65532,      65533,      65535,
      65536,      131071,     131072,     1000000,    0x3F800000, 0x40000000, 0x7F7FFFFF,
      0x7F800000, 0x7FC00000, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xC0490FDB, 0xFFFFFFF8,
      0xFFFFFFFE, 0xFFFFFFFF};
  pool_reset();
  wafer_set_allocator(pool_allocate, pool_release, NULL);
  struct pair p;
  if (!open_pair(&p, false, guest_wasm, sizeof guest_wasm, guest_xip, sizeof guest_xip)) return 1;
  wasm_exporttype_vec_t exports;
  wasm_module_exports(p.modules[0], &exports);
  for (unsigned round = 0; round < 2; ++round)
    for (unsigned e = 0; e < exports.size; ++e) {
      char name[32] = {0};
      const wasm_name_t* n = wasm_exporttype_name(exports.data[e]);
      memcpy(name, n->data, n->size);
      if (strcmp(name, "memory") == 0) continue;
      if (round == 0 && strcmp(name, "drop") == 0) continue;
      for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; ++i)
        compare(p.both, name, numbers[i], 0);
    }
  wasm_exporttype_vec_delete(&exports);
  damaged_files();
  close_pair(&p);
  trimmed_memories(false);
  trimmed_memories(true);
  known_table();
  if (pool_in_use()) fail("leak", (uint32_t)pool_in_use(), "bytes");
  board_put_number((uint32_t)comparisons);
  board_put(" calls, ");
  board_put_number((uint32_t)traps);
  board_put(failures ? " traps; some differ\n" : " traps, all as expected\n");
  return failures != 0;
}
