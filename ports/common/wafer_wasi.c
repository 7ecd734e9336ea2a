#include "wafer_wasi.h"

#include <string.h>

#include "wafer_guard.h"

enum { kPath = 256, kFirstTable = 8, kLastTable = 1024 };

typedef enum { kFree, kInput, kOutput, kError, kFile, kDirectory } kind;

typedef struct {
  uint8_t kind;
  bool preopened, can_read, can_write;
  uint16_t flags; /* fdflags: append, dsync, nonblock, rsync, sync */
  const wafer_wasi_mount* mount;
  intptr_t file;
  uint64_t at;
  char* path; /* of a directory, below its mount */
} descriptor;

/* Rights, as far as they are told apart. */
#define RIGHT_READ (1ull << 1)
#define RIGHT_WRITE (1ull << 6)
#define RIGHTS_DIRECTORY 0x0FBFFE99ull
#define RIGHTS_FILE 0x08E001FFull
#define RIGHTS_STREAM 0x0820005Bull
enum { kAppend = 1 };

struct wafer_wasi {
  wafer_guard_owner owner; /* first: closes files when memory lacks */
  const wafer_wasi_config* config;
  descriptor* table;
  uint32_t table_size;
  bool exited;
  int32_t status;
  struct binding* bindings;
  size_t bindings_count;
};

/* A call of a function of WASI. */
typedef struct {
  wafer_wasi* wasi;
  wafer_caller_t* caller;
  uint8_t* memory;
  size_t size;
  const wasm_val_t* args;
} call;

typedef struct {
  const char* name;
  const char* type;
  uint16_t (*run)(call*);
} function;

struct binding {
  wafer_wasi* wasi;
  const function* function;
};

static uint32_t u32(const call* c, unsigned i) { return (uint32_t)c->args[i].of.i32; }
static uint64_t u64(const call* c, unsigned i) { return (uint64_t)c->args[i].of.i64; }

/* `size` bytes of the guest's memory, or NULL. */
static uint8_t* memory(const call* c, uint32_t at, uint64_t size) {
  return at <= c->size && size <= c->size - at ? c->memory + at : NULL;
}

static void put16(uint8_t* to, uint16_t value) {
  to[0] = (uint8_t)value;
  to[1] = (uint8_t)(value >> 8);
}
static void put32(uint8_t* to, uint32_t value) {
  put16(to, (uint16_t)value);
  put16(to + 2, (uint16_t)(value >> 16));
}
static void put64(uint8_t* to, uint64_t value) {
  put32(to, (uint32_t)value);
  put32(to + 4, (uint32_t)(value >> 32));
}
static uint32_t get32(const uint8_t* from) {
  return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
         (uint32_t)from[3] << 24;
}
static uint64_t get64(const uint8_t* from) { return get32(from) | (uint64_t)get32(from + 4) << 32; }

static uint16_t result32(const call* c, unsigned arg, uint32_t value) {
  uint8_t* const to = memory(c, u32(c, arg), 4);
  if (!to) return WAFER_WASI_FAULT;
  put32(to, value);
  return 0;
}
static uint16_t result64(const call* c, unsigned arg, uint64_t value) {
  uint8_t* const to = memory(c, u32(c, arg), 8);
  if (!to) return WAFER_WASI_FAULT;
  put64(to, value);
  return 0;
}

/* ---- Arguments and variables */

static uint16_t sizes(call* c, size_t count, const char* const* list) {
  uint32_t bytes = 0;
  for (size_t i = 0; i < count; ++i) bytes += (uint32_t)strlen(list[i]) + 1;
  const uint16_t error = result32(c, 0, (uint32_t)count);
  return error ? error : result32(c, 1, bytes);
}

static uint16_t strings(call* c, size_t count, const char* const* list) {
  uint32_t pointer = u32(c, 0), to = u32(c, 1);
  for (size_t i = 0; i < count; ++i) {
    const size_t size = strlen(list[i]) + 1;
    uint8_t* const entry = memory(c, pointer, 4);
    uint8_t* const text = memory(c, to, size);
    if (!entry || !text) return WAFER_WASI_FAULT;
    put32(entry, to);
    memcpy(text, list[i], size);
    pointer += 4;
    to += (uint32_t)size;
  }
  return 0;
}

static uint16_t args_sizes_get(call* c) {
  return sizes(c, c->wasi->config->args_count, c->wasi->config->args);
}
static uint16_t args_get(call* c) {
  return strings(c, c->wasi->config->args_count, c->wasi->config->args);
}
static uint16_t environ_sizes_get(call* c) {
  return sizes(c, c->wasi->config->env_count, c->wasi->config->env);
}
static uint16_t environ_get(call* c) {
  return strings(c, c->wasi->config->env_count, c->wasi->config->env);
}

/* ---- Clocks, random numbers, the process */

