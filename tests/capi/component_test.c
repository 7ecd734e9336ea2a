/* Components in C: values, host functions and resources, calls, answers that come later, WASI. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "errors.h"
#include "wafer_component.h"

typedef wafer_component_val_t val;

static wasm_engine_t* engine;

/* Whether there was an error of that kind which says so. */
static bool is_error(wafer_error_t* error, wafer_error_kind_t kind, const char* part) {
  const bool is =
      error && wafer_error_kind(error) == kind && strstr(wafer_error_message(error), part);
  if (error && !is) fprintf(stderr, "found: %s\n", wafer_error_message(error));
  wafer_error_delete(error);
  return is;
}

static wafer_component_t* component_of(const char* text) {
  wasm_byte_vec_t binary = WASM_EMPTY_VEC;
  fail(wafer_wat2wasm(text, strlen(text), &binary));
  CHECK(wafer_is_component(binary.data, binary.size));
  wafer_component_t* component;
  fail(wafer_component_new(engine, binary.data, binary.size, &component));
  wasm_byte_vec_delete(&binary);
  return component;
}

static void values(void) {
  val* items[] = {wafer_component_val_int(-3), wafer_component_val_text("caf\xc3\xa9", 5),
                  wafer_component_val_bytes("\1\2", 2),
                  wafer_component_val_case(1, wafer_component_val_f64(0.5)),
                  wafer_component_val_case(0, NULL)};
  val* all = wafer_component_val_items(items, 5);
  val* copy = wafer_component_val_copy(all);
  CHECK(wafer_component_val_equal(all, copy));
  wafer_component_val_delete(all);
  CHECK(wafer_component_val_form(copy) == WAFER_COMPONENT_ITEMS);
  CHECK(wafer_component_val_item_count(copy) == 5 && !wafer_component_val_item(copy, 5));
  CHECK((int64_t)wafer_component_val_get_bits(wafer_component_val_item(copy, 0)) == -3);
  size_t size;
  const val* text = wafer_component_val_item(copy, 1);
  CHECK(!strcmp(wafer_component_val_get_text(text, &size), "caf\xc3\xa9") && size == 5);
  CHECK(!wafer_component_val_get_bytes(text, &size) && size == 0);
  CHECK(wafer_component_val_form(text) == WAFER_COMPONENT_TEXT);
  const uint8_t* bytes = wafer_component_val_get_bytes(wafer_component_val_item(copy, 2), &size);
  CHECK(size == 2 && bytes[1] == 2);
  const val* some = wafer_component_val_item(copy, 3);
  CHECK(wafer_component_val_form(some) == WAFER_COMPONENT_CASE);
  CHECK(wafer_component_val_case_index(some) == 1);
  CHECK(wafer_component_val_get_f64(wafer_component_val_payload(some)) == 0.5);
  CHECK(!wafer_component_val_payload(wafer_component_val_item(copy, 4)));
  wafer_component_val_delete(copy);
}

static const char* const kShop =
    "(component"
    "  (import \"shop:stock/api@1.0.0\" (instance $shop"
    "    (export \"item\" (type $item (sub resource)))"
    "    (export \"find\" (func (param \"name\" string) (result (own $item))))"
    "    (export \"[method]item.price\" (func (param \"self\" (borrow $item)) (result u32)))))"
    "  (alias export $shop \"item\" (type $item))"
    "  (core module $Memory (memory (export \"mem\") 1)"
    "    (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))"
    "  (core instance $memory (instantiate $Memory))"
    "  (core func $find (canon lower (func $shop \"find\") (memory (core memory $memory \"mem\"))))"
    "  (core func $price (canon lower (func $shop \"[method]item.price\")))"
    "  (core func $drop (canon resource.drop $item))"
    "  (core module $M"
    "    (import \"\" \"find\" (func $find (param i32 i32) (result i32)))"
    "    (import \"\" \"price\" (func $price (param i32) (result i32)))"
    "    (import \"\" \"drop\" (func $drop (param i32)))"
    "    (func (export \"total\") (param i32 i32 i32) (result i32) (local $item i32)"
    "      (local.set $item (call $find (local.get 0) (local.get 1)))"
    "      (i32.mul (call $price (local.get $item)) (local.get 2))"
    "      (call $drop (local.get $item))))"
    "  (core instance $m (instantiate $M (with \"\" (instance (export \"find\" (func $find))"
    "    (export \"price\" (func $price)) (export \"drop\" (func $drop))))))"
    "  (func (export \"total\") (param \"name\" string) (param \"count\" u32) (result u32)"
    "    (canon lift (core func $m \"total\") (memory (core memory $memory \"mem\"))"
    "      (realloc (core func $memory \"realloc\")))))";

