#include "component/run/values.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "component/run/handles.h"
#include "component/run/match.h"
#include "component/run/stream.h"
#include "component/run/task.h"
#include "component/run/text.h"
#include "component/run/wave.h"
#include "component/shape.h"

namespace wafer::component {

namespace {

const TypeDef& def_of(const Context& cx, ValType t) { return cx.types()[t.id]; }

uint64_t load_int(const Context& cx, uint64_t at, uint32_t bytes) {
  uint64_t out = 0;
  std::memcpy(&out, cx.options.memory->base + at, bytes);
  return out;
}
void store_int(const Context& cx, uint64_t at, uint64_t value, uint32_t bytes) {
  std::memcpy(cx.options.memory->base + at, &value, bytes);
}

bool in_bounds(const Context& cx, uint64_t at, uint64_t bytes) {
  const uint64_t size = cx.options.memory->size_bytes();
  return at <= size && bytes <= size - at;
}

// ---- Numbers, from the core value or the bytes that hold them

TrapCode lift_prim(const Context& cx, Prim prim, uint64_t raw, Val& out) {
  if (prim == Prim::ErrorContext) return lift_failure(cx, uint32_t(raw), out);
  if (!lift_scalar(scalar_kind_of(prim), raw)) return cx.trap("invalid `char` bit pattern");
  out = Val::of_bits(raw);
  return TrapCode::None;
}

// Bits of a number as its core type has them.
TrapCode lower_prim(const Context& cx, Prim prim, const Val& v, Slot& out) {
  if (prim == Prim::ErrorContext) return lower_failure(cx, v, out);
  if (!v.is_bits()) return cx.trap("value does not have the type that is wanted");
  out = v.bits();
  if (!lower_scalar(scalar_kind_of(prim), out)) return cx.trap("invalid `char` bit pattern");
  return TrapCode::None;
}

// ---- Handles ("lift_own" and its like)

TrapCode lift_resource(const Context& cx, const TypeDef& def, uint32_t index, Val& out) {
  ResourceType* const type = cx.instance.resource_of(def.args[0].id);
  Handle* const h = cx.instance.handles.get(index);
  if (!h) return unknown_handle(cx.instance, index);
  CANON_TRY(check_resource(cx.instance, *h, index, type));
  if (def.kind == TypeKind::Borrow) {
    cx.lenders->lend(index);
    out = Val::of_resource(type, h->rep);
    return TrapCode::None;
  }
  if (h->lends != 0) return cx.trap("cannot remove owned resource while borrowed");
  if (!h->own)
    return cx.trap(
        "handle index " + std::to_string(index) +
        " used with the wrong type, expected an owned resource but found a borrowed one");
  out = Val::of_resource(type, h->rep);
  cx.instance.handles.take(index);
  return TrapCode::None;
}

TrapCode lower_resource(const Context& cx, const TypeDef& def, const Val& v, Slot& out) {
  ResourceType* const type = cx.instance.resource_of(def.args[0].id);
  if (!v.is_resource() || v.resource().type != type)
    return cx.trap("resource does not have the type that is wanted");
  Handle h;
  h.kind = HandleKind::Resource;
  h.type = type;
  h.rep = v.resource().rep;
  if (def.kind == TypeKind::Own) {
    h.own = true;
  } else {
    // Who defines the type gets the representation itself.
    if (&cx.instance == type->impl) {
      out = h.rep;
      return TrapCode::None;
    }
    h.borrow_scope = cx.borrower;
    ++cx.borrower->borrows;
  }
  CANON_TRY(add_handle(cx.instance, std::move(h), out));
  if (cx.given && def.kind == TypeKind::Own) ++*cx.given;
  return TrapCode::None;
}

TrapCode lift_end(const Context& cx, const TypeDef& def, uint32_t index, Val& out) {
  const bool stream = def.kind == TypeKind::Stream;
  const std::string what = stream ? "stream" : "future";
  Handle* const h = cx.instance.handles.get(index);
  if (!h) return unknown_handle(cx.instance, index);
  if (h->kind != (stream ? HandleKind::StreamRead : HandleKind::FutureRead))
    return wrong_handle(cx.instance, index);
  auto& end = static_cast<End&>(h->waitable());
  if (end.type != def.canon) return wrong_handle(cx.instance, index);
  if (end.state == End::State::Done)
    return cx.trap(stream ? "cannot lift stream after being notified that the writable end dropped"
                          : "cannot lift future after previous read succeeded");
  if (end.state != End::State::Idle) return cx.trap("cannot remove busy " + what);
  if (end.set) return cx.trap("cannot lift " + what + " while it's in a waitable set");
  end.owner = nullptr;
  end.index = 0;
  out = Val::of_end(cx.instance.handles.take(index).shared<Waitable>());
  return TrapCode::None;
}

TrapCode lower_end(const Context& cx, const TypeDef& def, const Val& v, Slot& out) {
  if (!v.is_end() || !v.end())
    return cx.trap("value is not the readable end of a stream or future");
  auto& end = static_cast<End&>(*v.end());
  if (end.is_future() != (def.kind == TypeKind::Future))
    return cx.trap(end.is_future() ? "expected a stream, found a future"
                                   : "expected a future, found a stream");
  // The host may have it still, as a copy.
  if (end.owner) return cx.trap("the readable end was given away before");
  if (end.state != End::State::Idle)
    return cx.trap("the readable end is read from, or has been read to its end");
  // Of ends that came by way of the host nobody has compared the types.
  const TypeArena& types = *cx.instance.component->types;
  if (const ComponentInstance* const from = end.typed) {
    if (!(from == &cx.instance && end.type == def.canon) &&
        !same_type(*from, end.element, cx.instance, def.args[0])) {
      const auto name = [](const TypeArena& in, ValType t) {
        return t ? describe_type(in, t) : std::string("no value");
      };
      return cx.trap("expected a " + std::string(kind_name(def.kind)) + " of " +
                     name(types, def.args[0]) + ", found one of " +
                     name(*from->component->types, end.element));
    }
  } else if (!end.form.empty()) {
    const std::string why = other_form(end.form, type_form(types, ValType::of(def.canon)));
    if (!why.empty()) return cx.trap(why);
  }
  end.owner = &cx.instance;
  end.typed = &cx.instance;
  end.type = def.canon;
  end.element = def.args[0];
  Handle h;
  h.kind = def.kind == TypeKind::Stream ? HandleKind::StreamRead : HandleKind::FutureRead;
  h.hold(v.end());
  CANON_TRY(add_handle(cx.instance, std::move(h), out));
  end.index = uint32_t(out);
  return TrapCode::None;
}

// ---- Lists and strings behind pointers

TrapCode check_range(const Context& cx, uint64_t at, uint64_t bytes, uint64_t align,
                     const char* outside) {
  if (at & (align - 1)) return cx.trap("unaligned pointer");
  if (!in_bounds(cx, at, bytes)) return cx.trap(outside);
  return TrapCode::None;
}

// Fixed-size lists and lists of `type`.
TrapCode lift_list(const Context& cx, uint64_t at, uint64_t count, ValType type, Val& out) {
  const ValType t = plain(cx.types(), type);
  if (t.prim == Prim::U8) {
    const uint8_t* const from = cx.options.memory->base + at;
    out = Val::of_bytes({from, from + count});
    return TrapCode::None;
  }
  Val::Items items;
  CANON_TRY(load_list(cx, at, count, t, items));
  out = Val::of_items(std::move(items));
  return TrapCode::None;
}

TrapCode lift_pointed_list(const Context& cx, uint64_t at, uint64_t count, ValType type, Val& out) {
  const Place place = place_of(cx.types(), type, cx.options.is64);
  if (count > kMaxByteLength || count * place.size > kMaxByteLength)
    return cx.trap("list content out-of-bounds");
  CANON_TRY(check_range(cx, at, count * place.size, place.align, "list content out-of-bounds"));
  return lift_list(cx, at, count, type, out);
}

TrapCode load(const Context& cx, uint64_t at, ValType type, Val& out);
TrapCode store(const Context& cx, const Val& v, ValType type, uint64_t at);

// A map's elements are laid out as tuples of key and value.
Place element_place(const Context& cx, const TypeDef& def) {
  return tuple_place(cx.types(), {def.args.data(), def.kind == TypeKind::Map ? size_t{2} : 1},
                     cx.options.is64);
}
// Where the value of a map's element lies.
uint64_t map_value_offset(const Context& cx, const TypeDef& def) {
  return align_up(place_of(cx.types(), def.args[0], cx.options.is64).size,
                  place_of(cx.types(), def.args[1], cx.options.is64).align);
}

TrapCode load_map(const Context& cx, uint64_t at, uint64_t count, const TypeDef& def, Val& out) {
  const Place place = element_place(cx, def);
  if (count > kMaxByteLength || count * place.size > kMaxByteLength)
    return cx.trap("list content out-of-bounds");
  CANON_TRY(check_range(cx, at, count * place.size, place.align, "list content out-of-bounds"));
  const uint64_t value_at = map_value_offset(cx, def);
  Val::Items items(count);
  for (uint64_t i = 0; i < count; ++i) {
    Val::Items pair(2);
    CANON_TRY(load(cx, at + i * place.size, def.args[0], pair[0]));
    CANON_TRY(load(cx, at + i * place.size + value_at, def.args[1], pair[1]));
    items[i] = Val::of_items(std::move(pair));
  }
  out = Val::of_items(std::move(items));
  return TrapCode::None;
}

TrapCode store_pointed_list(const Context& cx, const Val& v, const TypeDef& def, uint64_t& at,
                            uint64_t& count) {
  const Place place = element_place(cx, def);
  if (v.is_bytes()) {
    if (plain(cx.types(), def.args[0]).prim != Prim::U8)
      return cx.trap("value does not have the type that is wanted");
    count = v.bytes().size();
    if (count > kMaxByteLength) return cx.trap("list is too long");
    CANON_TRY(reallocate(cx, 0, 0, 1, count, at));
    if (count) std::memcpy(cx.options.memory->base + at, v.bytes().data(), count);
    return TrapCode::None;
  }
  if (!v.is_items()) return cx.trap("value is not a list");
  count = v.items().size();
  if (count > kMaxByteLength || count * place.size > kMaxByteLength)
    return cx.trap("list is too long");
  CANON_TRY(reallocate(cx, 0, 0, place.align, count * place.size, at));
  if (def.kind != TypeKind::Map) {
    for (uint64_t i = 0; i < count; ++i)
      CANON_TRY(store(cx, v.items()[i], def.args[0], at + i * place.size));
    return TrapCode::None;
  }
  const uint64_t value_at = map_value_offset(cx, def);
  for (uint64_t i = 0; i < count; ++i) {
    const Val& pair = v.items()[i];
    if (!pair.is_items() || pair.items().size() != 2) return cx.trap("value is not a map");
    CANON_TRY(store(cx, pair.items()[0], def.args[0], at + i * place.size));
    CANON_TRY(store(cx, pair.items()[1], def.args[1], at + i * place.size + value_at));
  }
  return TrapCode::None;
}

// ---- Loading and storing

// Values one after the other, of the types that `type_of` gives.
template <class F>
TrapCode load_fields(const Context& cx, uint64_t at, F&& type_of, std::span<Val> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    const Place place = place_of(cx.types(), type_of(i), cx.options.is64);
    at = align_up(at, place.align);
    CANON_TRY(load(cx, at, type_of(i), out[i]));
    at += place.size;
  }
  return TrapCode::None;
}
template <class F>
TrapCode store_fields(const Context& cx, std::span<const Val> values, F&& type_of, uint64_t at) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Place place = place_of(cx.types(), type_of(i), cx.options.is64);
    at = align_up(at, place.align);
    CANON_TRY(store(cx, values[i], type_of(i), at));
    at += place.size;
  }
  return TrapCode::None;
}

