#include "wasm/decoder.h"

#include <algorithm>

#include "wasm/cursor.h"
#include "wasm/feature_name.h"
#include "wasm/hints.h"
#include "wasm/instr.h"
#include "wasm/names.h"
#include "wasm/type_reader.h"
#include "wasm/validator.h"

namespace wafer::wasm {

namespace {

// Implementation limits (appendix "Implementation Limitations"), those of the
// JavaScript API where it has one.
constexpr uint32_t kMaxImports = 1000000;
constexpr uint32_t kMaxDataSegments = 100000;
// What a section is a vector of, how many there may be in a module, and the bytes that each takes
// at least.
struct EntriesOf {
  Text what;
  uint32_t limit;
  uint32_t least;
};
constexpr EntriesOf kImports{"imports", kMaxImports, 4}, kFunctions{"functions", 1000000, 1},
    kTables{"tables", 100000, 3}, kMemories{"memories", 1000, 2}, kGlobals{"globals", 1000000, 4},
    kTags{"tags", 1000000, 2}, kExports{"exports", 1000000, 3},
    kElemSegments{"element segments", 10000000, 4};
constexpr uint64_t kMaxModuleSize = 0x7FFFFFFF;

// Bytes that must follow a section or body, unless the input ends, before it is
// decoded: the longest integer. Some errors depend on how the bytes go on.
constexpr uint32_t kLookAhead = 10;

// What stands in the place of an import's kind, beside ExternKind.
constexpr uint8_t kExactFunc = 0x20, kSameType = 0x7E, kSameModule = 0x7F;

enum SectionId : uint8_t {
  kCustom,
  kType,
  kImport,
  kFunction,
  kTable,
  kMemory,
  kGlobal,
  kExport,
  kStart,
  kElement,
  kCode,
  kData,
  kDataCount,
  kTag,
  kSectionIds,
};

// Position of each section in the order that modules must keep (5.5.2).
constexpr uint8_t kOrder[kSectionIds] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 11, 6};

// Decodes a module from bytes that may still be arriving. `advance` goes as far
// as the bytes seen so far allow; every section (and every function body of the
// code section) is decoded once it is complete.
class ModuleDecoder {
 public:
  ModuleDecoder(const DecodeOptions& options, Shared<Module> module)
      : module_(std::move(module)),
        validate_(options.validate),
        names_(options.names),
        validator_(*module_) {
    module_->features = options.features;
    module_->grows_memory = !options.validate;
    module_->registry = options.registry ? options.registry : make_shared_in<TypeRegistry>();
  }

  // Decodes what is complete; `final` says that no bytes will follow.
  Result<void> advance(bool final);
  Shared<Module> take() { return std::move(module_); }

 private:
  enum class State : uint8_t { Header, Sections, Bodies, Done };

  // What a step comes to: more bytes are needed, it is done, or `failure_` says what is wrong.
  enum class Step : uint8_t { Wait, Done, Failed };

  // Out of line, as is `fail`: there are many calls.
  WAFER_COLD Step malformed(Text message, uint32_t at) {
    return failed(failure(ErrorKind::Malformed, message, at));
  }
  Step failed(Failure f) {
    failure_ = std::move(f);
    return Step::Failed;
  }
  WAFER_COLD static bool fail(Cursor& c, Text message, const uint8_t* at) {
    return c.fail_text(ErrorKind::Malformed, message, at);
  }
  uint32_t size() const { return uint32_t(module_->bytes.size()); }
  Cursor cursor(uint32_t begin, uint32_t end) {
    Cursor c(module_->bytes.data(), begin, end, size(), module_->features);
    c.set_type_limit(uint32_t(module_->types.size()));
    return c;
  }

  // The steps of advance.
  Step header(bool final);
  Step next_section(bool final);
  Step next_body(bool final);
  Step read_size(uint32_t& pos, uint32_t& out, bool final);

