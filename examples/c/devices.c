/* A board of one's own: a button and a lamp as tables of functions, which a module uses by
 * wasi:gpio. */
#include "common.h"
#include "wafer_devices.h"

static bool levels[2] = {true, false}; /* the button's wire is pulled up; the lamp is off */

static int pin_read(void* context, bool* high) {
  *high = *(bool*)context;
  return WAFER_PIN_OK;
}
static int pin_write(void* context, bool high) {
  *(bool*)context = high;
  return WAFER_PIN_OK;
}
static const wafer_digital_driver_t pin = {NULL, pin_read, pin_write, NULL, NULL};

static const wafer_device_t list[] = {
    {WAFER_DEVICE_DIGITAL, "button", &pin, &levels[0], 0, WAFER_PIN_IN, true},
    {WAFER_DEVICE_DIGITAL, "lamp", &pin, &levels[1], 0, WAFER_PIN_OUT, false},
};

/* Waits until the button is pressed, which happens as soon as somebody waits. */
static void idle(void* context, uint64_t nanoseconds) {
  (void)context;
  (void)nanoseconds;
  printf("waiting\n");
  levels[0] = false;
}
static const wafer_devices_t board = {list, 2, idle, idle, NULL};

/* Results are at 64: whether it failed, and at 68 the handle. */
static const char kText[] =
    "(module"
    "  (import \"wafer:devices/gpio@0.1.0\" \"get-digital-in\""
    "    (func $in (param i32 i32 i32 i32)))"
    "  (import \"wafer:devices/gpio@0.1.0\" \"get-digital-out\""
    "    (func $out (param i32 i32 i32 i32)))"
    "  (import \"wasi:gpio/digital@0.2.0\" \"[method]digital-in-pin.watch-active\""
    "    (func $watch (param i32 i32)))"
    "  (import \"wasi:gpio/digital@0.2.0\" \"[method]digital-out-pin.set-active\""
    "    (func $set (param i32 i32)))"
    "  (import \"wasi:io/poll@0.2.4\" \"[method]pollable.block\" (func $block (param i32)))"
    "  (memory (export \"memory\") 1)"
    "  (data (i32.const 0) \"buttonlamp\")"
    "  (func $handle (result i32) (i32.load (i32.const 68)))"
    "  (func (export \"run\") (result i32)"
    "    (call $in (i32.const 0) (i32.const 6) (i32.const 0) (i32.const 64))"
    "    (call $watch (call $handle) (i32.const 64))"
    "    (call $block (call $handle))"
    "    (call $out (i32.const 6) (i32.const 4) (i32.const 0) (i32.const 64))"
    "    (call $set (call $handle) (i32.const 64))"
    "    (i32.load8_u (i32.const 64))))";

int main(void) {
  wasm_engine_t* engine = wasm_engine_new();
  wasm_store_t* store = wasm_store_new(engine);
  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_module_t* module = module_of(store, kText);
  check(wafer_linker_define_devices(linker, &board, module));
  wasm_instance_t* instance;
  check(wafer_linker_instantiate(linker, store, module, &instance, NULL));

  wasm_func_t* run = wafer_instance_func(instance, "run");
  wasm_val_t failed = WASM_INIT_VAL;
  const wasm_val_vec_t none = WASM_EMPTY_VEC;
  wasm_val_vec_t results = {1, &failed};
  printf("lamp: %s\n", levels[1] ? "on" : "off");
  if (wasm_func_call(run, &none, &results) || failed.of.i32) return 1;
  printf("lamp: %s\n", levels[1] ? "on" : "off");

  wasm_func_delete(run);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  return 0;
}
