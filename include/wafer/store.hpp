// Store, references and values.
#pragma once

#include "wafer/engine.hpp"

namespace wafer {

class Func;
class Tag;
class Val;

// Ceilings that a store enforces.
struct StoreLimits {
  uint64_t memory_bytes = ~uint64_t{0};  // of each memory
  uint64_t table_elements = 10'000'000;  // of each table
  uint32_t instances = 1'000'000;        // of modules; as many of components
  size_t gc_heap_bytes = sizeof(void*) >= 8 ? size_t(uint64_t{1} << 32) : size_t(1) << 30;
};

// Everything that belongs to a running program (spec 4.2.3): instances, memories,
// tables, the GC heap. Used by one thread at a time, except for interrupt(). All
// handles (Func, Memory, ExternRef, ...) must be gone before their store is.
class Store {
 public:
  explicit Store(const Engine& engine, const StoreLimits& limits = {});
  ~Store();
  Store(Store&& other) noexcept;
  Store& operator=(Store&& other) noexcept;

  Engine engine() const;

  // Instructions left to run; only counted with Config::consume_fuel. At zero, code
  // traps with TrapCode::OutOfFuel. A new store has none.
  void set_fuel(uint64_t fuel);
  uint64_t fuel() const;

  // Makes running code, or the next code that runs, trap with
  // TrapCode::Interrupted (only with Config::interruptible). An instantiation that
  // compiles the module stops as well, at the end of a step of the compiler. From any
  // thread or signal handler; stays in force until clear_interrupt().
  void interrupt();
  void clear_interrupt();

  // What stopped the last call: code, message, exit code, backtrace. Its names are looked up
  // when it is first asked for: functions that compilers inlined are frames of their own, and
  // mangled names of C++ and Rust are made readable.
  const TrapInfo& last_trap() const;
  // "  #0  module!function (file.c:12:3) @0x1f4" lines of the last trap.
  String format_backtrace() const;

  // The exception that left the last call uncaught: its tag and arguments. False if
  // the last call did not end so.
  bool take_exception(Tag& tag, Vec<Val>& args);

  // Collects garbage now.
  void collect();
  // Bytes of live and not yet collected GC objects.
  size_t gc_live_bytes() const;

  // A pointer for the embedder's own use.
  void set_data(void* data);
  void* data() const;

  runtime::Store* raw() const { return impl_.get(); }

 private:
  Box<runtime::Store> impl_;
};

namespace detail {

uint32_t root(runtime::Store* store, uint64_t ref);
uint64_t rooted(runtime::Store* store, uint32_t handle);
void unroot(runtime::Store* store, uint32_t handle);
// A host value behind an externref begins with this. The address of `kind` tells
// types apart, so no RTTI is needed.
struct HostHeader {
  const void* kind;
  void (*destroy)(HostHeader* self);
};
uint64_t new_host_object(runtime::Store* store, HostHeader* header);
// The header of a host object made by new_host_object, or null for other references.
HostHeader* host_object(runtime::Store* store, uint64_t ref);

template <class T>
struct HostBox : HostHeader {
  T value;
  static inline char kind_of_t;
  explicit HostBox(T v) : HostHeader{&kind_of_t, &destroy_t}, value(std::move(v)) {}
  static void destroy_t(HostHeader* self) { BoxDelete<HostBox>{}(static_cast<HostBox*>(self)); }
};

}  // namespace detail

// A reference kept alive by the embedder: the collector spares what it refers to
// until the handle is gone. Null by default.
class RootedRef {
 public:
  RootedRef() = default;
  RootedRef(runtime::Store* store, uint64_t ref)
      : store_(store), handle_(ref ? detail::root(store, ref) : 0) {}
  RootedRef(const RootedRef& o) : RootedRef(o.store_, o.bits()) {}
  RootedRef(RootedRef&& o) noexcept : store_(o.store_), handle_(o.handle_) { o.handle_ = 0; }
  RootedRef& operator=(RootedRef o) noexcept {
    std::swap(store_, o.store_);
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~RootedRef() {
    if (handle_) detail::unroot(store_, handle_);
  }

  bool is_null() const { return handle_ == 0; }
  explicit operator bool() const { return handle_ != 0; }
  // Same object (ref.eq)?
  bool operator==(const RootedRef& o) const { return bits() == o.bits(); }
  // The reference as code sees it, valid while some root holds it.
  uint64_t bits() const { return handle_ ? detail::rooted(store_, handle_) : 0; }
  runtime::Store* store() const { return store_; }

 private:
  runtime::Store* store_ = nullptr;
  uint32_t handle_ = 0;
};

// (ref null extern).
class ExternRef : public RootedRef {
 public:
  using RootedRef::RootedRef;