/* The time of clock `id`: the date, and for all others the time since the start. */
static uint16_t time_of(uint32_t id, uint64_t* out) {
  if (id > 3) return WAFER_WASI_INVAL;
  *out = id == 0 ? wafer_port_date() : wafer_port_clock();
  return id == 0 && *out == 0 ? WAFER_WASI_NOTSUP : 0;
}

static uint16_t clock_res_get(call* c) {
  return u32(c, 0) > 3 ? WAFER_WASI_INVAL : result64(c, 1, 1000000);
}
static uint16_t clock_time_get(call* c) {
  uint64_t time;
  const uint16_t error = time_of(u32(c, 0), &time);
  return error ? error : result64(c, 2, time);
}

static uint16_t random_get(call* c) {
  uint8_t* const to = memory(c, u32(c, 0), u32(c, 1));
  if (!to) return WAFER_WASI_FAULT;
  return wafer_port_random(to, u32(c, 1)) ? 0 : WAFER_WASI_NOTSUP;
}

static uint16_t proc_exit(call* c) {
  c->wasi->exited = true;
  c->wasi->status = c->args[0].of.i32;
  return 0;
}

static uint16_t sched_yield_(call* c) {
  (void)c;
  wafer_port_sleep(0);
  return 0;
}

static uint16_t not_supported(call* c) {
  (void)c;
  return WAFER_WASI_NOTSUP;
}

/* ---- Descriptors */

static descriptor* descriptor_of(const call* c, unsigned arg) {
  const uint32_t fd = u32(c, arg);
  descriptor* const d = fd < c->wasi->table_size ? &c->wasi->table[fd] : NULL;
  return d && d->kind != kFree ? d : NULL;
}

static void free_text(char* text) {
  if (text) wafer_guard_release(text);
}

static char* copy_text(const char* text) {
  char* const copy = wafer_guard_allocate(strlen(text) + 1);
  if (copy) strcpy(copy, text);
  return copy;
}

static void close_descriptor(descriptor* d) {
  if (d->kind == kFile && d->mount->files->close) d->mount->files->close(d->mount->volume, d->file);
  free_text(d->path);
  memset(d, 0, sizeof *d);
}

/* A free entry of the table, or NULL. */
static descriptor* new_descriptor(wafer_wasi* w) {
  for (uint32_t i = 0; i < w->table_size; ++i)
    if (w->table[i].kind == kFree) return &w->table[i];
  const uint32_t size = w->table_size ? w->table_size * 2 : kFirstTable;
  descriptor* const table = size <= kLastTable ? wafer_guard_allocate(size * sizeof *table) : NULL;
  if (!table) return NULL;
  memset(table, 0, size * sizeof *table);
  if (w->table) {
    memcpy(table, w->table, w->table_size * sizeof *table);
    wafer_guard_release(w->table);
  }
  descriptor* const d = &table[w->table_size];
  w->table = table;
  w->table_size = size;
  return d;
}

static bool writable(const descriptor* d) { return d->can_write && !d->mount->read_only; }

static uint16_t fd_close(call* c) {
  descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->preopened) return WAFER_WASI_NOTSUP;
  close_descriptor(d);
  return 0;
}

static uint16_t fd_renumber(call* c) {
  descriptor* const from = descriptor_of(c, 0);
  descriptor* const to = descriptor_of(c, 1);
  if (!from || !to) return WAFER_WASI_BADF;
  if (from->preopened || to->preopened) return WAFER_WASI_NOTSUP;
  if (from == to) return 0;
  close_descriptor(to);
  *to = *from;
  memset(from, 0, sizeof *from);
  return 0;
}

/* What a standard stream is. */
static uint8_t stream_type(const wafer_wasi* w, const descriptor* d) {
  return w->config->not_consoles >> (d->kind - kInput) & 1 ? WAFER_FILE_OTHER : WAFER_FILE_DEVICE;
}

static uint16_t fd_fdstat_get(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  uint8_t* const to = memory(c, u32(c, 1), 24);
  if (!d) return WAFER_WASI_BADF;
  if (!to) return WAFER_WASI_FAULT;
  const uint64_t rights = d->kind == kDirectory ? RIGHTS_DIRECTORY
                          : d->kind == kFile    ? RIGHTS_FILE
                                                : RIGHTS_STREAM;
  memset(to, 0, 24);
  to[0] = d->kind == kDirectory ? WAFER_FILE_DIRECTORY
          : d->kind == kFile    ? WAFER_FILE_REGULAR
                                : stream_type(c->wasi, d);
  put16(to + 2, d->flags);
  put64(to + 8, rights & ~((d->can_read ? 0 : RIGHT_READ) | (d->can_write ? 0 : RIGHT_WRITE)));
  if (d->kind == kDirectory) put64(to + 16, RIGHTS_DIRECTORY | RIGHTS_FILE);
  return 0;
}

