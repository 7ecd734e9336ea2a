// A host function that finishes later, while the guest waits; two guests take turns.
#include <cstdio>
#include <deque>
#include <vector>

#include "wafer/async.hpp"
#include "wafer/wafer.hpp"
#include "wafer/wat.hpp"

int main() {
  wafer::Engine engine;
  auto module = wafer::compile_wat(engine, R"((module
    (import "host" "read" (func $read (param i32) (result i32)))
    (func (export "total") (param $from i32) (result i32)
      (i32.add (call $read (local.get $from))
               (call $read (i32.add (local.get $from) (i32.const 1)))))))");
  if (!module.ok()) return 1;

  wafer::Store store(engine);
  wafer::Linker linker(engine);
  // What the guests wait for. A real host would answer from its event loop, or from a thread.
  std::deque<std::pair<int32_t, wafer::Promise<int32_t>>> requests;
  if (!linker
           .func_wrap("host", "read",
                      [&](wafer::Promise<int32_t> answer, int32_t key) {
                        std::printf("asked for %d\n", key);
                        requests.emplace_back(key, std::move(answer));
                      })
           .ok())
    return 1;
  auto instance = linker.instantiate(store, *module);
  auto total = instance.ok() ? instance->func("total") : instance.take_error();
  if (!total.ok()) return 1;

  std::vector<wafer::Computation> guests;
  for (const int32_t from : {10, 20}) {
    auto guest = wafer::Computation::start(*total, {wafer::Val(from)});
    if (!guest.ok()) return 1;
    guests.push_back(*std::move(guest));
  }
  for (auto& guest : guests) guest.resume();
  while (!requests.empty()) {
    auto [key, answer] = std::move(requests.front());
    requests.pop_front();
    answer.set(key * 100);
    for (auto& guest : guests) guest.resume();
  }
  for (auto& guest : guests) {
    auto results = guest.result();
    if (!results.ok()) return 1;
    std::printf("total %d\n", (*results)[0].i32());
  }
}
