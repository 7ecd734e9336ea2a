// The type registry of small systems without collected objects: it gives equal ids to the same
// types and to no others, and takes as long for the last of many as for the first.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "wasm/type_registry.h"

namespace wafer::wasm {

namespace {

// Types are lone, so that this is the index of each to itself.
constexpr uint32_t kItself = kMaxTypeIndex;

class SmallTypes : public testing::Test {
 protected:
  SmallTypes() {
    set_allocator({[](void*, size_t size, size_t) { return std::malloc(size); },
                   [](void*, void* p, size_t, size_t) { std::free(p); }, nullptr});
  }
  ~SmallTypes() override { delete registry; }
  uint32_t intern(const SubType& type) {
    auto id = registry->intern(&type, 1, kItself, canon);
    EXPECT_TRUE(id.ok());
    return id.ok() ? *id : ~0u;
  }
  clock_t time_of_twenty(uint32_t first);

  TypeRegistry* registry = new TypeRegistry;
  Vec<uint32_t> canon;  // indices are canonical
};

// The i-th of types of six values, of which `params` are parameters.
SubType numbered(uint32_t i, unsigned params) {
  const ValType kinds[] = {kI32, kI64, kF32, kF64};
  SubType type;
  for (unsigned k = 0; k < 6; ++k, i /= 4)
    (k < params ? type.func.params : type.func.results).push_back(kinds[i % 4]);
  return type;
}

SubType with_ref(uint32_t to, bool nullable) {
  SubType type;
  type.func.params.push_back(ValType::ref(HeapType::concrete(to), nullable));
  return type;
}

clock_t SmallTypes::time_of_twenty(uint32_t first) {
  const clock_t start = std::clock();
  for (uint32_t i = 0; i < 40'000; ++i) intern(numbered(first + i % 20, 6));
  return std::clock() - start;
}

TEST_F(SmallTypes, TheLastOfManyTakesAsLongAsTheFirst) {
  for (uint32_t round = 0; round < 2; ++round)
    for (uint32_t i = 0; i < 2000; ++i) EXPECT_EQ(intern(numbered(i, 6)), i);
  const clock_t first = time_of_twenty(0), last = time_of_twenty(1980);
  EXPECT_LT(last, first * 5);
}

TEST_F(SmallTypes, ParametersAreNoResults) {
  for (uint32_t round = 0; round < 2; ++round)
    for (uint32_t i = 0; i < 1400; ++i) EXPECT_EQ(intern(numbered(i / 7, i % 7)), i);
}

TEST_F(SmallTypes, ReferencesToTheTypeItself) {
  intern(numbered(0, 6));
  intern(numbered(1, 6));
  uint32_t id = 2;
  for (const bool nullable : {false, true}) {
    const uint32_t itself = intern(with_ref(kItself, nullable));
    EXPECT_EQ(itself, id++);
    EXPECT_EQ(intern(with_ref(kItself, nullable)), itself);
    for (const uint32_t to : {itself, 0u, 1u}) {
      const uint32_t other = intern(with_ref(to, nullable));
      EXPECT_EQ(other, id++);
      EXPECT_EQ(intern(with_ref(to, nullable)), other);
    }
  }
}

TEST_F(SmallTypes, PointersStayGood) {
  intern(numbered(0, 6));
  const CanonType* const first = registry->get(0);
  for (uint32_t i = 0; i < 4096; ++i) EXPECT_EQ(intern(numbered(i, 6)), i);
  EXPECT_EQ(registry->get(0), first);
  for (uint32_t i = 0; i < 4096; ++i) EXPECT_EQ(registry->get(i)->func, numbered(i, 6).func);
}

}  // namespace

}  // namespace wafer::wasm