struct shop {
  wafer_component_resource_t* item;
  uint64_t gone;
  int finalized;
};

static void shop_find(void* env, wafer_component_call_t* call) {
  struct shop* shop = env;
  size_t size = 0;
  CHECK(wafer_component_call_arg_count(call) == 1 && !wafer_component_call_arg(call, 1));
  const char* name = wafer_component_val_get_text(wafer_component_call_arg(call, 0), &size);
  if (!strcmp(name, "nothing")) {
    wafer_component_call_fail(call, "no such item");
    return;
  }
  if (!strcmp(name, "wrong")) {
    wafer_component_call_return(call, wafer_component_val_text("no resource", 11));
    return;
  }
  wafer_component_call_return(call, wafer_component_resource_new(shop->item, size));
}
static void shop_price(void* env, wafer_component_call_t* call) {
  struct shop* shop = env;
  uint64_t rep = 0;
  CHECK(wafer_component_resource_rep(shop->item, wafer_component_call_arg(call, 0), &rep));
  wafer_component_call_return(call, wafer_component_val_bits(rep * 100));
}
static void shop_drop(void* env, uint64_t rep) { ((struct shop*)env)->gone = rep; }
static void shop_final(void* env) { ++((struct shop*)env)->finalized; }

static void shopping(void) {
  struct shop shop = {0};
  wasm_store_t* store = wasm_store_new(engine);
  wafer_component_t* component = component_of(kShop);
  CHECK(!strcmp(wafer_component_import(component, 0), "shop:stock/api@1.0.0"));
  CHECK(!wafer_component_import(component, 1));
  CHECK(!strcmp(wafer_component_export(component, 0), "total"));
  wafer_component_linker_t* linker = wafer_component_linker_new();
  wafer_component_instance_t* instance;
  CHECK(is_error(wafer_component_linker_instantiate(linker, store, component, &instance),
                 WAFER_ERROR_UNLINKABLE, "shop:stock/api@1.0.0"));
  CHECK(!instance);
  /* A newer version serves as well. */
  const char* api = "shop:stock/api@1.2.0";
  shop.item =
      wafer_component_linker_define_resource(linker, api, "item", shop_drop, &shop, shop_final);
  wafer_component_linker_define_func(linker, api, "find", shop_find, &shop, shop_final, false);
  wafer_component_linker_define_func(linker, api, "[method]item.price", shop_price, &shop, NULL,
                                     false);
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  CHECK(!wafer_component_instance_func(instance, NULL, "nothing"));
  wafer_component_func_t* total = wafer_component_instance_func(instance, NULL, "total");
  val* args[] = {wafer_component_val_text("chair", 5), wafer_component_val_bits(3)};
  val* result;
  fail(wafer_component_func_call(total, (const val* const*)args, 2, &result));
  CHECK(wafer_component_val_get_bits(result) == 1500 && shop.gone == 5);
  wafer_component_val_delete(result);
  CHECK(is_error(wafer_component_func_call(total, (const val* const*)args, 1, &result),
                 WAFER_ERROR_USAGE, ""));
  CHECK(!result);
  wasm_byte_vec_t text;
  fail(wafer_component_func_call_text(total, "(\"sofa\", 2)", &text));
  CHECK(text.size == 3 && !memcmp(text.data, "800", 3));
  wasm_byte_vec_delete(&text);
  CHECK(is_error(wafer_component_func_call_text(total, "(\"sofa\"", &text), WAFER_ERROR_USAGE, ""));
  CHECK(text.size == 0);
  CHECK(is_error(wafer_component_func_call_text(total, "(\"nothing\", 1)", &text), WAFER_ERROR_TRAP,
                 "no such item"));
  /* That has poisoned the instance. */
  CHECK(is_error(wafer_component_func_call_text(total, "(\"sofa\", 1)", &text), WAFER_ERROR_TRAP,
                 ""));
  wafer_component_func_delete(total);
  wafer_component_instance_delete(instance);
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  total = wafer_component_instance_func(instance, NULL, "total");
  CHECK(is_error(wafer_component_func_call_text(total, "(\"wrong\", 1)", &text), WAFER_ERROR_TRAP,
                 ""));
  for (size_t i = 0; i < 2; ++i) wafer_component_val_delete(args[i]);
  wafer_component_func_delete(total);
  wafer_component_instance_delete(instance);
  wafer_component_resource_delete(shop.item);
  wafer_component_delete(component);
  wasm_store_delete(store);
  wafer_component_linker_delete(linker);
  CHECK(shop.finalized == 2); /* those of a function and of the resource */
}

