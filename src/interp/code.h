// Register code of the interpreter and the records that go with it.
//
// A function's code is a row of 64-bit words. An instruction's first word holds
// the operation and up to three 16-bit fields, most often slot indices relative
// to the frame:
//
//   bits 0..15 op | 16..31 a | 32..47 b | 48..63 c
//
// Further words hold what does not fit: an immediate, a branch offset, a type.
// Instructions after which the garbage collector or the unwinder may look at the
// frame end in a safepoint word: own function index (low half) and index of the
// frame's reference map (high half, 0 for none).
//
// A frame is  [params and locals | link: return pc, caller fp, caller instance |
// operand slots]; a callee's frame starts at its first argument in the caller's
// operand slots, and results come back in the same place.
//
// Every integer, f32 and f64 result also stays in an accumulator register, so
// that the next instruction need not wait for memory: an operand is read from a
// slot (S), the accumulator (A) or an immediate word (I).
//
// On small 32-bit processors (narrow slots), where code takes memory that is scarce, it is a row of
// 16-bit words, and there are no accumulators. What is frequent has short forms, with slots of
// one byte:
//
//   op a | b c               all slots
//   op a | b - | c           c is a constant, an offset in memory, or of a branch
//   op a | b | c             b and c are such, or one number of 32 bits
//
// All else has the words above, of four words each: in the first, bits 8..15 are 0, or the number
// of an operation whose kind bits 0..7 tell, and slots are places in the frame in bytes.
// Safepoints, only the map, have two words. In functions whose frames are larger than short forms
// reach, the first slots are free for what is copied there to be near, and parameters are moved
// behind those in which they come.
#pragma once

#include <atomic>

#include "base/access.h"
#include "base/result.h"
#include "interp/interp.h"
#include "interp/ops.h"
#include "interp/ref_maps.h"
#include "runtime/roots.h"
#include "runtime/store.h"

namespace wafer::interp {

// A word of code; a row of four where they are narrow.
using Word = std::conditional_t<kNarrow && WAFER_HAS_TRANSLATOR, uint16_t, uint64_t>;
using Quad = uint64_t;
using runtime::FuncInst;
using runtime::Instance;
using runtime::Ref;
using runtime::Slot;
using runtime::Store;
using runtime::TrapCode;

class ModuleCodeImpl;

// The number that begins at `p`: one word, but on narrow slots of as many as it takes.
template <class T>
WAFER_ALWAYS_INLINE T number_at(const Word* p) {
  if constexpr (sizeof(Word) >= sizeof(T)) return T(*p);
  if constexpr (std::endian::native == std::endian::little) return load_aligned<T, 2>(p);
  T v = 0;
  for (unsigned i = 0; i < sizeof(T) / 2; ++i) v |= T(p[i]) << 16 * i;
  return v;
}

// Whether functions can be run where their bytes lie (in_place.h).
#define WAFER_HAS_IN_PLACE (WAFER_HAS_OS || !WAFER_HAS_TRANSLATOR)

constexpr uint32_t kLinkSlots = 3;
// Slots of one frame are 16-bit indices.
constexpr uint32_t kMaxFrameSlots = 65535;

// The pointer in a slot; on 32-bit processors anything may lie above it.
template <class T>
T* pointer_in(Slot slot) {
  return reinterpret_cast<T*>(uintptr_t(slot));
}

// Whether functions can have handlers.
inline constexpr bool kHasHandlers = wasm::is_built(wasm::Feature::Exceptions) ||
                                     wasm::is_built(wasm::Feature::LegacyExceptions) ||
                                     wasm::is_built(wasm::Feature::StackSwitching);

template <class T>
using HandlerVec = VecIf<kHasHandlers, T>;

// Where an exception raised in [begin, end) of a function goes. In place, words are bytes of the
// module.
struct Handler {
  // Suspend and Switch are clauses of a resume, which names them by index: they guard
  // nothing.
  enum class Kind : uint8_t { Catch, CatchAll, Delegate, Suspend, Switch };
  uint32_t begin, end;  // word range guarded
  uint32_t target;      // word index to continue at
  uint32_t tag;         // Catch
  uint32_t depth;       // control depth of the try; Delegate skips deeper ones
  uint32_t next;        // to be asked after this one: of the same try or the next outwards
  uint32_t delegate_depth;
  uint16_t dst;  // first slot for the tag's arguments
  Kind kind;
  bool push_args;  // write the arguments
  bool push_ref;   // then the exception reference
  // In place: values that the target takes, and its place in the side table.
  uint16_t arity;
  uint32_t entry;
};

constexpr uint32_t kNoHandler = ~0u;

// The handlers of one function; a pointer where it has none.
class HandlerTable {
 public:
  size_t size() const { return parts_ ? parts_->handlers.size() : 0; }
  Handler& operator[](size_t i) { return parts_->handlers[i]; }
  const Handler& operator[](size_t i) const { return parts_->handlers[i]; }
  // Those of inner tries come before those of outer ones.
  void push_back(const Handler& h);
  // Once all are there and know what they guard: settles which is asked when.
  void finish();
  // The handler that is asked first about what is raised at `at`, or kNoHandler.
  uint32_t first_at(uint32_t at) const;
  size_t bytes() const;

