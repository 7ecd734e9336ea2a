// Memories, tables, the store, const expressions and the linker.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "module_bytes.h"
#include "runtime/backtrace.h"
#include "runtime/linker.h"
#include "runtime/store.h"
#include "wasm/instr.h"

namespace wafer::runtime {
namespace {

using wasm::ExternKind;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::ValType;

// A tier whose functions answer with 42; notes what it saw.
struct FakeTier final : Tier {
  int attached = 0, detached = 0;
  bool fail = false;
  static TrapCode run(Store& store, FuncInst* func, Slot* slots) {
    if (func->user_data == 666) return store.set_trap(TrapCode::Unreachable);
    slots[0] = 42;
    return TrapCode::None;
  }
  Result<void> attach(Instance& instance) override {
    ++attached;
    if (fail) return Error(ErrorKind::Exhaustion, "no code for you");
    for (FuncInst& f : instance.own_funcs) f.call = run;
    return {};
  }
  void detach_store(Store&) override { ++detached; }
};

struct StoreTest : testing::Test {
  FakeTier tier;
  std::shared_ptr<Engine> engine = Engine::create({}, &tier);
  Store store{engine};

  std::shared_ptr<wasm::Module> load(const Code& bytes) {
    auto module = engine->load_module(bytes);
    EXPECT_TRUE(module.ok()) << module.error().message;
    return module.ok() ? *module : nullptr;
  }
  Instance* instantiate(const Code& bytes) {
    auto module = load(bytes);
    if (!module) return nullptr;
    auto instance = store.instantiate(module, {});
    EXPECT_TRUE(instance.ok()) << instance.error().message;
    return instance.ok() ? *instance : nullptr;
  }
};

wasm::MemoryType pages(uint64_t min, uint64_t max = 0, bool has_max = false) {
  wasm::MemoryType t;
  t.limits.min = min;
  t.limits.max = max;
  t.limits.has_max = has_max;
  return t;
}

// ---- Memory

TEST(Memory, GrowsWithinItsLimits) {
  for (bool guard : {true, false}) {
    auto r = Memory::create(pages(1, 3, true), {.guard_pages = guard});
    ASSERT_TRUE(r.ok());
    Memory& m = **r;
    EXPECT_EQ(m.mode() == MemoryMode::Guarded, guard && guard_pages_available());
    EXPECT_EQ(m.size_bytes(), 65536u);
    m.base[65535] = 7;
    uint8_t* const before = m.base;
    EXPECT_EQ(m.grow(2), 1u);
    if (m.mode() == MemoryMode::Guarded) EXPECT_EQ(m.base, before);
    EXPECT_EQ(m.base[65535], 7);
    EXPECT_EQ(m.base[65536], 0);
    EXPECT_EQ(m.base[3 * 65536 - 1], 0);
    EXPECT_EQ(m.grow(1), ~uint64_t{0});
    EXPECT_EQ(m.grow(~uint64_t{0}), ~uint64_t{0});
    EXPECT_EQ(m.grow(0), 3u);
    EXPECT_EQ(m.type().limits.min, 3u);
  }
}

TEST(Memory, EmbedderLimit) {
  EXPECT_FALSE(Memory::create(pages(3), {.max_bytes = 2 * 65536}).ok());
  auto r = Memory::create(pages(1), {.max_bytes = 2 * 65536});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)->grow(1), 1u);
  EXPECT_EQ((*r)->grow(1), ~uint64_t{0});
}

TEST(Memory, WholeAddressSpace) {
  auto r = Memory::create(pages(0), {});
  ASSERT_TRUE(r.ok());
  if ((*r)->mode() != MemoryMode::Guarded) GTEST_SKIP();
  EXPECT_EQ((*r)->grow(65537), ~uint64_t{0});
  EXPECT_EQ((*r)->grow(65536), 0u);
  (*r)->base[0xFFFFFFFF] = 1;
}

TEST(Memory, OnePageBytes) {
  wasm::MemoryType t = pages(0);
  t.page_size_log2 = 0;
  auto r = Memory::create(t, {});
  ASSERT_TRUE(r.ok());
  Memory& m = **r;
  EXPECT_EQ(m.mode(), MemoryMode::Checked);
  for (unsigned i = 0; i < 100000; ++i) {
    ASSERT_EQ(m.grow(1), i);
    ASSERT_EQ(m.base[i], 0);
    m.base[i] = uint8_t(i);
  }
  for (unsigned i = 0; i < 100000; ++i) ASSERT_EQ(m.base[i], uint8_t(i));
}