TrapCode load(const Context& cx, uint64_t at, ValType type, Val& out) {
  const ValType t = plain(cx.types(), type);
  const bool is64 = cx.options.is64;
  const uint32_t pointer = cx.options.pointer_size();
  if (!t.defined()) {
    if (t.prim == Prim::String) {
      Text text;
      CANON_TRY(
          load_string(cx, load_int(cx, at, pointer), load_int(cx, at + pointer, pointer), text));
      out = Val::of_text(std::move(text.utf8), text.source);
      return TrapCode::None;
    }
    return lift_prim(cx, t.prim, load_int(cx, at, prim_info(t.prim)->size), out);
  }
  const TypeDef& def = def_of(cx, t);
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple: {
      Val::Items items(field_count(def));
      CANON_TRY(load_fields(cx, at, [&](size_t i) { return field_type(def, i); }, items));
      out = Val::of_items(std::move(items));
      return TrapCode::None;
    }
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      const size_t cases = case_count(def);
      const auto index = uint32_t(load_int(cx, at, discriminant_bytes(cases)));
      if (index >= cases) return cx.trap("invalid variant discriminant");
      if (def.kind == TypeKind::Enum) {
        out = Val::of_bits(index);
        return TrapCode::None;
      }
      const ValType payload = case_type(def, index);
      if (!payload) {
        out = Val::of_case(index);
        return TrapCode::None;
      }
      Val inner;
      CANON_TRY(load(cx, at + payload_offset(cx.types(), def, is64), payload, inner));
      out = Val::of_case(index, std::move(inner));
      return TrapCode::None;
    }
    case TypeKind::Flags: {
      const uint32_t bytes = flags_bytes(def.labels.size());
      const uint64_t mask = (uint64_t{1} << def.labels.size()) - 1;
      out = Val::of_bits(load_int(cx, at, bytes) & mask);
      return TrapCode::None;
    }
    case TypeKind::List:
      return lift_pointed_list(cx, load_int(cx, at, pointer), load_int(cx, at + pointer, pointer),
                               def.args[0], out);
    case TypeKind::Map:
      return load_map(cx, load_int(cx, at, pointer), load_int(cx, at + pointer, pointer), def, out);
    case TypeKind::FixedList:
      return lift_list(cx, at, def.length, def.args[0], out);
    case TypeKind::Own:
    case TypeKind::Borrow:
      return lift_resource(cx, def, uint32_t(load_int(cx, at, 4)), out);
    case TypeKind::Stream:
    case TypeKind::Future:
      return lift_end(cx, def, uint32_t(load_int(cx, at, 4)), out);
    default:
      return cx.trap("not a value type");
  }
}

