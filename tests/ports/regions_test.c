/* Linear memories in regions that the program gives, and runtimes in tasks with an arena each.
 *   regions_test REGIONS TRIMMED      the modules of regions.wat and trimmed.wat */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fir.h"
#include "wafer_guard.h"

static int bad;
#define CHECK(condition)                                 \
  do {                                                   \
    if (!(condition)) {                                  \
      printf("line %d: not %s\n", __LINE__, #condition); \
      bad = 1;                                           \
    }                                                    \
  } while (0)

/* Blocks of the platform that are in use; the linker puts these around its functions. */
static atomic_size_t platform_blocks, platform_asked;
void* __real_wafer_port_allocate(size_t size);
void __real_wafer_port_release(void* block);
void* __wrap_wafer_port_allocate(size_t size) {
  ++platform_asked;
  void* const block = __real_wafer_port_allocate(size);
  if (block) ++platform_blocks;
  return block;
}
void __wrap_wafer_port_release(void* block) {
  if (block) --platform_blocks;
  __real_wafer_port_release(block);
}

/* ---- Regions */

enum { kPage = 65536, kFast = 4096, kSlow = 3 * kPage };
static _Alignas(16) unsigned char fast[kFast], other[8192], slow[kSlow];

static struct {
  enum { kGive, kPass, kRefuse, kRefuseSlow } how;
  unsigned takes, gives;
  uint32_t index;
  uint64_t most;
  size_t bytes;
  void* given_back;
  size_t given_bytes;
  bool fast_used, other_used, slow_used;
} regions;

static void* from(unsigned char* region, size_t room, bool* used, size_t* bytes) {
  if (*used || *bytes > room) return NULL;
  *used = true;
  *bytes = room;
  memset(region, 0xA5, room);
  return region;
}

static void* take(void* env, uint32_t index, uint64_t most, size_t* bytes) {
  CHECK(env == &regions);
  ++regions.takes;
  regions.index = index;
  regions.most = most;
  regions.bytes = *bytes;
  void* block = NULL;
  if (index != 1 && (regions.how == kGive || regions.how == kRefuseSlow)) {
    block = from(fast, kFast, &regions.fast_used, bytes);
    if (!block) block = from(other, sizeof other, &regions.other_used, bytes);
  } else if (regions.how == kGive) {
    block = from(slow, kSlow, &regions.slow_used, bytes);
  }
  if (regions.how == kRefuse || (regions.how == kRefuseSlow && index == 1)) *bytes = 0;
  return block;
}

static void give_back(void* env, uint32_t index, void* block, size_t bytes) {
  CHECK(env == &regions);
  ++regions.gives;
  regions.index = index;
  regions.given_back = block;
  regions.given_bytes = bytes;
  bool* const used = block == fast    ? &regions.fast_used
                     : block == other ? &regions.other_used
                     : block == slow  ? &regions.slow_used
                                      : NULL;
  CHECK(used && *used);
  if (used) *used = false;
}

static const wafer_memory_storage_t storage = {take, give_back, &regions};

typedef struct {
  const void* bytes;
  size_t size;
} binary;
static binary two, trimmed;

typedef struct {
  wasm_engine_t* engine;
  wasm_store_t* store;
  wafer_linker_t* linker;
  wasm_module_t* module;
  wasm_instance_t* instance;
  wafer_error_t* error;
} runtime;

static runtime open_in(wasm_engine_t* engine, const binary* what) {
  runtime r = {.engine = engine};
  r.store = wasm_store_new(engine);
  r.linker = wafer_linker_new(engine);
  r.error = wafer_port_define(r.linker, "device", "sample", "i:i", sample, NULL);
  if (!r.error) r.error = wafer_module_new_in_place(r.store, what->bytes, what->size, &r.module);
  if (!r.error) r.error = wafer_linker_instantiate(r.linker, r.store, r.module, &r.instance, NULL);
  return r;
}

static runtime open_runtime(const binary* what, bool trim) {
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, 8192);
  wafer_config_memory_storage_set(config, &storage);
  wafer_config_trim_memories_set(config, trim);
  return open_in(wasm_engine_new_with_config(config), what);
}