  WAFER_NOINLINE bool section(uint8_t id, Cursor& c);
  bool types(Cursor& c);
  // `is_rec`: spelt as a group.
  bool rec_group(Cursor& c, uint32_t count, bool is_rec);
  bool check_clauses(Cursor& c, uint32_t first, uint32_t n, const uint8_t* at);
  bool check_super(Cursor& c, uint32_t index, const uint8_t* at);
  // A section of entries, each of which is read to the end of `list`.
  template <auto Read, class List>
  bool entries(Cursor& c, List& list, const EntriesOf& of);
#if !WAFER_HAS_OS
  bool entries(Cursor& c, VecStorage& list, const EntriesOf& of, size_t size,
               bool (*read)(ModuleDecoder& decoder, Cursor& c, void* place));
#endif
  bool import_entry(Cursor& c, Import& import);
  bool import_group(Cursor& c, const String& module, bool shared_type);
  bool extern_kind(Cursor& c, uint8_t kind, Text malformed);
  bool import_kind(Cursor& c, uint8_t kind, ExternType& type);
  void add_import(const ExternType& type, uint32_t at);
  bool function_entry(Cursor& c, Function& function);
  bool table_entry(Cursor& c, Table& table);
  bool memory_entry(Cursor& c, Memory& memory);
  bool tag_entry(Cursor& c, Tag& tag);
  bool global_entry(Cursor& c, Global& global);
  bool export_entry(Cursor& c, Export& e);
  bool element_entry(Cursor& c, ElemSegment& elem);
  bool datas(Cursor& c);
  bool custom(Cursor& c);

  bool func_index_type(Cursor& c, uint32_t& out);
  bool tag_type(Cursor& c, uint32_t& out);
  bool name(Cursor& c, std::string_view& out);
  bool name(Cursor& c, String& out) {
    std::string_view text;
    if (!name(c, text)) return false;
    out = text;
    return true;
  }
  bool const_expr(Cursor& c, ConstExpr& out);
  void declare(uint32_t func) {
    if (func < module_->functions.size()) module_->functions[func].declared = true;
  }
  bool validate_fields();
  // Whether there is no error, which is kept otherwise.
  bool ok(Result<void> result) {
    if (result) return true;
    failed(result.take_failure());
    return false;
  }

