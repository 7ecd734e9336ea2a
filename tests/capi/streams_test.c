/* Ends of streams and futures in C: both directions, with values and numbers, much data, ends that
 * are closed and cancelled, types that are others. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "errors.h"
#include "wafer_component.h"

typedef wafer_component_val_t val;
typedef wafer_component_end_t end;
typedef wafer_component_end_state_t state;

static wasm_engine_t* engine;

static bool says(wafer_error_t* error, const char* text) {
  const bool is = error && wafer_error_kind(error) == WAFER_ERROR_USAGE &&
                  !strcmp(wafer_error_message(error), text);
  if (error && !is) fprintf(stderr, "found: %s\n", wafer_error_message(error));
  wafer_error_delete(error);
  return is;
}

/* Reads numbers, up to 1000 at once, until the end or until there are `most`, and closes: their
 * sum; the value of a future, 1000 if it has none. Writes 1 to n to a stream that the host takes,
 * one by one, until that is gone, and tells how many it wrote; pairs of them; and n to a future. */
static const char* const kText =
    "(component"
    "  (type $n (stream u32)) (type $pair (tuple u8 u32)) (type $p (stream $pair))"
    "  (type $f (future u32))"
    "  (import \"take\" (func $take (param \"s\" $n)))"
    "  (import \"take-pairs\" (func $take-pairs (param \"s\" $p)))"
    "  (import \"take-future\" (func $take-future (param \"f\" $f)))"
    "  (core module $Memory (memory (export \"mem\") 1))"
    "  (core instance $memory (instantiate $Memory))"
    "  (canon stream.read $n (memory (core memory $memory \"mem\")) (core func $read))"
    "  (canon stream.drop-readable $n (core func $drop))"
    "  (canon stream.new $n (core func $new)) (canon stream.new $p (core func $new-pairs))"
    "  (canon stream.write $n (memory (core memory $memory \"mem\")) (core func $write))"
    "  (canon stream.write $p (memory (core memory $memory \"mem\")) (core func $write-pairs))"
    "  (canon stream.drop-writable $n (core func $end))"
    "  (canon stream.drop-writable $p (core func $end-pairs))"
    "  (canon future.new $f (core func $new-future))"
    "  (canon future.read $f (memory (core memory $memory \"mem\")) (core func $read-future))"
    "  (canon future.write $f (memory (core memory $memory \"mem\")) (core func $write-future))"
    "  (canon lower (func $take) (core func $take'))"
    "  (canon lower (func $take-pairs) (core func $take-pairs'))"
    "  (canon lower (func $take-future) (core func $take-future'))"
    "  (core module $M"
    "    (import \"\" \"mem\" (memory 1))"
    "    (import \"\" \"read\" (func $read (param i32 i32 i32) (result i32)))"
    "    (import \"\" \"drop\" (func $drop (param i32)))"
    "    (import \"\" \"new\" (func $new (result i64)))"
    "    (import \"\" \"new-pairs\" (func $new-pairs (result i64)))"
    "    (import \"\" \"write\" (func $write (param i32 i32 i32) (result i32)))"
    "    (import \"\" \"write-pairs\" (func $write-pairs (param i32 i32 i32) (result i32)))"
    "    (import \"\" \"end\" (func $end (param i32)))"
    "    (import \"\" \"end-pairs\" (func $end-pairs (param i32)))"
    "    (import \"\" \"new-future\" (func $new-future (result i64)))"
    "    (import \"\" \"read-future\" (func $read-future (param i32 i32) (result i32)))"
    "    (import \"\" \"write-future\" (func $write-future (param i32 i32) (result i32)))"
    "    (import \"\" \"take\" (func $take (param i32)))"
    "    (import \"\" \"take-pairs\" (func $take-pairs (param i32)))"
    "    (import \"\" \"take-future\" (func $take-future (param i32)))"
    "    (func $writable (param i64) (result i32)"
    "      (i32.wrap_i64 (i64.shr_u (local.get 0) (i64.const 32))))"
    "    (func (export \"sum\") (param $s i32) (param $most i32) (result i64)"
    "      (local $got i32) (local $n i32) (local $all i32) (local $sum i64)"
    "      (loop $more"
    "        (local.set $got (call $read (local.get $s) (i32.const 0) (i32.const 1000)))"
    "        (local.set $n (i32.shr_u (local.get $got) (i32.const 4)))"
    "        (local.set $all (i32.add (local.get $all) (local.get $n)))"
    "        (block $summed (loop $next"
    "          (br_if $summed (i32.eqz (local.get $n)))"
    "          (local.set $n (i32.sub (local.get $n) (i32.const 1)))"
    "          (local.set $sum (i64.add (local.get $sum)"
    "            (i64.load32_u (i32.mul (local.get $n) (i32.const 4)))))"
    "          (br $next)))"
    "        (br_if $more (i32.and (i32.eqz (i32.and (local.get $got) (i32.const 0xf)))"
    "                              (i32.lt_u (local.get $all) (local.get $most)))))"
    "      (call $drop (local.get $s))"
    "      (local.get $sum))"
    "    (func (export \"count\") (param $n i32) (result i32) (local $ends i64) (local $i i32)"
    "      (local.set $ends (call $new))"
    "      (call $take (i32.wrap_i64 (local.get $ends)))"
    "      (block $gone (loop $next"
    "        (i32.store (i32.const 0) (i32.add (local.get $i) (i32.const 1)))"
    "        (br_if $gone (i32.ne (i32.const 0x10) (call $write"
    "          (call $writable (local.get $ends)) (i32.const 0) (i32.const 1))))"
    "        (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "        (br_if $next (i32.lt_u (local.get $i) (local.get $n)))))"
    "      (call $end (call $writable (local.get $ends)))"
    "      (local.get $i))"
    "    (func (export \"count-pairs\") (param $n i32) (local $ends i64) (local $i i32)"
    "      (local.set $ends (call $new-pairs))"
    "      (call $take-pairs (i32.wrap_i64 (local.get $ends)))"
    "      (loop $next"
    "        (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    "        (i32.store8 (i32.const 0) (local.get $i))"
    "        (i32.store (i32.const 4) (i32.mul (local.get $i) (i32.const 100)))"
    "        (drop (call $write-pairs (call $writable (local.get $ends))"
    "          (i32.const 0) (i32.const 1)))"
    "        (br_if $next (i32.lt_u (local.get $i) (local.get $n))))"
    "      (call $end-pairs (call $writable (local.get $ends))))"
    "    (func (export \"get\") (param $f i32) (result i32)"
    "      (if (result i32) (call $read-future (local.get $f) (i32.const 0))"
    "        (then (i32.const 1000)) (else (i32.load (i32.const 0)))))"
    "    (func (export \"give\") (param $n i32) (local $ends i64)"
    "      (local.set $ends (call $new-future))"
    "      (call $take-future (i32.wrap_i64 (local.get $ends)))"
    "      (i32.store (i32.const 0) (local.get $n))"
    "      (drop (call $write-future (call $writable (local.get $ends)) (i32.const 0)))))"
    "  (core instance $m (instantiate $M (with \"\" (instance (export \"mem\" (memory $memory "
    "\"mem\"))"
    "    (export \"read\" (func $read)) (export \"drop\" (func $drop)) (export \"new\" (func $new))"
    "    (export \"new-pairs\" (func $new-pairs)) (export \"write\" (func $write))"
    "    (export \"write-pairs\" (func $write-pairs)) (export \"end\" (func $end))"
    "    (export \"end-pairs\" (func $end-pairs)) (export \"new-future\" (func $new-future))"
    "    (export \"read-future\" (func $read-future))"
    "    (export \"write-future\" (func $write-future)) (export \"take\" (func $take'))"
    "    (export \"take-pairs\" (func $take-pairs'))"
    "    (export \"take-future\" (func $take-future'))))))"
    "  (func (export \"sum\") async (param \"s\" $n) (param \"most\" u32) (result u64)"
    "    (canon lift (core func $m \"sum\")))"
    "  (func (export \"count\") async (param \"n\" u32) (result u32)"
    "    (canon lift (core func $m \"count\")))"
    "  (func (export \"count-pairs\") async (param \"n\" u32)"
    "    (canon lift (core func $m \"count-pairs\")))"
    "  (func (export \"get\") async (param \"f\" $f) (result u32) (canon lift (core func $m "
    "\"get\")))"
    "  (func (export \"give\") async (param \"n\" u32) (canon lift (core func $m \"give\"))))";

