// Access to tables of handles, with the messages of what can be wrong.
#pragma once

#include "component/run/state.h"

namespace wafer::component {

TrapCode unknown_handle(ComponentInstance& instance, uint32_t index);
TrapCode wrong_handle(ComponentInstance& instance, uint32_t index);
// Whether `handle` is of a resource of `type`.
TrapCode check_resource(ComponentInstance& instance, const Handle& handle, uint32_t index,
                        const ResourceType* type);
TrapCode add_handle(ComponentInstance& instance, Handle handle, Slot& index);
// The handle at `index`, which has to be of `kind`.
TrapCode get_handle(ComponentInstance& instance, uint32_t index, HandleKind kind, Handle*& out);

// While it lives, code of `instance` runs that is called in the middle of something else and
// must not leave its instance ("reallocate"): with context storage of its own.
class AuxiliaryThread {
 public:
  explicit AuxiliaryThread(ComponentInstance& instance, bool may_leave = false);
  ~AuxiliaryThread();
  AuxiliaryThread(const AuxiliaryThread&) = delete;
  AuxiliaryThread& operator=(const AuxiliaryThread&) = delete;

 private:
  ComponentInstance& instance_;
  Thread* const previous_;
  const bool may_leave_;
  std::shared_ptr<Thread> thread_;
};

}  // namespace wafer::component
