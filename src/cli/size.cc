#include "cli/size.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "interp/footprint.h"
#include "interp/in_place.h"
#include "interp/interp.h"
#include "runtime/store.h"
#include "wasm/decoder.h"
#include "wasm/validator.h"

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

// Tells how many bytes are in use at most, by an allocator that counts.
class Meter {
 public:
  Meter() : inner_(current_allocator()) {
    set_allocator({[](void* self, size_t size, size_t align) {
                     return static_cast<Meter*>(self)->allocate(size, align);
                   },
                   [](void* self, void* pointer, size_t size, size_t align) {
                     static_cast<Meter*>(self)->release(pointer, size, align);
                   },
                   this});
  }
  ~Meter() { set_allocator(inner_); }
  Meter(const Meter&) = delete;
  void begin() { most_ = now_; }
  // Bytes that were in use for a while since begin() and no longer are.
  uint64_t passing() const { return uint64_t(most_ - now_); }

 private:
  void* allocate(size_t size, size_t align) {
    void* const p = inner_.allocate(inner_.context, size, align);
    if (p) most_ = std::max(most_, now_ += int64_t(size));
    return p;
  }
  void release(void* pointer, size_t size, size_t align) {
    if (pointer) now_ -= int64_t(size);
    inner_.release(inner_.context, pointer, size, align);
  }
  const Allocator inner_;
  int64_t now_ = 0, most_ = 0;
};

// What the runtime and the module keep beside memories, stack and code.
uint64_t structures(const wasm::Module& m) {
  namespace f = interp::footprint;
  uint64_t bytes = f::kFixed;
  if (m.features.has(wasm::Feature::ReferenceTypes)) bytes += f::kReferences;
  bytes += m.functions.size() * (f::kFunction + f::kPointer);
  // The list of functions that are ready grows by halves.
  bytes += (m.functions.size() - m.imported_functions) * (f::kOwnFunction + 5 * f::kPointer / 2);
  for (const wasm::SubType& t : m.types)
    bytes += (m.features.has(wasm::Feature::GC) ? f::kTypeOfObjects : f::kType) +
             f::kValType * (t.func.params.size() + t.func.results.size() + 2 * t.fields.size());
  for (const wasm::Import& i : m.imports) {
    const uint64_t names = text_bytes(i.module) + text_bytes(i.name);
    bytes += f::kImport + f::kPointer + names;
    if (i.type.kind == wasm::ExternKind::Func) bytes += f::kHostFunction + names;
  }
  for (const wasm::Export& e : m.exports) bytes += f::kExport + text_bytes(e.name);
  bytes += m.globals.size() * (f::kGlobal + f::kPointer);
  bytes += m.memories.size() * (f::kMemory + f::kPointer);
  for (const wasm::Table& t : m.tables)
    bytes += f::kTable + f::kPointer + (t.imported ? 0 : t.type.limits.min * f::kElement);
  for (const wasm::ElemSegment& e : m.elems)
    bytes += f::kElements + e.size() * (e.mode == wasm::SegmentMode::Passive
                                            ? f::kElementItem + f::kElement
                                            : f::kElementItem);
  bytes += m.datas.size() * f::kData + m.tags.size() * (f::kTag + f::kPointer);
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

constexpr uint64_t kNarrowWord = 2;  // bytes

// Bytes of what runs instead of a function's body on narrow slots, at most.
uint64_t code_bytes(const interp::FuncCode& f, bool in_place) {
  if (in_place) return f.code.size() * sizeof(interp::Word);
  uint64_t words = f.narrow_words;
  // Where slots are beyond what short forms reach, each may be copied before or after.
  if (f.frame_slots + 8 > interp::kNearSlots) words *= 6;
  // Where branches may lead further than short ones do, each leads over another.
  if (words > 0x7FFF) words += words + words / 2;
  return words * kNarrowWord;
}

// What a small build has at most beside the `code` bytes that come of a body, while they grow:
// translate() begins with a guess, and vectors go on by halves.
uint64_t growing(uint64_t code, uint64_t body, const SizeOptions& o) {
  const uint64_t words = interp::guessed_words(body, o.fuel);
  const uint64_t guess = o.in_place ? 0 : words * kNarrowWord + interp::guessed_offsets(body);
  return code > guess ? code + code / 2 : guess;
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
  // What making code, which is checked once more as it is made, takes for a while is of this
  // machine's sizes, and so not less than there; but for operands, of which there are many at once.
  Meter meter;
  constexpr uint64_t kOperandsHere = 4 * wasm::kMaxResults * sizeof(wasm::ValType);
  uint64_t total = 0, largest = 0, bodies = 0, passing = 0;
  uint32_t frame = 0;
  for (uint32_t i = m.imported_functions; i < code.func_count; ++i) {
    interp::FuncCode& f = code.funcs[i];
    meter.begin();
    if (!code.ensure(f)) {
      print_error(f.failed.error().message);
      return kFailure;
    }
    // As translate() would say there.
    if (!o.in_place && f.frame_slots > interp::kMaxNarrowSlots - 4) {
      print_error(
          fmt::format("function {} needs too many stack slots for 32-bit processors: {}, of "
                      "{} at most",
                      i, f.frame_slots, interp::kMaxNarrowSlots - 4));
      return kFailure;
    }
    const uint64_t bytes = code_bytes(f, o.in_place) + f.offsets.size() + f.handlers.bytes() +
                           sizeof(f.ref_locals[0]) * f.ref_locals.size() +
                           sizeof(f.ref_maps[0]) * f.ref_maps.size() +
                           sizeof(f.ref_points[0]) * f.ref_points.size();
    total += bytes;
    passing = std::max(passing, meter.passing() - std::min(meter.passing(), kOperandsHere) +
                                    3 * sizeof(wasm::ValType) * f.frame_slots +
                                    growing(bytes, m.functions[i].body.size(), o) +
                                    2 * f.handlers.bytes());
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
  line(passing, "while a function is checked or made ready, at most");
  line(linear + o.stack + kept + total + passing, "in all, of RAM");
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
