#include "example.h"

#include <string.h>

#include "wafer_port.h"

/* One application reads a sensor, the other, which is more urgent, adds the readings up. Each has
 * an engine of its own. */

/* sensor.wat */
static const uint8_t kSensor[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0b, 0x02, 0x60, 0x02, 0x7f, 0x7f,
    0x01, 0x7f, 0x60, 0x00, 0x01, 0x7f, 0x02, 0x0e, 0x01, 0x05, 0x71, 0x75, 0x65, 0x75, 0x65,
    0x04, 0x73, 0x65, 0x6e, 0x64, 0x00, 0x00, 0x03, 0x02, 0x01, 0x01, 0x05, 0x07, 0x01, 0x09,
    0x80, 0x02, 0x80, 0x02, 0x00, 0x07, 0x07, 0x01, 0x03, 0x72, 0x75, 0x6e, 0x00, 0x01, 0x0a,
    0x28, 0x01, 0x26, 0x01, 0x01, 0x7f, 0x03, 0x40, 0x20, 0x00, 0x20, 0x00, 0x6c, 0x41, 0x7f,
    0x10, 0x00, 0x1a, 0x20, 0x00, 0x41, 0x01, 0x6a, 0x22, 0x00, 0x41, 0x20, 0x49, 0x0d, 0x00,
    0x0b, 0x41, 0x7f, 0x41, 0x7f, 0x10, 0x00, 0x1a, 0x20, 0x00, 0x0b};
/* control.wat */
static const uint8_t kControl[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0b, 0x02, 0x60, 0x01, 0x7f, 0x02, 0x7f,
    0x7f, 0x60, 0x00, 0x01, 0x7f, 0x02, 0x11, 0x01, 0x05, 0x71, 0x75, 0x65, 0x75, 0x65, 0x07, 0x72,
    0x65, 0x63, 0x65, 0x69, 0x76, 0x65, 0x00, 0x00, 0x03, 0x02, 0x01, 0x01, 0x05, 0x07, 0x01, 0x09,
    0x80, 0x02, 0x80, 0x02, 0x00, 0x07, 0x07, 0x01, 0x03, 0x72, 0x75, 0x6e, 0x00, 0x01, 0x0a, 0x2c,
    0x01, 0x2a, 0x01, 0x03, 0x7f, 0x03, 0x40, 0x41, 0xe8, 0x07, 0x10, 0x00, 0x21, 0x02, 0x21, 0x01,
    0x20, 0x02, 0x45, 0x04, 0x40, 0x00, 0x0b, 0x20, 0x01, 0x41, 0x00, 0x4e, 0x04, 0x40, 0x20, 0x00,
    0x20, 0x01, 0x6a, 0x21, 0x00, 0x0c, 0x01, 0x0b, 0x0b, 0x20, 0x00, 0x0b};

enum { kReadings = 32, kStack = sizeof(void*) == 4 ? 6 * 1024 : 64 * 1024, kLine = 160 };

typedef struct {
  const char* name;
  const uint8_t* module;
  size_t size;
  unsigned level;
  int32_t expected;
} application;

static const application kApplications[] = {
    {"sensor", kSensor, sizeof kSensor, 1, kReadings},
    {"control", kControl, sizeof kControl, 2, 31 * 32 * 63 / 6},
};
enum { kCount = sizeof kApplications / sizeof *kApplications };

static wafer_port_queue *readings, *finished;

static void say(const char* name, const char* what, const char* more) {
  char line[kLine];
  size_t size = 0;
  const char* const parts[] = {name, what, more};
  for (unsigned i = 0; i < 3; ++i)
    for (const char* at = parts[i]; *at && size < kLine - 1; ++at) line[size++] = *at;
  line[size++] = '\n';
  wafer_port_put(line, size);
}

/* Calls the application's function; 1 if it gave what is expected. */
static int call(const application* app, wasm_instance_t* instance) {
  wasm_func_t* func = wafer_instance_func(instance, "run");
  wasm_val_t value = WASM_INIT_VAL;
  const wasm_val_vec_t none = {0, NULL};
  wasm_val_vec_t results = {1, &value};
  wasm_trap_t* trap = wasm_func_call(func, &none, &results);
  wasm_func_delete(func);
  if (trap) {
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    say(app->name, ": trap: ", message.data);
    wasm_byte_vec_delete(&message);
    wasm_trap_delete(trap);
    return 0;
  }
  const int good = value.of.i32 == app->expected;
  say(app->name, good ? ": as expected" : ": wrong result", "");
  return good;
}

typedef struct {
  const application* app;
  int good;
} outcome;

/* Runs one application from its start to its end. */
static void run(void* argument) {
  outcome* const out = argument;
  const application* const app = out->app;
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 2 * 1024);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);
  wafer_linker_t* linker = wafer_linker_new(engine);
  wafer_error_t* error = wafer_port_define_queue(linker, readings);
  if (!error) error = wafer_port_define_clock(linker);
  wasm_module_t* module = NULL;
  wasm_instance_t* instance = NULL;
  if (!error) error = wafer_module_new_in_place(store, app->module, app->size, &module);
  if (!error) error = wafer_linker_instantiate(linker, store, module, &instance, NULL);
  if (error) {
    say(app->name, ": error: ", wafer_error_message(error));
    wafer_error_delete(error);
  } else {
    out->good = call(app, instance);
    wasm_instance_delete(instance);
  }
  wasm_module_delete(module);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
}

/* Guarded: an application that runs out of memory ends, and the others go on. */
static void task(void* argument) {
  outcome out = {argument, 0};
  if (!wafer_port_guarded(run, &out)) say(out.app->name, ": out of memory", "");
  wafer_port_queue_send(finished, out.good, -1);
}

int wafer_example(void) {
  readings = wafer_port_queue_new(4);
  finished = wafer_port_queue_new(kCount);
  const size_t before = wafer_port_free_bytes();
  int good = readings && finished;
  unsigned started = 0;
  while (good && started < kCount) {
    const application* const app = &kApplications[started];
    good = wafer_port_start(app->name, task, (void*)app, app->level, kStack);
    if (good)
      ++started;
    else
      say(app->name, ": not started", "");
  }
  for (unsigned i = 0; i < started; ++i) {
    int32_t result = 0;
    good = wafer_port_queue_receive(finished, &result, 20000) && result && good;
  }
  /* Systems free the stacks of tasks some time after their end. */
  for (int i = 0; i < 20 && wafer_port_free_bytes() < before; ++i) wafer_port_sleep(50000000);
  if (wafer_port_free_bytes() < before) {
    good = 0;
    say("watch", ": memory is lost", "");
  }
  say("watch", good ? ": all as expected" : ": not as expected", "");
  wafer_port_queue_delete(readings);
  wafer_port_queue_delete(finished);
  return good ? 0 : 1;
}
