/* WASI 0.1 on the platform layer, for one guest: arguments, variables, clocks, random numbers,
 * the console, and files where there are any. No sockets, no links.
 *
 * What a guest has is what its wafer_wasi_config lists. */
#ifndef WAFER_WASI_H
#define WAFER_WASI_H

#include "wafer_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Error numbers of WASI, of those that files give. */
enum {
  WAFER_WASI_ACCES = 2,
  WAFER_WASI_BADF = 8,
  WAFER_WASI_BUSY = 10,
  WAFER_WASI_EXIST = 20,
  WAFER_WASI_FAULT = 21,
  WAFER_WASI_FBIG = 22,
  WAFER_WASI_ILSEQ = 25,
  WAFER_WASI_INVAL = 28,
  WAFER_WASI_IO = 29,
  WAFER_WASI_ISDIR = 31,
  WAFER_WASI_LOOP = 32,
  WAFER_WASI_MFILE = 33,
  WAFER_WASI_NAMETOOLONG = 37,
  WAFER_WASI_NOENT = 44,
  WAFER_WASI_NOMEM = 48,
  WAFER_WASI_NOSPC = 51,
  WAFER_WASI_NOSYS = 52,
  WAFER_WASI_NOTDIR = 54,
  WAFER_WASI_NOTEMPTY = 55,
  WAFER_WASI_NOTSUP = 58,
  WAFER_WASI_PERM = 63,
  WAFER_WASI_PIPE = 64,
  WAFER_WASI_ROFS = 69,
  WAFER_WASI_SPIPE = 70,
  WAFER_WASI_XDEV = 75,
  WAFER_WASI_NOTCAPABLE = 76
};

/* How a file is opened. */
enum {
  WAFER_OPEN_CREATE = 1, /* these four as in WASI's oflags */
  WAFER_OPEN_DIRECTORY = 2,
  WAFER_OPEN_EXCLUSIVE = 4,
  WAFER_OPEN_TRUNCATE = 8,
  WAFER_OPEN_READ = 16,
  WAFER_OPEN_WRITE = 32
};

enum {
  WAFER_FILE_OTHER = 0,
  WAFER_FILE_DEVICE = 2,
  WAFER_FILE_DIRECTORY = 3,
  WAFER_FILE_REGULAR = 4,
  WAFER_FILE_LINK = 7
};

typedef struct {
  uint64_t device, inode, links, size, atime, mtime, ctime; /* times in ns since 1970 */
  uint8_t type;
} wafer_file_stat;

enum { WAFER_FILE_NAME = 256 };

/* A file system. Functions give 0 or an error number of WASI. Paths are relative to the volume,
 * without "." and "..", and empty for its root; they end in a null. What is NULL is not
 * supported. */
typedef struct {
  uint16_t (*open)(void* volume, const char* path, unsigned how, intptr_t* file);
  void (*close)(void* volume, intptr_t file);
  /* At an offset: the position of a descriptor is kept by its user. */
  uint16_t (*read)(void* volume, intptr_t file, void* out, size_t size, uint64_t at, size_t* done);
  uint16_t (*write)(void* volume, intptr_t file, const void* data, size_t size, uint64_t at,
                    size_t* done);
  uint16_t (*stat)(void* volume, const char* path, wafer_file_stat* out);
  uint16_t (*stat_open)(void* volume, intptr_t file, wafer_file_stat* out);
  uint16_t (*resize)(void* volume, intptr_t file, uint64_t size);
  uint16_t (*sync)(void* volume, intptr_t file);
  uint16_t (*set_times)(void* volume, const char* path, uint64_t atime, uint64_t mtime);
  /* The entry `index` of a directory; an empty name after the last. */
  uint16_t (*entry)(void* volume, const char* path, uint64_t index, char name[WAFER_FILE_NAME],
                    wafer_file_stat* out);
  uint16_t (*make_directory)(void* volume, const char* path);
  uint16_t (*remove_directory)(void* volume, const char* path);
  uint16_t (*remove_file)(void* volume, const char* path);
  uint16_t (*rename)(void* volume, const char* from, const char* to);
} wafer_files;

/* A volume that the guest sees as the directory `name`. */
typedef struct {
  const char* name;
  const wafer_files* files;
  void* volume;
  bool read_only;
} wafer_wasi_mount;

/* All of it outlives the guest. */
typedef struct {
  size_t args_count;
  const char* const* args; /* the first is the program's name */
  size_t env_count;
  const char* const* env; /* NAME=VALUE */
  size_t mounts_count;
  const wafer_wasi_mount* mounts;
  /* Standard output (1) and error (2); NULL: both are the console. False if it is closed. */
  bool (*put)(void* env, int stream, const char* text, size_t size);
  void* put_env;
  /* Bits of the standard streams: those that are files or pipes, and that do not exist. */
  uint8_t not_consoles, closed;
} wafer_wasi_config;

typedef struct wafer_wasi wafer_wasi;

/* Defines those functions of WASI in `linker` that `module` imports. NULL without memory. The
 * result outlives what is instantiated with the linker. */
wafer_wasi* wafer_wasi_new(wafer_linker_t* linker, const wasm_module_t* module,
                           const wafer_wasi_config* config, wafer_error_t** error);
void wafer_wasi_delete(wafer_wasi*);
/* True, with the status, if the guest has called proc_exit: then the trap is no fault. */
bool wafer_wasi_exited(const wafer_wasi*, int32_t* status);

/* The operating system's files; the volume is the path of a folder, a const char*. Links are not
 * followed. */
extern const wafer_files wafer_files_posix;
/* The same on Zephyr: of its file systems (CONFIG_WAFER_WASI_FILES). */
extern const wafer_files wafer_files_zephyr;

/* Files in flash: the volume is a const wafer_rom*. */
typedef struct {
  const char* path; /* "config/network.txt" */
  const void* data;
  size_t size;
} wafer_rom_file;
typedef struct {
  const wafer_rom_file* files;
  size_t count;
} wafer_rom;
extern const wafer_files wafer_files_rom;

/* The command `wafer [run] [--dir HOST[::GUEST]] [--ro-dir HOST[::GUEST]] [--env NAME=VALUE]
 * [--stack BYTES] FILE [ARGUMENT...]`: runs a program from a file of the operating system, and
 * gives its exit status, or 134 after a trap. */
int wafer_command(int argc, char** argv);

#ifdef __cplusplus
}
#endif

#endif