TEST(Memory, SixtyFourBit) {
  wasm::MemoryType t = pages(1);
  t.limits.is64 = true;
  auto r = Memory::create(t, {});
  ASSERT_TRUE(r.ok());
  EXPECT_EQ((*r)->mode(), MemoryMode::Checked);
  EXPECT_EQ((*r)->grow(uint64_t{1} << 48), ~uint64_t{0});
  (*r)->base[100] = 9;
  EXPECT_EQ((*r)->grow(100), 1u);
  EXPECT_EQ((*r)->base[100], 9);
}

TEST(Memory, RecycledReservationsAreZero) {
  for (int round = 0; round < 100; ++round) {
    const uint64_t n = uint64_t(round * 7 % 5);
    auto r = Memory::create(pages(n), {});
    ASSERT_TRUE(r.ok());
    Memory& m = **r;
    m.grow(1);
    for (uint64_t i = 0; i < m.size_bytes(); i += 1000) ASSERT_EQ(m.base[i], 0);
    std::memset(m.base, 0xAA, m.size_bytes());
  }
}

TEST(Memory, RegistryKnowsGuardedMemories) {
  const uint8_t* p;
  {
    auto r = Memory::create(pages(1), {});
    ASSERT_TRUE(r.ok());
    if ((*r)->mode() != MemoryMode::Guarded) GTEST_SKIP();
    p = (*r)->base;
    EXPECT_TRUE(address_in_guarded_memory(p));
    EXPECT_TRUE(address_in_guarded_memory(p + (uint64_t{8} << 30)));
    EXPECT_FALSE(address_in_guarded_memory(&r));
    EXPECT_DEATH((*r)->base[65536] = 1, "");
  }
  EXPECT_FALSE(address_in_guarded_memory(p));
}

TEST(Memory, BulkOperations) {
  auto r = Memory::create(pages(1), {});
  Memory& m = **r;
  EXPECT_EQ(m.fill(65535, 5, 1), TrapCode::None);
  EXPECT_EQ(m.fill(65535, 5, 2), TrapCode::MemoryOutOfBounds);
  EXPECT_EQ(m.fill(65536, 5, 0), TrapCode::None);
  EXPECT_EQ(m.fill(65537, 5, 0), TrapCode::MemoryOutOfBounds);
  EXPECT_EQ(m.fill(1, 5, ~uint64_t{0}), TrapCode::MemoryOutOfBounds);
  const uint8_t data[] = {1, 2, 3, 4};
  EXPECT_EQ(m.init(0, data, 1, 3), TrapCode::None);
  EXPECT_EQ(m.init(0, data, 2, 3), TrapCode::MemoryOutOfBounds);
  EXPECT_EQ(m.base[0], 2);
  EXPECT_EQ(Memory::copy(m, 1, m, 0, 3), TrapCode::None);
  EXPECT_EQ(m.base[3], 4);
  EXPECT_EQ(Memory::copy(m, 65534, m, 0, 3), TrapCode::MemoryOutOfBounds);
  EXPECT_EQ(m.slice(65536, 0).size(), 0u);
  EXPECT_EQ(m.slice(65530, 7).data(), nullptr);
}

TEST(Memory, WaitAndNotify) {
  wasm::MemoryType t = pages(1, 2, true);
  uint32_t out = 9;
  {
    auto unshared = Memory::create(t, {});
    EXPECT_EQ((*unshared)->atomic_wait(0, 0, false, 0, out), TrapCode::ExpectedSharedMemory);
    EXPECT_EQ((*unshared)->atomic_notify(0, 1, out), TrapCode::None);
    EXPECT_EQ(out, 0u);
  }
  t.limits.shared = true;
  for (bool guard : {true, false}) {
    auto r = Memory::create(t, {.guard_pages = guard});
    ASSERT_TRUE(r.ok());
    Memory& m = **r;
    EXPECT_EQ(m.atomic_wait(2, 0, false, 0, out), TrapCode::UnalignedAtomic);
    EXPECT_EQ(m.atomic_wait(4, 0, true, 0, out), TrapCode::UnalignedAtomic);
    EXPECT_EQ(m.atomic_wait(65536, 0, false, 0, out), TrapCode::MemoryOutOfBounds);
    EXPECT_EQ(m.atomic_wait(0, 1, false, -1, out), TrapCode::None);
    EXPECT_EQ(out, 1u);
    EXPECT_EQ(m.atomic_wait(0, 0, true, 1000000, out), TrapCode::None);
    EXPECT_EQ(out, 2u);
    std::vector<std::thread> threads;
    std::atomic<int> ok{0};
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        uint32_t result = 9;
        m.atomic_wait(8, 0, false, -1, result);
        ok += result == 0;
      });
    uint32_t total = 0;
    uint8_t* const base = m.base;
    EXPECT_EQ(m.grow(1), 1u);
    EXPECT_EQ(m.base, base);
    while (total < 4) {
      uint32_t woken = 0;
      EXPECT_EQ(m.atomic_notify(8, 3, woken), TrapCode::None);
      EXPECT_LE(woken, 3u);
      total += woken;
      std::this_thread::yield();
    }
    for (auto& t : threads) t.join();
    EXPECT_EQ(ok, 4);
  }
}

