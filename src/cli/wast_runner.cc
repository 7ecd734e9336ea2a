#include "cli/wast_runner.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "cli/support.h"
#include "cli/wast_component.h"
#include "interp/interp.h"
#include "program/value_text.h"
#include "runtime/store.h"
#include "wat/roundtrip.h"
#include "wat/wast.h"

namespace wafer::cli {

namespace {

using runtime::Engine;
using runtime::Extern;
using runtime::Instance;
using runtime::Ref;
using runtime::Store;
using runtime::TrapCode;
using runtime::Value;
using wasm::ExternKind;
using wasm::HeapKind;
using wasm::HeapType;
using wasm::Module;
using wasm::ValType;
using wat::ScriptAction;
using wat::ScriptCommand;
using wat::ScriptModule;
using wat::ScriptValue;
using Kind = ScriptCommand::Kind;
using ValueKind = ScriptValue::Kind;

// What came of an action or a module.
struct Outcome {
  bool ok = true;
  TrapCode trap = TrapCode::None;  // of a trap
  Error error;
  Vec<Value> results;
};

std::string str(std::string_view s) { return std::string(s); }

// ---- The module "spectest" --------------------------------------------------

// A print function: writes its arguments as the reference interpreter does.
struct Printer {
  const ScriptOptions* options;
  wasm::FuncType type;
};

TrapCode call_print(void* env, runtime::CallContext& context, runtime::Slot* slots) {
  const Printer& printer = *static_cast<Printer*>(env);
  if (!printer.options->print) return TrapCode::None;
  std::string text;
  for (const ValType t : printer.type.params) {
    text += program::print_value(context.store, Value{t, {*slots++, 0}}) + " : " +
            str(wasm::to_string(t)) + "\n";
  }
  printer.options->print(text.empty() ? "\n" : text);
  return TrapCode::None;
}

// ---- Patterns ---------------------------------------------------------------

bool is_nan_pattern(ValueKind kind, uint64_t bits, bool is64) {
  const uint64_t quiet = is64 ? 0x7FF8000000000000 : 0x7FC00000;
  if (kind == ValueKind::NanCanonical)
    return (bits & (is64 ? 0x7FFFFFFFFFFFFFFF : 0x7FFFFFFF)) == quiet;
  return (bits & quiet) == quiet;
}

// One lane, or a whole number, of `width` bits.
bool bits_match(const ScriptValue& pattern, uint64_t bits, unsigned width) {
  const uint64_t mask = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
  bits &= mask;
  if (pattern.kind == ValueKind::Num) return bits == (pattern.bits & mask);
  return is_nan_pattern(pattern.kind, bits, width == 64);
}

uint64_t lane_of(const Value& value, unsigned lane_bits, unsigned lane) {
  const unsigned at = lane_bits * lane;
  return value.bits[at / 64] >> (at % 64);
}

std::string pattern_text(const ScriptValue& pattern) {
  switch (pattern.kind) {
    case ValueKind::Num:
      switch (pattern.type.kind()) {
        case wasm::TypeKind::F32:
          return fmt::format("f32 {} (0x{:08x})", Value{wasm::kF32, {pattern.bits, 0}}.as_f32(),
                             uint32_t(pattern.bits));
        case wasm::TypeKind::F64:
          return fmt::format("f64 {} (0x{:016x})", Value{wasm::kF64, {pattern.bits, 0}}.as_f64(),
                             pattern.bits);
        case wasm::TypeKind::I32:
          return fmt::format("i32 {}", int32_t(pattern.bits));
        default:
          return fmt::format("i64 {}", int64_t(pattern.bits));
      }
    case ValueKind::NanCanonical:
      return "nan:canonical";
    case ValueKind::NanArithmetic:
      return "nan:arithmetic";
    case ValueKind::Vector: {
      std::string text = fmt::format("v128 {}x{}", pattern.lane_bits, pattern.parts.size());
      for (const ScriptValue& lane : pattern.parts) {
        text += lane.kind == ValueKind::Num ? fmt::format(" 0x{:x}", lane.bits)
                                            : " " + pattern_text(lane);
      }
      return text;
    }
    case ValueKind::Either: {
      std::string text = "either";
      for (const ScriptValue& part : pattern.parts) text += " " + pattern_text(part);
      return text;
    }
    case ValueKind::RefNull:
      return pattern.typed ? "ref.null " + str(wasm::to_string(pattern.heap)) : "ref.null";
    case ValueKind::RefExtern:
      return pattern.typed ? fmt::format("ref.extern {}", pattern.bits) : "ref.extern";
    case ValueKind::RefHost:
      return pattern.typed ? fmt::format("ref.host {}", pattern.bits) : "ref.host";
    case ValueKind::RefFunc:
      return "ref.func";
    case ValueKind::RefAny:
      return "ref.any";
    case ValueKind::RefEq:
      return "ref.eq";
    case ValueKind::RefI31:
      return "ref.i31";
    case ValueKind::RefStruct:
      return "ref.struct";
    case ValueKind::RefArray:
      return "ref.array";
    case ValueKind::RefExn:
      return "ref.exn";
    case ValueKind::Component:
      return "a component's value";
  }
  return "?";
}

// ---- The script -------------------------------------------------------------

// What a module offers: the exports of an instance, or those that a thread was given.
struct Exports {
  Instance* instance = nullptr;
  std::map<std::string, Extern> shared;