static uint16_t fd_fdstat_set_flags(call* c) {
  descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (u32(c, 1) > 31) return WAFER_WASI_INVAL;
  if (u32(c, 1) & 0x1A) return WAFER_WASI_NOTSUP;
  d->flags = (uint16_t)u32(c, 1);
  return 0;
}

static uint16_t fd_fdstat_set_rights(call* c) {
  descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->kind != kFile) return 0;
  if ((u64(c, 1) & RIGHT_READ && !d->can_read) || (u64(c, 1) & RIGHT_WRITE && !d->can_write))
    return WAFER_WASI_NOTCAPABLE;
  d->can_read = (u64(c, 1) & RIGHT_READ) != 0;
  d->can_write = (u64(c, 1) & RIGHT_WRITE) != 0;
  return 0;
}

static uint16_t stat_of(const descriptor* d, wafer_file_stat* out) {
  memset(out, 0, sizeof *out);
  if (d->kind == kDirectory) return d->mount->files->stat(d->mount->volume, d->path, out);
  if (d->kind == kFile) return d->mount->files->stat_open(d->mount->volume, d->file, out);
  return 0;
}

static uint16_t put_stat(const call* c, unsigned arg, const wafer_file_stat* stat) {
  uint8_t* const to = memory(c, u32(c, arg), 64);
  if (!to) return WAFER_WASI_FAULT;
  memset(to, 0, 64);
  put64(to, stat->device);
  put64(to + 8, stat->inode);
  to[16] = stat->type;
  put64(to + 24, stat->links);
  put64(to + 32, stat->size);
  put64(to + 40, stat->atime);
  put64(to + 48, stat->mtime);
  put64(to + 56, stat->ctime);
  return 0;
}

static uint16_t fd_filestat_get(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  wafer_file_stat stat;
  const uint16_t error = stat_of(d, &stat);
  if (d->kind < kFile) stat.type = stream_type(c->wasi, d);
  return error ? error : put_stat(c, 1, &stat);
}

static uint16_t resize(const descriptor* d, uint64_t size) {
  if (!d) return WAFER_WASI_BADF;
  if (d->kind == kDirectory) return WAFER_WASI_ISDIR;
  if (d->kind != kFile) return WAFER_WASI_INVAL;
  if (!writable(d)) return WAFER_WASI_NOTCAPABLE;
  return d->mount->files->resize ? d->mount->files->resize(d->mount->volume, d->file, size)
                                 : WAFER_WASI_NOTSUP;
}

static uint16_t fd_filestat_set_size(call* c) { return resize(descriptor_of(c, 0), u64(c, 1)); }

static uint16_t fd_allocate(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  wafer_file_stat stat;
  if (!d || d->kind != kFile) return WAFER_WASI_BADF;
  if (u64(c, 2) == 0) return WAFER_WASI_INVAL;
  const uint16_t error = stat_of(d, &stat);
  if (error) return error;
  if (u64(c, 1) > UINT64_MAX - u64(c, 2)) return WAFER_WASI_FBIG;
  const uint64_t end = u64(c, 1) + u64(c, 2);
  return end > stat.size ? resize(d, end) : 0;
}

static uint16_t fd_advise(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  return u32(c, 3) > 5 ? WAFER_WASI_INVAL : d->kind == kFile ? 0 : WAFER_WASI_SPIPE;
}

static uint16_t fd_sync(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->kind != kFile || !d->mount->files->sync) return 0;
  return d->mount->files->sync(d->mount->volume, d->file);
}

static uint16_t fd_prestat_get(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  uint8_t* const to = memory(c, u32(c, 1), 8);
  if (!d || !d->preopened) return WAFER_WASI_BADF;
  if (!to) return WAFER_WASI_FAULT;
  put32(to, 0);
  put32(to + 4, (uint32_t)strlen(d->mount->name));
  return 0;
}

static uint16_t fd_prestat_dir_name(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d || !d->preopened) return WAFER_WASI_BADF;
  const size_t size = strlen(d->mount->name);
  if (u32(c, 2) < size) return WAFER_WASI_NAMETOOLONG;
  uint8_t* const to = memory(c, u32(c, 1), size);
  if (!to) return WAFER_WASI_FAULT;
  memcpy(to, d->mount->name, size);
  return 0;
}

/* ---- Reading and writing */

static uint16_t read_piece(const descriptor* d, uint8_t* to, size_t size, uint64_t at,
                           size_t* done) {
  if (d->kind == kFile) return d->mount->files->read(d->mount->volume, d->file, to, size, at, done);
  *done = wafer_port_get((char*)to, size);
  return 0;
}

static uint16_t write_piece(wafer_wasi* w, const descriptor* d, const uint8_t* from, size_t size,
                            uint64_t at, size_t* done) {
  if (d->kind == kFile) {
    if (!d->mount->files->write) return WAFER_WASI_ROFS;
    return d->mount->files->write(d->mount->volume, d->file, from, size, at, done);
  }
  const wafer_wasi_config* const config = w->config;
  *done = size;
  if (!config->put)
    wafer_port_put((const char*)from, size);
  else if (!config->put(config->put_env, d->kind == kError ? 2 : 1, (const char*)from, size))
    return WAFER_WASI_PIPE;
  return 0;
}

