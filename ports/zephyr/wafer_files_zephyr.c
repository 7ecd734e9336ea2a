/* Files of Zephyr's file systems. The volume is the path of a folder in one of them. They have no
 * links, and no times or numbers of files that could be asked for. */
#include <string.h>
#include <zephyr/fs/fs.h>

#include "wafer_port.h"
#include "wafer_wasi_errno.h"

enum { kHostPath = 256 };

static uint16_t result(int value) { return value < 0 ? wafer_wasi_error(value) : 0; }

static uint16_t host_path(void* volume, const char* path, char out[kHostPath]) {
  const size_t root = strlen(volume), size = strlen(path);
  if (root + 1 + size >= kHostPath) return WAFER_WASI_NAMETOOLONG;
  memcpy(out, volume, root);
  out[root] = 0;
  if (!size) return 0;
  out[root] = '/';
  memcpy(out + root + 1, path, size + 1);
  return 0;
}

static bool offset_fits(uint64_t at) { return at <= INT64_MAX && (uint64_t)(off_t)at == at; }

static void convert(const struct fs_dirent* from, wafer_file_stat* to) {
  memset(to, 0, sizeof *to);
  to->links = 1;
  to->size = from->type == FS_DIR_ENTRY_DIR ? 0 : from->size;
  to->type = from->type == FS_DIR_ENTRY_DIR ? WAFER_FILE_DIRECTORY : WAFER_FILE_REGULAR;
}

/* Not of the volume's root, which some file systems do not tell of. */
static uint16_t type_of(void* volume, const char* path, char host[kHostPath], bool* directory) {
  struct fs_dirent entry;
  uint16_t error = host_path(volume, path, host);
  if (!error) error = result(fs_stat(host, &entry));
  if (!error) *directory = entry.type == FS_DIR_ENTRY_DIR;
  return error;
}

static uint16_t z_stat(void* volume, const char* path, wafer_file_stat* out) {
  char host[kHostPath];
  uint16_t error = host_path(volume, path, host);
  if (error) return error;
  struct fs_dirent entry = {.type = FS_DIR_ENTRY_DIR};
  if (*path) {
    error = result(fs_stat(host, &entry));
  } else {
    struct fs_dir_t directory;
    fs_dir_t_init(&directory);
    error = result(fs_opendir(&directory, host));
    if (!error) fs_closedir(&directory);
  }
  if (!error) convert(&entry, out);
  return error;
}

static uint16_t z_open(void* volume, const char* path, unsigned how, intptr_t* file) {
  char host[kHostPath];
  bool directory;
  const uint16_t missing = type_of(volume, path, host, &directory);
  if (missing && (missing != WAFER_WASI_NOENT || !(how & WAFER_OPEN_CREATE))) return missing;
  if (!missing && how & WAFER_OPEN_EXCLUSIVE) return WAFER_WASI_EXIST;
  if (!missing && directory) return WAFER_WASI_ISDIR;
  fs_mode_t flags = how & WAFER_OPEN_READ ? FS_O_READ : 0;
  if (how & WAFER_OPEN_WRITE) flags |= FS_O_WRITE;
  if (how & WAFER_OPEN_CREATE) flags |= FS_O_CREATE;
  struct fs_file_t* const f = wafer_port_allocate(sizeof *f);
  if (!f) return WAFER_WASI_NOMEM;
  fs_file_t_init(f);
  uint16_t error = result(fs_open(f, host, flags));
  if (!error && how & WAFER_OPEN_TRUNCATE) {
    error = result(fs_truncate(f, 0));
    if (error) fs_close(f);
  }
  if (error)
    wafer_port_release(f);
  else
    *file = (intptr_t)f;
  return error;
}

static void z_close(void* volume, intptr_t file) {
  (void)volume;
  fs_close((struct fs_file_t*)file);
  wafer_port_release((void*)file);
}

static uint16_t size_of(struct fs_file_t* f, uint64_t* size) {
  const int status = fs_seek(f, 0, FS_SEEK_END);
  const off_t end = status < 0 ? status : fs_tell(f);
  *size = end < 0 ? 0 : (uint64_t)end;
  return result(end < 0 ? (int)end : 0);
}

/* Beyond the end, file systems differ in what a seek does. */
static uint16_t z_read(void* volume, intptr_t file, void* out, size_t size, uint64_t at,
                       size_t* done) {
  (void)volume;
  struct fs_file_t* const f = (struct fs_file_t*)file;
  uint64_t end;
  *done = 0;
  const uint16_t error = size_of(f, &end);
  if (error || at >= end) return error;
  const int status = fs_seek(f, (off_t)at, FS_SEEK_SET);
  const ssize_t got = status < 0 ? status : fs_read(f, out, size);
  if (got < 0) return result((int)got);
  *done = (size_t)got;
  return 0;
}