  std::optional<Extern> get(const String& name) const {
    if (instance) return instance->get_export(name);
    auto it = shared.find(str(name));
    return it == shared.end() ? std::nullopt : std::optional(it->second);
  }
};

class Script {
 public:
  Script(std::string_view source, const ScriptOptions& options)
      : source_(source), options_(options) {
    runtime::Config config;
    config.features = options.features;
    config.signals = options.signals;
    engine_ = Engine::create(config, options.tier ? options.tier : interp::tier());
    store_ = std::make_unique<Store>(engine_);
    components_ = std::make_unique<ComponentScript>(*store_);
  }
  // A thread's script: a store of its own in the engine of `parent`.
  explicit Script(const Script& parent)
      : source_(parent.source_),
        options_(parent.options_),
        engine_(parent.engine_),
        store_(std::make_unique<Store>(engine_)),
        components_(std::make_unique<ComponentScript>(*store_)) {}
  Script& operator=(const Script&) = delete;

  ScriptReport run() {
    Result<Vec<ScriptCommand>> commands =
        wat::parse_wast(source_, {.features = options_.features, .names = true});
    if (!commands) {
      offset_ = commands.error().offset;
      fail("cannot parse the script: " + str(commands.error().message));
      return std::move(report_);
    }
    return run(*commands);
  }
  ScriptReport run(const Vec<ScriptCommand>& commands) {
    make_spectest();
    for (const ScriptCommand& command : commands) {
      offset_ = command.offset;
      run(command);
    }
    while (!threads_.empty()) join(threads_.begin());
    return std::move(report_);
  }

 private:
  std::string_view source_;
  const ScriptOptions& options_;
  // Environments of the print functions; the store's functions point at them.
  std::vector<std::unique_ptr<Printer>> printers_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ComponentScript> components_;
  ScriptReport report_;
  uint64_t offset_ = 0;  // of the current command

  std::map<std::string, Extern> spectest_;
  std::map<std::string, Exports> registered_;
  std::map<std::string, Exports> instances_;
  Exports latest_instance_;
  std::map<std::string, std::shared_ptr<Module>> definitions_;
  std::shared_ptr<Module> latest_definition_;
  std::map<uint64_t, uint32_t> host_values_;  // number to handle
  bool latest_is_component_ = false;

  // A thread that runs; its script's report is read once it has ended.
  struct Running {
    std::unique_ptr<Script> script;
    ScriptReport report;
    std::thread thread;
  };
  std::map<std::string, Running> threads_;

  // ---- Reporting --------------------------------------------------------------