 private:
  // From `at` on, up to the next point, `handler` is the first.
  struct Point {
    uint32_t at;
    uint32_t handler;
  };
  struct Parts {
    Vec<Handler> handlers;
    Vec<Point> points;  // from last to first
  };
  Box<Parts> parts_;
};
struct NoHandlerTable : NoVec<Handler> {
  void finish() {}
  static uint32_t first_at(uint32_t) { return kNoHandler; }
  static size_t bytes() { return 0; }
};

// What a resume throws, instead of a tag's index.
constexpr uint32_t kResumePlain = ~0u;
constexpr uint32_t kResumeThrowRef = ~0u - 1;

// Translated code of one function, or the side table that goes with its bytes; shared by all
// instances of the module.
struct FuncCode {
  std::atomic<const Word*> entry{nullptr};  // null until made
  uint32_t frame_slots = 0;                 // whole frame
  uint16_t link = 0;                        // slot of the link area
  uint16_t zero_begin = 0;                  // locals to clear at entry
  uint16_t zero_count = 0;
  uint16_t param_slots = 0;
  uint16_t result_slots = 0;
  uint8_t entry_words = 1;  // of an entry of a side table
  bool running = false;     // while code is dropped: it has a frame
  uint32_t func_index = 0;
  ModuleCodeImpl* module = nullptr;

#if WAFER_HAS_OS
  // Words that the code has on narrow slots.
  uint32_t narrow_words = 0;
#endif
  Vec<Word> code;
  // Slots of locals that hold GC references; maps of safepoints; in place, from which byte of the
  // module on safepoints have which map, in order; of translated code, LEB pairs: code delta,
  // module offset delta.
  [[no_unique_address]] std::conditional_t<kHasHandlers, HandlerTable, NoHandlerTable> handlers;
  [[no_unique_address]] VecIf<runtime::kHasRoots, uint16_t> ref_locals;
  [[no_unique_address]] RefMapNodes ref_maps;
  [[no_unique_address]] VecIf<runtime::kHasRoots && WAFER_HAS_IN_PLACE,
                              std::pair<uint32_t, uint32_t>> ref_points;
  [[no_unique_address]] VecIf<WAFER_HAS_TRANSLATOR, uint8_t> offsets;
  Result<void> failed;  // translation error, sticky

  // Module offset of the instruction that covers word `at`; in place, byte `at` of the module.
  uint32_t module_offset(uint32_t at) const;
  // The word, or byte, before `next`.
  uint32_t before(const Word* next) const;
  // The reference map of the safepoint before `next`, 0 for none.
  uint32_t ref_map(const Word* next) const;
  // Settles where parameters, locals and link lie in the frame, whose operands come next.
  // `free`: so many slots are free at its start; parameters, which came in them, are behind them.
  Result<void> lay_out(const wasm::Module& module, const Vec<wasm::ValType>& locals,
                       uint32_t link_slots, uint32_t free = 0);
};

// Settings that shape code; code is shared only where they agree.
struct CodeOptions {
  bool fuel = false;
  bool interruptible = false;
  bool guard_pages = false;
  bool in_place = !WAFER_HAS_TRANSLATOR;
  bool operator==(const CodeOptions&) const = default;
};

class ModuleCodeImpl final : public runtime::ModuleCode {
 public:
  ModuleCodeImpl(const wasm::Module& module, const runtime::Engine& engine,
                 bool in_place = !WAFER_HAS_TRANSLATOR);

  const wasm::Module& module;
  const CodeOptions options;
  const runtime::MemoryMode memory0_mode;
  // One for each function, imported ones unused, in index order.
  FuncCode* funcs;
  uint32_t func_count;

  // Whether functions' bytes are run, and not translated code.
  bool in_place() const {
#if WAFER_HAS_TRANSLATOR && WAFER_HAS_IN_PLACE
    return options.in_place;
#else
    return !WAFER_HAS_TRANSLATOR;
#endif
  }
  // Translates `code` if that has not been done; false when it failed.
  bool ensure(FuncCode& code);
  // The function in which `next` follows an instruction, or null.
  FuncCode* find(const Word* next);
#if !WAFER_HAS_OS
  // Bytes of the code that there is; and drops that of functions that are not `running`, so that
  // they are translated again when they are called.
  size_t code_bytes() const;
  void drop_code();
#endif

  ~ModuleCodeImpl() override;

  // Makes it what it was before the first attempt to translate it; what it has is not given back.
  void forget(FuncCode& code);
  void drop(FuncCode& code) {
    code.~FuncCode();
    forget(code);
  }

 private:
  Mutex mutex_;
  Vec<FuncCode*> by_address_;
  bool sorted_ = true;
};

// Whether values of type `t` of a module may be objects of the collector.
inline bool is_gc_ref(const wasm::Module& module, wasm::ValType t) {
  if (!t.is_ref()) return false;
  const wasm::HeapType h = t.heap();
  if (h.is_concrete()) return module.types[h.index()].kind != wasm::CompKind::Func;
  return wasm::top_of(h.kind()) != wasm::HeapKind::Func;
}

// Words of code, and bytes that tell where it comes from, that translation asks for first in small
// builds: what most bodies of so many bytes become.
constexpr size_t guessed_words(size_t body, bool fuel) { return body * (fuel ? 12 : 10) / 16 + 16; }
constexpr size_t guessed_offsets(size_t body) { return body / 5 + 8; }

// Translates a validated function.
Result<void> translate(const wasm::Module& module, const ModuleCodeImpl& code, FuncCode& out);

}  // namespace wafer::interp