/* Answers from another thread, while the guest waits. */
static void* answer(void* env) {
  const struct timespec soon = {0, 100 * 1000 * 1000};
  nanosleep(&soon, NULL);
  wafer_component_answer_return(env, wafer_component_val_bits(41));
  return NULL;
}
static pthread_t thread;
static void later(void* env, wafer_component_call_t* call) {
  (void)env;
  pthread_create(&thread, NULL, answer, wafer_component_call_later(call));
}

static void waiting(void) {
  wasm_store_t* store = wasm_store_new(engine);
  wafer_component_t* component = component_of(
      "(component (import \"later\" (func $later async (result u32)))"
      "  (core func $l (canon lower (func $later)))"
      "  (core module $M (import \"\" \"later\" (func $later (result i32)))"
      "    (func (export \"f\") (result i32) (i32.add (call $later) (i32.const 1))))"
      "  (core instance $m (instantiate $M (with \"\" (instance (export \"later\" (func $l))))))"
      "  (func (export \"f\") async (result u32) (canon lift (core func $m \"f\"))))");
  wafer_component_linker_t* linker = wafer_component_linker_new();
  wafer_component_linker_define_func(linker, NULL, "later", later, NULL, NULL, true);
  wafer_component_instance_t* instance;
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  wafer_component_func_t* f = wafer_component_instance_func(instance, NULL, "f");
  val* result;
  fail(wafer_component_func_call(f, NULL, 0, &result));
  CHECK(wafer_component_val_get_bits(result) == 42);
  pthread_join(thread, NULL);
  wafer_component_val_delete(result);
  wafer_component_func_delete(f);
  wafer_component_instance_delete(instance);
  wafer_component_delete(component);
  wasm_store_delete(store);
  wafer_component_linker_delete(linker);
}