// Checks the case of `v`; gives its index and what it holds.
TrapCode match_case(const Context& cx, const TypeDef& def, const Val& v, uint32_t& index,
                    const Val*& payload) {
  payload = nullptr;
  if (def.kind == TypeKind::Enum && v.is_bits()) {
    index = uint32_t(v.bits());
  } else if (v.is_case()) {
    index = v.index();
    payload = v.payload();
  } else {
    return cx.trap("value is not a variant");
  }
  if (index >= case_count(def)) return cx.trap("invalid variant discriminant");
  if (bool(case_type(def, index)) != (payload != nullptr))
    return cx.trap("value does not have the type that is wanted");
  return TrapCode::None;
}

TrapCode store(const Context& cx, const Val& v, ValType type, uint64_t at) {
  const ValType t = plain(cx.types(), type);
  const bool is64 = cx.options.is64;
  const uint32_t pointer = cx.options.pointer_size();
  const auto store_pair = [&](uint64_t begin, uint64_t length) {
    store_int(cx, at, begin, pointer);
    store_int(cx, at + pointer, length, pointer);
    return TrapCode::None;
  };
  Slot bits = 0;
  if (!t.defined()) {
    if (t.prim == Prim::String) {
      if (!v.is_text()) return cx.trap("value is not a string");
      uint64_t begin, length;
      CANON_TRY(store_string(cx, v.str(), v.text().source, begin, length));
      return store_pair(begin, length);
    }
    CANON_TRY(lower_prim(cx, t.prim, v, bits));
    store_int(cx, at, bits, prim_info(t.prim)->size);
    return TrapCode::None;
  }
  const TypeDef& def = def_of(cx, t);
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple:
      if (!v.is_items() || v.items().size() != field_count(def))
        return cx.trap("value does not have the type that is wanted");
      return store_fields(cx, v.items(), [&](size_t i) { return field_type(def, i); }, at);
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      uint32_t index;
      const Val* payload;
      CANON_TRY(match_case(cx, def, v, index, payload));
      store_int(cx, at, index, discriminant_bytes(case_count(def)));
      if (!payload) return TrapCode::None;
      return store(cx, *payload, case_type(def, index), at + payload_offset(cx.types(), def, is64));
    }
    case TypeKind::Flags:
      if (!v.is_bits()) return cx.trap("value is not flags");
      store_int(cx, at, v.bits(), flags_bytes(def.labels.size()));
      return TrapCode::None;
    case TypeKind::List:
    case TypeKind::Map: {
      uint64_t begin, count;
      CANON_TRY(store_pointed_list(cx, v, def, begin, count));
      return store_pair(begin, count);
    }
    case TypeKind::FixedList: {
      const Place place = place_of(cx.types(), def.args[0], is64);
      if (v.is_bytes()) {
        if (v.bytes().size() != def.length || plain(cx.types(), def.args[0]).prim != Prim::U8)
          return cx.trap("value does not have the type that is wanted");
        std::memcpy(cx.options.memory->base + at, v.bytes().data(), def.length);
        return TrapCode::None;
      }
      if (!v.is_items() || v.items().size() != def.length)
        return cx.trap("value does not have the type that is wanted");
      for (uint32_t i = 0; i < def.length; ++i)
        CANON_TRY(store(cx, v.items()[i], def.args[0], at + i * place.size));
      return TrapCode::None;
    }
    case TypeKind::Own:
    case TypeKind::Borrow:
      CANON_TRY(lower_resource(cx, def, v, bits));
      store_int(cx, at, bits, 4);
      return TrapCode::None;
    case TypeKind::Stream:
    case TypeKind::Future:
      CANON_TRY(lower_end(cx, def, v, bits));
      store_int(cx, at, bits, 4);
      return TrapCode::None;
    default:
      return cx.trap("not a value type");
  }
}

