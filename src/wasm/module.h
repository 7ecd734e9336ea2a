// A decoded module (spec 2.5). Function bodies, constant expressions and data
// stay as ranges of the retained bytes; nothing is copied.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/span.h"
#include "wasm/opcode.h"
#include "wasm/type_registry.h"
#include "wasm/types.h"

namespace wafer::wasm {

// Half-open range of byte offsets into Module::bytes.
struct ByteRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  uint32_t size() const { return end - begin; }
};

// A constant expression, including its final `end`.
using ConstExpr = ByteRange;

// Type of an importable or exportable thing; the member for `kind` is meaningful.
struct ExternType {
  ExternKind kind = ExternKind::Func;
  uint32_t type_index = 0;  // Func and Tag
  bool exact = false;       // Func: no subtype will do
#if WAFER_HAS_OS
  TableType table;
  MemoryType memory;
  GlobalType global;
#else
  ExternType() : table{} {}
  union {
    TableType table;
    MemoryType memory;
    GlobalType global;
  };
#endif
};

struct Import {
  String module;
  String name;
  ExternType type;
};

// Imports that the binary gives in one group, with the module's name once (compact imports).
struct ImportGroup {
  String module;
  uint32_t first = 0, count = 0;
  bool shared_type = false;  // the type is given once too
  ExternType type;           // if so
};

struct Export {
  String name;
  ExternKind kind = ExternKind::Func;
  uint32_t index = 0;
  uint32_t offset = 0;  // of the entry in the module's bytes
};

struct Function {
  uint32_t type_index = 0;
  bool imported = false;
  bool exact = true;  // has its type, and no subtype of it: not if imported without `exact`
  // True if the function may be named by ref.func in a body (C.refs, 3.5).
  bool declared = false;
  ByteRange body;  // locals and instructions; empty if imported
};

struct Table {
  TableType type;
  bool imported = false;
  std::optional<ConstExpr> init;
  uint32_t offset = 0;  // of the entry, or of the import's type
};

struct Memory {
  MemoryType type;
  bool imported = false;
  uint32_t offset = 0;
};

struct Global {
  GlobalType type;
  bool imported = false;
  ConstExpr init;
};

struct Tag {
  uint32_t type_index = 0;
  bool imported = false;
  uint32_t offset = 0;
};

enum class SegmentMode : uint8_t { Active, Passive, Declarative };

struct ElemSegment {
  SegmentMode mode = SegmentMode::Active;
  uint32_t table = 0;
  bool table_written = false;  // the index is spelt out, as 0 need not be
  ConstExpr offset;
  ValType type;
  // Exactly one of these holds the items: function indices, or expressions.
  Vec<uint32_t> funcs;
  Vec<ConstExpr> exprs;
  bool uses_exprs = false;
  uint32_t size() const { return uint32_t(uses_exprs ? exprs.size() : funcs.size()); }
};

struct DataSegment {
  SegmentMode mode = SegmentMode::Active;
  uint32_t memory = 0;
  bool memory_written = false;  // the index is spelt out, as 0 need not be
  ConstExpr offset;
  ByteRange bytes;
};

struct CustomSection {
  String name;
  ByteRange payload;
  // Id of the last known section before this one; 0 at the start.
  uint8_t after_section = 0;
};

struct RecGroup {
  uint32_t first = 0;
  uint32_t count = 0;
  // Spelt as a group, as one of a single type need not be.
  bool written = false;
};

// Index to name, sorted by index.
struct NameMap {
  [[no_unique_address]] VecIf<!kSmall, std::pair<uint32_t, String>> entries;
  // Name of `index`, or empty.
  std::string_view find(uint32_t index) const;
};
struct IndirectNameMap {
  [[no_unique_address]] VecIf<!kSmall, std::pair<uint32_t, NameMap>> entries;
  const NameMap* find(uint32_t index) const;
};

// The name section (appendix, custom sections). Best effort: errors there are
// ignored, as the specification asks. Small builds do not read it.
struct NameSection {
#if WAFER_HAS_OS
  String module;
  NameMap functions, types, tables, memories, globals, elems, datas, tags;
  IndirectNameMap locals, labels, fields;
#else
  static constexpr std::string_view module{};
  static constexpr NameMap functions{};
#endif
};

