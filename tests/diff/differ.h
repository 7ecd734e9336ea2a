// Runs modules in several tiers and compares all that can be seen of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compiler/tier.h"
#include "runtime/store.h"

namespace wafer::diff {

// A tier to compare.
struct TierUnderTest {
  std::string name;
  runtime::Tier* tier = nullptr;
  std::shared_ptr<void> owner;
  // Waits for code that is made in the background, so that the next calls run it.
  std::function<void()> settle = [] {};
  // False where code may leave out traps of unused accesses (CodeOptions::relaxed_traps):
  // it is compared up to the first trap.
  bool precise = true;
  // False if it counts fuel in its own way: it is compared until some runs out.
  bool counts_fuel = true;
  bool waits = true;  // for fuel, and when it is interrupted
};

// The names that make_tier() knows:
//   interp, baseline, llvm, auto  - the tiers, where in auto few calls make a module hot;
//   auto-parts                    - functions and loops are optimized one by one, at the
//                                   moment when they are hot;
//   llvm-relaxed                  - with relaxed traps;
//   llvm-0, llvm-1, llvm-3        - other levels of optimization;
//   reference                     - none of the engine's, but the evaluator in reference/.
std::span<const std::string_view> tier_names();
// Unsupported if this build or processor lacks it.
Result<TierUnderTest> make_tier(std::string_view name);

// What the seed chooses beside the module.
struct RunOptions {
  uint64_t seed = 0;  // of arguments and engine settings
  uint32_t rounds = 3;
};

// A call and what came of it.
struct Event {
  std::string call;
  std::string outcome;
  std::vector<std::string> state;  // see describe_state()
  runtime::TrapCode trap = runtime::TrapCode::None;
};

struct Trace {
  std::optional<Error> refused;  // a module does not load or link
  std::vector<Event> events;     // instantiations first
  bool cut = false;              // ended early by the limit on instructions
};

// Instantiates the modules, of which later ones may import from the first, and calls every
// exported function a few times. With `limit`, no more than about so many instructions are
// executed at a time, as counted by the engine; 0: no limit and no counting.
Trace run(const TierUnderTest& tier, std::span<const Vec<uint8_t>> modules,
          const RunOptions& options, int64_t limit = 0);

struct Mismatch {
  std::string call;
  std::string expected;
  std::string actual;
};

// The first difference between the reference and another trace, if there is one. A full
// heap or call stack ends the comparison: when it is full is a tier's own affair.
std::optional<Mismatch> compare(const TierUnderTest& reference_tier, const Trace& reference,
                                const TierUnderTest& other_tier, const Trace& other);

}  // namespace wafer::diff