/* fd_read and its like: a list of pieces at argument 1, as many as argument 2 says. */
static uint16_t transfer(call* c, bool write, const uint64_t* offset, unsigned result) {
  descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->kind == kDirectory) return WAFER_WASI_BADF;
  if (offset && d->kind != kFile) return WAFER_WASI_SPIPE;
  if (write ? !d->can_write || (d->kind == kFile && d->mount->read_only) : !d->can_read)
    return WAFER_WASI_NOTCAPABLE;
  const uint32_t count = u32(c, 2);
  const uint8_t* const list = memory(c, u32(c, 1), (uint64_t)count * 8);
  if (!list) return WAFER_WASI_FAULT;
  uint64_t at = offset ? *offset : d->at;
  if (write && !offset && d->kind == kFile && d->flags & kAppend) {
    wafer_file_stat stat;
    const uint16_t error = stat_of(d, &stat);
    if (error) return error;
    at = stat.size;
  }
  uint32_t total = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t size = get32(list + 8 * i + 4);
    uint8_t* const piece = memory(c, get32(list + 8 * i), size);
    if (!piece) return WAFER_WASI_FAULT;
    if (!size) continue;
    size_t done = 0;
    const uint16_t error = write ? write_piece(c->wasi, d, piece, size, at, &done)
                                 : read_piece(d, piece, size, at, &done);
    /* What was done before counts. */
    if (error && total) break;
    if (error) return error;
    total += (uint32_t)done;
    at += done;
    if (done < size) break;
  }
  if (!offset) d->at = at;
  return result32(c, result, total);
}

static uint16_t fd_read(call* c) { return transfer(c, false, NULL, 3); }
static uint16_t fd_write(call* c) { return transfer(c, true, NULL, 3); }
static uint16_t fd_pread(call* c) {
  const uint64_t at = u64(c, 3);
  return transfer(c, false, &at, 4);
}
static uint16_t fd_pwrite(call* c) {
  const uint64_t at = u64(c, 3);
  return transfer(c, true, &at, 4);
}

static uint16_t fd_seek(call* c) {
  descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->kind == kDirectory) return WAFER_WASI_BADF;
  if (d->kind != kFile) return WAFER_WASI_SPIPE;
  wafer_file_stat stat;
  uint64_t base = 0;
  if (u32(c, 2) == 1) {
    base = d->at;
  } else if (u32(c, 2) == 2) {
    const uint16_t error = stat_of(d, &stat);
    if (error) return error;
    base = stat.size;
  } else if (u32(c, 2) != 0) {
    return WAFER_WASI_INVAL;
  }
  const uint64_t to = base + u64(c, 1);
  if ((int64_t)to < 0) return WAFER_WASI_INVAL;
  d->at = to;
  return result64(c, 3, to);
}

static uint16_t fd_tell(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d || d->kind == kDirectory) return WAFER_WASI_BADF;
  return d->kind == kFile ? result64(c, 1, d->at) : WAFER_WASI_SPIPE;
}

/* ---- Paths */

typedef struct {
  const descriptor* base;
  bool directory; /* it ends in a slash, so it is one */
  char text[kPath];
} path;

/* The path at arguments `arg` and `arg` + 1, below the directory at argument `fd`. What leads out
 * of that is refused, on whatever way. */
static uint16_t path_at(const call* c, unsigned fd, unsigned arg, path* out) {
  out->base = descriptor_of(c, fd);
  if (!out->base) return WAFER_WASI_BADF;
  if (out->base->kind != kDirectory) return WAFER_WASI_NOTDIR;
  const size_t size = u32(c, arg + 1);
  const char* const text = (const char*)memory(c, u32(c, arg), size);
  if (!text) return WAFER_WASI_FAULT;
  if (!size) return WAFER_WASI_NOENT;
  if (memchr(text, 0, size)) return WAFER_WASI_ILSEQ;
  if (text[0] == '/') return WAFER_WASI_NOTCAPABLE;
  const size_t root = strlen(out->base->path);
  size_t length = root;
  if (length >= kPath) return WAFER_WASI_NAMETOOLONG;
  memcpy(out->text, out->base->path, length);
  out->directory = false;
  for (size_t i = 0; i < size;) {
    size_t end = i;
    while (end < size && text[end] != '/') ++end;
    const size_t part = end - i;
    const bool here = part == 0 || (part == 1 && text[i] == '.');
    out->directory = end < size || here;
    if (part == 2 && text[i] == '.' && text[i + 1] == '.') {
      if (length == root) return WAFER_WASI_NOTCAPABLE;
      out->directory = true;
      while (length > root && out->text[length - 1] != '/') --length;
      if (length > root) --length;
    } else if (!here) {
      if (length + 1 + part >= kPath) return WAFER_WASI_NAMETOOLONG;
      if (length) out->text[length++] = '/';
      memcpy(out->text + length, text + i, part);
      length += part;
    }
    i = end + 1;
  }
  out->text[length] = 0;
  return 0;
}

