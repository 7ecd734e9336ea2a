#include "compiler/unwind.h"

#include <algorithm>
#include <cstring>

#include "base/leb128.h"
#include "compiler/code_image.h"
#include "compiler/frame.h"
#include "compiler/tier.h"
#include "runtime/backtrace.h"

extern "C" void wafer_enter_catch();
extern "C" _Unwind_Reason_Code wafer_frame_personality(int version, _Unwind_Action actions,
                                                       uint64_t exception_class,
                                                       _Unwind_Exception* exception,
                                                       _Unwind_Context* context);

namespace wafer::compiler {

namespace {

// Frames that a backtrace keeps.
constexpr size_t kMaxBacktrace = 64;
// Frames of any kind that are looked at for it.
constexpr size_t kMaxWalk = 100'000;

struct Walk {
  Store& store;
  runtime::TrapInfo& info;
  size_t steps = 0;
  bool described = false;  // the next frame's activation
};

_Unwind_Reason_Code on_frame(_Unwind_Context* context, void* argument) {
  auto& walk = *static_cast<Walk*>(argument);
  if (++walk.steps > kMaxWalk || walk.info.backtrace.size() >= kMaxBacktrace)
    return _URC_END_OF_STACK;
  int before = 0;
  uintptr_t pc = _Unwind_GetIPInfo(context, &before);
  // A return address lies behind its call.
  if (!before) --pc;
  walk.described =
      !walk.described &&
      describe_native_frames(walk.store, reinterpret_cast<const void*>(pc), walk.info.backtrace);
  return _URC_NO_REASON;
}

uint64_t read_uleb(const uint8_t*& p) {
  uint64_t result = 0;
  unsigned shift = 0;
  uint8_t byte;
  do {
    byte = *p++;
    result |= uint64_t(byte & 0x7F) << shift;
    shift += 7;
  } while (byte & 0x80);
  return result;
}

// One field of a call-site table in encoding `encoding` (DW_EH_PE_uleb128 or udata4).
uint64_t read_encoded(const uint8_t*& p, uint8_t encoding) {
  if ((encoding & 0x0F) == 0x01) return read_uleb(p);
  const auto v = load_le<uint32_t>(p);
  p += 4;
  return v;
}

// A table of calls with handlers: the "language-specific data area" in its usual form. Our code
// generator lists for each call its landing pad, and every handler takes all exceptions.
struct CallTable {
  const uint8_t *begin, *end;
  uint8_t encoding;
};

CallTable call_table(const uint8_t* p) {
  constexpr uint8_t kOmit = 0xFF;
  if (*p++ != kOmit) return {};     // landing pads are relative to the function
  if (*p++ != kOmit) read_uleb(p);  // type table: not used
  const uint8_t encoding = *p++;
  const uint64_t length = read_uleb(p);
  return {p, p + length, encoding};
}

GuardedCalls read_calls(CallTable& table) {
  const auto begin = uint32_t(read_encoded(table.begin, table.encoding));
  const auto size = uint32_t(read_encoded(table.begin, table.encoding));
  const auto pad = uint32_t(read_encoded(table.begin, table.encoding));
  read_uleb(table.begin);  // action
  return {begin, begin + size, pad};
}

// What `table` says of the call at code offset `at`.
uint32_t find_pad(CallTable table, uint32_t at) {
  while (table.begin < table.end) {
    const GuardedCalls calls = read_calls(table);
    if (at < calls.begin) break;
    if (at < calls.end) return calls.pad;
  }
  return 0;
}

// The same for long tables, which are read once.
uint32_t find_pad(CodeRegion& region, CallTable table, uint32_t at) {
  const MutexLock lock(region.read_tables.mutex);
  Vec<GuardedCalls>& all = region.read_tables.of[table.begin];
  if (all.empty())
    while (table.begin < table.end) all.push_back(read_calls(table));
  const auto next =
      std::upper_bound(all.begin(), all.end(), at,
                       [](uint32_t p, const GuardedCalls& calls) { return p < calls.begin; });
  return next != all.begin() && at < next[-1].end ? next[-1].pad : 0;
}

// The landing pad of the call that `context` is stopped at, or 0.
uintptr_t landing_pad(_Unwind_Context* context) {
  const auto* p = reinterpret_cast<const uint8_t*>(_Unwind_GetLanguageSpecificData(context));
  if (!p) return 0;
  const uintptr_t function = _Unwind_GetRegionStart(context);
  int before = 0;
  uintptr_t pc = _Unwind_GetIPInfo(context, &before);
  if (!before) --pc;
  const CallTable table = call_table(p);
  const auto at = uint32_t(pc - function);
  constexpr ptrdiff_t kLong = 256;
  CodeRegion* const region =
      table.end - table.begin > kLong ? region_at(reinterpret_cast<const void*>(pc)) : nullptr;
  const uint32_t pad = region ? find_pad(*region, table, at) : find_pad(table, at);
  return pad ? function + pad : 0;
}

void release_nothing(_Unwind_Reason_Code, _Unwind_Exception*) {}

// Call frame instructions.
constexpr uint8_t kDefCfa = 0x0C, kOffset = 0x80;

template <class T>
void put(Vec<uint8_t>& out, T value) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), p, p + sizeof value);
}