  std::string place() const {
    const wat::LineColumn at =
        wat::line_column(source_, std::min<uint64_t>(offset_, source_.size()));
    return fmt::format("{}:{}", at.line, at.column);
  }
  void pass() { ++report_.passed; }
  void fail(const std::string& message) {
    const uint32_t line =
        wat::line_column(source_, std::min<uint64_t>(offset_, source_.size())).line;
    const auto& skip = options_.skip_lines;
    if (std::find(skip.begin(), skip.end(), line) != skip.end()) {
      ++report_.skipped;
      return;
    }
    ++report_.failed;
    report_.failures.push_back(place() + ": " + message);
  }
  // An assertion that was to end in an error with a message that starts with
  // `expected`. `kind_ok`: it ended in the right kind of error.
  void check_error(std::string_view what, const String& expected, bool kind_ok,
                   const Outcome& outcome, bool component = false) {
    const std::string_view got = outcome.error.message;
    // Scripts of components give a part of the message, others its beginning.
    const bool same = component ? got.find(std::string_view(expected)) != got.npos
                                : got.starts_with(std::string_view(expected));
    if (!kind_ok) {
      fail(fmt::format("{}: expected \"{}\", got {}", what, std::string_view(expected),
                       outcome_text(outcome)));
    } else if (same) {
      pass();
    } else if (options_.lenient_messages) {
      report_.warnings.push_back(fmt::format("{}: {}: expected \"{}\", got \"{}\"", place(), what,
                                             std::string_view(expected), got));
      pass();
    } else {
      fail(fmt::format("{}: expected \"{}\", got \"{}\"", what, std::string_view(expected), got));
    }
  }

  // ---- Modules ----------------------------------------------------------------

  void make_spectest() {
    using wasm::kF32, wasm::kF64, wasm::kI32, wasm::kI64;
    const auto func = [this](const char* name, std::initializer_list<ValType> params) {
      auto printer = std::make_unique<Printer>();
      printer->options = &options_;
      printer->type.params = params;
      Extern e;
      e.kind = ExternKind::Func;
      e.func = store_->new_host_func(printer->type, call_print, printer.get());
      printers_.push_back(std::move(printer));
      spectest_[name] = e;
    };
    func("print", {});
    func("print_i32", {kI32});
    func("print_i64", {kI64});
    func("print_f32", {kF32});
    func("print_f64", {kF64});
    func("print_i32_f32", {kI32, kF32});
    func("print_f64_f64", {kF64, kF64});
    const auto global = [this](const char* name, const Value& value) {
      Extern e;
      e.kind = ExternKind::Global;
      e.global = store_->new_global({value.type, false}, value);
      spectest_[name] = e;
    };
    global("global_i32", Value::i32(666));
    global("global_i64", Value::i64(666));
    global("global_f32", Value::f32(666.6f));
    global("global_f64", Value::f64(666.6));
    const auto table = [this](const char* name, bool is64) {
      wasm::TableType type;
      type.limits = {.min = 10, .max = 20, .has_max = true, .is64 = is64};
      type.element = wasm::kFuncRef;
      Extern e;
      e.kind = ExternKind::Table;
      Result<runtime::Table*> made = store_->new_table(type, runtime::kNullRef);
      if (!made) return;
      e.table = *made;
      spectest_[name] = e;
    };
    table("table", false);
    table("table64", true);
    const auto memory = [this](const char* name, bool shared) {
      wasm::MemoryType type;
      type.limits = {.min = 1, .max = 2, .has_max = true, .shared = shared};
      Result<std::shared_ptr<runtime::Memory>> made = store_->new_memory(type);
      if (!made) return;
      Extern e;
      e.kind = ExternKind::Memory;
      e.memory = made->get();
      e.memory_owner = *made;
      spectest_[name] = e;
    };
    memory("memory", false);
    memory("shared_memory", true);
  }

  std::optional<Extern> find_import(const wasm::Import& import) {
    if (auto it = registered_.find(str(import.module)); it != registered_.end())
      return it->second.get(import.name);
    if (import.module == "spectest") {
      if (auto it = spectest_.find(str(import.name)); it != spectest_.end()) return it->second;
    }
    return std::nullopt;
  }

  // Decodes and validates.
  Result<std::shared_ptr<Module>> load(const ScriptModule& m) {
    if (m.parse_error) return *m.parse_error;
    return engine_->load_module({m.binary.data(), m.binary.size()}, true);
  }

