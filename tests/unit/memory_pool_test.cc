// The memory pool and copy-on-write images: contents never leak from one use to the
// next, and images change nothing but the time that instantiation takes.
#include "runtime/memory_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "interp/interp.h"
#include "runtime/linker.h"
#include "runtime/store.h"
#include "wat/wat.h"

namespace wafer::runtime {
namespace {

constexpr uint64_t kPage = 65536;

std::shared_ptr<MemoryPool> make_pool(const MemoryPool::Options& options) {
  auto pool = MemoryPool::create(options);
  EXPECT_TRUE(pool.ok()) << pool.error().message;
  return pool.ok() ? *pool : nullptr;
}

wasm::MemoryType pages(uint64_t min) {
  wasm::MemoryType t;
  t.limits.min = min;
  return t;
}

struct Host {
  std::shared_ptr<Engine> engine;

  explicit Host(std::shared_ptr<MemoryPool> pool = nullptr, bool images = true) {
    Config config;
    config.pool = std::move(pool);
    config.memory_images = images;
    engine = Engine::create(config, interp::tier());
  }
  std::shared_ptr<const wasm::Module> load(std::string_view text) const {
    auto binary = wat::parse_wat(text);
    EXPECT_TRUE(binary.ok()) << binary.error().message;
    if (!binary.ok()) return nullptr;
    auto module = engine->load_module(*binary);
    EXPECT_TRUE(module.ok()) << module.error().message;
    return module.ok() ? *module : nullptr;
  }
};

// A store with one instance.
struct Guest {
  Store store;
  Instance* instance = nullptr;
  std::string error;

