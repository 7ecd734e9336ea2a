// The garbage collector against a model of the heap.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "runtime/store.h"

namespace wafer::runtime {
namespace {

using wasm::CompKind;
using wasm::HeapKind;
using wasm::SubType;
using wasm::ValType;

struct Roots final : RootSource {
  std::vector<Ref> refs;
  void enumerate_roots(RootVisitor& visitor) override {
    for (Ref r : refs) visitor.visit(r);
  }
};

struct GcTest : testing::Test {
  wasm::TypeRegistry registry;
  Roots roots;
  const wasm::CanonType* node;   // struct (i32, anyref, anyref)
  const wasm::CanonType* refs;   // array of anyref
  const wasm::CanonType* bytes;  // array of i8

  GcTest() {
    SubType s;
    s.kind = CompKind::Struct;
    s.fields = {{wasm::kI32, true}, {wasm::kAnyRef, true}, {wasm::kAnyRef, true}};
    node = intern(s);
    SubType a;
    a.kind = CompKind::Array;
    a.fields = {{wasm::kAnyRef, true}};
    refs = intern(a);
    a.fields = {{ValType(wasm::TypeKind::I8), true}};
    bytes = intern(a);
  }
  const wasm::CanonType* intern(const SubType& t) {
    return registry.get(*registry.intern(&t, 1, 0, {}));
  }

