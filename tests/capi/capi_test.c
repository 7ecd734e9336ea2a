/* The standard C API: ownership, copies, reflection, traps, references, sharing. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "wafer.h"

static wasm_engine_t* engine;
static wasm_store_t* store;

static wasm_byte_vec_t binary_of(const char* text) {
  wasm_byte_vec_t binary = WASM_EMPTY_VEC;
  wafer_error_t* error = wafer_wat2wasm(text, strlen(text), &binary);
  if (error) {
    fprintf(stderr, "%s\n", wafer_error_message(error));
    exit(1);
  }
  return binary;
}

static wasm_module_t* module_of(const char* text) {
  wasm_byte_vec_t binary = binary_of(text);
  wasm_module_t* module = wasm_module_new(store, &binary);
  CHECK(wasm_module_validate(store, &binary) == (module != NULL));
  wasm_byte_vec_delete(&binary);
  return module;
}

static wasm_instance_t* instance_of(const char* text, wasm_extern_t* import) {
  wasm_module_t* module = module_of(text);
  wasm_extern_t* list[] = {import};
  wasm_extern_vec_t imports = {import ? 1 : 0, list};
  wasm_trap_t* trap = NULL;
  wasm_instance_t* instance = wasm_instance_new(store, module, &imports, &trap);
  CHECK(instance && !trap);
  wasm_module_delete(module);
  return instance;
}

static void vectors(void) {
  wasm_byte_vec_t a, b;
  wasm_byte_vec_new(&a, 3, "abc");
  wasm_byte_vec_copy(&b, &a);
  CHECK(b.size == 3 && b.data != a.data && !memcmp(b.data, "abc", 3));
  wasm_byte_vec_delete(&a);
  wasm_byte_vec_delete(&b);
  wasm_valtype_t* types[] = {wasm_valtype_new_i32(), wasm_valtype_new(WASM_F64)};
  wasm_valtype_vec_t v, w;
  wasm_valtype_vec_new(&v, 2, types); /* takes the elements */
  wasm_valtype_vec_copy(&w, &v);
  CHECK(wasm_valtype_kind(w.data[1]) == WASM_F64 && w.data[1] != v.data[1]);
  wasm_valtype_vec_delete(&v);
  wasm_valtype_vec_delete(&w);
  wasm_val_vec_t none;
  wasm_val_vec_new_empty(&none);
  CHECK(none.size == 0);
  wasm_val_vec_delete(&none);
  wasm_val_vec_t fresh;
  wasm_val_vec_new_uninitialized(&fresh, 2);
  CHECK(fresh.size == 2);
  fresh.data[0] = (wasm_val_t)WASM_I32_VAL(1);
  fresh.data[1] = (wasm_val_t)WASM_F64_VAL(2.5);
  wasm_val_t copy;
  wasm_val_copy(&copy, &fresh.data[1]);
  CHECK(copy.kind == WASM_F64 && copy.of.f64 == 2.5);
  wasm_val_vec_delete(&fresh);
}