  Shared<Module> module_;
  const bool validate_, names_;  // as DecodeOptions has them
  State state_ = State::Header;
  Failure failure_;
  uint32_t pos_ = 0;
  uint8_t last_section_ = 0;      // id of the last section that is not custom
  uint32_t section_end_ = 0;      // of the code section
  uint32_t section_size_at_ = 0;  // where its size stands
  uint32_t bodies_left_ = 0;
  uint32_t next_func_ = 0;
  bool fields_checked_ = false;
  bool code_complete_ = false, has_data_ = false;
  uint32_t section_base_ = 0;  // start of the section payload being decoded
  [[no_unique_address]] VecOf<Feature::GC, uint32_t> subtype_depth_;
  Instr instr_;
  FuncValidator validator_;
};

Result<void> ModuleDecoder::advance(bool final) {
  if (module_->bytes.size() > kMaxModuleSize)
    return failure(ErrorKind::Exhaustion, "module is too large", kMaxModuleSize);
  while (state_ != State::Done) {
    const Step step = state_ == State::Header     ? header(final)
                      : state_ == State::Sections ? next_section(final)
                                                  : next_body(final);
    if (step == Step::Failed) return std::move(failure_);
    if (step == Step::Wait) break;
  }
  return {};
}

ModuleDecoder::Step ModuleDecoder::header(bool final) {
  static constexpr uint8_t kMagic[] = {0x00, 'a', 's', 'm'};
  static constexpr uint8_t kVersion[] = {1, 0, 0, 0};
  const uint8_t* bytes = module_->bytes.data();
  if (size() < 4) {
    if (final) return malformed("unexpected end", size());
    return Step::Wait;
  }
  if (std::memcmp(bytes, kMagic, 4) != 0) return malformed("magic header not detected", 0);
  if (size() < 8) {
    if (final) return malformed("unexpected end", size());
    return Step::Wait;
  }
  if (std::memcmp(bytes + 4, kVersion, 4) != 0) {
    // The component model's binaries have a layer in the upper half.
    const bool component = !kBrief && bytes[6] == 1 && bytes[7] == 0;
    return malformed(component ? "unknown binary version: this is a component, not a core module"
                               : "unknown binary version",
                     4);
  }
  pos_ = 8;
  state_ = State::Sections;
  return Step::Done;
}

// Reads a u32 size at `pos`.
ModuleDecoder::Step ModuleDecoder::read_size(uint32_t& pos, uint32_t& out, bool final) {
  Cursor c = cursor(pos, size());
  if (!c.u32(out)) {
    Failure f = c.take_failure();
    if (!final && c.remaining() < 5 && (*f).offset == size()) return Step::Wait;
    return failed(std::move(f));
  }
  pos = c.offset();
  return Step::Done;
}

bool ModuleDecoder::validate_fields() {
  if (fields_checked_) return true;
  fields_checked_ = true;
  return !validate_ || ok(validate_before_code(*module_));
}

ModuleDecoder::Step ModuleDecoder::next_section(bool final) {
  if (pos_ == size()) {
    if (!final) return Step::Wait;
    if (!validate_fields()) return Step::Failed;
    const size_t defined = module_->functions.size() - module_->imported_functions;
    if (!code_complete_ && defined != 0)
      return malformed("function and code section have inconsistent lengths", pos_);
    if (!has_data_ && module_->data_count.value_or(0) != 0)
      return malformed("data count and data section have inconsistent lengths", pos_);
    if constexpr (!kSmall) {
      for (const CustomSection& section : module_->customs) {
        if (names_ && section.name == "name") decode_names(*module_, section);
        if (section.name == kBranchHintSection) decode_branch_hints(*module_, section);
      }
    }
    state_ = State::Done;
    return Step::Done;
  }
  const uint32_t id_at = pos_;
  const uint8_t id = module_->bytes[pos_];
  const bool off = id == kTag && !module_->features.has(Feature::Exceptions);
  if (id >= kSectionIds || (kBrief && off)) return malformed("malformed section id", id_at);
  if (off)
    return failed(Failure(Error(ErrorKind::Malformed,
                                off_message(Feature::Exceptions, "malformed section id"), id_at)));
  uint32_t pos = pos_ + 1, length = 0;
  if (const Step step = read_size(pos, length, final); step != Step::Done) return step;
  if (id != kCustom && kOrder[id] <= kOrder[last_section_])
    return malformed("unexpected content after last section", id_at);
  // The code section is taken as far as it goes, so that an input in pieces and
  // one in whole fail alike; next_body reports its missing rest.
  if (length > kMaxModuleSize - pos || (final && id != kCode && length > size() - pos))
    return malformed("length out of bounds", id_at + 1);
  const uint32_t end = pos + length;

  if (id == kCode) {
    // Bodies are taken one by one; here only their number.
    uint32_t at = pos;
    Cursor c = cursor(pos, std::min(end, size()));
    uint32_t bodies = 0;
    if (!c.u32(bodies)) {
      Failure f = c.take_failure();
      if ((*f).offset != size() || size() >= end) return failed(std::move(f));
      if (!final) return Step::Wait;
      return malformed("length out of bounds", id_at + 1);
    }
    at = c.offset();
    const size_t defined = module_->functions.size() - module_->imported_functions;
    // Too few bodies is an error at the module's end; what precedes it comes first.
    if (bodies > defined)
      return malformed("function and code section have inconsistent lengths", pos);
    code_complete_ = bodies == defined;
    if (!validate_fields()) return Step::Failed;
    last_section_ = id;
    module_->sections |= 1u << id;
    bodies_left_ = bodies;
    next_func_ = module_->imported_functions;
    section_end_ = end;
    section_size_at_ = id_at + 1;
    pos_ = at;
    state_ = State::Bodies;
    return Step::Done;
  }

  if (!final && size() < end + kLookAhead) return Step::Wait;
  Cursor c = cursor(pos, end);
  section_base_ = pos;
  if (!section(id, c)) return failed(c.take_failure());
  if (!c.at_end()) return malformed("section size mismatch", c.offset());
  if (id != kCustom) {
    last_section_ = id;
    module_->sections |= 1u << id;
  }
  if (id == kData && validate_) {
    if (!validate_fields() || !ok(validate_datas(*module_))) return Step::Failed;
  }
  pos_ = end;
  return Step::Done;
}

ModuleDecoder::Step ModuleDecoder::next_body(bool final) {
  if (bodies_left_ == 0) {
    if (pos_ != section_end_) return malformed("section size mismatch", pos_);
    state_ = State::Sections;
    return Step::Done;
  }
  if (pos_ >= section_end_) return malformed("unexpected end of section or function", pos_);
  const bool cut = section_end_ > size();  // the section's rest is not here (yet)
  uint32_t pos = pos_, length = 0;
  const Step size_read = read_size(pos, length, final && !cut);
  if (size_read == Step::Failed) return size_read;
  const bool complete = size_read == Step::Done;
  if (complete) {
    if (pos > section_end_) return malformed("section size mismatch", pos_);
    if (length > section_end_ - pos) return malformed("length out of bounds", pos_);
  }
  const uint32_t end = pos + length;
  if (!complete || size() < end || (!final && size() < end + kLookAhead)) {
    if (!final) return Step::Wait;
    return malformed("length out of bounds", section_size_at_);
  }
  module_->functions[next_func_].body = {pos, end};
  if (validate_ && !validator_.validate(next_func_)) return failed(validator_.take_failure());
  ++next_func_;
  --bodies_left_;
  pos_ = end;
  return Step::Done;
}

bool ModuleDecoder::section(uint8_t id, Cursor& c) {
  switch (id) {
    case kCustom:
      return custom(c);
    case kType:
      return types(c);
    case kImport:
      return entries<&ModuleDecoder::import_entry>(c, module_->imports, kImports);
    case kFunction:
      return entries<&ModuleDecoder::function_entry>(c, module_->functions, kFunctions);
    case kTable:
      return entries<&ModuleDecoder::table_entry>(c, module_->tables, kTables);
    case kMemory:
      return entries<&ModuleDecoder::memory_entry>(c, module_->memories, kMemories);
    case kTag:
      return entries<&ModuleDecoder::tag_entry>(c, module_->tags, kTags);
    case kGlobal:
      return entries<&ModuleDecoder::global_entry>(c, module_->globals, kGlobals);
    case kExport:
      return entries<&ModuleDecoder::export_entry>(c, module_->exports, kExports);
    case kStart: {
      uint32_t func = 0;
      module_->start_offset = c.offset();
      if (!c.u32(func)) return false;
      module_->start = func;
      return true;
    }
    case kElement:
      return entries<&ModuleDecoder::element_entry>(c, module_->elems, kElemSegments);
    case kDataCount: {
      uint32_t n = 0;
      if (!c.u32(n)) return false;
      if (n > kMaxDataSegments)
        return c.fail(ErrorKind::Exhaustion, "too many data segments",
                      module_->bytes.data() + section_base_);
      module_->data_count = n;
      return true;
    }
    default:
      return datas(c);
  }
}

bool ModuleDecoder::name(Cursor& c, std::string_view& out) {
  if (c.at_end() && c.offset() < size() && module_->bytes[c.offset()] != 0) {
    // The section is over, and what follows would be taken for a length.
    return fail(c, "length out of bounds", c.position());
  }
  return c.name(out);
}

// --- Types (5.5.5) -----------------------------------------------------------------

// Checks the descriptor and describes clauses of a group of `n` types from `first` on.
bool ModuleDecoder::check_clauses(Cursor& c, uint32_t first, uint32_t n, const uint8_t* at) {
  const Vec<SubType>& types = module_->types;
  const auto invalid = [&](std::string_view message) {
    return c.fail(ErrorKind::Invalid, message, at);
  };
  for (uint32_t i = first; i < first + n; ++i) {
    const uint32_t described = types[i].describes, descriptor = types[i].descriptor;
    if (described != SubType::kNone) {
      if (described < first || described >= first + n)
        return invalid("described type is outside rec group");
      if (described >= i) return invalid("forward use of described type");
    }
    if (descriptor != SubType::kNone && (descriptor < first || descriptor >= first + n))
      return invalid("descriptor type is outside rec group");
  }
  for (uint32_t i = first; i < first + n; ++i) {
    const SubType& type = types[i];
    if (type.descriptor != SubType::kNone) {
      if (type.kind != CompKind::Struct) return invalid("descriptor type must be a struct");
      if (types[type.descriptor].describes != i)
        return invalid("type is not described by its descriptor");
    }
    if (type.describes != SubType::kNone) {
      if (type.kind != CompKind::Struct) return invalid("described type must be a struct");
      if (types[type.describes].descriptor != i)
        return invalid("described type is not described by descriptor");
    }
  }
  return true;
}

// Checks type `index` against the supertype that it declares (3.2.9).
bool ModuleDecoder::check_super(Cursor& c, uint32_t index, const uint8_t* at) {
  const SubType& sub = module_->types[index];
  const SubType& super = module_->types[sub.super];
  String message = message_with("sub type ", index);
  if (super.is_final) {
    message += message_with(" has final super type ", sub.super);
    return c.fail(ErrorKind::Invalid, message, at);
  }
  const bool ok = may_extend(*module_->registry, module_->canon[index], module_->canon[sub.super]);
  if (!ok) {
    message += message_with(" does not match super type ", sub.super);
    return c.fail(ErrorKind::Invalid, message, at);
  }
  const auto clauses_match = [&](uint32_t a, uint32_t b, std::string_view what) {
    if (b == SubType::kNone || module_->is_subtype(HeapType::concrete(a), HeapType::concrete(b)))
      return true;
    message = message_with(what, a);
    message += message_with(" does not match ", b);
    return c.fail(ErrorKind::Invalid, message, at);
  };
  return clauses_match(sub.descriptor, super.descriptor, "descriptor type ") &&
         clauses_match(sub.describes, super.describes, "described type ");
}

bool ModuleDecoder::rec_group(Cursor& c, uint32_t n, bool is_rec) {
  const auto first = uint32_t(module_->types.size());
  const uint8_t* at = c.position();
  c.set_type_limit(first + n);
  for (uint32_t i = 0; i < n; ++i) {
    SubType& type = module_->types.emplace_back();
    if (!read_sub_type(c, type, first + i)) return false;
    if constexpr (is_built(Feature::GC)) {
      uint32_t depth = 0;
      if (type.super != SubType::kNoSuper) depth = subtype_depth_[type.super] + 1;
      if (depth > kMaxSubtypeDepth)
        return c.fail(ErrorKind::Exhaustion, "sub type is nested too deeply", at);
      subtype_depth_.push_back(depth);
    }
  }
  if (is_built(Feature::CustomDescriptors) && !check_clauses(c, first, n, at)) return false;
  for (uint32_t i = 0; is_built(Feature::StackSwitching) && i < n; ++i) {
    const SubType& type = module_->types[first + i];
    if (type.kind == CompKind::Cont && module_->types[type.cont].kind != CompKind::Func)
      return c.fail(ErrorKind::Invalid, message_with("non-function type ", type.cont), at);
  }
  auto id = module_->registry->intern(module_->types.data() + first, n, first, module_->canon);
  if (!id) {
    const Error& error = id.error();
    return c.fail(error.kind, error.message, at);
  }
  for (uint32_t i = 0; i < n; ++i) module_->canon.push_back(*id + i);
  if (is_built(Feature::GC)) {
    for (uint32_t i = 0; i < n; ++i)
      if (module_->types[first + i].super != SubType::kNoSuper && !check_super(c, first + i, at))
        return false;
  }
  module_->rec_groups.push_back({first, n, is_rec});
  return true;
}

bool ModuleDecoder::types(Cursor& c) {
  uint32_t groups = 0;
  if (!read_count(c, groups, 0, kMaxTypes, "types")) return false;
  const size_t expect = std::min<size_t>(groups, c.remaining() / 3 + 1);
  module_->types.reserve(expect);
  module_->canon.reserve(expect);
  if constexpr (!kSmall) module_->rec_groups.reserve(expect);
  for (uint32_t g = 0; g < groups; ++g) {
    uint32_t n = 1;
    const bool is_rec =
        !c.at_end() && module_->bytes[c.offset()] == 0x4E && module_->features.has(Feature::GC);
    if (is_rec) {
      if (!c.skip(1) || !read_count(c, n, module_->types.size(), kMaxTypes, "types")) return false;
    }
    if (!rec_group(c, n, is_rec)) return false;
  }
  return true;
}

// The index of a function type.
bool ModuleDecoder::func_index_type(Cursor& c, uint32_t& out) {
  const uint8_t* at = c.position();
  if (!c.u32(out)) return false;
  if (out >= module_->types.size()) return c.unknown_type(out, at);
  if (module_->types[out].kind != CompKind::Func)
    return c.fail(ErrorKind::Invalid,
                  WAFER_MESSAGE("non-function type", message_with("non-function type ", out)), at);
  return true;
}

bool ModuleDecoder::tag_type(Cursor& c, uint32_t& out) {
  return c.zero_byte() && func_index_type(c, out);
}

#if !WAFER_HAS_OS
bool ModuleDecoder::entries(Cursor& c, VecStorage& list, const EntriesOf& of, size_t size,
                            bool (*read)(ModuleDecoder& decoder, Cursor& c, void* place)) {
  uint32_t n = 0;
  if (!read_count(c, n, list.size, of.limit, of.what)) return false;
  list.reserve(list.size + std::min<size_t>(n, c.remaining() / of.least), size);
  for (; n != 0; --n)
    if (!read(*this, c, list.add(size))) return false;
  return true;
}
#endif

template <auto Read, class List>
bool ModuleDecoder::entries(Cursor& c, List& list, const EntriesOf& of) {
#if WAFER_HAS_OS
  uint32_t n = 0;
  if (!read_count(c, n, uint32_t(list.size()), of.limit, of.what)) return false;
  list.reserve(list.size() + std::min<size_t>(n, c.remaining() / of.least));
  for (; n != 0; --n)
    if (!(this->*Read)(c, list.emplace_back())) return false;
  return true;
#else
  using T = typename List::value_type;
  if constexpr (std::is_same_v<List, NoVec<T>>)
    __builtin_unreachable();
  else
    return entries(c, list.storage(), of, sizeof(T),
                   [](ModuleDecoder& decoder, Cursor& cursor, void* place) {
                     return (decoder.*Read)(cursor, *new (place) T{});
                   });
#endif
}

// --- Sections (5.5) ---------------------------------------------------------------------

// What imports and exports of `kind` need.
constexpr Feature feature_of_kind(uint8_t kind) {
  if (kind == uint8_t(ExternKind::Tag)) return Feature::Exceptions;
  if (kind == kExactFunc) return Feature::CustomDescriptors;
  return kind == kSameModule || kind == kSameType ? Feature::CompactImports : Feature::Core;
}

// Whether there are imports or exports of `kind`, which was read last.
bool ModuleDecoder::extern_kind(Cursor& c, uint8_t kind, Text malformed) {
  if (kind < uint8_t(ExternKind::Tag) ||
      (kind == uint8_t(ExternKind::Tag) && module_->features.has(Feature::Exceptions)))
    return true;
  const uint8_t* const at = c.position() - 1;
  if (const Feature feature = feature_of_kind(kind); !kBrief && !module_->features.has(feature))
    return fail_off(c, feature, malformed, at, ErrorKind::Malformed);
  return fail(c, malformed, at);
}

// The type of an import after its first byte, `kind`.
bool ModuleDecoder::import_kind(Cursor& c, uint8_t kind, ExternType& type) {
  type.exact = kind == kExactFunc && module_->features.has(Feature::CustomDescriptors);
  if (type.exact) kind = uint8_t(ExternKind::Func);
  if (!extern_kind(c, kind, "malformed import kind")) return false;
  type.kind = ExternKind(kind);
  switch (type.kind) {
    case ExternKind::Func:
      return func_index_type(c, type.type_index);
    case ExternKind::Table:
      return read_table_type(c, type.table);
    case ExternKind::Memory:
      type.memory = {};
      return read_memory_type(c, type.memory);
    case ExternKind::Global:
      type.global = {};
      return read_global_type(c, type.global);
    case ExternKind::Tag:
      WAFER_ASSUME_FEATURE(Exceptions);
      return tag_type(c, type.type_index);
  }
  return true;
}

// Gives what is imported its index; `at` is where its type stands.
void ModuleDecoder::add_import(const ExternType& type, uint32_t at) {
  switch (type.kind) {
    case ExternKind::Func: {
      Function& f = module_->functions.emplace_back();
      f.type_index = type.type_index;
      f.imported = true;
      f.exact = type.exact;
      ++module_->imported_functions;
      break;
    }
    case ExternKind::Table: {
      Table& table = module_->tables.emplace_back();
      table.type = type.table;
      table.imported = true;
      table.offset = at;
      ++module_->imported_tables;
      break;
    }
    case ExternKind::Memory: {
      Memory& memory = module_->memories.emplace_back();
      memory.type = type.memory;
      memory.imported = true;
      memory.offset = at;
      ++module_->imported_memories;
      break;
    }
    case ExternKind::Global: {
      Global& global = module_->globals.emplace_back();
      global.type = type.global;
      global.imported = true;
      ++module_->imported_globals;
      break;
    }
    case ExternKind::Tag:
      WAFER_ASSUME_FEATURE(Exceptions);
      module_->tags.push_back({type.type_index, true, at});
      ++module_->imported_tags;
      break;
  }
}

// What follows the module's name in a group of imports.
bool ModuleDecoder::import_group(Cursor& c, const String& module, bool shared_type) {
  ImportGroup group;
  group.module = module;
  group.first = uint32_t(module_->imports.size());
  group.shared_type = shared_type;
  uint32_t at = c.offset();
  uint8_t kind = 0;
  if (shared_type && (!c.byte(kind) || !import_kind(c, kind, group.type))) return false;
  if (!read_count(c, group.count, group.first, kMaxImports, "imports")) return false;
  for (uint32_t i = 0; i < group.count; ++i) {
    String item;
    ExternType type = group.type;
    if (!name(c, item)) return false;
    if (!shared_type) {
      at = c.offset() + 1;
      if (!c.byte(kind) || !import_kind(c, kind, type)) return false;
    }
    add_import(type, at);
    module_->imports.push_back({module, std::move(item), type});
  }
  module_->import_groups.push_back(std::move(group));
  return true;
}

bool ModuleDecoder::import_entry(Cursor& c, Import& import) {
  uint8_t kind = 0;
  if (!name(c, import.module) || !name(c, import.name) || !c.byte(kind)) return false;
  if (import.name.empty() && (kind == kSameModule || kind == kSameType) &&
      module_->features.has(Feature::CompactImports)) {
    const String module = std::move(import.module);
    module_->imports.pop_back();
    return import_group(c, module, kind == kSameType);
  }
  const uint32_t at = c.offset();
  if (!import_kind(c, kind, import.type)) return false;
  add_import(import.type, at);
  return true;
}

bool ModuleDecoder::function_entry(Cursor& c, Function& function) {
  return func_index_type(c, function.type_index);
}

bool ModuleDecoder::table_entry(Cursor& c, Table& table) {
  table.offset = c.offset();
  bool has_init = false;
  if (is_built(Feature::FunctionReferences) && !c.at_end() && module_->bytes[c.offset()] == 0x40) {
    has_init = true;
    if (!c.skip(1) || !c.zero_byte()) return false;
  }
  if (!read_table_type(c, table.type)) return false;
  return !has_init || const_expr(c, table.init.emplace());
}

bool ModuleDecoder::memory_entry(Cursor& c, Memory& memory) {
  memory.offset = c.offset();
  return read_memory_type(c, memory.type);
}

bool ModuleDecoder::tag_entry(Cursor& c, Tag& tag) {
  tag.offset = c.offset();
  return tag_type(c, tag.type_index);
}

bool ModuleDecoder::global_entry(Cursor& c, Global& global) {
  return read_global_type(c, global.type) && const_expr(c, global.init);
}

bool ModuleDecoder::export_entry(Cursor& c, Export& e) {
  e.offset = c.offset();
  uint8_t kind = 0;
  if (!name(c, e.name) || !c.byte(kind)) return false;
  if (!extern_kind(c, kind, "malformed export kind")) return false;
  e.kind = ExternKind(kind);
  if (!c.u32(e.index)) return false;
  if (e.kind == ExternKind::Func) declare(e.index);
  return true;
}

// Finds the end of a constant expression, and the functions that it names.
bool ModuleDecoder::const_expr(Cursor& c, ConstExpr& out) {
  out.begin = c.offset();
  InstrReader reader(module_->bytes, c.offset(), c.offset() + uint32_t(c.remaining()),
                     module_->features);
  for (uint32_t depth = 1; depth != 0;) {
    const uint32_t at = reader.offset();
    auto status = reader.read(instr_);
    if (!status) {
      const Error& error = status.error();
      return c.fail(error.kind, error.message, module_->bytes.data() + error.offset);
    }
    const Opcode op = instr_.op;
    WAFER_ASSUME_BUILT(op);
    switch (op) {
      case Opcode::Block:
      case Opcode::Loop:
      case Opcode::If:
      case Opcode::Try:
      case Opcode::TryTable:
        ++depth;
        break;
      case Opcode::Else:
        if (depth == 1) return fail(c, "END opcode expected", module_->bytes.data() + at);
        break;
      case Opcode::End:
      case Opcode::Delegate:
        --depth;
        break;
      case Opcode::RefFunc:
        declare(instr_.index);
        break;
      default:
        break;
    }
  }
  out.end = reader.offset();
  return c.skip(out.end - out.begin);
}

bool ModuleDecoder::element_entry(Cursor& c, ElemSegment& elem) {
  const uint8_t* at = c.position();
  uint32_t flags = 0;
  if (!c.u32(flags)) return false;
  if (flags > 7) return fail(c, "malformed elements segment kind", at);
  elem.uses_exprs = flags & 4;
  if (flags & 1) {
    elem.mode = flags & 2 ? SegmentMode::Declarative : SegmentMode::Passive;
  } else {
    elem.table_written = flags & 2;
    if (elem.table_written && !c.u32(elem.table)) return false;
    if (!const_expr(c, elem.offset)) return false;
  }
  elem.type = ValType::ref(HeapKind::Func, elem.uses_exprs);
  if (flags & 3) {
    if (elem.uses_exprs) {
      if (!c.ref_type(elem.type)) return false;
    } else {
      uint8_t kind = 0;
      if (!c.byte(kind)) return false;
      if (kind != 0) return fail(c, "malformed element kind", c.position() - 1);
    }
  }
  uint32_t items = 0;
  if (!c.u32(items)) return false;
  if (elem.uses_exprs) {
    elem.exprs.reserve(std::min<size_t>(items, c.remaining() / 2));
    for (uint32_t k = 0; k < items; ++k)
      if (!const_expr(c, elem.exprs.emplace_back())) return false;
  } else {
    elem.funcs.reserve(std::min<size_t>(items, c.remaining()));
    for (uint32_t k = 0; k < items; ++k) {
      uint32_t func = 0;
      if (!c.u32(func)) return false;
      declare(func);
      elem.funcs.push_back(func);
    }
  }
  return true;
}

bool ModuleDecoder::datas(Cursor& c) {
  has_data_ = true;
  const uint8_t* start = c.position();
  uint32_t n = 0;
  if (!read_count(c, n, 0, kMaxDataSegments, "data segments")) return false;
  if (module_->data_count && *module_->data_count != n)
    return fail(c, "data count and data section have inconsistent lengths", start);
  module_->datas.reserve(std::min<size_t>(n, c.remaining() / 2));
  for (uint32_t i = 0; i < n; ++i) {
    const uint8_t* at = c.position();
    uint32_t flags = 0, length = 0;
    if (!c.u32(flags)) return false;
    if (flags > 2) return fail(c, "malformed data segment kind", at);
    DataSegment& data = module_->datas.emplace_back();
    data.mode = flags == 1 ? SegmentMode::Passive : SegmentMode::Active;
    data.memory_written = flags == 2;
    if (data.memory_written && !c.u32(data.memory)) return false;
    if (flags != 1 && !const_expr(c, data.offset)) return false;
    if (!c.u32(length)) return false;
    data.bytes.begin = c.offset();
    if (!c.skip(length)) return false;
    data.bytes.end = c.offset();
  }
  return true;
}

bool ModuleDecoder::custom(Cursor& c) {
  if constexpr (kSmall) {
    std::string_view ignored;
    return name(c, ignored) && c.skip(c.remaining());
  }
  CustomSection section;
  if (!name(c, section.name)) return false;
  section.payload = {c.offset(), c.offset() + uint32_t(c.remaining())};
  section.after_section = last_section_;
  module_->customs.push_back(std::move(section));
  return c.skip(c.remaining());
}

}  // namespace

