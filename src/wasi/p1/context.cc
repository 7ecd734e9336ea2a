#include "wasi/p1/context.h"

#include <algorithm>

namespace wafer::wasi {

// ---- Descriptor table -------------------------------------------------------

Errno DescriptorTable::insert(DescriptorRef d, uint32_t& number) {
  const std::lock_guard lock(mutex_);
  size_t i = lowest_free_;
  while (i < slots_.size() && slots_[i]) ++i;
  if (i >= kMaxDescriptors) return Errno::kMfile;
  if (i == slots_.size())
    slots_.push_back(std::move(d));
  else
    slots_[i] = std::move(d);
  lowest_free_ = i + 1;
  number = uint32_t(i);
  return Errno::kSuccess;
}

DescriptorRef DescriptorTable::get(uint32_t number) {
  const std::lock_guard lock(mutex_);
  if (number >= slots_.size() || !slots_[number] || slots_[number]->closed()) return nullptr;
  return slots_[number];
}

Errno DescriptorTable::remove(uint32_t number) {
  DescriptorRef dropped;  // closes outside the lock
  const std::lock_guard lock(mutex_);
  if (number >= slots_.size() || !slots_[number]) return Errno::kBadf;
  dropped = std::move(slots_[number]);
  slots_[number] = nullptr;
  lowest_free_ = std::min(lowest_free_, size_t(number));
  return dropped->closed() ? Errno::kBadf : Errno::kSuccess;
}

Errno DescriptorTable::renumber(uint32_t from, uint32_t to) {
  DescriptorRef dropped;
  const std::lock_guard lock(mutex_);
  if (from >= slots_.size() || !slots_[from] || to >= slots_.size() || !slots_[to] ||
      slots_[from]->closed())
    return Errno::kBadf;
  if (from == to) return Errno::kSuccess;
  dropped = std::move(slots_[to]);
  slots_[to] = std::move(slots_[from]);
  slots_[from] = nullptr;
  lowest_free_ = std::min(lowest_free_, size_t(from));
  return Errno::kSuccess;
}

namespace {

// The rights that mean something for `file`.
Rights rights_of(const host::File& file, const host::Socket* socket) {
  if (socket) return socket->listening() ? rights::kListener : rights::kSocket;
  if (file.type() == host::FileType::Directory)
    return rights::kFdFilestatGet | rights::kFdFdstatSetFlags;
  // C libraries take a character device that cannot seek for a terminal.
  if (file.seekable() && !file.is_terminal()) return rights::kFile;
  if (file.fd() >= 0) return rights::kStream;
  return rights::kStream & ~(rights::kFdSync | rights::kFdDatasync);
}

constexpr Rights kInputRights =
    rights::kFile & ~(rights::kFdWrite | rights::kFdAllocate | rights::kFdFilestatSetSize);
constexpr Rights kOutputRights = rights::kFile & ~rights::kFdRead;

// `file` is null for a standard descriptor that is closed.
DescriptorRef make_standard(host::FileRef file, Rights allowed) {
  DescriptorRef d =
      file ? make_descriptor(std::move(file), allowed) : std::make_shared<Descriptor>();
  d->is_stdio = true;
  return d;
}

DescriptorRef make_preopen(host::Process::Preopen& preopen) {
  DescriptorRef d = std::make_shared<Descriptor>();
  d->type = Filetype::kDirectory;
  d->is_preopen = true;
  d->preopen_name = std::move(preopen.name);
  d->base =
      rights::kDirectory & (preopen.directory->read_only() ? ~rights::kChanges : rights::kAll);
  d->directory = std::move(preopen.directory);
  // Also below a read-only grant: C libraries ask for no rights but these, and would take
  // the descriptor that they then get for one to write to.
  d->inheriting = rights::kAll;
  return d;
}

}  // namespace

DescriptorRef make_descriptor(host::FileRef file, Rights allowed) {
  auto d = std::make_shared<Descriptor>();
  d->file = std::move(file);
  d->type = filetype_of(d->file->type());
  const host::Socket* const socket = d->is_socket() ? d->socket() : nullptr;
  d->base = rights_of(*d->file, socket) & allowed;
  if (socket && socket->listening()) d->inheriting = rights::kSocket;
  return d;
}

// ---- Context ----------------------------------------------------------------

P1Context::P1Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
P1Context::~P1Context() = default;

Result<std::unique_ptr<P1Context>> P1Context::create(P1Config config) {
  const bool sockets_first = config.sockets_first;
  auto impl = std::make_unique<Impl>();
  WAFER_LET(process, host::Process::open(std::move(config)));
  impl->process = std::move(process);
  for (const auto& [name, value] : impl->process.env) {
    std::string& entry = impl->env.emplace_back(name);
    entry += '=';
    entry += value;
  }
  uint32_t number = 0;
  const auto add = [&](DescriptorRef d) { (void)impl->table.insert(std::move(d), number); };
  auto& standard = impl->process.standard;
  add(make_standard(std::move(standard[0]), kInputRights));
  add(make_standard(std::move(standard[1]), kOutputRights));
  add(make_standard(std::move(standard[2]), kOutputRights));
  const auto add_listeners = [&] {
    for (const host::SocketRef& socket : impl->process.listeners)
      add(make_descriptor(socket, rights::kAll));
  };
  if (sockets_first) add_listeners();
  for (host::Process::Preopen& preopen : impl->process.preopens) add(make_preopen(preopen));
  if (!sockets_first) add_listeners();
  return std::unique_ptr<P1Context>(new P1Context(std::move(impl)));
}

std::optional<int32_t> P1Context::exit_code() const {
  if (!impl_->exited.load(std::memory_order_acquire)) return std::nullopt;
  return impl_->exit_code.load(std::memory_order_relaxed);
}

std::string P1Context::listener_address(size_t index) const {
  const auto& listeners = impl_->process.listeners;
  if (index >= listeners.size()) return {};
  const host::Outcome<host::Endpoint> local = listeners[index]->local();
  return local ? local->text() : std::string();
}

}  // namespace wafer::wasi