static void types(void) {
  wasm_functype_t* f = wasm_functype_new_2_1(wasm_valtype_new_i32(), wasm_valtype_new_funcref(),
                                             wasm_valtype_new_i64());
  const wasm_valtype_vec_t* params = wasm_functype_params(f);
  CHECK(params->size == 2 && wasm_valtype_kind(params->data[1]) == WASM_FUNCREF);
  CHECK(wasm_functype_results(f)->size == 1);
  wasm_externtype_t* e = wasm_functype_as_externtype(f);
  CHECK(wasm_externtype_kind(e) == WASM_EXTERN_FUNC);
  CHECK(wasm_externtype_as_functype(e) == f && !wasm_externtype_as_memorytype(e));
  wasm_functype_t* g = wasm_functype_copy(f);
  wasm_functype_delete(f);
  CHECK(wasm_functype_params(g)->size == 2);
  wasm_functype_delete(g);
  wasm_limits_t limits = {1, 5};
  wasm_memorytype_t* m = wasm_memorytype_new(&limits);
  CHECK(wasm_memorytype_limits(m)->min == 1 && wasm_memorytype_limits(m)->max == 5);
  wasm_memorytype_delete(m);
  wasm_limits_t open = {2, wasm_limits_max_default};
  wasm_tabletype_t* t = wasm_tabletype_new(wasm_valtype_new_funcref(), &open);
  CHECK(wasm_valtype_kind(wasm_tabletype_element(t)) == WASM_FUNCREF);
  CHECK(wasm_tabletype_limits(t)->max == wasm_limits_max_default);
  wasm_tabletype_delete(t);
  wasm_globaltype_t* g2 = wasm_globaltype_new(wasm_valtype_new_f32(), WASM_VAR);
  CHECK(wasm_globaltype_mutability(g2) == WASM_VAR);
  wasm_globaltype_delete(g2);

  wasm_module_t* module = module_of(
      "(module (import \"m\" \"f\" (func (param i32))) (memory (export \"mem\") 1 2)"
      " (table (export \"tab\") 3 funcref) (global (export \"glo\") f64 (f64.const 0)))");
  wasm_importtype_vec_t imports;
  wasm_module_imports(module, &imports);
  CHECK(imports.size == 1);
  CHECK(!memcmp(wasm_importtype_module(imports.data[0])->data, "m", 1));
  CHECK(wasm_externtype_kind(wasm_importtype_type(imports.data[0])) == WASM_EXTERN_FUNC);
  wasm_importtype_vec_delete(&imports);
  wasm_exporttype_vec_t exports;
  wasm_module_exports(module, &exports);
  CHECK(exports.size == 3);
  const wasm_externtype_t* mem = wasm_exporttype_type(exports.data[0]);
  CHECK(wasm_memorytype_limits(wasm_externtype_as_memorytype_const(mem))->max == 2);
  wasm_exporttype_vec_delete(&exports);
  wasm_module_delete(module);
}

static int finalized;
static void count_finalizer(void* env) { finalized += *(int*)env; }

static wasm_trap_t* host_trap(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env, (void)args, (void)results;
  wasm_message_t message;
  wasm_name_new_from_string_nt(&message, "no way");
  wasm_trap_t* trap = wasm_trap_new(store, &message);
  wasm_name_delete(&message);
  return trap;
}

static void traps(void) {
  static int one = 1;
  wasm_functype_t* type = wasm_functype_new_0_0();
  wasm_func_t* host = wasm_func_new_with_env(store, type, host_trap, &one, count_finalizer);
  wasm_functype_delete(type);
  wasm_instance_t* instance = instance_of(
      "(module (import \"h\" \"f\" (func $f)) (func $mid (call $f))"
      " (func (export \"run\") (call $mid)) (func (export \"div\") (param i32) (result i32)"
      "   (i32.div_s (i32.const 1) (local.get 0))))",
      wasm_func_as_extern(host));
  wasm_func_t* run = wafer_instance_func(instance, "run");
  wasm_val_vec_t none = WASM_EMPTY_VEC;
  wasm_trap_t* trap = wasm_func_call(run, &none, &none);
  CHECK(trap != NULL);
  wasm_message_t message;
  wasm_trap_message(trap, &message);
  CHECK(!strcmp(message.data, "no way"));
  wasm_byte_vec_delete(&message);
  wasm_frame_t* origin = wasm_trap_origin(trap);
  CHECK(origin && wasm_frame_func_index(origin) == 1 && wasm_frame_module_offset(origin) > 0);
  CHECK(origin && wasm_frame_instance(origin) && !strcmp(wafer_frame_func_name(origin), "mid"));
  wasm_frame_delete(origin);
  wasm_frame_vec_t trace;
  wasm_trap_trace(trap, &trace);
  CHECK(trace.size == 2);
  wasm_frame_vec_delete(&trace);
  wasm_trap_t* copy = wasm_trap_copy(trap);
  CHECK(wasm_trap_same(trap, trap));
  wasm_trap_delete(trap);
  wasm_trap_message(copy, &message);
  CHECK(!strcmp(message.data, "no way"));
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(copy);

  wasm_func_t* divide = wafer_instance_func(instance, "div");
  wasm_val_t in[] = {WASM_I32_VAL(0)}, out[] = {WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_ARRAY_VEC(in), results = WASM_ARRAY_VEC(out);
  trap = wasm_func_call(divide, &args, &results);
  CHECK(trap && wafer_trap_code(trap) != 0);
  wasm_trap_message(trap, &message);
  CHECK(!strncmp(message.data, "integer divide by zero", 22));
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);
  in[0].of.i32 = 1;
  CHECK(!wasm_func_call(divide, &args, &results) && out[0].of.i32 == 1);
  wasm_func_delete(divide);
  wasm_func_delete(run);
  wasm_instance_delete(instance);
  wasm_func_delete(host);
}