// ---- Table

TEST(Table, Operations) {
  wasm::TableType type;
  type.element = wasm::kExternRef;
  type.limits.min = 2;
  type.limits.max = 100;
  type.limits.has_max = true;
  auto r = Table::create(type, make_i31(5), 50, true);
  ASSERT_TRUE(r.ok());
  Table& t = **r;
  EXPECT_EQ(t.elements[1], make_i31(5));
  EXPECT_EQ(t.grow(3, kNullRef), 2u);
  EXPECT_EQ(t.elements[4], kNullRef);
  EXPECT_EQ(t.grow(46, kNullRef), ~uint64_t{0});
  EXPECT_EQ(t.grow(~uint64_t{0}, kNullRef), ~uint64_t{0});
  EXPECT_EQ(t.grow(45, make_i31(1)), 5u);
  EXPECT_EQ(t.size, 50u);
  EXPECT_EQ(t.type().limits.min, 50u);
  EXPECT_EQ(t.fill(48, make_i31(9), 2), TrapCode::None);
  EXPECT_EQ(t.fill(49, kNullRef, 2), TrapCode::TableOutOfBounds);
  EXPECT_EQ(Table::copy(t, 0, t, 48, 2), TrapCode::None);
  EXPECT_EQ(t.elements[1], make_i31(9));
  EXPECT_EQ(Table::copy(t, 0, t, 49, 2), TrapCode::TableOutOfBounds);
  const Ref items[] = {make_i31(1), make_i31(2)};
  EXPECT_EQ(t.init(49, items, 1, 1), TrapCode::None);
  EXPECT_EQ(t.elements[49], make_i31(2));
  EXPECT_EQ(t.init(49, items, 1, 2), TrapCode::TableOutOfBounds);
  EXPECT_FALSE(Table::create(type, 0, 1, true).ok());
}

// ---- Instantiation