  Guest(const Host& host, const std::shared_ptr<const wasm::Module>& module,
        std::span<const Extern> imports = {})
      : store(host.engine) {
    auto made = store.instantiate(module, imports);
    if (made.ok())
      instance = *made;
    else
      error = made.error().message;
  }
  Memory& memory() { return *instance->memories[0]; }
  Result<Vec<Value>> call(std::string_view name, std::initializer_list<Value> args = {}) {
    return store.call(instance->get_export(name)->func, args);
  }
  int32_t number(std::string_view name, std::initializer_list<Value> args = {}) {
    auto r = call(name, args);
    EXPECT_TRUE(r.ok()) << r.error().message;
    return r.ok() ? (*r)[0].as_i32() : -1;
  }
};

// Bytes that are not what a fresh memory with `data` at `at` holds.
size_t differences(const Memory& memory, uint64_t at, std::string_view data) {
  size_t n = 0;
  for (uint64_t i = 0; i < memory.size_bytes(); ++i) {
    const bool in_data = i >= at && i - at < data.size();
    n += memory.base[i] != (in_data ? uint8_t(data[i - at]) : 0);
  }
  return n;
}

std::string letters(size_t n) {
  std::string s;
  for (size_t i = 0; i < n; ++i) s += char('a' + i % 23);
  return s;
}

std::string module_with_data(uint64_t at, const std::string& data, const std::string& more = {}) {
  return "(module (memory (export \"memory\") 2 10) (data (i32.const " + std::to_string(at) +
         ") \"" + data + "\")" + more + ")";
}

class MemoryPoolTest : public testing::TestWithParam<uint64_t> {
 protected:
  void SetUp() override {
    if (!guard_pages_available()) GTEST_SKIP();
  }
  // Of the bytes that stay resident: none, one page, everything here.
  static MemoryPool::Options options(uint32_t slots) {
    MemoryPool::Options o;
    o.slots = slots;
    o.keep_resident = GetParam();
    return o;
  }
};
INSTANTIATE_TEST_SUITE_P(KeepResident, MemoryPoolTest, testing::Values(0, 4096, 1 << 20));

TEST_P(MemoryPoolTest, SlotsAreZeroAgain) {
  auto pool = make_pool(options(1));
  Memory::Config config;
  config.pool = pool;
  const uint8_t* base = nullptr;
  for (uint64_t round = 0; round < 20; ++round) {
    auto memory = Memory::create(pages(round % 4), config);
    ASSERT_TRUE(memory.ok());
    Memory& m = **memory;
    EXPECT_EQ(m.mode(), MemoryMode::Guarded);
    if (base) EXPECT_EQ(m.base, base);  // the only slot
    base = m.base;
    ASSERT_EQ(differences(m, 0, ""), 0u);
    ASSERT_EQ(m.grow(round % 3), round % 4);
    ASSERT_EQ(differences(m, 0, ""), 0u);
    for (uint64_t i = round * 1000; i < m.size_bytes(); i += 1 + round * 512) m.base[i] = 0xEE;
  }
}

// How many of the first pages of the system are in memory.
uint64_t resident(const uint8_t* base, uint64_t most) {
  std::vector<unsigned char> in(most);
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(mincore(const_cast<uint8_t*>(base), most * page, in.data()), 0);
  return uint64_t(std::count_if(in.begin(), in.end(), [](unsigned char c) { return c & 1; }));
}

TEST_P(MemoryPoolTest, AllSlotsTogetherKeepNoMoreThanTheyMay) {
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  MemoryPool::Options o = options(3);
  o.keep_resident_total = 12 * page;
  auto pool = make_pool(o);
  Memory::Config config;
  config.pool = pool;
  const uint64_t of_each = kPage / page, each_may = std::min(GetParam() / page, of_each);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<Memory>> memories;
    for (int i = 0; i < 3; ++i) {
      auto memory = Memory::create(pages(1), config);
      ASSERT_TRUE(memory.ok());
      for (uint64_t at = 0; at < kPage; at += page) (*memory)->base[at] = 1;
      memories.push_back(*std::move(memory));
    }
    std::vector<const uint8_t*> bases;
    for (auto& m : memories) {
      bases.push_back(m->base);
      // One of them is put back in its place.
      if (&m == &memories[1]) EXPECT_TRUE(m->reset());
      m.reset();
    }
    uint64_t all = 0;
    for (const uint8_t* const base : bases) {
      const uint64_t n = resident(base, of_each);
      EXPECT_LE(n, each_may);
      all += n;
    }
    EXPECT_LE(all, 12u);
    // Systems that do not tell what was written keep nothing.
    if (each_may && all) EXPECT_GE(all, std::min<uint64_t>(3 * each_may, 12));
  }
}

TEST_P(MemoryPoolTest, WhatOneUseGrewCountsInTheNext) {
  const auto page = uint64_t(sysconf(_SC_PAGESIZE));
  MemoryPool::Options o = options(2);
  o.keep_resident_total = 12 * page;
  auto pool = make_pool(o);
  Memory::Config config;
  config.pool = pool;
  uint64_t all = 0;
  // A memory grows, and is written where it has grown; then one that is written where it begins.
  for (int use = 0; use < 2; ++use) {
    std::shared_ptr<Memory> one = *Memory::create(pages(1), config);
    std::shared_ptr<Memory> other = *Memory::create(pages(1), config);
    const uint8_t* const bases[] = {one->base, other->base};
    if (use == 0) ASSERT_EQ(one->grow(1), 1u);
    uint8_t* const from = one->base + (use == 0 ? kPage : 0);
    for (uint64_t at = 0; at < kPage; at += page) {
      from[at] = 1;
      other->base[at] = 1;
    }
    one.reset();
    other.reset();
    all = 0;
    for (const uint8_t* const base : bases) {
      EXPECT_LE(resident(base, 2 * kPage / page), GetParam() / page);
      all += resident(base, 2 * kPage / page);
    }
    EXPECT_LE(all, 12u);
  }
}

TEST_P(MemoryPoolTest, OnlyTheMemoryItselfIsAccessible) {
  auto pool = make_pool(options(1));
  Host host(pool);
  const auto module = host.load(R"((module (memory (export "memory") 1)
    (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "grow") (result i32) (memory.grow (i32.const 3)))))");
  const auto smaller = host.load("(module (memory 0))");
  for (int round = 0; round < 3; ++round) {
    {
      Guest guest(host, module);
      ASSERT_TRUE(guest.instance) << guest.error;
      EXPECT_FALSE(guest.call("get", {Value::i32(65536)}).ok());
      EXPECT_EQ(guest.number("grow"), 1);
      EXPECT_EQ(guest.number("get", {Value::i32(4 * 65536 - 1)}), 0);
      auto r = guest.call("get", {Value::i32(4 * 65536)});
      ASSERT_FALSE(r.ok());
      EXPECT_EQ(r.error().message, "out of bounds memory access");
      EXPECT_FALSE(guest.call("get", {Value::i32(-1)}).ok());
    }
    Guest guest(host, smaller);
    ASSERT_TRUE(guest.instance);
    EXPECT_TRUE(address_in_guarded_memory(guest.memory().base));
    EXPECT_EQ(guest.memory().size_bytes(), 0u);
  }
}