  Outcome instantiate(const std::shared_ptr<Module>& module, Instance** made = nullptr) {
    Vec<Extern> imports;
    for (const wasm::Import& import : module->imports) {
      const std::optional<Extern> found = find_import(import);
      if (!found) {
        return {false,
                TrapCode::None,
                Error(ErrorKind::Unlinkable,
                      fmt::format("unknown import \"{}\" \"{}\"", std::string_view(import.module),
                                  std::string_view(import.name))),
                {}};
      }
      imports.push_back(*found);
    }
    Result<Instance*> instance = store_->instantiate(module, imports);
    if (!instance) return failure(instance.error());
    if (made) *made = *instance;
    return {};
  }

  Outcome failure(const Error& error) {
    Outcome outcome;
    outcome.ok = false;
    outcome.error = error;
    if (error.kind == ErrorKind::Trap) outcome.trap = store_->trap().code;
    return outcome;
  }

  void define(const String& name, const std::shared_ptr<Module>& module) {
    latest_definition_ = module;
    if (!name.empty()) definitions_[str(name)] = module;
  }
  void bind(const String& name, Instance* instance) {
    latest_is_component_ = false;
    latest_instance_ = {instance, {}};
    if (!name.empty()) instances_[str(name)] = latest_instance_;
  }
  // Null if there is none.
  const Exports* find_instance(const String& name) {
    if (name.empty()) return latest_instance_.instance ? &latest_instance_ : nullptr;
    auto it = instances_.find(str(name));
    return it == instances_.end() ? nullptr : &it->second;
  }

  static std::string no_module(const String& name) {
    return name.empty() ? "no module" : "no module $" + str(name);
  }

  // ---- Threads ----------------------------------------------------------------

  void start(const ScriptCommand& c) {
    auto script = std::make_unique<Script>(*this);
    if (!c.of.empty()) {
      // Stores share memories, and nothing else.
      const Exports* shared = find_instance(c.of);
      if (!shared) return fail(no_module(c.of) + " to share");
      Exports& exports = script->instances_[str(c.of)];
      exports.shared = shared->shared;
      if (shared->instance) {
        for (const wasm::Export& e : shared->instance->module->exports) {
          const std::optional<Extern> value = shared->instance->get_export(e.name);
          if (value && value->kind == ExternKind::Memory && value->memory_owner &&
              value->memory->type().limits.shared)
            exports.shared[str(e.name)] = *value;
        }
      }
    }
    auto [it, added] = threads_.try_emplace(str(c.name));
    if (!added) return fail("thread $" + str(c.name) + " runs already");
    Running& running = it->second;
    running.script = std::move(script);
    running.thread = std::thread([&running, &c] { running.report = running.script->run(c.body); });
  }

  void join(std::map<std::string, Running>::iterator it) {
    Running& running = it->second;
    running.thread.join();
    report_.passed += running.report.passed;
    report_.failed += running.report.failed;
    report_.skipped += running.report.skipped;
    const auto append = [](auto& to, const auto& from) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(report_.failures, running.report.failures);
    append(report_.warnings, running.report.warnings);
    threads_.erase(it);
  }

  // Prints the module or component, which is valid, and parses that again.
  void roundtrip(const ScriptModule& m, const Module* module) {
    const wat::ParseOptions parse{.features = options_.features, .names = true};
    Result<String> text =
        module ? wat::print_wat(*module) : wat::print_component({m.binary.data(), m.binary.size()});
    if (!text) return fail("round trip: cannot print: " + str(text.error().message));
    Result<SourceBytes> binary = wat::parse_wat(*text, parse);
    if (!binary) {
      const wat::LineColumn at = wat::line_column(*text, binary.error().offset);
      return fail(fmt::format("round trip: printed text does not parse: {}:{}: {}", at.line,
                              at.column, std::string_view(binary.error().message)));
    }
    // Other encoders may use longer integers than needed.
    if (*binary != m.binary &&
        !(m.kind == ScriptModule::Kind::Binary && wat::is_shortened(m.binary, *binary))) {
      const auto differ =
          std::mismatch(binary->begin(), binary->end(), m.binary.begin(), m.binary.end());
      fail(fmt::format("round trip: other bytes than before from {:#x} on",
                       differ.first - binary->begin()));
    }
  }

  // ---- Components -------------------------------------------------------------

