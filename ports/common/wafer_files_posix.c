/* Files of an operating system with POSIX's functions. The guest can make no links, and those
 * that are there are not followed, so what is looked at before a path is used stays true for the
 * guest that it is looked at for. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "wafer_wasi.h"
#include "wafer_wasi_errno.h"

#ifdef __RTTHREAD__
#include <rtconfig.h>
#endif
#ifdef RT_USING_DFS_V2
#include <dfs_file.h>
/* It has links, but not the function. */
static int link_stat(const char* path, struct stat* out) {
  const int status = dfs_file_lstat(path, out);
  if (status < 0) errno = status;
  return status < 0 ? -1 : 0;
}
#define lstat link_stat
#elif defined(ESP_PLATFORM) || defined(__RTTHREAD__)
/* Systems without links, and without the functions for them. */
#undef S_ISLNK
#undef AT_SYMLINK_NOFOLLOW
#define lstat stat
#endif

enum { kHostPath = 512 };

static uint16_t result(int value) { return value < 0 ? wafer_wasi_error(errno) : 0; }

/* The host's path of `path`; no part but the last is a link. */
static uint16_t host_path(void* volume, const char* path, char out[kHostPath]) {
  const size_t root = strlen(volume), size = strlen(path);
  if (root + 1 + size >= kHostPath) return WAFER_WASI_NAMETOOLONG;
  memcpy(out, volume, root);
  out[root] = 0;
  if (!size) return 0;
  out[root] = '/';
  memcpy(out + root + 1, path, size + 1);
#ifdef S_ISLNK
  for (char* at = strchr(out + root + 1, '/'); at; at = strchr(at + 1, '/')) {
    struct stat info;
    *at = 0;
    const int status = lstat(out, &info);
    *at = '/';
    if (status < 0) return wafer_wasi_error(errno);
    if (S_ISLNK(info.st_mode)) return WAFER_WASI_LOOP;
    if (!S_ISDIR(info.st_mode)) return WAFER_WASI_NOTDIR;
  }
#endif
  return 0;
}

static uint64_t nanoseconds(struct timespec time) {
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void convert(const struct stat* from, wafer_file_stat* to) {
  to->device = (uint64_t)from->st_dev;
  to->inode = (uint64_t)from->st_ino;
  to->links = (uint64_t)from->st_nlink;
  to->size = (uint64_t)from->st_size;
  to->atime = nanoseconds(from->st_atim);
  to->mtime = nanoseconds(from->st_mtim);
  to->ctime = nanoseconds(from->st_ctim);
  to->type = S_ISREG(from->st_mode)   ? WAFER_FILE_REGULAR
             : S_ISDIR(from->st_mode) ? WAFER_FILE_DIRECTORY
             : S_ISCHR(from->st_mode) ? WAFER_FILE_DEVICE
#ifdef S_ISLNK
             : S_ISLNK(from->st_mode) ? WAFER_FILE_LINK
#endif
                                      : WAFER_FILE_OTHER;
}

static uint16_t os_stat(void* volume, const char* path, wafer_file_stat* out) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  if (error) return error;
  struct stat info;
  /* The root is the host's business, and may be a link. */
  if ((*path ? lstat(host, &info) : stat(host, &info)) < 0) return wafer_wasi_error(errno);
  convert(&info, out);
  return 0;
}

static uint16_t os_stat_open(void* volume, intptr_t file, wafer_file_stat* out) {
  (void)volume;
  struct stat info;
  if (fstat((int)file, &info) < 0) return wafer_wasi_error(errno);
#ifdef __NuttX__
  /* In its FAT, that is the size before what was written last. */
  const off_t end = S_ISREG(info.st_mode) ? lseek((int)file, 0, SEEK_END) : -1;
  if (end >= 0) info.st_size = end;
#endif
  convert(&info, out);
  return 0;
}

static uint16_t os_open(void* volume, const char* path, unsigned how, intptr_t* file) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  if (error) return error;
  int flags = !(how & WAFER_OPEN_WRITE) ? O_RDONLY : how & WAFER_OPEN_READ ? O_RDWR : O_WRONLY;
  if (how & WAFER_OPEN_CREATE) flags |= O_CREAT;
  if (how & WAFER_OPEN_EXCLUSIVE) flags |= O_EXCL;
  if (how & WAFER_OPEN_TRUNCATE) flags |= O_TRUNC;
#ifdef O_NOFOLLOW
  flags |= O_NOFOLLOW;
#endif
#ifdef O_CLOEXEC
  flags |= O_CLOEXEC;
#endif
  const int fd = open(host, flags, 0666);
  *file = fd;
  return result(fd);
}

static void os_close(void* volume, intptr_t file) {
  (void)volume;
  close((int)file);
}