static void references(void) {
  wasm_instance_t* instance = instance_of(
      "(module (func $a (export \"a\") (result i32) (i32.const 1)) (func (export \"b\"))"
      " (func (export \"id\") (param externref) (result externref) (local.get 0)))",
      NULL);
  wasm_func_t *a = wafer_instance_func(instance, "a"), *a2 = wafer_instance_func(instance, "a"),
              *b = wafer_instance_func(instance, "b");
  CHECK(wasm_func_same(a, a2) && !wasm_func_same(a, b));
  wasm_func_t* copy = wasm_func_copy(a);
  CHECK(wasm_func_same(copy, a));
  wasm_func_delete(copy);
  static int two = 2;
  CHECK(wasm_func_get_host_info(a) == NULL);
  wasm_func_set_host_info_with_finalizer(a, &two, count_finalizer);
  CHECK(wasm_func_get_host_info(a) == &two);
  wasm_ref_t* ref = wasm_func_as_ref(a);
  CHECK(wasm_ref_as_func(ref) && wasm_func_same(wasm_ref_as_func(ref), a));
  CHECK(wasm_ref_as_global(ref) == NULL);

  wasm_foreign_t* foreign = wasm_foreign_new(store);
  wasm_func_t* id = wafer_instance_func(instance, "id");
  wasm_val_t in[] = {WASM_REF_VAL(wasm_foreign_as_ref(foreign))}, out[] = {WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_ARRAY_VEC(in), results = WASM_ARRAY_VEC(out);
  CHECK(!wasm_func_call(id, &args, &results));
  wafer_store_gc(store);
  CHECK(out[0].of.ref && wasm_ref_same(out[0].of.ref, wasm_foreign_as_ref(foreign)));
  wasm_val_delete(&out[0]);
  in[0].of.ref = NULL;
  CHECK(!wasm_func_call(id, &args, &results) && out[0].of.ref == NULL);
  wasm_foreign_delete(foreign);
  wasm_func_delete(id);
  wasm_func_delete(a);
  wasm_func_delete(a2);
  wasm_func_delete(b);
  wasm_instance_delete(instance);
}

static void sharing(void) {
  wasm_module_t* module = module_of("(module (func (export \"f\") (result i32) (i32.const 8)))");
  wasm_shared_module_t* shared = wasm_module_share(module);
  wasm_byte_vec_t bytes;
  wasm_module_serialize(module, &bytes);
  wasm_module_delete(module);
  wasm_store_t* other = wasm_store_new(engine);
  wasm_module_t* obtained = wasm_module_obtain(other, shared);
  CHECK(obtained != NULL);
  wasm_shared_module_delete(shared);
  wasm_module_t* read = wasm_module_deserialize(other, &bytes);
  CHECK(read != NULL);
  bytes.data[0] ^= 1;
  CHECK(wasm_module_deserialize(other, &bytes) == NULL);
  wasm_byte_vec_delete(&bytes);
  wasm_extern_vec_t none = WASM_EMPTY_VEC;
  wasm_instance_t* instance = wasm_instance_new(other, read, &none, NULL);
  wasm_func_t* f = wafer_instance_func(instance, "f");
  wasm_val_t out[] = {WASM_INIT_VAL};
  wasm_val_vec_t args = WASM_EMPTY_VEC, results = WASM_ARRAY_VEC(out);
  CHECK(!wasm_func_call(f, &args, &results) && out[0].of.i32 == 8);
  wasm_func_delete(f);
  wasm_instance_delete(instance);
  wasm_module_delete(read);
  wasm_module_delete(obtained);
  wasm_store_delete(other);
}

/* Settings of tiers, and machine code made ahead of time. */
static void tiers(void) {
  for (wafer_tier_t tier = WAFER_TIER_AUTO; tier <= WAFER_TIER_OPTIMIZED; ++tier) {
    wasm_config_t* config = wasm_config_new();
    wafer_config_tier_set(config, tier);
    wafer_config_opt_level_set(config, 1);
    wafer_config_relaxed_traps_set(config, tier == WAFER_TIER_OPTIMIZED);
    wafer_config_pooled_memories_set(config, 4);
    wasm_engine_t* with = wasm_engine_new_with_config(config);
    wasm_store_t* other = wasm_store_new(with);
    wasm_byte_vec_t binary, code;
    const char* text = "(module (memory 1) (func (export \"f\") (result i32) (i32.const 8)))";
    CHECK(!wafer_wat2wasm(text, strlen(text), &binary));
    wasm_module_t* module = NULL;
    wafer_error_t* error = wafer_module_precompile(with, &binary, &code);
    if (error) {
      /* No such compiler, in this tier or at all. */
      CHECK(wafer_error_kind(error) == WAFER_ERROR_UNSUPPORTED && code.size == 0);
      wafer_error_delete(error);
      CHECK(!wafer_module_new(other, &binary, &module) && module);
      wasm_module_t* none = NULL;
      error = wafer_module_load_compiled(other, &binary, &none);
      CHECK(error && !none);
      wafer_error_delete(error);
    } else {
      CHECK(!wafer_module_load_compiled(other, &code, &module) && module);
    }
    wasm_extern_vec_t none = WASM_EMPTY_VEC;
    wasm_instance_t* instance = wasm_instance_new(other, module, &none, NULL);
    CHECK(instance || (error && tier >= WAFER_TIER_BASELINE));
    if (instance) {
      wasm_func_t* f = wafer_instance_func(instance, "f");
      wasm_val_t out[] = {WASM_INIT_VAL};
      wasm_val_vec_t args = WASM_EMPTY_VEC, results = WASM_ARRAY_VEC(out);
      CHECK(!wasm_func_call(f, &args, &results) && out[0].of.i32 == 8);
      wasm_func_delete(f);
      wasm_instance_delete(instance);
    }
    wasm_module_delete(module);
    wasm_byte_vec_delete(&binary);
    wasm_byte_vec_delete(&code);
    wasm_store_delete(other);
    wasm_engine_delete(with);
  }
}

static void bad_input(void) {
  wasm_byte_vec_t bytes;
  wasm_byte_vec_new(&bytes, 4, "\0asm");
  CHECK(wasm_module_new(store, &bytes) == NULL && !wasm_module_validate(store, &bytes));
  wasm_module_t* module = NULL;
  wafer_error_t* error = wafer_module_new(store, &bytes, &module);
  CHECK(error && wafer_error_kind(error) == WAFER_ERROR_MALFORMED);
  CHECK(error && wafer_error_offset(error) != UINT64_MAX && *wafer_error_message(error));
  wafer_error_delete(error);
  wasm_byte_vec_delete(&bytes);
  error = wafer_wat2wasm("(module", 7, &bytes);
  CHECK(error != NULL);
  wafer_error_delete(error);
  /* A start function that traps, and imports that do not fit. */
  module = module_of("(module (func $s unreachable) (start $s))");
  wasm_extern_vec_t none = WASM_EMPTY_VEC;
  wasm_trap_t* trap = NULL;
  CHECK(wasm_instance_new(store, module, &none, &trap) == NULL && trap);
  wasm_trap_delete(trap);
  wasm_module_delete(module);
  module = module_of("(module (import \"a\" \"b\" (func)))");
  trap = NULL;
  CHECK(wasm_instance_new(store, module, &none, &trap) == NULL);
  if (trap) wasm_trap_delete(trap);
  wasm_module_delete(module);
}

/* ---- Signals */

static volatile int own_faults;
static void on_signal(int signal, siginfo_t* info, void* context) {
  if (wafer_handle_signal(signal, info, context)) return;
  ++own_faults;
}

static void warned(void* env, const char* message) {
  (void)message;
  ++*(int*)env;
}

static const char trapping[] =
    "(module (memory 1) (func $_Z3addii (export \"f\") (param i32) (result i32)"
    " (i32.load (local.get 0))))";

/* The trap of a load beyond the end. */
static void expect_load_trap(const wasm_func_t* f) {
  uint64_t slot = 0xFFFFFFFF;
  wasm_trap_t* trap = wafer_func_call_raw(f, &slot);
  CHECK(trap && wafer_trap_code(trap) == WAFER_TRAP_MEMORY_OUT_OF_BOUNDS);
  wasm_frame_t* frame = wasm_trap_origin(trap);
  CHECK(frame && !wafer_frame_is_inlined(frame));
#if WAFER_WITH_DEMANGLE
  CHECK(!strcmp(wafer_frame_func_name(frame), "add(int, int)"));
#endif
  wasm_frame_delete(frame);
  wasm_trap_delete(trap);
}

static void signals(void) {
  wasm_instance_t* instance = instance_of(trapping, NULL);
  wasm_func_t* f = wafer_instance_func(instance, "f");
  expect_load_trap(f);
  /* A handler from after Wafer's, which asks it first. */
  struct sigaction action, before, now;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &before);
  expect_load_trap(f);
  raise(SIGSEGV);
  CHECK(own_faults == 1);
  /* Put behind Wafer's, it gets what is left. */
  wafer_install_signal_handlers();
  expect_load_trap(f);
  raise(SIGSEGV);
  CHECK(own_faults == 2);
  wasm_func_delete(f);
  wasm_instance_delete(instance);

  /* An engine without signals. */
  sigaction(SIGSEGV, &action, NULL);
  wasm_engine_t* engine_before = engine;
  wasm_store_t* store_before = store;
  int warnings = 0;
  wasm_config_t* config = wasm_config_new();
  wafer_config_signals_set(config, false);
  wafer_config_optimizer_library_set(config, "/nowhere.so");
  wafer_config_warning_set(config, warned, &warnings);
  engine = wasm_engine_new_with_config(config);
  store = wasm_store_new(engine);
  instance = instance_of(trapping, NULL);
  f = wafer_instance_func(instance, "f");
  expect_load_trap(f);
  wasm_func_delete(f);
  wasm_instance_delete(instance);
  sigaction(SIGSEGV, NULL, &now);
  CHECK(now.sa_sigaction == on_signal);
  CHECK(warnings == 0); /* nothing was hot */
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  engine = engine_before;
  store = store_before;
  sigaction(SIGSEGV, &before, NULL);
}