  Result<std::shared_ptr<component::Component>> load_component(const ScriptModule& m) {
    component::DecodeOptions decode;
    decode.features = options_.component_features;
    decode.core_features = options_.features;
    return components_->load(m, decode);
  }

  void fail_component(const ScriptModule& m, const Error& error) {
    if (m.parse_error && m.kind == ScriptModule::Kind::Text) offset_ = error.offset;
    fail("component: " + outcome_text(failure(error)));
  }

  // Carries out a command about a component.
  void run_component(const ScriptCommand& c) {
    if (c.kind == Kind::ModuleInstance) {
      latest_is_component_ = true;
      if (auto made = components_->instantiate(c.of, c.name); !made.ok())
        fail_component(c.module, made.error());
      return;
    }
    const auto component = load_component(c.module);
    if (options_.roundtrip && component) roundtrip(c.module, nullptr);
    switch (c.kind) {
      case Kind::Module:
      case Kind::ModuleDefinition:
        if (!component) {
          components_->forget();
          return fail_component(c.module, component.error());
        }
        components_->define(c.module.name, *component);
        if (c.kind == Kind::ModuleDefinition) return;
        latest_is_component_ = true;
        if (auto made = components_->instantiate_and_bind(*component, c.module.name); !made.ok())
          fail_component(c.module, made.error());
        return;
      case Kind::AssertInvalid:
      case Kind::AssertMalformed: {
        // A reference to what there is not is invalid; in text it is an error of the text.
        const Outcome outcome = component ? Outcome{} : failure(component.error());
        const bool malformed = c.kind == Kind::AssertMalformed;
        const ErrorKind kind = outcome.ok ? ErrorKind::Usage : outcome.error.kind;
        const bool kind_ok = malformed ? kind == ErrorKind::Malformed
                                       : kind == ErrorKind::Invalid || c.module.parse_error ||
                                             kind == ErrorKind::Exhaustion;
        return check_error(assertion_name(c.kind), c.message, !outcome.ok && kind_ok, outcome,
                           /*component=*/true);
      }
      case Kind::AssertTrapModule:
      case Kind::AssertUnlinkable: {
        if (!component) return fail_component(c.module, component.error());
        const auto made = components_->instantiate_and_bind(*component, {});
        const Outcome outcome = made ? Outcome{} : failure(made.error());
        const bool trap = c.kind == Kind::AssertTrapModule;
        return check_error(
            trap ? "assert_trap" : "assert_unlinkable", c.message,
            !outcome.ok && outcome.error.kind == (trap ? ErrorKind::Trap : ErrorKind::Unlinkable),
            outcome, /*component=*/true);
      }
      default:
        return fail("not a command about a component");
    }
  }

  // Carries out a command about an instance of a component.
  void run_on_component(const ScriptCommand& c) {
    if (c.kind == Kind::Register) {
      if (auto done = components_->register_as(c.name, c.of); !done.ok())
        fail("register: " + outcome_text(failure(done.error())));
      return;
    }
    const auto called = components_->invoke(c.action);
    Outcome outcome = called ? Outcome{} : failure(called.error());
    const std::string name = fmt::format("\"{}\"", printable(c.action.name));
    switch (c.kind) {
      case Kind::AssertReturn:
        if (called && ComponentScript::matches(*called, c.expected)) return pass();
        return fail("assert_return " + name + ": " +
                    (called ? "the result is another one" : outcome_text(outcome)));
      case Kind::AssertTrap: {
        // The messages of scripts are those of one implementation.
        String expected = c.message;
        for (std::string_view prefix : {"wasm trap: ", "wasm `"})
          if (std::string_view(expected).starts_with(prefix)) expected.erase(0, prefix.size());
        if (const size_t tick = expected.find('`');
            expected.ends_with(" instruction executed") && tick != expected.npos)
          expected.erase(tick);
        return check_error("assert_trap " + name, expected,
                           !outcome.ok && outcome.error.kind == ErrorKind::Trap, outcome,
                           /*component=*/true);
      }
      default:
        if (!called) fail("invoke " + name + ": " + outcome_text(outcome));
    }
  }

