// libarchive, opened when there is an archive: with the libraries that it needs, it would take a
// quarter of the time that the tool takes to start.
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "base/result.h"

namespace wafer::oci {

// Its functions that are called here.
#define WAFER_LIBARCHIVE(F)                \
  F(archive_entry_copy_hardlink)           \
  F(archive_entry_copy_pathname)           \
  F(archive_entry_filetype)                \
  F(archive_entry_free)                    \
  F(archive_entry_hardlink)                \
  F(archive_entry_new)                     \
  F(archive_entry_pathname)                \
  F(archive_entry_perm)                    \
  F(archive_entry_set_filetype)            \
  F(archive_entry_set_mtime)               \
  F(archive_entry_set_pathname)            \
  F(archive_entry_set_perm)                \
  F(archive_entry_set_size)                \
  F(archive_entry_size)                    \
  F(archive_error_string)                  \
  F(archive_read_data)                     \
  F(archive_read_free)                     \
  F(archive_read_new)                      \
  F(archive_read_next_header)              \
  F(archive_read_open_filename)            \
  F(archive_read_open_memory)              \
  F(archive_read_support_filter_gzip)      \
  F(archive_read_support_filter_zstd)      \
  F(archive_read_support_format_tar)       \
  F(archive_write_add_filter_none)         \
  F(archive_write_close)                   \
  F(archive_write_data)                    \
  F(archive_write_disk_new)                \
  F(archive_write_disk_set_options)        \
  F(archive_write_finish_entry)            \
  F(archive_write_free)                    \
  F(archive_write_header)                  \
  F(archive_write_new)                     \
  F(archive_write_open)                    \
  F(archive_write_set_bytes_in_last_block) \
  F(archive_write_set_format_ustar)

struct LibArchive {
#define WAFER_MEMBER(name) decltype(&::name) name = nullptr;
  WAFER_LIBARCHIVE(WAFER_MEMBER)
#undef WAFER_MEMBER
};

// Unsupported, with the reason, if it is not there. From any thread.
Result<LibArchive> libarchive();

}  // namespace wafer::oci
