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

#include "wasi/bind/filesystem.def"

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

FileResult<Filesize> descriptor_write(Host&, Descriptor& self, Bytes buffer, Filesize offset) {
  FILE_LET(f, self.writable());
  const iovec v = {const_cast<uint8_t*>(buffer.data()), buffer.size()};
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
