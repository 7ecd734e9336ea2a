#include "shim/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <set>

#include "oci/format/json.h"
#include "shim/device_filter.h"
#include "shim/proto/stats.pb.h"
#include "shim/spec.h"

namespace wafer::shim {

namespace {

using nlohmann::json;
using oci::member_of;
using oci::text_of;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

uint64_t to_number(std::string_view text) {
  if (text.starts_with("max")) return ~uint64_t{0};
  uint64_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Lines of "NAME VALUE".
std::map<std::string, uint64_t, std::less<>> table_of(std::string_view text) {
  std::map<std::string, uint64_t, std::less<>> table;
  for (const std::string_view line : split(text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() == 2) table.emplace(words[0], to_number(words[1]));
  }
  return table;
}

uint64_t entry(const std::map<std::string, uint64_t, std::less<>>& table, std::string_view name) {
  const auto it = table.find(name);
  return it == table.end() ? 0 : it->second;
}

Result<void> make_folders(const std::string& path, size_t from) {
  // Usually all but the last are there.
  if (mkdir(path.c_str(), 0755) == 0) return {};
  for (size_t at = from; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string part = path.substr(0, at);
    if (mkdir(part.c_str(), 0755) != 0 && errno != EEXIST)
      return system_error("cannot make the control group " + part);
  }
  return {};
}

Result<void> write_file(const std::string& path, const std::string& value) {
  const UniqueFd file = take_opened(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) < 0)
    return system_error("cannot write '" + value + "' to " + path);
  return {};
}

// How many threads are in the group and those below it, of version 1.
uint64_t threads_below(const std::string& path) {
  uint64_t count = 0;
  if (const Result<std::string> text = read_file(path + "/tasks"))
    count += uint64_t(std::count(text->begin(), text->end(), '\n'));
  if (DIR* dir = opendir(path.c_str())) {
    while (const dirent* e = readdir(dir))
      if (e->d_type == DT_DIR && e->d_name[0] != '.')
        count += threads_below(path + "/" + e->d_name);
    closedir(dir);
  }
  return count;
}

// Removes the group and those below it; false if one is busy.
bool remove_tree(const std::string& path) {
  if (rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  bool ok = true;
  if (DIR* dir = opendir(path.c_str())) {
    while (const dirent* e = readdir(dir))
      if (e->d_type == DT_DIR && e->d_name[0] != '.') ok &= remove_tree(path + "/" + e->d_name);
    closedir(dir);
  }
  return ok && (rmdir(path.c_str()) == 0 || errno == ENOENT);
}

void processes_below(const std::string& path, std::set<pid_t>& into) {
  if (const Result<std::string> text = read_file(path + "/cgroup.procs"))
    for (const std::string_view line : split(*text, '\n')) into.insert(pid_t(to_number(line)));
  if (DIR* dir = opendir(path.c_str())) {
    while (const dirent* e = readdir(dir))
      if (e->d_type == DT_DIR && e->d_name[0] != '.') processes_below(path + "/" + e->d_name, into);
    closedir(dir);
  }
}

std::optional<int64_t> integer(const json& object, const char* name) {
  const json& value = member_of(object, name);
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<int64_t>();
}

// "8:0", of a device.
std::string numbers_of(const json& device) {
  return std::to_string(integer(device, "major").value_or(0)) + ":" +
         std::to_string(integer(device, "minor").value_or(0));
}

// Limits of a device's rate, in version 1 and 2.
struct Throttle {
  const char *member, *file, *key;
};
constexpr Throttle kThrottles[] = {
    {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
    {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
    {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
    {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"}};

bool in_user_namespace() {
  // The machine's own maps everybody.
  static const bool inside = [] {
    const Result<std::string> map = read_file("/proc/self/uid_map");
    return !map || map->find("4294967295") == map->npos;
  }();
  return inside;
}

// Controllers of version 1 that every container gets a group of. Others it gets if it or its parent
// has limits there, and that of the freezer when it is first paused: each group costs a tenth of a
// millisecond.
constexpr const char* kControllers[] = {"memory", "cpu", "cpuacct"};
constexpr const char* kFreezer = "freezer";

}  // namespace

CgroupHost CgroupHost::parse(std::string_view mountinfo) {
  CgroupHost host;
  std::string unified;
  for (const std::string_view line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == line.npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const std::string mount(left[4]);
    if (right[0] == "cgroup2") {
      if (unified.empty()) unified = mount;
    } else if (right[0] == "cgroup") {
      Hierarchy h{mount, {}};
      for (const std::string_view option : split(right[2], ','))
        if (option != "rw" && option != "ro") h.controllers.emplace_back(option);
      host.hierarchies.push_back(std::move(h));
    }
  }
  if (!unified.empty() && host.hierarchies.empty()) {
    host.unified = true;
    Hierarchy h{unified, {}};
    if (const auto text = read_file(unified + "/cgroup.controllers"))
      for (const std::string_view line : split(*text, '\n'))
        for (const std::string_view name : split(line, ' ')) h.controllers.emplace_back(name);
    host.hierarchies.push_back(std::move(h));
  }
  return host;
}

const CgroupHost& CgroupHost::get() {
  static const CgroupHost host = [] {
    // A node has a thousand other mounts.
    const Result<std::string> text = read_lines("/proc/self/mountinfo", " - cgroup");
    return text ? parse(*text) : CgroupHost();
  }();
  return host;
}

Result<std::string> cgroup_path(const std::string& cgroups_path, const std::string& id) {
  std::string path = cgroups_path.empty() ? "/wafer/" + id : cgroups_path;
  const size_t first = path.find(':'), last = path.rfind(':');
  if (path.find('/') == path.npos && first != path.npos && first != last) {
    // a-b.slice lies in a.slice.
    const std::string slice = path.substr(0, first);
    const std::string prefix = path.substr(first + 1, last - first - 1);
    const std::string name = path.substr(last + 1);
    std::string folder;
    if (slice.ends_with(".slice") && slice != "-.slice")
      for (size_t i = slice.find('-');; i = slice.find('-', i + 1)) {
        folder += "/" + (i == slice.npos ? slice : slice.substr(0, i) + ".slice");
        if (i == slice.npos) break;
      }
    path = folder + "/" + (prefix.empty() ? name : prefix + "-" + name + ".scope");
  }
  std::string out;
  for (const std::string_view part : split(path, '/')) {
    if (part == ".") continue;
    if (part == "..") return Error(ErrorKind::Invalid, "\"cgroupsPath\" leads outside: " + path);
    out += "/";
    out += part;
  }
  if (out.empty()) return Error(ErrorKind::Invalid, "\"cgroupsPath\" is the root");
  return out;
}

std::string Cgroup::folder(const std::string& controller) const {
  if (host_->unified) return host_->hierarchies[0].mount + path_;
  for (const CgroupHost::Hierarchy& h : host_->hierarchies)
    if (std::find(h.controllers.begin(), h.controllers.end(), controller) != h.controllers.end())
      return h.mount + path_;
  return {};
}

// Of each hierarchy where the group is.
const std::vector<std::string>& Cgroup::folders() const {
  if (folders_.empty())
    for (const CgroupHost::Hierarchy& h : host_->hierarchies)
      if (access((h.mount + path_).c_str(), F_OK) == 0) folders_.push_back(h.mount + path_);
  return folders_;
}

Result<void> Cgroup::write(const std::string& controller, const std::string& file,
                           const std::string& value) const {
  const std::string in = folder(controller);
  if (in.empty())
    return Error(ErrorKind::Unsupported, "this machine has no control group of " + controller);
  return write_file(in + "/" + file, value);
}

std::string Cgroup::read(const std::string& controller, const std::string& file) const {
  const std::string in = folder(controller);
  if (in.empty()) return {};
  Result<std::string> text = read_file(in + "/" + file);
  return text ? *std::move(text) : std::string();
}

uint64_t Cgroup::number(const std::string& controller, const std::string& file) const {
  return to_number(read(controller, file));
}

Result<void> Cgroup::create(const json& resources) {
  if (host_->unified) {
    const CgroupHost::Hierarchy& h = host_->hierarchies[0];
    const std::string own = h.mount + path_, parent = own.substr(0, own.rfind('/'));
    static std::set<std::string> prepared;  // parents that pass their controllers on
    if (prepared.count(parent) && mkdir(own.c_str(), 0755) == 0) return apply(resources);
    // Controllers are there for a group only if all above it pass them on.
    for (size_t at = 0; at != std::string::npos; at = path_.find('/', at + 1)) {
      const std::string above = h.mount + path_.substr(0, at);
      if (at && mkdir(above.c_str(), 0755) != 0 && errno != EEXIST)
        return system_error("cannot make the control group " + above);
      for (const std::string& c : h.controllers)
        (void)write_file(above + "/cgroup.subtree_control", "+" + c);
    }
    if (mkdir(own.c_str(), 0755) != 0 && errno != EEXIST)
      return system_error("cannot make the control group " + path_);
    prepared.insert(parent);
    return apply(resources);
  }
  for (const std::string& controller : wanted(resources)) {
    const Result<std::string> made = make_group(controller);
    if (!made) return made.error();
  }
  return apply(resources);
}

// Of version 1, the controllers that a container with these resources gets a group of.
std::vector<std::string> Cgroup::wanted(const json& resources) const {
  std::vector<std::string> out(std::begin(kControllers), std::end(kControllers));
  const auto want = [&](const char* member, const char* controller) {
    if (member_of(resources, member).is_object() || member_of(resources, member).is_array())
      out.emplace_back(controller);
  };
  want("devices", "devices");
  want("blockIO", "blkio");
  want("hugepageLimits", "hugetlb");
  want("rdma", "rdma");
  if (integer(member_of(resources, "pids"), "limit").value_or(0) != 0) out.emplace_back("pids");
  if (const json& network = member_of(resources, "network"); network.is_object())
    for (const auto& [member, controller] :
         {std::pair("classID", "net_cls"), std::pair("priorities", "net_prio")})
      if (!member_of(network, member).empty()) out.emplace_back(controller);
  if (const json& cpu = member_of(resources, "cpu");
      !text_of(cpu, "cpus").empty() || !text_of(cpu, "mems").empty())
    out.emplace_back("cpuset");
  // What somebody limits as a whole, as a pod, holds for what is in it.
  const std::string parent = path_.substr(0, path_.rfind('/'));
  for (const CgroupHost::Hierarchy& h : host_->hierarchies) {
    const bool has_controller =
        !h.controllers.empty() && h.controllers[0] != kFreezer &&
        std::none_of(h.controllers.begin(), h.controllers.end(),
                     [](const std::string& c) { return c.starts_with("name="); });
    const bool is_wanted = std::any_of(out.begin(), out.end(), [&h](const std::string& c) {
      return std::find(h.controllers.begin(), h.controllers.end(), c) != h.controllers.end();
    });
    if (has_controller && !is_wanted && !parent.empty() &&
        access((h.mount + parent).c_str(), F_OK) == 0)
      out.push_back(h.controllers[0]);
  }
  return out;
}

// Makes the group of a controller, of version 1, unless it is there. Its folder if it is new, else
// nothing.
Result<std::string> Cgroup::make_group(const std::string& controller) const {
  const std::string path = folder(controller);
  if (path.empty() || std::find(folders_.begin(), folders_.end(), path) != folders_.end())
    return std::string();
  WAFER_TRY(make_folders(path, path.size() - path_.size()));
  folders_.push_back(path);
  if (controller != "cpuset") return path;
  // A new set is empty, and nothing can enter it.
  for (size_t at = path.size() - path_.size(); at != path.npos;) {
    const std::string above = path.substr(0, at);
    at = path.find('/', at + 1);
    const std::string own = path.substr(0, at);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      const Result<std::string> now = read_file(own + file), theirs = read_file(above + file);
      if (now && theirs && now->find_first_not_of(" \n") == now->npos)
        (void)write_file(own + file, *theirs);
    }
  }
  return path;
}

// The same, later: the container's processes come along.
Result<void> Cgroup::enter_group(const std::string& controller) const {
  (void)folders();
  WAFER_LET(path, make_group(controller));
  if (path.empty()) return {};
  // What forks meanwhile is met in the next round, unless who forked was inside.
  std::set<pid_t> inside;
  for (int round = 0; round < 16; ++round) {
    bool news = false;
    processes_below(path, inside);
    for (const pid_t pid : processes()) {
      if (!inside.insert(pid).second) continue;
      news = true;
      Result<void> moved = write_file(path + "/cgroup.procs", std::to_string(pid));
      if (!moved && errno != ESRCH) return moved;
    }
    if (!news) return {};
  }
  return Error(ErrorKind::Exhaustion, "more processes begin than can enter " + path);
}

Result<void> Cgroup::update(const json& resources) {
  if (!host_->unified)
    for (const std::string& controller : wanted(resources)) WAFER_TRY(enter_group(controller));
  return apply(resources);
}

Result<void> Cgroup::apply(const json& resources) const {
  // Limits that are the same in both.
  if (const auto pids = integer(member_of(resources, "pids"), "limit"); pids && *pids != 0)
    WAFER_TRY(write("pids", "pids.max", *pids > 0 ? std::to_string(*pids) : "max"));
  const json& rdma = member_of(resources, "rdma");
  if (rdma.is_object())
    for (const auto& [device, limits] : rdma.items()) {
      std::string line = device;
      for (const auto& [member, key] :
           {std::pair("hcaHandles", " hca_handle="), std::pair("hcaObjects", " hca_object=")})
        if (const auto n = integer(limits, member)) line += key + std::to_string(*n);
      WAFER_TRY(write("rdma", "rdma.max", line));
    }
  return host_->unified ? apply_v2(resources) : apply_v1(resources);
}

Result<void> Cgroup::apply_v1(const json& resources) const {
  const auto put = [this](const json& from, const char* name, const char* controller,
                          const char* file) -> Result<void> {
    const auto value = integer(from, name);
    return value && *value != 0 ? write(controller, file, std::to_string(*value)) : Result<void>();
  };
  const json& memory = member_of(resources, "memory");
  const auto limit = integer(memory, "limit"), swap = integer(memory, "swap");
  if (limit && *limit != 0) {
    // Swap counts with memory there, and neither limit may pass the other on the way.
    const bool lower = *limit > 0 && uint64_t(*limit) < number("memory", "memory.limit_in_bytes");
    const auto set_swap = [&]() -> Result<void> {
      if (!swap || *swap == 0) return {};
      const std::string in = folder("memory");
      if (access((in + "/memory.memsw.limit_in_bytes").c_str(), F_OK) != 0) return {};
      return write("memory", "memory.memsw.limit_in_bytes", std::to_string(*swap));
    };
    if (!lower) WAFER_TRY(set_swap());
    WAFER_TRY(write("memory", "memory.limit_in_bytes", std::to_string(*limit)));
    if (lower) WAFER_TRY(set_swap());
  }
  WAFER_TRY(put(memory, "reservation", "memory", "memory.soft_limit_in_bytes"));
  WAFER_TRY(put(memory, "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes"));
  if (const auto swappiness = integer(memory, "swappiness"))
    WAFER_TRY(write("memory", "memory.swappiness", std::to_string(*swappiness)));
  if (member_of(memory, "disableOOMKiller") == true)
    WAFER_TRY(write("memory", "memory.oom_control", "1"));
  const json& cpu = member_of(resources, "cpu");
  WAFER_TRY(put(cpu, "shares", "cpu", "cpu.shares"));
  WAFER_TRY(put(cpu, "period", "cpu", "cpu.cfs_period_us"));
  WAFER_TRY(put(cpu, "quota", "cpu", "cpu.cfs_quota_us"));
  WAFER_TRY(put(cpu, "burst", "cpu", "cpu.cfs_burst_us"));
  WAFER_TRY(put(cpu, "idle", "cpu", "cpu.idle"));
  WAFER_TRY(put(cpu, "realtimePeriod", "cpu", "cpu.rt_period_us"));
  WAFER_TRY(put(cpu, "realtimeRuntime", "cpu", "cpu.rt_runtime_us"));
  for (const char* name : {"cpus", "mems"})
    if (const std::string set = text_of(cpu, name); !set.empty())
      WAFER_TRY(write("cpuset", std::string("cpuset.") + name, set));
  const json& block = member_of(resources, "blockIO");
  // The weights of the one scheduler that has them today, or of the one that had them.
  const bool bfq = access((folder("blkio") + "/blkio.bfq.weight").c_str(), F_OK) == 0;
  const char *const weight = bfq ? "blkio.bfq.weight" : "blkio.weight",
                    *const weights = bfq ? "blkio.bfq.weight_device" : "blkio.weight_device";
  WAFER_TRY(put(block, "weight", "blkio", weight));
  WAFER_TRY(put(block, "leafWeight", "blkio", "blkio.leaf_weight"));
  for (const json& d : member_of(block, "weightDevice"))
    for (const auto& [member, file] :
         {std::pair("weight", weights), std::pair("leafWeight", "blkio.leaf_weight_device")})
      if (const auto value = integer(d, member))
        WAFER_TRY(write("blkio", file, numbers_of(d) + " " + std::to_string(*value)));
  for (const Throttle& t : kThrottles)
    for (const json& d : member_of(block, t.member))
      WAFER_TRY(write("blkio", t.file,
                      numbers_of(d) + " " + std::to_string(integer(d, "rate").value_or(0))));
  const json& network = member_of(resources, "network");
  WAFER_TRY(put(network, "classID", "net_cls", "net_cls.classid"));
  for (const json& p : member_of(network, "priorities"))
    WAFER_TRY(write("net_prio", "net_prio.ifpriomap",
                    text_of(p, "name") + " " + std::to_string(integer(p, "priority").value_or(0))));
  for (const json& h : member_of(resources, "hugepageLimits"))
    WAFER_TRY(write("hugetlb", "hugetlb." + text_of(h, "pageSize") + ".limit_in_bytes",
                    std::to_string(integer(h, "limit").value_or(0))));
  if (!folder("devices").empty()) {
    WAFER_LET(rules, device_rules(member_of(resources, "devices")));
    for (const DeviceRule& rule : rules)
      WAFER_TRY(write("devices", rule.allow ? "devices.allow" : "devices.deny", to_text(rule)));
  }
  return {};
}

Result<void> Cgroup::apply_v2(const json& resources) const {
  const auto amount = [](int64_t value) {
    return value < 0 ? std::string("max") : std::to_string(value);
  };
  const json& memory = member_of(resources, "memory");
  const auto limit = integer(memory, "limit"), swap = integer(memory, "swap");
  if (limit && *limit != 0) WAFER_TRY(write("memory", "memory.max", amount(*limit)));
  if (swap && *swap != 0) {
    const bool some = *swap > 0 && limit && *limit > 0;
    (void)write("memory", "memory.swap.max",
                some ? std::to_string(std::max<int64_t>(*swap - *limit, 0)) : amount(*swap));
  }
  if (const auto low = integer(memory, "reservation"); low && *low != 0)
    WAFER_TRY(write("memory", "memory.low", amount(*low)));
  const json& cpu = member_of(resources, "cpu");
  if (const auto shares = integer(cpu, "shares"); shares && *shares >= 2)
    WAFER_TRY(write("cpu", "cpu.weight",
                    std::to_string(1 + (std::min<int64_t>(*shares, 262144) - 2) * 9999 / 262142)));
  const auto quota = integer(cpu, "quota"), period = integer(cpu, "period");
  if ((quota && *quota != 0) || (period && *period != 0))
    WAFER_TRY(write("cpu", "cpu.max",
                    (quota && *quota > 0 ? std::to_string(*quota) : std::string("max")) + " " +
                        std::to_string(period && *period > 0 ? *period : 100000)));
  if (const auto burst = integer(cpu, "burst"))
    WAFER_TRY(write("cpu", "cpu.max.burst", std::to_string(*burst)));
  if (const auto idle = integer(cpu, "idle"))
    WAFER_TRY(write("cpu", "cpu.idle", std::to_string(*idle)));
  const json& block = member_of(resources, "blockIO");
  // The weights of one scheduler, or those that the kernel weighs by itself, on another scale.
  const bool bfq = access((folder("") + "/io.bfq.weight").c_str(), F_OK) == 0;
  const auto weigh = [&](const std::string& device, int64_t weight) {
    if (!bfq) weight = 1 + (std::max<int64_t>(weight, 10) - 10) * 9999 / 990;
    return write("io", bfq ? "io.bfq.weight" : "io.weight", device + std::to_string(weight));
  };
  if (const auto weight = integer(block, "weight"); weight && *weight != 0)
    WAFER_TRY(weigh("", *weight));
  for (const json& d : member_of(block, "weightDevice"))
    if (const auto weight = integer(d, "weight"); weight && *weight != 0)
      WAFER_TRY(weigh(numbers_of(d) + " ", *weight));
  for (const Throttle& t : kThrottles)
    for (const json& d : member_of(block, t.member)) {
      const auto rate = integer(d, "rate").value_or(0);
      WAFER_TRY(write("io", "io.max",
                      numbers_of(d) + " " + t.key + "=" +
                          (rate > 0 ? std::to_string(rate) : std::string("max"))));
    }
  const json& network = member_of(resources, "network");
  if (integer(network, "classID").value_or(0) != 0 || !member_of(network, "priorities").empty())
    return Error(ErrorKind::Unsupported,
                 "\"network\": control groups of version 2 have no classes and priorities");
  WAFER_LET(rules, device_rules(member_of(resources, "devices")));
  // Only the machine's root can filter devices, or make them.
  if (!rules.empty() && geteuid() == 0 && !in_user_namespace())
    WAFER_TRY(filter_devices(folder(""), rules));
  for (const char* name : {"cpus", "mems"})
    if (const std::string set = text_of(cpu, name); !set.empty())
      WAFER_TRY(write("cpuset", std::string("cpuset.") + name, set));
  for (const json& h : member_of(resources, "hugepageLimits"))
    WAFER_TRY(write("hugetlb", "hugetlb." + text_of(h, "pageSize") + ".max",
                    std::to_string(integer(h, "limit").value_or(0))));
  const json& unified = member_of(resources, "unified");
  if (unified.is_object())
    for (const auto& [file, value] : unified.items()) {
      if (file.find('/') != file.npos || !value.is_string())
        return Error(ErrorKind::Invalid, "\"unified\" has no file '" + file + "'");
      WAFER_TRY(write("", file, value.get<std::string>()));
    }
  return {};
}

std::vector<std::string> Cgroup::entrances() const {
  std::vector<std::string> out;
  if (!host_->unified)
    // Not cgroup.procs: that waits until no process of the machine forks or ends.
    for (const std::string& in : folders()) out.push_back(in + "/tasks");
  return out;
}

Result<void> Cgroup::admit(pid_t pid, const std::vector<std::string>& known) const {
  for (const std::string& entrance : entrances()) {
    if (std::find(known.begin(), known.end(), entrance) != known.end()) continue;
    const std::string in = entrance.substr(0, entrance.rfind('/'));
    Result<void> moved = write_file(in + "/cgroup.procs", std::to_string(pid));
    if (!moved && errno != ESRCH) return moved;
  }
  return {};
}

Result<UniqueFd> Cgroup::birthplace() const {
  if (!host_->unified) return UniqueFd();
  const std::string path = folder("");
  UniqueFd fd = take_opened(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd && !(errno == ENOENT && geteuid() != 0))
    return Error(ErrorKind::Io, "cannot open " + path + ": " + std::strerror(errno));
  return fd;
}

std::vector<pid_t> Cgroup::processes() const {
  std::set<pid_t> all;
  // They are in all hierarchies alike.
  if (!folders().empty()) processes_below(folders()[0], all);
  return {all.begin(), all.end()};
}

void Cgroup::signal_all(int signal) const {
  if (host_->unified && signal == SIGKILL && write_file(folder("") + "/cgroup.kill", "1").ok())
    return;
  // What forks meanwhile is met in the next round.
  std::set<pid_t> seen;
  for (int round = 0; round < 16; ++round) {
    bool news = false;
    for (const pid_t pid : processes()) {
      if (!seen.insert(pid).second) continue;
      news = true;
      kill(pid, signal);
    }
    if (!news) return;
  }
}

Result<void> Cgroup::freeze(bool on) const {
  if (host_->unified) return write("", "cgroup.freeze", on ? "1" : "0");
  if (on) WAFER_TRY(enter_group(kFreezer));
  return write(kFreezer, "freezer.state", on ? "FROZEN" : "THAWED");
}

uint64_t Cgroup::oom_kills() const {
  return entry(table_of(read("memory", host_->unified ? "memory.events" : "memory.oom_control")),
               "oom_kill");
}

uint64_t Cgroup::memory_limit() const {
  const uint64_t limit = number("memory", host_->unified ? "memory.max" : "memory.limit_in_bytes");
  return limit >= uint64_t{1} << 60 ? 0 : limit;
}

Cgroup::Stats Cgroup::stats() const { return host_->unified ? stats_v2() : stats_v1(); }

Cgroup::Stats Cgroup::stats_v1() const {
  proto::MetricsV1 m;
  const std::string pids = read("pids", "pids.current");
  m.mutable_pids()->set_current(!pids.empty() || folders().empty() ? to_number(pids)
                                                                   : threads_below(folders()[0]));
  const uint64_t most = number("pids", "pids.max");
  m.mutable_pids()->set_limit(most == ~uint64_t{0} ? 0 : most);
  proto::CpuUsageV1& usage = *m.mutable_cpu()->mutable_usage();
  usage.set_total(number("cpuacct", "cpuacct.usage"));
  const auto cpu = table_of(read("cpuacct", "cpuacct.stat"));
  constexpr uint64_t kTick = 10'000'000;  // USER_HZ is 100 for programs
  usage.set_user(entry(cpu, "user") * kTick);
  usage.set_kernel(entry(cpu, "system") * kTick);
  const std::string per_cpu = read("cpuacct", "cpuacct.usage_percpu");
  for (const std::string_view n :
       split(std::string_view(per_cpu).substr(0, per_cpu.find('\n')), ' '))
    usage.add_per_cpu(to_number(n));
  const auto throttled = table_of(read("cpu", "cpu.stat"));
  proto::ThrottleV1& throttle = *m.mutable_cpu()->mutable_throttling();
  throttle.set_periods(entry(throttled, "nr_periods"));
  throttle.set_throttled_periods(entry(throttled, "nr_throttled"));
  throttle.set_throttled_time(entry(throttled, "throttled_time"));
  const auto stat = table_of(read("memory", "memory.stat"));
  proto::MemoryStatV1& memory = *m.mutable_memory();
  memory.set_cache(entry(stat, "cache"));
  memory.set_rss(entry(stat, "rss"));
  memory.set_rss_huge(entry(stat, "rss_huge"));
  memory.set_mapped_file(entry(stat, "mapped_file"));
  memory.set_dirty(entry(stat, "dirty"));
  memory.set_writeback(entry(stat, "writeback"));
  memory.set_pg_pg_in(entry(stat, "pgpgin"));
  memory.set_pg_pg_out(entry(stat, "pgpgout"));
  memory.set_pg_fault(entry(stat, "pgfault"));
  memory.set_pg_maj_fault(entry(stat, "pgmajfault"));
  memory.set_inactive_anon(entry(stat, "inactive_anon"));
  memory.set_active_anon(entry(stat, "active_anon"));
  memory.set_inactive_file(entry(stat, "inactive_file"));
  memory.set_active_file(entry(stat, "active_file"));
  memory.set_unevictable(entry(stat, "unevictable"));
  memory.set_hierarchical_memory_limit(entry(stat, "hierarchical_memory_limit"));
  memory.set_hierarchical_swap_limit(entry(stat, "hierarchical_memsw_limit"));
  memory.set_total_cache(entry(stat, "total_cache"));
  memory.set_total_rss(entry(stat, "total_rss"));
  memory.set_total_mapped_file(entry(stat, "total_mapped_file"));
  memory.set_total_pg_fault(entry(stat, "total_pgfault"));
  memory.set_total_pg_maj_fault(entry(stat, "total_pgmajfault"));
  memory.set_total_inactive_anon(entry(stat, "total_inactive_anon"));
  memory.set_total_active_anon(entry(stat, "total_active_anon"));
  memory.set_total_inactive_file(entry(stat, "total_inactive_file"));
  memory.set_total_active_file(entry(stat, "total_active_file"));
  memory.set_total_unevictable(entry(stat, "total_unevictable"));
  const auto fill = [this](proto::MemoryEntryV1& e, const std::string& prefix) {
    e.set_limit(number("memory", prefix + ".limit_in_bytes"));
    e.set_usage(number("memory", prefix + ".usage_in_bytes"));
    e.set_max(number("memory", prefix + ".max_usage_in_bytes"));
    e.set_failcnt(number("memory", prefix + ".failcnt"));
  };
  fill(*memory.mutable_usage(), "memory");
  fill(*memory.mutable_swap(), "memory.memsw");
  fill(*memory.mutable_kernel(), "memory.kmem");
  return {"io.containerd.cgroups.v1.Metrics", m.SerializeAsString()};
}

Cgroup::Stats Cgroup::stats_v2() const {
  proto::MetricsV2 m;
  m.mutable_pids()->set_current(number("pids", "pids.current"));
  const uint64_t most = number("pids", "pids.max");
  m.mutable_pids()->set_limit(most == ~uint64_t{0} ? 0 : most);
  const auto cpu = table_of(read("cpu", "cpu.stat"));
  proto::CpuStatV2& c = *m.mutable_cpu();
  c.set_usage_usec(entry(cpu, "usage_usec"));
  c.set_user_usec(entry(cpu, "user_usec"));
  c.set_system_usec(entry(cpu, "system_usec"));
  c.set_nr_periods(entry(cpu, "nr_periods"));
  c.set_nr_throttled(entry(cpu, "nr_throttled"));
  c.set_throttled_usec(entry(cpu, "throttled_usec"));
  const auto stat = table_of(read("memory", "memory.stat"));
  proto::MemoryStatV2& memory = *m.mutable_memory();
  memory.set_anon(entry(stat, "anon"));
  memory.set_file(entry(stat, "file"));
  memory.set_kernel_stack(entry(stat, "kernel_stack"));
  memory.set_slab(entry(stat, "slab"));
  memory.set_sock(entry(stat, "sock"));
  memory.set_shmem(entry(stat, "shmem"));
  memory.set_file_mapped(entry(stat, "file_mapped"));
  memory.set_file_dirty(entry(stat, "file_dirty"));
  memory.set_file_writeback(entry(stat, "file_writeback"));
  memory.set_anon_thp(entry(stat, "anon_thp"));
  memory.set_inactive_anon(entry(stat, "inactive_anon"));
  memory.set_active_anon(entry(stat, "active_anon"));
  memory.set_inactive_file(entry(stat, "inactive_file"));
  memory.set_active_file(entry(stat, "active_file"));
  memory.set_unevictable(entry(stat, "unevictable"));
  memory.set_slab_reclaimable(entry(stat, "slab_reclaimable"));
  memory.set_slab_unreclaimable(entry(stat, "slab_unreclaimable"));
  memory.set_pgfault(entry(stat, "pgfault"));
  memory.set_pgmajfault(entry(stat, "pgmajfault"));
  memory.set_usage(number("memory", "memory.current"));
  memory.set_usage_limit(number("memory", "memory.max"));
  memory.set_swap_usage(number("memory", "memory.swap.current"));
  memory.set_swap_limit(number("memory", "memory.swap.max"));
  memory.set_max_usage(number("memory", "memory.peak"));
  const auto events = table_of(read("memory", "memory.events"));
  proto::MemoryEventsV2& e = *m.mutable_memory_events();
  e.set_low(entry(events, "low"));
  e.set_high(entry(events, "high"));
  e.set_max(entry(events, "max"));
  e.set_oom(entry(events, "oom"));
  e.set_oom_kill(entry(events, "oom_kill"));
  return {"io.containerd.cgroups.v2.Metrics", m.SerializeAsString()};
}

bool Cgroup::remove() const {
  bool ok = true;
  for (const std::string& in : folders()) ok &= remove_tree(in);
  return ok;
}

}  // namespace wafer::shim