  bool is_component_instance(const String& name) const {
    return name.empty() ? latest_is_component_ : components_->has_instance(name);
  }
  // Is the command about an instance of a component?
  bool needs_component(const ScriptCommand& c) const {
    switch (c.kind) {
      case Kind::Register:
        return is_component_instance(c.of);
      case Kind::Action:
      case Kind::AssertReturn:
      case Kind::AssertTrap:
      case Kind::AssertExhaustion:
      case Kind::AssertException:
        return is_component_instance(c.action.module);
      default:
        return false;
    }
  }

  // ---- Actions ----------------------------------------------------------------

  Ref host_value(uint64_t number) {
    auto it = host_values_.find(number);
    if (it == host_values_.end()) {
      runtime::GcHostObject* object =
          store_->gc().new_host_object(reinterpret_cast<void*>(number), nullptr);
      if (!object) return runtime::kNullRef;
      it = host_values_.emplace(number, store_->root(reinterpret_cast<Ref>(object))).first;
    }
    return store_->rooted(it->second);
  }

  std::optional<Value> argument(const ScriptValue& v) {
    switch (v.kind) {
      case ValueKind::Num:
        return Value{v.type, {v.bits, 0}};
      case ValueKind::Vector: {
        Value value{wasm::kV128, {0, 0}};
        for (unsigned i = 0; i < v.parts.size(); ++i) {
          if (v.parts[i].kind != ValueKind::Num) return std::nullopt;
          const uint64_t mask = v.lane_bits == 64 ? ~uint64_t{0} : (uint64_t{1} << v.lane_bits) - 1;
          const unsigned at = i * v.lane_bits;
          value.bits[at / 64] |= (v.parts[i].bits & mask) << (at % 64);
        }
        return value;
      }
      case ValueKind::RefNull:
        return Value::ref(runtime::kNullRef, ValType::ref(v.heap, true));
      case ValueKind::RefExtern:
        return Value::ref(host_value(v.bits), ValType::ref(HeapKind::Extern, false));
      case ValueKind::RefHost:
        return Value::ref(host_value(v.bits), ValType::ref(HeapKind::Any, false));
      default:
        return std::nullopt;
    }
  }

  Outcome act(const ScriptAction& action) {
    Outcome outcome;
    const auto usage = [&](const std::string& message) {
      outcome.ok = false;
      outcome.error = Error(ErrorKind::Usage, message);
      return outcome;
    };
    const Exports* instance = find_instance(action.module);
    if (!instance) return usage(no_module(action.module));
    const std::optional<Extern> found = instance->get(action.name);
    if (!found) return usage("no export \"" + str(action.name) + "\"");
    if (action.is_get) {
      if (found->kind != ExternKind::Global) return usage("not a global");
      outcome.results.push_back(
          Value{found->global->type.type, {found->global->value[0], found->global->value[1]}});
      return outcome;
    }
    if (found->kind != ExternKind::Func) return usage("not a function");
    Vec<Value> args;
    for (const ScriptValue& v : action.args) {
      const std::optional<Value> value = argument(v);
      if (!value) return usage("not an argument: " + pattern_text(v));
      args.push_back(*value);
    }
    Result<Vec<Value>> results = store_->call(found->func, args);
    if (!results) return failure(results.error());
    outcome.results = *std::move(results);
    return outcome;
  }

