#include "cli/wast_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include "interp/interp.h"
#include "runtime/linker.h"
#include "wat/wast.h"

namespace wafer::cli {

namespace {

namespace fs = std::filesystem;
using runtime::Extern;
using runtime::Instance;
using runtime::Linker;
using runtime::Ref;
using runtime::Slot;
using runtime::Store;
using runtime::TrapCode;
using runtime::Value;
using wasm::ExternKind;
using wat::ScriptCommand;
using wat::ScriptModule;
using wat::ScriptValue;

struct Skip {
  std::string file;  // suffix of the path
  unsigned line = 0;  // 0: the whole file
};

bool ends_with(std::string_view s, std::string_view suffix) {
  return s.size() >= suffix.size() && s.substr(s.size() - suffix.size()) == suffix;
}

wasm::FuncType func_type(std::initializer_list<wasm::ValType> params) {
  wasm::FuncType t;
  t.params.assign(params);
  return t;
}

// One script with a store of its own.
class Script {
 public:
  Script(std::string path, const WastOptions& options, const std::vector<Skip>& skips)
      : path_(std::move(path)), options_(options), skips_(skips) {}

  void run();
  unsigned passed() const { return passed_; }
  unsigned failed() const { return failed_; }
  unsigned skipped() const { return skipped_; }
  const std::string& log() const { return log_; }

 private:
  using Kind = ScriptCommand::Kind;

  void fail(const ScriptCommand& c, std::string_view why) {
    ++failed_;
    log_ += fmt::format("{}:{}: {}\n", path_, wat::line_column(source_, c.offset).line, why);
  }
  void pass() { ++passed_; }
  // The specification's message must be a prefix of ours.
  bool message_ok(const ScriptCommand& c, std::string_view got) {
    if (got.substr(0, c.message.size()) == std::string_view(c.message)) return true;
    const auto text = fmt::format("message is \"{}\", expected \"{}\"", got,
                                  std::string_view(c.message));
    if (!options_.lenient_messages) {
      fail(c, text);
      return false;
    }
    log_ += fmt::format("{}:{}: warning: {}\n", path_, wat::line_column(source_, c.offset).line,
                        text);
    return true;
  }
  void define_spectest();
  void execute(const ScriptCommand& c);
  Result<std::shared_ptr<wasm::Module>> load(const ScriptModule& m) {
    if (m.parse_error) return Error(*m.parse_error);
    return engine_->load_module(m.binary);
  }
  void check_roundtrip(const ScriptCommand& c, const wasm::Module& module);
  Result<Vec<Value>> act(const wat::ScriptAction& a);
  Value argument(const ScriptValue& v);
  bool matches(const ScriptValue& expected, const Value& got);
  static bool lane_matches(const ScriptValue& expected, uint64_t bits, unsigned width);
  std::string describe(const Value& v);

