/* Carries out a script of the official suite that run.py has made of its commands, read from
 * the host by semihosting, and prints how each file of it ended. */
#include <stdint.h>
#include <string.h>

#include "board.h"
#include "pool.h"
#include "wafer.h"

static const uint8_t* at;

static uint32_t u32(void) {
  uint32_t v = 0;
  for (int i = 4; i--;) v = v << 8 | at[i];
  at += 4;
  return v;
}
static uint64_t u64(void) {
  const uint64_t low = u32();
  return low | (uint64_t)u32() << 32;
}
/* A text, which ends with a zero in the script. */
static const char* text(void) {
  const char* t = (const char*)at;
  at += strlen(t) + 1;
  return t;
}

enum { kMaxModules = 400 };
static wasm_engine_t* engine;
static wasm_store_t* store;
static wafer_linker_t* linker;
static wasm_module_t* modules[kMaxModules];
static wasm_instance_t* instances[kMaxModules];
static unsigned module_count, instance_count;
static uint32_t passed, failed, refused, shown;

static void begin_file(void) {
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 64 * 1024);
  engine = wasm_engine_new_with_config(config);
  store = wasm_store_new(engine);
  linker = wafer_linker_new(engine);
  wafer_linker_allow_shadowing(linker, true);
  module_count = instance_count = 0;
  passed = failed = refused = shown = 0;
}

static void end_file(const char* name) {
  for (unsigned i = 0; i < instance_count; ++i) wasm_instance_delete(instances[i]);
  for (unsigned i = 0; i < module_count; ++i) wasm_module_delete(modules[i]);
  wafer_linker_delete(linker);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  board_put("file ");
  board_put(name);
  board_put(" ");
  board_put_number(passed);
  board_put(" ");
  board_put_number(failed);
  board_put(" ");
  board_put_number(refused);
  board_put(pool_in_use() ? " leak\n" : "\n");
}

static void fail(uint32_t line, const char* what, const char* more) {
  ++failed;
  if (++shown > 5) return;
  board_put("  line ");
  board_put_number(line);
  board_put(": ");
  board_put(what);
  board_put(" ");
  board_put(more);
  board_put("\n");
}

/* Machine code of the next module, in builds that run it. */
static const uint8_t* code;
static uint32_t code_size, with_code;

/* Loads and instantiates; NULL with the error where that fails. */
static wafer_error_t* load(const uint8_t* bytes, uint32_t size, wasm_instance_t** out) {
  wasm_module_t* module = NULL;
  const uint8_t* const its_code = code;
  code = NULL;
  *out = NULL;
  wafer_error_t* error = wafer_module_new_in_place(store, bytes, size, &module);
  if (error) return error;
  if (module_count == kMaxModules) board_exit(3);
  modules[module_count++] = module;
#ifdef XIP
  if (its_code) {
    error = wafer_module_attach_code(module, its_code, code_size);
    if (error) return error;
    ++with_code;
  }
#endif
  error = wafer_linker_instantiate(linker, store, module, out, NULL);
  if (!error) instances[instance_count++] = *out;
  return error;
}

/* An expected value: its kind, and bits or which NaN. */
enum { BITS32, BITS64, BITS128, NULL_REF, ANY_REF, NAN32_CANONICAL, NAN32, NAN64_CANONICAL, NAN64 };

static int matches(const uint64_t** slots) {
  const uint8_t kind = *at++;
  const uint64_t low = u64(), high = u64();
  const uint64_t have = *(*slots)++;
  switch (kind) {
    case BITS32:
      return (uint32_t)have == (uint32_t)low;
    case BITS64:
      return have == low;
    case BITS128:
      return have == low && *(*slots)++ == high;
    case NULL_REF:
      return have == 0;
    case ANY_REF:
      return have != 0;
    case NAN32_CANONICAL:
      return ((uint32_t)have & 0x7FFFFFFF) == 0x7FC00000;
    case NAN32:
      return ((uint32_t)have & 0x7FC00000) == 0x7FC00000;
    case NAN64_CANONICAL:
      return (have & 0x7FFFFFFFFFFFFFFFull) == 0x7FF8000000000000ull;
    default:
      return (have & 0x7FF8000000000000ull) == 0x7FF8000000000000ull;
  }
}