/* Memories where the program wants them, in every tier: without guard pages, and movable. */
enum { PAGE = 65536 };
static _Alignas(16) unsigned char region[2 * PAGE];
static int taken, given;

static void* take(void* env, uint32_t index, uint64_t most, size_t* bytes) {
  CHECK(env == region && index == 0 && most == 4 * PAGE && *bytes % PAGE == 0);
  ++taken;
  if (*bytes == 4 * PAGE) *bytes = 0;
  if (*bytes != PAGE) return NULL;
  *bytes = sizeof region;
  return region;
}
static void give_back(void* env, uint32_t index, void* block, size_t bytes) {
  CHECK(env == region && index == 0 && block == region && bytes == sizeof region);
  ++given;
}

static void storage(wafer_tier_t tier) {
  static const wafer_memory_storage_t where = {take, give_back, region};
  wasm_engine_t* engine_before = engine;
  wasm_store_t* store_before = store;
  wasm_config_t* config = wasm_config_new();
  wafer_config_tier_set(config, tier);
  wafer_config_memory_storage_set(config, &where);
  engine = wasm_engine_new_with_config(config);
  store = wasm_store_new(engine);
  memset(region, 0xA5, sizeof region);
  taken = given = 0;
  char text[500];
  /* Shared ones nobody is asked for. */
  snprintf(text, sizeof text,
           "(module (memory (export \"m\") 1 4) %s (data (i32.const 7) \"a\")"
           "  (func (export \"f\") (param i32) (result i32) (i32.load8_u (local.get 0)))"
           "  (func (export \"grow\") (param i32) (result i32)"
           "    (i32.store8 (i32.const 8) (i32.const 98)) (memory.grow (local.get 0))"
           "    (i32.add (i32.load8_u (i32.const 7))) (i32.add (i32.load8_u (i32.const 8)))))",
           tier == WAFER_TIER_IN_PLACE ? "" : "(memory 1 1 shared)");
  wasm_instance_t* instance = instance_of(text, NULL);
  wasm_func_t* f = wafer_instance_func(instance, "f");
  wasm_func_t* grow = wafer_instance_func(instance, "grow");
  wasm_extern_t* m = wafer_instance_export(instance, "m");
  wasm_memory_t* memory = wasm_extern_as_memory(m);
  CHECK(taken == 1 && wasm_memory_data(memory) == (byte_t*)region);
  uint64_t slot = 6;
  CHECK(!wafer_func_call_raw(f, &slot) && (uint32_t)slot == 0);
  slot = PAGE;
  wasm_trap_t* trap = wafer_func_call_raw(f, &slot);
  CHECK(trap && wafer_trap_code(trap) == WAFER_TRAP_MEMORY_OUT_OF_BOUNDS);
  wasm_trap_delete(trap);
  /* Within its block; out of it to memory of the system; and refused. */
  const int results[] = {1, 2, -1};
  for (int i = 0; i < 3; ++i) {
    slot = 1;
    CHECK(!wafer_func_call_raw(grow, &slot) && (int32_t)slot == results[i] + 'a' + 'b');
    CHECK((wasm_memory_data(memory) == (byte_t*)region) == (i == 0) && given == (i != 0));
    CHECK(taken == 1 + i);
    slot = 2 * PAGE - 1;
    CHECK(!wafer_func_call_raw(f, &slot) && (uint32_t)slot == 0);
  }
  wasm_extern_delete(m);
  wasm_func_delete(grow);
  wasm_func_delete(f);
  wasm_instance_delete(instance);
  /* One that is still in its block is given back at its end. */
  instance = instance_of("(module (memory 1 4) (func (export \"f\")))", NULL);
  wasm_instance_delete(instance);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  CHECK(taken == 4 && given == 2);
  engine = engine_before;
  store = store_before;
}

