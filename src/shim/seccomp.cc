#include "shim/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "base/descriptor.h"

namespace wafer::shim {

namespace {

using nlohmann::json;

struct Named {
  std::string_view name;
  uint32_t value;
};
constexpr Named kActions[] = {{"SCMP_ACT_KILL", SCMP_ACT_KILL},
                              {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
                              {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
                              {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
                              {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(EPERM)},
                              {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(EPERM)},
                              {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
                              {"SCMP_ACT_LOG", SCMP_ACT_LOG}};
constexpr Named kComparisons[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                  {"SCMP_CMP_LT", SCMP_CMP_LT},
                                  {"SCMP_CMP_LE", SCMP_CMP_LE},
                                  {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                  {"SCMP_CMP_GE", SCMP_CMP_GE},
                                  {"SCMP_CMP_GT", SCMP_CMP_GT},
                                  {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
constexpr Named kFlags[] = {{"SECCOMP_FILTER_FLAG_TSYNC", 0},  // there is one thread
                            {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
                            {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW}};

struct Bad {
  std::string message;
  ErrorKind kind = ErrorKind::Invalid;
};

template <size_t N>
uint32_t value_of(const Named (&table)[N], const std::string& name) {
  for (const Named& n : table)
    if (n.name == name) return n.value;
  throw Bad{"no '" + name + "'"};
}

uint32_t action_of(const std::string& name, const json& errno_value) {
  if (name == "SCMP_ACT_NOTIFY") throw Bad{"notifications", ErrorKind::Unsupported};
  const uint32_t action = value_of(kActions, name);
  if (errno_value.is_number_integer()) {
    const auto number = errno_value.get<uint32_t>() & 0xFFFF;
    if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number);
    if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number);
  }
  return action;
}

void must(int status, const std::string& what) {
  if (status < 0) throw Bad{what + ": " + std::strerror(-status)};
}

void add_rule(scmp_filter_ctx filter, uint32_t standard, const json& rule) {
  const uint32_t action =
      action_of(rule.at("action").get<std::string>(), rule.value("errnoRet", json()));
  if (action == standard) return;
  std::vector<scmp_arg_cmp> args;
  std::set<unsigned> indices;
  for (const json& a : rule.value("args", json::array())) {
    const auto index = a.at("index").get<unsigned>();
    if (index > 5) throw Bad{"a system call has no argument " + std::to_string(index)};
    const auto op = scmp_compare(value_of(kComparisons, a.at("op").get<std::string>()));
    const auto value = a.at("value").get<uint64_t>();
    const auto second = a.value("valueTwo", uint64_t{0});
    args.push_back(op == SCMP_CMP_MASKED_EQ ? scmp_arg_cmp{index, op, value, second}
                                            : scmp_arg_cmp{index, op, value, 0});
    indices.insert(index);
  }
  for (const json& name : rule.at("names")) {
    const auto text = name.get<std::string>();
    const int number = seccomp_syscall_resolve_name(text.c_str());
    if (number == __NR_SCMP_ERROR) continue;  // not on this machine
    if (indices.size() == args.size()) {
      must(seccomp_rule_add_array(filter, action, number, unsigned(args.size()), args.data()),
           text);
    } else {
      // More than one condition on an argument: any of them.
      for (const scmp_arg_cmp& arg : args)
        must(seccomp_rule_add_array(filter, action, number, 1, &arg), text);
    }
  }
}

SeccompFilter compile(const json& j) {
  const uint32_t standard =
      action_of(j.at("defaultAction").get<std::string>(), j.value("defaultErrnoRet", json()));
  if (!j.value("listenerPath", std::string()).empty())
    throw Bad{"a listener for notifications", ErrorKind::Unsupported};
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(standard),
                                                                seccomp_release);
  if (!filter) throw Bad{"no memory"};
  for (const json& arch : j.value("architectures", json::array())) {
    auto name = arch.get<std::string>();
    if (name.starts_with("SCMP_ARCH_")) name.erase(0, 10);
    for (char& c : name) c = char(std::tolower(static_cast<unsigned char>(c)));
    const uint32_t token = seccomp_arch_resolve_name(name.c_str());
    if (token == 0) throw Bad{"no architecture '" + name + "'"};
    const int status = seccomp_arch_add(filter.get(), token);
    if (status != -EEXIST && status != -EDOM) must(status, name);
  }
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);
  // A tree, not a list: the kernel runs it for every system call that there is when it is
  // installed.
  constexpr uint32_t kBinaryTree = 2;
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, kBinaryTree);
  SeccompFilter out;
  for (const json& flag : j.value("flags", json::array())) {
    if (flag == "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")
      throw Bad{"notifications", ErrorKind::Unsupported};
    out.flags |= value_of(kFlags, flag.get<std::string>());
  }
  for (const json& rule : j.value("syscalls", json::array()))
    add_rule(filter.get(), standard, rule);
  const UniqueFd file = take_opened(memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) throw Bad{std::strerror(errno)};
  must(seccomp_export_bpf(filter.get(), file.get()), "the filter");
  const off_t size = lseek(file.get(), 0, SEEK_END);
  out.program.resize(size_t(size));
  if (pread(file.get(), out.program.data(), out.program.size(), 0) != size)
    throw Bad{std::strerror(errno)};
  return out;
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const json& seccomp) {
  try {
    return compile(seccomp);
  } catch (const Bad& bad) {
    return Error(bad.kind, "\"seccomp\": " + bad.message);
  } catch (const json::exception& e) {
    return Error(ErrorKind::Invalid, std::string("\"seccomp\": ") + e.what());
  }
}

bool install_seccomp(std::string_view program, uint32_t flags) {
  sock_fprog fprog{};
  fprog.len = static_cast<unsigned short>(program.size() / sizeof(sock_filter));
  fprog.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()));
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog) == 0;
}

std::vector<uint32_t> refused_to_wasm() {
  return {SYS_execve,
          SYS_execveat,
          SYS_ptrace,
          SYS_process_vm_readv,
          SYS_process_vm_writev,
          SYS_mount,
          SYS_umount2,
          SYS_pivot_root,
          SYS_chroot,
          SYS_setns,
          SYS_unshare,
          SYS_move_mount,
          SYS_open_tree,
          SYS_fsopen,
          SYS_fsconfig,
          SYS_fsmount,
          SYS_fspick,
          SYS_mount_setattr,
          SYS_bpf,
          SYS_perf_event_open,
          SYS_userfaultfd,
          SYS_keyctl,
          SYS_add_key,
          SYS_request_key,
          SYS_init_module,
          SYS_finit_module,
          SYS_delete_module,
          SYS_kexec_load,
          SYS_reboot,
          SYS_swapon,
          SYS_swapoff,
          SYS_settimeofday,
          SYS_clock_settime,
          SYS_clock_adjtime,
          SYS_adjtimex,
          SYS_acct,
          SYS_quotactl,
          SYS_syslog,
          SYS_sethostname,
          SYS_setdomainname,
          SYS_pidfd_getfd,
          SYS_io_uring_setup,
          SYS_open_by_handle_at,
          SYS_name_to_handle_at,
          SYS_mknodat};
}

std::vector<uint32_t> needed_to_compile() {
  return {SYS_read,          SYS_write,          SYS_pread64,      SYS_lseek,
          SYS_close,         SYS_fstat,          SYS_newfstatat,   SYS_mmap,
          SYS_munmap,        SYS_mremap,         SYS_mprotect,     SYS_madvise,
          SYS_brk,           SYS_futex,          SYS_exit,         SYS_exit_group,
          SYS_rt_sigaction,  SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
          SYS_clock_gettime, SYS_clock_getres,   SYS_getrandom,    SYS_sched_yield,
          SYS_getpid,        SYS_gettid};
}

namespace {

// Answers the system calls of a list in one way, and all others in another.
SeccompFilter filter_by_number(std::vector<uint32_t> listed, uint32_t answer, uint32_t otherwise) {
#if defined(__x86_64__)
  constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
  constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#else
#error "which architecture does seccomp know this as?"
#endif
  std::sort(listed.begin(), listed.end());
  std::vector<sock_filter> program;
  const auto add = [&program](uint16_t code, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    program.push_back({code, yes, no, k});
  };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  add(BPF_JMP | BPF_JEQ | BPF_K, kArch, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);  // numbers of another table
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);  // x32
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
#endif
  // A search by halves: the kernel runs the filter for every system call that there is when it is
  // installed, to know those that are allowed.
  const std::function<void(size_t, size_t)> search = [&](size_t first, size_t last) {
    if (last - first <= 2) {
      for (size_t i = first; i < last; ++i)
        add(BPF_JMP | BPF_JEQ | BPF_K, listed[i], uint8_t(last - i), 0);
      add(BPF_RET | BPF_K, otherwise);
      add(BPF_RET | BPF_K, answer);
      return;
    }
    const size_t middle = first + (last - first) / 2;
    const size_t at = program.size();
    add(BPF_JMP | BPF_JGE | BPF_K, listed[middle]);
    search(first, middle);
    program[at].jt = uint8_t(program.size() - at - 1);
    search(middle, last);
  };
  search(0, listed.size());
  return {{reinterpret_cast<const char*>(program.data()), program.size() * sizeof(sock_filter)}, 0};
}

}  // namespace

SeccompFilter wasm_filter() {
  return filter_by_number(refused_to_wasm(), SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW);
}

SeccompFilter compiler_filter() {
  return filter_by_number(needed_to_compile(), SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM);
}

bool confine_wasm() { return install_seccomp(wasm_filter().program, 0); }

}  // namespace wafer::shim
