// Scripts of the reference test suite (.wast).
#pragma once

#include <optional>

#include "wat/wat.h"

namespace wafer::wat {

// A module or component that a script gives, in whichever way.
struct ScriptModule {
  enum class Kind : uint8_t { Text, Binary, Quote } kind = Kind::Text;
  bool is_component = false;
  String name;          // identifier, or empty
  Vec<uint8_t> binary;  // encoded, unless parse_error
  std::optional<Error> parse_error;
};

// A constant of a component's value type. (The constants f32.const and f64.const are the same as
// core ones and come as those, unless they stand within one of these.)
struct ComponentConst {
  enum class Kind : uint8_t {
    Bool,  // bits
    S8,    // bits of this and the following integers are sign- or zero-extended
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,  // bits
    F64,
    Char,     // bits: the code point
    String,   // text
    List,     // items
    Map,      // items: key, value, key, value, ...
    Record,   // names and items
    Tuple,    // items
    Variant,  // text: the case; items: its value, if it has one
    Enum,     // text
    Flags,    // names: those that are set
    None,
    Some,  // items[0]
    Ok,    // items[0], if it has a value
    Err,   // as Ok
  } kind = Kind::Bool;
  uint64_t bits = 0;
  bool any_nan = false;  // F32, F64: nan:canonical or nan:arithmetic
  String text;
  Vec<String> names;
  Vec<ComponentConst> items;
};

// A constant argument, or a pattern that a result must match.
struct ScriptValue {
  enum class Kind : uint8_t {
    Num,  // type and bits
    NanCanonical,
    NanArithmetic,
    Vector,     // lanes
    RefNull,    // heap; any null if !typed
    RefExtern,  // host value `bits`, any if !typed
    RefHost,    // as RefExtern, seen in the any hierarchy
    RefFunc,
    RefAny,
    RefEq,
    RefI31,
    RefStruct,
    RefArray,
    RefExn,
    Either,     // alternatives
    Component,  // component
  } kind = Kind::Num;
  wasm::ValType type;
  uint64_t bits = 0;
  wasm::HeapType heap;
  bool typed = false;
  unsigned lane_bits = 0;  // Vector
  bool lane_float = false;
  Vec<ScriptValue> parts;  // Vector lanes, Either alternatives
  ComponentConst component;
};

struct ScriptAction {
  bool is_get = false;
  String module;  // identifier, or empty for the latest
  String name;
  Vec<ScriptValue> args;
};

struct ScriptCommand {
  enum class Kind : uint8_t {
    Module,
    ModuleDefinition,
    ModuleInstance,
    Register,
    Action,
    AssertReturn,
    AssertTrap,
    AssertExhaustion,
    AssertException,
    AssertTrapModule,  // assert_trap of a module or component: instantiation traps
    AssertInvalid,
    AssertMalformed,
    AssertUnlinkable,
    AssertInvalidCustom,
    AssertMalformedCustom,
    Thread,
    Wait,
  } kind;
  uint64_t offset = 0;
  ScriptModule module;
  String name;  // Register: name; ModuleInstance: instance identifier; Thread, Wait: the thread
  String of;    // Register, ModuleInstance: which module; Thread: the shared one, if any
                // (of ModuleInstance, module.is_component tells what it is an instance of)
  Vec<ScriptCommand> body;  // Thread: what it carries out
  ScriptAction action;
  Vec<ScriptValue> expected;
  String message;
};

// Parses a script. Modules that do not parse are kept with their error; anything
// else that does not is an Error.
Result<Vec<ScriptCommand>> parse_wast(std::string_view source, const ParseOptions& options = {});

}  // namespace wafer::wat
