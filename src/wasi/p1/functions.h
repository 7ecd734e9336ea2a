// The functions of WASI 0.1, in the order of the witx. Preview 0 differs from it in a record or
// an enumeration of some.
#pragma once

#include "wasi/p1/call.h"

namespace wafer::wasi {

Errno args_get(Call& c, uint32_t argv, uint32_t buffer);
Errno args_sizes_get(Call& c, uint32_t count, uint32_t size);
Errno environ_get(Call& c, uint32_t environ, uint32_t buffer);
Errno environ_sizes_get(Call& c, uint32_t count, uint32_t size);
Errno clock_res_get(Call& c, uint32_t id, uint32_t result);
Errno clock_time_get(Call& c, uint32_t id, uint64_t, uint32_t result);
Errno fd_advise(Call& c, uint32_t fd, uint64_t offset, uint64_t length, uint32_t advice);
Errno fd_allocate(Call& c, uint32_t fd, uint64_t offset, uint64_t length);
Errno fd_close(Call& c, uint32_t fd);
Errno fd_datasync(Call& c, uint32_t fd);
Errno fd_fdstat_get(Call& c, uint32_t fd, uint32_t result);
Errno fd_fdstat_set_flags(Call& c, uint32_t fd, uint32_t flags);
Errno fd_fdstat_set_rights(Call& c, uint32_t fd, uint64_t base, uint64_t inheriting);
template <bool kPreview0>
Errno fd_filestat_get(Call& c, uint32_t fd, uint32_t result);
Errno fd_filestat_set_size(Call& c, uint32_t fd, uint64_t size);
Errno fd_filestat_set_times(Call& c, uint32_t fd, uint64_t atim, uint64_t mtim, uint32_t flags);
Errno fd_pread(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
               uint32_t result);
Errno fd_prestat_get(Call& c, uint32_t fd, uint32_t result);
Errno fd_prestat_dir_name(Call& c, uint32_t fd, uint32_t path, uint32_t length);
Errno fd_pwrite(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint64_t offset,
                uint32_t result);
Errno fd_read(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result);
Errno fd_readdir(Call& c, uint32_t fd, uint32_t buffer, uint32_t length, uint64_t cookie,
                 uint32_t result);
Errno fd_renumber(Call& c, uint32_t from, uint32_t to);
template <bool kPreview0>
Errno fd_seek(Call& c, uint32_t fd, int64_t offset, uint32_t whence, uint32_t result);
Errno fd_sync(Call& c, uint32_t fd);
Errno fd_tell(Call& c, uint32_t fd, uint32_t result);
Errno fd_write(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t result);
Errno path_create_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length);
template <bool kPreview0>
Errno path_filestat_get(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                        uint32_t result);
Errno path_filestat_set_times(Call& c, uint32_t fd, uint32_t flags, uint32_t path, uint32_t length,
                              uint64_t atim, uint64_t mtim, uint32_t fst_flags);
Errno path_link(Call& c, uint32_t old_fd, uint32_t old_flags, uint32_t old_path,
                uint32_t old_length, uint32_t new_fd, uint32_t new_path, uint32_t new_length);
Errno path_open(Call& c, uint32_t fd, uint32_t dirflags, uint32_t path, uint32_t length,
                uint32_t oflags, uint64_t base, uint64_t, uint32_t fdflags, uint32_t result);
Errno path_readlink(Call& c, uint32_t fd, uint32_t path, uint32_t length, uint32_t buffer,
                    uint32_t size, uint32_t result);
Errno path_remove_directory(Call& c, uint32_t fd, uint32_t path, uint32_t length);
Errno path_rename(Call& c, uint32_t old_fd, uint32_t old_path, uint32_t old_length, uint32_t new_fd,
                  uint32_t new_path, uint32_t new_length);
Errno path_symlink(Call& c, uint32_t old_path, uint32_t old_length, uint32_t fd, uint32_t new_path,
                   uint32_t new_length);
Errno path_unlink_file(Call& c, uint32_t fd, uint32_t path, uint32_t length);
Errno proc_raise(Call& c, uint32_t signal);
Errno sched_yield_(Call&);
Errno random_get(Call& c, uint32_t buffer, uint32_t length);
Errno sock_accept(Call& c, uint32_t fd, uint32_t flags, uint32_t result);
Errno sock_recv(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t flags,
                uint32_t size_at, uint32_t flags_at);
Errno sock_send(Call& c, uint32_t fd, uint32_t list, uint32_t length, uint32_t flags,
                uint32_t result);
Errno sock_shutdown(Call& c, uint32_t fd, uint32_t how);

// poll_oneoff.
template <bool kPreview0>
Errno poll(Call& c, uint32_t in, uint32_t out, uint32_t count, uint32_t result);

// Ends the program, as proc_exit does.
void exit_with(Call& c, int32_t code);

}  // namespace wafer::wasi