TEST_F(StoreTest, ConstantExpressions) {
  // Types: 0 struct (i8, v128, (ref null 1), funcref), 1 array (mut i64), 2 func.
  const Code types = section(
      1, {1, 0x4E, 3, 0x5F, 4, 0x78, 0, 0x7B, 0, 0x63, 1, 0, 0x70, 0, 0x5E, 0x7E, 1, 0x60, 0, 0});
  const Code v128 = {0xFD, 0x0C, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  Instance* in = instantiate(module_bytes({
      types,
      section(3, {1, 2}),
      section(6, list({
                     // 0: i32 5 + 6 * -2
                     cat({{0x7F, 0, 0x41, 5, 0x41, 6, 0x41, 0x7E, 0x6C, 0x6A, 0x0B}}),
                     // 1: i64 global.get-free sub
                     cat({{0x7E, 0, 0x42, 3, 0x42, 10, 0x7D, 0x0B}}),
                     // 2: v128
                     cat({{0x7B, 0}, v128, {0x0B}}),
                     // 3: array.new_fixed 1, 2 of (7, 8)
                     cat({{0x64, 1, 0, 0x42, 7, 0x42, 8, 0xFB, 0x08, 1, 2, 0x0B}}),
                     // 4: struct.new of (300, v128, global 3, ref.func 0)
                     cat({{0x64, 0, 0},
                          {0x41, 0xAC, 0x02},
                          v128,
                          {0x23, 3, 0xD2, 0, 0xFB, 0x00, 0, 0x0B}}),
                     // 5: array.new 1 with 4 times 9
                     cat({{0x64, 1, 0, 0x42, 9, 0x41, 4, 0xFB, 0x06, 1, 0x0B}}),
                     // 6: ref.i31 -1 as anyref
                     cat({{0x6E, 0, 0x41, 0x7F, 0xFB, 0x1C, 0x0B}}),
                     // 7: f64
                     cat({{0x7C, 0, 0x44, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x0B}}),
                     // 8: globals of earlier globals
                     cat({{0x7F, 0, 0x23, 0, 0x41, 1, 0x6B, 0x0B}}),
                     // 9: externref of a default struct
                     cat({{0x6F, 0, 0xFB, 0x01, 0, 0xFB, 0x1B, 0x0B}}),
                 })),
      section(7, list({cat({name("f"), {0, 0}})})),
      section(10, list({Code{2, 0, 0x0B}})),
  }));
  ASSERT_TRUE(in);
  auto value = [&](int i) { return in->globals[i]->value; };
  EXPECT_EQ(value(0)[0], uint32_t(-7));
  EXPECT_EQ(value(1)[0], uint64_t(-7));
  EXPECT_EQ(std::memcmp(value(2), v128.data() + 2, 16), 0);
  // A collection must keep, and not move, what the globals hold.
  store.gc().collect();
  auto* array = reinterpret_cast<GcArray*>(value(3)[0]);
  EXPECT_EQ(array->length, 2u);
  EXPECT_EQ(load_le<uint64_t>(array->elements() + 8), 8u);
  auto* object = reinterpret_cast<GcObject*>(value(4)[0]);
  const auto& offsets = object->type->field_offsets;
  EXPECT_EQ(object->type->ref_offsets.size(), 1u);  // the array, not the function
  EXPECT_EQ(object->payload()[offsets[0]], 300 & 0xFF);
  EXPECT_EQ(std::memcmp(object->payload() + offsets[1], v128.data() + 2, 16), 0);
  EXPECT_EQ(load_le<uint64_t>(object->payload() + offsets[2]), value(3)[0]);
  EXPECT_EQ(load_le<uint64_t>(object->payload() + offsets[3]), uintptr_t(in->funcs[0]));
  auto* nines = reinterpret_cast<GcArray*>(value(5)[0]);
  EXPECT_EQ(nines->length, 4u);
  EXPECT_EQ(load_le<uint64_t>(nines->elements() + 24), 9u);
  EXPECT_EQ(i31_get_s(value(6)[0]), -1);
  EXPECT_EQ(value(7)[0], 0x3FF0000000000000u);
  EXPECT_EQ(value(8)[0], uint32_t(-8));
  const auto& registry = *engine->registry();
  EXPECT_TRUE(ref_matches(registry, value(9)[0], HeapKind::Struct));
  EXPECT_FALSE(ref_matches(registry, value(9)[0], HeapKind::Array));
  EXPECT_TRUE(ref_matches(registry, value(6)[0], HeapKind::Eq));
  EXPECT_TRUE(ref_matches(registry, value(6)[0], HeapKind::I31));
  EXPECT_FALSE(ref_matches(registry, value(6)[0], HeapKind::Struct));
  const auto& canon = in->module->canon;
  EXPECT_TRUE(ref_matches(registry, value(3)[0], HeapType::concrete(canon[1])));
  EXPECT_FALSE(ref_matches(registry, value(3)[0], HeapType::concrete(canon[0])));
  EXPECT_FALSE(ref_matches(registry, value(6)[0], HeapType::concrete(canon[0])));
  EXPECT_TRUE(ref_matches(registry, uintptr_t(in->funcs[0]), HeapType::concrete(canon[2])));
  EXPECT_FALSE(ref_matches(registry, kNullRef, HeapKind::Any));
}

TEST_F(StoreTest, SegmentsWriteUntilOneTraps) {
  // Table of 4, memory of one page, both imported; the third data segment is out of
  // bounds, the ones before it stay written.
  auto memory = store.new_memory(pages(1));
  ASSERT_TRUE(memory.ok());
  wasm::TableType table_type;
  table_type.element = wasm::kFuncRef;
  table_type.limits.min = 4;
  auto table = store.new_table(table_type, kNullRef);
  ASSERT_TRUE(table.ok());
  Extern imports[2];
  imports[0].kind = ExternKind::Table;
  imports[0].table = *table;
  imports[1].kind = ExternKind::Memory;
  imports[1].memory = memory->get();
  imports[1].memory_owner = *memory;
  auto data = [](int32_t at, std::string_view text) {
    return cat({{0}, i32_const(at), name(text)});
  };
  auto make = [&](int32_t elem_at) {
    return load(module_bytes({
        section(1, list({Code{0x60, 0, 1, 0x7F}})),
        section(2, list({cat({name("m"), name("t"), {1, 0x70, 0, 4}}),
                         cat({name("m"), name("mem"), {2, 0, 1}})})),
        section(3, {1, 0}),
        section(9, list({cat({{0}, i32_const(elem_at), {1, 0}}), cat({{1, 0, 2, 0, 0}})})),
        section(10, list({Code{4, 0, 0x41, 1, 0x0B}})),
        section(11, list({data(0, "abc"), data(65534, "xy"), data(65534, "pqr"), data(3, "d")})),
    }));
  };
  auto r = store.instantiate(make(3), imports);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().kind, ErrorKind::Trap);
  EXPECT_EQ(r.error().message, "out of bounds memory access");
  EXPECT_EQ(store.trap().code, TrapCode::MemoryOutOfBounds);
  EXPECT_EQ((*memory)->base[2], 'c');
  EXPECT_EQ((*memory)->base[65535], 'y');
  EXPECT_EQ((*memory)->base[3], 0);
  // The function in the table outlives its failed instantiation.
  auto* func = reinterpret_cast<FuncInst*>((*table)->elements[3]);
  ASSERT_TRUE(func);
  auto results = store.call(func, {});
  ASSERT_TRUE(results.ok());
  EXPECT_EQ((*results)[0].as_i32(), 42);
  auto r2 = store.instantiate(make(4), imports);
  ASSERT_FALSE(r2.ok());
  EXPECT_EQ(r2.error().message, "out of bounds table access");
  const Instance& last = *store.instances().back();
  EXPECT_EQ(last.memory0, memory->get());
}

