#include "differ.h"

#include "chooser.h"
#include "compiler/llvm_loader.h"
#include "describe.h"
#include "generator.h"
#include "host.h"
#include "interp/interp.h"
#include "reference/evaluator.h"
#include "runtime/async.h"
#include "wasm/type_registry.h"
#if WAFER_HAS_BASELINE
#include "compiler/tiering/tiering.h"
#include "compiler/tiers/tiers.h"
#endif
#if WAFER_HAS_OPTIMIZING
#include "compiler/optimizing/compiler.h"
#endif

namespace wafer::diff {

using namespace runtime;
using wasm::CompKind;
using wasm::ExternKind;
using wasm::HeapKind;
using wasm::TypeKind;
using wasm::ValType;

namespace {

// Calls and rounds of loops after which the tiering tiers optimize: few, so that every
// module runs in both kinds of code.
constexpr uint32_t kHeat = 6;

constexpr std::string_view kNames[] = {"interp", "in-place",  "baseline",   "llvm",
                                       "auto",   "reference", "auto-parts", "llvm-relaxed",
                                       "llvm-0", "llvm-1",    "llvm-3",     "optimizing"};
constexpr std::string_view kFuelUsed = "fuel used: ";

compiler::TierOptions llvm_options(bool precise, unsigned opt_level = 2) {
  compiler::TierOptions options;
  options.compile.code.relaxed_traps = !precise;
  options.compile.opt_level = opt_level;
  options.compile.threads = 1;
  options.backend = compiler::load_llvm_backend;
  return options;
}

Config config_of(const RunOptions& options, int64_t limit) {
  Chooser c(mix(options.seed));
  Config config;
  config.guard_pages = !c.one_in(4);
  config.interruptible = c.one_in(8);
  config.consume_fuel = c.one_in(8) || limit;
  config.memory_images = c.one_in(2);
  for (const wasm::Feature f : {wasm::Feature::StackSwitching, wasm::Feature::CustomDescriptors,
                                wasm::Feature::LegacyExceptions})
    config.features.set(f);
  return config;
}

StoreLimits store_limits() {
  StoreLimits limits;
  limits.memory_bytes = 1u << 20;
  limits.table_elements = 1000;
  limits.gc_heap_bytes = 16u << 20;
  return limits;
}

// Modules in one store.
class Runner {
 public:
  Runner(const TierUnderTest& tier, const RunOptions& options, int64_t limit)
      : tier_(tier),
        options_(options),
        limit_(limit),
        engine_(Engine::create(config_of(options, limit), tier.tier)),
        store_(engine_, store_limits()),
        host_(store_) {
    // Of every call: more than bounded code can take, or so little that some runs out.
    Chooser c(options.seed);
    fuel_ = limit ? limit : c.one_in(3) ? c.between(20, 2000) : int64_t(1) << 40;
    if (tier.waits && !limit && c.one_in(2)) dose_ = c.between(1, 200);
  }

  Trace run(std::span<const Vec<uint8_t>> modules) {
    for (const Vec<uint8_t>& bytes : modules) {
      if (!instantiate(bytes)) return std::move(trace_);
      // Nothing can be linked with it.
      if (instances_.empty()) break;
    }
    for (uint32_t round = 0; round < options_.rounds && !trace_.cut; ++round) {
      for (Instance* instance : instances_)
        for (const wasm::Export& e : instance->module->exports)
          if (e.kind == ExternKind::Func && !trace_.cut) call(*instance, e, round);
      tier_.settle();
    }
    return std::move(trace_);
  }

 private:
  // False if that is refused, which generated modules are not.
  bool instantiate(Bytes bytes) {
    auto module = engine_->load_module(bytes);
    if (!module) {
      trace_.refused = module.take_error();
      return false;
    }
    auto imports = host_.imports_of(**module, instances_.empty() ? nullptr : instances_[0]);
    if (!imports) {
      trace_.refused = imports.take_error();
      return false;
    }
    Event event;
    event.call = "instantiation of module " + std::to_string(instances_.size());
    reset_bounds();
    auto instance = store_.instantiate(*module, *imports);
    if (instance) {
      instances_.push_back(*instance);
      if (auto callback = (*instance)->get_export(kCallbackExport))
        host_.set_callback(callback->func);
    } else if (instance.error().kind == ErrorKind::Trap) {
      stopped(event, instance.error());
    } else {
      trace_.refused = instance.take_error();
      return false;
    }
    finish(std::move(event));
    return true;
  }

