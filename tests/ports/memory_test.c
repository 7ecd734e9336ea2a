/* Each allocation of a program's life made to fail in turn, and every amount of memory from
 * nothing to enough: the call fails cleanly, no memory is lost, and the next run is as good as the
 * first.
 *   memory_test FILES GUEST...      the module of files.wat, and others for WASI */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fir.h"
#include "wafer_wasi.h"

static size_t allocations, fail_at, live_blocks, live_bytes, peak_bytes, limit_bytes, code_budget;
/* Allocations before and at the end of the call. */
static size_t call_begin, call_end;

static void* slot;
void** wafer_port_slot(void) { return &slot; }

void* wafer_port_allocate(size_t size) {
  if (++allocations == fail_at || live_bytes + size > limit_bytes) return NULL;
  size_t* const block = malloc(size + 16);
  *block = size;
  ++live_blocks;
  live_bytes += size;
  if (live_bytes > peak_bytes) peak_bytes = live_bytes;
  /* Nothing may depend on memory being clear. */
  memset(block + 2, 0xA5, size);
  return block + 2;
}
void wafer_port_release(void* pointer) {
  if (!pointer) return;
  size_t* const block = (size_t*)pointer - 2;
  --live_blocks;
  live_bytes -= *block;
  memset(block, 0x5A, *block + 16);
  free(block);
}
size_t wafer_port_free_bytes(void) { return 0; }
uint64_t wafer_port_clock(void) { return 1; }
uint64_t wafer_port_date(void) { return 1; }
void wafer_port_sleep(uint64_t nanoseconds) { (void)nanoseconds; }
bool wafer_port_random(void* out, size_t size) { return memset(out, 1, size) != NULL; }
void wafer_port_put(const char* text, size_t size) {
  (void)text;
  (void)size;
}
size_t wafer_port_get(char* out, size_t size) {
  (void)out;
  (void)size;
  return 0;
}
bool wafer_port_queue_send(wafer_port_queue* q, int32_t value, int32_t milliseconds) {
  (void)q;
  (void)value;
  (void)milliseconds;
  return false;
}
bool wafer_port_queue_receive(wafer_port_queue* q, int32_t* value, int32_t milliseconds) {
  (void)q;
  (void)value;
  (void)milliseconds;
  return false;
}
/* As in ports/posix. */
__attribute__((weak)) char __libc_single_threaded;
void wafer_port_panic(const char* message) {
  printf("panic: %s\n", message);
  exit(1);
}

typedef struct {
  const void* bytes;
  size_t size;
  const char* function;
  /* What came of it; `failed` and `trapped` are errors that the library gave as values. */
  enum { kNothing, kFailed, kTrapped, kRan } outcome;
  /* The same instance gave this when it was called again after it had trapped. */
  bool again;
  int32_t value;
} program;

/* A volume with one file. Nobody may change what has no name in it. */
static size_t opened, open_files, left_open;
static uint16_t file_open(void* volume, const char* path, unsigned how, intptr_t* file) {
  (void)volume;
  (void)how;
  if (strcmp(path, "file")) return WAFER_WASI_NOENT;
  ++opened;
  ++open_files;
  *file = 1;
  return 0;
}
static void file_close(void* volume, intptr_t file) {
  (void)volume;
  if (file == 1) --open_files;
}
static uint16_t file_stat(void* volume, const char* path, wafer_file_stat* out) {
  (void)volume;
  out->type = *path ? WAFER_FILE_REGULAR : WAFER_FILE_DIRECTORY;
  return 0;
}
static uint16_t file_remove(void* volume, const char* path) {
  (void)volume;
  printf("'%s' was removed\n", path);
  exit(1);
}
static uint16_t file_rename(void* volume, const char* from, const char* to) {
  (void)volume;
  printf("'%s' was renamed to '%s'\n", from, to);
  exit(1);
}
static const wafer_files files = {.open = file_open,
                                  .close = file_close,
                                  .stat = file_stat,
                                  .remove_directory = file_remove,
                                  .rename = file_rename};
static const wafer_wasi_mount mount = {"/", &files, NULL, false};

static bool put(void* env, int stream, const char* text, size_t size) {
  program* const p = env;
  (void)stream;
  for (size_t i = 0; i < size; ++i)
    p->value = (int32_t)((uint32_t)p->value * 31u + (uint8_t)text[i]);
  return true;
}