TEST_F(StoreTest, PassiveSegmentsStay) {
  Instance* in = instantiate(module_bytes({
      section(1, list({Code{0x60, 0, 0}})),
      section(3, {1, 0}),
      section(4, list({Code{0x70, 0, 1}})),
      section(5, list({Code{0, 1}})),
      section(9, list({Code{1, 0, 2, 0, 0}, cat({{0}, i32_const(0), {1, 0}}), Code{3, 0, 1, 0}})),
      section(12, {2}),
      section(10, list({Code{2, 0, 0x0B}})),
      section(11, list({cat({{1}, name("xyz")}), cat({{0}, i32_const(0), name("q")})})),
  }));
  ASSERT_TRUE(in);
  EXPECT_EQ(in->elems[0].size(), 2u);
  EXPECT_TRUE(in->elems[1].empty());
  EXPECT_TRUE(in->elems[2].empty());
  EXPECT_EQ(in->data(0).size(), 3u);
  EXPECT_EQ(in->data(1).size(), 0u);
  EXPECT_EQ(in->tables[0]->elements[0], uintptr_t(in->funcs[0]));
}

TEST_F(StoreTest, ImportMatching) {
  wasm::FuncType i_i;
  i_i.params = {wasm::kI32};
  i_i.results = {wasm::kI32};
  auto nop = [](void*, CallContext&, Slot*) { return TrapCode::None; };
  FuncInst* f = store.new_host_func(i_i, nop, nullptr);
  auto importing = [&](Code type) {
    return load(module_bytes({section(1, list({Code{0x60, 0, 0}, Code{0x60, 1, 0x7F, 1, 0x7F}})),
                              section(2, list({cat({name("m"), name("n"), type})}))}));
  };
  auto try_one = [&](Code type, Extern e) -> String {
    auto r = store.instantiate(importing(type), {&e, 1});
    if (r.ok()) return "ok";
    EXPECT_EQ(r.error().kind, ErrorKind::Unlinkable);
    return r.error().message;
  };
  Extern e;
  e.func = f;
  EXPECT_EQ(try_one({0, 1}, e), "ok");
  EXPECT_EQ(try_one({0, 0}, e),
            "incompatible import type: \"m\" \"n\": expected func [] -> [], got func [i32] -> "
            "[i32]");
  EXPECT_EQ(try_one({3, 0x7F, 0}, e).rfind("incompatible import type", 0), 0u);

  Extern g;
  g.kind = ExternKind::Global;
  g.global = store.new_global({wasm::kI64, true}, Value::i64(1));
  EXPECT_EQ(try_one({3, 0x7E, 1}, g), "ok");
  EXPECT_NE(try_one({3, 0x7E, 0}, g), "ok");
  g.global = store.new_global({wasm::kFuncRef, false}, Value::ref(kNullRef, wasm::kFuncRef));
  EXPECT_EQ(try_one({3, 0x70, 0}, g), "ok");
  EXPECT_NE(try_one({3, 0x6F, 0}, g), "ok");

  auto memory = store.new_memory(pages(2, 4, true));
  Extern m;
  m.kind = ExternKind::Memory;
  m.memory = memory->get();
  EXPECT_EQ(try_one({2, 0, 2}, m), "ok");
  EXPECT_EQ(try_one({2, 1, 1, 4}, m), "ok");
  EXPECT_NE(try_one({2, 0, 3}, m), "ok");
  EXPECT_NE(try_one({2, 1, 1, 3}, m), "ok");
  (*memory)->grow(1);
  EXPECT_EQ(try_one({2, 0, 3}, m), "ok");
  if ((*memory)->mode() == MemoryMode::Guarded) {
    auto checked = Memory::create(pages(1), {.guard_pages = false});
    m.memory = checked->get();
    EXPECT_NE(try_one({2, 0, 1}, m), "ok");
  }

  auto none = store.instantiate(importing({0, 1}), {});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().message.rfind("unknown import", 0), 0u);
}