#if defined(__RTTHREAD__) && !defined(RT_USING_DFS_V2)
/* It lacks pread and pwrite, and may refuse to go beyond the end. */
static bool seek(int file, off_t at, off_t* end) {
  struct stat info;
  *end = -1;
  if (lseek(file, at, SEEK_SET) == at) return true;
  if (fstat(file, &info) < 0) return false;
  if (S_ISREG(info.st_mode))
    *end = info.st_size;
  else
    errno = ESPIPE;
  return false;
}
static ssize_t read_at(int file, void* out, size_t size, off_t at) {
  off_t end;
  if (seek(file, at, &end)) return read(file, out, size);
  return end >= 0 && at >= end ? 0 : -1;
}
static ssize_t write_at(int file, const void* data, size_t size, off_t at) {
  off_t end;
  if (seek(file, at, &end)) return write(file, data, size);
  if (end < 0 || at <= end || ftruncate(file, at) < 0 || !seek(file, at, &end)) return -1;
  return write(file, data, size);
}
#else
#define read_at pread
#define write_at pwrite
#endif

/* What has no positions is read and written as it comes. */
static uint16_t os_read(void* volume, intptr_t file, void* out, size_t size, uint64_t at,
                        size_t* done) {
  (void)volume;
  ssize_t got = read_at((int)file, out, size, (off_t)at);
  if (got < 0 && errno == ESPIPE) got = read((int)file, out, size);
  *done = got < 0 ? 0 : (size_t)got;
  return result((int)(got < 0 ? -1 : 0));
}

static uint16_t os_write(void* volume, intptr_t file, const void* data, size_t size, uint64_t at,
                         size_t* done) {
  (void)volume;
  ssize_t put = write_at((int)file, data, size, (off_t)at);
  if (put < 0 && errno == ESPIPE) put = write((int)file, data, size);
  *done = put < 0 ? 0 : (size_t)put;
  return result((int)(put < 0 ? -1 : 0));
}

static uint16_t os_resize(void* volume, intptr_t file, uint64_t size) {
  (void)volume;
  if (size > INT64_MAX) return WAFER_WASI_FBIG;
  return result(ftruncate((int)file, (off_t)size));
}

static uint16_t os_sync(void* volume, intptr_t file) {
  (void)volume;
  return result(fsync((int)file));
}

static uint16_t os_set_times(void* volume, const char* path, uint64_t atime, uint64_t mtime) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  if (error) return error;
#if defined(AT_FDCWD) && defined(AT_SYMLINK_NOFOLLOW)
  const struct timespec times[2] = {
      {(time_t)(atime / 1000000000u), (long)(atime % 1000000000u)},
      {(time_t)(mtime / 1000000000u), (long)(mtime % 1000000000u)},
  };
  return result(utimensat(AT_FDCWD, host, times, *path ? AT_SYMLINK_NOFOLLOW : 0));
#else
  (void)atime;
  (void)mtime;
  return WAFER_WASI_NOTSUP;
#endif
}

static uint16_t os_entry(void* volume, const char* path, uint64_t index, char name[WAFER_FILE_NAME],
                         wafer_file_stat* out) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  if (error) return error;
  DIR* const directory = opendir(host);
  if (!directory) return wafer_wasi_error(errno);
  const struct dirent* entry;
  name[0] = 0;
  while ((entry = readdir(directory)) != NULL) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
        strlen(entry->d_name) >= WAFER_FILE_NAME || index--)
      continue;
    strcpy(name, entry->d_name);
    break;
  }
  closedir(directory);
  if (!name[0]) return 0;
  memset(out, 0, sizeof *out);
  const size_t size = strlen(host), length = strlen(name);
  if (size + 1 + length >= kHostPath) return 0;
  host[size] = '/';
  memcpy(host + size + 1, name, length + 1);
  struct stat info;
  if (lstat(host, &info) == 0) convert(&info, out);
  return 0;
}

static uint16_t os_make_directory(void* volume, const char* path) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  return error ? error : result(mkdir(host, 0777));
}

static uint16_t os_remove_directory(void* volume, const char* path) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  return error ? error : result(rmdir(host));
}

static uint16_t os_remove_file(void* volume, const char* path) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  return error ? error : result(unlink(host));
}

static uint16_t os_rename(void* volume, const char* from, const char* to) {
  char host_from[kHostPath], host_to[kHostPath];
  uint16_t error = host_path(volume, from, host_from);
  if (!error) error = host_path(volume, to, host_to);
  return error ? error : result(rename(host_from, host_to));
}

const wafer_files wafer_files_posix = {
    .open = os_open,
    .close = os_close,
    .read = os_read,
    .write = os_write,
    .stat = os_stat,
    .stat_open = os_stat_open,
    .resize = os_resize,
    .sync = os_sync,
    .set_times = os_set_times,
    .entry = os_entry,
    .make_directory = os_make_directory,
    .remove_directory = os_remove_directory,
    .remove_file = os_remove_file,
    .rename = os_rename,
};