static uint16_t stat_path(const path* p, bool follow, wafer_file_stat* out) {
  memset(out, 0, sizeof *out);
  const wafer_wasi_mount* const mount = p->base->mount;
  const uint16_t error = mount->files->stat(mount->volume, p->text, out);
  if (error) return error;
  if (out->type == WAFER_FILE_LINK && (follow || p->directory)) return WAFER_WASI_LOOP;
  return p->directory && out->type != WAFER_FILE_DIRECTORY ? WAFER_WASI_NOTDIR : 0;
}

static uint16_t path_filestat_get(call* c) {
  path p;
  wafer_file_stat stat;
  uint16_t error = path_at(c, 0, 2, &p);
  if (!error) error = stat_path(&p, u32(c, 1) & 1, &stat);
  return error ? error : put_stat(c, 4, &stat);
}

static uint16_t path_open(call* c) {
  path p;
  uint16_t error = path_at(c, 0, 2, &p);
  if (error) return error;
  const wafer_wasi_mount* const mount = p.base->mount;
  const wafer_files* const files = mount->files;
  unsigned how = u32(c, 4);
  if (how > 15 || u32(c, 7) > 31) return WAFER_WASI_INVAL;
  if (p.directory) how |= WAFER_OPEN_DIRECTORY;
  const bool write = (u64(c, 5) & RIGHT_WRITE) != 0;
  const bool read = (u64(c, 5) & RIGHT_READ) != 0 || !write;
  wafer_file_stat stat;
  const uint16_t missing = files->stat(mount->volume, p.text, &stat);
  if (missing && (missing != WAFER_WASI_NOENT || !(how & WAFER_OPEN_CREATE))) return missing;
  if (!missing) {
    if (how & WAFER_OPEN_CREATE && how & WAFER_OPEN_EXCLUSIVE) return WAFER_WASI_EXIST;
    if (stat.type == WAFER_FILE_LINK) return WAFER_WASI_LOOP;
    if (how & WAFER_OPEN_DIRECTORY && stat.type != WAFER_FILE_DIRECTORY) return WAFER_WASI_NOTDIR;
  }
  const bool directory = !missing && stat.type == WAFER_FILE_DIRECTORY;
  if (directory && (write || how & WAFER_OPEN_TRUNCATE)) {
    /* Programs ask for all rights; only what needs to write is an error. */
    if (how & (WAFER_OPEN_TRUNCATE | WAFER_OPEN_CREATE) || !(how & WAFER_OPEN_DIRECTORY))
      return WAFER_WASI_ISDIR;
  }
  if (missing && how & WAFER_OPEN_DIRECTORY) return WAFER_WASI_INVAL;
  if (mount->read_only && !directory && (write || missing || how & WAFER_OPEN_TRUNCATE))
    return WAFER_WASI_NOTCAPABLE;
  intptr_t file = 0;
  if (!directory) {
    how |= (read ? (unsigned)WAFER_OPEN_READ : 0u) |
           (write || how & WAFER_OPEN_TRUNCATE ? (unsigned)WAFER_OPEN_WRITE : 0u);
    error = files->open(mount->volume, p.text, how, &file);
    if (error) return error;
  }
  /* The table may move: not before now, as the base lies in it. */
  char* const text = directory ? copy_text(p.text) : NULL;
  descriptor* const d = directory && !text ? NULL : new_descriptor(c->wasi);
  if (!d) {
    if (!directory && files->close) files->close(mount->volume, file);
    free_text(text);
    return directory && !text ? WAFER_WASI_NOMEM : WAFER_WASI_MFILE;
  }
  d->kind = directory ? kDirectory : kFile;
  d->can_read = read;
  d->can_write = write;
  d->flags = (uint16_t)u32(c, 7) & (kAppend | 4);
  d->mount = mount;
  d->file = file;
  d->path = text;
  error = result32(c, 8, (uint32_t)(d - c->wasi->table));
  if (error) close_descriptor(d);
  return error;
}

/* A path that is about to change. */
static uint16_t path_to_change(const call* c, unsigned fd, unsigned arg, path* out) {
  const uint16_t error = path_at(c, fd, arg, out);
  if (error) return error;
  return out->base->mount->read_only ? WAFER_WASI_NOTCAPABLE : 0;
}

static uint16_t change(call* c, uint16_t (*operation)(void* volume, const char* path),
                       const path* p) {
  (void)c;
  return operation ? operation(p->base->mount->volume, p->text) : WAFER_WASI_NOTSUP;
}