TEST_F(StoreTest, CallChecksArguments) {
  wasm::FuncType type;
  type.params = {wasm::kI32, wasm::kV128, ValType::ref(HeapKind::I31, false)};
  type.results = {wasm::kV128, wasm::kI32};
  FuncInst* f = store.new_host_func(
      type,
      [](void* env, CallContext& context, Slot* s) {
        if (s[0] == 1) return context.store.set_trap(TrapCode::HostError, "my message");
        if (s[0] == 2) return TrapCode::Unreachable;
        const Slot first = s[0] + i31_get_u(s[3]);
        s[0] = s[1];
        s[1] = s[2];
        s[2] = first;
        ++*static_cast<int*>(env);
        return TrapCode::None;
      },
      &tier.attached);
  Value v128{wasm::kV128, {11, 22}};
  auto call = [&](int a, Ref r) {
    Value args[] = {Value::i32(a), v128, Value::ref(r, wasm::kAnyRef)};
    return store.call(f, args);
  };
  auto r = call(40, make_i31(2));
  ASSERT_TRUE(r.ok()) << r.error().message;
  EXPECT_EQ((*r)[0].bits[1], 22u);
  EXPECT_EQ((*r)[1].as_i32(), 42);
  EXPECT_EQ(tier.attached, 1);
  EXPECT_EQ(call(40, kNullRef).error().kind, ErrorKind::Usage);
  EXPECT_EQ(call(1, make_i31(2)).error().message, "my message");
  EXPECT_EQ(call(2, make_i31(2)).error().message, "unreachable");
  EXPECT_EQ(store.call(f, {}).error().message, "wrong number of arguments: expected 3, got 0");
}

TEST_F(StoreTest, StartFunctionAndFailedAttach) {
  int calls = 0;
  FuncInst* start = store.new_host_func(
      wasm::FuncType{},
      [](void* env, CallContext& c, Slot*) {
        return ++*static_cast<int*>(env) > 1 ? c.store.set_trap(TrapCode::HostError, "again")
                                             : TrapCode::None;
      },
      &calls);
  Extern e;
  e.func = start;
  auto module =
      load(module_bytes({section(1, list({Code{0x60, 0, 0}})),
                         section(2, list({cat({name(""), name(""), {0, 0}})})), section(8, {0})}));
  EXPECT_TRUE(store.instantiate(module, {&e, 1}).ok());
  auto second = store.instantiate(module, {&e, 1});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().message, "again");
  const size_t before = store.instances().size();
  tier.fail = true;
  EXPECT_EQ(store.instantiate(module, {&e, 1}).error().message, "no code for you");
  EXPECT_EQ(store.instances().size(), before);
  EXPECT_EQ(calls, 2);
}

TEST_F(StoreTest, LimitsOfTheStore) {
  StoreLimits limits;
  limits.memory_bytes = 65536;
  limits.table_elements = 10;
  limits.instances = 1;
  Store small(engine, limits);
  EXPECT_EQ(small.new_memory(pages(2)).error().kind, ErrorKind::Exhaustion);
  wasm::TableType t;
  t.element = wasm::kFuncRef;
  t.limits.min = 11;
  EXPECT_EQ(small.new_table(t, kNullRef).error().kind, ErrorKind::Exhaustion);
  auto module = load(module_bytes({}));
  EXPECT_TRUE(small.instantiate(module, {}).ok());
  EXPECT_EQ(small.instantiate(module, {}).error().kind, ErrorKind::Exhaustion);
}

TEST_F(StoreTest, HandlesKeepObjectsAlive) {
  static int finalized;
  finalized = 0;
  auto finalize = [](void*) { ++finalized; };
  const uint32_t a = store.root(uintptr_t(store.gc().new_host_object(nullptr, finalize)));
  const uint32_t f = store.root(uintptr_t(store.new_host_func(wasm::FuncType{}, nullptr, nullptr)));
  store.gc().collect();
  EXPECT_EQ(finalized, 0);
  store.unroot(a);
  store.unroot(f);
  store.gc().collect();
  EXPECT_EQ(finalized, 1);
  EXPECT_NE(store.root(make_i31(1)), 0u);
  store.gc().collect();
}

TEST_F(StoreTest, ManyExports) {
  Code exports = number(300);
  for (int i = 0; i < 300; ++i)
    exports = cat({exports, name("g" + std::to_string(i)), {3}, number(unsigned(i) % 3)});
  Instance* in = instantiate(module_bytes({
      section(6, list({cat({{0x7F, 0}, i32_const(0)}), cat({{0x7F, 0}, i32_const(1)}),
                       cat({{0x7F, 0}, i32_const(2)})})),
      section(7, exports),
  }));
  ASSERT_TRUE(in);
  for (int i = 0; i < 300; ++i) {
    auto e = in->get_export("g" + std::to_string(i));
    ASSERT_TRUE(e);
    EXPECT_EQ(e->global->value[0], unsigned(i) % 3);
  }
  EXPECT_FALSE(in->get_export("g300"));
  EXPECT_FALSE(in->get_export(""));
}

// ---- Linker