  bool matches(const ScriptValue& pattern, const Value& value) {
    if (pattern.kind == ValueKind::Either) {
      return std::any_of(pattern.parts.begin(), pattern.parts.end(),
                         [&](const ScriptValue& part) { return matches(part, value); });
    }
    switch (pattern.kind) {
      case ValueKind::Num:
      case ValueKind::NanCanonical:
      case ValueKind::NanArithmetic: {
        const bool is64 = pattern.type == wasm::kI64 || pattern.type == wasm::kF64;
        return value.type == pattern.type && bits_match(pattern, value.bits[0], is64 ? 64 : 32);
      }
      case ValueKind::Vector:
        if (value.type != wasm::kV128) return false;
        for (unsigned i = 0; i < pattern.parts.size(); ++i) {
          if (!bits_match(pattern.parts[i], lane_of(value, pattern.lane_bits, i),
                          pattern.lane_bits))
            return false;
        }
        return true;
      default:
        break;
    }
    if (!value.type.is_ref()) return false;
    const Ref ref = value.as_ref();
    const wasm::TypeRegistry& registry = *engine_->registry();
    const auto in = [&](HeapKind top) { return registry.is_subtype(value.type.heap(), top); };
    if (pattern.kind == ValueKind::RefNull) {
      if (ref != runtime::kNullRef) return false;
      return !pattern.typed || in(wasm::top_of(pattern.heap.kind()));
    }
    if (ref == runtime::kNullRef) return false;
    // The hierarchy is the static type's; inside it the object decides.
    switch (pattern.kind) {
      case ValueKind::RefFunc:
        return in(HeapKind::Func);
      case ValueKind::RefExn:
        return in(HeapKind::Exn);
      case ValueKind::RefExtern:
        return in(HeapKind::Extern) && (!pattern.typed || is_host_value(ref, pattern.bits));
      case ValueKind::RefHost:
        return in(HeapKind::Any) && is_host_value(ref, pattern.bits);
      case ValueKind::RefAny:
        return in(HeapKind::Any);
      case ValueKind::RefEq:
        return in(HeapKind::Any) && runtime::ref_matches(registry, ref, HeapKind::Eq);
      case ValueKind::RefI31:
        return in(HeapKind::Any) && runtime::is_i31(ref);
      case ValueKind::RefStruct:
        return in(HeapKind::Any) && runtime::ref_matches(registry, ref, HeapKind::Struct);
      case ValueKind::RefArray:
        return in(HeapKind::Any) && runtime::ref_matches(registry, ref, HeapKind::Array);
      default:
        return false;
    }
  }

  static bool is_host_value(Ref ref, uint64_t number) {
    if (runtime::is_i31(ref)) return false;
    const auto* object = reinterpret_cast<const runtime::GcHostObject*>(ref);
    return runtime::GcHeap::is_host_object(object) &&
           reinterpret_cast<uint64_t>(object->data) == number;
  }

  std::string values_text(const Vec<Value>& values) {
    std::string text;
    for (const Value& v : values) {
      if (!text.empty()) text += ", ";
      text += str(wasm::to_string(v.type)) + " " + program::print_value(*store_, v);
      if (v.type == wasm::kF32) text += fmt::format(" (0x{:08x})", uint32_t(v.bits[0]));
      if (v.type == wasm::kF64) text += fmt::format(" (0x{:016x})", v.bits[0]);
    }
    return text.empty() ? "nothing" : text;
  }
  std::string outcome_text(const Outcome& o) {
    if (o.ok) return "success with " + values_text(o.results);
    static constexpr std::string_view kKinds[] = {"malformed", "invalid",     "unlinkable",
                                                  "trap",      "exhaustion",  "unsupported",
                                                  "usage",     "input/output"};
    return fmt::format("{}: {}", kKinds[size_t(o.error.kind)], std::string_view(o.error.message));
  }

  // ---- Commands ---------------------------------------------------------------

