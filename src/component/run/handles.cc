#include "component/run/handles.h"

#include "component/run/task.h"

namespace wafer::component {

TrapCode unknown_handle(ComponentInstance& instance, uint32_t index) {
  return instance.store.trap("unknown handle index " + std::to_string(index));
}

TrapCode wrong_handle(ComponentInstance& instance, uint32_t index) {
  return instance.store.trap("handle index " + std::to_string(index) + " used with the wrong type");
}

TrapCode check_resource(ComponentInstance& instance, const Handle& handle, uint32_t index,
                        const ResourceType* type) {
  if (handle.kind != HandleKind::Resource) return wrong_handle(instance, index);
  if (handle.type == type) return TrapCode::None;
  const auto name = [](const ResourceType* t) {
    return std::string(t && t->impl ? "guest-defined resource" : "host-defined resource");
  };
  const std::string expected = name(type), found = name(handle.type);
  return instance.store.trap("handle index " + std::to_string(index) +
                             " used with the wrong type, expected " + expected + " but found a " +
                             (expected == found ? "different " : "") + found);
}

TrapCode add_handle(ComponentInstance& instance, Handle handle, Slot& index) {
  index = instance.handles.add(std::move(handle));
  return index ? TrapCode::None : instance.store.trap("too many handles");
}

TrapCode get_handle(ComponentInstance& instance, uint32_t index, HandleKind kind, Handle*& out) {
  out = instance.handles.get(index);
  if (!out) return unknown_handle(instance, index);
  return out->kind == kind ? TrapCode::None : wrong_handle(instance, index);
}

AuxiliaryThread::AuxiliaryThread(ComponentInstance& instance, bool may_leave)
    : instance_(instance), previous_(instance.store.current), may_leave_(instance.may_leave()) {
  if (!instance.auxiliary)
    instance.auxiliary = std::make_shared<Thread>(std::make_shared<Task>(instance));
  // One inside the other has storage of its own.
  thread_ = std::move(instance.auxiliary);
  thread_->storage[0] = thread_->storage[1] = 0;
  thread_->state = Thread::State::Running;
  instance.store.current = thread_.get();
  instance.set_may_leave(may_leave);
}

AuxiliaryThread::~AuxiliaryThread() {
  instance_.auxiliary = std::move(thread_);
  instance_.set_may_leave(may_leave_);
  instance_.store.current = previous_;
}

}  // namespace wafer::component
