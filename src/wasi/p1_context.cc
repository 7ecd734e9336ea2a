#include "wasi/p1_context.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

extern char** environ;

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
  if (number >= slots_.size() || !slots_[number] ||
      slots_[number]->kind == Descriptor::Kind::Closed)
    return nullptr;
  return slots_[number];
}

Errno DescriptorTable::remove(uint32_t number) {
  DescriptorRef dropped;  // closes outside the lock
  const std::lock_guard lock(mutex_);
  if (number >= slots_.size() || !slots_[number]) return Errno::kBadf;
  dropped = std::move(slots_[number]);
  slots_[number] = nullptr;
  lowest_free_ = std::min(lowest_free_, size_t(number));
  return dropped->kind == Descriptor::Kind::Closed ? Errno::kBadf : Errno::kSuccess;
}

Errno DescriptorTable::renumber(uint32_t from, uint32_t to) {
  DescriptorRef dropped;
  const std::lock_guard lock(mutex_);
  if (from >= slots_.size() || !slots_[from] || to >= slots_.size() || !slots_[to] ||
      slots_[from]->kind == Descriptor::Kind::Closed)
    return Errno::kBadf;
  if (from == to) return Errno::kSuccess;
  dropped = std::move(slots_[to]);
  slots_[to] = std::move(slots_[from]);
  slots_[from] = nullptr;
  lowest_free_ = std::min(lowest_free_, size_t(from));
  return Errno::kSuccess;
}

DescriptorRef wrap_handle(UniqueFd handle, Rights allowed, const struct stat* known) {
  auto d = std::make_shared<Descriptor>();
  const int fd = handle.get();
  d->handle = std::move(handle);
  Rights mask = rights::kStream;
  struct stat st;
  if (known) st = *known;
  if (known || fstat(fd, &st) == 0) {
    d->type = filetype_of(st.st_mode);
    d->is_pipe = S_ISFIFO(st.st_mode);
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) {
      mask = rights::kFile;
    } else if (S_ISCHR(st.st_mode)) {
      // C libraries take a character device that cannot seek for a terminal.
      mask = isatty(fd) ? rights::kStream : rights::kFile;
      d->may_block = true;
    } else if (S_ISSOCK(st.st_mode)) {
      int value = 0;
      socklen_t length = sizeof(value);
      if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_DGRAM)
        d->type = Filetype::kSocketDgram;
      mask = rights::kSocket;
      value = 0;
      length = sizeof(value);
      if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value)
        mask = rights::kListener;
      d->may_block = true;
    } else if (S_ISDIR(st.st_mode)) {
      mask = rights::kFdFilestatGet | rights::kFdFdstatSetFlags;
    } else {
      d->may_block = true;
    }
  }
  d->base = mask & allowed;
  if (mask == rights::kListener) d->inheriting = rights::kSocket;
  return d;
}

// ---- Context ----------------------------------------------------------------