static void close_runtime(runtime* r) {
  wafer_error_delete(r->error);
  wasm_instance_delete(r->instance);
  wasm_module_delete(r->module);
  wafer_linker_delete(r->linker);
  wasm_store_delete(r->store);
  wasm_engine_delete(r->engine);
}

/* The result, or -2 for a trap. */
static int32_t call(const runtime* r, const char* name, int32_t a, int32_t b) {
  wasm_func_t* const func = wafer_instance_func(r->instance, name);
  uint64_t slots[2] = {(uint32_t)a, (uint32_t)b};
  wasm_trap_t* const trap = wafer_func_call_raw(func, slots);
  const int32_t result = trap ? -2 : (int32_t)slots[0];
  wasm_trap_delete(trap);
  wasm_func_delete(func);
  return result;
}

static unsigned char* data_of(const runtime* r, const char* name) {
  wasm_extern_t* const e = wafer_instance_export(r->instance, name);
  void* const data = wasm_memory_data(wasm_extern_as_memory(e));
  wasm_extern_delete(e);
  return data;
}

static void check_regions(void) {
  runtime r = open_runtime(&two, false);
  if (r.error) {
    printf("regions: %s\n", wafer_error_message(r.error));
    bad = 1;
    return;
  }
  CHECK(regions.takes == 2 && regions.gives == 0);
  CHECK(regions.index == 1 && regions.bytes == kPage && regions.most == 4 * kPage);
  CHECK(data_of(&r, "fast") == fast && data_of(&r, "slow") == slow);
  /* What was in the regions does not show. */
  for (int i = 0; i < 1024; ++i) CHECK(call(&r, "read_fast", i, 0) == 0);
  CHECK(call(&r, "read_slow", 65530, 0) == 's' && call(&r, "read_slow", 65535, 0) == 0);
  CHECK(call(&r, "write_fast", 1023, 77) == 0 && call(&r, "read_fast", 1024, 0) == -2);

  /* Within the region nobody is asked. */
  CHECK(call(&r, "grow_fast", 3072, 0) == 1024);
  CHECK(regions.takes == 2 && data_of(&r, "fast") == fast);
  CHECK(call(&r, "read_fast", 1023, 0) == 77 && call(&r, "read_fast", 4096, 0) == -2);
  for (int i = 1024; i < 4096; ++i) CHECK(call(&r, "read_fast", i, 0) == 0);

  /* Refused: all stays. */
  regions.how = kRefuse;
  CHECK(call(&r, "grow_fast", 1, 0) == -1);
  CHECK(regions.takes == 3 && regions.gives == 0 && data_of(&r, "fast") == fast);
  CHECK(regions.index == 0 && regions.bytes == 4097 && regions.most == 8192);
  CHECK(call(&r, "read_fast", 1023, 0) == 77 && call(&r, "read_fast", 4096, 0) == -2);

  /* Beyond it there is another one. */
  regions.how = kGive;
  CHECK(call(&r, "grow_fast", 1, 0) == 4096);
  CHECK(regions.takes == 4 && regions.gives == 1 && data_of(&r, "fast") == other);
  CHECK(regions.index == 0 && regions.given_back == fast && regions.given_bytes == kFast);
  CHECK(call(&r, "read_fast", 1023, 0) == 77 && call(&r, "read_fast", 4096, 0) == 0);
  /* More than its type allows nobody is asked for. */
  CHECK(call(&r, "grow_fast", 4096, 0) == -1 && call(&r, "grow_fast", 4095, 0) == 4097);
  CHECK(regions.takes == 4 && call(&r, "read_fast", 8191, 0) == 0);

  /* From a region to the allocator. */
  CHECK(call(&r, "grow_slow", 2, 0) == 1 && regions.takes == 4);
  regions.how = kPass;
  const size_t before = platform_blocks;
  CHECK(call(&r, "grow_slow", 1, 0) == 3);
  CHECK(regions.takes == 5 && regions.gives == 2 && platform_blocks == before + 1);
  CHECK(regions.index == 1 && regions.given_back == slow && regions.given_bytes == kSlow);
  CHECK(data_of(&r, "slow") != slow && call(&r, "read_slow", 65530, 0) == 's');
  CHECK(call(&r, "read_slow", 4 * kPage - 1, 0) == 0);
  close_runtime(&r);
  CHECK(regions.gives == 3 && regions.given_back == other && platform_blocks == 0);

  /* From the allocator to a region. */
  regions.how = kGive;
  regions.slow_used = true;
  r = open_runtime(&two, false);
  CHECK(!r.error && data_of(&r, "slow") != slow && platform_blocks > 0);
  const size_t gives = regions.gives;
  regions.slow_used = false;
  CHECK(call(&r, "grow_slow", 1, 0) == 1 && data_of(&r, "slow") == slow);
  CHECK(call(&r, "read_slow", 65530, 0) == 's' && call(&r, "read_slow", kPage, 0) == 0);
  CHECK(regions.gives == gives);
  close_runtime(&r);
  CHECK(!regions.fast_used && !regions.slow_used && platform_blocks == 0);

  /* None of the second: the first is given back. */
  regions.how = kRefuseSlow;
  r = open_runtime(&two, false);
  CHECK(regions.index == 0 && regions.given_back == fast && !regions.fast_used);
  CHECK(r.error && wafer_error_kind(r.error) == WAFER_ERROR_EXHAUSTION);
  close_runtime(&r);
  CHECK(platform_blocks == 0);

  /* One that ends before its page does, and one of the host. */
  regions.how = kGive;
  r = open_runtime(&trimmed, true);
  CHECK(!r.error && regions.bytes == 2048 && regions.most == 2048);
  CHECK(data_of(&r, "fast") == fast && call(&r, "read_fast", 2047, 0) == 0);
  CHECK(call(&r, "read_fast", 2048, 0) == -2);
  const wasm_limits_t limits = {.min = 1, .max = 1};
  wasm_memorytype_t* const type = wasm_memorytype_new(&limits);
  regions.how = kPass;
  wasm_memory_t* const memory = wasm_memory_new(r.store, type);
  CHECK(memory && regions.index == UINT32_MAX && regions.bytes == kPage);
  wasm_memory_delete(memory);
  wasm_memorytype_delete(type);
  close_runtime(&r);
  CHECK(!regions.fast_used && !regions.other_used && platform_blocks == 0);
}

