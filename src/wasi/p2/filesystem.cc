// wasi:filesystem.
#include <errno.h>

#include <algorithm>

#include "wasi/p2/resources.h"
#include "wasm/cursor.h"

namespace wafer::wasi::p2 {

namespace filesystem_types {

using io_error::Error;

// A file or a directory.
class Descriptor final : public Object {
 public:
  explicit Descriptor(host::DirectoryRef d) : directory(std::move(d)) {
    flags.read = true;
    flags.mutate_directory = !directory->read_only();
  }
  Descriptor(host::Opened opened, DescriptorFlags f)
      : file(std::move(opened.file)), directory(std::move(opened.directory)), flags(f) {
    flags.mutate_directory = directory && !directory->read_only();
  }

  host::Node& node() const {
    return file ? static_cast<host::Node&>(*file) : static_cast<host::Node&>(*directory);
  }

  const host::FileRef file;
  const host::DirectoryRef directory;
  DescriptorFlags flags;
};

class DirectoryEntryStream final : public Object {
 public:
  std::vector<DirectoryEntry> entries;
  size_t next = 0;
};

namespace {

template <class T>
using FileResult = Expected<T, ErrorCode>;

constexpr size_t kMostRead = 1 << 20;  // that one call gives

#define FILE_TRY(expr)                                   \
  do {                                                   \
    const host::Status file_status_ = (expr);            \
    if (!file_status_.ok()) return failed(file_status_); \
  } while (0)
#define FILE_LET(name, expr)                                       \
  auto WAFER_CONCAT(file_outcome_, __LINE__) = (expr);             \
  if (!WAFER_CONCAT(file_outcome_, __LINE__).ok())                 \
    return failed(WAFER_CONCAT(file_outcome_, __LINE__).status()); \
  auto&& name = *std::move(WAFER_CONCAT(file_outcome_, __LINE__))

Err<ErrorCode> failed(host::Status status) { return Err{file_error(status)}; }

FileResult<Unit> done(host::Status status) {
  if (!status.ok()) return failed(status);
  return Unit{};
}

// `self` as a directory that may be changed.
FileResult<host::Directory*> changeable(const Descriptor& self) {
  if (!self.directory) return Err{ErrorCode::NotDirectory};
  // What would be changed through this descriptor may only be read (WIT: "mutate-directory").
  if (!self.flags.mutate_directory) return Err{ErrorCode::ReadOnly};
  return self.directory.get();
}

FileResult<host::Directory*> directory(const Descriptor& self) {
  if (!self.directory) return Err{ErrorCode::NotDirectory};
  return self.directory.get();
}

FileResult<host::File*> file(const Descriptor& self, bool permitted) {
  if (!self.file) return Err{ErrorCode::IsDirectory};
  if (!permitted) return Err{ErrorCode::BadDescriptor};
  return self.file.get();
}

#define DESCRIPTOR_LET(name, expr)                       \
  auto name##_result = (expr);                           \
  if (!name##_result) return Err{name##_result.error()}; \
  auto& name = **name##_result
// The same for a value.
#define FILE_VALUE(name, expr)                           \
  auto name##_result = (expr);                           \
  if (!name##_result) return Err{name##_result.error()}; \
  auto& name = *name##_result

DescriptorType type_of(host::FileType type) {
  switch (type) {
    case host::FileType::BlockDevice:
      return DescriptorType::BlockDevice;
    case host::FileType::CharacterDevice:
      return DescriptorType::CharacterDevice;
    case host::FileType::Directory:
      return DescriptorType::Directory;
    case host::FileType::Fifo:
      return DescriptorType::Fifo;
    case host::FileType::SymbolicLink:
      return DescriptorType::SymbolicLink;
    case host::FileType::RegularFile:
      return DescriptorType::RegularFile;
    case host::FileType::StreamSocket:
    case host::FileType::DatagramSocket:
      return DescriptorType::Socket;
    case host::FileType::Unknown:
      break;
  }
  return DescriptorType::Unknown;
}

// Times before 1970 have no number here.
std::optional<Datetime> time_of(const host::Time& t) {
  if (t.seconds < 0) return std::nullopt;
  return Datetime{uint64_t(t.seconds), t.nanoseconds};
}

DescriptorStat stat_of(const host::Stat& s) {
  return {type_of(s.type),     s.links,           s.size, time_of(s.accessed),
          time_of(s.modified), time_of(s.changed)};
}

FileResult<host::NewTime> new_time(const NewTimestamp& t) {
  switch (t.tag) {
    case NewTimestamp::Tag::NoChange:
      return host::NewTime{};
    case NewTimestamp::Tag::Now:
      return host::NewTime{host::NewTime::Kind::Now, {}};
    case NewTimestamp::Tag::Timestamp:
      break;
  }
  if (t.timestamp->seconds > INT64_MAX || t.timestamp->nanoseconds >= 1'000'000'000)
    return Err{ErrorCode::Invalid};
  return host::NewTime{host::NewTime::Kind::Set,
                       {int64_t(t.timestamp->seconds), t.timestamp->nanoseconds}};
}

// The same number for the same object, and another one else.
MetadataHashValue hash_of(const host::Stat& s) {
  const auto mix = [](uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  };
  const uint64_t lower = mix(mix(s.device + 0x9E3779B97F4A7C15) ^ s.inode);
  return {lower, mix(lower ^ mix(s.inode + 0x9E3779B97F4A7C15) ^ s.device)};
}

}  // namespace

FileResult<Own<io_streams::InputStream>> descriptor_read_via_stream(Host&, Descriptor& self,
                                                                    Filesize offset) {
  DESCRIPTOR_LET(f, file(self, self.flags.read));
  return Own<io_streams::InputStream>::make(
      f.seekable() ? host::read_from(self.file, offset) : host::read_stream(self.file),
      Error::Of::File);
}

FileResult<Own<io_streams::OutputStream>> descriptor_write_via_stream(Host&, Descriptor& self,
                                                                      Filesize offset) {
  DESCRIPTOR_LET(f, file(self, self.flags.write));
  return Own<io_streams::OutputStream>::make(
      f.seekable() ? host::write_to(self.file, offset) : host::write_stream(self.file),
      Error::Of::File);
}

FileResult<Own<io_streams::OutputStream>> descriptor_append_via_stream(Host&, Descriptor& self) {
  DESCRIPTOR_LET(f, file(self, self.flags.write));
  return Own<io_streams::OutputStream>::make(
      f.seekable() ? host::append_to(self.file) : host::write_stream(self.file), Error::Of::File);
}

FileResult<Unit> descriptor_advise(Host&, Descriptor& self, Filesize offset, Filesize length,
                                   Advice advice) {
  DESCRIPTOR_LET(f, file(self, true));
  return done(f.advise(offset, length, host::Advice(advice)));
}

FileResult<Unit> descriptor_sync_data(Host&, Descriptor& self) {
  return done(self.node().sync(true));
}

FileResult<DescriptorFlags> descriptor_get_flags(Host&, Descriptor& self) {
  DescriptorFlags flags = self.flags;
  const host::FileFlags host = self.node().flags();
  flags.file_integrity_sync = host.sync;
  flags.data_integrity_sync = host.data_sync;
  flags.requested_write_sync = false;
  return flags;
}

FileResult<DescriptorType> descriptor_get_type(Host&, Descriptor& self) {
  return self.directory ? DescriptorType::Directory : type_of(self.file->type());
}

FileResult<Unit> descriptor_set_size(Host&, Descriptor& self, Filesize size) {
  DESCRIPTOR_LET(f, file(self, self.flags.write));
  return done(f.set_size(size));
}

FileResult<Unit> descriptor_set_times(Host&, Descriptor& self, NewTimestamp accessed,
                                      NewTimestamp modified) {
  if (self.node().read_only()) return Err{ErrorCode::NotPermitted};
  FILE_VALUE(a, new_time(accessed));
  FILE_VALUE(m, new_time(modified));
  return done(self.node().set_times(a, m));
}

FileResult<std::tuple<std::vector<uint8_t>, bool>> descriptor_read(Host&, Descriptor& self,
                                                                   Filesize length,
                                                                   Filesize offset) {
  DESCRIPTOR_LET(f, file(self, self.flags.read));
  std::vector<uint8_t> bytes(size_t(std::min<uint64_t>(length, kMostRead)));
  const iovec v = {bytes.data(), bytes.size()};
  FILE_LET(n, f.read_at({&v, 1}, offset));
  bytes.resize(n);
  return std::tuple(std::move(bytes), n == 0 && length > 0);
}

FileResult<Filesize> descriptor_write(Host&, Descriptor& self, std::vector<uint8_t> buffer,
                                      Filesize offset) {
  DESCRIPTOR_LET(f, file(self, self.flags.write));
  const iovec v = {buffer.data(), buffer.size()};
  FILE_LET(n, f.write_at({&v, 1}, offset));
  return Filesize(n);
}

FileResult<Own<DirectoryEntryStream>> descriptor_read_directory(Host&, Descriptor& self) {
  DESCRIPTOR_LET(d, directory(self));
  auto stream = std::make_unique<DirectoryEntryStream>();
  FILE_TRY(d.list([&](const host::DirectoryEntry& e) {
    stream->entries.push_back({type_of(e.type), std::string(e.name)});
  }));
  return Own(std::move(stream));
}

FileResult<Unit> descriptor_sync(Host&, Descriptor& self) { return done(self.node().sync(false)); }

FileResult<Unit> descriptor_create_directory_at(Host&, Descriptor& self, std::string path) {
  DESCRIPTOR_LET(d, changeable(self));
  return done(d.create_directory(path));
}

FileResult<DescriptorStat> descriptor_stat(Host&, Descriptor& self) {
  FILE_LET(s, self.node().stat());
  return stat_of(s);
}

FileResult<DescriptorStat> descriptor_stat_at(Host&, Descriptor& self, PathFlags flags,
                                              std::string path) {
  DESCRIPTOR_LET(d, directory(self));
  FILE_LET(s, d.stat_at(path, flags.symlink_follow));
  return stat_of(s);
}

FileResult<Unit> descriptor_set_times_at(Host&, Descriptor& self, PathFlags flags, std::string path,
                                         NewTimestamp accessed, NewTimestamp modified) {
  DESCRIPTOR_LET(d, changeable(self));
  FILE_VALUE(a, new_time(accessed));
  FILE_VALUE(m, new_time(modified));
  return done(d.set_times_at(path, flags.symlink_follow, a, m));
}

FileResult<Unit> descriptor_link_at(Host&, Descriptor& self, PathFlags flags, std::string old_path,
                                    Descriptor& new_descriptor, std::string new_path) {
  DESCRIPTOR_LET(from, changeable(self));
  DESCRIPTOR_LET(to, changeable(new_descriptor));
  // The link is made to what the name says, as with link(2).
  if (flags.symlink_follow) return Err{ErrorCode::Invalid};
  return done(from.link(old_path, false, to, new_path));
}

FileResult<Own<Descriptor>> descriptor_open_at(Host&, Descriptor& self, PathFlags path_flags,
                                               std::string path, OpenFlags open_flags,
                                               DescriptorFlags flags) {
  DESCRIPTOR_LET(d, directory(self));
  const bool changes =
      flags.write || flags.mutate_directory || open_flags.create || open_flags.truncate;
  if (changes && !self.flags.mutate_directory) return Err{ErrorCode::ReadOnly};
  if (open_flags.directory && (open_flags.create || open_flags.truncate || open_flags.exclusive))
    return Err{ErrorCode::Invalid};
  host::OpenOptions o;
  o.follow = path_flags.symlink_follow;
  o.create = open_flags.create;
  o.directory = open_flags.directory;
  o.exclusive = open_flags.exclusive;
  o.truncate = open_flags.truncate;
  o.write = flags.write;
  o.read = flags.read || !flags.write;
  o.flags.sync = flags.file_integrity_sync || flags.requested_write_sync;
  o.flags.data_sync = !o.flags.sync && flags.data_integrity_sync;
  // Opening a pipe waits for nobody.
  o.flags.nonblock = true;
  FILE_LET(opened, d.open(path, o));
  if (opened.file && flags.mutate_directory) return Err{ErrorCode::NotDirectory};
  DescriptorFlags granted = flags;
  granted.read = o.read;
  return Own<Descriptor>::make(std::move(opened), granted);
}

FileResult<std::string> descriptor_readlink_at(Host&, Descriptor& self, std::string path) {
  DESCRIPTOR_LET(d, directory(self));
  FILE_LET(target, d.read_link(path));
  if (target.starts_with('/')) return Err{ErrorCode::NotPermitted};  // names something of the host
  if (!wasm::is_utf8(target)) return Err{ErrorCode::IllegalByteSequence};
  return std::move(target);
}

FileResult<Unit> descriptor_remove_directory_at(Host&, Descriptor& self, std::string path) {
  DESCRIPTOR_LET(d, changeable(self));
  return done(d.remove_directory(path));
}

FileResult<Unit> descriptor_rename_at(Host&, Descriptor& self, std::string old_path,
                                      Descriptor& new_descriptor, std::string new_path) {
  DESCRIPTOR_LET(from, changeable(self));
  DESCRIPTOR_LET(to, changeable(new_descriptor));
  return done(from.rename(old_path, to, new_path));
}

FileResult<Unit> descriptor_symlink_at(Host&, Descriptor& self, std::string old_path,
                                       std::string new_path) {
  DESCRIPTOR_LET(d, changeable(self));
  return done(d.symlink(old_path, new_path));
}

FileResult<Unit> descriptor_unlink_file_at(Host&, Descriptor& self, std::string path) {
  DESCRIPTOR_LET(d, changeable(self));
  return done(d.unlink(path));
}

bool descriptor_is_same_object(Host&, Descriptor& self, Descriptor& other) {
  if (&self.node() == &other.node()) return true;
  const host::Outcome<host::Stat> a = self.node().stat(), b = other.node().stat();
  return a && b && a->device == b->device && a->inode == b->inode;
}

FileResult<MetadataHashValue> descriptor_metadata_hash(Host&, Descriptor& self) {
  FILE_LET(s, self.node().stat());
  return hash_of(s);
}

FileResult<MetadataHashValue> descriptor_metadata_hash_at(Host&, Descriptor& self, PathFlags flags,
                                                          std::string path) {
  DESCRIPTOR_LET(d, directory(self));
  FILE_LET(s, d.stat_at(path, flags.symlink_follow));
  return hash_of(s);
}

FileResult<std::optional<DirectoryEntry>> directory_entry_stream_read_directory_entry(
    Host&, DirectoryEntryStream& self) {
  if (self.next == self.entries.size()) return std::optional<DirectoryEntry>();
  DirectoryEntry& entry = self.entries[self.next++];
  if (!wasm::is_utf8(entry.name)) return Err{ErrorCode::IllegalByteSequence};
  return std::optional(std::move(entry));
}

}  // namespace filesystem_types

namespace filesystem_preopens {

std::vector<std::tuple<Own<Descriptor>, std::string>> get_directories(Host& host) {
  std::vector<std::tuple<Own<Descriptor>, std::string>> out;
  for (const host::Process::Preopen& preopen : host.process.preopens)
    out.emplace_back(Own<Descriptor>::make(preopen.directory), preopen.name);
  return out;
}

}  // namespace filesystem_preopens

}  // namespace wafer::wasi::p2