  static void set(GcObject* o, size_t field, Ref r) {
    std::memcpy(o->payload() + o->type->field_offsets[field], &r, 8);
  }
  static Ref get(GcObject* o, size_t field) {
    Ref r;
    std::memcpy(&r, o->payload() + o->type->field_offsets[field], 8);
    return r;
  }
  static void set_id(GcObject* o, uint32_t id) { std::memcpy(o->payload(), &id, 4); }
  static uint32_t id(GcObject* o) {
    uint32_t v;
    std::memcpy(&v, o->payload(), 4);
    return v;
  }
  static GcObject* object(Ref r) { return reinterpret_cast<GcObject*>(r); }
};

TEST_F(GcTest, Layout) {
  EXPECT_EQ(node->ref_offsets, (Vec<uint32_t>{8, 16}));
  EXPECT_TRUE(refs->element_is_ref);
  EXPECT_EQ(refs->element_size, kRefSize);
  // References to functions are not the collector's business, also when the type
  // comes later in the same group.
  SubType group[3];
  group[0].kind = CompKind::Struct;
  group[0].fields = {{ValType::ref(wasm::HeapType::concrete(1), true), true},
                     {ValType::ref(wasm::HeapType::concrete(2), true), true},
                     {wasm::kFuncRef, true},
                     {wasm::kExternRef, true},
                     {wasm::kExnRef, true},
                     {ValType::ref(HeapKind::NoFunc, true), true}};
  group[1].kind = CompKind::Func;
  group[2].kind = CompKind::Array;
  group[2].fields = {{ValType::ref(wasm::HeapType::concrete(1), true), true}};
  const uint32_t first = *registry.intern(group, 3, 0, {});
  EXPECT_EQ(registry.get(first)->ref_offsets, (Vec<uint32_t>{8, 24, 32}));
  EXPECT_FALSE(registry.get(first + 2)->element_is_ref);
}

TEST_F(GcTest, LongListAndCycles) {
  GcHeap heap({.initial_threshold = 64 << 10});
  heap.add_root_source(&roots);
  roots.refs = {0};
  constexpr uint32_t kLength = 300000;
  for (uint32_t i = 0; i < kLength; ++i) {
    GcObject* o = heap.new_struct(node);
    ASSERT_TRUE(o);
    ASSERT_EQ(get(o, 1), kNullRef);
    set_id(o, i);
    set(o, 1, roots.refs[0]);
    set(o, 2, uintptr_t(o));
    roots.refs[0] = uintptr_t(o);
    heap.new_struct(node);  // garbage in between
  }
  heap.collect();
  uint32_t expect = kLength;
  for (Ref r = roots.refs[0]; r; r = get(object(r), 1)) {
    ASSERT_EQ(id(object(r)), --expect);
    ASSERT_EQ(object(r)->type, node);
  }
  EXPECT_EQ(expect, 0u);
  EXPECT_GT(heap.collections(), 2u);
  EXPECT_EQ(heap.live_bytes(), kLength * 32u);
  roots.refs.clear();
  heap.collect();
  EXPECT_EQ(heap.live_bytes(), 0u);
  EXPECT_LE(heap.held_bytes(), 128u << 10);
}

TEST_F(GcTest, RandomGraphAgainstModel) {
  for (size_t mark_stack : {size_t(8), size_t(1) << 20}) {
    GcHeap heap({.initial_threshold = 32 << 10, .mark_stack_entries = mark_stack});
    heap.add_root_source(&roots);
    // Objects by id; each slot of the model is an id or 0.
    struct Model {
      bool is_array;
      std::vector<uint32_t> slots;
      Ref ref;
    };
    std::map<uint32_t, Model> model;
    std::vector<uint32_t> root_ids(64, 0);
    roots.refs.assign(64, 0);
    std::mt19937 random(12345);
    uint32_t next_id = 1;
    auto write = [&](Model& m, size_t slot, uint32_t to) {
      m.slots[slot] = to;
      const Ref r = to ? model.at(to).ref : kNullRef;
      if (m.is_array)
        std::memcpy(static_cast<GcArray*>(object(m.ref))->elements() + slot * 8, &r, 8);
      else
        set(object(m.ref), slot + 1, r);
    };
    auto reachable = [&] {
      std::set<uint32_t> seen;
      std::vector<uint32_t> todo(root_ids.begin(), root_ids.end());
      while (!todo.empty()) {
        const uint32_t i = todo.back();
        todo.pop_back();
        if (!i || !seen.insert(i).second) continue;
        const Model& m = model.at(i);
        todo.insert(todo.end(), m.slots.begin(), m.slots.end());
      }
      return seen;
    };
    // Something reachable: a random walk from a root.
    auto pick = [&]() -> uint32_t {
      uint32_t i = root_ids[random() % root_ids.size()];
      for (unsigned steps = random() % 12; i && steps > 0; --steps) {
        const Model& m = model.at(i);
        if (m.slots.empty()) break;
        const uint32_t next = m.slots[random() % m.slots.size()];
        if (next) i = next;
      }
      return i;
    };
    for (int step = 0; step < 20000; ++step) {
      if (step % 500 == 0) {
        auto r = reachable();
        for (auto it = model.begin(); it != model.end();)
          it = r.count(it->first) ? std::next(it) : model.erase(it);
      }
      Model m;
      const unsigned shape = random() % 10;
      m.is_array = shape >= 6;
      if (m.is_array) {
        const uint64_t length = shape == 9 && random() % 8 == 0 ? random() % 6000 : random() % 40;
        GcArray* a = heap.new_array(refs, length);
        ASSERT_TRUE(a);
        for (uint64_t i = 0; i < length * 8; ++i) ASSERT_EQ(a->elements()[i], 0);
        m.ref = uintptr_t(a);
        m.slots.resize(length);
      } else {
        GcObject* o = heap.new_struct(node);
        ASSERT_TRUE(o);
        set_id(o, next_id);
        m.ref = uintptr_t(o);
        m.slots.resize(2);
      }
      const uint32_t self = next_id++;
      Model& placed = model[self] = m;
      for (size_t i = 0; i < placed.slots.size() && i < 20; ++i)
        write(placed, random() % placed.slots.size(), random() % 8 ? pick() : self);
      if (const uint32_t from = pick(); from && !model.at(from).slots.empty())
        write(model.at(from), random() % model.at(from).slots.size(), random() % 4 ? pick() : 0);
      const unsigned at = random() % root_ids.size();
      root_ids[at] = random() % 8 ? self : 0;
      roots.refs[at] = root_ids[at] ? placed.ref : kNullRef;
      if (step % 997 == 0) heap.collect();
    }
    heap.collect();
    size_t count = 0;
    for (uint32_t i : reachable()) {
      const Model& m = model.at(i);
      ++count;
      ASSERT_EQ(object(m.ref)->type, m.is_array ? refs : node);
      if (!m.is_array) ASSERT_EQ(id(object(m.ref)), i);
      for (size_t s = 0; s < m.slots.size(); ++s) {
        Ref r;
        if (m.is_array)
          std::memcpy(&r, static_cast<GcArray*>(object(m.ref))->elements() + s * 8, 8);
        else
          r = get(object(m.ref), s + 1);
        ASSERT_EQ(r, m.slots[s] ? model.at(m.slots[s]).ref : kNullRef);
      }
    }
    EXPECT_GT(count, 20u);
    EXPECT_GT(heap.collections(), 5u);
    heap.remove_root_source(&roots);
  }
}

// A graph of which nothing may be lost when the mark stack is tiny.
TEST_F(GcTest, MarkStackOverflow) {
  GcHeap heap({.initial_threshold = size_t(1) << 30, .mark_stack_entries = 8});
  heap.add_root_source(&roots);
  GcArray* outer = heap.new_array(refs, 2000);
  roots.refs = {uintptr_t(outer)};
  size_t bytes = heap.live_bytes();
  for (size_t i = 0; i < 2000; ++i) {
    GcArray* inner = heap.new_array(refs, i % 7 == 0 ? 600 : 3);
    Ref r = uintptr_t(inner);
    std::memcpy(outer->elements() + i * 8, &r, 8);
    for (size_t k = 0; k < inner->length; ++k) {
      GcObject* leaf = heap.new_struct(node);
      set_id(leaf, uint32_t(i));
      r = uintptr_t(leaf);
      std::memcpy(inner->elements() + k * 8, &r, 8);
    }
  }
  bytes = heap.live_bytes();
  heap.collect();
  EXPECT_EQ(heap.live_bytes(), bytes);
}

TEST_F(GcTest, FullHeapRecovers) {
  for (size_t max : {size_t(64) << 10, size_t(1) << 20, size_t(8) << 20}) {
    GcHeap heap({.max_bytes = max});
    heap.add_root_source(&roots);
    for (int round = 0; round < 3; ++round) {
      roots.refs = {0};
      size_t count = 0;
      while (GcObject* o = heap.new_struct(node)) {
        set(o, 1, roots.refs[0]);
        roots.refs[0] = uintptr_t(o);
        ++count;
        ASSERT_LE(heap.held_bytes(), max);
      }
      EXPECT_GT(count * 32, max * 9 / 10) << max;
      EXPECT_EQ(heap.new_array(bytes, 100000), nullptr);
      roots.refs = {};
      // A large array must be possible where small objects were.
      EXPECT_NE(heap.new_array(bytes, max / 2), nullptr);
      EXPECT_NE(heap.new_struct(node), nullptr);
    }
    EXPECT_EQ(heap.new_array(refs, ~uint64_t{0}), nullptr);
    EXPECT_EQ(heap.new_array(refs, uint64_t{1} << 61), nullptr);
    EXPECT_EQ(heap.new_array(bytes, max), nullptr);
    EXPECT_NE(heap.new_array(bytes, 10), nullptr);
    heap.remove_root_source(&roots);
  }
}

TEST_F(GcTest, AllSizesAreZeroedAndDisjoint) {
  GcHeap heap({.initial_threshold = 128 << 10});
  heap.add_root_source(&roots);
  std::mt19937 random(7);
  roots.refs.assign(200, 0);
  for (int i = 0; i < 20000; ++i) {
    const uint64_t length = random() % 3 ? random() % 300 : random() % 20000;
    GcArray* a = heap.new_array(bytes, length);
    ASSERT_TRUE(a);
    for (uint64_t k = 0; k < length; ++k) ASSERT_EQ(a->elements()[k], 0);
    std::memset(a->elements(), int(i % 255) + 1, length);
    Ref& slot = roots.refs[random() % roots.refs.size()];
    if (slot) {
      auto* old = static_cast<GcArray*>(object(slot));
      for (uint64_t k = 1; k < old->length; ++k) ASSERT_EQ(old->elements()[k], old->elements()[0]);
    }
    slot = uintptr_t(a);
    ASSERT_TRUE(heap.owns(slot));
  }
  EXPECT_GT(heap.collections(), 10u);
  EXPECT_FALSE(heap.owns(uintptr_t(&heap)));
  EXPECT_FALSE(heap.owns(make_i31(4)));
}

TEST_F(GcTest, FinalizersRunOnce) {
  static int count;
  count = 0;
  auto finalize = [](void* data) { count += *static_cast<int*>(data); };
  int one = 1;
  {
    GcHeap heap({});
    heap.add_root_source(&roots);
    for (int i = 0; i < 10; ++i)
      roots.refs.push_back(uintptr_t(heap.new_host_object(&one, finalize)));
    heap.collect();
    EXPECT_EQ(count, 0);
    roots.refs.resize(4);
    heap.collect();
    EXPECT_EQ(count, 6);
    heap.collect();
    EXPECT_EQ(count, 6);
    EXPECT_TRUE(ref_matches(registry, roots.refs[0], HeapKind::Any));
    EXPECT_FALSE(ref_matches(registry, roots.refs[0], HeapKind::Eq));
    EXPECT_FALSE(ref_matches(registry, roots.refs[0], HeapKind::Struct));
  }
  EXPECT_EQ(count, 10);
}

TEST_F(GcTest, ExceptionsKeepTheirArguments) {
  GcHeap heap({});
  heap.add_root_source(&roots);
  wasm::FuncType type;
  type.params = {wasm::kV128, wasm::kFuncRef, wasm::kAnyRef, wasm::kI32};
  TagInst tag;
  tag.type = registry.get(registry.intern_func(type));
  tag.ref_slots = {3};
  GcException* e = heap.new_exception(&tag);
  GcObject* arg = heap.new_struct(node);
  set_id(arg, 77);
  e->args()[0] = 0xDEADBEE0;  // not references: must not be followed
  e->args()[2] = 0xDEADBEE0;
  e->args()[3] = uintptr_t(arg);
  e->args()[4] = 0xDEADBEE0;
  roots.refs = {uintptr_t(e)};
  heap.collect();
  EXPECT_EQ(heap.live_bytes(), 64u + 32u);
  EXPECT_EQ(id(arg), 77u);
}

}  // namespace
}  // namespace wafer::runtime