  std::string path_;
  const WastOptions& options_;
  const std::vector<Skip>& skips_;
  std::string source_;
  std::shared_ptr<runtime::Engine> engine_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Linker> linker_;
  std::map<std::string, Instance*, std::less<>> instances_;
  std::map<std::string, std::shared_ptr<wasm::Module>, std::less<>> definitions_;
  Instance* latest_ = nullptr;
  std::shared_ptr<wasm::Module> latest_definition_;
  unsigned passed_ = 0, failed_ = 0, skipped_ = 0;
  std::string log_;
};

void Script::define_spectest() {
  using namespace wasm;
  auto nothing = [](void*, runtime::CallContext&, Slot*) { return TrapCode::None; };
  const std::pair<const char*, FuncType> prints[] = {
      {"print", func_type({})},
      {"print_i32", func_type({kI32})},
      {"print_i64", func_type({kI64})},
      {"print_f32", func_type({kF32})},
      {"print_f64", func_type({kF64})},
      {"print_i32_f32", func_type({kI32, kF32})},
      {"print_f64_f64", func_type({kF64, kF64})}};
  for (const auto& [name, type] : prints)
    (void)linker_->define_func("spectest", name, type, nothing, nullptr);
  auto global = [&](const char* name, Value v) {
    Extern e;
    e.kind = ExternKind::Global;
    e.global = store_->new_global({v.type, false}, v);
    (void)linker_->define("spectest", name, e);
  };
  global("global_i32", Value::i32(666));
  global("global_i64", Value::i64(666));
  global("global_f32", Value::f32(666.6f));
  global("global_f64", Value::f64(666.6));
  for (const bool is64 : {false, true}) {
    TableType t;
    t.limits.min = 10;
    t.limits.max = 20;
    t.limits.has_max = true;
    t.limits.is64 = is64;
    t.element = kFuncRef;
    Extern e;
    e.kind = ExternKind::Table;
    e.table = *store_->new_table(t, runtime::kNullRef);
    (void)linker_->define("spectest", is64 ? "table64" : "table", e);
  }
  for (const bool shared : {false, true}) {
    MemoryType m;
    m.limits.min = 1;
    m.limits.max = 2;
    m.limits.has_max = true;
    m.limits.shared = shared;
    Extern e;
    e.kind = ExternKind::Memory;
    e.memory_owner = *store_->new_memory(m);
    e.memory = e.memory_owner.get();
    (void)linker_->define("spectest", shared ? "shared_memory" : "memory", e);
  }
}

Value Script::argument(const ScriptValue& v) {
  using K = ScriptValue::Kind;
  Value r;
  r.type = v.type;
  r.bits[0] = v.bits;
  switch (v.kind) {
    case K::Vector: {
      const unsigned bytes = v.lane_bits / 8;
      uint8_t out[16];
      for (size_t i = 0; i < v.parts.size(); ++i)
        std::memcpy(out + i * bytes, &v.parts[i].bits, bytes);
      std::memcpy(r.bits, out, 16);
      break;
    }
    case K::RefNull:
      r.bits[0] = runtime::kNullRef;
      break;
    case K::RefExtern:
    case K::RefHost: {
      // Host references are objects that carry their number.
      auto* o = store_->gc().new_host_object(reinterpret_cast<void*>(uintptr_t(v.bits)), nullptr);
      r.bits[0] = reinterpret_cast<Ref>(o);
      store_->root(r.bits[0]);
      break;
    }
    default:
      break;
  }
  return r;
}

bool Script::lane_matches(const ScriptValue& e, uint64_t bits, unsigned width) {
  using K = ScriptValue::Kind;
  const uint64_t mask = width < 64 ? (uint64_t(1) << width) - 1 : ~uint64_t{0};
  bits &= mask;
  if (e.kind == K::Num) return (e.bits & mask) == bits;
  const unsigned mantissa = width == 32 ? 23 : 52;
  const uint64_t sign = uint64_t(1) << (width - 1);
  const uint64_t quiet = ((uint64_t(1) << (width - 1 - mantissa)) - 1) << mantissa |
                         uint64_t(1) << (mantissa - 1);
  if (e.kind == K::NanCanonical) return (bits & ~sign) == quiet;
  return (bits & quiet) == quiet;
}

bool Script::matches(const ScriptValue& e, const Value& got) {
  using K = ScriptValue::Kind;
  const Ref r = got.bits[0];
  auto object_kind = [&]() -> std::optional<wasm::CompKind> {
    if (!r || runtime::is_i31(r)) return std::nullopt;
    const auto* type = reinterpret_cast<runtime::GcObject*>(r)->type;
    if (type == &runtime::GcHeap::kHostType || type == &runtime::GcHeap::kExceptionType)
      return std::nullopt;
    return type->kind;
  };
  switch (e.kind) {
    case K::Num:
    case K::NanCanonical:
    case K::NanArithmetic: {
      if (got.type != e.type) return false;
      const bool narrow = e.type == wasm::kI32 || e.type == wasm::kF32;
      return lane_matches(e, got.bits[0], narrow ? 32 : 64);
    }
    case K::Vector: {
      if (got.type != wasm::kV128) return false;
      uint8_t bytes[16];
      std::memcpy(bytes, got.bits, 16);
      const unsigned width = e.lane_bits / 8;
      for (size_t i = 0; i < e.parts.size(); ++i) {
        uint64_t lane = 0;
        std::memcpy(&lane, bytes + i * width, width);
        if (!lane_matches(e.parts[i], lane, e.lane_bits)) return false;
      }
      return true;
    }
    case K::Either:
      return std::any_of(e.parts.begin(), e.parts.end(),
                         [&](const ScriptValue& v) { return matches(v, got); });
    default:
      break;
  }
  if (!got.type.is_ref()) return false;
  switch (e.kind) {
    case K::RefNull: return r == runtime::kNullRef;
    case K::RefExtern:
    case K::RefHost: {
      if (!r) return false;
      if (!e.typed) return true;
      if (runtime::is_i31(r)) return false;
      const auto* o = reinterpret_cast<runtime::GcObject*>(r);
      return o->type == &runtime::GcHeap::kHostType &&
             uintptr_t(static_cast<const runtime::GcHostObject*>(o)->data) == e.bits;
    }
    case K::RefI31: return runtime::is_i31(r);
    case K::RefStruct: return object_kind() == wasm::CompKind::Struct;
    case K::RefArray: return object_kind() == wasm::CompKind::Array;
    case K::RefEq: return runtime::is_i31(r) || object_kind().has_value();
    default: return r != runtime::kNullRef;
  }
}

std::string Script::describe(const Value& v) {
  return fmt::format("{} 0x{:x} 0x{:x}", std::string_view(wasm::to_string(v.type)), v.bits[0],
                     v.bits[1]);
}

Result<Vec<Value>> Script::act(const wat::ScriptAction& a) {
  Instance* instance = latest_;
  if (!a.module.empty()) {
    const auto it = instances_.find(std::string_view(a.module));
    instance = it == instances_.end() ? nullptr : it->second;
  }
  if (!instance) return Error(ErrorKind::Usage, "no such instance");
  const auto e = instance->get_export(a.name);
  if (!e) return Error(ErrorKind::Usage, "no such export");
  if (a.is_get) {
    if (e->kind != ExternKind::Global) return Error(ErrorKind::Usage, "export is not a global");
    Vec<Value> r(1);
    r[0].type = e->global->type.type;
    r[0].bits[0] = e->global->value[0];
    r[0].bits[1] = e->global->value[1];
    return r;
  }
  if (e->kind != ExternKind::Func) return Error(ErrorKind::Usage, "export is not a function");
  const auto& params = e->func->type->func.params;
  Vec<Value> args;
  for (size_t i = 0; i < a.args.size(); ++i) {
    args.push_back(argument(a.args[i]));
    if (i < params.size() && params[i].is_ref()) args.back().type = params[i];
  }
  return store_->call(e->func, args);
}

void Script::check_roundtrip(const ScriptCommand& c, const wasm::Module& module) {
  auto text = wat::print_wat(module);
  if (!text.ok()) return fail(c, fmt::format("printing: {}", std::string_view(text.error().message)));
  auto again = wat::parse_wat(*text);
  if (!again.ok())
    return fail(c, fmt::format("reparsing: {} at {}", std::string_view(again.error().message),
                               again.error().offset));
  if (again->size() != module.bytes.size() ||
      std::memcmp(again->data(), module.bytes.data(), again->size()) != 0)
    return fail(c, "printed text encodes to other bytes");
  pass();
}

void Script::execute(const ScriptCommand& c) {
  switch (c.kind) {
    case Kind::Module:
    case Kind::ModuleDefinition: {
      auto module = load(c.module);
      if (!module.ok()) {
        latest_ = nullptr;
        return fail(c, fmt::format("module does not load: {}",
                                   std::string_view(module.error().message)));
      }
      if (options_.roundtrip && c.module.kind == ScriptModule::Kind::Text)
        check_roundtrip(c, **module);
      latest_definition_ = *module;
      if (!c.module.name.empty()) definitions_[std::string(c.module.name)] = *module;
      if (c.kind == Kind::ModuleDefinition) return pass();
      auto instance = linker_->instantiate(*store_, *module);
      if (!instance.ok()) {
        latest_ = nullptr;
        return fail(c, fmt::format("module does not instantiate: {}",
                                   std::string_view(instance.error().message)));
      }
      latest_ = *instance;
      if (!c.module.name.empty()) instances_[std::string(c.module.name)] = latest_;
      return pass();
    }
    case Kind::ModuleInstance: {
      std::shared_ptr<wasm::Module> module = latest_definition_;
      if (!c.of.empty()) module = definitions_[std::string(c.of)];
      if (!module) return fail(c, "no such module definition");
      auto instance = linker_->instantiate(*store_, module);
      if (!instance.ok()) return fail(c, std::string_view(instance.error().message));
      latest_ = *instance;
      if (!c.name.empty()) instances_[std::string(c.name)] = latest_;
      return pass();
    }
    case Kind::Register: {
      Instance* instance = c.of.empty() ? latest_ : instances_[std::string(c.of)];
      if (!instance) return fail(c, "no instance to register");
      auto r = linker_->define_instance(c.name, instance);
      if (!r.ok()) return fail(c, std::string_view(r.error().message));
      return;
    }
    case Kind::Action: {
      auto r = act(c.action);
      if (!r.ok()) return fail(c, std::string_view(r.error().message));
      return pass();
    }
    case Kind::AssertReturn: {
      auto r = act(c.action);
      if (!r.ok()) return fail(c, std::string_view(r.error().message));
      if (r->size() != c.expected.size())
        return fail(c, fmt::format("{} results, expected {}", r->size(), c.expected.size()));
      for (size_t i = 0; i < r->size(); ++i)
        if (!matches(c.expected[i], (*r)[i]))
          return fail(c, fmt::format("result {} is {}", i, describe((*r)[i])));
      return pass();
    }
    case Kind::AssertTrap:
    case Kind::AssertExhaustion: {
      auto r = act(c.action);
      if (r.ok()) return fail(c, "expected a trap, but it returned");
      if (r.error().kind != ErrorKind::Trap)
        return fail(c, fmt::format("expected a trap: {}", std::string_view(r.error().message)));
      if (message_ok(c, r.error().message)) pass();
      return;
    }
    case Kind::AssertException: {
      auto r = act(c.action);
      if (r.ok()) return fail(c, "expected an exception, but it returned");
      if (store_->trap().code != TrapCode::UncaughtException)
        return fail(c, fmt::format("expected an exception: {}",
                                   std::string_view(r.error().message)));
      store_->pending_exception = runtime::kNullRef;
      return pass();
    }
    case Kind::AssertTrapModule:
    case Kind::AssertUnlinkable: {
      auto module = load(c.module);
      if (!module.ok())
        return fail(c, fmt::format("module does not load: {}",
                                   std::string_view(module.error().message)));
      auto instance = linker_->instantiate(*store_, *module);
      if (instance.ok()) return fail(c, "module instantiates");
      const ErrorKind want =
          c.kind == Kind::AssertUnlinkable ? ErrorKind::Unlinkable : ErrorKind::Trap;
      if (instance.error().kind != want)
        return fail(c, fmt::format("wrong kind of error: {}",
                                   std::string_view(instance.error().message)));
      if (message_ok(c, instance.error().message)) pass();
      return;
    }
    case Kind::AssertInvalid:
    case Kind::AssertMalformed:
    case Kind::AssertInvalidCustom:
    case Kind::AssertMalformedCustom: {
      auto module = load(c.module);
      if (module.ok()) return fail(c, "module is accepted");
      const bool invalid = c.kind == Kind::AssertInvalid;
      if (c.kind == Kind::AssertInvalid || c.kind == Kind::AssertMalformed) {
        const ErrorKind want = invalid ? ErrorKind::Invalid : ErrorKind::Malformed;
        if (module.error().kind != want)
          return fail(c, fmt::format("expected the module to be {}, got: {}",
                                     invalid ? "invalid" : "malformed",
                                     std::string_view(module.error().message)));
      }
      if (message_ok(c, module.error().message)) pass();
      return;
    }
  }
}

void Script::run() {
  std::ifstream in(path_, std::ios::binary);
  if (!in) {
    ++failed_;
    log_ += fmt::format("{}: cannot be read\n", path_);
    return;
  }
  std::stringstream buffer;
  buffer << in.rdbuf();
  source_ = buffer.str();
  const bool legacy = path_.find("legacy/") != std::string::npos;
  runtime::Config config;
  config.features = legacy ? wasm::FeatureSet::all() : wasm::FeatureSet::standard();
  // The threads proposal is written against WebAssembly 2.0.
  if (path_.find("proposals/threads/") != std::string::npos)
    config.features.set(wasm::Feature::MultiMemory, false).set(wasm::Feature::Memory64, false);
  engine_ = runtime::Engine::create(config, interp::tier());
  store_ = std::make_unique<Store>(engine_);
  linker_ = std::make_unique<Linker>(engine_);
  linker_->allow_shadowing(true);
  define_spectest();
  auto script = wat::parse_wast(source_, {config.features});
  if (!script.ok()) {
    ++failed_;
    log_ += fmt::format("{}:{}: {}\n", path_,
                        wat::line_column(source_, script.error().offset).line,
                        std::string_view(script.error().message));
    return;
  }
  for (const ScriptCommand& c : *script) {
    bool skip = false;
    if (!skips_.empty()) {
      const unsigned line = wat::line_column(source_, c.offset).line;
      for (const Skip& s : skips_)
        if (ends_with(path_, s.file) && (s.line == 0 || s.line == line)) skip = true;
    }
    if (skip) ++skipped_;
    else execute(c);
  }
}

}  // namespace

int run_wast(const WastOptions& options) {
  std::vector<std::string> files;
  for (const std::string& f : options.files) {
    if (!fs::is_directory(f)) {
      files.push_back(f);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(f))
      if (entry.path().extension() == ".wast") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  std::vector<Skip> skips;
  if (!options.skip_file.empty()) {
    std::ifstream in(options.skip_file);
    if (!in) {
      fmt::print(stderr, "error: {}: cannot be read\n", options.skip_file);
      return 1;
    }
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line.substr(0, line.find('#')));
      std::string what;
      if (!(words >> what)) continue;
      Skip s{what, 0};
      if (const size_t colon = what.rfind(':'); colon != std::string::npos) {
        s.file = what.substr(0, colon);
        s.line = unsigned(std::strtoul(what.c_str() + colon + 1, nullptr, 10));
      }
      skips.push_back(s);
    }
  }

  std::atomic<size_t> next{0};
  std::mutex mutex;
  unsigned passed = 0, failed = 0, skipped = 0, bad_files = 0;
  auto work = [&] {
    for (size_t i; (i = next++) < files.size();) {
      Script script(files[i], options, skips);
      script.run();
      const std::lock_guard<std::mutex> lock(mutex);
      passed += script.passed();
      failed += script.failed();
      skipped += script.skipped();
      bad_files += script.failed() != 0;
      fmt::print("{}", script.log());
      if (options.verbose || script.failed())
        fmt::print("{}: {} passed, {} failed\n", files[i], script.passed(), script.failed());
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < std::max(1u, options.jobs); ++i) threads.emplace_back(work);
  work();
  for (auto& t : threads) t.join();
  fmt::print("{} files, {} passed, {} failed, {} skipped\n", files.size(), passed, failed, skipped);
  return failed || bad_files || files.empty() ? 1 : 0;
}

}  // namespace wafer::cli