static bool told(void* env) { return *(const uint32_t*)env != 0; }
static void tell(void* env, wafer_component_call_t* call) {
  *(uint32_t*)env = (uint32_t)wafer_component_val_get_bits(wafer_component_call_arg(call, 0));
}
/* A task that goes on after it has given its result. */
static void left(void) {
  wasm_store_t* store = wasm_store_new(engine);
  const char* const text =
      "(component (import \"later\" (func $later async (result u32)))"
      "  (import \"tell\" (func $tell (param \"n\" u32)))"
      "  (core func $l (canon lower (func $later))) (core func $t (canon lower (func $tell)))"
      "  (core func $return (canon task.return))"
      "  (core module $M (import \"\" \"later\" (func $later (result i32)))"
      "    (import \"\" \"tell\" (func $tell (param i32)))"
      "    (import \"\" \"return\" (func $return))"
      "    (func (export \"f\") (call $return) (call $tell (call $later))))"
      "  (core instance $m (instantiate $M (with \"\" (instance (export \"later\" (func $l))"
      "    (export \"tell\" (func $t)) (export \"return\" (func $return))))))"
      "  (func (export \"f\") async (canon lift (core func $m \"f\") async)))";
  const char* const features[] = {"cm-async-stackful"};
  wasm_byte_vec_t binary;
  wafer_component_t* component;
  fail(wafer_wat2wasm(text, strlen(text), &binary));
  fail(wafer_component_new_with(engine, binary.data, binary.size, features, 1, &component));
  wasm_byte_vec_delete(&binary);
  wafer_component_linker_t* linker = wafer_component_linker_new();
  uint32_t number = 0;
  wafer_component_linker_define_func(linker, NULL, "later", later, NULL, NULL, true);
  wafer_component_linker_define_func(linker, NULL, "tell", tell, &number, NULL, false);
  wafer_component_instance_t* instance;
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  wafer_component_func_t* f = wafer_component_instance_func(instance, NULL, "f");
  wafer_component_outcome_t outcome;
  fail(wafer_component_run_until_idle(store, &outcome));
  CHECK(outcome == WAFER_COMPONENT_DONE);
  val* result;
  fail(wafer_component_func_call(f, NULL, 0, &result));
  CHECK(!result && number == 0);
  fail(wafer_component_run_until_idle(store, &outcome));
  CHECK(outcome == WAFER_COMPONENT_WAITS && number == 0);
  fail(wafer_component_run_for(store, 1, told, &number, &outcome));
  CHECK(outcome == WAFER_COMPONENT_WAITS && number == 0);
  fail(wafer_component_run_until(store, told, &number, &outcome));
  CHECK(outcome == WAFER_COMPONENT_DONE && number == 41);
  pthread_join(thread, NULL);
  fail(wafer_component_run_until_idle(store, &outcome));
  CHECK(outcome == WAFER_COMPONENT_DONE);
  number = 0;
  fail(wafer_component_run_until(store, told, &number, &outcome));
  CHECK(outcome == WAFER_COMPONENT_STALLED);
  fail(wafer_component_run_for(store, UINT64_MAX, NULL, NULL, &outcome));
  CHECK(outcome == WAFER_COMPONENT_DONE);
  wafer_component_func_delete(f);
  wafer_component_instance_delete(instance);
  wafer_component_delete(component);
  wasm_store_delete(store);
  wafer_component_linker_delete(linker);
}

/* 64-bit memories, functions that are async, and values, by every tier. */
static const char* const kWide =
    "(component"
    "  (import \"later\" (func $later async (param \"n\" u32) (result string)))"
    "  (import \"limit\" (value $limit u64))"
    "  (core module $M0 (memory (export \"mem\") i64 1)"
    "    (func (export \"realloc\") (param i64 i64 i64 i64) (result i64) (i64.const 1024)))"
    "  (core instance $m0 (instantiate $M0))"
    "  (core func $l (canon lower (func $later) (memory (core memory $m0 \"mem\"))"
    "    (realloc (core func $m0 \"realloc\"))))"
    "  (core func $return (canon task.return (result string) (memory (core memory $m0 \"mem\"))))"
    "  (core module $M (import \"\" \"mem\" (memory i64 1))"
    "    (import \"\" \"later\" (func $later (param i32 i64)))"
    "    (import \"\" \"return\" (func $return (param i64 i64)))"
    "    (func (export \"same\") (param i64 i64) (result i64)"
    "      (i64.store (i64.const 16) (local.get 0)) (i64.store (i64.const 24) (local.get 1))"
    "      (i64.const 16))"
    "    (func (export \"wait\") (param i32) (call $later (local.get 0) (i64.const 16))"
    "      (call $return (i64.load (i64.const 16)) (i64.load (i64.const 24))))"
    "    (func (export \"id\") (param i64) (result i64) (local.get 0)))"
    "  (core instance $m (instantiate $M (with \"\" (instance (export \"later\" (func $l))"
    "    (export \"return\" (func $return)) (export \"mem\" (memory $m0 \"mem\"))))))"
    "  (func (export \"same\") (param \"s\" string) (result string)"
    "    (canon lift (core func $m \"same\") (memory (core memory $m0 \"mem\"))"
    "      (realloc (core func $m0 \"realloc\"))))"
    "  (func (export \"wait\") async (param \"n\" u32) (result string)"
    "    (canon lift (core func $m \"wait\") async (memory (core memory $m0 \"mem\"))))"
    "  (func $id (param \"n\" u64) (result u64) (canon lift (core func $m \"id\")))"
    "  (start $id (value $limit) (result (value $limit2)))"
    "  (export \"limit\" (value $limit2)))";