/* The directory itself that the path is below, which has no name in it. */
static bool is_base(const path* p) { return strlen(p->text) == strlen(p->base->path); }

static uint16_t path_create_directory(call* c) {
  path p;
  const uint16_t error = path_to_change(c, 0, 1, &p);
  return error ? error : change(c, p.base->mount->files->make_directory, &p);
}
static uint16_t path_remove_directory(call* c) {
  path p;
  uint16_t error = path_to_change(c, 0, 1, &p);
  if (!error && is_base(&p)) error = WAFER_WASI_INVAL;
  return error ? error : change(c, p.base->mount->files->remove_directory, &p);
}
static uint16_t path_unlink_file(call* c) {
  path p;
  wafer_file_stat stat;
  uint16_t error = path_to_change(c, 0, 1, &p);
  if (!error) error = stat_path(&p, false, &stat);
  if (!error && stat.type == WAFER_FILE_DIRECTORY) error = WAFER_WASI_ISDIR;
  return error ? error : change(c, p.base->mount->files->remove_file, &p);
}

static uint16_t path_rename(call* c) {
  path from, to;
  wafer_file_stat stat;
  uint16_t error = path_to_change(c, 0, 1, &from);
  if (!error) error = path_to_change(c, 3, 4, &to);
  if (!error && (is_base(&from) || is_base(&to))) error = WAFER_WASI_INVAL;
  if (!error) error = stat_path(&from, false, &stat);
  if (error) return error;
  if (to.directory && stat.type != WAFER_FILE_DIRECTORY) return WAFER_WASI_NOTDIR;
  const wafer_wasi_mount* const mount = from.base->mount;
  if (mount != to.base->mount) return WAFER_WASI_XDEV;
  return mount->files->rename ? mount->files->rename(mount->volume, from.text, to.text)
                              : WAFER_WASI_NOTSUP;
}

/* Times from arguments `arg` to `arg` + 2: that of access, of the last change, and which. */
static uint16_t times(const call* c, unsigned arg, const wafer_wasi_mount* mount, const char* text,
                      const wafer_file_stat* stat) {
  const uint32_t flags = u32(c, arg + 2);
  if (flags > 15 || (flags & 3) == 3 || (flags & 12) == 12) return WAFER_WASI_INVAL;
  if (mount->read_only) return WAFER_WASI_NOTCAPABLE;
  if (!mount->files->set_times) return WAFER_WASI_NOTSUP;
  const uint64_t atime = flags & 1 ? u64(c, arg) : flags & 2 ? wafer_port_date() : stat->atime;
  const uint64_t mtime = flags & 4 ? u64(c, arg + 1) : flags & 8 ? wafer_port_date() : stat->mtime;
  return mount->files->set_times(mount->volume, text, atime, mtime);
}

static uint16_t path_filestat_set_times(call* c) {
  path p;
  wafer_file_stat stat;
  uint16_t error = path_to_change(c, 0, 2, &p);
  if (!error) error = stat_path(&p, u32(c, 1) & 1, &stat);
  return error ? error : times(c, 4, p.base->mount, p.text, &stat);
}

static uint16_t fd_filestat_set_times(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  wafer_file_stat stat;
  /* Only of what has a path. */
  if (d->kind != kDirectory) return WAFER_WASI_NOTSUP;
  const uint16_t error = stat_of(d, &stat);
  return error ? error : times(c, 1, d->mount, d->path, &stat);
}

/* Entries are numbered: those of the directory itself and its parent, then those in it. */
static uint16_t fd_readdir(call* c) {
  const descriptor* const d = descriptor_of(c, 0);
  if (!d) return WAFER_WASI_BADF;
  if (d->kind != kDirectory) return WAFER_WASI_NOTDIR;
  const uint32_t size = u32(c, 2);
  uint8_t* const to = memory(c, u32(c, 1), size);
  if (!to) return WAFER_WASI_FAULT;
  if (!d->mount->files->entry) return WAFER_WASI_NOTSUP;
  uint32_t used = 0;
  for (uint64_t cookie = u64(c, 3); used < size; ++cookie) {
    char name[WAFER_FILE_NAME];
    wafer_file_stat stat;
    uint16_t error = 0;
    if (cookie < 2) {
      strcpy(name, cookie ? ".." : ".");
      error = stat_of(d, &stat);
      if (cookie) stat.inode = 0;
    } else {
      error = d->mount->files->entry(d->mount->volume, d->path, cookie - 2, name, &stat);
    }
    if (error) return error;
    const size_t length = strlen(name);
    if (!length) break;
    uint8_t head[24] = {0};
    put64(head, cookie + 1);
    put64(head + 8, stat.inode);
    put32(head + 16, (uint32_t)length);
    head[20] = stat.type;
    /* The last entry may be cut; the guest asks for it again. */
    const uint32_t room = size - used;
    memcpy(to + used, head, room < sizeof head ? room : sizeof head);
    if (room > sizeof head)
      memcpy(to + used + sizeof head, name,
             room - sizeof head < length ? room - sizeof head : length);
    used = room < sizeof head + length ? size : used + (uint32_t)(sizeof head + length);
  }
  return result32(c, 4, used);
}

