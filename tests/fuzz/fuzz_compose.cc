// Composition: whatever modules, adapters, components, worlds and scripts hold, there is a valid
// component or an error.
#include <cstdlib>
#include <string>
#include <vector>

#include "bindgen/c.h"
#include "bindgen/cpp.h"
#include "component/component.h"
#include "compose/embed.h"
#include "compose/graph.h"
#include "compose/link.h"
#include "compose/new.h"
#include "wat/wat.h"
#include "wit/component_type.h"
#include "wit/decode.h"
#include "wit/encode.h"
#include "wit/merge.h"

namespace {

using namespace wafer;

constexpr std::string_view kWit = R"(package a:b@1.2.0;
interface i {
  record r { a: u32, b: string }
  resource s { constructor(n: u32); m: func(x: r) -> list<r>; }
  f: async func(x: option<r>) -> future<string>;
}
world main {
  import i;
  import g: func(s: string);
  export e: interface { use i.{r}; resource t; h: func(x: r) -> own<t>; }
  export run: func() -> string;
}
world none {}
world adapter { import i; export k: func(n: u32) -> u32; }
)";

constexpr std::string_view kMain = R"((module
  (import "a:b/i@1.2.0" "[method]s.m" (func (param i32 i32 i32 i32 i32)))
  (import "a:b/i@1.2.0" "[resource-drop]s" (func (param i32)))
  (import "a:b/i@1.2.0" "[future-read-0]f" (func (param i32 i32) (result i32)))
  (import "[export]e" "[resource-new]t" (func (param i32) (result i32)))
  (import "$root" "g" (func (param i32 i32)))
  (import "$root" "[waitable-set-new]" (func (result i32)))
  (import "old" "x" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
  (func (export "e#h") (param i32 i32 i32) (result i32) i32.const 0)
  (func (export "e#[dtor]t") (param i32))
  (func (export "run") (result i32) i32.const 0)
  (func (export "cabi_post_run") (param i32))
  (func (export "_initialize"))))";

constexpr std::string_view kAdapter = R"((module
  (import "env" "memory" (memory 0))
  (import "__main_module__" "cabi_realloc" (func $r (param i32 i32 i32 i32) (result i32)))
  (import "a:b/i@1.2.0" "[constructor]s" (func $c (param i32) (result i32)))
  (global $__stack_pointer (mut i32) i32.const 0)
  (global $allocation_state (mut i32) i32.const 0)
  (func (export "x") (param i32) (result i32)
    (global.set $__stack_pointer (i32.load (local.get 0)))
    (global.set $allocation_state (i32.const 1))
    (call $c (call $r (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1))))
  (func (export "unused"))
  (func (export "k") (param i32) (result i32) (local.get 0))))";

// A library, with an annotation for its section dylink.0: memory, table, and what it needs.
constexpr std::string_view kLibrary = R"((module
  (@custom "dylink.0" (before first) "\01\04\10\02\02\00\02\04\01\02so\04\09\01\03env\02dl\01")
  (import "env" "memory" (memory 0)) (import "env" "__memory_base" (global $m i32))
  (import "env" "__table_base" (global $t i32))
  (import "env" "__indirect_function_table" (table 0 funcref))
  (import "env" "dlopen" (func $open (param i32 i32) (result i32)))
  (import "env" "dlsym" (func (param i32 i32) (result i32)))
  (import "env" "__wasm_get_tls_base" (func $get (result i32)))
  (import "env" "__wasm_set_tls_base" (func (param i32)))
  (import "$root" "[thread-new-indirect-v0]" (func (param i32 i32) (result i32)))
  (import "GOT.mem" "__wasm_program_tls_info" (global (mut i32)))
  (import "GOT.mem" "datum" (global (mut i32)))
  (import "GOT.func" "f" (global (mut i32)))
  (global (export "__wasm_library_tls_info") i32 (i32.const 8))
  (global (export "datum") i32 (i32.const 4))
  (func $f (export "f") (result i32) (call $open (call $get) (global.get $m)))
  (func (export "__wasm_call_ctors"))
  (elem (global.get $t) func $f)
  (data (global.get $m) "some data")))";
// The one that it needs.
constexpr std::string_view kNeeded = R"((module
  (@custom "dylink.0" (before first) "\01\04\08\02\00\00")
  (import "env" "memory" (memory 0)) (import "env" "f" (func $f (result i32)))
  (func (export "g") (result i32) (call $f))))";