// Which way a conditional branch mostly goes, by the custom section of branch hints.
struct BranchHint {
  uint32_t offset = 0;  // of the instruction from the start of the function's body
  bool likely = false;
};
struct FunctionHints {
  uint32_t func = 0;
  Vec<BranchHint> hints;  // in order of offsets
};

class Module {
 public:
  // What is asked for most comes first, where instructions of small processors reach it.

  // The module's binary, owned or borrowed; see DecodeOptions::copy_bytes.
  Bytes bytes;
  Vec<SubType> types;       // module index space; indices inside are module indices
  Vec<Function> functions;  // imported first, as in every index space below
  Vec<Table> tables;
  Vec<Memory> memories;
  Vec<Global> globals;
  [[no_unique_address]] VecOf<Feature::Exceptions, Tag> tags;
  uint32_t imported_functions = 0, imported_tables = 0, imported_memories = 0, imported_globals = 0,
           imported_tags = 0;
  FeatureSet features;
  Shared<TypeRegistry> registry;
  Vec<uint32_t> canon;  // canonical id of each type
  Vec<Import> imports;
  Vec<Export> exports;
  std::optional<uint32_t> start;
  uint32_t start_offset = 0;
  // Bit i: the binary has the section with id i, which may be empty.
  uint32_t sections = 0;
  Vec<ElemSegment> elems;
  Vec<DataSegment> datas;
  std::optional<uint32_t> data_count;
  // Whether a body may have memory.grow: known once all have been validated.
  mutable bool grows_memory = false;
  [[no_unique_address]] VecIf<!kSmall, RecGroup> rec_groups;
  [[no_unique_address]] VecIf<!kSmall, ImportGroup>
      import_groups;  // in order; imports outside of them stand alone
  [[no_unique_address]] VecIf<!kSmall, CustomSection> customs;
  [[no_unique_address]] NameSection names;
  [[no_unique_address]] VecIf<!kSmall, FunctionHints> branch_hints;  // in order of functions

  Vec<uint8_t> owned_bytes;
  // Keeps borrowed bytes where they are, for as long as anyone has the module; null: whoever
  // gave the bytes does.
  Shared<const void> owner;
  // Whether the bytes may be gone once the module's user has no more use for it.
  bool lent() const { return !owner && owned_bytes.empty() && !bytes.empty(); }

  // Code of the execution tiers that run this module, shared by its instances: of the
  // interpreter, the baseline compiler, and for whole modules.
  [[no_unique_address]] mutable Mutex tier_mutex;
  mutable Shared<void> tier_code;
  // Machine code of the whole module that came along with it or was made meanwhile; what
  // it is, the tier knows.
  mutable Shared<void> precompiled;
#if WAFER_HAS_OS
  mutable Shared<void> baseline_code, native_code;

  // Initial contents of memories, made once (see runtime/memory_image.h).
  mutable Mutex images_mutex;
  mutable Shared<void> images;
  mutable std::atomic<const void*> images_state{nullptr};
  mutable std::atomic<bool> instantiated{false};
#endif

  const FuncType& func_type(uint32_t func) const { return types[functions[func].type_index].func; }
  const CanonType* canon_type(uint32_t type) const { return registry->get(canon[type]); }
  // `t` with a concrete module index turned into its canonical id.
  ValType canonical(ValType t) const {
    return kHasTypeRefs && t.is_ref() ? ValType::ref(canonical(t.heap()), t.nullable()) : t;
  }
  HeapType canonical(HeapType t) const;
  // Subtyping between types that hold module indices.
  bool is_subtype(ValType sub, ValType super) const;
  bool is_subtype(HeapType sub, HeapType super) const;
  Bytes slice(ByteRange r) const { return bytes.subspan(r.begin, r.size()); }
  // Branch hints of a function, or null.
  const Vec<BranchHint>* hints_of(uint32_t func) const;
  // Name of a function for people: name section, else export name, else empty.
  std::string_view function_name(uint32_t func) const;
};

}  // namespace wafer::wasm