/* ---- Waiting */

static uint16_t poll_oneoff(call* c) {
  const uint32_t count = u32(c, 2);
  const uint8_t* const in = memory(c, u32(c, 0), (uint64_t)count * 48);
  uint8_t* const out = memory(c, u32(c, 1), (uint64_t)count * 32);
  if (!count) return WAFER_WASI_INVAL;
  if (!in || !out) return WAFER_WASI_FAULT;
  /* Descriptors are always ready; without any, the earliest time is waited for. */
  uint64_t wait = UINT64_MAX;
  for (uint32_t i = 0; i < count; ++i) {
    const uint8_t* const s = in + 48 * i;
    uint64_t now = 0, left = 0;
    if (s[8] == 0 && !time_of(get32(s + 16), &now)) {
      const uint64_t timeout = get64(s + 24);
      left = !(s[40] & 1) ? timeout : timeout > now ? timeout - now : 0;
    }
    if (left < wait) wait = left;
  }
  if (wait) wafer_port_sleep(wait);
  uint32_t events = 0;
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t s[48];
    memcpy(s, in + 48 * i, sizeof s);
    uint16_t error = 0;
    if (s[8] > 2) {
      error = WAFER_WASI_INVAL;
    } else if (s[8] == 0) {
      uint64_t now;
      error = time_of(get32(s + 16), &now);
      const uint64_t timeout = get64(s + 24);
      if (!error && (s[40] & 1 ? timeout > now : timeout > wait)) continue;
    } else {
      const uint32_t fd = get32(s + 16);
      if (fd >= c->wasi->table_size || c->wasi->table[fd].kind == kFree) error = WAFER_WASI_BADF;
    }
    uint8_t* const e = out + 32 * events++;
    memset(e, 0, 32);
    memcpy(e, s, 8);
    put16(e + 8, error);
    e[10] = s[8];
    if (s[8] && !error) put64(e + 16, 1);
  }
  return result32(c, 3, events);
}

/* ---- The table of functions */

static const function kFunctions[] = {
    {"args_get", "ii:i", args_get},
    {"args_sizes_get", "ii:i", args_sizes_get},
    {"environ_get", "ii:i", environ_get},
    {"environ_sizes_get", "ii:i", environ_sizes_get},
    {"clock_res_get", "ii:i", clock_res_get},
    {"clock_time_get", "iIi:i", clock_time_get},
    {"fd_advise", "iIIi:i", fd_advise},
    {"fd_allocate", "iII:i", fd_allocate},
    {"fd_close", "i:i", fd_close},
    {"fd_datasync", "i:i", fd_sync},
    {"fd_fdstat_get", "ii:i", fd_fdstat_get},
    {"fd_fdstat_set_flags", "ii:i", fd_fdstat_set_flags},
    {"fd_fdstat_set_rights", "iII:i", fd_fdstat_set_rights},
    {"fd_filestat_get", "ii:i", fd_filestat_get},
    {"fd_filestat_set_size", "iI:i", fd_filestat_set_size},
    {"fd_filestat_set_times", "iIIi:i", fd_filestat_set_times},
    {"fd_pread", "iiiIi:i", fd_pread},
    {"fd_prestat_get", "ii:i", fd_prestat_get},
    {"fd_prestat_dir_name", "iii:i", fd_prestat_dir_name},
    {"fd_pwrite", "iiiIi:i", fd_pwrite},
    {"fd_read", "iiii:i", fd_read},
    {"fd_readdir", "iiiIi:i", fd_readdir},
    {"fd_renumber", "ii:i", fd_renumber},
    {"fd_seek", "iIii:i", fd_seek},
    {"fd_sync", "i:i", fd_sync},
    {"fd_tell", "ii:i", fd_tell},
    {"fd_write", "iiii:i", fd_write},
    {"path_create_directory", "iii:i", path_create_directory},
    {"path_filestat_get", "iiiii:i", path_filestat_get},
    {"path_filestat_set_times", "iiiiIIi:i", path_filestat_set_times},
    {"path_link", "iiiiiii:i", not_supported},
    {"path_open", "iiiiiIIii:i", path_open},
    {"path_readlink", "iiiiii:i", not_supported},
    {"path_remove_directory", "iii:i", path_remove_directory},
    {"path_rename", "iiiiii:i", path_rename},
    {"path_symlink", "iiiii:i", not_supported},
    {"path_unlink_file", "iii:i", path_unlink_file},
    {"poll_oneoff", "iiii:i", poll_oneoff},
    {"proc_exit", "i:", proc_exit},
    {"proc_raise", "i:i", not_supported},
    {"random_get", "ii:i", random_get},
    {"sched_yield", ":i", sched_yield_},
    {"sock_accept", "iii:i", not_supported},
    {"sock_recv", "iiiiii:i", not_supported},
    {"sock_send", "iiiii:i", not_supported},
    {"sock_shutdown", "ii:i", not_supported},
};

