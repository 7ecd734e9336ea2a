#include "wasi/bind/descriptor.h"

#include <errno.h>

#include "wasm/cursor.h"

namespace wafer::wasi {

using host::Outcome;
using host::Status;

Outcome<host::File*> OpenDescriptor::as_file(bool permitted) const {
  if (!file) return Status(EISDIR);
  if (!permitted) return Status(EBADF);
  return file.get();
}

Outcome<host::InputStreamRef> OpenDescriptor::read_from(uint64_t offset) const {
  HOST_LET(f, readable());
  return f->seekable() ? host::read_from(file, offset) : host::read_stream(file);
}

Outcome<host::OutputStreamRef> OpenDescriptor::write_to(uint64_t offset) const {
  HOST_LET(f, writable());
  return f->seekable() ? host::write_to(file, offset) : host::write_stream(file);
}

Outcome<host::OutputStreamRef> OpenDescriptor::append() const {
  HOST_LET(f, writable());
  return f->seekable() ? host::append_to(file) : host::write_stream(file);
}

Status OpenDescriptor::advise(uint64_t offset, uint64_t length, host::Advice advice) const {
  if (!file) return Status(EBADF);
  return file->advise(offset, length, advice);
}

Status OpenDescriptor::set_size(uint64_t size) const {
  HOST_LET(f, writable());
  return f->set_size(size);
}

Status OpenDescriptor::set_times(const host::NewTime& accessed,
                                 const host::NewTime& modified) const {
  if (node().read_only()) return Status(EPERM);
  return node().set_times(accessed, modified);
}

Outcome<host::Directory*> OpenDescriptor::listable() const {
  if (!directory) return Status(ENOTDIR);
  return directory.get();
}

Outcome<host::Directory*> OpenDescriptor::changeable() const {
  if (!directory) return Status(ENOTDIR);
  if (directory->read_only()) return Status(EROFS);
  return directory.get();
}

Status OpenDescriptor::link(const std::string& path, bool follow, const OpenDescriptor& to,
                            const std::string& new_path) const {
  HOST_LET(from_directory, changeable());
  HOST_LET(to_directory, to.changeable());
  // The link is made to what the name says, as with link(2).
  if (follow) return Status(EINVAL);
  return from_directory->link(path, false, *to_directory, new_path);
}

Status OpenDescriptor::rename(const std::string& path, const OpenDescriptor& to,
                              const std::string& new_path) const {
  HOST_LET(from_directory, changeable());
  HOST_LET(to_directory, to.changeable());
  return from_directory->rename(path, *to_directory, new_path);
}

Outcome<std::string> OpenDescriptor::read_link(const std::string& path) const {
  HOST_LET(d, listable());
  HOST_LET(target, d->read_link(path));
  if (target.starts_with('/')) return Status(EPERM);  // names something of the host
  if (!wasm::is_utf8(target)) return Status(EILSEQ);
  return std::move(target);
}

Outcome<OpenDescriptor> OpenDescriptor::open(const std::string& path, const Open& how) const {
  HOST_LET(d, listable());
  const bool changes = how.flags.write || how.flags.mutate_directory || how.create || how.truncate;
  if (changes && d->read_only()) return Status(EROFS);
  if (how.directory && (how.create || how.truncate || how.exclusive)) return Status(EINVAL);
  host::OpenOptions o;
  o.follow = how.follow;
  o.create = how.create;
  o.directory = how.directory;
  o.exclusive = how.exclusive;
  o.truncate = how.truncate;
  // Who makes a file or empties it may write it; whoever does not say what for reads.
  o.write = how.flags.write || how.create || how.truncate;
  o.read = how.flags.read || !how.flags.write;
  o.flags.sync = how.sync;
  o.flags.data_sync = !how.sync && how.data_sync;
  // Opening a pipe waits for nobody.
  o.flags.nonblock = true;
  HOST_LET(opened, d->open(path, o));
  // Libraries ask for all rights, whatever it is that they open.
  const bool is_file = opened.file != nullptr;
  return OpenDescriptor(std::move(opened),
                        {o.read, o.write && is_file, how.flags.mutate_directory && !is_file});
}

bool OpenDescriptor::is_same(const OpenDescriptor& other) const {
  if (&node() == &other.node()) return true;
  const Outcome<host::Stat> a = node().stat(), b = other.node().stat();
  return a && b && a->device == b->device && a->inode == b->inode;
}

ObjectHash hash_of(const host::Stat& s) {
  const auto mix = [](uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  };
  const uint64_t lower = mix(mix(s.device + 0x9E3779B97F4A7C15) ^ s.inode);
  return {lower, mix(lower ^ mix(s.inode + 0x9E3779B97F4A7C15) ^ s.device)};
}

Outcome<host::NewTime> new_time(int64_t seconds, uint32_t nanoseconds) {
  if (nanoseconds >= 1'000'000'000) return Status(EINVAL);
  return host::NewTime{host::NewTime::Kind::Set, {seconds, nanoseconds}};
}

}  // namespace wafer::wasi
