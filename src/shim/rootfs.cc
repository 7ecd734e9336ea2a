#include "shim/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "shim/cgroup.h"
#include "shim/files.h"

namespace wafer::shim {

namespace {

struct Option {
  std::string_view name;
  unsigned long flag;
  bool clear;
};
constexpr Option kOptions[] = {{"ro", MS_RDONLY, false},
                               {"rw", MS_RDONLY, true},
                               {"nosuid", MS_NOSUID, false},
                               {"suid", MS_NOSUID, true},
                               {"nodev", MS_NODEV, false},
                               {"dev", MS_NODEV, true},
                               {"noexec", MS_NOEXEC, false},
                               {"exec", MS_NOEXEC, true},
                               {"sync", MS_SYNCHRONOUS, false},
                               {"async", MS_SYNCHRONOUS, true},
                               {"remount", MS_REMOUNT, false},
                               {"mand", MS_MANDLOCK, false},
                               {"nomand", MS_MANDLOCK, true},
                               {"dirsync", MS_DIRSYNC, false},
                               {"noatime", MS_NOATIME, false},
                               {"atime", MS_NOATIME, true},
                               {"nodiratime", MS_NODIRATIME, false},
                               {"diratime", MS_NODIRATIME, true},
                               {"bind", MS_BIND, false},
                               {"rbind", MS_BIND | MS_REC, false},
                               {"relatime", MS_RELATIME, false},
                               {"norelatime", MS_RELATIME, true},
                               {"strictatime", MS_STRICTATIME, false},
                               {"nostrictatime", MS_STRICTATIME, true},
                               {"silent", MS_SILENT, false},
                               {"loud", MS_SILENT, true},
                               {"iversion", MS_I_VERSION, false},
                               {"noiversion", MS_I_VERSION, true},
                               {"nosymfollow", MS_NOSYMFOLLOW, false},
                               {"symfollow", MS_NOSYMFOLLOW, true},
                               {"defaults", 0, false}};
// Those of a whole tree of mounts, as mount_setattr(2) takes them.
struct TreeOption {
  std::string_view name;
  uint64_t set, clear;
};
constexpr TreeOption kTreeOptions[] = {{"rro", MOUNT_ATTR_RDONLY, 0},
                                       {"rrw", 0, MOUNT_ATTR_RDONLY},
                                       {"rnosuid", MOUNT_ATTR_NOSUID, 0},
                                       {"rsuid", 0, MOUNT_ATTR_NOSUID},
                                       {"rnodev", MOUNT_ATTR_NODEV, 0},
                                       {"rdev", 0, MOUNT_ATTR_NODEV},
                                       {"rnoexec", MOUNT_ATTR_NOEXEC, 0},
                                       {"rexec", 0, MOUNT_ATTR_NOEXEC},
                                       {"rnodiratime", MOUNT_ATTR_NODIRATIME, 0},
                                       {"rdiratime", 0, MOUNT_ATTR_NODIRATIME},
                                       {"rrelatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
                                       {"rnorelatime", 0, MOUNT_ATTR__ATIME},
                                       {"rnoatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
                                       {"ratime", 0, MOUNT_ATTR__ATIME},
                                       {"rstrictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
                                       {"rnostrictatime", 0, MOUNT_ATTR__ATIME},
                                       {"rnosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
                                       {"rsymfollow", 0, MOUNT_ATTR_NOSYMFOLLOW}};
constexpr Option kPropagation[] = {
    {"private", MS_PRIVATE, false},       {"rprivate", MS_PRIVATE | MS_REC, false},
    {"shared", MS_SHARED, false},         {"rshared", MS_SHARED | MS_REC, false},
    {"slave", MS_SLAVE, false},           {"rslave", MS_SLAVE | MS_REC, false},
    {"unbindable", MS_UNBINDABLE, false}, {"runbindable", MS_UNBINDABLE | MS_REC, false}};

// A path for system calls that take none but paths.
std::string path_of(const UniqueFd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

// Flags of the mount that `fd` is in, which a bind mount has to repeat when it is changed.
unsigned long flags_of(const UniqueFd& fd) {
  struct statfs st;
  if (fstatfs(fd.get(), &st) != 0) return 0;
  constexpr std::pair<unsigned long, unsigned long> kFlags[] = {
      {0x1 /* ST_RDONLY */, MS_RDONLY},        {0x2 /* ST_NOSUID */, MS_NOSUID},
      {0x4 /* ST_NODEV */, MS_NODEV},          {0x8 /* ST_NOEXEC */, MS_NOEXEC},
      {0x400 /* ST_NOATIME */, MS_NOATIME},    {0x800 /* ST_NODIRATIME */, MS_NODIRATIME},
      {0x1000 /* ST_RELATIME */, MS_RELATIME}, {0x2000 /* ST_NOSYMFOLLOW */, MS_NOSYMFOLLOW}};
  unsigned long flags = 0;
  for (const auto& [st_flag, ms_flag] : kFlags)
    if (static_cast<unsigned long>(st.f_flags) & st_flag) flags |= ms_flag;
  return flags;
}

constexpr unsigned long kPerMount = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME |
                                    MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME | MS_NOSYMFOLLOW;

constexpr unsigned long kAccessTimes = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

// What a bind mount that has the flags `now` is to have by mount(2), which takes all of them anew.
unsigned long changed(unsigned long now, const MountOptions& o) {
  if (o.flags & kAccessTimes) now &= ~kAccessTimes;
  return (now & ~o.cleared) | (o.flags & kPerMount);
}

// The same for mount_setattr(2), which leaves alone what is not named.
mount_attr attributes(const MountOptions& o) {
  constexpr std::pair<unsigned long, uint64_t> kSet[] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},
                                                         {MS_NOSUID, MOUNT_ATTR_NOSUID},
                                                         {MS_NODEV, MOUNT_ATTR_NODEV},
                                                         {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
                                                         {MS_NOATIME, MOUNT_ATTR_NOATIME},
                                                         {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
                                                         {MS_RELATIME, MOUNT_ATTR_RELATIME},
                                                         {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
                                                         {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW}};
  mount_attr how{};
  for (const auto& [flag, attribute] : kSet) {
    if (o.flags & flag) how.attr_set |= attribute;
    if (o.cleared & flag & ~kAccessTimes) how.attr_clr |= attribute;
  }
  // One of them, or else the kernel's usual one.
  if (o.flags & kAccessTimes || o.cleared & MS_NOATIME) how.attr_clr |= MOUNT_ATTR__ATIME;
  // As mount(2) has it, the strictest.
  if (o.flags & MS_STRICTATIME) how.attr_set &= ~uint64_t{MOUNT_ATTR_NOATIME};
  return how;
}

// Changes the mount at `top`, and all below it, as `o` says.
Result<void> change_tree(const UniqueFd& top, const MountOptions& o, const std::string& what) {
  if (!o.set && !o.clear) return {};
  mount_attr how{};
  how.attr_set = o.set;
  how.attr_clr = o.clear;
  if (mount_setattr(top.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &how, sizeof how) != 0)
    return system_error("cannot change the mounts below " + what);
  return {};
}

// Binds `source`, relative to `from` or all of it if empty, on `target`. It has the options of `o`
// before anybody can see it: what is found by a path later may be something else, when others write
// where the path leads through. Gives the mount; none, without an error, where the kernel is older.
Result<UniqueFd> bind_tree(int from, const char* source, const MountOptions& o,
                           const UniqueFd& target, const std::string& what) {
  const unsigned empty = *source ? 0 : AT_EMPTY_PATH;
  UniqueFd tree = take_opened(open_tree(
      from, source,
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | empty | (o.flags & MS_REC ? AT_RECURSIVE : 0)));
  if (!tree && errno == ENOSYS) return UniqueFd();
  if (!tree) return system_error("cannot mount " + what);
  // In a user namespace, the kernel refuses to change what was set outside of it.
  mount_attr top = attributes(o);
  if ((top.attr_set || top.attr_clr) &&
      mount_setattr(tree.get(), "", AT_EMPTY_PATH, &top, sizeof top) != 0) {
    if (errno == ENOSYS) return UniqueFd();
    return system_error("cannot change the mount " + what);
  }
  WAFER_TRY(change_tree(tree, o, what));
  if (move_mount(tree.get(), "", target.get(), "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return system_error("cannot mount " + what);
  return tree;
}

}  // namespace

MountOptions mount_options(const std::vector<std::string>& options) {
  MountOptions out;
  for (const std::string& option : options) {
    const auto known = std::find_if(std::begin(kOptions), std::end(kOptions),
                                    [&option](const Option& o) { return o.name == option; });
    if (known != std::end(kOptions)) {
      (known->clear ? out.flags : out.cleared) &= ~known->flag;
      (known->clear ? out.cleared : out.flags) |= known->flag;
      continue;
    }
    const auto how = std::find_if(std::begin(kPropagation), std::end(kPropagation),
                                  [&option](const Option& o) { return o.name == option; });
    if (how != std::end(kPropagation)) {
      out.propagation.push_back(how->flag);
      continue;
    }
    const auto tree = std::find_if(std::begin(kTreeOptions), std::end(kTreeOptions),
                                   [&option](const TreeOption& o) { return o.name == option; });
    if (tree != std::end(kTreeOptions)) {
      out.set = (out.set & ~tree->clear) | tree->set;
      out.clear |= tree->clear;
    } else {
      if (!out.data.empty()) out.data += ',';
      out.data += option;
    }
  }
  return out;
}

Result<void> mount_at(const std::string& target, const std::string& type, const std::string& source,
                      const std::vector<std::string>& options) {
  MountOptions o = mount_options(options);
  if (type == "bind" || type == "rbind") o.flags |= type == "bind" ? MS_BIND : MS_BIND | MS_REC;
  const bool bind = o.flags & MS_BIND;
  if (::mount(source.c_str(), target.c_str(), bind ? nullptr : type.c_str(), o.flags,
              o.data.empty() ? nullptr : o.data.c_str()) != 0)
    return system_error("cannot mount " + (bind ? source : type) + " on " + target);
  if (bind && ((o.flags | o.cleared) & kPerMount)) {
    const UniqueFd now(::open(target.c_str(), O_PATH | O_CLOEXEC));
    if (::mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | changed(flags_of(now), o),
                nullptr) != 0)
      return system_error("cannot change the mount " + target);
  }
  for (const unsigned long flags : o.propagation)
    if (::mount(nullptr, target.c_str(), nullptr, flags, nullptr) != 0)
      return system_error("cannot change the propagation of " + target);
  return {};
}

Result<Rootfs> Rootfs::open(const std::string& path) {
  UniqueFd fd = take_opened(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_error("cannot open the root " + path);
  return Rootfs(path, std::move(fd));
}

UniqueFd Rootfs::find(const std::string& path, int flags, uint64_t resolve) const {
  open_how how{};
  how.flags = uint64_t(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  for (;;) {
    const long fd =
        syscall(SYS_openat2, fd_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how);
    // Somebody renamed something meanwhile.
    if (fd < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    return take_opened(int(fd));
  }
}

Result<UniqueFd> Rootfs::make(const std::string& path, bool folder) const {
  if (UniqueFd there = find(path, O_PATH)) return there;
  if (errno != ENOENT) return system_error("cannot find " + path + " in the root");
  // What is there as far as it goes, then the rest one by one.
  for (size_t at = path.find_first_not_of('/'); at != path.npos;) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string upto = path.substr(0, end), name = path.substr(at, end - at);
    at = path.find_first_not_of('/', end);
    const bool last = at == path.npos;
    if (find(upto, O_PATH)) continue;
    if (errno != ENOENT || name == "..") return system_error("cannot find " + upto);
    const UniqueFd parent = find(upto.substr(0, end - name.size()), O_PATH | O_DIRECTORY);
    if (!parent) return system_error("cannot make " + upto);
    if (folder || !last) {
      if (mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
        return system_error("cannot make the folder " + upto);
    } else {
      const UniqueFd file(openat(parent.get(), name.c_str(),
                                 O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644));
      if (!file && errno != EEXIST) return system_error("cannot make the file " + upto);
    }
  }
  UniqueFd made = find(path, O_PATH);
  if (!made) return system_error("cannot make " + path + " in the root");
  return made;
}

Result<void> Rootfs::mount(const MountSpec& m, const std::string& cgroup) const {
  MountOptions o = mount_options(m.options);
  const bool bind = m.type == "bind" || m.type == "rbind" || (o.flags & MS_BIND);
  if (m.type == "rbind") o.flags |= MS_REC;
  if (m.type == "cgroup" && !bind) return mount_cgroups(m, cgroup);
  bool folder = true;
  if (bind) {
    struct stat st;
    if (stat(m.source.c_str(), &st) != 0) return system_error("cannot mount " + m.source);
    folder = S_ISDIR(st.st_mode);
  }
  WAFER_LET(target, make(m.destination, folder));
  // What is masked below it is found by the same path, which is not to lead elsewhere meanwhile, as
  // in a volume that others write.
  if ((m.type == "proc" || m.type == "sysfs") && !find(m.destination, O_PATH, RESOLVE_NO_SYMLINKS))
    return Error(ErrorKind::Invalid,
                 m.type + " is not mounted where a link leads: " + m.destination);
  Result<UniqueFd> mounted = UniqueFd();
  if (bind)
    mounted = bind_tree(AT_FDCWD, m.source.c_str(), o, target, m.source + " on " + m.destination);
  if (mounted && !*mounted) mounted = mount_by_path(m, o, bind, target);
  if (!mounted) return mounted.take_error();
  const std::string top = path_of(*mounted);
  for (const unsigned long flags : o.propagation)
    if (::mount(nullptr, top.c_str(), nullptr, flags, nullptr) != 0)
      return system_error("cannot change the propagation of " + m.destination);
  return {};
}

// By mount(2), and gives what is found at the destination then.
Result<UniqueFd> Rootfs::mount_by_path(const MountSpec& m, MountOptions o, bool bind,
                                       const UniqueFd& target) const {
  const std::string on = path_of(target);
  if (bind) {
    if (::mount(m.source.c_str(), on.c_str(), nullptr, MS_BIND | (o.flags & MS_REC), nullptr) != 0)
      return system_error("cannot mount " + m.source + " on " + m.destination);
  } else {
    const unsigned long flags = o.flags & ~MS_REC;
    const char* type = m.type.c_str();
    // The kernel's own files have labels of their own.
    if (!m.label.empty() && m.type != "proc" && m.type != "sysfs" && m.type != "cgroup2")
      o.data += (o.data.empty() ? "" : ",") + ("context=\"" + m.label + "\"");
    if (::mount(m.source.empty() ? type : m.source.c_str(), on.c_str(), type, flags,
                o.data.empty() ? nullptr : o.data.c_str()) != 0)
      return system_error("cannot mount " + m.type + " on " + m.destination);
  }
  // The descriptor is of what lies below the new mount.
  UniqueFd mounted = find(m.destination, O_PATH);
  if (!mounted) return system_error("cannot find " + m.destination);
  if (bind && ((o.flags | o.cleared) & kPerMount) &&
      ::mount(nullptr, path_of(mounted).c_str(), nullptr,
              MS_BIND | MS_REMOUNT | changed(flags_of(mounted), o), nullptr) != 0)
    return system_error("cannot change the mount " + m.destination);
  WAFER_TRY(change_tree(mounted, o, m.destination));
  return mounted;
}

Result<void> Rootfs::mount_cgroups(const MountSpec& m, const std::string& cgroup) const {
  const CgroupHost& host = CgroupHost::get();
  if (host.unified) return mount({m.destination, "cgroup2", "cgroup", m.options, {}}, cgroup);
  WAFER_TRY(mount(
      {m.destination, "tmpfs", "tmpfs", {"nosuid", "noexec", "nodev", "mode=755"}, m.label}, {}));
  for (const CgroupHost::Hierarchy& h : host.hierarchies) {
    const std::string source = h.mount + cgroup;
    if (access(source.c_str(), F_OK) != 0) continue;
    const std::string name = h.mount.substr(h.mount.rfind('/') + 1);
    std::vector<std::string> options{"bind", "nosuid", "noexec", "nodev"};
    if (mount_options(m.options).flags & MS_RDONLY) options.emplace_back("ro");
    WAFER_TRY(mount({m.destination + "/" + name, "bind", source, options, {}}, {}));
  }
  return {};
}

Result<void> Rootfs::make_device(const DeviceSpec& device, Folder& in) const {
  const size_t slash = device.path.rfind('/');
  const std::string name = device.path.substr(slash == device.path.npos ? 0 : slash + 1);
  if (name.empty() || name == "." || name == "..")
    return Error(ErrorKind::Invalid, "a device needs a name: '" + device.path + "'");
  const std::string path = slash == device.path.npos ? "/" : device.path.substr(0, slash);
  if (!in.fd || in.path != path) {
    WAFER_LET(fd, make(path, true));
    in = {path, std::move(fd)};
  }
  if (mknodat(in.fd.get(), name.c_str(), device.type | (device.mode & 07777),
              makedev(device.major, device.minor)) == 0) {
    if ((device.uid || device.gid) &&
        fchownat(in.fd.get(), name.c_str(), device.uid, device.gid, AT_SYMLINK_NOFOLLOW) != 0)
      return system_error("cannot make the device " + device.path);
    return {};
  }
  if (errno == EEXIST) return {};
  if (errno != EPERM) return system_error("cannot make the device " + device.path);
  // In a user namespace: the machine's own, if it is one of the usual.
  if (!device.path.starts_with("/dev/")) return system_error("cannot make " + device.path);
  return mount({device.path, "bind", device.path, {"bind"}, {}}, {});
}

Result<void> Rootfs::make_devices(const std::vector<DeviceSpec>& devices) const {
  // Their modes are what they say.
  struct Umask {
    const mode_t before = umask(0);
    ~Umask() { umask(before); }
  } none;
  const std::vector<DeviceSpec> usual = {
      {"/dev/null", S_IFCHR, 1, 3, 0666, 0, 0},    {"/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0},
      {"/dev/full", S_IFCHR, 1, 7, 0666, 0, 0},    {"/dev/random", S_IFCHR, 1, 8, 0666, 0, 0},
      {"/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0}, {"/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0}};
  Folder in;
  for (const DeviceSpec& d : usual) WAFER_TRY(make_device(d, in));
  for (const DeviceSpec& d : devices) WAFER_TRY(make_device(d, in));
  constexpr std::pair<const char*, const char*> kLinks[] = {{"fd", "/proc/self/fd"},
                                                            {"stdin", "/proc/self/fd/0"},
                                                            {"stdout", "/proc/self/fd/1"},
                                                            {"stderr", "/proc/self/fd/2"},
                                                            {"ptmx", "pts/ptmx"}};
  const UniqueFd dev = find("/dev", O_PATH | O_DIRECTORY);
  if (!dev) return system_error("cannot find /dev");
  for (const auto& [name, target] : kLinks)
    if (symlinkat(target, dev.get(), name) != 0 && errno != EEXIST)
      return system_error(std::string("cannot make /dev/") + name);
  return {};
}

Result<void> Rootfs::mask(const std::string& path) const {
  const UniqueFd target = find(path, O_PATH);
  if (!target) return {};  // what is not there needs no hiding
  struct stat st;
  if (fstat(target.get(), &st) != 0) return system_error("cannot mask " + path);
  const int status = S_ISDIR(st.st_mode)
                         ? ::mount("tmpfs", path_of(target).c_str(), "tmpfs", MS_RDONLY, "size=0k")
                         : ::mount("/dev/null", path_of(target).c_str(), nullptr, MS_BIND, nullptr);
  return status == 0 ? Result<void>() : system_error("cannot mask " + path);
}

Result<void> Rootfs::make_readonly(const std::string& path) const {
  const UniqueFd below = find(path, O_PATH);
  if (!below) return {};
  MountOptions o;
  o.flags = MS_RDONLY | MS_REC;
  WAFER_LET(tree, bind_tree(below.get(), "", o, below, path));
  if (tree) return {};
  const std::string on = path_of(below);
  if (::mount(on.c_str(), on.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return system_error("cannot make " + path + " read-only");
  const UniqueFd top = find(path, O_PATH);
  if (!top || ::mount(nullptr, path_of(top).c_str(), nullptr,
                      MS_BIND | MS_REMOUNT | MS_RDONLY | flags_of(top), nullptr) != 0)
    return system_error("cannot make " + path + " read-only");
  return {};
}

Result<void> Rootfs::make_root_readonly() const {
  if (::mount(nullptr, path_of(fd_).c_str(), nullptr,
              MS_BIND | MS_REMOUNT | MS_RDONLY | flags_of(fd_), nullptr) != 0)
    return system_error("cannot make the root read-only");
  return {};
}

Result<void> Rootfs::enter() const {
  if (fchdir(fd_.get()) != 0) return system_error("cannot enter the root");
  // The old root comes to lie on the new one, and is taken off it.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return system_error("cannot change the root");
  if (::mount(nullptr, ".", nullptr, MS_SLAVE | MS_REC, nullptr) != 0 ||
      umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
    return system_error("cannot leave the old root");
  return {};
}

}  // namespace wafer::shim
