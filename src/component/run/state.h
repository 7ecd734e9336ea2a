// What exists while components run (CanonicalABI.md, "Component Instances", "Runtime State"):
// the store's side of components, instances, and their tables of handles.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "component/component.h"
#include "runtime/store.h"
#include "wafer/component_value.hpp"

namespace wafer::component {

using runtime::Slot;
using runtime::TrapCode;

class ComponentInstance;
class ComponentStore;
class Func;
class LiftedFunc;
class Task;
class Thread;
class Waitable;
class WaitableSet;

// Returns from the enclosing function what stops execution, if anything does.
#define CANON_TRY(expr)                                                                      \
  do {                                                                                       \
    const ::wafer::runtime::TrapCode canon_code_ = (expr);                                   \
    if (WAFER_UNLIKELY(canon_code_ != ::wafer::runtime::TrapCode::None)) return canon_code_; \
  } while (0)

// A resource type at run time ("Resource State"): each instance of a component that defines
// one has its own.
struct ResourceType {
  std::string name;
  ComponentInstance* impl = nullptr;             // null: the host's
  std::shared_ptr<const LiftedFunc> destructor;  // of a guest, takes the representation
  std::function<void(uint64_t)> on_drop;         // of the host
};

struct ErrorContext {
  std::string debug_message;
};

enum class HandleKind : uint8_t {
  Free,
  Resource,
  Subtask,
  StreamRead,
  StreamWrite,
  FutureRead,
  FutureWrite,
  WaitableSet,
  ErrorContext,
};

// An element of an instance's table of handles.
struct Handle {
  HandleKind kind = HandleKind::Free;
  bool own = false;
  uint32_t lends = 0;  // borrows of it that calls hold; of a free one: the next free one
  ResourceType* type = nullptr;
  uint64_t rep = 0;
  Task* borrow_scope = nullptr;  // task that a borrowed handle was lent to
  // Of the others: a Waitable, a WaitableSet or an ErrorContext, as the kind tells.
  std::shared_ptr<void> object;

  void hold(std::shared_ptr<Waitable> w) { object = std::move(w); }
  void hold(std::shared_ptr<WaitableSet> s) { object = std::move(s); }
  void hold(std::shared_ptr<ErrorContext> f) { object = std::move(f); }
  // For a handle of that kind.
  Waitable& waitable() const { return *static_cast<Waitable*>(object.get()); }
  WaitableSet& set() const { return *static_cast<WaitableSet*>(object.get()); }
  template <class T>
  std::shared_ptr<T> shared() const {
    return std::static_pointer_cast<T>(object);
  }
};

// "Table State". Index 0 is never used; freed places are used again, the last first.
template <class T>
class Table {
 public:
  static constexpr uint32_t kMaxLength = (1u << 28) - 1;
  // 0: there are too many.
  uint32_t add(T value) {
    if (!free_.empty()) {
      const uint32_t i = free_.back();
      free_.pop_back();
      items_[i].emplace(std::move(value));
      return i;
    }
    if (items_.size() > kMaxLength) return 0;
    items_.emplace_back(std::move(value));
    return uint32_t(items_.size() - 1);
  }
  T* get(uint32_t i) { return i < items_.size() && items_[i] ? &*items_[i] : nullptr; }
  T take(uint32_t i) {
    T out = std::move(*items_[i]);
    items_[i].reset();
    free_.push_back(i);
    return out;
  }
  size_t live() const { return items_.size() - 1 - free_.size(); }
  // As good as new, with the memory that it has, unless that is much.
  void clear() {
    constexpr size_t kKept = 256;
    if (items_.capacity() > kKept) {
      *this = {};
      return;
    }
    items_.resize(1);
    free_.clear();
  }
  template <class F>
  void each(F&& f) {
    for (auto& item : items_)
      if (item) f(*item);
  }

