// Memories, tables, globals, tags, instances: what modules import and export.
// All are cheap handles, valid as long as their store.
#pragma once

#include "wafer/func.hpp"

namespace wafer {

// A linear memory (spec 4.2.8). Shared memories may be used by several stores.
class Memory {
 public:
  Memory() = default;
  Memory(runtime::Store* store, std::shared_ptr<runtime::Memory> memory);

  // A new memory, zeroed. Errors: Exhaustion.
  static Result<Memory> create(Store& store, const MemoryType& type);

  explicit operator bool() const { return memory_ != nullptr; }
  // The type, with `min` being the present size.
  MemoryType type() const;
  uint64_t size() const;   // in bytes
  uint64_t pages() const;  // in pages of the memory's page size
  // Adds pages: gives the previous number, or Exhaustion if that cannot be.
  Result<uint64_t> grow(uint64_t delta_pages) const;

  // All bytes. They move when the memory grows.
  MutableBytes data() const;
  // `length` bytes at `offset`: Trap "out of bounds memory access" if not in bounds.
  Result<MutableBytes> slice(uint64_t offset, uint64_t length) const;
  Result<void> read(uint64_t offset, MutableBytes out) const;
  Result<void> write(uint64_t offset, Bytes bytes) const;
  // A number in WebAssembly's little-endian order.
  template <class T>
    requires std::is_arithmetic_v<T>
  Result<T> get(uint64_t offset) const {
    T v;
    WAFER_TRY(read(offset, {reinterpret_cast<uint8_t*>(&v), sizeof v}));
    return swapped(v);
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  Result<void> set(uint64_t offset, T value) const {
    value = swapped(value);
    return write(offset, {reinterpret_cast<const uint8_t*>(&value), sizeof value});
  }

  const std::shared_ptr<runtime::Memory>& raw() const { return memory_; }
  runtime::Store* store() const { return store_; }

 private:
  template <class T>
  static T swapped(T v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    auto* b = reinterpret_cast<uint8_t*>(&v);
    for (size_t i = 0; i < sizeof v / 2; ++i) std::swap(b[i], b[sizeof v - 1 - i]);
#endif
    return v;
  }
  runtime::Store* store_ = nullptr;
  std::shared_ptr<runtime::Memory> memory_;
};

// A table (spec 4.2.7).
class Table {
 public:
  Table() = default;
  Table(runtime::Store* store, runtime::Table* table) : store_(store), table_(table) {}

  // A table whose elements are all `init`. Errors: Usage, Exhaustion.
  static Result<Table> create(Store& store, const TableType& type, const Val& init);

  explicit operator bool() const { return table_ != nullptr; }
  TableType type() const;  // `min` is the present size
  uint64_t size() const;
  // Trap "out of bounds table access"; Usage if `value` is not of the element type.
  Result<Val> get(uint64_t index) const;
  Result<void> set(uint64_t index, const Val& value) const;
  // Gives the previous size, or Exhaustion.
  Result<uint64_t> grow(uint64_t delta, const Val& init) const;

  runtime::Table* raw() const { return table_; }
  runtime::Store* store() const { return store_; }

 private:
  runtime::Store* store_ = nullptr;
  runtime::Table* table_ = nullptr;
};

// A global (spec 4.2.9).
class Global {
 public:
  Global() = default;
  Global(runtime::Store* store, runtime::GlobalInst* global) : store_(store), global_(global) {}

  // Usage if `value` is not of the type.
  static Result<Global> create(Store& store, const GlobalType& type, const Val& value);

  explicit operator bool() const { return global_ != nullptr; }
  GlobalType type() const;
  Val get() const;
  // Usage if the global is immutable or `value` is not of its type.
  Result<void> set(const Val& value) const;

  runtime::GlobalInst* raw() const { return global_; }
  runtime::Store* store() const { return store_; }

 private:
  runtime::Store* store_ = nullptr;
  runtime::GlobalInst* global_ = nullptr;
};

// An exception tag (spec 4.2.10).
class Tag {
 public:
  Tag() = default;
  Tag(runtime::Store* store, runtime::TagInst* tag) : store_(store), tag_(tag) {}

  // A tag whose exceptions carry values of `params`.
  static Tag create(Store& store, std::span<const ValType> params);

  explicit operator bool() const { return tag_ != nullptr; }
  bool operator==(const Tag& o) const { return tag_ == o.tag_; }
  FuncType type() const;
  // Makes the exception pending and gives the Error that a host function returns to
  // throw it. Usage if `args` do not fit.
  Error raise(std::span<const Val> args) const;

  runtime::TagInst* raw() const { return tag_; }
  runtime::Store* store() const { return store_; }

 private:
  runtime::Store* store_ = nullptr;
  runtime::TagInst* tag_ = nullptr;
};

// An external value (spec 4.2.13): one of the above, or empty.
class Extern {
 public:
  Extern() = default;
  Extern(const Func& f) : kind_(ExternKind::Func), store_(f.store()), item_(f.raw()) {}
  Extern(const Memory& m)
      : kind_(ExternKind::Memory), store_(m.store()), item_(m.raw().get()), memory_(m.raw()) {}
  Extern(const Table& t) : kind_(ExternKind::Table), store_(t.store()), item_(t.raw()) {}
  Extern(const Global& g) : kind_(ExternKind::Global), store_(g.store()), item_(g.raw()) {}
  Extern(const Tag& t) : kind_(ExternKind::Tag), store_(t.store()), item_(t.raw()) {}
  Extern(runtime::Store* store, ExternKind kind, void* item,
         std::shared_ptr<runtime::Memory> memory = nullptr)
      : kind_(kind), store_(store), item_(item), memory_(std::move(memory)) {}

  explicit operator bool() const { return item_ != nullptr; }
  ExternKind kind() const { return kind_; }
  // Each gives an empty handle if the value is of another kind.
  Func func() const;
  Memory memory() const;
  Table table() const;
  Global global() const;
  Tag tag() const;

  void* raw() const { return item_; }
  const std::shared_ptr<runtime::Memory>& memory_owner() const { return memory_; }

 private:
  ExternKind kind_ = ExternKind::Func;
  runtime::Store* store_ = nullptr;
  void* item_ = nullptr;
  std::shared_ptr<runtime::Memory> memory_;
};

// A module instance (spec 4.2.5).
class Instance {
 public:
  Instance() = default;
  Instance(runtime::Store* store, runtime::Instance* instance)
      : store_(store), instance_(instance) {}

  // Instantiates (4.5.4) with `imports` in the module's order and runs the start
  // function. Errors: Unlinkable, Trap, Exhaustion.
  static Result<Instance> create(Store& store, const Module& module,
                                 std::span<const Extern> imports = {});

  explicit operator bool() const { return instance_ != nullptr; }
  Module module() const;
  // Export `name`, or an empty Extern.
  Extern get(std::string_view name) const;
  // Exports by kind: Usage "no export ..." if there is none such.
  Result<Func> func(std::string_view name) const;
  Result<Memory> memory(std::string_view name) const;
  Result<Table> table(std::string_view name) const;
  Result<Global> global(std::string_view name) const;
  // An exported function with its type checked: `instance.func<int32_t(int32_t)>("f")`.
  template <class Signature>
  Result<TypedFunc<Signature>> func(std::string_view name) const {
    WAFER_LET(f, func(name));
    return f.template typed<Signature>();
  }

  runtime::Instance* raw() const { return instance_; }
  runtime::Store* store() const { return store_; }

 private:
  runtime::Store* store_ = nullptr;
  runtime::Instance* instance_ = nullptr;
};

}  // namespace wafer
