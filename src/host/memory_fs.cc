#include "host/memory_fs.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "host/clocks.h"
#include "host/resolve.h"

namespace wafer::host {

namespace {

constexpr uint64_t kOfEntry = 256;  // what a name takes besides its characters

Time now() {
  const uint64_t t = realtime_now();
  return {int64_t(t / 1'000'000'000), uint32_t(t % 1'000'000'000)};
}

struct Inode;
using InodeRef = std::shared_ptr<Inode>;

struct Inode {
  explicit Inode(FileType t, uint64_t n) : type(t), number(n) {}
  // Not one within the other: directories may be nested deeply.
  ~Inode() {
    std::vector<InodeRef> left;
    const auto take = [&](Inode& i) {
      for (auto& [name, entry] : i.entries) left.push_back(std::move(entry));
      i.entries.clear();
    };
    take(*this);
    while (!left.empty()) {
      const InodeRef i = std::move(left.back());
      left.pop_back();
      if (i.use_count() == 1) take(*i);
    }
  }
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;
  bool is_directory() const { return type == FileType::Directory; }

  const FileType type;
  const uint64_t number;
  uint64_t links = 0, opens = 0;
  Time accessed = now(), modified = accessed, changed = accessed;
  std::vector<uint8_t> data;                // of a file
  std::string target;                       // of a link
  std::map<std::string, InodeRef> entries;  // of a directory
  std::weak_ptr<Inode> parent;              // of a directory, while it has a name
  bool removed = false;                     // a directory without a name
};

void touch(Inode& i) { i.modified = i.changed = now(); }

void set(Time& time, const NewTime& to) {
  if (to.kind == NewTime::Kind::Now) time = now();
  if (to.kind == NewTime::Kind::Set) time = to.time;
}

}  // namespace

struct MemoryFs::Volume {
  std::mutex mutex;  // of all below it
  uint64_t capacity = 0, used = 0, inodes = 1;
  InodeRef root = std::make_shared<Inode>(FileType::Directory, 1);