static void run(void* argument) {
  program* const p = argument;
  static const char* const args[] = {"test"};
  const wafer_wasi_config wasi_config = {.args_count = 1,
                                         .args = args,
                                         .mounts_count = 1,
                                         .mounts = &mount,
                                         .put = put,
                                         .put_env = p,
                                         .not_consoles = 7};
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 64 * 1024);
  wafer_config_code_budget_set(config, code_budget);
  wasm_engine_t* engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(engine);
  wafer_linker_t* linker = wafer_linker_new(engine);
  wasm_module_t* module = NULL;
  wasm_instance_t* instance = NULL;
  wafer_wasi* wasi = NULL;
  wafer_error_t* error = wafer_port_define(linker, "device", "sample", "i:i", sample, NULL);
  if (!error) error = wafer_module_new_in_place(store, p->bytes, p->size, &module);
  if (!error) wasi = wafer_wasi_new(linker, module, &wasi_config, &error);
  if (!error && wasi) error = wafer_linker_instantiate(linker, store, module, &instance, NULL);
  if (!instance) {
    p->outcome = kFailed;
  } else {
    wasm_func_t* func = wafer_instance_func(instance, p->function);
    wasm_val_t value = WASM_INIT_VAL, arg = WASM_I32_VAL(100);
    const bool filter = strcmp(p->function, "_start") != 0;
    const wasm_val_vec_t params = {filter ? 1 : 0, &arg};
    wasm_val_vec_t results = {filter ? 1 : 0, &value};
    call_begin = allocations;
    wasm_trap_t* trap = wasm_func_call(func, &params, &results);
    call_end = allocations;
    /* A lack here ends the guarded call, while files are open. */
    wasm_config_delete(wasm_config_new());
    int32_t status = 0;
    p->outcome = trap && !wafer_wasi_exited(wasi, &status) ? kTrapped : kRan;
    if (p->outcome == kTrapped && filter) {
      wasm_trap_delete(trap);
      trap = wasm_func_call(func, &params, &results);
      p->again = !trap;
    }
    if (filter) p->value = value.of.i32;
    wasm_trap_delete(trap);
    wasm_func_delete(func);
  }
  wafer_error_delete(error);
  wasm_instance_delete(instance);
  wasm_module_delete(module);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  wafer_wasi_delete(wasi);
}

/* Runs it; true if it came to its end. Exits on what must not be. */
static bool attempt(const char* name, program* p, const program* good) {
  p->outcome = kNothing;
  p->again = false;
  p->value = 0;
  allocations = 0;
  opened = 0;
  const bool whole = wafer_port_guarded(run, p);
  if (!whole && opened) ++left_open;
  if (open_files) {
    printf("%s: a file is open (allocation %zu, limit %zu)\n", name, fail_at, limit_bytes);
    exit(1);
  }
  if (live_blocks) {
    printf("%s: %zu blocks are lost (allocation %zu, limit %zu)\n", name, live_blocks, fail_at,
           limit_bytes);
    exit(1);
  }
  const bool ran = whole && p->outcome == kRan;
  if (ran && good && p->value != good->value) {
    printf("%s: another result (allocation %zu, limit %zu)\n", name, fail_at, limit_bytes);
    exit(1);
  }
  return ran;
}

/* Each of the last attempt's allocations fails once. Those that make functions ready are traps. */
static bool fail_each(const char* name, const program* good) {
  const size_t count = allocations, begin = call_begin, end = call_end;
  const bool filter = strcmp(good->function, "_start") != 0;
  size_t survived = 0, values = 0, traps = 0;
  for (size_t n = 1; n <= count; ++n) {
    program p = *good;
    fail_at = n;
    const bool ran = attempt(name, &p, good);
    fail_at = 0;
    const bool value = p.outcome == kTrapped || p.outcome == kFailed;
    survived += ran;
    values += value;
    if (n > begin && n <= end) {
      traps += value;
      if (!ran && !(filter ? p.again && p.value == good->value : value)) {
        printf("%s: without allocation %zu it does not trap, or not go on after that\n", name, n);
        return false;
      }
    }
    if (!attempt(name, &p, good)) {
      printf("%s: does not run after allocation %zu failed\n", name, n);
      return false;
    }
  }
  printf(
      "%s: of %zu allocations %zu are not missed, and %zu are errors as values; of %zu in calls "
      "%zu are traps\n",
      name, count, survived, values, end - begin, traps);
  return true;
}