/* ---- Arenas */

enum { kStack = 4096 };
static int32_t expected;

static wasm_engine_t* new_engine(void) {
  wasm_config_t* config = wasm_config_new();
  wafer_config_stack_size_set(config, kStack);
  return wasm_engine_new_with_config(config);
}

/* A whole life, or false where large blocks lack. */
static bool live(int32_t* value) {
  static const binary kProgram = {kFir, sizeof kFir};
  runtime r = open_in(new_engine(), &kProgram);
  const bool good = !r.error;
  if (good) *value = call(&r, "filter", 100, 0);
  close_runtime(&r);
  return good && *value >= 0;
}

typedef struct {
  unsigned lives, wanted;
} lives;

static void live_often(void* argument) {
  lives* const l = argument;
  for (l->lives = 0; l->lives < l->wanted; ++l->lives) {
    int32_t value = 0;
    if (!live(&value)) return;
    if (value != expected) bad = 1;
  }
}

static void exhaust(void* argument) {
  for (atomic_uint* const engines = argument;; ++*engines) new_engine();
}

/* Calls in a call. */
typedef struct {
  wafer_guard_owner owner;
  unsigned closed;
} owned;
static void close_owned(wafer_guard_owner* owner) { ++((owned*)owner)->closed; }

static _Alignas(8) unsigned char arenas[2][256 * 1024];
static owned left, lacking;
static atomic_uint engines;
static wasm_engine_t* outer_engine;

static void inner_body(void* argument) {
  (void)argument;
  int32_t value = 0;
  CHECK(live(&value) && value == expected);
  wasm_engine_delete(outer_engine);
  wafer_guard_keep(&lacking.owner, close_owned);
  exhaust(&engines);
}

