// wasi:filesystem.
#include <errno.h>

#include <algorithm>

#include "wasi/bind/descriptor.h"
#include "wasi/p2/resources.h"
#include "wasm/cursor.h"

namespace wafer::wasi::p2 {

namespace filesystem_types {

using io_error::Error;

class Descriptor final : public Object, public OpenDescriptor {
 public:
  explicit Descriptor(OpenDescriptor d) : OpenDescriptor(std::move(d)) {}
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

host::Outcome<host::NewTime> new_time(const NewTimestamp& t) {
  switch (t.tag) {
    case NewTimestamp::Tag::NoChange:
      return host::NewTime{};
    case NewTimestamp::Tag::Now:
      return host::NewTime{host::NewTime::Kind::Now, {}};
    case NewTimestamp::Tag::Timestamp:
      break;
  }
  if (t.timestamp->seconds > INT64_MAX) return host::Status(EINVAL);
  return wasi::new_time(int64_t(t.timestamp->seconds), t.timestamp->nanoseconds);
}

MetadataHashValue hash_value(const host::Stat& s) {
  const ObjectHash h = hash_of(s);
  return {h.lower, h.upper};
}

}  // namespace

FileResult<Own<io_streams::InputStream>> descriptor_read_via_stream(Host&, Descriptor& self,
                                                                    Filesize offset) {
  FILE_LET(stream, self.read_from(offset));
  return Own<io_streams::InputStream>::make(std::move(stream), Error::Of::File);
}

FileResult<Own<io_streams::OutputStream>> descriptor_write_via_stream(Host&, Descriptor& self,
                                                                      Filesize offset) {
  FILE_LET(stream, self.write_to(offset));
  return Own<io_streams::OutputStream>::make(std::move(stream), Error::Of::File);
}

FileResult<Own<io_streams::OutputStream>> descriptor_append_via_stream(Host&, Descriptor& self) {
  FILE_LET(stream, self.append());
  return Own<io_streams::OutputStream>::make(std::move(stream), Error::Of::File);
}

FileResult<Unit> descriptor_advise(Host&, Descriptor& self, Filesize offset, Filesize length,
                                   Advice advice) {
  return done(self.advise(offset, length, host::Advice(advice)));
}

FileResult<Unit> descriptor_sync_data(Host&, Descriptor& self) {
  return done(self.node().sync(true));
}

FileResult<DescriptorFlags> descriptor_get_flags(Host&, Descriptor& self) {
  const host::FileFlags host = self.node().flags();
  DescriptorFlags flags;
  flags.read = self.flags.read;
  flags.write = self.flags.write;
  flags.mutate_directory = self.flags.mutate_directory;
  flags.file_integrity_sync = host.sync;
  flags.data_integrity_sync = host.data_sync;
  return flags;
}

FileResult<DescriptorType> descriptor_get_type(Host&, Descriptor& self) {
  return type_of(self.type());
}

FileResult<Unit> descriptor_set_size(Host&, Descriptor& self, Filesize size) {
  return done(self.set_size(size));
}

FileResult<Unit> descriptor_set_times(Host&, Descriptor& self, NewTimestamp accessed,
                                      NewTimestamp modified) {
  FILE_LET(a, new_time(accessed));
  FILE_LET(m, new_time(modified));
  return done(self.set_times(a, m));
}

FileResult<std::tuple<std::vector<uint8_t>, bool>> descriptor_read(Host&, Descriptor& self,
                                                                   Filesize length,
                                                                   Filesize offset) {
  FILE_LET(f, self.readable());
  std::vector<uint8_t> bytes(size_t(std::min<uint64_t>(length, kMostRead)));
  const iovec v = {bytes.data(), bytes.size()};
  FILE_LET(n, f->read_at({&v, 1}, offset));
  bytes.resize(n);
  return std::tuple(std::move(bytes), n == 0 && length > 0);
}

FileResult<Filesize> descriptor_write(Host&, Descriptor& self, std::vector<uint8_t> buffer,
                                      Filesize offset) {
  FILE_LET(f, self.writable());
  const iovec v = {buffer.data(), buffer.size()};
  FILE_LET(n, f->write_at({&v, 1}, offset));
  return Filesize(n);
}

FileResult<Own<DirectoryEntryStream>> descriptor_read_directory(Host&, Descriptor& self) {
  FILE_LET(d, self.listable());
  auto stream = std::make_unique<DirectoryEntryStream>();
  FILE_TRY(d->list([&](const host::DirectoryEntry& e) {
    stream->entries.push_back({type_of(e.type), std::string(e.name)});
  }));
  return Own(std::move(stream));
}

FileResult<Unit> descriptor_sync(Host&, Descriptor& self) { return done(self.node().sync(false)); }

FileResult<Unit> descriptor_create_directory_at(Host&, Descriptor& self, std::string path) {
  FILE_LET(d, self.changeable());
  return done(d->create_directory(path));
}

FileResult<DescriptorStat> descriptor_stat(Host&, Descriptor& self) {
  FILE_LET(s, self.node().stat());
  return stat_of(s);
}

FileResult<DescriptorStat> descriptor_stat_at(Host&, Descriptor& self, PathFlags flags,
                                              std::string path) {
  FILE_LET(d, self.listable());
  FILE_LET(s, d->stat_at(path, flags.symlink_follow));
  return stat_of(s);
}

FileResult<Unit> descriptor_set_times_at(Host&, Descriptor& self, PathFlags flags, std::string path,
                                         NewTimestamp accessed, NewTimestamp modified) {
  FILE_LET(d, self.changeable());
  FILE_LET(a, new_time(accessed));
  FILE_LET(m, new_time(modified));
  return done(d->set_times_at(path, flags.symlink_follow, a, m));
}

FileResult<Unit> descriptor_link_at(Host&, Descriptor& self, PathFlags flags, std::string old_path,
                                    Descriptor& new_descriptor, std::string new_path) {
  return done(self.link(old_path, flags.symlink_follow, new_descriptor, new_path));
}

FileResult<Own<Descriptor>> descriptor_open_at(Host&, Descriptor& self, PathFlags path_flags,
                                               std::string path, OpenFlags open_flags,
                                               DescriptorFlags flags) {
  FILE_LET(opened, self.open(path, {path_flags.symlink_follow,
                                    open_flags.create,
                                    open_flags.directory,
                                    open_flags.exclusive,
                                    open_flags.truncate,
                                    {flags.read, flags.write, flags.mutate_directory},
                                    flags.file_integrity_sync || flags.requested_write_sync,
                                    flags.data_integrity_sync}));
  return Own<Descriptor>::make(std::move(opened));
}

FileResult<std::string> descriptor_readlink_at(Host&, Descriptor& self, std::string path) {
  FILE_LET(target, self.read_link(path));
  return std::move(target);
}

FileResult<Unit> descriptor_remove_directory_at(Host&, Descriptor& self, std::string path) {
  FILE_LET(d, self.changeable());
  return done(d->remove_directory(path));
}

FileResult<Unit> descriptor_rename_at(Host&, Descriptor& self, std::string old_path,
                                      Descriptor& new_descriptor, std::string new_path) {
  return done(self.rename(old_path, new_descriptor, new_path));
}

FileResult<Unit> descriptor_symlink_at(Host&, Descriptor& self, std::string old_path,
                                       std::string new_path) {
  FILE_LET(d, self.changeable());
  return done(d->symlink(old_path, new_path));
}

FileResult<Unit> descriptor_unlink_file_at(Host&, Descriptor& self, std::string path) {
  FILE_LET(d, self.changeable());
  return done(d->unlink(path));
}

bool descriptor_is_same_object(Host&, Descriptor& self, Descriptor& other) {
  return self.is_same(other);
}

FileResult<MetadataHashValue> descriptor_metadata_hash(Host&, Descriptor& self) {
  FILE_LET(s, self.node().stat());
  return hash_value(s);
}

FileResult<MetadataHashValue> descriptor_metadata_hash_at(Host&, Descriptor& self, PathFlags flags,
                                                          std::string path) {
  FILE_LET(d, self.listable());
  FILE_LET(s, d->stat_at(path, flags.symlink_follow));
  return hash_value(s);
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
    out.emplace_back(Own<Descriptor>::make(OpenDescriptor(preopen.directory)), preopen.name);
  return out;
}

}  // namespace filesystem_preopens

}  // namespace wafer::wasi::p2