  Status take(uint64_t bytes) {
    if (bytes > capacity - used) return Status(ENOSPC);
    used += bytes;
    return {};
  }
  Stat stat(const Inode& i) const {
    Stat s;
    s.device = reinterpret_cast<uintptr_t>(this);
    s.inode = i.number;
    s.links = i.is_directory() ? 1 : i.links;
    s.size = i.type == FileType::SymbolicLink ? i.target.size() : i.data.size();
    s.type = i.type;
    s.accessed = i.accessed;
    s.modified = i.modified;
    s.changed = i.changed;
    return s;
  }
  Status resize(Inode& i, uint64_t size) {
    if (size > i.data.size()) {
      HOST_TRY(take(size - i.data.size()));
    } else {
      used -= i.data.size() - size;
    }
    i.data.resize(size);
    if (i.data.capacity() > 2 * size + 4096) i.data.shrink_to_fit();
    return {};
  }
  Outcome<InodeRef> add(Inode& directory, const std::string& name, FileType type,
                        uint64_t more = 0) {
    HOST_TRY(take(name.size() + kOfEntry + more));
    auto made = std::make_shared<Inode>(type, ++inodes);
    made->links = 1;
    directory.entries[name] = made;
    touch(directory);
    return made;
  }
  void remove(Inode& directory, const std::string& name) {
    const auto at = directory.entries.find(name);
    const InodeRef i = std::move(at->second);
    directory.entries.erase(at);
    used -= name.size() + kOfEntry;
    if (i->type == FileType::SymbolicLink) used -= i->target.size();
    --i->links;
    i->changed = now();
    if (i->is_directory()) i->removed = true;
    give_back(*i);
    touch(directory);
  }
  // The bytes of a file that has no name and is not open any more.
  void give_back(Inode& i) {
    if (i.links == 0 && i.opens == 0) (void)resize(i, 0);
  }
};

namespace {

using Volume = MemoryFs::Volume;
using VolumeRef = std::shared_ptr<Volume>;
using Lock = std::lock_guard<std::mutex>;

// Where an operation takes place.
struct Found {
  InodeRef parent;
  std::string name;  // "." for the directory itself
  InodeRef inode;    // null: there is none
  bool must_be_dir = false;
};

Outcome<Found> find(const InodeRef& start, std::string_view path, Follow follow) {
  HOST_TRY(check_path(path));
  Components parts;
  push_components(path, parts);
  bool must_be_dir = path.back() == '/';
  std::vector<InodeRef> way{start};
  int links = 0;
  while (!parts.empty()) {
    const std::string name = std::move(parts.back());
    parts.pop_back();
    const bool last = parts.empty();
    if (!way.back()->is_directory()) return Status(ENOTDIR);
    if (name.size() > kMaxName) return Status(ENAMETOOLONG);
    if (name == ".") continue;
    if (name == "..") {
      if (way.size() == 1) return Status(EPERM);
      way.pop_back();
      continue;
    }
    const auto at = way.back()->entries.find(name);
    if (at == way.back()->entries.end()) {
      if (!last) return Status(ENOENT);
      return Found{way.back(), name, nullptr, must_be_dir};
    }
    const InodeRef i = at->second;
    if (i->type == FileType::SymbolicLink && (!last || expands(follow, must_be_dir))) {
      if (++links > kMaxLinks) return Status(ELOOP);
      HOST_TRY(check_path(i->target));
      push_components(i->target, parts);
      if (last) must_be_dir |= i->target.back() == '/';
      continue;
    }
    if (last) {
      if (must_be_dir && !i->is_directory()) return Status(ENOTDIR);
      return Found{way.back(), name, i, must_be_dir};
    }
    if (!i->is_directory()) return Status(ENOTDIR);
    way.push_back(i);
  }
  return Found{way.back(), ".", way.back(), must_be_dir};
}

// One that there is.
Outcome<InodeRef> existing(const InodeRef& start, std::string_view path, bool follow) {
  HOST_LET(place, find(start, path, follow ? Follow::Always : Follow::IfSlash));
  if (!place.inode) return Status(ENOENT);
  return place.inode;
}

// Where something new may be.
Outcome<Found> vacant(const InodeRef& start, std::string_view path) {
  HOST_LET(place, find(start, path, Follow::Never));
  if (place.inode) return Status(EEXIST);
  if (place.parent->removed) return Status(ENOENT);
  return place;
}

class MemoryFile final : public File {
 public:
  // With the volume locked.
  MemoryFile(VolumeRef volume, InodeRef inode, const OpenOptions& options, bool read_only)
      : volume_(std::move(volume)),
        inode_(std::move(inode)),
        read_(options.read),
        write_(options.write),
        flags_(options.flags) {
    read_only_ = read_only;
    ++inode_->opens;
  }
  ~MemoryFile() override {
    const Lock lock(volume_->mutex);
    --inode_->opens;
    volume_->give_back(*inode_);
  }