static wafer_component_t* component;

/* An instance, and what it has given. */
static struct guest {
  wasm_store_t* store;
  wafer_component_linker_t* linker;
  wafer_component_instance_t* instance;
  end* reader;
  uint64_t count, sum, most;
  state last;
  bool cancel;
  int finalized;
} guest;

static void finalized(void* env) { ++((struct guest*)env)->finalized; }

static void read_numbers(void);
static void got_numbers(void* env, const void* numbers, size_t count, state last) {
  const uint32_t* n = numbers;
  CHECK(env == &guest && count <= 100);
  for (size_t i = 0; i < count; ++i) guest.sum += n[i];
  guest.count += count;
  guest.last = last;
  if (guest.count >= guest.most)
    wafer_component_end_close(guest.reader);
  else if (last == WAFER_COMPONENT_END_OPEN)
    read_numbers();
}
static void read_numbers(void) {
  fail(wafer_component_end_read_numbers(guest.reader, 100, got_numbers, &guest, finalized));
}
static void take(void* env, wafer_component_call_t* call) {
  (void)env;
  const val* stream = wafer_component_call_arg(call, 0);
  CHECK(says(wafer_component_end_take(guest.store, "stream<s32>", stream, &guest.reader),
             "expected stream<s32>, found stream<u32>"));
  CHECK(says(wafer_component_end_take(guest.store, "future<u32>", stream, &guest.reader),
             "expected future<u32>, found stream<u32>"));
  CHECK(says(wafer_component_end_take(guest.store, "u32", stream, &guest.reader),
             "no type of a stream or future: u32"));
  CHECK(!guest.reader);
  fail(wafer_component_end_take(guest.store, "stream<u32>", stream, &guest.reader));
  read_numbers();
  if (guest.cancel) wafer_component_end_cancel(guest.reader);
}