TEST_P(MemoryPoolTest, ImagesAreRestored) {
  const std::string data = letters(20000);
  for (const bool with_pool : {true, false}) {
    Host host(with_pool ? make_pool(options(2)) : nullptr);
    // Begins in the middle of a page of the system, and ends in one.
    const auto module = host.load(module_with_data(70000, data));
    const auto other = host.load(module_with_data(66000, letters(9000)));
    for (int round = 0; round < 6; ++round) {
      Guest guest(host, module);
      ASSERT_TRUE(guest.instance) << guest.error;
      ASSERT_EQ(differences(guest.memory(), 70000, data), 0u);
      EXPECT_EQ(guest.memory().grow(1), 2u);
      ASSERT_EQ(differences(guest.memory(), 70000, data), 0u);
      if (round % 2) {
        std::memset(guest.memory().base, 0xDD, guest.memory().size_bytes());
      } else {
        guest.memory().base[70000] = 1;
        guest.memory().base[3 * kPage - 1] = 1;
      }
      if (round % 3 == 0) {
        // Takes the other slot, and later the one that the module had.
        Guest second(host, other);
        ASSERT_TRUE(second.instance) << second.error;
        ASSERT_EQ(differences(second.memory(), 66000, letters(9000)), 0u);
        second.memory().base[66000] = 0;
      }
    }
    EXPECT_NE(ModuleImages::get(*module, false), nullptr);
  }
}

TEST_P(MemoryPoolTest, ModulesShareOneSlot) {
  Host host(make_pool(options(1)));
  struct {
    uint64_t at;
    std::string data;
    std::shared_ptr<const wasm::Module> module;
  } cases[] = {{0, letters(4096), nullptr},
               {0, letters(50000), nullptr},
               {40000, letters(60000), nullptr},
               {131072 - 5000, letters(5000), nullptr},
               {0, "", nullptr}};
  for (auto& c : cases) c.module = host.load(module_with_data(c.at, c.data));
  for (int round = 0; round < 60; ++round) {
    auto& c = cases[(round * 7 + round / 5) % 5];
    Guest guest(host, c.module);
    ASSERT_TRUE(guest.instance) << guest.error;
    ASSERT_EQ(differences(guest.memory(), c.at, c.data), 0u) << round;
    guest.memory().fill(uint64_t(round) * 2000, 0x55, 4097);
    guest.memory().grow(uint64_t(round % 3));
  }
}

TEST_P(MemoryPoolTest, TrapsBeforeDataLeaveZeros) {
  // The first element segment publishes a function that reads the memory; the second
  // one is out of bounds, so no data may have been written.
  const std::string text = R"((module (import "m" "t" (table 1 funcref))
    (memory 1) (table $own 1 funcref)
    (func $peek (result i32) (i32.load (i32.const 8)))
    (elem (table 0) (i32.const 0) func $peek)
    (elem (table $own) (i32.const 1) func $peek)
    (data (i32.const 0) ")" +
                           letters(9000) + "\"))";
  Host host(make_pool(options(4)));
  const auto module = host.load(text);
  for (int round = 0; round < 3; ++round) {
    Store store(host.engine);
    wasm::TableType type;
    type.element = wasm::ValType::ref(wasm::HeapKind::Func, true);
    type.limits.min = 1;
    auto table = store.new_table(type, kNullRef);
    ASSERT_TRUE(table.ok());
    Extern import;
    import.kind = wasm::ExternKind::Table;
    import.table = *table;
    auto made = store.instantiate(module, {&import, 1});
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().message, "out of bounds table access");
    auto* const peek = reinterpret_cast<FuncInst*>(uintptr_t((*table)->elements[0]));
    ASSERT_NE(peek, nullptr);
    auto r = store.call(peek, {});
    ASSERT_TRUE(r.ok());
    EXPECT_EQ((*r)[0].as_i32(), 0);
  }
}

