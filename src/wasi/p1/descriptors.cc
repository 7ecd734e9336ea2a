// Functions on descriptors.
#include <errno.h>

#include "wasi/p1/access.h"
#include "wasi/p1/filestat.h"
#include "wasi/p1/functions.h"

namespace wafer::wasi {

namespace {

// Runs `f` until no signal interrupts it, or the guest is to be.
template <class F>
Errno until_done(Call& c, F f) {
  for (;;) {
    const host::Status s = f();
    if (s.code() != EINTR) return errno_of(s);
    if (c.interrupted()) return Errno::kIntr;
  }
}

}  // namespace

Errno fd_advise(Call& c, uint32_t fd, uint64_t offset, uint64_t length, uint32_t advice) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->directory) return Errno::kBadf;
  if (!d->file->seekable() && !d->is_socket()) return Errno::kSpipe;
  if (!has_rights(*d, rights::kFdAdvise)) return Errno::kNotCapable;
  if (advice > uint32_t(host::Advice::NoReuse)) return Errno::kInval;
  return errno_of(d->file->advise(offset, length, host::Advice(advice)));
}

Errno fd_allocate(Call& c, uint32_t fd, uint64_t offset, uint64_t length) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, 0, d));
  if (d->file->read_only()) return Errno::kPerm;
  WASI_TRY(check_rights(*d, rights::kFdAllocate));
  if (length == 0) return Errno::kInval;
  return until_done(c, [&] { return d->file->allocate(offset, length); });
}

Errno fd_close(Call& c, uint32_t fd) { return c.p1.table.remove(fd); }

namespace {

Errno sync(Call& c, uint32_t fd, Rights right, bool data_only) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, right, d));
  return until_done(c, [&] { return d->node().sync(data_only); });
}

uint16_t present_fdflags(const Descriptor& d) {
  const host::FileFlags host = d.node().flags();
  uint16_t flags = 0;
  if (host.append) flags |= fdflags::kAppend;
  if (host.sync) flags |= fdflags::kSync;
  if (host.data_sync) flags |= fdflags::kDsync;
  if (d.nonblock.load(std::memory_order_relaxed)) flags |= fdflags::kNonblock;
  return flags;
}

}  // namespace

Errno fd_datasync(Call& c, uint32_t fd) { return sync(c, fd, rights::kFdDatasync, true); }

Errno fd_fdstat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, kFdstatSize)) return Errno::kFault;
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  c.zero(result, kFdstatSize);
  c.store<uint8_t>(result, uint8_t(d->type));
  c.store<uint16_t>(uint64_t(result) + 2, present_fdflags(*d));
  c.store<uint64_t>(uint64_t(result) + 8, d->base.load(std::memory_order_relaxed));
  c.store<uint64_t>(uint64_t(result) + 16, d->inheriting.load(std::memory_order_relaxed));
  return Errno::kSuccess;
}

Errno fd_fdstat_set_flags(Call& c, uint32_t fd, uint32_t flags) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, rights::kFdFdstatSetFlags, d));
  if (flags & ~uint32_t(fdflags::kAll)) return Errno::kInval;
  // The host fixes synchronous modes when a file is opened.
  constexpr uint16_t kSyncs = fdflags::kDsync | fdflags::kRsync | fdflags::kSync;
  const uint16_t present = present_fdflags(*d);
  if ((flags & kSyncs) & ~present) return Errno::kNotSup;
  const bool nonblock = flags & fdflags::kNonblock;
  if (!d->is_stdio) {
    host::FileFlags wanted;
    wanted.append = flags & fdflags::kAppend;
    wanted.nonblock = nonblock;
    WASI_TRY(errno_of(d->node().set_flags(wanted)));
  } else if ((flags ^ present) & fdflags::kAppend && d->type == Filetype::kRegularFile) {
    return Errno::kNotSup;  // standard streams belong to the host
  }
  d->nonblock.store(nonblock, std::memory_order_relaxed);
  return Errno::kSuccess;
}