// ---- Flat values

TrapCode lift_flat(const Context& cx, FlatReader& in, ValType type, Val& out) {
  const ValType t = plain(cx.types(), type);
  const auto pointer = [&] {
    const Slot s = in.next();
    return cx.options.is64 ? s : uint32_t(s);
  };
  if (!t.defined()) {
    if (t.prim != Prim::String) return lift_prim(cx, t.prim, in.next(), out);
    const uint64_t at = pointer();
    Text text;
    CANON_TRY(load_string(cx, at, pointer(), text));
    out = Val::of_text(std::move(text.utf8), text.source);
    return TrapCode::None;
  }
  const TypeDef& def = def_of(cx, t);
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple: {
      Val::Items items(field_count(def));
      for (size_t i = 0; i < items.size(); ++i)
        CANON_TRY(lift_flat(cx, in, field_type(def, i), items[i]));
      out = Val::of_items(std::move(items));
      return TrapCode::None;
    }
    case TypeKind::FixedList: {
      Val::Items items(def.length);
      for (Val& item : items) CANON_TRY(lift_flat(cx, in, def.args[0], item));
      if (plain(cx.types(), def.args[0]).prim != Prim::U8) {
        out = Val::of_items(std::move(items));
        return TrapCode::None;
      }
      Val::Bytes bytes(def.length);
      for (uint32_t i = 0; i < def.length; ++i) bytes[i] = uint8_t(items[i].bits());
      out = Val::of_bytes(std::move(bytes));
      return TrapCode::None;
    }
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      const Slot* const after = in.at + cx.types().flat_size(t);
      const auto index = uint32_t(in.next());
      if (index >= case_count(def)) return cx.trap("invalid variant discriminant");
      if (def.kind == TypeKind::Enum) {
        out = Val::of_bits(index);
      } else if (const ValType payload = case_type(def, index)) {
        // Core values of joined types have what they stand for in their low bits.
        Val inner;
        CANON_TRY(lift_flat(cx, in, payload, inner));
        out = Val::of_case(index, std::move(inner));
      } else {
        out = Val::of_case(index);
      }
      in.at = after;
      return TrapCode::None;
    }
    case TypeKind::Flags:
      out = Val::of_bits(in.next() & ((uint64_t{1} << def.labels.size()) - 1));
      return TrapCode::None;
    case TypeKind::List: {
      const uint64_t at = pointer();
      return lift_pointed_list(cx, at, pointer(), def.args[0], out);
    }
    case TypeKind::Map: {
      const uint64_t at = pointer();
      return load_map(cx, at, pointer(), def, out);
    }
    case TypeKind::Own:
    case TypeKind::Borrow:
      return lift_resource(cx, def, uint32_t(in.next()), out);
    case TypeKind::Stream:
    case TypeKind::Future:
      return lift_end(cx, def, uint32_t(in.next()), out);
    default:
      return cx.trap("not a value type");
  }
}