 private:
  std::vector<std::optional<T>> items_ = std::vector<std::optional<T>>(1);
  std::vector<uint32_t> free_;
};

// ---- What instances export and import

class InstanceValue;

// A component, with the instance around its definition.
struct ComponentValue {
  std::shared_ptr<const Component> component;
  std::shared_ptr<ComponentInstance> outer;  // null: none
};

// A value on its way between components. What it holds of handles goes to whoever takes it first;
// linkers of several threads may have it.
struct LinkedValue {
  explicit LinkedValue(Val v) : val(std::move(v)) {}
  const Val val;
  std::atomic<bool> taken = false;
};
// Usage: it holds handles and was taken before.
Result<Val> take_value(LinkedValue& value);

// An item by sort. Types that are no resources have no value at run time.
struct Item {
  Sort sort = Sort::Type;
  std::shared_ptr<const Func> func;
  std::shared_ptr<InstanceValue> instance;
  std::shared_ptr<ResourceType> resource;      // of a type, if it is one
  std::shared_ptr<const wasm::Module> module;  // null: only that there is one is known
  ComponentValue component;                    // the same
  std::shared_ptr<LinkedValue> value;          // null: only that there is one is known
};

// Items by name, in order.
class InstanceValue {
 public:
  void add(std::string name, Item item) {
    ++changes_;
    nests_ = nests_ || item.instance;
    items_.emplace_back(std::move(name), std::move(item));
    if (items_.size() <= kFew) return;
    // Few are found by looking through them.
    for (size_t i = index_.size(); i < items_.size(); ++i) index_.emplace(items_[i].first, i);
  }
  // Adds it, or puts it in the place of what has the name.
  void set(std::string name, Item item) {
    if (const size_t i = place(name); i < items_.size()) {
      // Those of an instance that goes stay counted, so that the sum never comes back to what it
      // was.
      const auto& old = items_[i].second.instance;
      changes_ += 1 + (old ? old->changes() : 0);
      nests_ = nests_ || item.instance;
      items_[i].second = std::move(item);
    } else {
      add(std::move(name), std::move(item));
    }
  }
  const Item* find(std::string_view name) const {
    const size_t i = place(name);
    return i < items_.size() ? &items_[i].second : nullptr;
  }
  const std::vector<std::pair<std::string, Item>>& items() const { return items_; }
  // How often it was changed, and the instances inside were: tells whether what was found out
  // about it still holds.
  uint64_t changes() const {
    uint64_t out = changes_;
    if (nests_)
      for (const auto& [name, item] : items_)
        if (item.instance) out += item.instance->changes();
    return out;
  }

 private:
  static constexpr size_t kFew = 12;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  size_t place(std::string_view name) const {
    if (items_.size() <= kFew) {
      size_t i = 0;
      while (i < items_.size() && items_[i].first != name) ++i;
      return i;
    }
    const auto it = index_.find(name);
    return it == index_.end() ? items_.size() : it->second;
  }

  std::vector<std::pair<std::string, Item>> items_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
  uint64_t changes_ = 0;
  bool nests_ = false;  // has instances
};

// ---- Instances

// A core instance: of a module, or a bundle of items.
struct CoreInstanceValue {
  runtime::Instance* instance = nullptr;
  std::unordered_map<std::string_view, runtime::Extern> items;  // names of the definition

  std::optional<runtime::Extern> find(std::string_view name) const {
    if (instance) return instance->get_export(name);
    auto it = items.find(name);
    if (it == items.end()) return std::nullopt;
    return it->second;
  }
};

// All instances that one instantiation by the embedder made: a trap in one stops them all.
struct Root {
  bool poisoned = false;
  std::vector<ComponentInstance*> instances;
};

// Threads that may be ready, first come, first served. One that was taken by another way stays
// here until it is come across: its ticket tells.
class ReadyQueue {
 public:
  void push(Thread& thread);
  // The next one that waits for its turn; null: there is none. `skip`: past that many places,
  // from where it goes round.
  std::shared_ptr<Thread> pop(size_t skip = 0);
  // Drops what waits no more, and tells how many do.
  size_t tidy();
  size_t places() const { return places_.size(); }
  // Drops the first place.
  void drop() { places_.pop_front(); }
  // The thread at a place, if it waits for its turn.
  std::shared_ptr<Thread> at(size_t place) const;

