/* Each function of wafer_files_zephyr, and what it says where it cannot. */
#include <string.h>
#include <zephyr/fs/fs.h>
#include <zephyr/kernel.h>

#include "wafer_port.h"
#include "wafer_wasi.h"

static int failures;
#define CHECK(condition)                             \
  do {                                               \
    if (!(condition)) {                              \
      printk("line %d: %s\n", __LINE__, #condition); \
      ++failures;                                    \
    }                                                \
  } while (0)

static const wafer_files* const files = &wafer_files_zephyr;
static char volume[] = "/RAM:/guest";
static char root[] = "/RAM:";
static struct fs_mount_t mount = {
    .type = FS_EXT2, .mnt_point = root, .storage_dev = "RAM", .flags = 0};

static void check_file(void) {
  intptr_t file = 0, other = 0;
  wafer_file_stat stat;
  size_t done;
  char text[16];
  CHECK(files->open(volume, "a", WAFER_OPEN_READ, &file) == WAFER_WASI_NOENT);
  CHECK(files->open(volume, "none/a", WAFER_OPEN_WRITE | WAFER_OPEN_CREATE, &file) ==
        WAFER_WASI_NOENT);
  CHECK(files->open(volume, "a", WAFER_OPEN_READ | WAFER_OPEN_WRITE | WAFER_OPEN_CREATE, &file) ==
        0);
  CHECK(files->write(volume, file, "hello", 5, 0, &done) == 0 && done == 5);
  CHECK(files->read(volume, file, text, sizeof text, 1, &done) == 0 && done == 4 &&
        !memcmp(text, "ello", 4));
  CHECK(files->read(volume, file, text, sizeof text, 5, &done) == 0 && done == 0);
  CHECK(files->read(volume, file, text, sizeof text, 1000000, &done) == 0 && done == 0);
  /* Beyond the end: zeros between. */
  CHECK(files->write(volume, file, "!", 1, 3000, &done) == 0 && done == 1);
  CHECK(files->read(volume, file, text, 8, 2996, &done) == 0 && done == 5 &&
        !memcmp(text, "\0\0\0\0!", 5));
  CHECK(files->write(volume, file, "x", 1, UINT64_MAX, &done) == WAFER_WASI_FBIG);
  CHECK(files->stat_open(volume, file, &stat) == 0 && stat.size == 3001 &&
        stat.type == WAFER_FILE_REGULAR);
  CHECK(files->resize(volume, file, 2) == 0 && files->sync(volume, file) == 0);
  CHECK(files->stat(volume, "a", &stat) == 0 && stat.size == 2 && stat.links == 1 &&
        stat.type == WAFER_FILE_REGULAR);
  CHECK(files->open(volume, "a", WAFER_OPEN_WRITE | WAFER_OPEN_CREATE | WAFER_OPEN_EXCLUSIVE,
                    &other) == WAFER_WASI_EXIST);
  files->close(volume, file);
  CHECK(files->open(volume, "a", WAFER_OPEN_READ | WAFER_OPEN_WRITE | WAFER_OPEN_TRUNCATE, &file) ==
        0);
  CHECK(files->stat_open(volume, file, &stat) == 0 && stat.size == 0);
  files->close(volume, file);
}

static void check_folders(void) {
  intptr_t file = 0;
  wafer_file_stat stat;
  char name[WAFER_FILE_NAME];
  CHECK(files->stat(volume, "", &stat) == 0 && stat.type == WAFER_FILE_DIRECTORY);
  CHECK(files->stat(root, "", &stat) == 0 && stat.type == WAFER_FILE_DIRECTORY);
  CHECK(files->make_directory(volume, "sub") == 0);
  CHECK(files->make_directory(volume, "sub") == WAFER_WASI_EXIST);
  CHECK(files->open(volume, "sub", WAFER_OPEN_READ, &file) == WAFER_WASI_ISDIR);
  CHECK(files->rename(volume, "a", "sub/b") == 0);
  CHECK(files->stat(volume, "a", &stat) == WAFER_WASI_NOENT);
  bool sub = false;
  uint64_t count = 0;
  for (; files->entry(volume, "", count, name, &stat) == 0 && name[0]; ++count)
    sub |= !strcmp(name, "sub") && stat.type == WAFER_FILE_DIRECTORY;
  CHECK(sub && count == 1);
  CHECK(files->entry(volume, "sub", 0, name, &stat) == 0 && !strcmp(name, "b") &&
        stat.type == WAFER_FILE_REGULAR);
  CHECK(files->entry(volume, "none", 0, name, &stat) == WAFER_WASI_NOENT);
  CHECK(files->remove_file(volume, "sub") == WAFER_WASI_ISDIR);
  CHECK(files->remove_directory(volume, "sub") == WAFER_WASI_NOTEMPTY);
  CHECK(files->remove_directory(volume, "sub/b") == WAFER_WASI_NOTDIR);
  CHECK(files->remove_file(volume, "sub/b") == 0);
  CHECK(files->remove_directory(volume, "sub") == 0);
  CHECK(files->entry(volume, "", 0, name, &stat) == 0 && !name[0]);
}

int main(void) {
  CHECK(fs_mkfs(FS_EXT2, (uintptr_t)"RAM", NULL, 0) == 0);
  CHECK(fs_mount(&mount) == 0);
  CHECK(fs_mkdir(volume) == 0);
  const size_t before = wafer_port_free_bytes();
  check_file();
  check_folders();
  CHECK(wafer_port_free_bytes() == before);
  printk(failures ? "files: %d wrong\n" : "files: as expected\n", failures);
  return 0;
}
