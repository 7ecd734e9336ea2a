// wasi:filesystem.
#include <algorithm>

#include "wasi/bind/descriptor.h"
#include "wasi/p3/errors.h"
#include "wasi/p3/streams.h"
#include "wasm/cursor.h"

namespace wafer::wasi::p3 {

namespace filesystem_types {

class Descriptor final : public Object, public OpenDescriptor {
 public:
  explicit Descriptor(OpenDescriptor d) : OpenDescriptor(std::move(d)) {}
};

namespace {

template <class T>
using FileResult = Expected<T, ErrorCode>;

Err<ErrorCode> failed(host::Status status) { return Err{file_error(status)}; }

FileResult<Unit> done(host::Status status) { return result_of(status, file_error); }

#define FILE_LET(name, expr)                                       \
  auto WAFER_CONCAT(file_outcome_, __LINE__) = (expr);             \
  if (!WAFER_CONCAT(file_outcome_, __LINE__).ok())                 \
    return failed(WAFER_CONCAT(file_outcome_, __LINE__).status()); \
  auto&& name = *std::move(WAFER_CONCAT(file_outcome_, __LINE__))

DescriptorType type_of(host::FileType type) {
  using Tag = DescriptorType::Tag;
  DescriptorType out = DescriptorType::of_other(std::nullopt);
  switch (type) {
    case host::FileType::BlockDevice:
      out.tag = Tag::BlockDevice;
      break;
    case host::FileType::CharacterDevice:
      out.tag = Tag::CharacterDevice;
      break;
    case host::FileType::Directory:
      out.tag = Tag::Directory;
      break;
    case host::FileType::Fifo:
      out.tag = Tag::Fifo;
      break;
    case host::FileType::SymbolicLink:
      out.tag = Tag::SymbolicLink;
      break;
    case host::FileType::RegularFile:
      out.tag = Tag::RegularFile;
      break;
    case host::FileType::StreamSocket:
    case host::FileType::DatagramSocket:
      out.tag = Tag::Socket;
      break;
    case host::FileType::Unknown:
      break;
  }
  return out;
}

Instant instant(const host::Time& t) { return {t.seconds, t.nanoseconds}; }

DescriptorStat stat_of(const host::Stat& s) {
  return {type_of(s.type),     s.links,           s.size, instant(s.accessed),
          instant(s.modified), instant(s.changed)};
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
  return wasi::new_time(t.timestamp->seconds, t.timestamp->nanoseconds);
}

MetadataHashValue hash_value(const host::Stat& s) {
  const ObjectHash h = hash_of(s);
  return {h.lower, h.upper};
}

}  // namespace

Incoming<ErrorCode> descriptor_read_via_stream(Host& host, Descriptor& self, Filesize offset) {
  return incoming(host, self.read_from(offset), file_error);
}

Outgoing<ErrorCode> descriptor_write_via_stream(Host& host, Descriptor& self, Stream<uint8_t> data,
                                                Filesize offset) {
  return outgoing(host, std::move(data), self.write_to(offset), file_error);
}

Outgoing<ErrorCode> descriptor_append_via_stream(Host& host, Descriptor& self,
                                                 Stream<uint8_t> data) {
  return outgoing(host, std::move(data), self.append(), file_error);
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

std::tuple<Stream<DirectoryEntry>, Future<FileResult<Unit>>> descriptor_read_directory(
    Host& host, Descriptor& self) {
  struct Listing {
    std::vector<DirectoryEntry> entries;
    size_t next = 0;
    host::Status failure;
  };
  const auto listing = std::make_shared<Listing>();
  if (const host::Outcome<host::Directory*> d = self.listable())
    listing->failure = (*d)->list([&](const host::DirectoryEntry& e) {
      listing->entries.push_back({type_of(e.type), std::string(e.name)});
    });
  else
    listing->failure = d.status();
  auto [future, promise] = new_future<FileResult<Unit>>(host);
  Stream<DirectoryEntry> stream = give_items<DirectoryEntry>(
      host,
      [listing](size_t most) -> host::Outcome<std::vector<DirectoryEntry>> {
        std::vector<DirectoryEntry> out;
        for (; out.size() < most && listing->next < listing->entries.size(); ++listing->next) {
          DirectoryEntry& entry = listing->entries[listing->next];
          if (!wasm::is_utf8(entry.name)) {
            listing->failure = host::Status(EILSEQ);
            listing->next = listing->entries.size();
            break;
          }
          out.push_back(std::move(entry));
        }
        if (out.empty() && !listing->failure.ok()) return listing->failure;
        return out;
      },
      host::always_ready(), [p = promise](host::Status status) { p->set(done(status)); });
  return {std::move(stream), std::move(future)};
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

FileResult<DescriptorStat> descriptor_stat_at(Host&, Descriptor& self, PathFlags path_flags,
                                              std::string path) {
  FILE_LET(d, self.listable());
  FILE_LET(s, d->stat_at(path, path_flags.symlink_follow));
  return stat_of(s);
}

FileResult<Unit> descriptor_set_times_at(Host&, Descriptor& self, PathFlags path_flags,
                                         std::string path, NewTimestamp accessed,
                                         NewTimestamp modified) {
  FILE_LET(d, self.changeable());
  FILE_LET(a, new_time(accessed));
  FILE_LET(m, new_time(modified));
  return done(d->set_times_at(path, path_flags.symlink_follow, a, m));
}

FileResult<Unit> descriptor_link_at(Host&, Descriptor& self, PathFlags old_path_flags,
                                    std::string old_path, Descriptor& new_descriptor,
                                    std::string new_path) {
  return done(self.link(old_path, old_path_flags.symlink_follow, new_descriptor, new_path));
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

FileResult<MetadataHashValue> descriptor_metadata_hash_at(Host&, Descriptor& self,
                                                          PathFlags path_flags, std::string path) {
  FILE_LET(d, self.listable());
  FILE_LET(s, d->stat_at(path, path_flags.symlink_follow));
  return hash_value(s);
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

}  // namespace wafer::wasi::p3