TEST_P(MemoryPoolTest, SegmentsInOrderUpToTheTrap) {
  const std::string text = R"((module (import "m" "t" (table 1 funcref))
    (import "m" "g" (global i32)) (memory 1)
    (func $peek (param i32) (result i32) (i32.load8_u (local.get 0)))
    (elem (table 0) (i32.const 0) func $peek)
    (data (i32.const 0) ")" +
                           letters(9000) +
                           R"(")
    (data (i32.const 5) "XYZ")
    (data (global.get 0) "!")
    (data (i32.const 6) "?")
    (data (i32.const 65536) "")
    (data (i32.const 65535) "ab")
    (data (i32.const 7) "#")))";
  Host host(make_pool(options(4)));
  const auto module = host.load(text);
  for (int round = 0; round < 3; ++round) {
    Store store(host.engine);
    wasm::TableType type;
    type.element = wasm::ValType::ref(wasm::HeapKind::Func, true);
    type.limits.min = 1;
    Extern imports[2];
    imports[0].kind = wasm::ExternKind::Table;
    imports[0].table = *store.new_table(type, kNullRef);
    imports[1].kind = wasm::ExternKind::Global;
    imports[1].global = store.new_global({wasm::kI32, false}, Value::i32(6));
    auto made = store.instantiate(module, imports);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().message, "out of bounds memory access");
    auto* const peek = reinterpret_cast<FuncInst*>(uintptr_t(imports[0].table->elements[0]));
    std::string seen;
    for (const int32_t at : {4, 5, 6, 7, 8, 65535}) {
      const Value arg = Value::i32(at);
      auto r = store.call(peek, {&arg, 1});
      ASSERT_TRUE(r.ok());
      const int32_t c = (*r)[0].as_i32();
      seen += c ? char(c) : '0';
    }
    EXPECT_EQ(seen, "eX?Zi0");
  }
}

TEST_P(MemoryPoolTest, SegmentsOfImagesAreDropped) {
  Host host(make_pool(options(1)));
  const auto module = host.load(module_with_data(100, letters(5000), R"((data $later "later")
    (func (export "active") (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1)))
    (func (export "passive") (memory.init $later (i32.const 0) (i32.const 0) (i32.const 5))))"));
  for (int round = 0; round < 2; ++round) {
    Guest guest(host, module);
    ASSERT_TRUE(guest.instance) << guest.error;
    EXPECT_FALSE(guest.call("active").ok());
    EXPECT_TRUE(guest.call("passive").ok());
    EXPECT_EQ(std::memcmp(guest.memory().base, "later", 5), 0);
    EXPECT_EQ(guest.memory().base[100], 'a');
  }
}

TEST_P(MemoryPoolTest, SeveralMemoriesAndFarSegments) {
  // The last segment would stretch the image over a mostly empty memory: it is copied.
  const std::string data = letters(6000);
  Host host(make_pool(options(4)));
  const auto module = host.load(
      "(module (memory $a 1) (memory $b 300) (data (memory $b) "
      "(i32.const 1234) \"" +
      data + "\") (data (memory $a) (i32.const 9) \"" + data +
      "\") (data (memory $b) (i32.const 19000000) \"far\"))");
  for (int round = 0; round < 3; ++round) {
    Guest guest(host, module);
    ASSERT_TRUE(guest.instance) << guest.error;
    Memory& a = *guest.instance->memories[0];
    Memory& b = *guest.instance->memories[1];
    ASSERT_EQ(differences(a, 9, data), 0u);
    EXPECT_EQ(std::memcmp(b.base + 1234, data.data(), data.size()), 0);
    EXPECT_EQ(std::memcmp(b.base + 19000000, "far", 4), 0);
    std::memset(a.base, 1, a.size_bytes());
    std::memset(b.base, 1, 100000);
    b.base[19000003] = 1;
  }
  const ModuleImages* const images = ModuleImages::get(*module, false);
  ASSERT_NE(images, nullptr);
  EXPECT_EQ(images->data_end, 2u);
}