static void outer_body(void* argument) {
  (void)argument;
  outer_engine = new_engine();
  wafer_guard_keep(&left.owner, close_owned);
  CHECK(!wafer_port_guarded_in(arenas[1] + 1, sizeof arenas[1] - 1, inner_body, NULL));
  /* Without an arena of its own a call has the outer's. */
  CHECK(!wafer_port_guarded(exhaust, &engines));
  int32_t value = 0;
  CHECK(live(&value) && value == expected);
  CHECK(lacking.closed == 1 && left.closed == 0);
  new_engine();
}

/* Two tasks at a time. */
enum { kRounds = 20 };
static size_t enough;
static wafer_port_queue* done;
static atomic_uint exhausted_rounds;
static atomic_bool exhausting;

static void short_task(void* argument) {
  (void)argument;
  int32_t good = 1;
  lives l = {.wanted = 1};
  for (int i = 0; i < kRounds; ++i) {
    if (wafer_port_guarded_in(arenas[0], enough, exhaust, &engines)) good = 0;
    exhausting = true;
    ++exhausted_rounds;
    if (!wafer_port_guarded_in(arenas[0], enough, live_often, &l) || l.lives != 1) good = 0;
  }
  wafer_port_queue_send(done, good, -1);
}

static void long_task(void* argument) {
  lives l = {.wanted = 20 * kRounds};
  (void)argument;
  while (!exhausting) wafer_port_sleep(1000000);
  const bool good = wafer_port_guarded_in(arenas[1], enough, live_often, &l);
  wafer_port_queue_send(done, good && l.lives == l.wanted, -1);
}

static void check_arenas(void) {
  CHECK(live(&expected));
  CHECK(platform_blocks == 0);
  const size_t asked = platform_asked;
  /* The least that one life needs is enough for many: nothing is left, nothing in pieces. */
  size_t least = 0;
  for (size_t size = 0; size <= sizeof *arenas && !least; size += 64) {
    lives l = {.wanted = 1};
    /* Nothing is written beyond it. */
    memset(arenas[0] + size, 0xA5, size < sizeof *arenas ? 64 : 0);
    if (wafer_port_guarded_in(arenas[0], size, live_often, &l) && l.lives == 1) least = size;
    for (size_t i = size; i < size + 64 && i < sizeof *arenas; ++i) CHECK(arenas[0][i] == 0xA5);
  }
  CHECK(least > 2048 + kStack);
  lives l = {.wanted = 1000};
  CHECK(wafer_port_guarded_in(arenas[0], least, live_often, &l) && l.lives == l.wanted);
  CHECK(wafer_port_guarded_in(arenas[0], sizeof *arenas, outer_body, NULL));
  CHECK(left.closed == 1 && lacking.closed == 1);
  /* All that came from arenas. */
  CHECK(platform_asked == asked);
  printf("arenas: %zu bytes are enough for the example\n", least);

  enough = least;
  done = wafer_port_queue_new(2);
  CHECK(wafer_port_start("short", short_task, NULL, 0, 256 * 1024));
  CHECK(wafer_port_start("long", long_task, NULL, 0, 256 * 1024));
  for (int i = 0; i < 2; ++i) {
    int32_t good = 0;
    CHECK(wafer_port_queue_receive(done, &good, 60000) && good);
  }
  CHECK(exhausted_rounds == kRounds);
  wafer_port_queue_delete(done);
}

static binary read_binary(const char* path) {
  FILE* const file = fopen(path, "rb");
  if (!file) {
    printf("%s: cannot be opened\n", path);
    exit(1);
  }
  fseek(file, 0, SEEK_END);
  const size_t size = (size_t)ftell(file);
  rewind(file);
  void* const bytes = malloc(size);
  if (fread(bytes, 1, size, file) != size) exit(1);
  fclose(file);
  return (binary){bytes, size};
}

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  two = read_binary(argv[1]);
  trimmed = read_binary(argv[2]);
  wafer_port_init();
  check_regions();
  check_arenas();
  puts(bad ? "bad" : "all as expected");
  return bad;
}
