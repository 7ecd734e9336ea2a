#include "firmware.h"

static const uint8_t kModule[] = {
#include "thermostat_wasm.inc"
};

int thermostat_run(const wafer_devices_t* board, unsigned rounds, int target, const char** error) {
  static char message[128];
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 4 * 1024);
  /* Of the page that the module says, it uses what is below its heap. */
  wafer_config_guard_pages_set(config, false);
  wafer_config_trim_memories_set(config, true);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);
  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_module_t* module = NULL;
  wasm_instance_t* instance = NULL;
  int result = -2000;

  wafer_error_t* failed = wafer_module_new_in_place(store, kModule, sizeof kModule, &module);
  if (!failed) failed = wafer_linker_define_devices(linker, board, module);
  if (!failed) failed = wafer_linker_instantiate(linker, store, module, &instance, NULL);
  const char* text = failed ? wafer_error_message(failed) : "";
  wasm_message_t trapped = {0, NULL};
  if (!failed) {
    wasm_func_t* run = wafer_instance_func(instance, "run");
    wasm_val_t args[2] = {WASM_I32_VAL((int32_t)rounds), WASM_I32_VAL(target)};
    wasm_val_t value = WASM_INIT_VAL;
    const wasm_val_vec_t in = {2, args};
    wasm_val_vec_t out = {1, &value};
    wasm_trap_t* trap = wasm_func_call(run, &in, &out);
    if (trap) {
      wasm_trap_message(trap, &trapped);
      text = trapped.data;
      wasm_trap_delete(trap);
    } else {
      result = value.of.i32;
    }
    wasm_func_delete(run);
  }
  size_t n = 0;
  for (; text[n] && n + 1 < sizeof message; ++n) message[n] = text[n];
  message[n] = 0;
  *error = message;

  wasm_byte_vec_delete(&trapped);
  wafer_error_delete(failed);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return result;
}
