#include "cli/size.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "interp/footprint.h"
#include "interp/in_place.h"
#include "interp/interp.h"
#include "runtime/store.h"
#include "wasm/decoder.h"

namespace wafer::cli {

namespace {

enum class Profile : uint8_t { Minimal, Standard, Full };

struct SizeOptions {
  std::string file, profile = "full";
  bool fuel = false, trim = false, in_place = false;
  uint32_t stack = 4096;
};

wasm::FeatureSet features_of(Profile profile) {
  wasm::FeatureSet features = wasm::FeatureSet::standard();
#define WAFER_PROFILE_FEATURE(id, option, least, in_place, needs) \
  if (profile < Profile::least) features.set(wasm::Feature::id, false);
#include "wasm/profiles.def"
#undef WAFER_PROFILE_FEATURE
  return features;
}

uint64_t text_bytes(std::string_view text) { return text.size() + 1; }

// What the runtime and the module keep beside memories, stack and code.
uint64_t structures(const wasm::Module& m) {
  namespace f = interp::footprint;
  uint64_t bytes = f::kFixed;
  bytes += m.functions.size() * (f::kFunction + f::kPointer);
  bytes += (m.functions.size() - m.imported_functions) * f::kOwnFunction;
  for (const wasm::SubType& t : m.types)
    bytes += (m.features.has(wasm::Feature::GC) ? f::kTypeOfObjects : f::kType) +
             f::kValType * (t.func.params.size() + t.func.results.size() + 2 * t.fields.size());
  for (const wasm::Import& i : m.imports)
    bytes += f::kImport + f::kPointer + text_bytes(i.module) + text_bytes(i.name);
  for (const wasm::Export& e : m.exports) bytes += f::kExport + text_bytes(e.name);
  bytes += m.globals.size() * (f::kGlobal + f::kPointer);
  bytes += m.memories.size() * (f::kMemory + f::kPointer);
  for (const wasm::Table& t : m.tables)
    bytes += f::kTable + f::kPointer + (t.imported ? 0 : t.type.limits.min * f::kElement);
  for (const wasm::ElemSegment& e : m.elems) bytes += f::kElements + e.size() * f::kElementItem;
  bytes += m.datas.size() * f::kData;
  return bytes;
}

// Bytes of the module's own memories, by their least size; of the first up to __heap_base where
// Config::trim_memories would end it there.
uint64_t memories(const wasm::Module& m, bool trim) {
  uint64_t bytes = 0;
  for (size_t i = m.imported_memories; i < m.memories.size(); ++i) {
    const wasm::MemoryType& type = m.memories[i].type;
    uint64_t own = type.limits.min << type.page_size_log2;
    if (trim) own = std::min(own, runtime::trimmed_bytes(m, i));
    bytes += own;
  }
  return bytes;
}

int size(const SizeOptions& o) {
  const Profile profile = o.profile == "minimal"    ? Profile::Minimal
                          : o.profile == "standard" ? Profile::Standard
                                                    : Profile::Full;
  runtime::Config config;
  config.features = features_of(profile);
  config.guard_pages = false;
  config.consume_fuel = o.fuel;
  const std::optional<ModuleInput> input = open_module(o.file, config.features);
  if (!input) return kFailure;
  const auto engine =
      runtime::Engine::create(config, o.in_place ? interp::in_place_tier() : interp::tier());
  auto module = engine->load_module(input->binary(), false);
  if (!module) {
    print_module_error(*input, module.error());
    // By other profiles, or another interpreter.
    if (wasm::is_valid_module(input->binary(), wasm::FeatureSet::all()))
      print_note(fmt::format("the profile '{}' does not run this module{}", o.profile,
                             o.in_place ? " in place" : ""));
    return kFailure;
  }
  const wasm::Module& m = **module;
  interp::ModuleCodeImpl code(m, *engine, o.in_place);
  uint64_t total = 0, largest = 0, bodies = 0;
  uint32_t frame = 0;
  for (uint32_t i = m.imported_functions; i < code.func_count; ++i) {
    interp::FuncCode& f = code.funcs[i];
    if (!code.ensure(f)) {
      print_error(f.failed.error().message);
      return kFailure;
    }
    const uint64_t bytes = f.code.size() * sizeof(interp::Word) + f.offsets.size() +
                           f.handlers.bytes() + 2 * (f.ref_locals.size() + f.ref_maps.size()) +
                           sizeof(f.ref_points[0]) * f.ref_points.size();
    total += bytes;
    largest = std::max(largest, bytes);
    bodies += m.functions[i].body.size();
    // Pointers of a link are half as large there.
    const uint32_t wider = o.in_place ? interp::kInPlaceLinkSlots - interp::kLinkSlots : 0;
    frame = std::max(frame, (f.frame_slots - wider) * uint32_t(sizeof(runtime::Slot)));
  }
  const uint64_t linear = memories(m, o.trim), kept = structures(m);
  std::string out;
  const auto line = [&](uint64_t bytes, std::string_view what) {
    out += fmt::format("{:>10}  {}\n", bytes, what);
  };
  line(linear,
       o.trim ? "linear memory, up to the heap's base where that is known" : "linear memory");
  line(o.stack, fmt::format("call stack; the largest frame takes {}", frame));
  line(kept, "engine, store, module and instance");
  line(total, fmt::format("{}, if every function runs; the largest takes {}, bodies have {}",
                          o.in_place ? "side tables" : "code", largest, bodies));
  line(linear + o.stack + kept + total, "in all, of RAM");
  line(input->binary().size(), "the module, which may stay in flash");
  return write_stdout(out) ? kSuccess : kFailure;
}

}  // namespace

void add_size(CLI::App& app, Context& context) {
  auto o = std::make_shared<SizeOptions>();
  CLI::App& command =
      *app.add_subcommand("size", "Tell what a module will need on a 32-bit microcontroller");
  command
      .add_option("--profile", o->profile, "Of the library: minimal, standard or full (default)")
      ->check(CLI::IsMember({"minimal", "standard", "full"}));
  command.add_option("--stack", o->stack, "Bytes of call stack (default 4096)");
  command.add_flag("--fuel", o->fuel, "With code that counts fuel");
  command.add_flag("--in-place", o->in_place,
                   "With the interpreter that runs functions where their bytes lie");
  command.add_flag("--trim", o->trim, "With memory that ends at __heap_base");
  command.add_option("FILE", o->file, "Module, binary or text; - for standard input")->required();
  command.callback([o, &context] { context.action = [o] { return size(*o); }; });
}

}  // namespace wafer::cli