static void* answer_text(void* env) {
  wafer_component_answer_return(env, wafer_component_val_text("later", 5));
  return NULL;
}
static void later_text(void* env, wafer_component_call_t* call) {
  CHECK(wafer_component_val_get_bits(wafer_component_call_arg(call, 0)) == *(uint32_t*)env);
  pthread_create(&thread, NULL, answer_text, wafer_component_call_later(call));
}

static void wide(wafer_tier_t tier) {
  wasm_config_t* config = wasm_config_new();
  wafer_config_tier_set(config, tier);
  wasm_engine_t* own_engine = wasm_engine_new_with_config(config);
  wasm_store_t* store = wasm_store_new(own_engine);
  wasm_byte_vec_t binary = WASM_EMPTY_VEC;
  fail(wafer_wat2wasm(kWide, strlen(kWide), &binary));
  wafer_component_t* component;
  const char* const features[] = {"cm-memory64", "cm-async-stackful", "cm-values", "cm-nothing"};
  CHECK(is_error(wafer_component_new(own_engine, binary.data, binary.size, &component),
                 WAFER_ERROR_UNSUPPORTED, "cm-values"));
  CHECK(is_error(
      wafer_component_new_with(own_engine, binary.data, binary.size, features, 4, &component),
      WAFER_ERROR_USAGE, "cm-nothing"));
  fail(wafer_component_new_with(own_engine, binary.data, binary.size, features, 3, &component));
  wasm_byte_vec_delete(&binary);
  wafer_component_linker_t* linker = wafer_component_linker_new();
  uint32_t number = 5;
  wafer_component_linker_define_func(linker, NULL, "later", later_text, &number, NULL, true);
  wafer_component_instance_t* instance;
  CHECK(is_error(wafer_component_linker_instantiate(linker, store, component, &instance),
                 WAFER_ERROR_UNLINKABLE, "limit"));
  wafer_component_linker_define_value(linker, NULL, "limit", wafer_component_val_bits(1ull << 40));
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  wafer_component_func_t* same = wafer_component_instance_func(instance, NULL, "same");
  wafer_component_func_t* waits = wafer_component_instance_func(instance, NULL, "wait");
  val *text = wafer_component_val_text("caf\xc3\xa9", 5), *result;
  fail(wafer_component_func_call(same, (const val* const[]){text}, 1, &result));
  CHECK(wafer_component_val_equal(text, result));
  wafer_component_val_delete(result);
  wafer_component_val_delete(text);
  val* n = wafer_component_val_bits(number);
  fail(wafer_component_func_call(waits, (const val* const[]){n}, 1, &result));
  CHECK(!strcmp(wafer_component_val_get_text(result, NULL), "later"));
  pthread_join(thread, NULL);
  wafer_component_val_delete(result);
  wafer_component_val_delete(n);
  fail(wafer_component_instance_value(instance, NULL, "limit", &result));
  CHECK(wafer_component_val_get_bits(result) == 1ull << 40);
  wafer_component_val_delete(result);
  CHECK(is_error(wafer_component_instance_value(instance, NULL, "wait", &result), WAFER_ERROR_USAGE,
                 "no value `wait`"));
  wafer_component_func_delete(same);
  wafer_component_func_delete(waits);
  wafer_component_instance_delete(instance);
  wafer_component_delete(component);
  wasm_store_delete(store);
  wafer_component_linker_delete(linker);
  wasm_engine_delete(own_engine);
}

static uint64_t constant(void* env) {
  (void)env;
  return 1;
}
static int64_t nothing(void* env, void* data, size_t size) {
  (void)env, (void)data, (void)size;
  return 0;
}
static bool deny(void* env, const wafer_http_request_t* request, wafer_http_response_t* response) {
  (void)env, (void)request;
  wafer_http_response_status(response, 200);
  wafer_http_response_field(response, "a", "b");
  wafer_http_response_body(response, "c", 1);
  return false;
}

static bool collect(void* env, const void* bytes, size_t size) {
  strncat(env, bytes, size);
  return true;
}