  // Notes what ended a call early.
  void stopped(Event& event, const Error& error) {
    event.trap = store_.trap().code;
    event.outcome = "trap: " + std::string(error.message);
    if (event.trap == TrapCode::UncaughtException)
      event.outcome += ", " + describe_exception(store_);
    store_.pending_exception = kNullRef;
    trace_.cut = limit_ && event.trap == TrapCode::OutOfFuel;
  }

  void finish(Event event) {
    if (std::string log = host_.take_log(); !log.empty()) event.outcome += "; host: " + log;
    event.state = describe_state(store_);
    if (engine_->config().consume_fuel)
      event.state.push_back(std::string(kFuelUsed) + std::to_string(fuel_ - store_.fuel));
    trace_.events.push_back(std::move(event));
  }

  void reset_bounds() {
    store_.fuel = fuel_;
    if (instances_.empty()) return;
    // Of the first module; others share them.
    set_global(*instances_[0], kFuelExport, kFuel);
    set_global(*instances_[0], kDepthExport, 0);
    for (Instance* instance : instances_) set_global(*instance, kHandledExport, 0);
  }

  static void set_global(Instance& instance, std::string_view name, int32_t value) {
    auto global = instance.get_export(name);
    if (global && global->kind == ExternKind::Global) global->global->value[0] = uint32_t(value);
  }

  void call(const Instance& instance, const wasm::Export& e, uint32_t round) {
    FuncInst* func = instance.funcs[e.index];
    std::string name;
    if (&instance != instances_[0]) name = "second.";
    name += e.name;
    // From the name, so that a call stays the same when other exports are taken away.
    uint64_t seed = mix(options_.seed ^ mix(round));
    for (const char letter : name) seed = mix(seed ^ uint8_t(letter));
    Chooser chooser(seed);
    std::vector<Value> args;
    for (const ValType t : func->type->func.params) args.push_back(argument(chooser, t));
    reset_bounds();

    Event event;
    event.call = name + '(' + describe(store_, args) + ") in round " + std::to_string(round + 1);
    const auto results = dose_ ? call_in_doses(func, args) : store_.call(func, args);
    if (results) {
      event.outcome = describe(store_, *results);
      for (const Value& v : *results)
        if (v.type.is_ref()) keep(v);
    } else {
      stopped(event, results.error());
    }
    finish(std::move(event));
  }

  // A call that waits as often as it can: when it is interrupted, and for each of its fuel.
  Result<Vec<Value>> call_in_doses(FuncInst* func, std::span<const Value> args) {
    using Status = runtime::Computation::Status;
    WAFER_LET(call, runtime::Computation::create(store_, func, args));
    const bool counts = engine_->config().consume_fuel;
    int64_t left = counts ? std::exchange(store_.fuel, 0) : 0;
    if (engine_->config().interruptible) store_.interrupt();
    host_.set_waits(counts);
    for (Status s = call->resume(); s != Status::Finished;) {
      if (s == Status::Interrupted) {
        store_.interrupt_flag = 0;
      } else if (left == 0) {
        call->end();
        break;
      } else {
        const int64_t dose = std::min(dose_, left);
        left -= dose;
        store_.fuel += dose;
      }
      s = call->resume();
    }
    store_.interrupt_flag = 0;
    host_.set_waits(false);
    store_.fuel += left;
    if (call->trap().code != TrapCode::None) return store_.trap_error();
    Vec<Value> results;
    const Slot* at = call->results().data();
    for (const ValType t : func->type->func.results) {
      results.push_back({t, {at[0], t == wasm::kV128 ? at[1] : 0}});
      at += wasm::slot_count(t);
    }
    return results;
  }

  // --- Arguments -----------------------------------------------------------------------

