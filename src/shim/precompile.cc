#include "shim/precompile.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "compiler/abi.h"
#include "compiler/cache.h"
#include "compiler/code_bundle.h"
#include "compiler/llvm_loader.h"
#include "compiler/tiers/levels.h"
#include "component/run/precompile.h"
#include "shim/child.h"
#include "shim/files.h"
#include "shim/seccomp.h"
#include "wasm/decoder.h"

namespace wafer::shim {

namespace {

constexpr rlim_t kMaxMemory = rlim_t{1} << 30, kMaxCode = kMaxLayerCode;
constexpr off_t kMaxComplaint = 64 << 10;
constexpr uid_t kNobody = 65534;
// Exit codes of the process: it could not be confined; what it compiled was not to be compiled.
constexpr int kNotConfined = 2, kNotCompiled = 1;

// Of processor time, for a layer of that many bytes. Usual ones take 8 to 20 seconds for a MiB.
rlim_t seconds_for(off_t bytes) { return rlim_t(60 + (bytes >> 20) * 30); }

// Takes from this process all but what is open: what it compiles may be anybody's.
Result<void> confine(off_t bytes) {
  const std::pair<__rlimit_resource_t, rlim_t> limits[] = {{RLIMIT_CPU, seconds_for(bytes)},
                                                           {RLIMIT_DATA, kMaxMemory},
                                                           {RLIMIT_FSIZE, kMaxCode},
                                                           {RLIMIT_NPROC, 0},
                                                           {RLIMIT_CORE, 0}};
  for (const auto& [resource, most] : limits) {
    const rlimit limit{most, most};
    if (setrlimit(resource, &limit) != 0) return system_error("cannot set a resource limit");
  }
  (void)setpriority(PRIO_PROCESS, 0, 19);
  // Of all of a machine that wants memory, this is missed least.
  if (const UniqueFd score = take_opened(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
      !score || write(score.get(), "1000", 4) != 4)
    return system_error("cannot be the first to go where memory is short");
  // An empty root. /proc is there, and nothing in it is needed any more.
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) != 0 ||
      mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) != 0 ||
      mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0k") !=
          0 ||
      chroot("/proc") != 0 || chdir("/") != 0)
    return system_error("cannot leave the machine's files");
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
      setresuid(kNobody, kNobody, kNobody) != 0)
    return system_error("cannot become nobody");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (close_range(3, ~0u, 0) != 0) return system_error("cannot close what is open");
  const SeccompFilter filter = compiler_filter();
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !install_seccomp(filter.program, filter.flags))
    return system_error("cannot filter system calls");
  return {};
}

Result<Vec<uint8_t>> compile(Bytes binary, compiler::Backend& backend) {
  compiler::CompileOptions options;
  options.threads = 1;  // others could not be made
  options.code.guard_pages = options.code.signals;
  const auto image_of = [&](const wasm::Module& module, bool with_module) -> Result<Vec<uint8_t>> {
    WAFER_LET(parts, backend.compile(module, options, {}));
    if (with_module) parts.module.assign(module.bytes.begin(), module.bytes.end());
    return compiler::write_image(parts);
  };
  if (component::is_component(binary)) {
    // It may be a server, which has to be.
    options.code.interruptible = true;
    const auto engine = runtime::Engine::create({}, nullptr);
    WAFER_LET(made, component::precompile(
                        binary, component::options_for(*engine),
                        [&](const wasm::Module& module) { return image_of(module, false); }));
    return compiler::write_bundle(binary, made);
  }
  wasm::DecodeOptions decode;
  decode.copy_bytes = false;
  WAFER_LET(module, wasm::decode_module(binary, decode));
  return image_of(*module, true);
}

// What is to be compiled, and what with, once this process can do nothing else.
struct Work {
  Bytes layer;
  compiler::BackendSource source;
  compiler::Backend* backend;  // of it
};
Result<Work> prepare() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  compiler::BackendSource source =
      compiler::by_level(compiler::load_llvm_backend, compiler::CompileOptions{}.opt_level);
  WAFER_LET(backend, source());
  struct stat about;
  if (fstat(STDIN_FILENO, &about) != 0) return system_error("cannot read the layer");
  WAFER_TRY(confine(about.st_size));
  const auto size = size_t(about.st_size);
  void* const bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, STDIN_FILENO, 0);
  if (bytes == MAP_FAILED) return system_error("cannot read the layer");
  return Work{{static_cast<const uint8_t*>(bytes), size}, std::move(source), backend};
}

Result<void> compile(const Work& work) {
  WAFER_LET(code, compile(work.layer, *work.backend));
  for (size_t at = 0; at < code.size();) {
    const ssize_t n = write(STDOUT_FILENO, code.data() + at, code.size() - at);
    if (n <= 0) return system_error("cannot keep the code");
    at += size_t(n);
  }
  return {};
}

}  // namespace

int compile_layer() {
  const auto fail = [](const Error& error, int code) {
    std::fprintf(stderr, "%.*s", int(error.message.size()), error.message.data());
    return code;
  };
  const Result<Work> work = prepare();
  if (!work) return fail(work.error(), kNotConfined);
  const Result<void> done = compile(*work);
  return done ? 0 : fail(done.error(), kNotCompiled);
}

const std::string& code_label() {
  static const std::string label = [] {
    const uint64_t compiler = compiler::backend_identity({});
    if (!compiler) return std::string();
    const uint64_t parts[] = {compiler,
                              compiler::program_identity(),
                              compiler::abi_fingerprint(),
                              compiler::host_cpu_features(),
                              compiler::kImageFormat,
                              compiler::kBundleFormat};
    char text[80];
    // Of what labels of this name refer to, containerd keeps as long as what has the label.
    std::snprintf(text, sizeof text, "containerd.io/gc.ref.content.wafer-%016llx",
                  static_cast<unsigned long long>(compiler::hash_bytes(
                      {reinterpret_cast<const uint8_t*>(parts), sizeof parts})));
    return std::string(text);
  }();
  return label;
}