/* A host function that calls the guest, which calls it again. */
static wasm_func_t* calls_again;
static uint32_t entered;
static wasm_trap_t* call_again(void* env, const wasm_val_vec_t* args, wasm_val_vec_t* results) {
  (void)env, (void)args, (void)results;
  ++entered;
  return wafer_func_call_raw(calls_again, NULL);
}
static void nested(wafer_tier_t tier, uint32_t most) {
  wasm_engine_t* engine_before = engine;
  wasm_store_t* store_before = store;
  wasm_config_t* config = wasm_config_new();
  wafer_config_tier_set(config, tier);
  if (most) wafer_config_nested_calls_set(config, most);
  engine = wasm_engine_new_with_config(config);
  store = wasm_store_new(engine);
  wasm_functype_t* type = wasm_functype_new_0_0();
  wasm_func_t* host = wasm_func_new_with_env(store, type, call_again, NULL, NULL);
  wasm_functype_delete(type);
  wasm_instance_t* instance =
      instance_of("(module (import \"h\" \"f\" (func $f)) (func (export \"f\") (call $f)))",
                  wasm_func_as_extern(host));
  calls_again = wafer_instance_func(instance, "f");
  /* The same again: the trap leaves nothing behind. */
  for (int i = 0; i < 2; ++i) {
    entered = 0;
    wasm_trap_t* trap = wafer_func_call_raw(calls_again, NULL);
    CHECK(trap && wafer_trap_code(trap) == WAFER_TRAP_CALL_STACK_EXHAUSTED);
    CHECK(entered == (most ? most : 300));
    wasm_trap_delete(trap);
  }
  wasm_func_delete(calls_again);
  wasm_instance_delete(instance);
  wasm_func_delete(host);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  engine = engine_before;
  store = store_before;
}