namespace {

Error io_error(std::string what) {
  const int e = errno;
  what += ": ";
  what += strerror(e);
  return Error(ErrorKind::Io, what);
}

DescriptorRef virtual_descriptor(Descriptor::Kind kind, Rights base) {
  auto d = std::make_shared<Descriptor>();
  d->kind = kind;
  d->is_stdio = true;
  d->base = base | rights::kFdFdstatSetFlags | rights::kFdFilestatGet | rights::kPollFdReadwrite;
  return d;
}

DescriptorRef host_stdio(int fd, Rights rights) {
  UniqueFd handle;
  if (is_usable(fd)) handle = duplicate(fd);
  if (!handle) {
    auto closed = std::make_shared<Descriptor>();
    closed->kind = Descriptor::Kind::Closed;
    return closed;
  }
  DescriptorRef d = wrap_handle(std::move(handle), rights);
  d->is_stdio = true;
  return d;
}

constexpr Rights kInputRights =
    rights::kFile & ~(rights::kFdWrite | rights::kFdAllocate | rights::kFdFilestatSetSize);
constexpr Rights kOutputRights = rights::kFile & ~rights::kFdRead;

DescriptorRef make_input(P1Input& in) {
  switch (in.kind) {
    case P1Input::Kind::Inherit:
      return host_stdio(0, kInputRights);
    case P1Input::Kind::Fd:
      return host_stdio(in.fd, kInputRights);
    default: {
      auto d = virtual_descriptor(Descriptor::Kind::Input, rights::kFdRead);
      if (in.kind == P1Input::Kind::Bytes) d->bytes = std::move(in.bytes);
      if (in.kind == P1Input::Kind::Callback) d->read = std::move(in.read);
      return d;
    }
  }
}

DescriptorRef make_output(P1Output& out, int inherited) {
  switch (out.kind) {
    case P1Output::Kind::Inherit:
      return host_stdio(inherited, kOutputRights);
    case P1Output::Kind::Fd:
      return host_stdio(out.fd, kOutputRights);
    default: {
      auto d = virtual_descriptor(Descriptor::Kind::Output, rights::kFdWrite);
      if (out.kind == P1Output::Kind::Callback) d->write = std::move(out.write);
      return d;
    }
  }
}

Result<DescriptorRef> open_preopen(const P1Config::Preopen& dir) {
  UniqueFd handle = take_opened(open(dir.host.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle) return io_error("cannot open directory '" + dir.host + "'");
  DescriptorRef d = std::make_shared<Descriptor>();
  d->kind = Descriptor::Kind::Directory;
  d->type = Filetype::kDirectory;
  d->handle = std::move(handle);
  d->read_only = dir.read_only;
  d->is_preopen = true;
  d->preopen_name = dir.guest;
  d->base = rights::kDirectory & (dir.read_only ? ~rights::kChanges : rights::kAll);
  // Also below a read-only grant: C libraries ask for no rights but these, and would take
  // the descriptor that they then get for one to write to.
  d->inheriting = rights::kAll;
  return d;
}

// Listens on "host:port" or "[v6]:port".
Result<UniqueFd> listen_on(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos)
    return Error(ErrorKind::Usage, "not an address with a port: '" + address + "'");
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status =
      getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  if (status != 0)
    return Error(ErrorKind::Io, "cannot listen on '" + address + "': " + gai_strerror(status));
  int error = 0;
  for (const addrinfo* a = found; a; a = a->ai_next) {
    UniqueFd fd = take_opened(socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol));
    const int one = 1;
    if (fd && fcntl(fd.get(), F_SETFD, FD_CLOEXEC) == 0 &&
        setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd.get(), a->ai_addr, a->ai_addrlen) == 0 && listen(fd.get(), SOMAXCONN) == 0) {
      freeaddrinfo(found);
      return fd;
    }
    error = errno;
  }
  freeaddrinfo(found);
  errno = error;
  return io_error("cannot listen on '" + address + "'");
}

// Takes over the listening socket `fd` of the embedder.
Result<UniqueFd> inherited_listener(int fd) {
  int listens = 0;
  socklen_t length = sizeof(listens);
  const std::string name = "descriptor " + std::to_string(fd);
  if (fcntl(fd, F_GETFD) < 0) return Error(ErrorKind::Usage, name + " is not open");
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || !listens)
    return Error(ErrorKind::Usage, name + " is not a listening socket");
  UniqueFd handle = fd > 2 ? UniqueFd(fd) : duplicate(fd);
  if (!handle) return io_error("cannot use " + name);
  fcntl(handle.get(), F_SETFD, FD_CLOEXEC);
  return handle;
}

// The address that `fd` is bound to, as text.
std::string local_address(int fd) {
  sockaddr_storage address;
  socklen_t length = sizeof(address);
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof(host), port,
                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return {};
  const std::string name(host);
  return (name.find(':') == std::string::npos ? name : "[" + name + "]") + ":" + port;
}

