// Functions on paths.
#include <errno.h>
#include <time.h>

#include "wasi/p1/access.h"
#include "wasi/p1/filestat.h"
#include "wasi/p1/functions.h"

namespace wafer::wasi {

Errno path_create_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathCreateDirectory, d));
  WASI_TRY(c.path(path, length, name));
  return errno_of(d->directory->create_directory(name));
}

template <bool kPreview0>
Errno path_filestat_get(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                        uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathFilestatGet, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(result, filestat_size(kPreview0))) return Errno::kFault;
  if (flags & ~kLookupSymlinkFollow) return Errno::kInval;
  WASI_LET(stat, d->directory->stat_at(name, flags & kLookupSymlinkFollow));
  write_filestat(c, result, stat, filetype_of(stat.type), kPreview0);
  return Errno::kSuccess;
}

Errno path_filestat_set_times(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                              uint64_t atim, uint64_t mtim, uint32_t fst_flags) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathFilestatSetTimes, d));
  WASI_TRY(c.path(path, length, name));
  if (flags & ~kLookupSymlinkFollow) return Errno::kInval;
  host::NewTime accessed, modified;
  WASI_TRY(new_times(atim, mtim, fst_flags, accessed, modified));
  return errno_of(
      d->directory->set_times_at(name, flags & kLookupSymlinkFollow, accessed, modified));
}

Errno path_link(Call& c, uint32_t old_fd, uint32_t old_flags, uint32_t old_path,
                uint32_t old_length, uint32_t new_fd, uint32_t new_path, uint32_t new_length) {
  DescriptorRef from, to;
  std::string old_name, new_name;
  WASI_TRY(get_writable_dir(c, old_fd, rights::kPathLinkSource, from));
  WASI_TRY(get_writable_dir(c, new_fd, rights::kPathLinkTarget, to));
  WASI_TRY(c.path(old_path, old_length, old_name));
  WASI_TRY(c.path(new_path, new_length, new_name));
  // The link is made to what the name says, as with link(2).
  if (old_flags != 0) return Errno::kInval;
  return errno_of(from->directory->link(old_name, false, *to->directory, new_name));
}

Errno path_open(Call& c, uint32_t fd, uint32_t dirflags, uint32_t path, uint32_t length,
                uint32_t oflags, uint64_t base, uint64_t, uint32_t fdflags, uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathOpen, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if ((dirflags & ~kLookupSymlinkFollow) || (oflags & ~uint32_t(oflags::kAll)) ||
      (fdflags & ~uint32_t(fdflags::kAll)))
    return Errno::kInval;
  host::OpenOptions options;
  options.create = oflags & oflags::kCreat;
  options.truncate = oflags & oflags::kTrunc;
  options.exclusive = oflags & oflags::kExcl;
  options.directory = oflags & oflags::kDirectory;
  options.follow = dirflags & kLookupSymlinkFollow;
  if (options.directory && (options.create || options.truncate || options.exclusive))
    return Errno::kInval;

  // Of the rights that are asked for, reading and writing say how to open; without them
  // it is for reading, and what may be made or emptied also for writing. All others come
  // with what is opened, as far as this directory passes them on.
  const bool asks = base & (rights::kFdRead | rights::kFdWrite);
  bool reads = base & rights::kFdRead, writes = base & rights::kFdWrite;
  if (!asks) {
    reads = true;
    writes = options.create || options.truncate;
  }
  const bool read_only = d->directory->read_only();
  if (read_only && (writes || options.create || options.truncate)) return Errno::kPerm;
  Rights needed = 0;
  if (options.create) needed |= rights::kPathCreateFile;
  if (options.truncate) needed |= rights::kPathFilestatSetSize;
  WASI_TRY(check_rights(*d, needed));
  const Rights passed_on = d->inheriting.load(std::memory_order_relaxed);
  if (base & (rights::kFdRead | rights::kFdWrite) & ~passed_on) return Errno::kNotCapable;
  const Rights granted = read_only ? passed_on & ~rights::kChanges : passed_on;
  options.read = reads = reads && (passed_on & rights::kFdRead);
  options.write = writes = writes && (passed_on & rights::kFdWrite);

  const bool nonblock = fdflags & fdflags::kNonblock;
  options.flags.append = fdflags & fdflags::kAppend;
  options.flags.sync = fdflags & (fdflags::kSync | fdflags::kRsync);
  options.flags.data_sync = !options.flags.sync && (fdflags & fdflags::kDsync);

  // Opening a pipe waits for the other end; an interrupt must be able to end that.
  const bool probe = c.interruptible() && !nonblock;
  options.flags.nonblock = nonblock || probe;
  host::Opened opened;
  for (;;) {
    host::Outcome<host::Opened> outcome = d->directory->open(name, options);
    if (outcome) {
      opened = *std::move(outcome);
      break;
    }
    if (!probe || outcome.code() != ENXIO) return errno_of(outcome.status());
    const host::Outcome<host::Stat> stat = d->directory->stat_at(name, options.follow);
    if (!stat || stat->type != host::FileType::Fifo) return Errno::kNxio;
    const timespec pause = {0, long(kWaitSlice)};
    nanosleep(&pause, nullptr);  // a pipe that nobody reads yet
    if (c.interrupted()) return Errno::kIntr;
  }
  if (probe) {
    host::Node& node = opened.file ? static_cast<host::Node&>(*opened.file)
                                   : static_cast<host::Node&>(*opened.directory);
    host::FileFlags flags = options.flags;
    flags.nonblock = false;
    WASI_TRY(errno_of(node.set_flags(flags)));
  }
  DescriptorRef descriptor;
  if (opened.directory) {
    descriptor = std::make_shared<Descriptor>();
    descriptor->directory = std::move(opened.directory);
    descriptor->type = Filetype::kDirectory;
    descriptor->base = granted & rights::kDirectory;
    descriptor->inheriting = passed_on;
  } else {
    Rights allowed = granted;
    if (!reads) allowed &= ~rights::kFdRead;
    if (!writes) allowed &= ~rights::kWrites;
    descriptor = make_descriptor(std::move(opened.file), allowed);
  }
  descriptor->nonblock = nonblock;
  uint32_t number;
  WASI_TRY(c.p1.table.insert(std::move(descriptor), number));
  c.store<uint32_t>(result, number);
  return Errno::kSuccess;
}