TEST_P(MemoryPoolTest, Threads) {
  auto pool = make_pool(options(8));
  Host host(pool);
  const std::string data = letters(30000);
  const auto module = host.load(module_with_data(1000, data));
  const auto other = host.load(module_with_data(5000, letters(7000)));
  std::atomic<size_t> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (unsigned round = 0; round < 60; ++round) {
        Guest guest(host, module);
        Guest second(host, round % 4 == t ? other : module);
        if (!guest.instance || !second.instance) {
          wrong += 1;
          continue;
        }
        wrong += differences(guest.memory(), 1000, data);
        guest.memory().fill(round * 100, uint8_t(t + 1), 50000);
        second.memory().fill(1000, uint8_t(t + 1), 9000);
        guest.memory().grow(round % 2);
      }
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(pool->slots_in_use(), 0u);
  EXPECT_EQ(pool->bytes_in_use(), 0u);
}

TEST_P(MemoryPoolTest, ChildOfForkCleansItsOwnMemories) {
  Host host(make_pool(options(1)));
  const std::string data = letters(8000);
  const auto module = host.load(module_with_data(0, data));
  {
    Guest first(host, module);
  }
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int status = 0;
    for (int round = 0; round < 3; ++round) {
      Guest guest(host, module);
      if (!guest.instance || differences(guest.memory(), 0, data) != 0) status = 1;
      std::memset(guest.memory().base, 7, 20000);
    }
    _exit(status);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Guest guest(host, module);
  EXPECT_EQ(differences(guest.memory(), 0, data), 0u);
}

TEST_P(MemoryPoolTest, ForgetsImagesOfDeadModules) {
  auto pool = make_pool(options(2));
  Host host(pool);
  std::weak_ptr<const MemoryImage> image;
  auto module = host.load(module_with_data(0, letters(5000)));
  auto guest = std::make_unique<Guest>(host, module);
  {
    Guest second(host, module);
    image = ModuleImages::get(*module, false)->memories[0];
  }
  // One slot is idle; the other's memory outlives the module.
  std::shared_ptr<Memory> memory = guest->instance->memory_owners[0];
  guest.reset();
  module.reset();
  EXPECT_EQ(memory->base[1], 'b');
  EXPECT_FALSE(image.expired());
  memory.reset();
  EXPECT_TRUE(image.expired());
  Guest next(host, host.load("(module (memory 1))"));
  EXPECT_EQ(differences(next.memory(), 0, ""), 0u);
}

TEST_P(MemoryPoolTest, TrimGivesImagesBack) {
  auto pool = make_pool(options(2));
  Host host(pool);
  const std::string data = letters(5000);
  const auto module = host.load(module_with_data(0, data));
  {
    Guest guest(host, module);
  }
  const std::weak_ptr<const MemoryImage> image = ModuleImages::get(*module, false)->memories[0];
  EXPECT_EQ(image.use_count(), 2);
  pool->trim();
  EXPECT_EQ(image.use_count(), 1);
  Guest guest(host, module);
  EXPECT_EQ(differences(guest.memory(), 0, data), 0u);
}

