#include "shim/device_filter.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <map>

#include "base/descriptor.h"
#include "oci/format/json.h"
#include "shim/files.h"

namespace wafer::shim {

namespace {

using nlohmann::json;
using oci::member_of;
using oci::text_of;

struct Access {
  char letter;
  uint32_t bit;
};
constexpr Access kAccesses[] = {
    {'r', BPF_DEVCG_ACC_READ}, {'w', BPF_DEVCG_ACC_WRITE}, {'m', BPF_DEVCG_ACC_MKNOD}};
constexpr uint32_t kAll = BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD;

// Any may be made, and these may be used: null, zero, full, random, urandom, tty, ptmx, and
// terminals.
constexpr auto kMake = uint32_t{BPF_DEVCG_ACC_MKNOD};
const DeviceRule kUsual[] = {{true, 'c', {}, {}, kMake}, {true, 'b', {}, {}, kMake},
                             {true, 'c', 1, 3, kAll},    {true, 'c', 1, 5, kAll},
                             {true, 'c', 1, 7, kAll},    {true, 'c', 1, 8, kAll},
                             {true, 'c', 1, 9, kAll},    {true, 'c', 5, 0, kAll},
                             {true, 'c', 5, 2, kAll},    {true, 'c', 136, {}, kAll}};

std::optional<uint32_t> number(const json& rule, const char* name) {
  const json& value = member_of(rule, name);
  if (!value.is_number_integer() || value.get<int64_t>() < 0) return std::nullopt;
  return uint32_t(value.get<uint64_t>());
}

// ---- Instructions -----------------------------------------------------------

// Registers: what is asked for, the device, and a scratch one. The context comes in R1.
constexpr uint8_t kResult = BPF_REG_0, kContext = BPF_REG_1, kType = BPF_REG_2,
                  kAsked = BPF_REG_3,  // kinds of access that no rule has decided yet
    kMajor = BPF_REG_4, kMinor = BPF_REG_5, kScratch = BPF_REG_6;

class Assembler {
 public:
  void load(uint8_t to, size_t offset) {
    put(BPF_LDX | BPF_W | BPF_MEM, to, kContext, int16_t(offset), 0);
  }
  void move(uint8_t to, uint8_t from) { put(BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0); }
  void shift_right(uint8_t what, int32_t by) { put(BPF_ALU | BPF_RSH | BPF_K, what, 0, 0, by); }
  void mask(uint8_t what, uint32_t bits) {
    put(BPF_ALU | BPF_AND | BPF_K, what, 0, 0, int32_t(bits));
  }
  // To the end of the rule, which done() sets.
  void skip_unless_equal(uint8_t what, uint32_t value) {
    skips_.push_back(program_.size());
    put(BPF_JMP32 | BPF_JNE | BPF_K, what, 0, 0, int32_t(value));
  }
  void skip_if_equal(uint8_t what, uint32_t value) {
    skips_.push_back(program_.size());
    put(BPF_JMP32 | BPF_JEQ | BPF_K, what, 0, 0, int32_t(value));
  }
  void done() {
    for (const size_t at : skips_) program_[at].off = int16_t(program_.size() - at - 1);
    skips_.clear();
  }
  void give(int32_t value) {
    put(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, value);
    put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  std::vector<bpf_insn> take() { return std::move(program_); }

 private:
  void put(int code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
    bpf_insn i{};
    i.code = uint8_t(code);
    i.dst_reg = to & 15;
    i.src_reg = from & 15;
    i.off = offset;
    i.imm = value;
    program_.push_back(i);
  }
  std::vector<bpf_insn> program_;
  std::vector<size_t> skips_;
};

long bpf(int command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

// The program in the kernel. Containers mostly have the same rules, and share it.
Result<int> loaded(const std::vector<bpf_insn>& program) {
  static std::map<std::string, UniqueFd> known;
  constexpr size_t kMost = 64;
  const std::string key(reinterpret_cast<const char*>(program.data()),
                        program.size() * sizeof(bpf_insn));
  const auto it = known.find(key);
  if (it != known.end()) return it->second.get();
  bpf_attr a{};
  a.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  a.insns = reinterpret_cast<uintptr_t>(program.data());
  a.insn_cnt = uint32_t(program.size());
  a.license = reinterpret_cast<uintptr_t>("");
  UniqueFd fd = take_opened(int(bpf(BPF_PROG_LOAD, a)));
  if (!fd) return system_error("cannot load the filter of devices");
  if (known.size() == kMost) known.clear();
  return known.emplace(key, std::move(fd)).first->second.get();
}

}  // namespace

Result<std::vector<DeviceRule>> device_rules(const json& devices) {
  constexpr size_t kMost = 4096;
  std::vector<DeviceRule> rules;
  if (!devices.is_array()) return rules;
  if (devices.size() > kMost) return Error(ErrorKind::Exhaustion, "too many rules for devices");
  for (const json& d : devices) {
    DeviceRule rule;
    rule.allow = member_of(d, "allow") == true;
    const std::string type = text_of(d, "type"), access = text_of(d, "access");
    if (!type.empty()) rule.type = type[0];
    if (type.size() > 1 || !std::strchr("acbu", rule.type))
      return Error(ErrorKind::Invalid, "\"devices\": no type of device '" + type + "'");
    if (rule.type == 'u') rule.type = 'c';
    rule.access = kAll;
    if (rule.type != 'a') {
      for (const char* name : {"major", "minor"})
        if (const json& n = member_of(d, name);
            n.is_number_unsigned() && n.get<uint64_t>() > UINT32_MAX)
          return Error(ErrorKind::Invalid, std::string("\"devices\": no such ") + name);
      rule.major = number(d, "major");
      rule.minor = number(d, "minor");
      if (!access.empty()) rule.access = 0;
      for (const char letter : access) {
        uint32_t bit = 0;
        for (const Access& known : kAccesses)
          if (known.letter == letter) bit = known.bit;
        if (!bit) return Error(ErrorKind::Invalid, "\"devices\": no access '" + access + "'");
        rule.access |= bit;
      }
    }
    rules.push_back(rule);
  }
  if (!rules.empty()) rules.insert(rules.end(), std::begin(kUsual), std::end(kUsual));
  return rules;
}

std::string to_text(const DeviceRule& rule) {
  if (rule.type == 'a') return "a";
  const auto number = [](std::optional<uint32_t> n) { return n ? std::to_string(*n) : "*"; };
  std::string text{rule.type, ' '};
  text += number(rule.major) + ":" + number(rule.minor) + " ";
  for (const Access& a : kAccesses)
    if (rule.access & a.bit) text += a.letter;
  return text;
}

std::vector<bpf_insn> device_program(const std::vector<DeviceRule>& rules) {
  Assembler a;
  a.load(kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  a.move(kAsked, kType);
  a.mask(kType, 0xFFFF);
  a.shift_right(kAsked, 16);
  a.load(kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  a.load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    if (rule->type != 'a')
      a.skip_unless_equal(kType, rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (rule->major) a.skip_unless_equal(kMajor, *rule->major);
    if (rule->minor) a.skip_unless_equal(kMinor, *rule->minor);
    if (rule->allow) {
      a.mask(kAsked, kAll & ~rule->access);
      a.skip_unless_equal(kAsked, 0);
      a.give(1);
    } else {
      a.move(kScratch, kAsked);
      a.mask(kScratch, rule->access);
      a.skip_if_equal(kScratch, 0);
      a.give(0);
    }
    a.done();
    // The rest would never be met.
    if (rule->type == 'a') break;
  }
  a.give(0);
  return a.take();
}

Result<void> filter_devices(const std::string& folder, const std::vector<DeviceRule>& rules) {
  WAFER_LET(program, loaded(device_program(rules)));
  const UniqueFd group = take_opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!group) return system_error("cannot open the control group");
  // All programs of a group have to agree: the new one comes before the old ones go.
  uint32_t before[64];
  bpf_attr query{};
  query.query.target_fd = uint32_t(group.get());
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = reinterpret_cast<uintptr_t>(before);
  query.query.prog_cnt = std::size(before);
  if (bpf(BPF_PROG_QUERY, query) != 0) return system_error("cannot ask for filters of devices");
  bpf_attr attach{};
  attach.target_fd = uint32_t(group.get());
  attach.attach_bpf_fd = uint32_t(program);
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  const bool is_new = bpf(BPF_PROG_ATTACH, attach) == 0;
  // It is there already.
  if (!is_new && errno == EINVAL && query.query.prog_cnt > 0) return {};
  if (!is_new) return system_error("cannot filter devices");
  for (uint32_t i = 0; i < query.query.prog_cnt; ++i) {
    bpf_attr find{};
    find.prog_id = before[i];
    const UniqueFd old = take_opened(int(bpf(BPF_PROG_GET_FD_BY_ID, find)));
    bpf_attr detach{};
    detach.target_fd = uint32_t(group.get());
    detach.attach_bpf_fd = uint32_t(old.get());
    detach.attach_type = BPF_CGROUP_DEVICE;
    if (!old || bpf(BPF_PROG_DETACH, detach) != 0)
      return system_error("cannot take back a filter of devices");
  }
  return {};
}

}  // namespace wafer::shim