wit::Resolved worlds() {
  auto out = wit::resolve({{{"seed.wit", std::string(kWit)}}});
  if (!out.ok()) std::abort();
  return *out;
}

Vec<uint8_t> module_of(std::string_view wat, std::string_view world) {
  const wit::Resolved resolved = worlds();
  auto module = wat::parse_wat(wat);
  auto id = wit::select_world(resolved, world);
  if (!module.ok() || !id.ok()) std::abort();
  auto out = compose::embed({module->data(), module->size()}, resolved.resolve, *id,
                            component::StringEncoding::Utf8);
  if (!out.ok()) std::abort();
  return *out;
}

Vec<uint8_t> whole() {
  const Vec<uint8_t> main = module_of(kMain, "main"), adapter = module_of(kAdapter, "adapter");
  compose::NewOptions options;
  options.adapters.push_back({"old", {adapter.data(), adapter.size()}});
  auto out = compose::new_component({main.data(), main.size()}, options);
  if (!out.ok()) std::abort();
  return *out;
}

std::string text_of(const Vec<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

void check(const Result<Vec<uint8_t>>& made) {
  if (!made.ok()) return;
  component::DecodeOptions options;
  for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
    options.features.set(component::Feature(f));
  options.core_features = wasm::FeatureSet::all();
  // What is made may be refused for bodies that nothing looked at before, but not crash.
  (void)component::decode({made->data(), made->size()}, options);
}

}  // namespace

std::vector<std::string> make_seeds() {
  return {text_of(module_of(kMain, "main")),
          text_of(module_of(kAdapter, "adapter")),
          text_of(module_of(kLibrary, "none")),
          text_of(whole()),
          std::string(kWit),
          "let a = \"x\" with b, \"c:d/e@1.0.0\" = a.\"f\"  # z\nexport a.\"g\" as \"h\"\n"};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Vec<uint8_t> main_module = module_of(kMain, "main"), component = whole();
  static const wit::Resolved resolved = worlds();
  const Bytes input(data, size);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (component::is_component(input)) {
    (void)compose::targets(input, resolved.resolve, resolved.resolve.packages[0].worlds[0]);
    if (auto apart = compose::unbundle(input); apart.ok()) check(std::move(apart->component));
    check(compose::compose(compose::plug_graph(1), {{component.data(), component.size()}, input}));
  } else if (text.starts_with(std::string_view("\0asm", 4))) {
    compose::NewOptions options;
    options.adapters.push_back({"old", input});
    check(compose::new_component({main_module.data(), main_module.size()}, options));
    check(compose::new_component(input));
    static const Vec<uint8_t> needed = module_of(kNeeded, "none");
    for (const bool openable : {false, true}) {
      compose::LinkOptions how;
      how.built_in_dl = openable;
      auto linked =
          compose::link({{"a", input, openable}, {"so", {needed.data(), needed.size()}}}, how);
      if (linked.ok()) check(compose::new_component({linked->data(), linked->size()}));
    }
  } else {
    (void)compose::parse_graph(text);
    auto read = wit::resolve({{{"seed.wit", std::string(text)}}}, {{}, true});
    if (!read.ok()) return 0;
    const auto encoded = wit::encode_package(read->resolve, read->main);
    if (!encoded.ok()) return 0;
    const Vec<uint8_t>& bytes = *encoded;
    component::DecodeOptions all;
    for (unsigned f = 0; f < unsigned(component::Feature::None); ++f)
      all.features.set(component::Feature(f));
    if (auto decoded = component::decode({bytes.data(), bytes.size()}, all); decoded.ok())
      (void)wit::decode_package(**decoded, {bytes.data(), bytes.size()});
    for (wit::WorldId w : read->resolve.packages[read->main].worlds) {
      (void)bindgen::c_bindings(read->resolve, w);
      (void)bindgen::c_bindings(read->resolve, w, true);
      (void)bindgen::cpp_guest_bindings(read->resolve, w);
      (void)bindgen::cpp_host_bindings(read->resolve, w);
    }
    wit::Resolve twice = read->resolve;
    if (!wit::merge(twice, read->resolve).ok()) std::abort();
  }
  return 0;
}