static wafer_completion_t* owed;
static int woken;
static void later(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                  wafer_completion_t* completion) {
  CHECK(env == &owed && wafer_caller_store(caller) == store);
  CHECK(args->size == 1 && args->data[0].kind == WASM_I32 && args->data[0].of.i32 == 5);
  owed = completion;
}
static void wake(void* env) { ++*(int*)env; }

static void waiting(void) {
  wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i64());
  wasm_func_t* func = wafer_func_new_async(store, type, later, &owed, NULL);
  wasm_functype_delete(type);
  wasm_instance_t* instance = instance_of(
      "(module (import \"a\" \"b\" (func $b (param i32) (result i64)))"
      "  (func (export \"f\") (param i32) (result i64)"
      "    (i64.add (call $b (local.get 0)) (i64.const 1))))",
      wasm_func_as_extern(func));
  wasm_func_t* f = wafer_instance_func(instance, "f");
  wasm_val_t arg = WASM_I32_VAL(5), result = WASM_INIT_VAL;
  wasm_val_vec_t args = {1, &arg}, results = {1, &result}, none = WASM_EMPTY_VEC;
  wafer_future_t* future = NULL;
  wafer_error_t* error = wafer_func_call_async(f, &none, &future);
  CHECK(error && !future);
  wafer_error_delete(error);
  /* Answered with a result, with a message, and not at all. */
  for (int i = 0; i < 3; ++i) {
    CHECK(!wafer_func_call_async(f, &args, &future) && future);
    wafer_future_on_wake(future, wake, &woken);
    CHECK(wafer_future_status(future) == WAFER_FUTURE_READY);
    CHECK(wafer_future_resume(future) == WAFER_FUTURE_WAITING && owed);
    wasm_trap_t* trap = wafer_future_result(future, &results);
    CHECK(trap != NULL);
    wasm_trap_delete(trap);
    wasm_val_t answer = WASM_I64_VAL(41);
    wasm_val_vec_t answers = {1, &answer};
    if (i == 0) {
      wafer_completion_finish(owed, &answers);
      wafer_future_wait(future);
      CHECK(woken == 1);
      CHECK(wafer_future_resume(future) == WAFER_FUTURE_FINISHED);
      CHECK(!wafer_future_result(future, &results) && result.of.i64 == 42);
    } else if (i == 1) {
      wafer_completion_fail(owed, "no luck");
      CHECK(wafer_future_resume(future) == WAFER_FUTURE_FINISHED);
      trap = wafer_future_result(future, &results);
      CHECK(trap && wafer_trap_code(trap) == WAFER_TRAP_HOST_ERROR);
      wasm_message_t message;
      wasm_trap_message(trap, &message);
      CHECK(!strcmp(message.data, "no luck"));
      wasm_byte_vec_delete(&message);
      wasm_trap_delete(trap);
    }
    wafer_future_delete(future);
    if (i == 2) {
      CHECK(wafer_completion_cancelled(owed));
      wafer_completion_finish(owed, &none);
    }
  }
  /* A plain call cannot wait. */
  wasm_trap_t* trap = wasm_func_call(f, &args, &results);
  CHECK(trap != NULL);
  wasm_trap_delete(trap);
  wasm_func_delete(f);
  wasm_func_delete(func);
  wasm_instance_delete(instance);
}

int main(void) {
  engine = wasm_engine_new();
  store = wasm_store_new(engine);
  vectors();
  types();
  traps();
  references();
  sharing();
  tiers();
  signals();
  storage(WAFER_TIER_AUTO);
  storage(WAFER_TIER_INTERPRETER);
  storage(WAFER_TIER_IN_PLACE);
  nested(WAFER_TIER_INTERPRETER, 0);
  nested(WAFER_TIER_INTERPRETER, 5);
  nested(WAFER_TIER_IN_PLACE, 1);
  bad_input();
  waiting();
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  CHECK(finalized == 3); /* the host function's and the host info's */
  return failures != 0;
}