TEST_F(StoreTest, LinkerResolvesAndRefuses) {
  static int released;
  released = 0;
  auto module = load(module_bytes({
      section(1, list({Code{0x60, 0, 1, 0x7F}})),
      section(2, list({cat({name("env"), name("f"), {0, 0}})})),
      section(7, list({cat({name("again"), {0, 0}})})),
  }));
  wasm::FuncType type;
  type.results = {wasm::kI32};
  int env = 7;
  auto callback = [](void* e, CallContext&, Slot* s) {
    s[0] = Slot(*static_cast<int*>(e));
    return TrapCode::None;
  };
  {
    Store second(engine);
    {
      Linker linker(engine);
      auto missing = linker.instantiate(store, module);
      ASSERT_FALSE(missing.ok());
      EXPECT_EQ(missing.error().kind, ErrorKind::Unlinkable);
      EXPECT_EQ(missing.error().message, "unknown import: \"env\" \"f\"");
      ASSERT_TRUE(
          linker.define_func("env", "f", type, callback, &env, [](void*) { ++released; }).ok());
      EXPECT_EQ(linker.define_func("env", "f", type, callback, &env).error().kind,
                ErrorKind::Usage);
      auto one = linker.instantiate(store, module);
      auto two = linker.instantiate(second, module);
      ASSERT_TRUE(one.ok() && two.ok());
      EXPECT_NE((*one)->funcs[0], (*two)->funcs[0]);
      EXPECT_EQ(linker.get(store, "env", "f")->func, (*one)->funcs[0]);
      ASSERT_TRUE(linker.define_instance("one", *one).ok());
      ASSERT_TRUE(linker.alias("one", "again", "other", "name").ok());
      EXPECT_FALSE(linker.alias("one", "nothing", "other", "name2").ok());
      EXPECT_EQ(linker.get(store, "other", "name")->func, (*one)->funcs[0]);
      EXPECT_FALSE(linker.get(store, "other", "names"));
      linker.allow_shadowing(true);
      EXPECT_TRUE(linker.define("env", "f", *linker.get(store, "one", "again")).ok());
    }
    // The second store still uses the environment.
    auto e = second.instances()[0]->get_export("again");
    EXPECT_EQ((*second.call(e->func, {}))[0].as_i32(), 7);
    EXPECT_EQ(released, 0);
  }
}

TEST_F(StoreTest, LinkerReleasesEnvironments) {
  static int released;
  released = 0;
  {
    Linker linker(engine);
    ASSERT_TRUE(
        linker.define_func("a", "b", wasm::FuncType{}, nullptr, nullptr, [](void*) { ++released; })
            .ok());
    Store other(engine);
    linker.get(other, "a", "b");
    linker.get(other, "a", "b");
  }
  EXPECT_EQ(released, 1);
}