  Outcome<Stat> stat() const override {
    const Lock lock(volume_->mutex);
    return volume_->stat(*inode_);
  }
  Status set_times(const NewTime& accessed, const NewTime& modified) override {
    if (read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    set(inode_->accessed, accessed);
    set(inode_->modified, modified);
    inode_->changed = now();
    return {};
  }
  FileFlags flags() const override {
    const Lock lock(volume_->mutex);
    return flags_;
  }
  Status set_flags(const FileFlags& flags) override {
    const Lock lock(volume_->mutex);
    flags_.append = flags.append;
    flags_.nonblock = flags.nonblock;
    return {};
  }
  FileType type() const override { return FileType::RegularFile; }
  bool seekable() const override { return true; }

  Outcome<size_t> read(Buffers to) override {
    const Lock lock(volume_->mutex);
    HOST_LET(n, get(to, position_));
    position_ += n;
    return n;
  }
  Outcome<size_t> write(Buffers from) override {
    const Lock lock(volume_->mutex);
    if (flags_.append) position_ = inode_->data.size();
    HOST_LET(n, put(from, position_));
    position_ += n;
    return n;
  }
  Outcome<size_t> read_at(Buffers to, uint64_t offset) override {
    const Lock lock(volume_->mutex);
    return get(to, offset);
  }
  Outcome<size_t> write_at(Buffers from, uint64_t offset) override {
    const Lock lock(volume_->mutex);
    return put(from, offset);
  }
  Outcome<size_t> append(Buffers from) override {
    const Lock lock(volume_->mutex);
    return put(from, inode_->data.size());
  }
  Outcome<uint64_t> seek(int64_t by, SeekFrom from) override {
    const Lock lock(volume_->mutex);
    const uint64_t base = from == SeekFrom::Begin     ? 0
                          : from == SeekFrom::Current ? position_
                                                      : inode_->data.size();
    int64_t to = 0;
    if (base > INT64_MAX || __builtin_add_overflow(int64_t(base), by, &to) || to < 0)
      return Status(EINVAL);
    return position_ = uint64_t(to);
  }
  Status set_size(uint64_t size) override {
    const Lock lock(volume_->mutex);
    if (!write_) return Status(EINVAL);
    HOST_TRY(volume_->resize(*inode_, size));
    touch(*inode_);
    return {};
  }
  Status allocate(uint64_t offset, uint64_t length) override {
    const Lock lock(volume_->mutex);
    if (!write_) return Status(EBADF);
    uint64_t end = 0;
    if (length == 0 || __builtin_add_overflow(offset, length, &end)) return Status(EINVAL);
    return end > inode_->data.size() ? volume_->resize(*inode_, end) : Status();
  }
  Status advise(uint64_t, uint64_t, Advice) override { return {}; }
  uint64_t readable() const override {
    const Lock lock(volume_->mutex);
    return inode_->data.size() - std::min<uint64_t>(position_, inode_->data.size());
  }

 private:
  Outcome<size_t> get(Buffers to, uint64_t offset) {
    if (!read_) return Status(EBADF);
    size_t done = 0;
    for (const iovec& v : to) {
      const uint64_t at = offset + done;
      if (at >= inode_->data.size()) break;
      const size_t n = std::min<uint64_t>(v.iov_len, inode_->data.size() - at);
      std::copy_n(inode_->data.data() + at, n, static_cast<uint8_t*>(v.iov_base));
      done += n;
    }
    if (done) inode_->accessed = now();
    return done;
  }
  Outcome<size_t> put(Buffers from, uint64_t offset) {
    if (!write_) return Status(EBADF);
    uint64_t size = 0;
    for (const iovec& v : from) size += v.iov_len;
    if (size == 0) return size_t{0};
    uint64_t end = 0;
    if (__builtin_add_overflow(offset, size, &end)) return Status(EFBIG);
    if (end > inode_->data.size()) HOST_TRY(volume_->resize(*inode_, end));
    for (const iovec& v : from) {
      std::copy_n(static_cast<const uint8_t*>(v.iov_base), v.iov_len, inode_->data.data() + offset);
      offset += v.iov_len;
    }
    touch(*inode_);
    return size_t(size);
  }

  const VolumeRef volume_;
  const InodeRef inode_;
  const bool read_, write_;
  FileFlags flags_;
  uint64_t position_ = 0;
};

class MemoryDirectory final : public Directory {
 public:
  MemoryDirectory(VolumeRef volume, InodeRef inode, bool read_only)
      : volume_(std::move(volume)), inode_(std::move(inode)) {
    read_only_ = read_only;
  }

