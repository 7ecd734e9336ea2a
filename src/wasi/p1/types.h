// Types and constants of the preview 1 witx, in its own terms.
#pragma once

#include <cstdint>

#include "host/fs.h"

namespace wafer::wasi {

enum class Errno : uint16_t {
  kSuccess = 0,
  k2Big,
  kAcces,
  kAddrInUse,
  kAddrNotAvail,
  kAfNoSupport,
  kAgain,
  kAlready,
  kBadf,
  kBadMsg,
  kBusy,
  kCanceled,
  kChild,
  kConnAborted,
  kConnRefused,
  kConnReset,
  kDeadlk,
  kDestAddrReq,
  kDom,
  kDquot,
  kExist,
  kFault,
  kFbig,
  kHostUnreach,
  kIdrm,
  kIlseq,
  kInProgress,
  kIntr,
  kInval,
  kIo,
  kIsConn,
  kIsDir,
  kLoop,
  kMfile,
  kMlink,
  kMsgSize,
  kMultihop,
  kNameTooLong,
  kNetDown,
  kNetReset,
  kNetUnreach,
  kNfile,
  kNoBufs,
  kNoDev,
  kNoEnt,
  kNoExec,
  kNoLck,
  kNoLink,
  kNoMem,
  kNoMsg,
  kNoProtoOpt,
  kNoSpc,
  kNoSys,
  kNotConn,
  kNotDir,
  kNotEmpty,
  kNotRecoverable,
  kNotSock,
  kNotSup,
  kNotTy,
  kNxio,
  kOverflow,
  kOwnerDead,
  kPerm,
  kPipe,
  kProto,
  kProtoNoSupport,
  kPrototype,
  kRange,
  kRofs,
  kSpipe,
  kSrch,
  kStale,
  kTimedOut,
  kTxtBsy,
  kXdev,
  kNotCapable,
};

// The WASI number of a host errno.
Errno errno_of(int host_errno);
inline Errno errno_of(host::Status status) {
  return status.ok() ? Errno::kSuccess : errno_of(status.code());
}

enum class Filetype : uint8_t {
  kUnknown,
  kBlockDevice,
  kCharacterDevice,
  kDirectory,
  kRegularFile,
  kSocketDgram,
  kSocketStream,
  kSymbolicLink,
};

Filetype filetype_of(host::FileType type);

using Rights = uint64_t;
namespace rights {
inline constexpr Rights kFdDatasync = 1ull << 0, kFdRead = 1ull << 1, kFdSeek = 1ull << 2,
                        kFdFdstatSetFlags = 1ull << 3, kFdSync = 1ull << 4, kFdTell = 1ull << 5,
                        kFdWrite = 1ull << 6, kFdAdvise = 1ull << 7, kFdAllocate = 1ull << 8,
                        kPathCreateDirectory = 1ull << 9, kPathCreateFile = 1ull << 10,
                        kPathLinkSource = 1ull << 11, kPathLinkTarget = 1ull << 12,
                        kPathOpen = 1ull << 13, kFdReaddir = 1ull << 14, kPathReadlink = 1ull << 15,
                        kPathRenameSource = 1ull << 16, kPathRenameTarget = 1ull << 17,
                        kPathFilestatGet = 1ull << 18, kPathFilestatSetSize = 1ull << 19,
                        kPathFilestatSetTimes = 1ull << 20, kFdFilestatGet = 1ull << 21,
                        kFdFilestatSetSize = 1ull << 22, kFdFilestatSetTimes = 1ull << 23,
                        kPathSymlink = 1ull << 24, kPathRemoveDirectory = 1ull << 25,
                        kPathUnlinkFile = 1ull << 26, kPollFdReadwrite = 1ull << 27,
                        kSockShutdown = 1ull << 28, kSockAccept = 1ull << 29;
inline constexpr Rights kAll = (1ull << 30) - 1;

// Rights that mean something for each kind of descriptor.
inline constexpr Rights kDirectory =
    kFdFdstatSetFlags | kFdSync | kFdDatasync | kFdAdvise | kPathCreateDirectory | kPathCreateFile |
    kPathLinkSource | kPathLinkTarget | kPathOpen | kFdReaddir | kPathReadlink | kPathRenameSource |
    kPathRenameTarget | kPathFilestatGet | kPathFilestatSetSize | kPathFilestatSetTimes |
    kFdFilestatGet | kFdFilestatSetTimes | kPathSymlink | kPathRemoveDirectory | kPathUnlinkFile |
    kPollFdReadwrite;
inline constexpr Rights kStream = kFdRead | kFdWrite | kFdFdstatSetFlags | kFdSync | kFdDatasync |
                                  kFdFilestatGet | kPollFdReadwrite;
inline constexpr Rights kFile = kStream | kFdSeek | kFdTell | kFdAdvise | kFdAllocate |
                                kFdFilestatSetSize | kFdFilestatSetTimes;
inline constexpr Rights kSocket =
    kFdRead | kFdWrite | kFdFdstatSetFlags | kFdFilestatGet | kPollFdReadwrite | kSockShutdown;
inline constexpr Rights kListener =
    kSockAccept | kFdFdstatSetFlags | kFdFilestatGet | kPollFdReadwrite | kSockShutdown;

// Rights that a read-only grant does not pass on.
inline constexpr Rights kChanges =
    kFdWrite | kFdAllocate | kPathCreateDirectory | kPathCreateFile | kPathLinkSource |
    kPathLinkTarget | kPathRenameSource | kPathRenameTarget | kPathFilestatSetSize |
    kPathFilestatSetTimes | kFdFilestatSetSize | kFdFilestatSetTimes | kPathSymlink |
    kPathRemoveDirectory | kPathUnlinkFile;
// Rights that mean nothing without writing.
inline constexpr Rights kWrites = kFdWrite | kFdAllocate | kFdFilestatSetSize;
}  // namespace rights

namespace fdflags {
inline constexpr uint16_t kAppend = 1, kDsync = 2, kNonblock = 4, kRsync = 8, kSync = 16;
inline constexpr uint16_t kAll = 31;
}  // namespace fdflags

namespace oflags {
inline constexpr uint16_t kCreat = 1, kDirectory = 2, kExcl = 4, kTrunc = 8, kAll = 15;
}  // namespace oflags

namespace fstflags {
inline constexpr uint16_t kAtim = 1, kAtimNow = 2, kMtim = 4, kMtimNow = 8, kAll = 15;
}  // namespace fstflags

inline constexpr uint32_t kLookupSymlinkFollow = 1;

enum class Whence : uint8_t { kSet, kCur, kEnd };
enum class EventType : uint8_t { kClock, kFdRead, kFdWrite };
enum class ClockId : uint32_t { kRealtime, kMonotonic, kProcessCputime, kThreadCputime };

// Sizes and offsets of records in guest memory.
inline constexpr uint32_t kDirentSize = 24;
inline constexpr uint32_t kFdstatSize = 24;
inline constexpr uint32_t kPrestatSize = 8;
inline constexpr uint32_t kEventSize = 32;
inline constexpr uint32_t kIovecSize = 8;

}  // namespace wafer::wasi