static wasm_trap_t* trap(wafer_caller_t* caller, const char* text) {
  wasm_message_t message;
  wasm_byte_vec_new(&message, strlen(text) + 1, text);
  wasm_trap_t* const result = wasm_trap_new(wafer_caller_store(caller), &message);
  wasm_byte_vec_delete(&message);
  return result;
}

static wasm_trap_t* run(void* env, wafer_caller_t* caller, const wasm_val_vec_t* args,
                        wasm_val_vec_t* results) {
  const struct binding* const b = env;
  call c = {b->wasi, caller, NULL, 0, args->data};
  c.memory = wafer_caller_memory(caller, &c.size);
  if (!c.memory) c.size = 0;
  const uint16_t error = b->function->run(&c);
  if (b->wasi->exited) return trap(caller, "exit");
  if (results->size) {
    results->data[0].kind = WASM_I32;
    results->data[0].of.i32 = error;
  }
  return NULL;
}

static const function* find(const wasm_name_t* module, const wasm_name_t* name) {
  static const char kModule[] = "wasi_snapshot_preview1";
  if (module->size != sizeof kModule - 1 || memcmp(module->data, kModule, module->size))
    return NULL;
  for (size_t i = 0; i < sizeof kFunctions / sizeof *kFunctions; ++i)
    if (strlen(kFunctions[i].name) == name->size &&
        !memcmp(kFunctions[i].name, name->data, name->size))
      return &kFunctions[i];
  return NULL;
}

static bool open_first(wafer_wasi* w) {
  for (unsigned i = 0; i < 3; ++i) {
    descriptor* const d = new_descriptor(w);
    if (!d) return false;
    d->kind = (uint8_t)(kInput + i);
    d->can_read = i == 0;
    d->can_write = i != 0;
  }
  for (size_t i = 0; i < w->config->mounts_count; ++i) {
    char* const root = copy_text("");
    descriptor* const d = root ? new_descriptor(w) : NULL;
    if (!d) {
      free_text(root);
      return false;
    }
    d->kind = kDirectory;
    d->preopened = d->can_read = d->can_write = true;
    d->mount = &w->config->mounts[i];
    d->path = root;
  }
  for (unsigned i = 0; i < 3; ++i)
    if (w->config->closed >> i & 1) close_descriptor(&w->table[i]);
  return true;
}

static void close_all(wafer_guard_owner* owner) {
  wafer_wasi* const w = (wafer_wasi*)owner;
  for (uint32_t i = 0; i < w->table_size; ++i) close_descriptor(&w->table[i]);
}

wafer_wasi* wafer_wasi_new(wafer_linker_t* linker, const wasm_module_t* module,
                           const wafer_wasi_config* config, wafer_error_t** error) {
  *error = NULL;
  wafer_wasi* const w = wafer_guard_allocate(sizeof *w);
  if (!w) return NULL;
  memset(w, 0, sizeof *w);
  w->config = config;
  wafer_guard_keep(&w->owner, close_all);
  wasm_importtype_vec_t imports;
  wasm_module_imports(module, &imports);
  w->bindings = wafer_guard_allocate((imports.size + 1) * sizeof *w->bindings);
  bool good = w->bindings && open_first(w);
  uint64_t defined = 0;
  _Static_assert(sizeof kFunctions / sizeof *kFunctions <= 64, "a bit for each");
  for (size_t i = 0; good && !*error && i < imports.size; ++i) {
    const function* const f =
        find(wasm_importtype_module(imports.data[i]), wasm_importtype_name(imports.data[i]));
    if (!f || defined >> (f - kFunctions) & 1) continue;
    defined |= 1ull << (f - kFunctions);
    struct binding* const b = &w->bindings[w->bindings_count++];
    b->wasi = w;
    b->function = f;
    *error = wafer_port_define(linker, "wasi_snapshot_preview1", f->name, f->type, run, b);
  }
  wasm_importtype_vec_delete(&imports);
  if (good && !*error) return w;
  wafer_wasi_delete(w);
  return NULL;
}

void wafer_wasi_delete(wafer_wasi* w) {
  if (!w) return;
  wafer_guard_forget(&w->owner);
  close_all(&w->owner);
  if (w->table) wafer_guard_release(w->table);
  if (w->bindings) wafer_guard_release(w->bindings);
  wafer_guard_release(w);
}

bool wafer_wasi_exited(const wafer_wasi* w, int32_t* status) {
  if (w->exited) *status = w->status;
  return w->exited;
}
