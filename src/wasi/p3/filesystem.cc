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

#include "wasi/bind/filesystem.def"

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