bool has_nul(const std::string& s) { return s.find('\0') != std::string::npos; }

}  // namespace

P1Context::P1Context(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
P1Context::~P1Context() = default;

Result<std::unique_ptr<P1Context>> P1Context::create(P1Config config) {
  auto impl = std::make_unique<Impl>();
  impl->config = std::move(config);
  P1Config& c = impl->config;

  for (const std::string& arg : c.args)
    if (has_nul(arg)) return Error(ErrorKind::Usage, "an argument has a NUL byte");
  impl->args = c.args;

  std::vector<std::pair<std::string, std::string>> variables;
  std::map<std::string, size_t> index;
  const auto set = [&](std::string name, std::string value) {
    const auto [it, is_new] = index.emplace(name, variables.size());
    if (is_new)
      variables.emplace_back(std::move(name), std::move(value));
    else
      variables[it->second].second = std::move(value);
  };
  if (c.inherit_env && environ) {
    for (char** e = environ; *e; ++e) {
      const char* const equals = strchr(*e, '=');
      if (equals) set(std::string(*e, size_t(equals - *e)), equals + 1);
    }
  }
  for (const auto& [name, value] : c.env) {
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return Error(ErrorKind::Usage, "not a valid environment variable: '" + name + "'");
    set(name, value);
  }
  impl->env.reserve(variables.size());
  for (const auto& [name, value] : variables) {
    std::string& entry = impl->env.emplace_back(name);
    entry += '=';
    entry += value;
  }

  // What the embedder has open comes first: nothing that is opened here can be taken for it.
  uint32_t number = 0;
  (void)impl->table.insert(make_input(c.stdin_source), number);
  (void)impl->table.insert(make_output(c.stdout_sink, 1), number);
  (void)impl->table.insert(make_output(c.stderr_sink, 2), number);

  std::vector<DescriptorRef> listeners(c.listeners.size());
  for (size_t i = 0; i < listeners.size(); ++i) {
    const int fd = c.listeners[i].fd;
    if (fd < 0) continue;
    for (size_t j = 0; j < i; ++j)
      if (c.listeners[j].fd == fd)
        return Error(ErrorKind::Usage, "descriptor " + std::to_string(fd) + " is given twice");
    WAFER_LET(handle, inherited_listener(fd));
    listeners[i] = wrap_handle(std::move(handle), rights::kAll);
  }
  for (size_t i = 0; i < listeners.size(); ++i) {
    if (!listeners[i]) {
      WAFER_LET(handle, listen_on(c.listeners[i].tcp_address));
      listeners[i] = wrap_handle(std::move(handle), rights::kAll);
    }
    impl->listener_addresses.push_back(local_address(listeners[i]->fd()));
  }
  const auto add_listeners = [&] {
    for (DescriptorRef& d : listeners) (void)impl->table.insert(std::move(d), number);
    listeners.clear();
  };
  if (c.sockets_first) add_listeners();
  for (const P1Config::Preopen& dir : c.dirs) {
    WAFER_LET(d, open_preopen(dir));
    (void)impl->table.insert(std::move(d), number);
  }
  add_listeners();

  if (c.random_seed) impl->random_state = *c.random_seed;
  if (c.ignore_write_signals) {
    for (const int number_of_signal : {SIGPIPE, SIGXFSZ}) {
      struct sigaction action;
      if (sigaction(number_of_signal, nullptr, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
          action.sa_handler == SIG_DFL)
        signal(number_of_signal, SIG_IGN);
    }
  }
  return std::unique_ptr<P1Context>(new P1Context(std::move(impl)));
}

std::optional<int32_t> P1Context::exit_code() const {
  if (!impl_->exited.load(std::memory_order_acquire)) return std::nullopt;
  return impl_->exit_code.load(std::memory_order_relaxed);
}

std::string P1Context::listener_address(size_t index) const {
  return index < impl_->listener_addresses.size() ? impl_->listener_addresses[index]
                                                  : std::string();
}

}  // namespace wafer::wasi