static void wasi(void) {
  /* Writes its first argument and exits with 1. */
  wafer_component_t* component = component_of(
      "(component"
      "  (import \"wasi:cli/environment@0.2.0\" (instance $env"
      "    (export \"get-arguments\" (func (result (list string))))))"
      "  (import \"wasi:io/error@0.2.0\" (instance $error"
      "    (export \"error\" (type (sub resource)))))"
      "  (alias export $error \"error\" (type $e))"
      "  (import \"wasi:io/streams@0.2.0\" (instance $streams"
      "    (alias outer 1 $e (type $e)) (export \"error\" (type $error (eq $e)))"
      "    (export \"output-stream\" (type $out (sub resource)))"
      "    (type $failed (variant (case \"last-operation-failed\" (own $error)) (case \"closed\")))"
      "    (export \"stream-error\" (type $stream-error (eq $failed)))"
      "    (export \"[method]output-stream.blocking-write-and-flush\" (func"
      "      (param \"self\" (borrow $out)) (param \"contents\" (list u8))"
      "      (result (result (error $stream-error)))))))"
      "  (alias export $streams \"output-stream\" (type $o))"
      "  (import \"wasi:cli/stdout@0.2.0\" (instance $stdout"
      "    (alias outer 1 $o (type $o)) (export \"output-stream\" (type $out (eq $o)))"
      "    (export \"get-stdout\" (func (result (own $out))))))"
      "  (core module $Memory (memory (export \"mem\") 1) (global $at (mut i32) (i32.const 64))"
      "    (func (export \"realloc\") (param i32 i32 i32 i32) (result i32)"
      "      (global.get $at)"
      "      (global.set $at (i32.and (i32.add (i32.add (global.get $at) (local.get 3))"
      "        (i32.const 7)) (i32.const -8)))))"
      "  (core instance $memory (instantiate $Memory))"
      "  (core func $args (canon lower (func $env \"get-arguments\")"
      "    (memory (core memory $memory \"mem\")) (realloc (core func $memory \"realloc\"))))"
      "  (core func $stdout (canon lower (func $stdout \"get-stdout\")))"
      "  (core func $write (canon lower"
      "    (func $streams \"[method]output-stream.blocking-write-and-flush\")"
      "    (memory (core memory $memory \"mem\")) (realloc (core func $memory \"realloc\"))))"
      "  (core module $M"
      "    (import \"\" \"mem\" (memory 1))"
      "    (import \"\" \"args\" (func $args (param i32)))"
      "    (import \"\" \"stdout\" (func $stdout (result i32)))"
      "    (import \"\" \"write\" (func $write (param i32 i32 i32 i32)))"
      "    (func (export \"run\") (result i32)"
      "      (call $args (i32.const 8))"
      "      (call $write (call $stdout) (i32.load (i32.load (i32.const 8)))"
      "        (i32.load offset=4 (i32.load (i32.const 8))) (i32.const 16))"
      "      (i32.const 1)))"
      "  (core instance $m (instantiate $M (with \"\" (instance"
      "    (export \"mem\" (memory $memory \"mem\")) (export \"args\" (func $args))"
      "    (export \"stdout\" (func $stdout)) (export \"write\" (func $write))))))"
      "  (func $run (result (result)) (canon lift (core func $m \"run\")))"
      "  (instance $i (export \"run\" (func $run)))"
      "  (export \"wasi:cli/run@0.2.0\" (instance $i)))");
  char text[64] = "";
  wafer_wasi_config_t* config = wafer_wasi_config_new();
  wafer_wasi_config_arg(config, "hello from C");
  wafer_wasi_config_stdout(config, collect, text);
  wafer_wasi_config_random_seed(config, 1);
  wafer_wasi_config_clocks(config, constant, constant, NULL);
  wafer_wasi_config_http(config, deny, NULL, 1 << 20);
  wafer_wasi_config_stdin(config, nothing, NULL);
  wafer_wasi_files_t* files = wafer_wasi_files_new(1 << 20);
  fail(wafer_wasi_files_put(files, "a/b", "text", 4));
  wasm_byte_vec_t got;
  fail(wafer_wasi_files_get(files, "a/b", &got));
  CHECK(got.size == 4 && !memcmp(got.data, "text", 4));
  wasm_byte_vec_delete(&got);
  CHECK(is_error(wafer_wasi_files_get(files, "a", &got), WAFER_ERROR_IO, ""));
  wafer_wasi_config_files(config, files, "/", false);
  wafer_wasi_files_delete(files);
  wafer_wasi_config_allow_name_lookup(config);
  fail(wafer_wasi_config_allow(config, WAFER_NETWORK_TCP_CONNECT, "127.0.0.1:80"));
  CHECK(is_error(wafer_wasi_config_allow(config, WAFER_NETWORK_UDP_SEND, "127.0.0.1"),
                 WAFER_ERROR_USAGE, ""));
  wafer_component_linker_t* linker = wafer_component_linker_new();
  wafer_wasi_command_t* command;
  fail(wafer_component_linker_define_wasi(linker, config, &command));
  wasm_store_t* store = wasm_store_new(engine);
  wafer_wasi_command_attach(command, store);
  wafer_component_instance_t* instance;
  fail(wafer_component_linker_instantiate(linker, store, component, &instance));
  int32_t code = 0;
  fail(wafer_wasi_command_run(command, store, instance, &code));
  CHECK(code == 1);
  CHECK(!strcmp(text, "hello from C"));
  wafer_component_instance_delete(instance);
  wasm_store_delete(store);
  wafer_wasi_command_delete(command);
  wafer_component_delete(component);
  wafer_component_linker_delete(linker);
}

