// Metadata of files in guest memory.
#pragma once

#include "wasi/p1/call.h"

namespace wafer::wasi {

// Size of a filestat record; preview 0 has a 32-bit link count.
inline constexpr uint32_t filestat_size(bool preview0) { return preview0 ? 56 : 64; }
void write_filestat(const Call& c, uint32_t address, const host::Stat& stat, Filetype type,
                    bool preview0);

// The times to set, from a timestamp pair and fstflags.
Errno new_times(uint64_t atim, uint64_t mtim, uint32_t flags, host::NewTime& accessed,
                host::NewTime& modified);

}  // namespace wafer::wasi