TEST_F(StoreTest, UnknownImportsCanTrap) {
  auto module = load(module_bytes({
      section(1, list({Code{0x60, 0, 1, 0x7F}})),
      section(2, list({cat({name("env"), name("f"), {0, 0}})})),
  }));
  Linker linker(engine);
  linker.trap_on_unknown_imports(true);
  auto r = linker.instantiate(store, module);
  ASSERT_TRUE(r.ok());
  auto result = store.call((*r)->funcs[0], {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().message, "unknown import: \"env\" \"f\"");
}

// ---- Backtraces

TEST_F(StoreTest, FramesHaveNames) {
  auto module = load(module_bytes({
      section(1, list({Code{0x60, 0, 0}})),
      section(3, {2, 0, 0}),
      section(7, list({cat({name("exported"), {0, 1}})})),
      section(10, list({Code{2, 0, 0x0B}, Code{3, 0, 0x01, 0x0B}})),
      section(0, cat({name("name"), {0}, number(name("mod").size()), name("mod")})),
  }));
  ASSERT_TRUE(module);
  const uint32_t begin = module->functions[1].body.begin;
  EXPECT_EQ(function_at(*module, begin), 1u);
  EXPECT_EQ(function_at(*module, module->functions[0].body.begin), 0u);
  EXPECT_FALSE(function_at(*module, 3));
  EXPECT_FALSE(function_at(*module, uint32_t(module->bytes.size())));
  TrapInfo info;
  info.backtrace.push_back(make_frame(*module, 1, begin + 1, nullptr));
  describe(info, nullptr);
  ASSERT_EQ(info.backtrace.size(), 1u);
  const BacktraceFrame& frame = info.backtrace[0];
  EXPECT_EQ(frame.func_name, "exported");
  EXPECT_EQ(frame.module_name, "mod");
  EXPECT_EQ(frame.source, "");
  EXPECT_EQ(format_backtrace({&frame, 1}).rfind("  #0  mod!exported", 0), 0u)
      << format_backtrace({&frame, 1});
}

// "function source" of each frame, innermost first.
std::string dwarf_text(const wasm::Module& module, uint32_t offset) {
  uint64_t budget = 1'000'000;
  std::string out;
  for (const SourceFrame& f : dwarf_frames(module, offset, budget))
    out += std::string(f.function) + " " + std::string(f.source) + "\n";
  return out;
}

TEST_F(StoreTest, InlinedFunctions) {
  for (int version : {4, 5}) {
    auto module = load(module_with_lines(version, true));
    ASSERT_TRUE(module);
    const uint32_t code = module->functions[0].body.begin - 2;
    EXPECT_EQ(dwarf_text(*module, code + 2), "outer sub/a.c:10\n");
    EXPECT_EQ(dwarf_text(*module, code + 5),
              "_Z1av sub/a.c:12:3\nb sub/a.c:20:4\nouter sub/a.c:30:5\n");
    EXPECT_EQ(dwarf_text(*module, code + 7), "b sub/a.c:12:3\nouter sub/a.c:30:5\n");

    // In a backtrace: names are those that the demangler makes.
    TrapInfo info;
    info.backtrace.push_back(make_frame(*module, 0, code + 5, nullptr));
    describe(info, [](std::string_view name, String& out) {
      out = "readable";
      return name == "_Z1av";
    });
    ASSERT_EQ(info.backtrace.size(), 3u);
    EXPECT_EQ(info.backtrace[0].func_name, "readable");
    EXPECT_TRUE(info.backtrace[0].inlined);
    EXPECT_EQ(info.backtrace[1].func_name, "b");
    EXPECT_FALSE(info.backtrace[2].inlined);
    EXPECT_EQ(info.backtrace[2].func_name, "f");
    EXPECT_EQ(info.backtrace[2].source, "sub/a.c:30:5");
    describe(info, nullptr);  // is done already
    EXPECT_EQ(info.backtrace.size(), 3u);
  }
}

std::string dwarf_location(const wasm::Module& module, uint32_t offset) {
  uint64_t budget = 1'000'000;
  const Vec<SourceFrame> frames = dwarf_frames(module, offset, budget);
  return frames.empty() ? std::string() : std::string(std::string_view(frames[0].source));
}

TEST_F(StoreTest, SourcePositions) {
  for (int version : {4, 5}) {
    const Code bytes = module_with_lines(version);
    auto module = load(bytes);
    ASSERT_TRUE(module);
    const uint32_t code = module->functions[0].body.begin - 2;
    EXPECT_EQ(dwarf_location(*module, code + 1), "");
    EXPECT_EQ(dwarf_location(*module, code + 2), "sub/a.c:10");
    EXPECT_EQ(dwarf_location(*module, code + 3), "sub/a.c:10");
    EXPECT_EQ(dwarf_location(*module, code + 4), "sub/a.c:10");
    EXPECT_EQ(dwarf_location(*module, code + 5), "sub/a.c:12:3");
    EXPECT_EQ(dwarf_location(*module, code + 7), "sub/a.c:12:3");
    EXPECT_EQ(dwarf_location(*module, code + 8), "");
    EXPECT_EQ(dwarf_location(*module, 0), "");
    EXPECT_EQ(dwarf_location(*module, ~0u), "");
    TrapInfo info;
    info.backtrace.push_back(make_frame(*module, 0, code + 5, nullptr));
    describe(info, nullptr);
    ASSERT_EQ(info.backtrace.size(), 1u);
    EXPECT_EQ(info.backtrace[0].source, "sub/a.c:12:3");
    // Nothing is read beyond the budget.
    uint64_t little = 3;
    EXPECT_TRUE(dwarf_frames(*module, code + 5, little).empty());
  }
}

TEST_F(StoreTest, BrokenDebugSectionsDoNoHarm) {
  for (int version : {4, 5}) {
    const Code bytes = module_with_lines(version, true);
    auto module = load(bytes);
    ASSERT_TRUE(module);
    const uint32_t code = module->functions[0].body.begin - 2;
    for (wasm::CustomSection& section : module->customs) {
      const wasm::ByteRange range = section.payload;
      for (uint32_t at = range.begin; at < range.end; ++at) {
        const uint8_t before = module->owned_bytes[at];
        for (int change = 1; change < 256; change += 2) {
          module->owned_bytes[at] = uint8_t(before + change);
          dwarf_location(*module, code + 5);
        }
        module->owned_bytes[at] = before;
      }
      // Cut short anywhere.
      for (uint32_t end = range.begin; end < range.end; ++end) {
        section.payload.end = end;
        dwarf_location(*module, code + 5);
      }
      section.payload.end = range.end;
    }
  }
}

}  // namespace
}  // namespace wafer::runtime