namespace {

// What `read` finds of the file's bytes; nothing if they are none, more than `most`, or cannot be
// read.
template <class F>
auto with_bytes(const UniqueFd& file, uint64_t most, F&& read)
    -> std::optional<decltype(read(Bytes()))> {
  struct stat about;
  if (fstat(file.get(), &about) != 0 || about.st_size <= 0 || uint64_t(about.st_size) > most)
    return std::nullopt;
  const auto size = size_t(about.st_size);
  void* const p = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (p == MAP_FAILED) return std::nullopt;
  auto out = read(Bytes(static_cast<const uint8_t*>(p), size));
  munmap(p, size);
  return out;
}

}  // namespace

Result<std::shared_ptr<const UniqueFd>> copy_program(const UniqueFd& file) {
  struct stat about;
  if (fstat(file.get(), &about) != 0) return system_error("cannot read the program");
  if (!S_ISREG(about.st_mode) || uint64_t(about.st_size) > kMaxCompiled)
    return Error(ErrorKind::Unsupported, "the program is too large to be compiled");
  auto copy = std::make_shared<UniqueFd>(
      take_opened(memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  off_t at = 0;
  while (*copy && at < about.st_size)
    if (sendfile(copy->get(), file.get(), &at, size_t(about.st_size - at)) <= 0) break;
  if (at != about.st_size || fcntl(copy->get(), F_ADD_SEALS, kSealed) != 0)
    return system_error("cannot copy the program");
  return std::shared_ptr<const UniqueFd>(std::move(copy));
}

Result<std::string> code_label_of(const UniqueFd& program) {
  const auto hash =
      with_bytes(program, kMaxCompiled, [](Bytes b) { return compiler::hash_bytes(b); });
  if (!hash) return Error(ErrorKind::Io, "cannot read the program");
  char text[20];
  std::snprintf(text, sizeof text, ".%016llx", static_cast<unsigned long long>(*hash));
  return code_label() + text;
}

bool code_fits(const UniqueFd& code) {
  return with_bytes(code, kMaxLayerCode,
                    [](Bytes bytes) {
                      return compiler::CodeBundle::is_bundle(bytes)
                                 ? compiler::CodeBundle::claims_to_fit(bytes)
                                 : compiler::CodeImage::claims_to_fit(bytes);
                    })
      .value_or(false);
}

Result<UniqueFd> try_turn(const std::string& folder) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return system_error("cannot make " + folder);
  const UniqueFd in =
      take_opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat about;
  if (!in || fstat(in.get(), &about) != 0) return system_error("cannot open " + folder);
  // Nobody else is to hold it for ever.
  if (about.st_uid != geteuid() || (about.st_mode & (S_IWGRP | S_IWOTH)))
    return Error(ErrorKind::Io, folder + " is not this user's alone");
  UniqueFd turn = take_opened(openat(in.get(), "compile.lock",
                                     O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!turn) return system_error("cannot open the lock in " + folder);
  if (flock(turn.get(), LOCK_EX | LOCK_NB) == 0) return turn;
  if (errno == EWOULDBLOCK) return UniqueFd();
  return system_error("cannot lock the file in " + folder);
}

Task<Result<std::shared_ptr<const UniqueFd>>> precompile(Loop& loop,
                                                         std::shared_ptr<const UniqueFd> layer) {
  char magic[4];
  if (pread(layer->get(), magic, sizeof magic, 0) != sizeof magic ||
      std::memcmp(magic, "\0asm", sizeof magic) != 0)
    co_return Error(ErrorKind::Unsupported, "the layer is not WebAssembly in binary form");
  struct stat about;
  if (fstat(layer->get(), &about) != 0) co_return system_error("cannot read the layer");
  if (uint64_t(about.st_size) > kMaxCompiled)
    co_return Error(ErrorKind::Unsupported, "the layer is too large to be compiled");
  auto code = std::make_shared<UniqueFd>(
      take_opened(memfd_create("code", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  // What it says beyond that is lost.
  const UniqueFd told = take_opened(memfd_create("told", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!*code || !told || ftruncate(told.get(), kMaxComplaint) != 0 ||
      fcntl(told.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
    co_return system_error("cannot keep code");
  loop.expect_child(true);
  Result<pid_t> pid = start_program({"/proc/self/exe",
                                     {"containerd-shim-wafer-v1", "compile"},
                                     {},
                                     {layer->get(), code->get(), told.get()}});
  if (!pid) {
    loop.expect_child(false);
    co_return Error(ErrorKind::Exhaustion, pid.error().message);
  }
  const Later<int> ended = loop.ended(*pid);
  loop.expect_child(false);
  const int status = co_await ended;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::string why = text_in(told, 512);
    why.resize(std::min(why.find('\0'), why.size()));
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU))
      why = "it takes more time or memory than it is worth";
    if (why.empty()) why = "the compiler ended with status " + std::to_string(status);
    const bool begun = WIFSIGNALED(status) || WEXITSTATUS(status) == kNotCompiled;
    co_return Error(begun ? ErrorKind::Invalid : ErrorKind::Io, why);
  }
  if (fcntl(code->get(), F_ADD_SEALS, kSealed) != 0) co_return system_error("cannot keep code");
  if (!code_fits(*code)) co_return Error(ErrorKind::Io, "what the compiler made is no code");
  co_return std::shared_ptr<const UniqueFd>(std::move(code));
}

}  // namespace wafer::shim