static void read_values(void);
static void got_values(void* env, const val* const values[], size_t count, state last) {
  CHECK(env == &guest);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t a = wafer_component_val_get_bits(wafer_component_val_item(values[i], 0));
    const uint64_t b = wafer_component_val_get_bits(wafer_component_val_item(values[i], 1));
    CHECK(b == 100 * a);
    guest.sum += a;
  }
  guest.count += count;
  guest.last = last;
  if (last == WAFER_COMPONENT_END_OPEN) read_values();
}
static void read_values(void) {
  fail(wafer_component_end_read(guest.reader, 3, got_values, &guest, NULL));
}
static void take_pairs(void* env, wafer_component_call_t* call) {
  (void)env;
  fail(wafer_component_end_take(guest.store, "stream<tuple<u8, *>>",
                                wafer_component_call_arg(call, 0), &guest.reader));
  CHECK(says(wafer_component_end_read_numbers(guest.reader, 1, got_numbers, &guest, finalized),
             "the elements are not said to be numbers"));
  read_values();
}
static void got_value(void* env, const val* const values[], size_t count, state last) {
  CHECK(env == &guest && last == WAFER_COMPONENT_END_ENDED);
  if (count == 1) guest.sum = wafer_component_val_get_bits(values[0]);
  guest.count = count;
}
static void take_future(void* env, wafer_component_call_t* call) {
  (void)env;
  fail(wafer_component_end_take(guest.store, "future<u32>", wafer_component_call_arg(call, 0),
                                &guest.reader));
  fail(wafer_component_end_read(guest.reader, 5, got_value, &guest, NULL));
}

static void enter(void) {
  memset(&guest, 0, sizeof guest);
  guest.most = UINT64_MAX;
  guest.store = wasm_store_new(engine);
  guest.linker = wafer_component_linker_new();
  wafer_component_linker_define_func(guest.linker, NULL, "take", take, NULL, NULL, false);
  wafer_component_linker_define_func(guest.linker, NULL, "take-pairs", take_pairs, NULL, NULL,
                                     false);
  wafer_component_linker_define_func(guest.linker, NULL, "take-future", take_future, NULL, NULL,
                                     false);
  fail(wafer_component_linker_instantiate(guest.linker, guest.store, component, &guest.instance));
}
static void leave(void) {
  if (guest.reader) wafer_component_end_delete(guest.reader);
  wafer_component_instance_delete(guest.instance);
  wasm_store_delete(guest.store);
  wafer_component_linker_delete(guest.linker);
}

