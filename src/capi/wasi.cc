// WASI in C.
#if WAFER_WITH_WASI_P1

#include "capi/wasi.h"

#include <new>

#include "capi/capi.h"
#include "devices/imports/imports.h"
#include "host/devices/board.h"

using namespace wafer;
using namespace wafer::capi;

namespace {

wasi::P1Output output_to(bool (*write)(void*, const void*, size_t), void* env) {
  wasi::P1Output out;
  out.kind = wasi::P1Output::Kind::Callback;
  out.write = [write, env](const uint8_t* data, size_t size) { return write(env, data, size); };
  return out;
}

}  // namespace

extern "C" {

wafer_wasi_config_t* wafer_wasi_config_new() {
  auto* c = create<wafer_wasi_config_t>();
  c->config.stdin_source = wasi::P1Input::null();
  c->config.stdout_sink = wasi::P1Output::null();
  c->config.stderr_sink = wasi::P1Output::null();
  return c;
}
void wafer_wasi_config_delete(wafer_wasi_config_t* c) { destroy(c); }
void wafer_wasi_config_arg(wafer_wasi_config_t* c, const char* arg) {
  c->config.args.emplace_back(arg);
}
void wafer_wasi_config_env(wafer_wasi_config_t* c, const char* name, const char* value) {
  c->config.env.emplace_back(name, value);
}
void wafer_wasi_config_inherit_env(wafer_wasi_config_t* c) { c->config.inherit_env = true; }
void wafer_wasi_config_dir(wafer_wasi_config_t* c, const char* host, const char* guest,
                           bool read_only) {
  c->config.dirs.push_back({host, guest, read_only});
}
void wafer_wasi_config_stdin_bytes(wafer_wasi_config_t* c, const void* bytes, size_t size) {
  c->config.stdin_source =
      wasi::P1Input::from_bytes(std::string(static_cast<const char*>(bytes), size));
}
void wafer_wasi_config_stdin(wafer_wasi_config_t* c, int64_t (*read)(void*, void*, size_t),
                             void* env) {
  c->config.stdin_source = wasi::P1Input::null();
  c->config.stdin_source.kind = wasi::P1Input::Kind::Callback;
  c->config.stdin_source.read = [read, env](uint8_t* data, size_t size) {
    return read(env, data, size);
  };
}
wafer_wasi_files_t* wafer_wasi_files_new(uint64_t capacity) {
  return new (std::nothrow) wafer_wasi_files_t(capacity);
}
void wafer_wasi_files_delete(wafer_wasi_files_t* f) { delete f; }
wafer_error_t* wafer_wasi_files_put(wafer_wasi_files_t* f, const char* path, const void* bytes,
                                    size_t size) {
  const host::Status put = f->files.put(path, {static_cast<const uint8_t*>(bytes), size});
  return put.ok() ? nullptr : new_error(host::io_error(path, put));
}
wafer_error_t* wafer_wasi_files_get(const wafer_wasi_files_t* f, const char* path,
                                    wasm_byte_vec_t* out) {
  wasm_byte_vec_new_empty(out);
  const host::Outcome<std::string> got = f->files.get(path);
  if (!got) return new_error(host::io_error(path, got.status()));
  wasm_byte_vec_new(out, got->size(), got->data());
  return nullptr;
}
void wafer_wasi_config_files(wafer_wasi_config_t* c, const wafer_wasi_files_t* f, const char* guest,
                             bool read_only) {
  c->config.dirs.push_back({{}, guest, read_only, f->files.root(read_only)});
}
void wafer_wasi_config_inherit_stdin(wafer_wasi_config_t* c) { c->config.stdin_source = {}; }
void wafer_wasi_config_inherit_stdout(wafer_wasi_config_t* c) { c->config.stdout_sink = {}; }
void wafer_wasi_config_inherit_stderr(wafer_wasi_config_t* c) { c->config.stderr_sink = {}; }
void wafer_wasi_config_stdout(wafer_wasi_config_t* c, bool (*write)(void*, const void*, size_t),
                              void* env) {
  c->config.stdout_sink = output_to(write, env);
}
void wafer_wasi_config_stderr(wafer_wasi_config_t* c, bool (*write)(void*, const void*, size_t),
                              void* env) {
  c->config.stderr_sink = output_to(write, env);
}

wafer_error_t* wafer_linker_define_wasi(wafer_linker_t* l, wafer_wasi_config_t* config) {
  if (const std::shared_ptr<host::Board> board = config->config.devices) {
    auto added = devices::add_to_linker(l->linker, board->devices(), board);
    if (!added.ok()) {
      wafer_wasi_config_delete(config);
      return new_error(added.take_error());
    }
  }
  auto context = wasi::P1Context::create(std::move(config->config));
  wafer_wasi_config_delete(config);
  if (!context.ok()) return new_error(context.take_error());
  auto added = wasi::add_to_linker(l->linker, std::move(*context));
  return added.ok() ? nullptr : new_error(added.take_error());
}

}  // extern "C"

#endif
