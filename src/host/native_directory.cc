// Directories of the operating system.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "host/native_file.h"
#include "host/resolve.h"

namespace wafer::host {

namespace {

Follow lookup(bool follow) { return follow ? Follow::Always : Follow::IfSlash; }

// Looks up what is at `place`, never following a link there.
Status stat_place(const Place& place, struct stat& st) {
  if (fstatat(place.parent(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return Status::last();
  return place.must_be_dir && !S_ISDIR(st.st_mode) ? Status(ENOTDIR) : Status();
}

// The same, only if the path ended in a slash.
Status check_slash(const Place& place) {
  struct stat st;
  return place.must_be_dir ? stat_place(place, st) : Status();
}

// A name that ends in a slash can only be given to a directory.
Status refuse_slash(const Place& place) {
  if (!place.must_be_dir) return {};
  struct stat st;
  if (fstatat(place.parent(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
    return Status::last();
  return Status(S_ISDIR(st.st_mode) ? EEXIST : ENOTDIR);
}

class NativeDirectory final : public Directory {
 public:
  NativeDirectory(UniqueFd fd, bool read_only) : fd_(std::move(fd)) { read_only_ = read_only; }

  int fd() const override { return fd_.get(); }

  Outcome<Stat> stat() const override {
    struct stat st;
    if (fstat(fd(), &st) != 0) return Status::last();
    return stat_of(st);
  }
  Status set_times(const NewTime& accessed, const NewTime& modified) override {
    HOST_TRY(changes());
    timespec times[2];
    host_times(accessed, modified, times);
    return Status::of(futimens(fd(), times));
  }
  Status sync(bool data_only) override { return sync_fd(fd(), data_only); }
  FileFlags flags() const override { return flags_of(fd()); }
  Status set_flags(const FileFlags& flags) override { return set_flags_of(fd(), flags); }

  Status list(const std::function<void(const DirectoryEntry&)>& take) const override;
  Outcome<Opened> open(std::string_view path, const OpenOptions& options) override;

  Outcome<Stat> stat_at(std::string_view path, bool follow) const override {
    Place place;
    struct stat st;
    HOST_TRY(resolve(fd(), path, lookup(follow), place));
    HOST_TRY(stat_place(place, st));
    return stat_of(st);
  }

  Status set_times_at(std::string_view path, bool follow, const NewTime& accessed,
                      const NewTime& modified) override {
    Place place;
    HOST_TRY(changes());
    HOST_TRY(resolve(fd(), path, lookup(follow), place));
    HOST_TRY(check_slash(place));
    timespec times[2];
    host_times(accessed, modified, times);
    return Status::of(utimensat(place.parent(), place.name.c_str(), times, AT_SYMLINK_NOFOLLOW));
  }

  Status create_directory(std::string_view path) override {
    Place place;
    HOST_TRY(changes());
    HOST_TRY(resolve(fd(), path, Follow::Never, place));
    return Status::of(mkdirat(place.parent(), place.name.c_str(), 0777));
  }

  Status remove_directory(std::string_view path) override {
    Place place;
    HOST_TRY(changes());
    HOST_TRY(resolve(fd(), path, Follow::Never, place));
    if (unlinkat(place.parent(), place.name.c_str(), AT_REMOVEDIR) == 0) return {};
    // "link/" is what the link leads to, of which nothing is told outside.
    if (const Status failure = Status::last(); failure.code() == ENOTDIR && place.must_be_dir) {
      HOST_TRY(resolve(fd(), path, Follow::IfSlash, place));
      return failure;
    }
    return errno == EEXIST ? Status(ENOTEMPTY) : Status::last();
  }

  Status unlink(std::string_view path) override {
    Place place;
    struct stat st;
    HOST_TRY(changes());
    HOST_TRY(resolve(fd(), path, Follow::Never, place));
    if (place.must_be_dir) {
      HOST_TRY(stat_place(place, st));
      return Status(EISDIR);
    }
    if (unlinkat(place.parent(), place.name.c_str(), 0) == 0) return {};
    const Status failure = Status::last();
    // What POSIX allows for a directory.
    if (failure.code() == EPERM && stat_place(place, st).ok() && S_ISDIR(st.st_mode))
      return Status(EISDIR);
    return failure;
  }

  Status rename(std::string_view path, Directory& to, std::string_view new_path) override {
    HOST_LET(other, native(to));
    Place source, target;
    HOST_TRY(resolve(fd(), path, Follow::Never, source));
    HOST_TRY(resolve(other->fd(), new_path, Follow::Never, target));
    if (source.must_be_dir || target.must_be_dir) {
      source.must_be_dir = true;
      HOST_TRY(check_slash(source));
    }
    return Status::of(
        renameat(source.parent(), source.name.c_str(), target.parent(), target.name.c_str()));
  }

  Status link(std::string_view path, bool follow, Directory& to,
              std::string_view new_path) override {
    // A link to a file that may only be read would open it to writing.
    HOST_LET(other, native(to));
    Place source, target;
    HOST_TRY(resolve(fd(), path, lookup(follow), source));
    HOST_TRY(resolve(other->fd(), new_path, Follow::Never, target));
    HOST_TRY(check_slash(source));
    HOST_TRY(refuse_slash(target));
    return Status::of(
        linkat(source.parent(), source.name.c_str(), target.parent(), target.name.c_str(), 0));
  }

  Status symlink(std::string_view target, std::string_view path) override {
    HOST_TRY(changes());
    // It would name something of the host.
    if (target.starts_with('/')) return Status(EPERM);
    Place place;
    HOST_TRY(resolve(fd(), path, Follow::Never, place));
    HOST_TRY(refuse_slash(place));
    return Status::of(symlinkat(std::string(target).c_str(), place.parent(), place.name.c_str()));
  }

  Outcome<std::string> read_link(std::string_view path) const override {
    Place place;
    HOST_TRY(resolve(fd(), path, Follow::IfSlash, place));
    char target[PATH_MAX];
    const ssize_t n = readlinkat(place.parent(), place.name.c_str(), target, sizeof(target));
    if (n < 0) return Status::last();
    return std::string(target, size_t(n));
  }

 private:
  Status changes() const { return read_only_ ? Status(EPERM) : Status(); }
  // `to` as a directory that, like this one, may be changed.
  Outcome<NativeDirectory*> native(Directory& to) const {
    HOST_TRY(changes());
    if (to.read_only()) return Status(EPERM);
    auto* const other = dynamic_cast<NativeDirectory*>(&to);
    if (!other) return Status(EXDEV);
    return other;
  }

  UniqueFd fd_;
};

Status NativeDirectory::list(const std::function<void(const DirectoryEntry&)>& take) const {
  UniqueFd again = take_opened(openat(fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return Status::last();
  const int number = again.get();
  DIR* const dir = fdopendir(number);
  if (!dir) return Status::last();
  (void)again.release();  // closedir closes it
  for (;;) {
    errno = 0;
    const dirent* const entry = readdir(dir);
    if (!entry) break;
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    FileType type = FileType::Unknown;
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
      type = file_type(unsigned(DTTOIF(entry->d_type)));
    else if (fstatat(number, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
      type = file_type(st.st_mode);
    take({name, uint64_t(entry->d_ino), type});
  }
  const int error = errno;
  closedir(dir);
  return Status(error);
}

Outcome<Opened> NativeDirectory::open(std::string_view path, const OpenOptions& o) {
  if (o.write || o.create || o.truncate) HOST_TRY(changes());
  int flags = o.write || o.truncate ? (o.read ? O_RDWR : O_WRONLY) : O_RDONLY;
  if (o.create) flags |= O_CREAT;
  if (o.exclusive) flags |= O_EXCL;
  if (o.truncate) flags |= O_TRUNC;
  if (o.directory) flags |= O_DIRECTORY;
  if (o.flags.append) flags |= O_APPEND;
  if (o.flags.nonblock) flags |= O_NONBLOCK;
  if (o.flags.sync) flags |= O_SYNC;
#if defined(O_DSYNC)
  if (o.flags.data_sync) flags |= O_DSYNC;
#endif
  UniqueFd opened;
  HOST_TRY(open_beneath(fd(), path, flags, 0666, o.follow, opened));
  struct stat st;
  if (fstat(opened.get(), &st) != 0) return Status::last();
  if (S_ISDIR(st.st_mode))
    return Opened{nullptr, std::make_shared<NativeDirectory>(std::move(opened), read_only_)};
  return Opened{wrap_file(std::move(opened), read_only_, &st), nullptr};
}

}  // namespace

Outcome<DirectoryRef> open_directory(const std::string& path, bool read_only) {
  UniqueFd fd = take_opened(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Status::last();
  return DirectoryRef(std::make_shared<NativeDirectory>(std::move(fd), read_only));
}

}  // namespace wafer::host