/* Takes the arguments. */
static wafer_error_t* try_call(const char* name, val* a, val* b, uint64_t* out) {
  wafer_component_func_t* f = wafer_component_instance_func(guest.instance, NULL, name);
  const val* args[] = {a, b};
  val* result = NULL;
  wafer_error_t* error = wafer_component_func_call(f, args, b ? 2 : 1, &result);
  *out = result ? wafer_component_val_get_bits(result) : 0;
  if (result) wafer_component_val_delete(result);
  wafer_component_val_delete(a);
  if (b) wafer_component_val_delete(b);
  wafer_component_func_delete(f);
  return error;
}
static uint64_t call(const char* name, val* a, val* b) {
  uint64_t out;
  fail(try_call(name, a, b, &out));
  return out;
}
static val* bits(uint64_t n) { return wafer_component_val_bits(n); }
static void run_on(wafer_component_outcome_t wanted) {
  wafer_component_outcome_t outcome;
  fail(wafer_component_run_until_idle(guest.store, &outcome));
  CHECK(outcome == wanted);
}

/* Numbers to the component, a piece when the one before is taken. */
static struct source {
  end* writer;
  uint32_t next, last;
  size_t under_way, most_under_way;
  state state;
  int pieces, finalized;
} source;

static void source_final(void* env) { ++((struct source*)env)->finalized; }
static void write_more(void);
static void written(void* env, size_t taken, state s) {
  CHECK(env == &source && taken <= source.under_way);
  CHECK(taken == source.under_way || s != WAFER_COMPONENT_END_OPEN);
  source.under_way -= taken;
  source.state = s;
  if (s != WAFER_COMPONENT_END_OPEN) return;
  if (source.next <= source.last)
    write_more();
  else
    wafer_component_end_close(source.writer);
}
static void write_more(void) {
  static uint32_t piece[4096];
  size_t n = 0;
  while (n < 4096 && source.next <= source.last) piece[n++] = source.next++;
  source.under_way += n;
  if (source.under_way > source.most_under_way) source.most_under_way = source.under_way;
  ++source.pieces;
  fail(wafer_component_end_write_numbers(source.writer, piece, n, written, &source, source_final));
}
static val* new_source(uint32_t last) {
  val* readable;
  memset(&source, 0, sizeof source);
  source.next = 1;
  source.last = last;
  fail(wafer_component_end_new(guest.store, "stream<u32>", &source.writer, &readable));
  return readable;
}

/* Where one is only given to be refused. */
static const uint64_t a_number = 1;

static void to_the_component(void) {
  enter();
  val* stream = new_source(1000000);
  write_more();
  CHECK(wafer_component_end_is_busy(source.writer) && source.pieces == 1);
  CHECK(says(wafer_component_end_write_numbers(source.writer, &a_number, 1, NULL, NULL, NULL),
             "a read or write is under way"));
  CHECK(call("sum", stream, bits(UINT32_MAX)) == UINT64_C(500000500000));
  /* No more than one piece was ever held. */
  CHECK(source.most_under_way == 4096 && source.pieces == 245);
  CHECK(source.finalized == source.pieces);
  CHECK(says(wafer_component_end_write_numbers(source.writer, &a_number, 0, NULL, NULL, NULL),
             "the end of the stream or future is closed"));
  wafer_component_end_delete(source.writer);

  /* The component closes it in the middle. */
  stream = new_source(1000000);
  write_more();
  CHECK(call("sum", stream, bits(5000)) > 0);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(source.state == WAFER_COMPONENT_END_ENDED && source.pieces == 2);
  CHECK(source.finalized == 2 && !wafer_component_end_is_busy(source.writer));
  wafer_component_end_delete(source.writer);

  /* What is under way is cancelled, and the end there as before; closed when that is taken. */
  stream = new_source(10);
  write_more();
  wafer_component_end_cancel(source.writer);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(source.state == WAFER_COMPONENT_END_CANCELLED && source.under_way == 10);
  val* values[] = {bits(20), bits(3)};
  fail(wafer_component_end_write(source.writer, values, 2, NULL, &source, source_final));
  wafer_component_end_delete(source.writer);
  CHECK(source.finalized == 1);
  CHECK(call("sum", stream, bits(UINT32_MAX)) == 23);
  CHECK(source.finalized == 2);
  leave();
}

