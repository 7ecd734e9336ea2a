/* Runs a WebAssembly module from a byte array on nothing but a static pool of memory:
 * no malloc, no operating system, no C++ library. Build it with any C compiler against
 * libwafer-embedded.a; board_*.c are all that knows where it runs. */
#include "board.h"
#include "pool.h"
#include "wafer.h"

/* fir.wat */
static const uint8_t kModule[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f,
    0x02, 0x11, 0x01, 0x06, 0x64, 0x65, 0x76, 0x69, 0x63, 0x65, 0x06, 0x73, 0x61, 0x6d, 0x70, 0x6c,
    0x65, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0x05, 0x07, 0x01, 0x09, 0x80, 0x10, 0x80, 0x10, 0x00,
    0x07, 0x13, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x06, 0x66, 0x69, 0x6c,
    0x74, 0x65, 0x72, 0x00, 0x01, 0x0a, 0x75, 0x01, 0x73, 0x01, 0x04, 0x7f, 0x03, 0x40, 0x41, 0x10,
    0x20, 0x01, 0x41, 0x02, 0x74, 0x6a, 0x20, 0x01, 0x10, 0x00, 0x36, 0x02, 0x00, 0x20, 0x01, 0x41,
    0x01, 0x6a, 0x22, 0x01, 0x20, 0x00, 0x49, 0x0d, 0x00, 0x0b, 0x41, 0x07, 0x21, 0x01, 0x03, 0x40,
    0x41, 0x00, 0x21, 0x03, 0x41, 0x00, 0x21, 0x02, 0x03, 0x40, 0x20, 0x03, 0x20, 0x02, 0x2d, 0x00,
    0x00, 0x41, 0x10, 0x20, 0x01, 0x20, 0x02, 0x6b, 0x41, 0x02, 0x74, 0x6a, 0x28, 0x02, 0x00, 0x6c,
    0x6a, 0x21, 0x03, 0x20, 0x02, 0x41, 0x01, 0x6a, 0x22, 0x02, 0x41, 0x08, 0x49, 0x0d, 0x00, 0x0b,
    0x20, 0x03, 0x20, 0x04, 0x4a, 0x04, 0x40, 0x20, 0x03, 0x21, 0x04, 0x0b, 0x20, 0x01, 0x41, 0x01,
    0x6a, 0x22, 0x01, 0x20, 0x00, 0x49, 0x0d, 0x00, 0x0b, 0x20, 0x04, 0x0b, 0x0b, 0x0e, 0x01, 0x00,
    0x41, 0x00, 0x0b, 0x08, 0x01, 0x03, 0x05, 0x07, 0x07, 0x05, 0x03, 0x01, 0x00, 0x28, 0x04, 0x6e,
    0x61, 0x6d, 0x65, 0x01, 0x09, 0x01, 0x00, 0x06, 0x73, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x02, 0x16,
    0x01, 0x01, 0x05, 0x00, 0x01, 0x6e, 0x01, 0x01, 0x69, 0x02, 0x01, 0x6b, 0x03, 0x03, 0x73, 0x75,
    0x6d, 0x04, 0x03, 0x6d, 0x61, 0x78,
};

/* ---- The device's own function */

static wasm_trap_t* sample(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                           wasm_val_vec_t* results) {
  (void)env;
  (void)caller;
  const int32_t i = args->data[0].of.i32;
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = (i * 37 + 11) % 101;
  return NULL;
}

static int fail(wafer_error_t* error) {
  board_put("error: ");
  board_put(wafer_error_message(error));
  board_put("\n");
  wafer_error_delete(error);
  return 1;
}

int main(void) {
  pool_reset();
  wafer_set_allocator(pool_allocate, pool_release, NULL);

  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 8 * 1024);
  wafer_config_consume_fuel_set(config, true);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);

  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
  wafer_error_t* error =
      wafer_linker_define_func(linker, "device", "sample", type, sample, NULL, NULL);
  wasm_functype_delete(type);
  if (error) return fail(error);

  /* In place: the module's bytes stay where they are, in flash for example. */
  wasm_module_t* module;
  error = wafer_module_new_in_place(store, kModule, sizeof kModule, &module);
  if (error) return fail(error);
  wasm_instance_t* instance;
  error = wafer_linker_instantiate(linker, store, module, &instance, NULL);
  if (error) return fail(error);

  wasm_func_t* filter = wafer_instance_func(instance, "filter");
  wasm_val_t arg = WASM_I32_VAL(100), result = WASM_INIT_VAL;
  const wasm_val_vec_t args = {1, &arg};
  wasm_val_vec_t results = {1, &result};
  /* A module that ran for ever would be stopped here. */
  const uint64_t fuel = 100000;
  wafer_store_set_fuel(store, fuel);
  wasm_trap_t* trap = wasm_func_call(filter, &args, &results);
  if (trap) {
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    board_put("trap: ");
    board_put(message.data);
    board_put("\n");
    return 1;
  }
  const uint32_t burnt = (uint32_t)(fuel - wafer_store_fuel(store));

  /* The same in C. */
  static const int32_t taps[8] = {1, 3, 5, 7, 7, 5, 3, 1};
  int32_t expected = 0;
  for (int i = 7; i < 100; ++i) {
    int32_t sum = 0;
    for (int k = 0; k < 8; ++k) sum += taps[k] * (((i - k) * 37 + 11) % 101);
    if (sum > expected) expected = sum;
  }
  board_put("filter(100) = ");
  board_put_number((uint32_t)result.of.i32);
  board_put(", expected ");
  board_put_number((uint32_t)expected);
  board_put("; fuel used: ");
  board_put_number(burnt);
  board_put("\n");

  /* Too many samples for the memory: a trap, not a crash. */
  arg.of.i32 = 1000;
  wafer_store_set_fuel(store, fuel);
  trap = wasm_func_call(filter, &args, &results);
  const bool bounded = trap && wafer_trap_code(trap) == WAFER_TRAP_MEMORY_OUT_OF_BOUNDS;
  board_put(bounded ? "filter(1000): out of bounds memory access\n" : "filter(1000): no trap?\n");
  wasm_trap_delete(trap);

  /* Too little fuel: a trap too. */
  arg.of.i32 = 100;
  wafer_store_set_fuel(store, burnt / 2);
  trap = wasm_func_call(filter, &args, &results);
  const bool stopped = trap && wafer_trap_code(trap) == WAFER_TRAP_OUT_OF_FUEL;
  board_put(stopped ? "filter(100) on half the fuel: stopped\n" : "fuel: no trap?\n");
  wasm_trap_delete(trap);

  wasm_func_delete(filter);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  board_put("pool: ");
  board_put_number((uint32_t)pool_peak());
  board_put(" bytes at most, ");
  board_put_number((uint32_t)pool_in_use());
  board_put(" left in use\n");
  const bool good = result.of.i32 == expected && bounded && stopped && pool_in_use() == 0;
  board_put(good ? "all as expected\n" : "not as expected\n");
  return good ? 0 : 1;
}
