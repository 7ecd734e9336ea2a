#include "cli/wast_component.h"

#include <algorithm>

#include "component/shape.h"

namespace wafer::cli {

namespace {

using component::TypeArena;
using component::TypeDef;
using component::TypeKind;
using component::Val;
using component::ValType;
using wat::ComponentConst;
using wat::ScriptValue;
using Kind = ComponentConst::Kind;

std::string str(std::string_view s) { return std::string(s); }

Error unfit() { return {ErrorKind::Usage, "constant does not have the type that is wanted"}; }

// The value of a constant as one of `type`.
Result<Val> value_of(const TypeArena& types, ValType type, const ComponentConst& c);

Result<Val::Items> values_of(const TypeArena& types, const Vec<ComponentConst>& items,
                             auto&& type_of) {
  Val::Items out;
  for (size_t i = 0; i < items.size(); ++i) {
    WAFER_LET(v, value_of(types, type_of(i), items[i]));
    out.push_back(std::move(v));
  }
  return out;
}

std::optional<uint32_t> label_of(const TypeDef& def, std::string_view name) {
  for (size_t i = 0; i < def.labels.size(); ++i)
    if (def.labels[i].name == name) return uint32_t(i);
  return std::nullopt;
}

Result<Val> case_of(const TypeArena& types, const TypeDef& def, uint32_t index,
                    const Vec<ComponentConst>& items) {
  const ValType payload = component::case_type(def, index);
  if (bool(payload) == items.empty()) return unfit();
  if (!payload) return Val::of_case(index);
  WAFER_LET(v, value_of(types, payload, items[0]));
  return Val::of_case(index, std::move(v));
}

Result<Val> value_of(const TypeArena& types, ValType type, const ComponentConst& c) {
  const ValType t = component::plain(types, type);
  if (!t.defined()) {
    if (t.prim == component::Prim::String)
      return c.kind == Kind::String ? Result<Val>(Val::of_text(str(c.text))) : unfit();
    if (c.kind >= Kind::String) return unfit();
    return Val::of_bits(c.bits);
  }
  const TypeDef& def = types[t.id];
  const auto same = [&](size_t) { return def.args[0]; };
  switch (def.kind) {
    case TypeKind::List:
    case TypeKind::FixedList: {
      if (c.kind != Kind::List) return unfit();
      WAFER_LET(items, values_of(types, c.items, same));
      return Val::of_items(std::move(items));
    }
    case TypeKind::Map: {
      if (c.kind != Kind::Map && c.kind != Kind::List) return unfit();
      Val::Items out;
      if (c.kind == Kind::List) {
        for (const ComponentConst& pair : c.items) {
          WAFER_LET(items, values_of(types, pair.items, [&](size_t i) { return def.args[i]; }));
          out.push_back(Val::of_items(std::move(items)));
        }
        return Val::of_items(std::move(out));
      }
      WAFER_LET(flat, values_of(types, c.items, [&](size_t i) { return def.args[i % 2]; }));
      for (size_t i = 0; i + 1 < flat.size(); i += 2)
        out.push_back(Val::of_items({std::move(flat[i]), std::move(flat[i + 1])}));
      return Val::of_items(std::move(out));
    }
    case TypeKind::Record: {
      if (c.kind != Kind::Record || c.items.size() != def.labels.size()) return unfit();
      for (size_t i = 0; i < c.names.size(); ++i)
        if (std::string_view(c.names[i]) != def.labels[i].name) return unfit();
      WAFER_LET(items, values_of(types, c.items, [&](size_t i) { return def.labels[i].type; }));
      return Val::of_items(std::move(items));
    }
    case TypeKind::Tuple: {
      if (c.kind != Kind::Tuple || c.items.size() != def.args.size()) return unfit();
      WAFER_LET(items, values_of(types, c.items, [&](size_t i) { return def.args[i]; }));
      return Val::of_items(std::move(items));
    }
    case TypeKind::Enum: {
      const auto index = label_of(def, c.text);
      return c.kind == Kind::Enum && index ? Result<Val>(Val::of_bits(*index)) : unfit();
    }
    case TypeKind::Flags: {
      uint64_t bits = 0;
      for (const String& name : c.names) {
        const auto index = label_of(def, name);
        if (!index) return unfit();
        bits |= uint64_t{1} << *index;
      }
      return c.kind == Kind::Flags ? Result<Val>(Val::of_bits(bits)) : unfit();
    }
    case TypeKind::Variant: {
      const auto index = label_of(def, c.text);
      if (c.kind != Kind::Variant || !index) return unfit();
      return case_of(types, def, *index, c.items);
    }
    case TypeKind::Option:
      if (c.kind != Kind::None && c.kind != Kind::Some) return unfit();
      return case_of(types, def, c.kind == Kind::Some, c.items);
    case TypeKind::Result:
      if (c.kind != Kind::Ok && c.kind != Kind::Err) return unfit();
      return case_of(types, def, c.kind == Kind::Err, c.items);
    default:
      return unfit();
  }
}

// Constants of the core text format serve for numbers of the same name.
ComponentConst constant(const ScriptValue& v) {
  if (v.kind == ScriptValue::Kind::Component) return v.component;
  ComponentConst out;
  out.kind = v.type == wasm::kF32   ? Kind::F32
             : v.type == wasm::kF64 ? Kind::F64
             : v.type == wasm::kI64 ? Kind::S64
                                    : Kind::S32;
  out.bits = v.bits;
  out.any_nan =
      v.kind == ScriptValue::Kind::NanCanonical || v.kind == ScriptValue::Kind::NanArithmetic;
  return out;
}

}  // namespace

ComponentScript::ComponentScript(runtime::Store& store) : store_(store) {}

Result<std::shared_ptr<component::Component>> ComponentScript::load(
    const wat::ScriptModule& module, const component::DecodeOptions& options) {
  if (module.parse_error) return *module.parse_error;
  component::DecodeOptions decode = options;
  decode.registry = store_.core.engine().registry();
  // Core modules keep pointing into the bytes.
  auto bytes = std::make_shared<Vec<uint8_t>>(module.binary);
  decode.owner = bytes;
  return component::decode({bytes->data(), bytes->size()}, decode);
}

void ComponentScript::define(const String& name, std::shared_ptr<component::Component> definition) {
  latest_definition_ = definition;
  if (!name.empty()) definitions_[str(name)] = std::move(definition);
}

Result<void> ComponentScript::instantiate(const String& of, const String& name) {
  std::shared_ptr<component::Component> definition = latest_definition_;
  if (!of.empty()) {
    auto it = definitions_.find(std::string_view(of));
    definition = it == definitions_.end() ? nullptr : it->second;
  }
  if (!definition) return Error(ErrorKind::Usage, "no component definition $" + str(of));
  return instantiate_and_bind(definition, name);
}

Result<void> ComponentScript::instantiate_and_bind(
    const std::shared_ptr<component::Component>& component, const String& name) {
  latest_ = nullptr;
  WAFER_LET(instance, linker_.instantiate(store_, component));
  latest_ = instance;
  if (!name.empty()) instances_[str(name)] = latest_;
  return {};
}

std::shared_ptr<component::ComponentInstance> ComponentScript::find(const String& name) const {
  if (name.empty()) return latest_;
  auto it = instances_.find(std::string_view(name));
  return it == instances_.end() ? nullptr : it->second;
}

Result<void> ComponentScript::register_as(const String& name, const String& of) {
  const auto instance = find(of);
  if (!instance) return Error(ErrorKind::Usage, "no component instance $" + str(of));
  component::Item item;
  item.sort = component::Sort::Instance;
  item.instance = instance->exports;
  linker_.define(str(name), std::move(item));
  return {};
}

Result<ComponentScript::Called> ComponentScript::invoke(const wat::ScriptAction& action) {
  const auto instance = find(action.module);
  if (!instance) return Error(ErrorKind::Usage, "no component instance $" + str(action.module));
  const component::ExportedFunc func = component::find_func(*instance, action.name);
  if (!func) return Error(ErrorKind::Usage, "no function \"" + str(action.name) + "\"");
  const component::Caller caller = func.caller();
  const TypeDef& def = caller.def();
  if (action.args.size() != def.labels.size())
    return Error(ErrorKind::Usage, "wrong number of arguments");
  std::vector<Val> args;
  for (size_t i = 0; i < action.args.size(); ++i) {
    WAFER_LET(v, value_of(caller.types, def.labels[i].type, constant(action.args[i])));
    args.push_back(std::move(v));
  }
  Called out;
  out.types = &caller.types;
  out.type = def.args[0];
  WAFER_LET(result, component::call(store_, func, std::move(args)));
  out.result = std::move(result);
  return out;
}

bool ComponentScript::matches(const Called& called, const Vec<wat::ScriptValue>& expected) {
  if (called.result.size() != expected.size()) return false;
  if (expected.empty()) return true;
  const ComponentConst wanted = constant(expected[0]);
  const Val& got = called.result[0];
  // Every NaN is canonical once it has been lifted.
  if (wanted.any_nan && got.is_bits())
    return wanted.kind == Kind::F32 ? got.bits() == 0x7fc00000 : got.bits() == 0x7ff8000000000000;
  const auto value = value_of(*called.types, called.type, wanted);
  return value.ok() && *value == got;
}

}  // namespace wafer::cli
