#include "describe.h"

#include <cinttypes>
#include <cstdio>
#include <unordered_map>

#include "chooser.h"
#include "wasm/type_registry.h"

namespace wafer::diff {

namespace {

using namespace runtime;
using wasm::CanonType;
using wasm::CompKind;
using wasm::HeapKind;
using wasm::TypeKind;
using wasm::ValType;

constexpr size_t kMaxObjects = 300;  // in one text; more are not looked into

std::string format(const char* pattern, uint64_t v) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, v);
  return text;
}

class Describer {
 public:
  explicit Describer(Store& store) : store_(store) {}

  std::string take() { return std::move(out_); }

  void value(ValType type, const Slot* bits) {
    switch (type.kind()) {
      case TypeKind::I8:
      case TypeKind::I16:
      case TypeKind::I32:
        out_ += format("i32:%#" PRIx64, uint32_t(bits[0]));
        return;
      case TypeKind::I64:
        out_ += format("i64:%#" PRIx64, bits[0]);
        return;
      case TypeKind::F32:
        out_ += format("f32:%#" PRIx64, uint32_t(bits[0]));
        return;
      case TypeKind::F64:
        out_ += format("f64:%#" PRIx64, bits[0]);
        return;
      case TypeKind::V128:
        out_ += format("v128:%016" PRIx64, bits[1]) + format("%016" PRIx64, bits[0]);
        return;
      default:
        reference(bits[0], type);
    }
  }

  // Values of `types`, one after the other.
  void slots(std::span<const ValType> types, const Slot* bits) {
    const char* separator = "";
    for (const ValType t : types) {
      out_ += separator;
      separator = " ";
      value(t, bits);
      bits += t.kind() == TypeKind::V128 ? 2 : 1;
    }
  }

  void exception(const GcException& e) {
    out_ += "exception of ";
    out_ += place_of(&Instance::tag_storage, const_cast<const GcException&>(e).tag, "tag");
    out_ += " (";
    slots(e.tag->type->func.params, const_cast<GcException&>(e).args());
    out_ += ')';
  }

 private:
  void reference(Ref ref, ValType type) {
    if (ref == kNullRef) {
      out_ += "null";
    } else if (is_func(type)) {
      function(ref);
    } else if (is_i31(ref)) {
      out_ += format("i31:%#" PRIx64, i31_get_u(ref));
    } else {
      object(*reinterpret_cast<GcObject*>(uintptr_t(ref)));
    }
  }

  bool is_func(ValType type) const {
    const wasm::HeapType heap = type.heap();
    if (heap.is_concrete()) return store_.registry().get(heap.index())->kind == CompKind::Func;
    return heap.kind() == HeapKind::Func || heap.kind() == HeapKind::NoFunc;
  }

  void function(Ref ref) {
    out_ += place_of(&Instance::func_storage, reinterpret_cast<FuncInst*>(uintptr_t(ref)), "func");
  }

  // Where `item` is in the index spaces of the instances: the first such place.
  template <class T>
  std::string place_of(Vec<T*> Instance::* list, const T* item, std::string_view what) const {
    for (size_t i = 0; i < store_.instances().size(); ++i) {
      const Vec<T*>& all = (*store_.instances()[i]).*list;
      for (size_t at = 0; at < all.size(); ++at)
        if (all[at] == item)
          return std::string(what) + format(" %" PRIu64, i) + format(".%" PRIu64, at);
    }
    return "another " + std::string(what);
  }