// Ends a record that began at `start` with its length field.
void end_record(Vec<uint8_t>& out, size_t start) {
  while ((out.size() - start) % 8 != 4) out.push_back(0);  // DW_CFA_nop
  const auto length = uint32_t(out.size() - start - 4);
  std::memcpy(out.data() + start, &length, 4);
}

}  // namespace

Vec<uint8_t> frame_table(const void* begin, size_t size) {
  Vec<uint8_t> out;
  put<uint32_t>(out, 0);  // length
  put<uint32_t>(out, 0);  // a CIE
  out.push_back(1);       // version
  out.insert(out.end(), {'z', 'P', 'R', 0});
  out.push_back(1);     // code alignment
  out.push_back(0x78);  // data alignment: -8
  out.push_back(kReturnNumber);
  out.push_back(10);  // augmentation: its bytes
  out.push_back(0);   // personality routine, absolute
  put(out, reinterpret_cast<uintptr_t>(&wafer_frame_personality));
  out.push_back(0);  // code addresses are absolute
  out.insert(out.end(), {kDefCfa, kFrameNumber, 8 * kFrameLink});
  for (const SavedRegister& r : kSavedRegisters)
    out.insert(out.end(), {uint8_t(kOffset | r.number), r.at});
  end_record(out, 0);
  const size_t fde = out.size();
  put<uint32_t>(out, 0);
  put<uint32_t>(out, uint32_t(fde + 4));  // distance to the CIE
  put(out, reinterpret_cast<uintptr_t>(begin));
  put(out, uint64_t(size));
  out.push_back(0);  // augmentation: none
  end_record(out, fde);
  put<uint32_t>(out, 0);
  return out;
}

void collect_backtrace(Store& store) {
  runtime::TrapInfo& info = store.trap();
  if (!info.backtrace.empty()) return;
  info.described = false;
  Walk walk{store, info};
  _Unwind_Backtrace(on_frame, &walk);
}

void start_unwinding(ExecState& exec) {
  static thread_local _Unwind_Exception in_flight;
  in_flight = {};
  in_flight.exception_class = kExceptionClass;
  in_flight.exception_cleanup = release_nothing;
  in_flight.private_1 = 0;
  _Unwind_RaiseException(&in_flight);
  // Only a broken stack gets here.
  wafer_leave(exec.entry, uint32_t(TrapCode::UncaughtException));
}

extern "C" _Unwind_Reason_Code wafer_personality(int, _Unwind_Action actions,
                                                 uint64_t exception_class,
                                                 _Unwind_Exception* exception,
                                                 _Unwind_Context* context) {
  if (exception_class != kExceptionClass) return _URC_CONTINUE_UNWIND;
  const uintptr_t pad = landing_pad(context);
  if (!pad) return _URC_CONTINUE_UNWIND;
  if (actions & _UA_SEARCH_PHASE) return _URC_HANDLER_FOUND;
  if (!(actions & _UA_HANDLER_FRAME)) return _URC_CONTINUE_UNWIND;
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), reinterpret_cast<uintptr_t>(exception));
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(1), 0);
  _Unwind_SetIP(context, pad);
  return _URC_INSTALL_CONTEXT;
}

// Personality routine of all functions that keep the frame of frame.h.
extern "C" _Unwind_Reason_Code wafer_frame_personality(int, _Unwind_Action actions,
                                                       uint64_t exception_class,
                                                       _Unwind_Exception* exception,
                                                       _Unwind_Context* context) {
  if (exception_class != kExceptionClass) return _URC_CONTINUE_UNWIND;
  const auto* pc = reinterpret_cast<const void*>(_Unwind_GetIP(context));
  const CodeRegion* region = region_at(static_cast<const uint8_t*>(pc) - 1);
  const void* pad = region ? region->landing_pad(pc) : nullptr;
  if (!pad) return _URC_CONTINUE_UNWIND;
  if (actions & _UA_SEARCH_PHASE) return _URC_HANDLER_FOUND;
  if (!(actions & _UA_HANDLER_FRAME)) return _URC_CONTINUE_UNWIND;
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), reinterpret_cast<uintptr_t>(exception));
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(1), 0);
  _Unwind_SetIP(context, reinterpret_cast<uintptr_t>(pad));
  return _URC_INSTALL_CONTEXT;
}

extern "C" _Unwind_Reason_Code wafer_enter_personality(int, _Unwind_Action actions,
                                                       uint64_t exception_class, _Unwind_Exception*,
                                                       _Unwind_Context* context) {
  if (exception_class != kExceptionClass) return _URC_CONTINUE_UNWIND;
  if (actions & _UA_SEARCH_PHASE) {
    // No handler since the entry: the frames are still there to be described.
    note_uncaught();
    return _URC_HANDLER_FOUND;
  }
  if (!(actions & _UA_HANDLER_FRAME)) return _URC_CONTINUE_UNWIND;
  _Unwind_SetGR(context, __builtin_eh_return_data_regno(0), 0);
  _Unwind_SetIP(context, reinterpret_cast<uintptr_t>(&wafer_enter_catch));
  return _URC_INSTALL_CONTEXT;
}

}  // namespace wafer::compiler