TEST(MemoryPool, Exhaustion) {
  if (!guard_pages_available()) GTEST_SKIP();
  MemoryPool::Options options;
  options.slots = 2;
  options.total_bytes = 5 * kPage;
  auto pool = make_pool(options);
  Host host(pool);
  const auto module = host.load("(module (memory 2))");
  {
    Guest a(host, module), b(host, module);
    ASSERT_TRUE(a.instance && b.instance);
    EXPECT_EQ(pool->slots_in_use(), 2u);
    EXPECT_EQ(pool->bytes_in_use(), 4 * kPage);
    EXPECT_EQ(a.memory().grow(1), 2u);
    EXPECT_EQ(b.memory().grow(1), ~uint64_t{0});
    Store store(host.engine);
    auto third = store.instantiate(module, {});
    ASSERT_FALSE(third.ok());
    EXPECT_EQ(third.error().kind, ErrorKind::Exhaustion);
    EXPECT_EQ(third.error().message, "the memory pool's ceiling on bytes is reached");
    auto empty = store.instantiate(host.load("(module (memory 0))"), {});
    ASSERT_FALSE(empty.ok());
    EXPECT_EQ(empty.error().kind, ErrorKind::Exhaustion);
    EXPECT_EQ(empty.error().message, "all slots of the memory pool are in use");
  }
  EXPECT_EQ(pool->slots_in_use(), 0u);
  EXPECT_EQ(pool->bytes_in_use(), 0u);
  Guest again(host, module);
  EXPECT_TRUE(again.instance);
}

TEST(MemoryPool, BadOptions) {
  MemoryPool::Options options;
  options.slots = 0;
  EXPECT_FALSE(MemoryPool::create(options).ok());
  if (!guard_pages_available()) GTEST_SKIP();
  options.slots = 1u << 30;
  auto pool = MemoryPool::create(options);
  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().kind, ErrorKind::Exhaustion);
}

TEST(MemoryPool, OtherMemoriesAreMadeElsewhere) {
  if (!guard_pages_available()) GTEST_SKIP();
  MemoryPool::Options options;
  options.slots = 1;
  auto pool = make_pool(options);
  Host host(pool);
  Guest guest(host, host.load(R"((module (memory i64 1) (memory 1 2 shared)
    (data (memory 0) (i64.const 3) "x") (data (memory 1) (i32.const 4) "y")))"));
  ASSERT_TRUE(guest.instance) << guest.error;
  EXPECT_EQ(pool->slots_in_use(), 0u);
  EXPECT_EQ(guest.instance->memories[0]->base[3], 'x');
  EXPECT_EQ(guest.instance->memories[1]->base[4], 'y');
}

TEST(MemoryPool, MemoriesOutliveEngineAndPool) {
  if (!guard_pages_available()) GTEST_SKIP();
  std::shared_ptr<Memory> memory;
  {
    MemoryPool::Options options;
    options.slots = 1;
    Host host(make_pool(options));
    Guest guest(host, host.load(module_with_data(0, letters(5000))));
    memory = guest.instance->memory_owners[0];
  }
  EXPECT_EQ(memory->base[0], 'a');
  memory->base[0] = 1;
  EXPECT_EQ(memory->grow(1), 2u);
}

TEST(MemoryPool, FiveThousandInstances) {
  if (!guard_pages_available()) GTEST_SKIP();
  constexpr uint32_t kCount = 5000;
  MemoryPool::Options options;
  options.slots = kCount;
  auto pool = MemoryPool::create(options);
  if (!pool.ok()) GTEST_SKIP() << pool.error().message;
  Host host(*pool);
  const std::string data = letters(5000);
  const auto module =
      host.load(module_with_data(70000, data, R"((func (export "mark") (param i32) (result i32)
    (i32.store (i32.const 70000) (local.get 0)) (memory.grow (i32.const 1)))
    (func (export "read") (result i32) (i32.load (i32.const 70000)))
    (func (export "stray") (result i32) (i32.load (i32.const 196605))))"));
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<Guest>> guests;
    for (uint32_t i = 0; i < kCount; ++i) {
      guests.push_back(std::make_unique<Guest>(host, module));
      ASSERT_TRUE(guests.back()->instance) << i << ": " << guests.back()->error;
      // Left untouched by whoever had the slot in the first round.
      ASSERT_EQ(guests.back()->number("read"), 0x64636261);
      ASSERT_EQ(guests.back()->number("mark", {Value::i32(int32_t(i))}), 2);
    }
    EXPECT_EQ((*pool)->slots_in_use(), kCount);
    for (uint32_t i = 0; i < kCount; ++i) {
      ASSERT_EQ(guests[i]->number("read"), int32_t(i));
      if (i % 500 == 0) EXPECT_FALSE(guests[i]->call("stray").ok());
    }
  }
}

}  // namespace
}  // namespace wafer::runtime