  void object(GcObject& o) {
    const auto [at, is_new] = met_.try_emplace(&o, met_.size());
    out_ += format("#%" PRIu64, at->second);
    if (!is_new || met_.size() > kMaxObjects) return;
    out_ += '=';
    if (o.type == &GcHeap::kHostType) {
      out_ += format("host %" PRIu64, uintptr_t(static_cast<GcHostObject&>(o).data));
    } else if (o.type == &GcHeap::kExceptionType) {
      exception(static_cast<GcException&>(o));
    } else if (o.type == &GcHeap::kTracedType) {
      out_ += "continuation";
    } else if (o.type->kind == CompKind::Struct) {
      out_ += format("struct %" PRIu64 " {", o.type->id);
      for (size_t i = 0; i < o.type->fields.size(); ++i) {
        if (i) out_ += ' ';
        stored(o.type->fields[i].storage, o.payload() + o.type->field_offsets[i]);
      }
      if (o.type->has_descriptor()) {
        out_ += " by ";
        stored(wasm::kAnyRef, o.payload() + o.type->descriptor_offset);
      }
      out_ += '}';
    } else {
      auto& array = static_cast<GcArray&>(o);
      out_ += format("array %" PRIu64, o.type->id) + format(" of %" PRIu64 " {", array.length);
      for (uint64_t i = 0; i < array.length && i < kMaxElements; ++i) {
        if (i) out_ += ' ';
        stored(o.type->fields[0].storage, array.elements() + i * o.type->element_size);
      }
      out_ += '}';
    }
  }
  static constexpr uint64_t kMaxElements = 200;

  // A value as it lies in a field or element.
  void stored(ValType storage, const uint8_t* bytes) {
    Slot bits[2] = {0, 0};
    const size_t size = storage.kind() == TypeKind::I8     ? 1
                        : storage.kind() == TypeKind::I16  ? 2
                        : storage.kind() == TypeKind::I32  ? 4
                        : storage.kind() == TypeKind::F32  ? 4
                        : storage.kind() == TypeKind::V128 ? 16
                                                           : 8;
    std::memcpy(bits, bytes, size);
    value(storage, bits);
  }

  Store& store_;
  std::string out_;
  std::unordered_map<const GcObject*, size_t> met_;
};

std::string describe_memory(Memory& memory) {
  const Bytes bytes = memory.bytes();
  uint64_t hash = 0;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    if (word) hash += mix(word ^ mix(i));
  }
  for (; i < bytes.size(); ++i) hash += mix(bytes[i] ^ mix(i));
  return format("%" PRIu64 " bytes", bytes.size()) + format(", hash %016" PRIx64, hash);
}

}  // namespace

std::string describe(Store& store, std::span<const Value> values) {
  Describer d(store);
  std::vector<ValType> types;
  std::vector<Slot> bits;
  for (const Value& v : values) {
    types.push_back(v.type);
    bits.push_back(v.bits[0]);
    if (v.type.kind() == TypeKind::V128) bits.push_back(v.bits[1]);
  }
  d.slots(types, bits.data());
  return d.take();
}

std::string describe_exception(Store& store) {
  Describer d(store);
  if (store.pending_exception == kNullRef) return "no exception";
  d.exception(*reinterpret_cast<GcException*>(uintptr_t(store.pending_exception)));
  return d.take();
}

std::vector<std::string> describe_state(Store& store) {
  std::vector<std::string> out;
  for (size_t n = 0; n < store.instances().size(); ++n) {
    const Instance& instance = *store.instances()[n];
    const auto name = [n](const char* kind, size_t i) {
      return kind + format(" %" PRIu64, n) + format(".%" PRIu64 ": ", i);
    };
    for (size_t i = 0; i < instance.global_storage.size(); ++i) {
      Describer d(store);
      d.value(instance.globals[i]->type.type, instance.globals[i]->value);
      out.push_back(name("global", i) + d.take());
    }
    for (size_t i = 0; i < instance.table_storage.size(); ++i) {
      Describer d(store);
      const Table& table = *instance.tables[i];
      const std::vector<ValType> types(table.size, table.type().element);
      d.slots(types, table.elements);
      out.push_back(name("table", i) + d.take());
    }
    for (size_t i = 0; i < instance.memory_storage.size(); ++i)
      out.push_back(name("memory", i) + describe_memory(*instance.memories[i]));
  }
  return out;
}

}  // namespace wafer::diff