TrapCode lower_flat(const Context& cx, const Val& v, ValType type, std::vector<Slot>& out) {
  const ValType t = plain(cx.types(), type);
  Slot bits = 0;
  if (!t.defined()) {
    if (t.prim == Prim::String) {
      if (!v.is_text()) return cx.trap("value is not a string");
      uint64_t at, length;
      CANON_TRY(store_string(cx, v.str(), v.text().source, at, length));
      out.push_back(at);
      out.push_back(length);
      return TrapCode::None;
    }
    CANON_TRY(lower_prim(cx, t.prim, v, bits));
    out.push_back(bits);
    return TrapCode::None;
  }
  const TypeDef& def = def_of(cx, t);
  switch (def.kind) {
    case TypeKind::Record:
    case TypeKind::Tuple:
      if (!v.is_items() || v.items().size() != field_count(def))
        return cx.trap("value does not have the type that is wanted");
      for (size_t i = 0; i < field_count(def); ++i)
        CANON_TRY(lower_flat(cx, v.items()[i], field_type(def, i), out));
      return TrapCode::None;
    case TypeKind::FixedList:
      if (v.is_bytes() && v.bytes().size() == def.length) {
        for (uint8_t b : v.bytes()) CANON_TRY(lower_flat(cx, Val::of_bits(b), def.args[0], out));
        return TrapCode::None;
      }
      if (!v.is_items() || v.items().size() != def.length)
        return cx.trap("value does not have the type that is wanted");
      for (const Val& item : v.items()) CANON_TRY(lower_flat(cx, item, def.args[0], out));
      return TrapCode::None;
    case TypeKind::Variant:
    case TypeKind::Enum:
    case TypeKind::Option:
    case TypeKind::Result: {
      const size_t end = out.size() + cx.types().flat_size(t);
      uint32_t index;
      const Val* payload;
      CANON_TRY(match_case(cx, def, v, index, payload));
      out.push_back(index);
      if (payload) CANON_TRY(lower_flat(cx, *payload, case_type(def, index), out));
      out.resize(end);
      return TrapCode::None;
    }
    case TypeKind::Flags:
      if (!v.is_bits()) return cx.trap("value is not flags");
      out.push_back(uint32_t(v.bits()));
      return TrapCode::None;
    case TypeKind::List:
    case TypeKind::Map: {
      uint64_t at, count;
      CANON_TRY(store_pointed_list(cx, v, def, at, count));
      out.push_back(at);
      out.push_back(count);
      return TrapCode::None;
    }
    case TypeKind::Own:
    case TypeKind::Borrow:
      CANON_TRY(lower_resource(cx, def, v, bits));
      out.push_back(bits);
      return TrapCode::None;
    case TypeKind::Stream:
    case TypeKind::Future:
      CANON_TRY(lower_end(cx, def, v, bits));
      out.push_back(bits);
      return TrapCode::None;
    default:
      return cx.trap("not a value type");
  }
}

}  // namespace

