// Scripts of the reference test suite (.wast).
#pragma once

#include <optional>

#include "wat/wat.h"

namespace wafer::wat {

// A module that a script gives, in whichever way.
struct ScriptModule {
  enum class Kind : uint8_t { Text, Binary, Quote } kind = Kind::Text;
  String name;          // identifier, or empty
  Vec<uint8_t> binary;  // encoded, unless parse_error
  std::optional<Error> parse_error;
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
    Either,  // alternatives
  } kind = Kind::Num;
  wasm::ValType type;
  uint64_t bits = 0;
  wasm::HeapType heap;
  bool typed = false;
  unsigned lane_bits = 0;  // Vector
  bool lane_float = false;
  Vec<ScriptValue> parts;  // Vector lanes, Either alternatives
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
    AssertTrapModule,  // assert_trap of a module: instantiation traps
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
  Vec<ScriptCommand> body;  // Thread: what it carries out
  ScriptAction action;
  Vec<ScriptValue> expected;
  String message;
};

// Parses a script. Modules that do not parse are kept with their error; anything
// else that does not is an Error.
Result<Vec<ScriptCommand>> parse_wast(std::string_view source, const ParseOptions& options = {});

}  // namespace wafer::wat
