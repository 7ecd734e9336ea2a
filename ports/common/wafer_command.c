/* The command `wafer` of systems with files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wafer_wasi.h"

enum { kMounts = 8, kVariables = 16, kStack = sizeof(void*) == 4 ? 16 * 1024 : 256 * 1024 };
enum { kFailed = 1, kTrapped = 134 };

static int fail(const char* what, const char* more) {
  fprintf(stderr, "wafer: %s: %s\n", what, more);
  return kFailed;
}

static int failed(const char* name, wafer_error_t* error) {
  fail(name, wafer_error_message(error));
  wafer_error_delete(error);
  return kFailed;
}

/* RT-Thread's console is no file, but what wafer_port_put has. */
#ifndef __RTTHREAD__
#define CONSOLE_FILES
static bool put(void* env, int stream, const char* text, size_t size) {
  (void)env;
  while (size) {
    const ssize_t done = write(stream, text, size);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    text += done;
    size -= (size_t)done;
  }
  return true;
}
#endif

/* All of a file; the caller frees it. */
static void* contents(const char* name, size_t* size) {
  const int file = open(name, O_RDONLY);
  struct stat stat;
  if (file < 0) return NULL;
  void* bytes = NULL;
  if (fstat(file, &stat) == 0 && (bytes = malloc((size_t)stat.st_size + 1)) != NULL) {
    *size = 0;
    ssize_t got;
    while (*size < (size_t)stat.st_size &&
           (got = read(file, (char*)bytes + *size, (size_t)stat.st_size - *size)) > 0)
      *size += (size_t)got;
  }
  close(file);
  return bytes;
}

/* Calls the program's start function. */
static int start(const char* name, wasm_instance_t* instance, const wafer_wasi* wasi) {
  wasm_func_t* const func = wafer_instance_func(instance, "_start");
  if (!func) return fail(name, "it exports no _start");
  const wasm_val_vec_t args = {0, NULL};
  wasm_val_vec_t results = {0, NULL};
  wasm_trap_t* const trap = wasm_func_call(func, &args, &results);
  wasm_func_delete(func);
  if (!trap) return 0;
  int32_t status = kTrapped;
  if (!wafer_wasi_exited(wasi, &status)) {
    wasm_message_t message;
    wasm_trap_message(trap, &message);
    fail(name, message.data);
    wasm_byte_vec_delete(&message);
  }
  wasm_trap_delete(trap);
  return status;
}

typedef struct {
  const wafer_wasi_config* config;
  size_t stack, size;
  const void* bytes;
  int32_t status;
} program;

static void run(void* argument) {
  program* const p = argument;
  const char* const name = p->config->args[0];
  wasm_config_t* const engine_config = wasm_config_new();
  wafer_config_stack_size_set(engine_config, p->stack);
  wasm_engine_t* const engine = wasm_engine_new_with_config(engine_config);
  wasm_store_t* const store = wasm_store_new(engine);
  wafer_linker_t* const linker = wafer_linker_new(engine);
  wasm_module_t* module = NULL;
  wasm_instance_t* instance = NULL;
  wafer_wasi* wasi = NULL;
  wafer_error_t* error = wafer_module_new_in_place(store, p->bytes, p->size, &module);
  if (!error) wasi = wafer_wasi_new(linker, module, p->config, &error);
  wasm_trap_t* trap = NULL;
  if (!error && wasi) error = wafer_linker_instantiate(linker, store, module, &instance, &trap);
  if (error && wasi && wafer_wasi_exited(wasi, &p->status)) {
    wafer_error_delete(error); /* the start function ended the program */
  } else if (error) {
    p->status = failed(name, error);
    if (trap) p->status = kTrapped;
  } else {
    p->status = wasi ? start(name, instance, wasi) : fail(name, "out of memory");
  }
  wasm_trap_delete(trap);
  wasm_instance_delete(instance);
  wafer_linker_delete(linker);
  wasm_module_delete(module);
  wasm_store_delete(store);
  wasm_engine_delete(engine);
  wafer_wasi_delete(wasi);
}

int wafer_command(int argc, char** argv) {
  wafer_wasi_mount mounts[kMounts];
  const char* variables[kVariables];
  wafer_wasi_config config = {0};
  config.mounts = mounts;
  config.env = variables;
  size_t stack = kStack;
  int i = 1;
  if (i < argc && !strcmp(argv[i], "run")) ++i;
  for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
    char* const value = argv[i + 1];
    const bool read_only = !strcmp(argv[i], "--ro-dir");
    if (read_only || !strcmp(argv[i], "--dir")) {
      if (config.mounts_count == kMounts) return fail(value, "too many directories");
      char* const guest = strstr(value, "::");
      if (guest) *guest = 0;
      mounts[config.mounts_count++] =
          (wafer_wasi_mount){guest ? guest + 2 : value, &wafer_files_posix, value, read_only};
    } else if (!strcmp(argv[i], "--env")) {
      if (config.env_count == kVariables) return fail(value, "too many variables");
      variables[config.env_count++] = value;
    } else if (!strcmp(argv[i], "--stack")) {
      stack = strtoul(value, NULL, 10);
    } else {
      return fail(argv[i], "unknown option");
    }
  }
  if (i >= argc || argv[i][0] == '-')
    return fail("usage",
                "wafer [--dir HOST[::GUEST]] [--ro-dir HOST[::GUEST]] [--env NAME=VALUE] "
                "[--stack BYTES] FILE [ARGUMENT...]");
  config.args_count = (size_t)(argc - i);
  config.args = (const char* const*)argv + i;
#ifdef CONSOLE_FILES
  config.put = put;
  for (int stream = 0; stream < 3; ++stream) {
    if (!isatty(stream)) config.not_consoles |= (uint8_t)(1 << stream);
    if (fcntl(stream, F_GETFL) < 0) config.closed |= (uint8_t)(1 << stream);
  }
#endif
  size_t size = 0;
  void* const bytes = contents(argv[i], &size);
  if (!bytes) return fail(argv[i], strerror(errno));
  /* The program's name is not where it lies. */
  char* const slash = strrchr(argv[i], '/');
  if (slash) argv[i] = slash + 1;
  program p = {&config, stack, size, bytes, kFailed};
  if (!wafer_port_guarded(run, &p)) p.status = fail(argv[i], "out of memory");
  free(bytes);
  return p.status;
}