/* `calls_again`: functions after others; `value`: what is expected, if it is known. */
static int check(const char* name, const void* bytes, size_t size, const char* function,
                 bool calls_again, const int32_t* value) {
  program good = {.bytes = bytes, .size = size, .function = function};
  fail_at = 0;
  limit_bytes = SIZE_MAX;
  peak_bytes = 0;
  if (!attempt(name, &good, NULL)) {
    printf("%s: does not run\n", name);
    return 1;
  }
  if (value && good.value != *value) {
    printf("%s: gives %d, not %d\n", name, (int)good.value, (int)*value);
    return 1;
  }
  const size_t count = allocations, peak = peak_bytes;
  if (!fail_each(name, &good)) return 1;
  /* With next to nothing for code it is dropped and made again. */
  program again = good;
  code_budget = 1;
  if (!attempt(name, &again, &good) || (calls_again && allocations <= count)) {
    printf("%s: with a budget for code it does not run, or drops none\n", name);
    return 1;
  }
  if (!fail_each(name, &good)) return 1;
  code_budget = 0;
  /* Not every byte for large ones. */
  const size_t step = peak / 2000 + 1;
  for (limit_bytes = 0; limit_bytes < peak; limit_bytes += step) {
    program p = good;
    attempt(name, &p, &good);
  }
  limit_bytes = peak;
  program p = good;
  if (!attempt(name, &p, &good)) {
    printf("%s: does not run with %zu bytes\n", name, peak);
    return 1;
  }
  return 0;
}

/* (module (import "e" "h" (func (param i32) (result i32)))
 *   (func (param i32) (result i32) local.get 0 i32.const 10 i32.add)
 *   (func (param i32) (result i32) local.get 0, then twenty times: i32.const 1 i32.add)
 *   (func (param i32) (result i32) local.get 0, then twenty times: i32.const 30 i32.add)
 *   (func (export "other") (param i32) (result i32) local.get 0 call 2 call 3)
 *   (func (export "first") (param i32) (result i32)
 *     local.get 0 call 0 i32.const 100 i32.add call 1)) */
static const unsigned char kTwoStores[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f,
    0x02, 0x07, 0x01, 0x01, 0x65, 0x01, 0x68, 0x00, 0x00, 0x03, 0x06, 0x05, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x07, 0x11, 0x02, 0x05, 0x6f, 0x74, 0x68, 0x65, 0x72, 0x00, 0x04, 0x05, 0x66, 0x69, 0x72,
    0x73, 0x74, 0x00, 0x05, 0x0a, 0xa1, 0x01, 0x05, 0x07, 0x00, 0x20, 0x00, 0x41, 0x0a, 0x6a, 0x0b,
    0x40, 0x00, 0x20, 0x00, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a,
    0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41,
    0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01,
    0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a, 0x41, 0x01, 0x6a,
    0x0b, 0x40, 0x00, 0x20, 0x00, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e,
    0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a,
    0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41,
    0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e, 0x6a, 0x41, 0x1e,
    0x6a, 0x0b, 0x08, 0x00, 0x20, 0x00, 0x10, 0x02, 0x10, 0x03, 0x0b, 0x0c, 0x00, 0x20, 0x00, 0x10,
    0x00, 0x41, 0xe4, 0x00, 0x6a, 0x10, 0x01, 0x0b};

typedef struct {
  wasm_instance_t* instance;
  uint64_t value;
} in_other_store;

static wasm_trap_t* call_other(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                               wasm_val_vec_t* results) {
  in_other_store* const o = env;
  (void)caller;
  wasm_func_t* func = wafer_instance_func(o->instance, "other");
  o->value = 3;
  wasm_trap_t* trap = wafer_func_call_raw(func, &o->value);
  wasm_func_delete(func);
  results->data[0].kind = WASM_I32;
  results->data[0].of.i32 = args->data[0].of.i32;
  return trap;
}

/* Stores share a module's code: what has a frame in one is not dropped for another. And there is no
 * more code than the budget, or than a function and its caller have. */