  Value argument(Chooser& c, ValType type) {
    Value v{type};
    switch (type.kind()) {
      case TypeKind::I32:
        v.bits[0] = uint32_t(number(c));
        return v;
      case TypeKind::I64:
        v.bits[0] = number(c);
        return v;
      case TypeKind::F32: {
        static constexpr float kFloats[] = {0,      -0.0f, 1,    -1.5f, 2147483648.0f,
                                            1e-40f, 3.25f, 1e30f};
        v.bits[0] = slot_of(c.pick(kFloats));
        return v;
      }
      case TypeKind::F64: {
        static constexpr double kDoubles[] = {0, -0.0, 1, -1.5, 4294967296.0, 1e-310, 3.25, 1e300};
        v.bits[0] = slot_of(c.pick(kDoubles));
        return v;
      }
      case TypeKind::V128:
        v.bits[0] = c.bits();
        v.bits[1] = number(c);
        return v;
      default:
        v.bits[0] = reference(c, type.heap());
        return v;
    }
  }

  static uint64_t number(Chooser& c) {
    static constexpr int64_t kNumbers[] = {0,  1,   -1,        2,         8,
                                           31, 100, INT32_MIN, INT32_MAX, INT64_MIN};
    switch (c.below(4)) {
      case 0:
        return uint64_t(c.pick(kNumbers));
      case 1:
        return c.bits();
      default:
        return c.below(40);
    }
  }

  Ref reference(Chooser& c, wasm::HeapType heap) {
    if (c.one_in(3)) return kNullRef;
    // What an earlier call gave, if it fits.
    for (size_t tries = kept_.size() ? 4 : 0; tries--;) {
      const Kept& k = c.pick(kept_);
      if (store_.registry().is_subtype(k.heap, heap)) return store_.rooted(k.handle);
    }
    const bool is_func = heap.is_concrete()
                             ? store_.registry().get(heap.index())->kind == CompKind::Func
                             : heap.kind() == HeapKind::Func;
    if (is_func) return function(c, heap);
    switch (heap.kind()) {
      case HeapKind::Any:
      case HeapKind::Eq:
      case HeapKind::I31:
        return make_i31(c.below(100));
      case HeapKind::Extern: {
        GcHostObject* object =
            store_.gc().new_host_object(reinterpret_cast<void*>(uintptr_t(c.below(10))), nullptr);
        if (!object) return kNullRef;
        // Kept alive even if the module drops it, so that other arguments may follow.
        store_.root(uintptr_t(object));
        return uintptr_t(object);
      }
      default:
        return kNullRef;
    }
  }

  Ref function(Chooser& c, wasm::HeapType heap) {
    Ref found = kNullRef;
    uint32_t seen = 0;
    for (const Instance* instance : instances_)
      for (FuncInst* f : instance->func_storage)
        if (store_.registry().is_subtype(wasm::HeapType::concrete(f->type->id), heap) &&
            c.one_in(++seen))
          found = uintptr_t(f);
    return found;
  }

  struct Kept {
    uint32_t handle;
    wasm::HeapType heap;  // canonical
  };

  void keep(const Value& v) {
    if (v.as_ref() == kNullRef || kept_.size() >= 50) return;
    if (!store_.registry().is_gc_ref(v.type)) return;
    kept_.push_back({store_.root(v.as_ref()), v.type.heap()});
  }