static void from_the_component(void) {
  enter();
  CHECK(call("count", bits(100000), NULL) == 100000);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(guest.count == 100000 && guest.sum == UINT64_C(5000050000));
  CHECK(guest.last == WAFER_COMPONENT_END_ENDED && guest.finalized > 0);
  CHECK(says(wafer_component_end_write_numbers(guest.reader, &a_number, 1, NULL, &guest, finalized),
             "the end of the stream or future is closed"));
  wafer_component_end_delete(guest.reader);
  guest.reader = NULL;
  guest.count = guest.sum = 0;

  CHECK(call("count-pairs", bits(7), NULL) == 0);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(guest.count == 7 && guest.sum == 28);
  leave();

  /* The host closes it in the middle: before what was read is told, more is taken. */
  enter();
  guest.most = 150;
  CHECK(call("count", bits(100000), NULL) < 300);
  CHECK(guest.count >= 150 && guest.count < 300);
  leave();

  /* A read is cancelled before anything comes; the writer waits until the end is closed. */
  enter();
  guest.cancel = true;
  uint64_t wrote;
  wafer_error_t* error = try_call("count", bits(3), NULL, &wrote);
  CHECK(error && strstr(wafer_error_message(error), "deadlock"));
  wafer_error_delete(error);
  CHECK(guest.last == WAFER_COMPONENT_END_CANCELLED && guest.count == 0);
  leave();
}

static void told(void* env, size_t taken, state s) {
  CHECK(taken == 1 && s == WAFER_COMPONENT_END_ENDED);
  *(bool*)env = true;
}

static void futures(void) {
  enter();
  val* future;
  end* writer;
  bool is_told = false;
  fail(wafer_component_end_new(guest.store, "future<u32>", &writer, &future));
  CHECK(
      says(wafer_component_end_write(writer, NULL, 0, NULL, NULL, NULL), "a future has one value"));
  CHECK(says(wafer_component_end_read(writer, 1, got_value, NULL, NULL),
             "the end is the writable one"));
  val* value[] = {bits(42)};
  fail(wafer_component_end_write(writer, value, 1, told, &is_told, NULL));
  wafer_component_end_delete(writer);
  CHECK(call("get", future, NULL) == 42);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(is_told);

  fail(wafer_component_end_new(guest.store, "future<u32>", &writer, &future));
  wafer_component_end_delete(writer);
  CHECK(call("get", future, NULL) == 1000);

  CHECK(call("give", bits(9), NULL) == 0);
  run_on(WAFER_COMPONENT_DONE);
  CHECK(guest.count == 1 && guest.sum == 9);
  leave();
}

static void types(void) {
  enter();
  val* stream;
  end* writer;
  uint64_t out;
  CHECK(says(wafer_component_end_new(guest.store, "list<u8>", &writer, &stream),
             "no type of a stream or future: list<u8>"));
  CHECK(!writer && !stream);
  fail(wafer_component_end_new(guest.store, "stream", &writer, &stream));
  wafer_component_end_delete(writer);
  wafer_error_t* error = try_call("sum", stream, bits(1), &out);
  CHECK(error && wafer_error_kind(error) == WAFER_ERROR_TRAP &&
        !strcmp(wafer_error_message(error), "expected stream<u32>, found stream<_>"));
  wafer_error_delete(error);
  end* none;
  val* number = bits(1);
  CHECK(says(wafer_component_end_take(guest.store, "stream", number, &none),
             "the value is no end of a stream or future"));
  wafer_component_val_delete(number);
  leave();
}

static void posted(void* env) {
  (void)env;
  write_more();
}
static void* other_thread(void* env) {
  wafer_component_post_t* post = env;
  CHECK(wafer_component_post_send(post, posted, &source, source_final));
  wafer_component_post_delete(post);
  return NULL;
}

static void from_another_thread(void) {
  enter();
  val* stream = new_source(5);
  pthread_t thread;
  pthread_create(&thread, NULL, other_thread, wafer_component_post_new(guest.store));
  CHECK(call("sum", stream, bits(UINT32_MAX)) == 15);
  pthread_join(thread, NULL);
  CHECK(source.finalized == 2);
  wafer_component_post_t* post = wafer_component_post_new(guest.store);
  /* Ends may outlive the store. */
  end* writer = source.writer;
  leave();
  CHECK(!wafer_component_post_send(post, posted, &source, source_final));
  CHECK(source.finalized == 3);
  wafer_component_post_delete(post);
  CHECK(says(wafer_component_end_write(writer, NULL, 0, NULL, NULL, NULL), "the store is gone"));
  wafer_component_end_delete(writer);
}

int main(void) {
  engine = wasm_engine_new();
  wasm_byte_vec_t binary;
  const char* const features[] = {"cm-async-builtins"};
  fail(wafer_wat2wasm(kText, strlen(kText), &binary));
  fail(wafer_component_new_with(engine, binary.data, binary.size, features, 1, &component));
  wasm_byte_vec_delete(&binary);
  to_the_component();
  from_the_component();
  futures();
  types();
  from_another_thread();
  wafer_component_delete(component);
  wasm_engine_delete(engine);
  return failures != 0;
}