TrapCode reallocate(const Context& cx, uint64_t old, uint64_t old_size, uint32_t align,
                    uint64_t size, uint64_t& at) {
  // As a call of its own: nothing of what runs is seen by it, and it cannot leave.
  ComponentStore& store = cx.store();
  Slot slots[4] = {old, old_size, align, size};
  const AuxiliaryThread scope(cx.instance);
  CANON_TRY(store.core.call_raw(cx.options.realloc, slots));
  at = cx.options.is64 ? slots[0] : uint32_t(slots[0]);
  if (at & (align - 1)) return cx.trap("realloc return: result not aligned (unaligned pointer)");
  if (!in_bounds(cx, at, size))
    return cx.trap("realloc return: beyond end of memory (list content out-of-bounds)");
  return TrapCode::None;
}

TrapCode lift_handle(const Context& cx, const TypeDef& def, uint32_t index, Val& out) {
  const bool end = def.kind == TypeKind::Stream || def.kind == TypeKind::Future;
  return end ? lift_end(cx, def, index, out) : lift_resource(cx, def, index, out);
}

TrapCode lower_handle(const Context& cx, const TypeDef& def, const Val& v, Slot& out) {
  const bool end = def.kind == TypeKind::Stream || def.kind == TypeKind::Future;
  return end ? lower_end(cx, def, v, out) : lower_resource(cx, def, v, out);
}

TrapCode lift_failure(const Context& cx, uint32_t index, Val& out) {
  Handle* const h = cx.instance.handles.get(index);
  if (!h) return unknown_handle(cx.instance, index);
  if (h->kind != HandleKind::ErrorContext) return wrong_handle(cx.instance, index);
  out = Val::of_failure(h->shared<ErrorContext>());
  return TrapCode::None;
}

TrapCode lower_failure(const Context& cx, const Val& v, Slot& out) {
  if (!v.is_failure()) return cx.trap("value is not an error-context");
  Handle h;
  h.kind = HandleKind::ErrorContext;
  h.hold(v.failure());
  return add_handle(cx.instance, std::move(h), out);
}

size_t flat_count(const TypeArena& types, Types t) {
  size_t out = 0;
  for (const ValType type : t) out += types.flat_size(type);
  return out;
}

std::vector<ValType> param_types(const TypeDef& func) {
  std::vector<ValType> out;
  out.reserve(func.labels.size());
  for (const Label& l : func.labels) out.push_back(l.type);
  return out;
}

TrapCode load_list(const Context& cx, uint64_t at, uint64_t count, ValType type,
                   std::vector<Val>& out) {
  const uint64_t size = place_of(cx.types(), type, cx.options.is64).size;
  out.resize(count);
  for (uint64_t i = 0; i < count; ++i) CANON_TRY(load(cx, at + i * size, type, out[i]));
  return TrapCode::None;
}