  const TierUnderTest& tier_;
  const RunOptions options_;
  const int64_t limit_;
  int64_t fuel_ = 0;
  int64_t dose_ = 0;  // of fuel, for which a call waits; 0: it has all at once
  std::shared_ptr<Engine> engine_;
  Store store_;
  Host host_;
  std::vector<Instance*> instances_;
  std::vector<Kept> kept_;
  Trace trace_;
};

}  // namespace

std::span<const std::string_view> tier_names() { return kNames; }

Result<TierUnderTest> make_tier(std::string_view name) {
  TierUnderTest out;
  out.name = name;
  if (name == "in-place") {
    out.tier = interp::in_place_tier();
    return out;
  }
  if (name == "interp") {
    out.tier = interp::tier();
    return out;
  }
  if (name == "reference") {
    out.tier = reference::tier();
    out.counts_fuel = false;
    out.waits = false;
    return out;
  }
  if (name.starts_with("llvm")) {
    WAFER_TRY(compiler::load_llvm_backend());
    out.precise = name != "llvm-relaxed";
    const unsigned level = name == "llvm-0" ? 0 : name == "llvm-1" ? 1 : name == "llvm-3" ? 3 : 2;
    WAFER_LET(tier,
              compiler::make_tier(compiler::TierKind::Optimized, llvm_options(out.precise, level)));
    out.tier = tier.tier;
    out.owner = std::move(tier.owner);
    return out;
  }
#if WAFER_HAS_BASELINE
  if (!compiler::BaselineCompiler::supported())
    return Error(ErrorKind::Unsupported, "this processor is too old for the baseline compiler");
  if (name == "baseline") {
    out.tier = compiler::baseline_tier();
    return out;
  }
#if WAFER_HAS_OPTIMIZING
  if (name == "optimizing") {
    out.tier = compiler::optimizing_tier();
    return out;
  }
#endif
  if (name == "auto" || name == "auto-parts") {
    WAFER_TRY(compiler::load_llvm_backend());
    compiler::TieringOptions tiering;
    tiering.heat = kHeat;
    tiering.seconds_per_round = 1;  // all that is hot is worthwhile
    if (name == "auto-parts") {
      tiering.whole_bytes = 0;
      tiering.small_bytes = 0;
      tiering.background = false;
    }
    auto tier = std::make_shared<compiler::TieringTier>(llvm_options(true), tiering);
    out.tier = tier.get();
    out.settle = [raw = tier.get()] { raw->wait_until_idle(); };
    out.owner = std::move(tier);
    return out;
  }
#endif
  return Error(ErrorKind::Unsupported, "no such tier in this build");
}

Trace run(const TierUnderTest& tier, std::span<const Vec<uint8_t>> modules,
          const RunOptions& options, int64_t limit) {
  return Runner(tier, options, limit).run(modules);
}

std::optional<Mismatch> compare(const TierUnderTest& reference_tier, const Trace& reference,
                                const TierUnderTest& other_tier, const Trace& other) {
  const bool fuel = reference_tier.counts_fuel && other_tier.counts_fuel;
  const bool precise = reference_tier.precise && other_tier.precise;
  if (reference.refused || other.refused) {
    const auto text = [](const Trace& t) {
      return t.refused ? std::string(t.refused->message) : std::string("accepted");
    };
    if (text(reference) == text(other)) return std::nullopt;
    return Mismatch{"loading", text(reference), text(other)};
  }
  const size_t count = std::max(reference.events.size(), other.events.size());
  for (size_t i = 0; i < count; ++i) {
    static const Event kNone{"nothing", {}, {}, TrapCode::None};
    const Event& a = i < reference.events.size() ? reference.events[i] : kNone;
    const Event& b = i < other.events.size() ? other.events[i] : kNone;
    for (const TrapCode own : {TrapCode::OutOfMemory, TrapCode::CallStackExhausted})
      if (a.trap == own || b.trap == own) return std::nullopt;
    if (!fuel && (a.trap == TrapCode::OutOfFuel || b.trap == TrapCode::OutOfFuel))
      return std::nullopt;
    const bool thrown = a.trap == TrapCode::UncaughtException || a.trap == TrapCode::HostError;
    if (!precise && a.trap != TrapCode::None && !thrown) return std::nullopt;
    if (a.call != b.call) return Mismatch{a.call, a.call, b.call};
    if (a.outcome != b.outcome || a.trap != b.trap) return Mismatch{a.call, a.outcome, b.outcome};
    for (size_t line = 0; line < std::max(a.state.size(), b.state.size()); ++line) {
      const std::string x = line < a.state.size() ? a.state[line] : "nothing";
      const std::string y = line < b.state.size() ? b.state[line] : "nothing";
      if (!fuel && x.starts_with(kFuelUsed) && y.starts_with(kFuelUsed)) continue;
      if (x != y) return Mismatch{a.call, x, y};
    }
  }
  return std::nullopt;
}

}  // namespace wafer::diff