  Outcome<Stat> stat() const override {
    const Lock lock(volume_->mutex);
    return volume_->stat(*inode_);
  }
  Status set_times(const NewTime& accessed, const NewTime& modified) override {
    return set_times_at(".", true, accessed, modified);
  }
  Status list(const std::function<void(const DirectoryEntry&)>& take) const override {
    std::vector<std::pair<std::string, InodeRef>> entries;
    {
      const Lock lock(volume_->mutex);
      entries.assign(inode_->entries.begin(), inode_->entries.end());
    }
    for (const auto& [name, i] : entries) take({name, i->number, i->type});
    return {};
  }
  Outcome<Opened> open(std::string_view path, const OpenOptions& options) override;
  Outcome<Stat> stat_at(std::string_view path, bool follow) const override {
    const Lock lock(volume_->mutex);
    HOST_LET(i, existing(inode_, path, follow));
    return volume_->stat(*i);
  }
  Status set_times_at(std::string_view path, bool follow, const NewTime& accessed,
                      const NewTime& modified) override {
    if (read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    HOST_LET(i, existing(inode_, path, follow));
    set(i->accessed, accessed);
    set(i->modified, modified);
    i->changed = now();
    return {};
  }
  Status create_directory(std::string_view path) override {
    if (read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    HOST_LET(place, vacant(inode_, path));
    HOST_LET(made, volume_->add(*place.parent, place.name, FileType::Directory));
    made->parent = place.parent;
    return {};
  }
  Status remove_directory(std::string_view path) override {
    if (read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    HOST_LET(place, find(inode_, path, Follow::Never));
    if (!place.inode) return Status(ENOENT);
    if (!place.inode->is_directory()) return Status(ENOTDIR);
    if (place.name == ".") return Status(EINVAL);
    if (!place.inode->entries.empty()) return Status(ENOTEMPTY);
    volume_->remove(*place.parent, place.name);
    return {};
  }
  Status unlink(std::string_view path) override {
    if (read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    HOST_LET(place, find(inode_, path, Follow::Never));
    if (!place.inode) return Status(ENOENT);
    if (place.inode->is_directory()) return Status(EISDIR);
    volume_->remove(*place.parent, place.name);
    return {};
  }
  Status rename(std::string_view path, Directory& to, std::string_view new_path) override;
  Status link(std::string_view path, bool follow, Directory& to,
              std::string_view new_path) override {
    auto* const other = dynamic_cast<MemoryDirectory*>(&to);
    if (!other || other->volume_ != volume_) return Status(EXDEV);
    if (read_only_ || other->read_only_) return Status(EPERM);
    const Lock lock(volume_->mutex);
    HOST_LET(i, existing(inode_, path, follow));
    if (i->is_directory()) return Status(EPERM);
    HOST_LET(place, vacant(other->inode_, new_path));
    if (place.must_be_dir) return Status(ENOENT);
    HOST_TRY(volume_->take(place.name.size() + kOfEntry +
                           (i->type == FileType::SymbolicLink ? i->target.size() : 0)));
    place.parent->entries[place.name] = i;
    ++i->links;
    i->changed = now();
    touch(*place.parent);
    return {};
  }
  Status symlink(std::string_view target, std::string_view path) override {
    if (read_only_ || target.starts_with('/')) return Status(EPERM);
    if (target.empty() || target.find('\0') != target.npos) return Status(ENOENT);
    if (target.size() >= kMaxPath) return Status(ENAMETOOLONG);
    const Lock lock(volume_->mutex);
    HOST_LET(place, vacant(inode_, path));
    if (place.must_be_dir) return Status(ENOENT);
    HOST_LET(made, volume_->add(*place.parent, place.name, FileType::SymbolicLink, target.size()));
    made->target = target;
    return {};
  }
  Outcome<std::string> read_link(std::string_view path) const override {
    const Lock lock(volume_->mutex);
    HOST_LET(i, existing(inode_, path, false));
    if (i->type != FileType::SymbolicLink) return Status(EINVAL);
    return i->target;
  }

 private:
  const VolumeRef volume_;
  const InodeRef inode_;
};

Outcome<Opened> MemoryDirectory::open(std::string_view path, const OpenOptions& o) {
  const Lock lock(volume_->mutex);
  if (o.create && o.directory) return Status(EINVAL);
  HOST_LET(place, find(inode_, path,
                       o.create && o.exclusive ? Follow::Never
                       : o.follow              ? Follow::Always
                                               : Follow::IfSlash));
  InodeRef inode = place.inode;
  if (inode && o.create && o.exclusive) return Status(EEXIST);
  if (!inode) {
    if (!o.create) return Status(ENOENT);
    if (read_only_) return Status(EPERM);
    if (place.must_be_dir) return Status(EISDIR);
    if (place.parent->removed) return Status(ENOENT);
    HOST_LET(made, volume_->add(*place.parent, place.name, FileType::RegularFile));
    inode = made;
  }
  if (inode->type == FileType::SymbolicLink) return Status(ELOOP);
  if (inode->is_directory()) {
    if (o.write || o.create || o.truncate) return Status(EISDIR);
    return Opened{nullptr, std::make_shared<MemoryDirectory>(volume_, inode, read_only_)};
  }
  if (o.directory) return Status(ENOTDIR);
  if (read_only_ && (o.write || o.truncate)) return Status(EPERM);
  if (o.truncate) {
    HOST_TRY(volume_->resize(*inode, 0));
    touch(*inode);
  }
  return Opened{std::make_shared<MemoryFile>(volume_, inode, o, read_only_), nullptr};
}

Status MemoryDirectory::rename(std::string_view path, Directory& to, std::string_view new_path) {
  auto* const other = dynamic_cast<MemoryDirectory*>(&to);
  if (!other || other->volume_ != volume_) return Status(EXDEV);
  if (read_only_ || other->read_only_) return Status(EPERM);
  const Lock lock(volume_->mutex);
  HOST_LET(from, find(inode_, path, Follow::Never));
  if (!from.inode) return Status(ENOENT);
  HOST_LET(place, find(other->inode_, new_path, Follow::Never));
  if (from.name == "." || place.name == ".") return Status(EBUSY);
  if (place.parent->removed) return Status(ENOENT);
  const InodeRef i = from.inode;
  if (place.must_be_dir && !i->is_directory()) return Status(ENOTDIR);
  if (place.inode == i) return {};
  if (i->is_directory())
    for (InodeRef above = place.parent; above; above = above->parent.lock())
      if (above == i) return Status(EINVAL);
  if (place.inode) {
    if (place.inode->is_directory() && !i->is_directory()) return Status(EISDIR);
    if (!place.inode->is_directory() && i->is_directory()) return Status(ENOTDIR);
    if (!place.inode->entries.empty()) return Status(ENOTEMPTY);
  }
  if (place.name.size() > from.name.size())
    HOST_TRY(volume_->take(place.name.size() - from.name.size()));
  else
    volume_->used -= from.name.size() - place.name.size();
  if (place.inode) volume_->remove(*place.parent, place.name);
  from.parent->entries.erase(from.name);
  place.parent->entries[place.name] = i;
  if (i->is_directory()) i->parent = place.parent;
  i->changed = now();
  touch(*from.parent);
  touch(*place.parent);
  return {};
}

}  // namespace

MemoryFs::MemoryFs(uint64_t capacity) : volume_(std::make_shared<Volume>()) {
  volume_->capacity = capacity;
}
MemoryFs::~MemoryFs() = default;

DirectoryRef MemoryFs::root(bool read_only) const {
  return std::make_shared<MemoryDirectory>(volume_, volume_->root, read_only);
}

Status MemoryFs::put(std::string_view path, Bytes bytes) {
  while (path.starts_with('/')) path.remove_prefix(1);
  const DirectoryRef all = root();
  for (size_t at = path.find('/'); at != path.npos; at = path.find('/', at + 1)) {
    const Status made = all->create_directory(path.substr(0, at));
    if (!made.ok() && made.code() != EEXIST) return made;
  }
  OpenOptions options;
  options.write = options.create = options.truncate = options.follow = true;
  HOST_LET(opened, all->open(path, options));
  const iovec v{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  const Outcome<size_t> written = opened.file->write_at(Buffers(&v, 1), 0);
  return written ? Status() : written.status();
}

Outcome<std::string> MemoryFs::get(std::string_view path) const {
  while (path.starts_with('/')) path.remove_prefix(1);
  OpenOptions options;
  options.read = options.follow = true;
  HOST_LET(opened, root()->open(path, options));
  if (!opened.file) return Status(EISDIR);
  HOST_LET(stat, opened.file->stat());
  std::string out(stat.size, '\0');
  const iovec v{out.data(), out.size()};
  HOST_LET(n, opened.file->read_at(Buffers(&v, 1), 0));
  out.resize(n);
  return out;
}

}  // namespace wafer::host