static int check_two_stores(void) {
  enum { kStack = 4096, kLists = 256 };
  int bad = 0;
  size_t least = 0;
  limit_bytes = SIZE_MAX;
  for (size_t budget = 0; budget <= 2048; budget += budget / 16 + 1) {
    wasm_config_t* config = wasm_config_new();
    wafer_config_stack_size_set(config, kStack);
    wafer_config_code_budget_set(config, budget);
    wasm_engine_t* engine = wasm_engine_new_with_config(config);
    wafer_linker_t* linker = wafer_linker_new(engine);
    wasm_store_t* stores[] = {wasm_store_new(engine), wasm_store_new(engine)};
    wasm_instance_t* instances[2];
    wasm_module_t* module;
    in_other_store other;
    wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
    wafer_error_t* error =
        wafer_linker_define_func(linker, "e", "h", type, call_other, &other, NULL);
    if (!error)
      error = wafer_module_new_in_place(stores[0], kTwoStores, sizeof kTwoStores, &module);
    for (int i = 0; i < 2 && !error; ++i)
      error = wafer_linker_instantiate(linker, stores[i], module, &instances[i], NULL);
    if (error) {
      printf("two stores: %s\n", wafer_error_message(error));
      return 1;
    }
    other.instance = instances[1];
    wasm_func_t* func = wafer_instance_func(instances[1], "other");
    const size_t before = live_bytes;
    uint64_t value = 3;
    wasm_trap_delete(wafer_func_call_raw(func, &value));
    const size_t code = live_bytes - before - kStack;
    if (budget == 1) least = code;
    if (budget > 0 && code > (budget > least ? budget : least) + kLists) {
      printf("two stores, budget %zu: %zu bytes of code\n", budget, code);
      bad = 1;
    }
    wasm_func_delete(func);
    func = wafer_instance_func(instances[0], "first");
    for (int round = 0; round < 2; ++round) {
      value = 5;
      wasm_trap_t* trap = wafer_func_call_raw(func, &value);
      if (trap || value != 115 || other.value != 623) {
        printf("two stores, budget %zu: %d, and %d in the other\n", budget, (int)value,
               (int)other.value);
        bad = 1;
      }
      wasm_trap_delete(trap);
    }
    wasm_func_delete(func);
    wasm_functype_delete(type);
    for (int i = 0; i < 2; ++i) {
      wasm_instance_delete(instances[i]);
      wasm_store_delete(stores[i]);
    }
    wasm_module_delete(module);
    wafer_linker_delete(linker);
    wasm_engine_delete(engine);
  }
  return bad;
}

static char pieces[256];
static void append(const char* text) { strcat(strcat(pieces, text), "|"); }

/* What wafer_port.h has inline. */
static int check_inline(void) {
  enum { kMost = 0x7FFFFFFE, kForever = -1 };
  static const struct {
    int32_t milliseconds;
    uint32_t per_second;
    int64_t ticks;
  } waits[] = {{0, 100, 0},
               {1, 100, 1},
               {10, 100, 1},
               {11, 100, 2},
               {1000, 1000, 1000},
               {-1, 100, kForever},
               {50000000, 100, 5000000},
               {INT32_MAX, 1000, kMost},
               {INT32_MIN, 1000, kForever}};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; ++i) {
    const int64_t ticks = (int64_t)wafer_port_timeout(waits[i].milliseconds, waits[i].per_second,
                                                      kMost, (uint64_t)(int64_t)kForever);
    if (ticks == waits[i].ticks) continue;
    printf("%d ms at %u Hz: %lld ticks\n", (int)waits[i].milliseconds,
           (unsigned)waits[i].per_second, (long long)ticks);
    return 1;
  }
  /* Nulls, also where a piece begins, hold nothing up. */
  char text[100];
  memset(text, 'x', sizeof text);
  text[0] = text[3] = text[70] = 0;
  wafer_port_pieces(text, sizeof text, append);
  char expected[256];
  memset(expected, 'x', sizeof expected);
  strcpy(expected + 64, "|");
  memset(expected + 65, 'x', 33);
  strcpy(expected + 98, "|");
  if (!strcmp(pieces, expected)) return 0;
  printf("pieces: %s\n", pieces);
  return 1;
}

int main(int argc, char** argv) {
  wafer_port_init();
  int bad = check_inline();
  bad |= check_two_stores();
  bad |= check("fir", kFir, sizeof kFir, "filter", false, NULL);
  for (int i = 1; i < argc; ++i) {
    FILE* const file = fopen(argv[i], "rb");
    if (!file) {
      printf("%s: cannot be opened\n", argv[i]);
      return 1;
    }
    fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    rewind(file);
    void* const bytes = malloc(size);
    /* path_open's 0, and EINVAL (28) four times, as `put` has it. */
    const int32_t value = 28 * (31 * 31 * 31 + 31 * 31 + 31 + 1);
    if (fread(bytes, 1, size, file) == size)
      bad |= check(argv[i], bytes, size, "_start", true, i == 1 ? &value : NULL);
    else
      bad = 1;
    free(bytes);
    fclose(file);
    if (i == 1 && !left_open) {
      puts("memory never lacked while a file was open");
      bad = 1;
    }
  }
  puts(bad ? "bad" : "all as expected");
  return bad;
}
