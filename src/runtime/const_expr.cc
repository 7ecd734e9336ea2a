// Evaluation of constant expressions (spec 3.4.14, 4.4.10).
#include <cstring>

#include "base/access.h"
#include "runtime/gc_storage.h"
#include "runtime/store.h"
#include "wasm/instr.h"

namespace wafer::runtime {

namespace {

using wasm::CanonType;
using wasm::CompKind;
using wasm::Opcode;
using wasm::TypeKind;
using wasm::ValType;

class Evaluator final : public RootSource {
 public:
  explicit Evaluator(Instance& instance)
      : instance_(instance),
        module_(*instance.module),
        registry_(*module_.registry),
        heap_(instance.store->gc()) {}
  ~Evaluator() {
    if (rooted_) heap_.remove_root_source(this);
  }

  TrapCode run(wasm::ConstExpr expr, Slot* result);
  void enumerate_roots(RootVisitor& visitor) override {
    for (size_t i = 0; i < stack_.size(); ++i)
      if (is_gc_ref_[i]) visitor.visit(stack_[i]);
  }

 private:
  void push(Slot v, bool is_gc_ref = false) {
    stack_.push_back(v);
    is_gc_ref_.push_back(is_gc_ref);
  }
  Slot pop() {
    const Slot v = stack_.back();
    drop(1);
    return v;
  }
  void drop(size_t n) {
    stack_.resize(stack_.size() - n);
    is_gc_ref_.resize(is_gc_ref_.size() - n);
  }
  template <class F>
  void binary(F f) {
    const Slot b = pop(), a = pop();
    push(f(a, b));
  }
  // The operands must be roots from the first allocation on.
  void root() {
    if (!rooted_) heap_.add_root_source(this);
    rooted_ = true;
  }
  // Why an array of `length` could not be made.
  TrapCode no_room(const CanonType* type, uint64_t length) const {
    const uint64_t limit = instance_.store->limits().gc_heap_bytes;
    return type->element_size && length > limit / type->element_size ? TrapCode::AllocationTooLarge
                                                                     : TrapCode::OutOfMemory;
  }
  TrapCode new_struct(const CanonType* type, bool with_fields);
  TrapCode new_array(const CanonType* type, Opcode op, uint64_t count);

