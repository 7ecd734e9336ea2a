// What the host says in the words of WASI 0.2.
#include <errno.h>

#include "wasi/p2/resources.h"

namespace wafer::wasi::p2 {

namespace {

template <class Code>
struct Row {
  int host;
  Code code;
};

template <class Code, size_t N>
Code find(const Row<Code> (&rows)[N], int host, Code otherwise) {
  for (const Row<Code>& row : rows)
    if (row.host == host) return row.code;
  return otherwise;
}

using File = filesystem_types::ErrorCode;
constexpr Row<File> kFile[] = {
    {EACCES, File::Access},
    {EAGAIN, File::WouldBlock},
    {EALREADY, File::Already},
    {EBADF, File::BadDescriptor},
    {EBUSY, File::Busy},
    {EDEADLK, File::Deadlock},
    {EDQUOT, File::Quota},
    {EEXIST, File::Exist},
    {EFBIG, File::FileTooLarge},
    {EILSEQ, File::IllegalByteSequence},
    {EINPROGRESS, File::InProgress},
    {EINTR, File::Interrupted},
    {EINVAL, File::Invalid},
    {EIO, File::Io},
    {EISDIR, File::IsDirectory},
    {ELOOP, File::Loop},
    {EMLINK, File::TooManyLinks},
    {EMSGSIZE, File::MessageSize},
    {ENAMETOOLONG, File::NameTooLong},
    {ENODEV, File::NoDevice},
    {ENOENT, File::NoEntry},
    {ENOLCK, File::NoLock},
    {ENOMEM, File::InsufficientMemory},
    {ENOSPC, File::InsufficientSpace},
    {ENOTDIR, File::NotDirectory},
    {ENOTEMPTY, File::NotEmpty},
    {ENOTRECOVERABLE, File::NotRecoverable},
    {ENOTSUP, File::Unsupported},
    {ENOSYS, File::Unsupported},
    {ENOTTY, File::NoTty},
    {ENXIO, File::NoSuchDevice},
    {EOVERFLOW, File::Overflow},
    {EPERM, File::NotPermitted},
    {EPIPE, File::Pipe},
    {EROFS, File::ReadOnly},
    {ESPIPE, File::InvalidSeek},
    {ETXTBSY, File::TextFileBusy},
    {EXDEV, File::CrossDevice},
};

using Net = sockets_network::ErrorCode;
constexpr Row<Net> kNetwork[] = {
    {EACCES, Net::AccessDenied},
    {EPERM, Net::AccessDenied},
    {EAFNOSUPPORT, Net::NotSupported},
    {EPROTONOSUPPORT, Net::NotSupported},
    {ENOPROTOOPT, Net::NotSupported},
    {ENOTSUP, Net::NotSupported},
    {EINVAL, Net::InvalidArgument},
    {EDESTADDRREQ, Net::InvalidArgument},
    {ENOMEM, Net::OutOfMemory},
    {ENOBUFS, Net::OutOfMemory},
    {ETIMEDOUT, Net::Timeout},
    {EALREADY, Net::ConcurrencyConflict},
    {EAGAIN, Net::WouldBlock},
    {EINPROGRESS, Net::WouldBlock},
    {EISCONN, Net::InvalidState},
    {ENOTCONN, Net::InvalidState},
    {EMFILE, Net::NewSocketLimit},
    {ENFILE, Net::NewSocketLimit},
    {EADDRNOTAVAIL, Net::AddressNotBindable},
    {EADDRINUSE, Net::AddressInUse},
    {EHOSTUNREACH, Net::RemoteUnreachable},
    {EHOSTDOWN, Net::RemoteUnreachable},
    {ENETUNREACH, Net::RemoteUnreachable},
    {ENETDOWN, Net::RemoteUnreachable},
    {ECONNREFUSED, Net::ConnectionRefused},
    {ECONNRESET, Net::ConnectionReset},
    {EPIPE, Net::ConnectionReset},
    {ECONNABORTED, Net::ConnectionAborted},
    {EMSGSIZE, Net::DatagramTooLarge},
};

}  // namespace

filesystem_types::ErrorCode file_error(host::Status status) {
  return find(kFile, status.code(), File::Io);
}

sockets_network::ErrorCode network_error(host::Status status) {
  return find(kNetwork, status.code(), Net::Unknown);
}

namespace filesystem_types {

std::optional<ErrorCode> filesystem_error_code(Host&, Error& err) {
  if (err.of != Error::Of::File) return std::nullopt;
  return file_error(err.status);
}

}  // namespace filesystem_types

namespace sockets_network {

std::optional<ErrorCode> network_error_code(Host&, Error& err) {
  if (err.of != Error::Of::Network) return std::nullopt;
  return network_error(err.status);
}

}  // namespace sockets_network

}  // namespace wafer::wasi::p2