static uint16_t z_write(void* volume, intptr_t file, const void* data, size_t size, uint64_t at,
                        size_t* done) {
  (void)volume;
  struct fs_file_t* const f = (struct fs_file_t*)file;
  uint64_t end;
  *done = 0;
  if (!offset_fits(at)) return WAFER_WASI_FBIG;
  uint16_t error = size_of(f, &end);
  if (!error && at > end) error = result(fs_truncate(f, (off_t)at));
  if (error) return error;
  const int status = fs_seek(f, (off_t)at, FS_SEEK_SET);
  const ssize_t put = status < 0 ? status : fs_write(f, data, size);
  if (put < 0) return result((int)put);
  *done = (size_t)put;
  return put == 0 && size ? WAFER_WASI_NOSPC : 0;
}

static uint16_t z_stat_open(void* volume, intptr_t file, wafer_file_stat* out) {
  (void)volume;
  memset(out, 0, sizeof *out);
  out->links = 1;
  out->type = WAFER_FILE_REGULAR;
  return size_of((struct fs_file_t*)file, &out->size);
}

static uint16_t z_resize(void* volume, intptr_t file, uint64_t size) {
  (void)volume;
  if (!offset_fits(size)) return WAFER_WASI_FBIG;
  return result(fs_truncate((struct fs_file_t*)file, (off_t)size));
}

static uint16_t z_sync(void* volume, intptr_t file) {
  (void)volume;
  return result(fs_sync((struct fs_file_t*)file));
}

/* The entry `index` of the folder `host`; an empty name if there is none. */
static uint16_t entry_of(const char* host, uint64_t index, struct fs_dirent* entry) {
  struct fs_dir_t directory;
  fs_dir_t_init(&directory);
  entry->name[0] = 0;
  int status = fs_opendir(&directory, host);
  if (status < 0) return result(status);
  while ((status = fs_readdir(&directory, entry)) == 0 && entry->name[0]) {
    if (!strcmp(entry->name, ".") || !strcmp(entry->name, "..") ||
        strlen(entry->name) >= WAFER_FILE_NAME || index--)
      continue;
    break;
  }
  fs_closedir(&directory);
  return result(status);
}

static uint16_t z_entry(void* volume, const char* path, uint64_t index, char name[WAFER_FILE_NAME],
                        wafer_file_stat* out) {
  char host[kHostPath];
  struct fs_dirent entry;
  uint16_t error = host_path(volume, path, host);
  if (!error) error = entry_of(host, index, &entry);
  if (error) return error;
  strcpy(name, entry.name);
  if (name[0]) convert(&entry, out);
  return 0;
}

static uint16_t z_make_directory(void* volume, const char* path) {
  char host[kHostPath];
  const uint16_t error = host_path(volume, path, host);
  return error ? error : result(fs_mkdir(host));
}

/* Zephyr has one function for both. */
static uint16_t z_remove_directory(void* volume, const char* path) {
  char host[kHostPath];
  bool directory;
  struct fs_dirent entry;
  uint16_t error = type_of(volume, path, host, &directory);
  if (error) return error;
  if (!directory) return WAFER_WASI_NOTDIR;
  error = entry_of(host, 0, &entry);
  if (error) return error;
  return entry.name[0] ? WAFER_WASI_NOTEMPTY : result(fs_unlink(host));
}

static uint16_t z_remove_file(void* volume, const char* path) {
  char host[kHostPath];
  bool directory;
  const uint16_t error = type_of(volume, path, host, &directory);
  if (error) return error;
  return directory ? WAFER_WASI_ISDIR : result(fs_unlink(host));
}

static uint16_t z_rename(void* volume, const char* from, const char* to) {
  char host_from[kHostPath], host_to[kHostPath];
  uint16_t error = host_path(volume, from, host_from);
  if (!error) error = host_path(volume, to, host_to);
  return error ? error : result(fs_rename(host_from, host_to));
}

const wafer_files wafer_files_zephyr = {
    .open = z_open,
    .close = z_close,
    .read = z_read,
    .write = z_write,
    .stat = z_stat,
    .stat_open = z_stat_open,
    .resize = z_resize,
    .sync = z_sync,
    .entry = z_entry,
    .make_directory = z_make_directory,
    .remove_directory = z_remove_directory,
    .remove_file = z_remove_file,
    .rename = z_rename,
};