  // A reference to a new host value; the value is destroyed once it is garbage.
  template <class T>
  static ExternRef create(Store& store, T value) {
    auto* box = make_box<detail::HostBox<T>>(std::move(value)).release();
    return ExternRef(store.raw(), detail::new_host_object(store.raw(), box));
  }
  // The host value, or null if this is not a reference to a T made by create().
  template <class T>
  T* get() const {
    if (is_null()) return nullptr;
    detail::HostHeader* header = detail::host_object(store(), bits());
    if (!header || header->kind != &detail::HostBox<T>::kind_of_t) return nullptr;
    return &static_cast<detail::HostBox<T>*>(header)->value;
  }
};

// (ref null any): structs, arrays and i31.
class AnyRef : public RootedRef {
 public:
  using RootedRef::RootedRef;

  static AnyRef i31(Store& store, int32_t value) {
    return AnyRef(store.raw(), (uint64_t(uint32_t(value) & 0x7FFFFFFF) << 1) | 1);
  }
  bool is_i31() const { return bits() & 1; }
  int32_t i31_value() const { return int32_t(uint32_t(bits() >> 1) << 1) >> 1; }
  bool is_struct() const;
  bool is_array() const;
  // Fields of a struct, or length of an array.
  Result<uint64_t> length() const;
  // Field `index` of a struct or element `index` of an array; packed ones sign-extend.
  Result<Val> get(uint64_t index) const;
  // Usage if the field is immutable or `value` is of another type.
  Result<void> set(uint64_t index, const Val& value) const;
};

// (ref null exn).
class ExnRef : public RootedRef {
 public:
  using RootedRef::RootedRef;
};

// A value of any type (spec 4.2.1).
class Val {
 public:
  // i32 0.
  Val() : Val(int32_t{0}) {}
  Val(int32_t v) : type_(kI32), bits_{uint32_t(v), 0} {}
  Val(uint32_t v) : Val(int32_t(v)) {}
  Val(int64_t v) : type_(kI64), bits_{uint64_t(v), 0} {}
  Val(uint64_t v) : Val(int64_t(v)) {}
  Val(float v);
  Val(double v);
  Val(const V128& v);
  Val(const Func& v);  // funcref
  Val(ExternRef v) : type_(kExternRef), root_(std::move(v)) {}
  Val(AnyRef v) : type_(kAnyRef), root_(std::move(v)) {}
  Val(ExnRef v) : type_(kExnRef), root_(std::move(v)) {}
  // The null reference of type `type`.
  static Val null(ValType type);
  // From slots as code holds them.
  static Val from_slots(runtime::Store* store, ValType type, const Slot* slots);

  ValType type() const { return type_; }
  bool is_null() const { return type_.is_ref() && bits_[0] == 0 && root_.is_null(); }
  // The value as that type; must be of that type (a narrower reference will do).
  int32_t i32() const { return int32_t(bits_[0]); }
  int64_t i64() const { return int64_t(bits_[0]); }
  float f32() const;
  double f64() const;
  V128 v128() const;
  Func func(Store& store) const;
  ExternRef externref() const { return ExternRef(root_.store(), root_.bits()); }
  AnyRef anyref() const { return AnyRef(root_.store(), root_.bits()); }
  ExnRef exnref() const { return ExnRef(root_.store(), root_.bits()); }
  // Slot `i` (0, and 1 for v128) as code holds it.
  Slot slot(unsigned i = 0) const { return root_.is_null() ? bits_[i] : root_.bits(); }

 private:
  ValType type_;
  Slot bits_[2] = {0, 0};
  RootedRef root_;
};

}  // namespace wafer