namespace {

// Drops the resources that `v` owns but for the first `given` of them, in the order in which they
// are lowered. What is not of its type may be anything.
void abandon(ComponentStore& store, const TypeArena& types, ValType type, const Val& v,
             uint32_t& given) {
  const ValType t = plain(types, type);
  if (!t.defined()) return;
  const TypeDef& def = types[t.id];
  switch (def.kind) {
    case TypeKind::Own:
      if (given)
        --given;
      else if (v.is_resource())
        store.abandon(v.resource());
      return;
    case TypeKind::Record:
    case TypeKind::Tuple:
      if (!v.is_items() || v.items().size() != field_count(def)) return;
      for (size_t i = 0; i < field_count(def); ++i)
        abandon(store, types, field_type(def, i), v.items()[i], given);
      return;
    case TypeKind::List:
    case TypeKind::FixedList:
      if (!def.has_resource || !v.is_items()) return;
      for (const Val& item : v.items()) abandon(store, types, def.args[0], item, given);
      return;
    case TypeKind::Map:
      if (!def.has_resource || !v.is_items()) return;
      for (const Val& pair : v.items())
        for (size_t i = 0; pair.is_items() && i < 2 && i < pair.items().size(); ++i)
          abandon(store, types, def.args[i], pair.items()[i], given);
      return;
    case TypeKind::Variant:
    case TypeKind::Option:
    case TypeKind::Result:
      if (v.is_case() && v.payload() && v.index() < case_count(def) && case_type(def, v.index()))
        abandon(store, types, case_type(def, v.index()), *v.payload(), given);
      return;
    default:
      return;
  }
}

// Runs `lower` with a context that counts; what has not been given away is dropped if that fails.
template <class F, class T>
TrapCode give(const Context& outer, std::span<Val> values, T&& type_of, F&& lower) {
  uint32_t given = 0;
  Context cx = outer;
  cx.given = &given;
  const TrapCode code = lower(cx);
  if (WAFER_UNLIKELY(code != TrapCode::None))
    for (size_t i = 0; i < values.size(); ++i)
      abandon(cx.store(), cx.types(), type_of(i), values[i], given);
  return code;
}

TrapCode lower_each(const Context& cx, bool flat, std::span<const Val> values, Types types,
                    std::vector<Slot>& out, FlatReader* out_pointer) {
  if (flat) {
    for (size_t i = 0; i < types.size(); ++i) CANON_TRY(lower_flat(cx, values[i], types[i], out));
    return TrapCode::None;
  }
  const Place place = tuple_place(cx.types(), types, cx.options.is64);
  uint64_t at;
  if (out_pointer) {
    at = out_pointer->next();
    if (!cx.options.is64) at = uint32_t(at);
    CANON_TRY(check_range(cx, at, place.size, place.align, "pointer out of bounds of memory"));
  } else {
    CANON_TRY(reallocate(cx, 0, 0, place.align, place.size, at));
    out.push_back(at);
  }
  return store_fields(cx, values, [&](size_t i) { return types[i]; }, at);
}

}  // namespace

TrapCode store_list(const Context& outer, std::span<Val> values, ValType type, uint64_t at) {
  const uint64_t size = place_of(outer.types(), type, outer.options.is64).size;
  return give(
      outer, values, [&](size_t) { return type; },
      [&](const Context& cx) {
        for (size_t i = 0; i < values.size(); ++i)
          CANON_TRY(store(cx, values[i], type, at + i * size));
        return TrapCode::None;
      });
}

TrapCode lift_values(const Context& cx, uint32_t most, FlatReader& in, Types types,
                     std::vector<Val>& out) {
  const bool flat = flat_count(cx.types(), types) <= most;
  return lift_tuple(cx, flat, in, types, out);
}

TrapCode lift_tuple(const Context& cx, bool flat, FlatReader& in, Types types,
                    std::vector<Val>& out) {
  out.resize(types.size());
  if (flat) {
    for (size_t i = 0; i < types.size(); ++i) CANON_TRY(lift_flat(cx, in, types[i], out[i]));
    return TrapCode::None;
  }
  Slot at = in.next();
  if (!cx.options.is64) at = uint32_t(at);
  const Place place = tuple_place(cx.types(), types, cx.options.is64);
  CANON_TRY(check_range(cx, at, place.size, place.align, "pointer out of bounds of memory"));
  return load_fields(cx, at, [&](size_t i) { return types[i]; }, out);
}

TrapCode lower_values(const Context& cx, uint32_t most, std::span<Val> values, Types types,
                      std::vector<Slot>& out, FlatReader* out_pointer) {
  const bool flat = flat_count(cx.types(), types) <= most;
  return lower_tuple(cx, flat, values, types, out, out_pointer);
}

TrapCode lower_tuple(const Context& outer, bool flat, std::span<Val> values, Types types,
                     std::vector<Slot>& out, FlatReader* out_pointer) {
  if (values.size() != types.size()) return outer.trap("wrong number of values");
  return give(
      outer, values, [&](size_t i) { return types[i]; },
      [&](const Context& cx) { return lower_each(cx, flat, values, types, out, out_pointer); });
}

// ---- Strings