  void run(const ScriptCommand& c) {
    if (c.module.is_component) return run_component(c);
    if (needs_component(c)) return run_on_component(c);
    switch (c.kind) {
      case Kind::Module:
      case Kind::ModuleDefinition: {
        Result<std::shared_ptr<Module>> module = load(c.module);
        if (!module) {
          latest_instance_ = {};
          return fail("module: " + outcome_text(failure(module.error())));
        }
        if (options_.roundtrip) roundtrip(c.module, module->get());
        define(c.module.name, *module);
        if (c.kind == Kind::Module) instantiate_and_bind(*module, c.module.name);
        return;
      }
      case Kind::ModuleInstance: {
        std::shared_ptr<Module> module = latest_definition_;
        if (!c.of.empty()) {
          auto it = definitions_.find(str(c.of));
          module = it == definitions_.end() ? nullptr : it->second;
        }
        if (!module) return fail("no module definition $" + str(c.of));
        return instantiate_and_bind(module, c.name);
      }
      case Kind::Register: {
        const Exports* instance = find_instance(c.of);
        if (!instance) return fail(no_module(c.of) + " to register");
        registered_[str(c.name)] = *instance;
        return;
      }
      case Kind::Thread:
        return start(c);
      case Kind::Wait: {
        auto it = threads_.find(str(c.name));
        if (it == threads_.end()) return fail("no thread $" + str(c.name) + " to wait for");
        return join(it);
      }
      case Kind::Action: {
        const Outcome outcome = act(c.action);
        if (!outcome.ok)
          fail(fmt::format("invoke \"{}\": {}", printable(c.action.name), outcome_text(outcome)));
        return;
      }
      case Kind::AssertReturn:
        return assert_return(c);
      case Kind::AssertTrap:
      case Kind::AssertExhaustion: {
        const Outcome outcome = act(c.action);
        const bool exhausted = !outcome.ok && (outcome.trap == TrapCode::CallStackExhausted ||
                                               outcome.trap == TrapCode::OutOfMemory);
        const bool trapped = !outcome.ok && outcome.trap != TrapCode::None &&
                             outcome.trap != TrapCode::UncaughtException;
        const bool exhaustion = c.kind == Kind::AssertExhaustion;
        return check_error(
            fmt::format("{} \"{}\"", exhaustion ? "assert_exhaustion" : "assert_trap",
                        printable(c.action.name)),
            c.message, exhaustion ? exhausted : trapped && !exhausted, outcome);
      }
      case Kind::AssertException: {
        const Outcome outcome = act(c.action);
        if (!outcome.ok && outcome.trap == TrapCode::UncaughtException) return pass();
        return fail(fmt::format("assert_exception \"{}\": got {}", printable(c.action.name),
                                outcome_text(outcome)));
      }
      case Kind::AssertTrapModule:
      case Kind::AssertUnlinkable: {
        Result<std::shared_ptr<Module>> module = load(c.module);
        const Outcome outcome = module ? instantiate(*module) : failure(module.error());
        const bool trap = c.kind == Kind::AssertTrapModule;
        return check_error(
            trap ? "assert_trap" : "assert_unlinkable", c.message,
            !outcome.ok && outcome.error.kind == (trap ? ErrorKind::Trap : ErrorKind::Unlinkable),
            outcome);
      }
      case Kind::AssertInvalid:
      case Kind::AssertMalformed:
      case Kind::AssertInvalidCustom:
      case Kind::AssertMalformedCustom: {
        Result<std::shared_ptr<Module>> module = load(c.module);
        const Outcome outcome = module ? Outcome{} : failure(module.error());
        const bool invalid = c.kind == Kind::AssertInvalid || c.kind == Kind::AssertInvalidCustom;
        const ErrorKind want = invalid ? ErrorKind::Invalid : ErrorKind::Malformed;
        return check_error(assertion_name(c.kind), c.message,
                           !outcome.ok && outcome.error.kind == want, outcome);
      }
    }
  }

  static std::string_view assertion_name(Kind kind) {
    switch (kind) {
      case Kind::AssertInvalid:
        return "assert_invalid";
      case Kind::AssertMalformed:
        return "assert_malformed";
      case Kind::AssertInvalidCustom:
        return "assert_invalid_custom";
      default:
        return "assert_malformed_custom";
    }
  }

  void instantiate_and_bind(const std::shared_ptr<Module>& module, const String& name) {
    Instance* instance = nullptr;
    const Outcome outcome = instantiate(module, &instance);
    if (!outcome.ok) {
      latest_instance_ = {};
      return fail("module: " + outcome_text(outcome));
    }
    bind(name, instance);
  }

  void assert_return(const ScriptCommand& c) {
    const std::string what = fmt::format("assert_return \"{}\"", printable(c.action.name));
    const Outcome outcome = act(c.action);
    bool ok = outcome.ok && outcome.results.size() == c.expected.size();
    for (size_t i = 0; ok && i < c.expected.size(); ++i)
      ok = matches(c.expected[i], outcome.results[i]);
    if (ok) return pass();
    std::string expected;
    for (const ScriptValue& v : c.expected)
      expected += (expected.empty() ? "" : ", ") + pattern_text(v);
    fail(fmt::format("{}: expected {}, got {}", what, expected.empty() ? "nothing" : expected,
                     outcome.ok ? values_text(outcome.results) : outcome_text(outcome)));
  }
};

}  // namespace

ScriptReport run_script(std::string_view source, const ScriptOptions& options) {
  return Script(source, options).run();
}

}  // namespace wafer::cli