  Instance& instance_;
  const wasm::Module& module_;
  const wasm::TypeRegistry& registry_;
  GcHeap& heap_;
  Vec<Slot> stack_;
  Vec<uint8_t> is_gc_ref_;
  bool rooted_ = false;
};

TrapCode Evaluator::new_struct(const CanonType* type, bool with_fields) {
  // The descriptor comes after the fields.
  if (type->has_descriptor() && stack_.back() == kNullRef) return TrapCode::NullDescriptor;
  root();
  GcObject* const object = heap_.new_struct(type);
  if (!object) return TrapCode::OutOfMemory;
  if (type->has_descriptor()) {
    const Ref descriptor = stack_.back();
    std::memcpy(object->payload() + type->descriptor_offset, &descriptor, sizeof descriptor);
    drop(1);
  }
  if (with_fields) {
    size_t slots = 0;
    for (const wasm::FieldType& f : type->fields) slots += slot_count(f.storage.unpacked());
    const Slot* v = stack_.data() + (stack_.size() - slots);
    for (size_t i = 0; i < type->fields.size(); ++i)
      v += store_storage(type->fields[i].storage, object->payload() + type->field_offsets[i], v);
    drop(slots);
  }
  push(uintptr_t(object), true);
  return TrapCode::None;
}

TrapCode Evaluator::new_array(const CanonType* type, Opcode op, uint64_t count) {
  root();
  const ValType storage = type->fields[0].storage;
  const uint32_t width = slot_count(storage.unpacked());
  if (op != Opcode::ArrayNewFixed) count = uint32_t(pop());
  GcArray* const array = heap_.new_array(type, count);
  if (!array) return no_room(type, count);
  uint8_t* p = array->elements();
  if (op == Opcode::ArrayNew) {
    const Slot* const v = stack_.data() + (stack_.size() - width);
    for (uint64_t i = 0; i < count; ++i, p += type->element_size) store_storage(storage, p, v);
    drop(width);
  } else if (op == Opcode::ArrayNewFixed) {
    const size_t slots = size_t(count) * width;
    const Slot* v = stack_.data() + (stack_.size() - slots);
    for (uint64_t i = 0; i < count; ++i, p += type->element_size) v += store_storage(storage, p, v);
    drop(slots);
  }
  push(uintptr_t(array), true);
  return TrapCode::None;
}

TrapCode Evaluator::run(wasm::ConstExpr expr, Slot* result) {
  wasm::InstrReader reader(module_.bytes, expr.begin, expr.end, module_.features);
  wasm::Instr in;
  while (!reader.at_end()) {
    // Cannot fail: the module was validated.
    if (!reader.read(in).ok()) return TrapCode::HostError;
    TrapCode trap = TrapCode::None;
    const Opcode op = in.op;
    WAFER_ASSUME_BUILT(op);
    switch (op) {
      case Opcode::I32Const:
        push(uint32_t(in.i32));
        break;
      case Opcode::I64Const:
        push(uint64_t(in.i64));
        break;
      case Opcode::F32Const:
        push(in.f32_bits);
        break;
      case Opcode::F64Const:
        push(in.f64_bits);
        break;
      case Opcode::V128Const:
        push(load_le<uint64_t>(in.v128.bytes));
        push(load_le<uint64_t>(in.v128.bytes + 8));
        break;
      case Opcode::I32Add:
        binary([](Slot a, Slot b) { return Slot(uint32_t(a + b)); });
        break;
      case Opcode::I32Sub:
        binary([](Slot a, Slot b) { return Slot(uint32_t(a - b)); });
        break;
      case Opcode::I32Mul:
        binary([](Slot a, Slot b) { return Slot(uint32_t(a * b)); });
        break;
      case Opcode::I64Add:
        binary([](Slot a, Slot b) { return a + b; });
        break;
      case Opcode::I64Sub:
        binary([](Slot a, Slot b) { return a - b; });
        break;
      case Opcode::I64Mul:
        binary([](Slot a, Slot b) { return a * b; });
        break;
      case Opcode::GlobalGet: {
        const GlobalInst& global = *instance_.globals[in.index];
        push(global.value[0], registry_.is_gc_ref(global.type.type));
        if (global.type.type.kind() == TypeKind::V128) push(global.value[1]);
        break;
      }
      case Opcode::RefNull:
        push(kNullRef);
        break;
      case Opcode::RefFunc:
        push(uintptr_t(instance_.funcs[in.index]));
        break;
      case Opcode::RefI31:
        push(make_i31(uint32_t(pop())), true);
        break;
      case Opcode::AnyConvertExtern:
      case Opcode::ExternConvertAny:
        break;  // both hierarchies share a representation
      case Opcode::StructNew:
      case Opcode::StructNewDefault:
      case Opcode::StructNewDesc:
      case Opcode::StructNewDefaultDesc:
        trap = new_struct(module_.canon_type(in.index),
                          in.op == Opcode::StructNew || in.op == Opcode::StructNewDesc);
        break;
      case Opcode::ArrayNew:
      case Opcode::ArrayNewDefault:
      case Opcode::ArrayNewFixed:
        trap = new_array(module_.canon_type(in.index), in.op, in.index2);
        break;
      case Opcode::End:
        break;
      default:
        return TrapCode::HostError;  // not a constant instruction: not validated
    }
    if (trap != TrapCode::None) return trap;
  }
  result[0] = stack_.empty() ? 0 : stack_[0];
  if (stack_.size() == 2) result[1] = stack_[1];
  return TrapCode::None;
}

// The commonest forms, a single instruction, without the machinery. False if
// `expr` is something else.
bool eval_simple(Instance& instance, wasm::ConstExpr expr, Slot* result) {
  if (const_integer(*instance.module, expr, result[0])) return true;
  const Bytes bytes = instance.module->slice(expr);
  if (bytes.size() < 3) return false;
  const uint8_t* p = bytes.data() + 1;
  const uint8_t* const end = bytes.data() + bytes.size();
  uint64_t u;
  int64_t s;
  switch (bytes[0]) {
    case 0x23: {  // global.get
      if (read_uleb<32>(p, end, u) != LebStatus::Ok || p + 1 != end) return false;
      const GlobalInst& global = *instance.globals[u];
      result[0] = global.value[0];
      if (global.type.type.kind() == TypeKind::V128) result[1] = global.value[1];
      return true;
    }
    case 0xD0:  // ref.null
      if constexpr (!wasm::is_built(wasm::Feature::ReferenceTypes)) return false;
      if (read_sleb<33>(p, end, s) != LebStatus::Ok || p + 1 != end) return false;
      result[0] = kNullRef;
      return true;
    case 0xD2:  // ref.func
      if constexpr (!wasm::is_built(wasm::Feature::ReferenceTypes)) return false;
      if (read_uleb<32>(p, end, u) != LebStatus::Ok || p + 1 != end) return false;
      result[0] = uintptr_t(instance.funcs[u]);
      return true;
    default:
      return false;
  }
}

}  // namespace

bool const_integer(const wasm::Module& module, wasm::ConstExpr expr, Slot& value) {
  const Bytes bytes = module.slice(expr);
  if (bytes.size() < 3) return false;
  const uint8_t* p = bytes.data() + 1;
  const uint8_t* const end = bytes.data() + bytes.size();
  int64_t s;
  switch (bytes[0]) {
    case 0x41:  // i32.const
      if (read_sleb<32>(p, end, s) != LebStatus::Ok || p + 1 != end) return false;
      value = uint32_t(s);
      return true;
    case 0x42:  // i64.const
      if (read_sleb<64>(p, end, s) != LebStatus::Ok || p + 1 != end) return false;
      value = uint64_t(s);
      return true;
    default:
      return false;
  }
}

uint64_t trimmed_bytes(const wasm::Module& module, size_t index) {
  constexpr uint64_t kAll = ~uint64_t{0};
  if (index != 0 || module.grows_memory) return kAll;
  for (const wasm::Export& e : module.exports) {
    if (e.kind != wasm::ExternKind::Global || e.name != "__heap_base") continue;
    const wasm::Global& global = module.globals[e.index];
    Slot value = 0;
    if (global.imported || global.type.is_mutable || !const_integer(module, global.init, value))
      return kAll;
    return (value + 15) & ~uint64_t{15};
  }
  return kAll;
}

// The remaining forms of a single instruction.
TrapCode eval_float(Instance& instance, wasm::ConstExpr expr, Slot* result) {
  const Bytes bytes = instance.module->slice(expr);
  if (bytes[0] == 0x43)
    result[0] = load_memory<uint32_t>(bytes.data() + 1);
  else if (bytes[0] == 0x44)
    result[0] = load_memory<uint64_t>(bytes.data() + 1);
  else
    return TrapCode::HostError;  // not validated
  return TrapCode::None;
}

TrapCode eval_const(Instance& instance, wasm::ConstExpr expr, Slot* result) {
  if (eval_simple(instance, expr, result)) return TrapCode::None;
  // Without these, a constant expression is one instruction; only vectors are not simple.
  if constexpr (!wasm::is_built(wasm::Feature::ExtendedConst) &&
                !wasm::is_built(wasm::Feature::GC) && !wasm::is_built(wasm::Feature::Simd))
    return eval_float(instance, expr, result);
  Evaluator evaluator(instance);
  return evaluator.run(expr, result);
}

}  // namespace wafer::runtime
