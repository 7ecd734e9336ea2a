#include "wasm/type_reader.h"

#include <algorithm>

#include "wasm/feature_name.h"
#include "wasm/validator.h"

namespace wafer::wasm {

namespace {

constexpr uint32_t kMaxFields = 10000;

bool result_type(Cursor& c, Vec<ValType>& out, uint32_t limit, Text what) {
  uint32_t n = 0;
  if (!read_count(c, n, 0, limit, what)) return false;
  out.reserve(std::min<size_t>(n, c.remaining()));
  for (uint32_t i = 0; i < n; ++i) {
    ValType t;
    if (!c.val_type(t)) return false;
    out.push_back(t);
  }
  return true;
}

// What the definition of a type that begins with `form` needs.
constexpr Feature feature_of_form(uint8_t form) {
  switch (form) {
    case 0x50:
    case 0x4F:
    case 0x5F:
    case 0x5E:
      return Feature::GC;
    case 0x4C:
    case 0x4D:
      return Feature::CustomDescriptors;
    case 0x5D:
      return Feature::StackSwitching;
    default:
      return Feature::Core;
  }
}

bool limits(Cursor& c, uint8_t known, Limits& out, uint8_t& flags) {
  if (!c.byte(flags)) return false;
  const uint8_t* at = c.position() - 1;
  constexpr std::pair<uint8_t, Feature> kGated[] = {
      {2, Feature::Threads}, {4, Feature::Memory64}, {8, Feature::CustomPageSizes}};
  constexpr Text kMalformed = "malformed limits flags";
  if (flags & ~known) return c.fail_text(ErrorKind::Malformed, kMalformed, at);
  for (const auto& [flag, feature] : kGated)
    // Malformed: in a module without the feature a flag says nothing of what would follow.
    if ((flags & flag) && !c.features().has(feature))
      return fail_off(c, feature, kMalformed, at, ErrorKind::Malformed);
  out.has_max = flags & 1;
  out.shared = flags & 2;
  out.is64 = flags & 4;
  if (!c.u64(out.min)) return false;
  return !out.has_max || c.u64(out.max);
}

}  // namespace

bool read_count(Cursor& c, uint32_t& out, uint32_t present, uint32_t limit, Text what) {
  const uint8_t* at = c.position();
  if (!c.u32(out)) return false;
  if (uint64_t{present} + out > limit) {
    if (!kMessages) return c.fail_text(ErrorKind::Exhaustion, "", at);
    String message = "too many ";
    message += view_of(what.text);
    return c.fail(ErrorKind::Exhaustion, message, at);
  }
  return true;
}

bool read_sub_type(Cursor& c, SubType& out, uint32_t index) {
  const FeatureSet features = c.features();
  const uint8_t* at = c.position();
  uint8_t form = 0;
  const bool gc = features.has(feature_of_form(0x50));
  if (!c.byte(form)) return false;
  if ((form == 0x50 || form == 0x4F) && gc) {
    out.is_final = form == 0x4F;
    out.sub_written = true;
    uint32_t supers = 0;
    if (!c.u32(supers)) return false;
    if (supers > 1) return c.fail(ErrorKind::Invalid, "sub type has more than one super type", at);
    if (supers == 1) {
      const uint8_t* super_at = c.position();
      if (!c.u32(out.super)) return false;
      if (out.super >= index) {
        if (out.super >= kMaxTypes) return c.unknown_type(out.super, super_at);
        String message = message_with("unknown type ", out.super);
        message += ": forward use of type in sub type definition";
        return c.fail(ErrorKind::Invalid, message, super_at);
      }
    }
    at = c.position();
    if (!c.byte(form)) return false;
  }
  if (features.has(feature_of_form(0x4C))) {
    const std::pair<uint8_t, uint32_t*> clauses[] = {{0x4C, &out.describes},
                                                     {0x4D, &out.descriptor}};
    for (const auto& [code, to] : clauses) {
      if (form != code) continue;
      if (!c.u32(*to)) return false;
      at = c.position();
      if (!c.byte(form)) return false;
    }
  }
  if (form == 0x60) {
    out.kind = CompKind::Func;
    return result_type(c, out.func.params, kMaxParams, "parameters") &&
           result_type(c, out.func.results, kMaxResults, "results");
  }
  if (form == 0x5D && features.has(feature_of_form(0x5D))) {
    out.kind = CompKind::Cont;
    HeapType type;
    const uint8_t* const type_at = c.position();
    if (!c.heap_type(type)) return false;
    if (!type.is_concrete())
      return c.fail(ErrorKind::Malformed, "malformed definition type", type_at);
    out.cont = type.index();
    return true;
  }
  if ((form == 0x5F || form == 0x5E) && gc) {
    out.kind = form == 0x5F ? CompKind::Struct : CompKind::Array;
    uint32_t n = 1;
    if (form == 0x5F && !read_count(c, n, 0, kMaxFields, "fields")) return false;
    out.fields.reserve(std::min<size_t>(n, c.remaining()));
    for (uint32_t i = 0; i < n; ++i) {
      FieldType field;
      uint8_t mut = 0;
      if (!c.storage_type(field.storage) || !c.byte(mut)) return false;
      if (mut > 1) return c.fail(ErrorKind::Malformed, "malformed mutability", c.position() - 1);
      field.is_mutable = mut;
      out.fields.push_back(field);
    }
    return true;
  }
  if (form & 0x80) return c.fail(ErrorKind::Malformed, "integer representation too long", at + 1);
  constexpr Text kMalformed = "malformed definition type";
  if (const Feature feature = feature_of_form(form); !kBrief && !features.has(feature))
    return fail_off(c, feature, kMalformed, at);
  return c.fail_text(ErrorKind::Malformed, kMalformed, at);
}

bool may_extend(const TypeRegistry& registry, uint32_t sub_id, uint32_t super_id) {
  const CanonType &sub = *registry.get(sub_id), &super = *registry.get(super_id);
  const auto lists_match = [&](const Vec<ValType>& a, const Vec<ValType>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (!registry.is_subtype(a[i], b[i])) return false;
    return true;
  };
  if (sub.kind != super.kind) return false;
  bool ok = true;
  if (sub.kind == CompKind::Func) {
    ok = lists_match(super.func.params, sub.func.params) &&
         lists_match(sub.func.results, super.func.results);
  } else if (sub.kind == CompKind::Cont) {
    ok = registry.is_subtype(sub.cont, super.cont);
  } else {
    ok = sub.fields.size() >= super.fields.size();
    for (size_t i = 0; ok && i < super.fields.size(); ++i) {
      const FieldType &a = sub.fields[i], &b = super.fields[i];
      ok = a.is_mutable == b.is_mutable && registry.is_subtype(a.storage, b.storage) &&
           (!a.is_mutable || registry.is_subtype(b.storage, a.storage));
    }
  }
  // With a descriptor a subtype has one too; what describes has supertypes that do.
  return ok && (super.descriptor == SubType::kNone || sub.descriptor != SubType::kNone) &&
         (super.describes == SubType::kNone) == (sub.describes == SubType::kNone);
}

bool read_table_type(Cursor& c, TableType& out) {
  uint8_t flags = 0;
  return c.ref_type(out.element) && limits(c, 1 | 4, out.limits, flags);
}

bool read_memory_type(Cursor& c, MemoryType& out) {
  uint8_t flags = 0;
  if (!limits(c, 1 | 2 | 4 | 8, out.limits, flags)) return false;
  if (!(flags & 8)) return true;
  const uint8_t* at = c.position();
  uint32_t log2 = 0;
  if (!c.u32(log2)) return false;
  if (log2 >= 64) return c.fail(ErrorKind::Malformed, "invalid custom page size", at);
  if (log2 != 0 && log2 != 16) return c.fail(ErrorKind::Invalid, "invalid custom page size", at);
  out.page_size_log2 = uint8_t(log2);
  out.page_size_written = true;
  return true;
}

bool read_global_type(Cursor& c, GlobalType& out) {
  uint8_t mut = 0;
  if (!c.val_type(out.type) || !c.byte(mut)) return false;
  if (mut > 1) return c.fail(ErrorKind::Malformed, "malformed mutability", c.position() - 1);
  out.is_mutable = mut;
  return true;
}

}  // namespace wafer::wasm