Errno fd_fdstat_set_rights(Call& c, uint32_t fd, uint64_t base, uint64_t inheriting) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  const std::lock_guard lock(d->mutex);
  if ((base & ~d->base.load()) || (inheriting & ~d->inheriting.load())) return Errno::kNotCapable;
  d->base = base;
  d->inheriting = inheriting;
  return Errno::kSuccess;
}

template <bool kPreview0>
Errno fd_filestat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, filestat_size(kPreview0))) return Errno::kFault;
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, rights::kFdFilestatGet, d));
  WASI_LET(stat, d->node().stat());
  write_filestat(c, result, stat, d->type, kPreview0);
  return Errno::kSuccess;
}

Errno fd_filestat_set_size(Call& c, uint32_t fd, uint64_t size) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->directory) return Errno::kBadf;
  if (d->file->read_only()) return Errno::kPerm;
  if (!has_rights(*d, rights::kFdFilestatSetSize))
    return has_rights(*d, rights::kFdWrite) ? Errno::kNotCapable : Errno::kInval;
  return errno_of(d->file->set_size(size));
}

Errno fd_filestat_set_times(Call& c, uint32_t fd, uint64_t atim, uint64_t mtim, uint32_t flags) {
  DescriptorRef d;
  WASI_TRY(get_any(c, fd, 0, d));
  if (d->node().read_only()) return Errno::kPerm;
  WASI_TRY(check_rights(*d, rights::kFdFilestatSetTimes));
  host::NewTime accessed, modified;
  WASI_TRY(new_times(atim, mtim, flags, accessed, modified));
  return errno_of(d->node().set_times(accessed, modified));
}

Errno fd_pread(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
               uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, rights::kFdRead | rights::kFdSeek, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  return transfer(c, *d, false, result, [&] { return d->file->read_at(v.buffers(), offset); });
}

Errno fd_prestat_get(Call& c, uint32_t fd, uint32_t result) {
  if (!c.in_bounds(result, kPrestatSize)) return Errno::kFault;
  const DescriptorRef d = c.p1.table.get(fd);
  if (!d || !d->is_preopen) return Errno::kBadf;
  c.zero(result, kPrestatSize);
  c.store<uint32_t>(uint64_t(result) + 4, uint32_t(d->preopen_name.size()));
  return Errno::kSuccess;
}

Errno fd_prestat_dir_name(Call& c, uint32_t fd, uint32_t path, uint32_t length) {
  const DescriptorRef d = c.p1.table.get(fd);
  if (!d || !d->is_preopen) return Errno::kBadf;
  if (length < d->preopen_name.size()) return Errno::kNameTooLong;
  if (!c.in_bounds(path, d->preopen_name.size())) return Errno::kFault;
  std::memcpy(c.at(path), d->preopen_name.data(), d->preopen_name.size());
  return Errno::kSuccess;
}