static void bad_input(void) {
  wafer_component_t* component;
  static const char kModule[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  CHECK(!wafer_is_component(kModule, sizeof kModule));
  CHECK(is_error(wafer_component_new(engine, kModule, sizeof kModule, &component),
                 WAFER_ERROR_MALFORMED, "this is a core module, not a component"));
  CHECK(!component);

  /* What is asked for, what is there, and what would fit. */
  wasm_store_t* store = wasm_store_new(engine);
  wafer_component_linker_t* linker = wafer_component_linker_new();
  wafer_component_linker_define_func(linker, "a:b/c@1.2.0", "f", later, NULL, NULL, true);
  wafer_component_linker_define_func(linker, "a:b/c@2.0.0", "f", later, NULL, NULL, true);
  static const struct {
    const char *import, *message;
  } kImports[] = {
      {"a:b/d@1.0.0", "component imports `a:b/d@1.0.0`: unknown import"},
      {"a:b/c@0.5.0",
       "component imports `a:b/c@0.5.0`: unknown import (there is `a:b/c@1.2.0`, `a:b/c@2.0.0`)"},
      {"a:b/c@1.0.0", "component imports `a:b/c@1.0.0`: no `g` in it"},
  };
  for (size_t i = 0; i < sizeof kImports / sizeof *kImports; ++i) {
    char text[200];
    snprintf(text, sizeof text, "(component (import \"%s\" (instance (export \"g\" (func)))))",
             kImports[i].import);
    component = component_of(text);
    wafer_component_instance_t* instance;
    wafer_error_t* error = wafer_component_linker_instantiate(linker, store, component, &instance);
    CHECK(error && !strcmp(wafer_error_message(error), kImports[i].message));
    CHECK(is_error(error, WAFER_ERROR_UNLINKABLE, kImports[i].message) && !instance);
    wafer_component_delete(component);
  }
  static const char kComponent[] = {0, 'a', 's', 'm', 13, 0, 1, 0};
  wasm_byte_vec_t binary;
  wasm_byte_vec_new(&binary, sizeof kComponent, kComponent);
  wasm_module_t* module;
  CHECK(is_error(wafer_module_new(store, &binary, &module), WAFER_ERROR_MALFORMED,
                 "this is a component, not a core module"));
  wasm_byte_vec_delete(&binary);
  wasm_store_delete(store);
  wafer_component_linker_delete(linker);
}

int main(void) {
  engine = wasm_engine_new();
  values();
  shopping();
  waiting();
  left();
  wide(WAFER_TIER_AUTO);
  wide(WAFER_TIER_INTERPRETER);
  wasi();
  bad_input();
  wasm_engine_delete(engine);
  return failures != 0;
}
