#include "wasi/p1/access.h"

namespace wafer::wasi {

Errno check_rights(const Descriptor& d, Rights needed) {
  const Rights missing = needed & ~d.base.load(std::memory_order_relaxed);
  if (missing & (rights::kFdRead | rights::kWrites)) return Errno::kBadf;
  return missing ? Errno::kNotCapable : Errno::kSuccess;
}
Errno get_any(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  return d ? check_rights(*d, needed) : Errno::kBadf;
}

Errno get_file(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (d->directory) return needed & rights::kFdRead ? Errno::kIsDir : Errno::kBadf;
  return check_rights(*d, needed);
}

Errno get_seekable(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  WASI_TRY(get_file(c, fd, 0, d));
  if (!d->file->seekable()) return Errno::kSpipe;
  return check_rights(*d, needed);
}

Errno get_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (!d->directory) return Errno::kNotDir;
  return check_rights(*d, needed);
}

Errno get_writable_dir(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  WASI_TRY(get_dir(c, fd, 0, d));
  return d->directory->read_only() ? Errno::kPerm : check_rights(*d, needed);
}

Errno get_socket(Call& c, uint32_t fd, Rights needed, DescriptorRef& d) {
  d = c.p1.table.get(fd);
  if (!d) return Errno::kBadf;
  if (!d->socket()) return Errno::kNotSock;
  return check_rights(*d, needed);
}

}  // namespace wafer::wasi