Errno fd_pwrite(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
                uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_seekable(c, fd, rights::kFdWrite | rights::kFdSeek, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  return transfer(c, *d, true, result, [&] { return d->file->write_at(v.buffers(), offset); });
}

Errno fd_read(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_file(c, fd, rights::kFdRead, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  if (v.total == 0) {  // must not wait, nor can it tell anything
    c.store<uint32_t>(result, 0);
    return Errno::kSuccess;
  }
  return transfer(c, *d, false, result, [&] { return d->file->read(v.buffers()); });
}

namespace {

// Lists a whole directory, "." and ".." first.
Errno list_directory(Descriptor& d, Listing& listing) {
  listing.entries.clear();
  listing.names.clear();
  listing.valid = false;
  const auto add = [&](const host::DirectoryEntry& entry) {
    if (listing.names.size() + entry.name.size() > UINT32_MAX) return;
    listing.entries.push_back({entry.inode, uint32_t(listing.names.size()),
                               uint32_t(entry.name.size()), filetype_of(entry.type)});
    listing.names += entry.name;
  };
  WASI_LET(self, d.directory->stat());
  add({".", self.inode, host::FileType::Directory});
  // What is above a directory is not for every guest to know.
  add({"..", self.inode, host::FileType::Directory});
  WASI_TRY(errno_of(d.directory->list(add)));
  listing.valid = true;
  return Errno::kSuccess;
}

}  // namespace

Errno fd_readdir(Call& c, uint32_t fd, uint32_t buffer, uint32_t length, uint64_t cookie,
                 uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_dir(c, fd, rights::kFdReaddir, d));
  if (!c.in_bounds(buffer, length) || !c.in_bounds(result, 4)) return Errno::kFault;
  const std::lock_guard lock(d->mutex);
  Listing& listing = d->listing;
  if (cookie == 0 || !listing.valid) WASI_TRY(list_directory(*d, listing));

  uint32_t used = 0;
  for (uint64_t i = cookie; i < listing.entries.size() && used < length; ++i) {
    const Listing::Entry& entry = listing.entries[i];
    uint8_t header[kDirentSize] = {};
    store_le<uint64_t>(header, i + 1);
    store_le<uint64_t>(header + 8, entry.inode);
    store_le<uint32_t>(header + 16, entry.name_length);
    header[20] = uint8_t(entry.type);
    const auto put = [&](const void* data, uint32_t size) {
      const uint32_t n = std::min(size, length - used);
      std::memcpy(c.at(buffer + used), data, n);
      used += n;
    };
    put(header, kDirentSize);
    put(listing.names.data() + entry.name_offset, entry.name_length);
  }
  c.store<uint32_t>(result, used);
  return Errno::kSuccess;
}

Errno fd_renumber(Call& c, uint32_t from, uint32_t to) { return c.p1.table.renumber(from, to); }

namespace {

Errno seek(Call& c, uint32_t fd, int64_t offset, Whence whence, uint32_t result) {
  if (!c.in_bounds(result, 8)) return Errno::kFault;
  DescriptorRef d;
  // Asking for the position is telling it.
  const bool tells = offset == 0 && whence == Whence::kCur;
  WASI_TRY(get_seekable(c, fd, 0, d));
  if (!has_rights(*d, rights::kFdSeek) && !(tells && has_rights(*d, rights::kFdTell)))
    return d->file->may_block() ? Errno::kSpipe : Errno::kNotCapable;
  WASI_LET(at, d->file->seek(offset, host::SeekFrom(whence)));
  c.store<uint64_t>(result, at);
  return Errno::kSuccess;
}

}  // namespace

template <bool kPreview0>
Errno fd_seek(Call& c, uint32_t fd, int64_t offset, uint32_t whence, uint32_t result) {
  static constexpr Whence kOrder0[] = {Whence::kCur, Whence::kEnd, Whence::kSet};
  if (whence > 2) return Errno::kInval;
  return seek(c, fd, offset, kPreview0 ? kOrder0[whence] : Whence(whence), result);
}

Errno fd_sync(Call& c, uint32_t fd) { return sync(c, fd, rights::kFdSync, false); }

Errno fd_tell(Call& c, uint32_t fd, uint32_t result) {
  return seek(c, fd, 0, Whence::kCur, result);
}

Errno fd_write(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result) {
  DescriptorRef d;
  WASI_TRY(get_file(c, fd, rights::kFdWrite, d));
  IoVector v;
  WASI_TRY(v.read(c, list, length));
  if (!c.in_bounds(result, 4)) return Errno::kFault;
  // A ready pipe takes this much at once; more could wait out of our reach.
  if (d->is_pipe() && c.interruptible()) v.truncate(PIPE_BUF);
  return transfer(c, *d, true, result, [&] { return d->file->write(v.buffers()); });
}

template Errno fd_filestat_get<false>(Call&, uint32_t, uint32_t);
template Errno fd_filestat_get<true>(Call&, uint32_t, uint32_t);
template Errno fd_seek<false>(Call&, uint32_t, int64_t, uint32_t, uint32_t);
template Errno fd_seek<true>(Call&, uint32_t, int64_t, uint32_t, uint32_t);

}  // namespace wafer::wasi
