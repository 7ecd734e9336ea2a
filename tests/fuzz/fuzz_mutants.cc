// Components as toolchains make them, with their sections, sizes, counts and indices changed: what
// can still be decoded is printed, composed, instantiated and called within limits. An input is a
// list of changes, so that what is changed stays a component in sections. Besides the seeds those
// components are taken that lie in the folder WAFER_FUZZ_COMPONENTS.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/leb128.h"
#include "component/run/linker.h"
#include "component/run/precompile.h"
#include "component/sections.h"
#include "component_seeds.h"
#include "compose/embed.h"
#include "compose/graph.h"
#include "interp/interp.h"
#include "wat/wat.h"
#include "wit/decode.h"
#include "wit/print.h"

namespace {

using namespace wafer;
namespace fs = std::filesystem;

// Needs nothing, so that it always runs: strings, lists, resources and calls between instances.
constexpr std::string_view kOwn = R"((component
  (component $c
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (i32.and (i32.const 4096) (i32.sub (i32.const 0) (local.get 2))))
      (func (export "f") (param i32 i32) (result i32)
        (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
        (i32.const 0))
      (func (export "g") (param i32 i32 i64) (result i32) (i32.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (type $p' (record (field "a" string) (field "b" (list u16))))
    (export $p "p" (type $p'))
    (func (export "f") (param "s" string) (result string)
      (canon lift (core func $i "f") (memory (core memory $i "memory"))
        (realloc (core func $i "realloc"))))
    (type $v' (variant (case "x" f32) (case "y" u64)))
    (export $v "v" (type $v'))
    (func (export "g") (param "n" u32) (param "v" $v) (result u32)
      (canon lift (core func $i "g"))))
  (instance $c1 (instantiate $c))
  (core module $libc (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
  (core instance $libc (instantiate $libc))
  (core func $f (canon lower (func $c1 "f") string-encoding=utf16
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core module $main (import "" "f" (func $f (param i32 i32 i32)))
    (func (export "run") (call $f (i32.const 0) (i32.const 8) (i32.const 64)))
    (func (export "drop") (param i32)))
  (core instance $main (instantiate $main (with "" (instance (export "f" (func $f))))))
  (type $r' (resource (rep i32) (dtor (core func $main "drop"))))
  (export $r "r" (type $r'))
  (core func $new (canon resource.new $r'))
  (core module $make (import "" "new" (func $new (param i32) (result i32)))
    (func (export "make") (result i32) (call $new (i32.const 7))))
  (core instance $make (instantiate $make (with "" (instance (export "new" (func $new))))))
  (func (export "make") (result (own $r)) (canon lift (core func $make "make")))
  (func (export "run") (canon lift (core func $main "run")))
  (export "c" (instance $c1))))";

// A component or core module in sections. What holds neither is a piece of bytes.
struct Part {
  uint8_t id = 0;
  std::string bytes;        // the preamble of what has sections, or contents
  std::vector<Part> parts;  // sections in it
};

void read(Part& out, Bytes bytes, unsigned depth) {
  out.bytes.assign(bytes.begin(), bytes.end());
  auto sections = component::sections(bytes);
  if (!sections.ok() || depth == 8 || bytes.size() < 8) return;
  out.bytes.resize(8);
  for (const component::Section& s : *sections) {
    Part part;
    part.id = s.id;
    // Of components: core modules and components. Others only look so by chance.
    const uint8_t* const end = s.whole.data() + s.whole.size();
    const uint8_t* at = s.whole.data() + 1;
    uint64_t size = 0;
    (void)read_uleb<32>(at, end, size);
    const Bytes contents(at, static_cast<size_t>(end - at));
    if (component::is_component(bytes) && (s.id == 1 || s.id == 4))
      read(part, contents, depth + 1);
    else
      part.bytes.assign(contents.begin(), contents.end());
    out.parts.push_back(std::move(part));
  }
}

std::string written(const Part& part) {
  std::string out = part.bytes;
  for (const Part& p : part.parts) {
    const std::string contents = written(p);
    Vec<uint8_t> size;
    write_uleb(size, contents.size());
    out += static_cast<char>(p.id);
    out.append(size.begin(), size.end());
    out += contents;
  }
  return out;
}

// Takes numbers from an input; zeros when it is at its end.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool done() const { return at_ >= size_; }
  uint32_t byte() { return done() ? 0 : data_[at_++]; }
  uint32_t below(size_t n) {
    const uint32_t high = byte();
    return n == 0 ? 0 : (high << 8 | byte()) % static_cast<uint32_t>(n);
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

void change_bytes(std::string& bytes, Reader& in) {
  if (bytes.empty()) return;
  const size_t at = in.below(bytes.size());
  const auto number = [&] {
    constexpr uint32_t kNumbers[] = {
        0, 1, 2, 127, 128, 255, 65'535, 1'000'000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    Vec<uint8_t> out;
    write_uleb(out, kNumbers[in.below(std::size(kNumbers))]);
    return std::string(out.begin(), out.end());
  };
  switch (in.below(6)) {
    case 0:
      bytes[at] = static_cast<char>(in.byte());
      break;
    case 1:
      bytes[at] = static_cast<char>(bytes[at] + 1 - 2 * (in.byte() & 1));
      break;
    case 2:
      bytes.erase(at, 1 + in.below(4));
      break;
    case 3:
      bytes.insert(at, 1, static_cast<char>(in.byte()));
      break;
    case 4:
      bytes.replace(at, 1, number());
      break;
    default:  // the count that most sections begin with
      bytes[0] = static_cast<char>(bytes[0] + 1 - 2 * (in.byte() & 1));
  }
}

void change(Part& whole, Reader& in) {
  // One with sections, mostly the outer one.
  Part* part = &whole;
  while (in.byte() & 1) {
    std::vector<Part*> inner;
    for (Part& p : part->parts)
      if (!p.parts.empty()) inner.push_back(&p);
    if (inner.empty()) break;
    part = inner[in.below(inner.size())];
  }
  std::vector<Part>& parts = part->parts;
  if (parts.empty()) return change_bytes(part->bytes, in);
  const size_t at = in.below(parts.size()), other = in.below(parts.size());
  const auto place = [&](size_t i) { return parts.begin() + static_cast<ptrdiff_t>(i); };
  switch (in.below(8)) {
    case 0:
      parts.erase(place(at));
      break;
    case 1:
      std::swap(parts[at], parts[other]);
      break;
    case 2: {
      Part copy = parts[at];
      parts.insert(place(other), std::move(copy));
      break;
    }
    case 3:
      parts[at].id = static_cast<uint8_t>(in.below(14));
      break;
    default: {
      Part& p = parts[at];
      change_bytes(p.bytes, in);
    }
  }
}

const std::vector<Part>& components() {
  static const std::vector<Part> made = [] {
    std::vector<Part> out;
    const auto add = [&](Bytes bytes) {
      Part part;
      read(part, bytes, 0);
      out.push_back(std::move(part));
    };
    for (std::string_view hex : kComponentSeeds) {
      std::vector<uint8_t> bytes;
      for (size_t i = 0; i + 1 < hex.size(); i += 2)
        bytes.push_back(
            static_cast<uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
      add(bytes);
    }
    auto own = wat::parse_wat(kOwn, {});
    if (!own.ok()) std::abort();
    add({own->data(), own->size()});
    const char* const folder = std::getenv("WAFER_FUZZ_COMPONENTS");
    if (!folder) return out;
    constexpr uintmax_t kMost = 20 << 20;
    std::vector<fs::path> paths;
    std::error_code code;
    for (fs::recursive_directory_iterator it(folder, code), end; !code && it != end;
         it.increment(code))
      if (it->path().extension() == ".wasm" && it->is_regular_file(code) &&
          it->file_size(code) <= kMost)
        paths.push_back(it->path());
    std::sort(paths.begin(), paths.end());
    for (const fs::path& path : paths) {
      std::ifstream in(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(in), {}};
      const Bytes whole(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      if (component::is_component(whole)) add(whole);
    }
    return out;
  }();
  return made;
}

// Some value of a type; nothing for those that only a guest or a host makes.
std::optional<component::Val> some_value(const component::TypeArena& types, component::ValType type,
                                         unsigned depth = 0) {
  using component::TypeKind;
  using component::Val;
  if (depth == 20) return std::nullopt;
  if (!type.defined())
    return type.prim == component::Prim::String ? Val::of_text("text") : Val::of_bits(1);
  const component::TypeDef& def = types[type.id];
  const auto all = [&](size_t n, auto&& type_of) -> std::optional<Val> {
    Val::Items items;
    for (size_t i = 0; i < n; ++i) {
      auto item = some_value(types, type_of(i), depth + 1);
      if (!item) return std::nullopt;
      items.push_back(*std::move(item));
    }
    return Val::of_items(std::move(items));
  };
  const auto one_case = [&](component::ValType payload) -> std::optional<Val> {
    if (!payload) return Val::of_case(0);
    auto value = some_value(types, payload, depth + 1);
    return value ? std::optional(Val::of_case(0, *std::move(value))) : std::nullopt;
  };
  switch (def.kind) {
    case TypeKind::Primitive:
      return some_value(types, def.args[0], depth + 1);
    case TypeKind::Record:
      return all(def.labels.size(), [&](size_t i) { return def.labels[i].type; });
    case TypeKind::Tuple:
      return all(def.args.size(), [&](size_t i) { return def.args[i]; });
    case TypeKind::Flags:
    case TypeKind::Enum:
      return Val::of_bits(0);
    case TypeKind::Option:
      return Val::none();
    case TypeKind::Variant:
      return one_case(def.labels[0].type);
    case TypeKind::Result:
      return one_case(def.args[0]);
    case TypeKind::List:
      return Val::of_items({});
    default:
      return std::nullopt;
  }
}

// What an import gets: functions that give some value, resources that nobody has.
void define(const component::TypeArena& types, component::HostInstance to,
            const component::NamedEntity& import) {
  if (import.entity.sort == component::Sort::Func) {
    to.func(import.name, [](component::HostCall& call) {
      const component::ValType result = call.type().args[0];
      if (!result) return runtime::TrapCode::None;
      auto value = some_value(call.caller.types, result);
      if (!value) return call.fail("nobody is there");
      call.result.push_back(*std::move(value));
      return runtime::TrapCode::None;
    });
  } else if (import.entity.sort == component::Sort::Type &&
             types[import.entity.type].kind == component::TypeKind::Resource) {
    to.resource(import.name, [](uint64_t) {});
  }
}

void run(const std::shared_ptr<runtime::Engine>& engine,
         const std::shared_ptr<component::Component>& component) {
  runtime::StoreLimits limits;
  limits.memory_bytes = 16u << 20;
  limits.table_elements = 10'000;
  limits.gc_heap_bytes = 4u << 20;
  runtime::Store core(engine, limits);
  core.fuel = 100'000;
  component::ComponentLinker linker;
  for (const component::NamedEntity& e : component->shape().imports) {
    if (e.entity.sort != component::Sort::Instance) {
      define(*component->types, linker.root(), e);
      continue;
    }
    component::HostInstance instance = linker.instance(e.name);
    for (const component::NamedEntity& x : (*component->types)[e.entity.type].shape->exports)
      define(*component->types, instance, x);
  }
  component::ComponentStore store(core);
  // Nothing waits for longer.
  core.interrupt();
  auto instance = linker.instantiate(store, component);
  if (!instance.ok()) return;
  const auto call = [&](const component::EntityList& exports, std::string_view interface) {
    for (const component::NamedEntity& e : exports) {
      if (e.entity.sort != component::Sort::Func) continue;
      const auto func = component::find_func(**instance, e.name, interface);
      if (!func) continue;
      const component::Caller caller = func.caller();
      std::vector<component::Val> args;
      for (const component::Label& l : caller.def().labels)
        if (auto value = some_value(caller.types, l.type)) args.push_back(*std::move(value));
      if (args.size() != caller.def().labels.size()) continue;
      core.fuel = 100'000;
      (void)component::call(store, func, std::move(args));
    }
  };
  const component::EntityList& exports = component->shape().exports;
  call(exports, {});
  for (const component::NamedEntity& e : exports)
    if (e.entity.sort == component::Sort::Instance)
      call((*component->types)[e.entity.type].shape->exports, e.name);
}

}  // namespace

std::vector<std::string> make_seeds() {
  std::vector<std::string> out;
  for (size_t i = 0; i < components().size(); ++i)
    for (const char* changes : {"", "aaaaaaaaaaaaaaaa", "abcdefghijklmnopqrstuvwxyz0123456789"})
      out.push_back(std::string(1, static_cast<char>(i >> 8)) + static_cast<char>(i) + changes);
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto engine = [] {
    runtime::Config config;
    config.consume_fuel = true;
    return runtime::Engine::create(config, interp::tier());
  }();
  Reader in(data, std::min<size_t>(size, 100));
  const size_t which = in.below(components().size());
  Part part = components()[which];
  while (!in.done()) change(part, in);
  auto text = std::make_shared<const std::string>(written(part));
  const Bytes bytes(reinterpret_cast<const uint8_t*>(text->data()), text->size());
  component::DecodeOptions options = component::options_for(*engine);
  options.owner = text;
  for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
    options.features.set(component::Feature(f));
  auto decoded = component::decode(bytes, options);
  if (auto printed = wat::print_component(bytes); printed.ok() && decoded.ok()) {
    // What is valid can be read back.
    wat::ParseOptions parse;
    parse.features = wasm::FeatureSet::all();
    if (!wat::parse_wat(*printed, parse).ok()) std::abort();
  }
  if (!decoded.ok()) {
    if (decoded.error().message.empty()) std::abort();
    return 0;
  }
  auto world =
      wit::is_package(**decoded) ? wit::decode_package(**decoded, bytes) : wit::world_of(**decoded);
  if (world.ok()) (void)wit::print(world->resolve, world->main, {true, true});
  (void)compose::unbundle(bytes);
  (void)compose::compose(compose::plug_graph(1), {bytes, bytes});
  run(engine, *decoded);
  return 0;
}
