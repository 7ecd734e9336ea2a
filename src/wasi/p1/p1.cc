// The functions of WASI 0.1 as host functions.
#include "wasi/p1/p1.h"

#include "runtime/host_thunk.h"
#include "wasi/p1/functions.h"

namespace wafer::wasi {

using runtime::CallContext;
using runtime::Slot;
using runtime::TrapCode;

namespace {

// Host function around `fn`, whose parameters after the Call are the witx ones.
template <auto fn>
TrapCode call(void* env, CallContext& context, Slot* slots) {
  Call c((*static_cast<std::shared_ptr<P1Context>*>(env))->impl(), context);
  if (c.bind_memory()) runtime::HostThunk<fn>::invoke(c, slots);
  return c.trap;
}

TrapCode proc_exit(void* env, CallContext& context, Slot* slots) {
  Call c((*static_cast<std::shared_ptr<P1Context>*>(env))->impl(), context);
  exit_with(c, int32_t(uint32_t(slots[0])));
  return c.trap;
}

}  // namespace

Result<void> add_to_linker(runtime::Linker& linker, std::shared_ptr<P1Context> context,
                           std::span<const wasm::Module* const> only_for) {
  const auto wanted = [only_for](std::string_view module, std::string_view name) {
    if (only_for.empty()) return true;
    for (const wasm::Module* const m : only_for)
      for (const wasm::Import& import : m->imports)
        if (import.name == name && import.module == module) return true;
    return false;
  };
  const auto define = [&](const char* module, const char* name, const wasm::FuncType& type,
                          runtime::HostCallback callback) -> Result<void> {
    if (!wanted(module, name)) return {};
    return linker.define_func(
        module, name, type, callback, new std::shared_ptr<P1Context>(context),
        [](void* env) { delete static_cast<std::shared_ptr<P1Context>*>(env); });
  };
  constexpr const char* kPreview1 = "wasi_snapshot_preview1";
  constexpr const char* kPreview0 = "wasi_unstable";

#define WASI_DEFINE(module, name, ...) \
  WAFER_TRY(define(module, #name, runtime::HostThunk<__VA_ARGS__>::type(), call<__VA_ARGS__>))
// The same in both versions.
#define WASI_BOTH(name, ...)                 \
  WASI_DEFINE(kPreview1, name, __VA_ARGS__); \
  WASI_DEFINE(kPreview0, name, __VA_ARGS__)
// Differing in a record or an enumeration.
#define WASI_VERSIONED(name, fn)           \
  WASI_DEFINE(kPreview1, name, fn<false>); \
  WASI_DEFINE(kPreview0, name, fn<true>)

  WASI_BOTH(args_get, args_get);
  WASI_BOTH(args_sizes_get, args_sizes_get);
  WASI_BOTH(environ_get, environ_get);
  WASI_BOTH(environ_sizes_get, environ_sizes_get);
  WASI_BOTH(clock_res_get, clock_res_get);
  WASI_BOTH(clock_time_get, clock_time_get);
  WASI_BOTH(fd_advise, fd_advise);
  WASI_BOTH(fd_allocate, fd_allocate);
  WASI_BOTH(fd_close, fd_close);
  WASI_BOTH(fd_datasync, fd_datasync);
  WASI_BOTH(fd_fdstat_get, fd_fdstat_get);
  WASI_BOTH(fd_fdstat_set_flags, fd_fdstat_set_flags);
  WASI_BOTH(fd_fdstat_set_rights, fd_fdstat_set_rights);
  WASI_VERSIONED(fd_filestat_get, fd_filestat_get);
  WASI_BOTH(fd_filestat_set_size, fd_filestat_set_size);
  WASI_BOTH(fd_filestat_set_times, fd_filestat_set_times);
  WASI_BOTH(fd_pread, fd_pread);
  WASI_BOTH(fd_prestat_get, fd_prestat_get);
  WASI_BOTH(fd_prestat_dir_name, fd_prestat_dir_name);
  WASI_BOTH(fd_pwrite, fd_pwrite);
  WASI_BOTH(fd_read, fd_read);
  WASI_BOTH(fd_readdir, fd_readdir);
  WASI_BOTH(fd_renumber, fd_renumber);
  WASI_VERSIONED(fd_seek, fd_seek);
  WASI_BOTH(fd_sync, fd_sync);
  WASI_BOTH(fd_tell, fd_tell);
  WASI_BOTH(fd_write, fd_write);
  WASI_BOTH(path_create_directory, path_create_directory);
  WASI_VERSIONED(path_filestat_get, path_filestat_get);
  WASI_BOTH(path_filestat_set_times, path_filestat_set_times);
  WASI_BOTH(path_link, path_link);
  WASI_BOTH(path_open, path_open);
  WASI_BOTH(path_readlink, path_readlink);
  WASI_BOTH(path_remove_directory, path_remove_directory);
  WASI_BOTH(path_rename, path_rename);
  WASI_BOTH(path_symlink, path_symlink);
  WASI_BOTH(path_unlink_file, path_unlink_file);
  WASI_VERSIONED(poll_oneoff, poll);
  WASI_BOTH(proc_raise, proc_raise);
  WASI_BOTH(sched_yield, sched_yield_);
  WASI_BOTH(random_get, random_get);
  WASI_DEFINE(kPreview1, sock_accept, sock_accept);
  WASI_BOTH(sock_recv, sock_recv);
  WASI_BOTH(sock_send, sock_send);
  WASI_BOTH(sock_shutdown, sock_shutdown);

  wasm::FuncType exit_type;
  exit_type.params = {wasm::kI32};
  WAFER_TRY(define(kPreview1, "proc_exit", exit_type, proc_exit));
  WAFER_TRY(define(kPreview0, "proc_exit", exit_type, proc_exit));
  return {};
#undef WASI_DEFINE
#undef WASI_BOTH
#undef WASI_VERSIONED
}

}  // namespace wafer::wasi