 private:
  struct Place {
    std::weak_ptr<Thread> thread;
    uint64_t ticket;
  };
  std::deque<Place> places_;
  size_t tidy_at_ = 64;
};

// The state of an instance ("Component Instances") and its index spaces.
class ComponentInstance : public std::enable_shared_from_this<ComponentInstance> {
 public:
  ComponentInstance(ComponentStore& s, std::shared_ptr<const Component> c,
                    std::shared_ptr<ComponentInstance> o, std::shared_ptr<Root> r)
      : store(s),
        component(std::move(c)),
        outer(std::move(o)),
        root(std::move(r)),
        leave_flag(new_leave_flag(s)) {}

  static runtime::GlobalInst* new_leave_flag(ComponentStore& store);

  // The type that a static resource type stands for here; null if it is not known.
  ResourceType* resource_of(TypeId type) const;

  ComponentStore& store;
  const std::shared_ptr<const Component> component;
  const std::shared_ptr<ComponentInstance> outer;
  const std::shared_ptr<Root> root;

  Table<Handle> handles;
  Table<std::shared_ptr<Thread>> threads;
  // A global, so that compiled adapters see it.
  runtime::GlobalInst* const leave_flag;
  bool may_leave() const { return leave_flag->value[0] != 0; }
  void set_may_leave(bool may) { leave_flag->value[0] = may; }
  int32_t backpressure = 0;
  uint32_t waiting_to_enter = 0;
  Thread* exclusive = nullptr;
  // Threads that wait for `exclusive`, or for backpressure to end; the first comes first.
  std::deque<std::weak_ptr<Thread>> entering;
  ReadyQueue ready;  // of its threads; all are in the store's queue as well

  std::shared_ptr<Thread> auxiliary;  // for AuxiliaryThread

  // Whether code of it can wait: it has built-ins or imports that do.
  bool may_block = false;
  // Whether its code asks which thread it is of.
  bool needs_thread = false;
  bool complete = false;  // all of it has been made

  // Index spaces.
  std::vector<std::shared_ptr<const wasm::Module>> core_modules;
  std::vector<CoreInstanceValue> core_instances;
  std::array<std::vector<runtime::Extern>, 5> core;  // by wasm::ExternKind
  std::vector<std::shared_ptr<const Func>> funcs;
  std::vector<ComponentValue> components;
  std::vector<std::shared_ptr<InstanceValue>> instances;
  std::vector<std::shared_ptr<LinkedValue>> values;
  // Runtime types of static resources, and of those in the type index space that are any.
  std::unordered_map<ResourceId, std::shared_ptr<ResourceType>> resources;

  std::shared_ptr<InstanceValue> exports = std::make_shared<InstanceValue>();
};

// ---- The store

// Takes a call's result: nothing or one value; null: it was cancelled.
using OnResolve = Function<TrapCode(std::vector<Val>*)>;
// A host function's answer from another thread, or any work to do where components run.
using Job = Function<TrapCode()>;

// A call that nothing may interrupt, and that has to wait: until it goes on, nothing else runs.
struct BlockedCall {
  std::shared_ptr<Thread> thread;  // that waits; null: the embedder
  std::shared_ptr<Task> callee;    // for this task; null: for the host
};

// Components' side of a store ("Embedding"). Used by one thread at a time, but for post().
class ComponentStore {
 public:
  explicit ComponentStore(runtime::Store& store) : core(store), door(new Door{{}, this}) {}
  ~ComponentStore();
  ComponentStore(const ComponentStore&) = delete;
  ComponentStore& operator=(const ComponentStore&) = delete;

  runtime::Store& core;
  // The embedder's, for its host functions: one for each family of them.
  std::array<void*, 3> hosts{};
  // Objects of the embedder that guests have; go with the store.
  std::shared_ptr<void> host_objects;
  // For hosts in other threads, which may outlive the store: null when it goes.
  struct Door {
    std::mutex mutex;
    ComponentStore* store;
  };
  const std::shared_ptr<Door> door;
  // For hosts that may outlive the store: gone with it.
  const std::shared_ptr<void> life = std::make_shared<char>();

  // The thread whose code runs; null: the embedder's.
  Thread* current = nullptr;
  // Whether calls between components are compiled where that can be; set before instances are
  // made.
  bool compiled_adapters = true;
  // Not null: adapters are put here, and not used.
  std::vector<Vec<uint8_t>>* adapters = nullptr;
  uint32_t depth = 0;  // threads that were resumed, one inside the other
  static constexpr uint32_t kMaxDepth = 1000;
  bool closing = false;

