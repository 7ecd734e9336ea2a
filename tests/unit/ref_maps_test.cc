// Maps of references, of which there may be as many as there are safepoints: what they take grows
// with the body. (That they are right shows in wast/gc_pressure and wast/exceptions.)
#include <gtest/gtest.h>

#include <functional>

#include "interp/code.h"
#include "interp/interp.h"
#include "runtime/store.h"
#include "wat/wat.h"

namespace wafer {
namespace {

std::string repeat(size_t n, const std::function<std::string(size_t)>& item) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += item(i);
  return out;
}

// Nodes of maps, and points of the side table, that function 1 has.
size_t map_nodes(const std::string& text, bool in_place) {
  auto bytes = wat::parse_wat(text);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  const auto engine =
      runtime::Engine::create({}, in_place ? interp::in_place_tier() : interp::tier());
  auto module = engine->load_module(*bytes);
  EXPECT_TRUE(module.ok()) << module.error().message;
  interp::ModuleCodeImpl code(**module, *engine, in_place);
  EXPECT_TRUE(code.ensure(code.funcs[1]));
  return code.funcs[1].ref_maps.size() + code.funcs[1].ref_points.size();
}

TEST(RefMaps, GrowWithTheBody) {
  const auto function = [](size_t locals, const std::string& body) {
    return "(module (func $f) (func (local " + repeat(locals, [](size_t) { return "externref "; }) +
           ")" + body + "))";
  };
  const auto get = [](size_t i) { return "(local.get " + std::to_string(i) + ")"; };
  const auto call = [](size_t) { return std::string("(call $f)"); };
  const auto drop = [](size_t) { return std::string("(drop)"); };
  const std::pair<const char*, std::function<std::string(size_t)>> shapes[] = {
      {"many references, then many calls",
       [&](size_t n) {
         return function(
             1, repeat(n, [&](size_t) { return get(0); }) + repeat(n, call) + repeat(n, drop));
       }},
      {"a call after each",
       [&](size_t n) {
         return function(1,
                         repeat(n, [&](size_t i) { return get(0) + call(i); }) + repeat(n, drop));
       }},
      {"calls as they go",
       [&](size_t n) {
         return function(1, repeat(n, [&](size_t) { return get(0); }) +
                                repeat(n, [&](size_t i) { return call(i) + drop(i); }));
       }},
      // Those below get their slots one by one, when their locals change.
      {"locals that change below them",
       [&](size_t n) {
         return function(n + 1, repeat(n, get) + repeat(n, [&](size_t) {
                                  return "(block (result externref) " + get(n) + ")";
                                }) + repeat(n, [&](size_t i) {
                                  return "(local.set " + std::to_string(i) + " (ref.null extern))" +
                                         call(i);
                                }) + repeat(2 * n, drop));
       }},
      {"blocks with references under them",
       [&](size_t n) {
         return function(1, repeat(n, [&](size_t) { return get(0); }) + repeat(n, [&](size_t i) {
                              return "(block (call $f) (br_if 0 (i32.const 0)))" + call(i);
                            }) + repeat(n, drop));
       }},
  };
  for (const auto& [name, make] : shapes) {
    for (const bool in_place : {false, true}) {
      const size_t small = map_nodes(make(300), in_place), large = map_nodes(make(1200), in_place);
      EXPECT_GT(small, 0u) << name;
      EXPECT_LE(large, 4 * small + 100) << name << (in_place ? " in place" : "");
      EXPECT_LE(large, 1200 * 20u) << name << (in_place ? " in place" : "");
    }
  }
}

}  // namespace
}  // namespace wafer