Result<Shared<Module>> decode_module(Bytes bytes, const DecodeOptions& options) {
  auto module = make_shared_in<Module>();
  if (options.copy_bytes && bytes.size() <= kMaxModuleSize) {
    module->owned_bytes.assign(bytes.begin(), bytes.end());
    module->bytes = module->owned_bytes;
  } else {
    module->bytes = bytes;
  }
  ModuleDecoder decoder(options, std::move(module));
  WAFER_TRY(decoder.advance(true));
  return decoder.take();
}

bool is_valid_module(Bytes bytes, FeatureSet features) {
  DecodeOptions options;
  options.features = features;
  options.copy_bytes = false;
  return decode_module(bytes, options).ok();
}

#if WAFER_HAS_OS

struct StreamingDecoder::Impl {
  Impl(const DecodeOptions& options, Shared<Module> m)
      : module(m.get()), decoder(options, std::move(m)) {}
  Module* module;
  ModuleDecoder decoder;
  std::optional<Error> failure;
  bool finished = false;

  Result<void> advance(bool final) {
    module->bytes = module->owned_bytes;
    auto status = decoder.advance(final);
    if (!status) failure = status.error();
    return status;
  }
};

StreamingDecoder::StreamingDecoder(const DecodeOptions& options)
    : impl_(make_box<Impl>(options, make_shared_in<Module>())) {}

StreamingDecoder::~StreamingDecoder() = default;

Result<void> StreamingDecoder::push(Bytes chunk) {
  if (impl_->failure) return *impl_->failure;
  if (impl_->finished) return failure(ErrorKind::Usage, "the decoder has finished");
  Vec<uint8_t>& owned = impl_->module->owned_bytes;
  if (chunk.size() > kMaxModuleSize - owned.size()) {
    impl_->failure = Error(ErrorKind::Exhaustion, "module is too large", kMaxModuleSize);
    return *impl_->failure;
  }
  owned.insert(owned.end(), chunk.begin(), chunk.end());
  return impl_->advance(false);
}

Result<Shared<Module>> StreamingDecoder::finish() {
  if (impl_->failure) return *impl_->failure;
  if (impl_->finished) return failure(ErrorKind::Usage, "the decoder has finished");
  impl_->finished = true;
  WAFER_TRY(impl_->advance(true));
  return impl_->decoder.take();
}

#endif

}  // namespace wafer::wasm