  // Records a trap with a message of the canonical ABI.
  TrapCode trap(std::string_view message) { return core.set_trap(TrapCode::HostError, message); }

  // ---- Scheduling ("Store.tick")

  // Puts a thread that may have become ready where the scheduler finds it.
  void wake(Thread& thread);
  // Takes a thread of the instance that is ready; null: there is none.
  std::shared_ptr<Thread> take_ready(ComponentInstance& instance);
  // What is done where nothing can go on by itself.
  enum class WhenIdle : uint8_t {
    Trap,    // waits for what is outside; traps if nothing ever comes from there
    Return,  // waits in the same way, but returns then
  };
  static constexpr uint64_t kForever = ~uint64_t{0};
  // Runs until `done()`, or until there is nothing that can be run; for at most so many
  // nanoseconds, if that is not 0, which is for what can be run without waiting.
  TrapCode run_until(const std::function<bool()>& done, WhenIdle when_idle = WhenIdle::Trap,
                     uint64_t most = kForever);
  // Makes the order of what is ready random, from a seed; without it is first come, first
  // served.
  void seed(uint64_t seed) { random_.emplace(seed); }
  size_t choose(size_t below) { return random_ && below > 1 ? size_t((*random_)() % below) : 0; }

  // From any thread: has `job` done by the thread that uses the store, soon.
  void post(Job job);
  // Whether no thread is ready and no job is there.
  bool idle_now();
  // Room for the values of calls, kept for the next ones.
  struct CallRoom {
    std::vector<Val> args, result;
    std::vector<Slot> flat;
  };
  std::vector<std::unique_ptr<CallRoom>> rooms;
  // Calls of host functions there have been.
  uint64_t host_calls = 0;
  // Calls of host functions, and operations on its streams, that will be answered later.
  uint32_t outstanding = 0;
  // Who waits for answers of host functions, by numbers that are given once.
  std::unordered_map<uint64_t, OnResolve> answers;
  uint64_t answers_asked = 0;
  // Called when nothing can go on before something outside happens; returns after it may have, or
  // after `most` nanoseconds. 0: sees to what has happened. Null: waits for post().
  std::function<void(uint64_t most)> idle;
  // Called by post(), from any thread, to end that wait.
  std::function<void()> posted;

  // The innermost first: each but that waits for the one before it.
  std::deque<BlockedCall> blocked;

  // After a trap: nothing of these instances runs any more.
  void poison(Root& root);
  // Drops resources that such instances own and others define, once no code is left to be gone
  // back to.
  void bury();
  // Drops a resource that nobody can own: at once, if it is the host's; else by and by.
  void abandon(const Resource& resource);

  std::vector<std::shared_ptr<ComponentInstance>> instances;

 private:
  // Runs one thread that is ready; false: there is none. `code` tells of a trap.
  bool tick(TrapCode& code);
  bool step_blocked(TrapCode& code);
  bool run_jobs(TrapCode& code);
  // Whether there are any, perhaps after a wait.
  bool wait_for_jobs(uint64_t most);

  std::vector<Root*> poisoned_;  // that bury() is still to see to
  ReadyQueue ready_;
  uint64_t tickets_ = 0;
  std::optional<std::mt19937_64> random_;
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<Job> jobs_;
};

// Room for the values of one call, from the store and back to it.
class Room {
 public:
  explicit Room(ComponentStore& store) : store_(store) {
    if (store.rooms.empty()) {
      room_ = std::make_unique<ComponentStore::CallRoom>();
    } else {
      room_ = std::move(store.rooms.back());
      store.rooms.pop_back();
    }
  }
  ~Room() {
    room_->args.clear();
    room_->result.clear();
    room_->flat.clear();
    store_.rooms.push_back(std::move(room_));
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ComponentStore::CallRoom* operator->() const { return room_.get(); }

 private:
  ComponentStore& store_;
  std::unique_ptr<ComponentStore::CallRoom> room_;
};

}  // namespace wafer::component