Errno path_readlink(Call& c, uint32_t fd, uint32_t path, uint32_t length, uint32_t buffer,
                    uint32_t size, uint32_t result) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_dir(c, fd, rights::kPathReadlink, d));
  WASI_TRY(c.path(path, length, name));
  if (!c.in_bounds(buffer, size) || !c.in_bounds(result, 4)) return Errno::kFault;
  WASI_LET(target, d->directory->read_link(name));
  const size_t used = std::min(target.size(), size_t(size));
  std::memcpy(c.at(buffer), target.data(), used);
  c.store<uint32_t>(result, uint32_t(used));
  return Errno::kSuccess;
}

Errno path_remove_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathRemoveDirectory, d));
  WASI_TRY(c.path(path, length, name));
  return errno_of(d->directory->remove_directory(name));
}

Errno path_rename(Call& c, uint32_t old_fd, uint32_t old_path, uint32_t old_length, uint32_t new_fd,
                  uint32_t new_path, uint32_t new_length) {
  DescriptorRef from, to;
  std::string old_name, new_name;
  WASI_TRY(get_writable_dir(c, old_fd, rights::kPathRenameSource, from));
  WASI_TRY(get_writable_dir(c, new_fd, rights::kPathRenameTarget, to));
  WASI_TRY(c.path(old_path, old_length, old_name));
  WASI_TRY(c.path(new_path, new_length, new_name));
  return errno_of(from->directory->rename(old_name, *to->directory, new_name));
}

Errno path_symlink(Call& c, uint32_t old_path, uint32_t old_length, uint32_t fd, uint32_t new_path,
                   uint32_t new_length) {
  DescriptorRef d;
  std::string target, name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathSymlink, d));
  WASI_TRY(c.path(old_path, old_length, target));
  WASI_TRY(c.path(new_path, new_length, name));
  return errno_of(d->directory->symlink(target, name));
}

Errno path_unlink_file(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  DescriptorRef d;
  std::string name;
  WASI_TRY(get_writable_dir(c, fd, rights::kPathUnlinkFile, d));
  WASI_TRY(c.path(path, length, name));
  return errno_of(d->directory->unlink(name));
}

template Errno path_filestat_get<false>(Call&, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
template Errno path_filestat_get<true>(Call&, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);

}  // namespace wafer::wasi