/* Does what an action says; the results are in `slots`. */
static wasm_trap_t* act(wasm_instance_t* instance, const char** missing, uint64_t* slots) {
  const uint8_t is_get = *at++;
  const char* field = text();
  uint32_t count = u32();
  uint64_t* to = slots;
  while (count--) *to++ = u64();
  if (!instance) {
    *missing = "instance";
    return NULL;
  }
  if (is_get) {
    wasm_extern_t* item = wafer_instance_export(instance, field);
    wasm_global_t* global = item ? wasm_extern_as_global(item) : NULL;
    if (!global) {
      *missing = field;
    } else {
      wasm_val_t value;
      wasm_global_get(global, &value);
      slots[0] = value.kind == WASM_I32 || value.kind == WASM_F32 ? (uint32_t)value.of.i32
                                                                  : (uint64_t)value.of.i64;
    }
    wasm_extern_delete(item);
    return NULL;
  }
  wasm_func_t* func = wafer_instance_func(instance, field);
  if (!func) {
    *missing = field;
    return NULL;
  }
  wasm_trap_t* trap = wafer_func_call_raw(func, slots);
  wasm_func_delete(func);
  return trap;
}

int main(void) {
  static uint64_t slots[256];
  const uint8_t* script = board_file("script.bin");
  if (!script) {
    board_put("no script\n");
    return 1;
  }
  pool_reset();
  wafer_set_allocator(pool_allocate, pool_release, NULL);
  at = script;
  static wasm_instance_t* named[kMaxModules];
  for (;;) {
    const uint8_t command = *at++;
    const uint32_t line = u32();
    switch (command) {
      case 'F':
        begin_file();
        memset(named, 0, sizeof named);
        break;
      case 'M': { /* a module, and the number that actions know it by */
        const uint32_t number = u32(), size = u32();
        wafer_error_t* error = load(at, size, &named[number]);
        at += size;
        if (error) {
          ++refused;
          if (++shown <= 5) {
            board_put("  line ");
            board_put_number(line);
            board_put(": refused: ");
            board_put(wafer_error_message(error));
            board_put("\n");
          }
          wafer_error_delete(error);
        }
        break;
      }
      case 'C': /* code of the module that follows */
        code_size = u32();
        while ((uintptr_t)at % 4) ++at;
        code = at;
        at += code_size;
        break;
      case 'R': {
        const uint32_t number = u32();
        const char* name = text();
        if (named[number]) {
          wafer_error_t* error = wafer_linker_define_instance(linker, name, named[number]);
          if (error) fail(line, "register:", wafer_error_message(error));
          wafer_error_delete(error);
        }
        break;
      }
      case 'I': { /* an action, what it returns, or the trap that it ends in */
        wasm_instance_t* const instance = named[u32()];
        const char* missing = NULL;
        wasm_trap_t* trap = act(instance, &missing, slots);
        const char* message = text();
        uint32_t count = u32();
        const uint64_t* have = slots;
        int good = 1;
        while (count--) good &= matches(&have);
        if (!instance) {
          wasm_trap_delete(trap);
          break; /* of a module that was refused */
        }
        if (missing) {
          fail(line, "no export", missing);
        } else if (*message) {
          wasm_message_t got = {0, NULL};
          if (trap) wasm_trap_message(trap, &got);
          if (!trap || strncmp(got.data, message, strlen(message)) != 0)
            fail(line, message, trap ? got.data : "(no trap)");
          else
            ++passed;
          if (trap) wasm_byte_vec_delete(&got);
        } else if (trap) {
          wasm_message_t got;
          wasm_trap_message(trap, &got);
          fail(line, "trap", got.data);
          wasm_byte_vec_delete(&got);
        } else if (!good) {
          fail(line, "wrong result", "");
        } else {
          ++passed;
        }
        wasm_trap_delete(trap);
        break;
      }
      case 'X': { /* a module that must not come to be */
        const uint32_t size = u32();
        wasm_instance_t* instance;
        wafer_error_t* error = load(at, size, &instance);
        at += size;
        if (error)
          ++passed;
        else
          fail(line, "accepted", "");
        wafer_error_delete(error);
        break;
      }
      case 'E':
        end_file(text());
        break;
      default:
        board_put("code ");
        board_put_number(with_code);
        board_put("\ndone\n");
        return 0;
    }
  }
}
