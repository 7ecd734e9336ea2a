/* Files that are arrays in flash. Directories are what the paths of files go through. */
#include <string.h>

#include "wafer_wasi.h"

static uint16_t find(const wafer_rom* rom, const char* path, wafer_file_stat* out) {
  const size_t length = strlen(path);
  memset(out, 0, sizeof *out);
  out->links = 1;
  out->type = WAFER_FILE_DIRECTORY;
  if (!length) return 0;
  for (size_t i = 0; i < rom->count; ++i) {
    if (strncmp(rom->files[i].path, path, length)) continue;
    const char end = rom->files[i].path[length];
    if (end == '/') return 0;
    if (end) continue;
    out->type = WAFER_FILE_REGULAR;
    out->inode = i + 1;
    out->size = rom->files[i].size;
    return 0;
  }
  return WAFER_WASI_NOENT;
}

static uint16_t rom_stat(void* volume, const char* path, wafer_file_stat* out) {
  return find(volume, path, out);
}

static uint16_t rom_stat_open(void* volume, intptr_t file, wafer_file_stat* out) {
  return find(volume, ((const wafer_rom*)volume)->files[file].path, out);
}

static uint16_t rom_open(void* volume, const char* path, unsigned how, intptr_t* file) {
  wafer_file_stat stat;
  const uint16_t error = find(volume, path, &stat);
  if (error == WAFER_WASI_NOENT && how & WAFER_OPEN_CREATE) return WAFER_WASI_ROFS;
  if (error) return error;
  if (how & WAFER_OPEN_WRITE) return WAFER_WASI_ROFS;
  *file = (intptr_t)stat.inode - 1;
  return 0;
}

static uint16_t rom_read(void* volume, intptr_t file, void* out, size_t size, uint64_t at,
                         size_t* done) {
  const wafer_rom_file* const f = &((const wafer_rom*)volume)->files[file];
  if (at >= f->size) return *done = 0, 0;
  *done = size < f->size - at ? size : (size_t)(f->size - at);
  memcpy(out, (const char*)f->data + at, *done);
  return 0;
}

/* Length of the part of `file`'s path that follows the directory `path`, or 0. */
static size_t part(const wafer_rom_file* file, const char* path, const char** at) {
  const size_t length = strlen(path);
  if (strncmp(file->path, path, length) || (length && file->path[length] != '/')) return 0;
  *at = file->path + length + (length != 0);
  return strcspn(*at, "/");
}

static uint16_t rom_entry(void* volume, const char* path, uint64_t index,
                          char name[WAFER_FILE_NAME], wafer_file_stat* out) {
  const wafer_rom* const rom = volume;
  for (size_t i = 0; i < rom->count; ++i) {
    const char *at, *other;
    const size_t size = part(&rom->files[i], path, &at);
    if (!size || size >= WAFER_FILE_NAME) continue;
    bool seen = false;
    for (size_t k = 0; k < i && !seen; ++k)
      seen = part(&rom->files[k], path, &other) == size && !memcmp(other, at, size);
    if (seen || index--) continue;
    memcpy(name, at, size);
    name[size] = 0;
    memset(out, 0, sizeof *out);
    out->type = at[size] ? WAFER_FILE_DIRECTORY : WAFER_FILE_REGULAR;
    out->inode = at[size] ? 0 : i + 1;
    out->size = at[size] ? 0 : rom->files[i].size;
    return 0;
  }
  name[0] = 0;
  return 0;
}

const wafer_files wafer_files_rom = {.open = rom_open,
                                     .read = rom_read,
                                     .stat = rom_stat,
                                     .stat_open = rom_stat_open,
                                     .entry = rom_entry};