TrapCode load_string(const Context& cx, uint64_t at, uint64_t length, Text& out) {
  const uint64_t tag = uint64_t{1} << (cx.options.is64 ? 63 : 31);
  uint64_t bytes = length;
  uint32_t align = 1;
  bool wide = false;
  switch (cx.options.encoding) {
    case StringEncoding::Utf8:
      out.source = Text::Source::Utf8;
      break;
    case StringEncoding::Utf16:
      out.source = Text::Source::Utf16;
      wide = true;
      align = 2;
      break;
    case StringEncoding::Latin1Utf16:
      wide = (length & tag) != 0;
      length &= ~tag;
      out.source = wide ? Text::Source::TaggedUtf16 : Text::Source::Latin1;
      bytes = length;
      align = 2;
      break;
  }
  if (length > kMaxByteLength || (wide && length * 2 > kMaxByteLength))
    return cx.trap("string content out-of-bounds");
  if (wide) bytes = length * 2;
  if (at & (align - 1)) return cx.trap("unaligned pointer");
  if (!in_bounds(cx, at, bytes))
    return cx.trap("string pointer/length out of bounds of memory (string content out-of-bounds)");
  const uint8_t* const from = cx.options.memory->base + at;
  const std::string_view view(reinterpret_cast<const char*>(from), bytes);
  if (wide) {
    auto utf8 = utf16_to_utf8(from, length);
    if (!utf8) return cx.trap("unpaired surrogate found");
    out.utf8 = std::move(*utf8);
  } else if (cx.options.encoding == StringEncoding::Utf8) {
    if (const char* fault = utf8_fault(view)) return cx.trap(fault);
    out.utf8 = view;
  } else {
    out.utf8 = latin1_to_utf8(view);
  }
  return TrapCode::None;
}

// Space is asked for as the specification does, which guests can see: as much as the source
// needs when all goes well, then the most that can be needed, then what was.
TrapCode store_string(const Context& cx, std::string_view s, Text::Source source, uint64_t& at,
                      uint64_t& length) {
  const uint64_t tag = uint64_t{1} << (cx.options.is64 ? 63 : 31);
  const TextSize size = source == Text::Source::Utf8 && cx.options.encoding == StringEncoding::Utf8
                            ? TextSize{}
                            : measure(s);
  if (s.size() > kMaxByteLength) return cx.trap("string content out-of-bounds");
  const auto memory = [&] { return cx.options.memory->base + at; };
  uint64_t units = 0;  // of the source
  switch (source) {
    case Text::Source::Utf8:
      units = s.size();
      break;
    case Text::Source::Latin1:
      units = size.scalars;
      break;
    default:
      units = size.utf16_units;
      break;
  }
  switch (cx.options.encoding) {
    case StringEncoding::Utf8: {
      length = s.size();
      CANON_TRY(reallocate(cx, 0, 0, 1, units, at));
      if (units != length || source != Text::Source::Utf8) {
        // ASCII stays as long as it was.
        if (length != units) {
          const uint64_t worst = units * (source == Text::Source::Latin1 ? 2 : 3);
          CANON_TRY(reallocate(cx, at, units, 1, worst, at));
          if (worst > length) CANON_TRY(reallocate(cx, at, worst, 1, length, at));
        }
      }
      if (length) std::memcpy(memory(), s.data(), length);
      return TrapCode::None;
    }
    case StringEncoding::Utf16: {
      length = size.utf16_units;
      if (source == Text::Source::Utf8) {
        CANON_TRY(reallocate(cx, 0, 0, 2, 2 * units, at));
        if (length < units) CANON_TRY(reallocate(cx, at, 2 * units, 2, 2 * length, at));
      } else {
        CANON_TRY(reallocate(cx, 0, 0, 2, 2 * length, at));
      }
      utf8_to_utf16(s, memory());
      return TrapCode::None;
    }
    case StringEncoding::Latin1Utf16:
      switch (source) {
        case Text::Source::Latin1:
          length = units;
          CANON_TRY(reallocate(cx, 0, 0, 2, length, at));
          utf8_to_latin1(s, memory());
          return TrapCode::None;
        case Text::Source::TaggedUtf16:
          CANON_TRY(reallocate(cx, 0, 0, 2, 2 * units, at));
          if (!size.latin1) {
            utf8_to_utf16(s, memory());
            length = units | tag;
            return TrapCode::None;
          }
          length = units;
          CANON_TRY(reallocate(cx, at, 2 * units, 1, length, at));
          utf8_to_latin1(s, memory());
          return TrapCode::None;
        default:
          CANON_TRY(reallocate(cx, 0, 0, 2, units, at));
          if (size.latin1) {
            length = size.scalars;
            if (length < units) CANON_TRY(reallocate(cx, at, units, 2, length, at));
            utf8_to_latin1(s, memory());
            return TrapCode::None;
          }
          CANON_TRY(reallocate(cx, at, units, 2, 2 * units, at));
          if (size.utf16_units < units)
            CANON_TRY(reallocate(cx, at, 2 * units, 2, 2 * size.utf16_units, at));
          utf8_to_utf16(s, memory());
          length = size.utf16_units | tag;
          return TrapCode::None;
      }
  }
  return TrapCode::None;
}

}  // namespace wafer::component
