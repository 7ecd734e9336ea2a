#include "shim/runc.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "oci/format/json.h"
#include "shim/channel.h"
#include "shim/child.h"
#include "shim/rootfs.h"

namespace wafer::shim {

namespace {

using nlohmann::json;

// What runc keeps and writes of a container, in its bundle: gone with it.
std::string folder_of(const std::string& bundle) { return bundle + "/runc"; }

// A name in that folder that no other call of runc has.
std::string new_name(const std::string& folder, const char* kind) {
  static uint64_t last = 0;
  return folder + "/" + kind + "-" + std::to_string(++last);
}

// A file that is gone when it goes.
struct Temporary {
  std::string path;
  explicit Temporary(std::string p) : path(std::move(p)) {}
  Temporary(const Temporary&) = delete;
  ~Temporary() { (void)unlink(path.c_str()); }
};

Result<void> write_text(const std::string& path, const std::string& text) {
  const UniqueFd file =
      take_opened(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file || write(file.get(), text.data(), text.size()) != ssize_t(text.size()))
    return system_error("cannot write " + path);
  return {};
}

// The last error in a log, whose lines are JSON.
std::string last_error(const std::string& path) {
  const Result<std::string> log = read_file(path);
  std::string found;
  for (size_t at = 0; log && at < log->size();) {
    const size_t end = std::min(log->find('\n', at), log->size());
    const json line = oci::parse_or_null(std::string_view(*log).substr(at, end - at));
    if (oci::text_of(line, "level") == "error") found = oci::text_of(line, "msg");
    at = end + 1;
  }
  return found;
}

// "1.0.2-dev" as numbers.
std::array<int, 3> version_of(std::string_view text) {
  std::array<int, 3> version{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int& part : version) {
    const auto r = std::from_chars(at, end, part);
    if (r.ec != std::errc() || r.ptr == end) break;
    at = r.ptr + 1;
  }
  return version;
}

// The terminal that was sent to `listener`, by one who has ended.
UniqueFd take_terminal(const UniqueFd& listener) {
  const UniqueFd peer =
      take_opened(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  char name[4096];
  std::vector<UniqueFd> fds;
  if (!peer || receive_with_fds(peer.get(), {name, sizeof name}, fds) < 0 || fds.empty()) return {};
  return std::move(fds[0]);
}

// Where runc finds the configuration: as it is, or with the control group that is ours by name.
Result<std::string> prepare_bundle(const Container& c) {
  const std::string folder = folder_of(c.bundle);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return system_error("cannot make " + folder);
  if (c.spec.cgroups_path == c.cgroup.path()) return c.bundle;
  WAFER_LET(text, read_file(c.bundle + "/config.json"));
  WAFER_LET(config, oci::parse_json(text, "config.json"));
  for (const char* name : {"linux", "root"})
    if (const json& member = oci::member_of(config, name); !member.is_null() && !member.is_object())
      return Error(ErrorKind::Invalid, std::string("\"") + name + "\" is not an object");
  config["linux"]["cgroupsPath"] = c.cgroup.path();
  config["root"]["path"] = c.root_path();
  const std::string other = folder + "/bundle";
  if (mkdir(other.c_str(), 0700) != 0 && errno != EEXIST)
    return system_error("cannot make " + other);
  WAFER_TRY(write_text(other + "/config.json", oci::to_text(config)));
  return other;
}

Result<void> mount_root(const Container& c) {
  for (const proto::Mount& m : c.rootfs) {
    if (!m.target().empty() && m.target() != "/")
      return Error(ErrorKind::Unsupported, "a root of several mounts");
    WAFER_TRY(
        mount_at(c.root_path(), m.type(), m.source(), {m.options().begin(), m.options().end()}));
  }
  return {};
}

}  // namespace

Result<Runc> Runc::find(const std::string& program, const std::string& why) {
  const char* const path = std::getenv("PATH");
  std::vector<std::string> places{program};
  if (program.find('/') == program.npos) {
    places = places_on(path ? path : kUsualPath, program);
    std::erase_if(places, [](const std::string& place) { return !place.starts_with('/'); });
  }
  for (const std::string& place : places)
    if (access(place.c_str(), X_OK) == 0) return Runc(place);
  return Error(ErrorKind::Unsupported,
               why + ", and there is no runc to run it (\"" + program + "\")");
}

Task<Result<std::string>> Runc::run(Loop& loop, std::string folder, std::vector<std::string> args,
                                    std::string input, const std::vector<UniqueFd>* streams) const {
  const Temporary log(folder.empty() ? std::string() : new_name(folder, "log"));
  const UniqueFd in = memory_file(input), out = memory_file({});
  if (!in || !out) co_return system_error("cannot run runc");
  ChildProgram child{program_, {program_}, {}, {in.get(), out.get(), out.get()}};
  if (streams)
    for (size_t i = 0; i < 3; ++i) child.streams[i] = (*streams)[i].get();
  if (!folder.empty())
    child.args.insert(child.args.end(),
                      {"--root", folder + "/state", "--log", log.path, "--log-format", "json"});
  child.args.insert(child.args.end(), args.begin(), args.end());
  loop.expect_child(true);
  Result<pid_t> pid = start_program(child);
  if (!pid) {
    loop.expect_child(false);
    co_return pid.take_error();
  }
  const Later<int> ended = loop.ended(*pid);
  loop.expect_child(false);
  const int status = co_await ended;
  std::string printed = text_in(out);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) co_return std::move(printed);
  std::string why = folder.empty() ? std::string() : last_error(log.path);
  if (why.empty()) why = std::move(printed);
  if (why.empty())
    why = WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status))
                              : "failed with code " + std::to_string(WEXITSTATUS(status));
  co_return Error(ErrorKind::Io, "runc " + args[0] + ": " + why);
}

Task<Result<void>> Runc::check(Loop& loop, const std::vector<BeyondUs>& beyond) const {
  // The command that tells is as old as version 1.1 of runc.
  std::string known = "1.0.2";
  if (std::all_of(beyond.begin(), beyond.end(),
                  [&](const BeyondUs& b) { return version_of(b.since) <= version_of(known); }))
    co_return Result<void>();
  Result<std::string> text = co_await run(loop, {}, {"features"}, {}, nullptr);
  if (text) {
    const json features = oci::parse_or_null(*text);
    known = oci::text_of(features, "ociVersionMax");
  }
  for (const BeyondUs& b : beyond)
    if (version_of(known) < version_of(b.since))
      co_return Error(ErrorKind::Unsupported, b.member + " is for runc, and " + program_ +
                                                  " knows version " + known +
                                                  " of the specification, not " + b.since);
  co_return Result<void>();
}

Task<Result<pid_t>> Runc::run_detached(Loop& loop, const Container& c, Process& p,
                                       std::vector<std::string> args) const {
  const std::string folder = folder_of(c.bundle);
  const Temporary number(new_name(folder, "pid")), terminal(new_name(folder, "terminal"));
  args.insert(args.begin() + 1, {"--pid-file", number.path});
  UniqueFd here, listener;
  if (p.terminal) {
    // The paths of sockets are short; those of bundles need not be.
    here = take_opened(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    const std::string name = "/proc/" + std::to_string(getpid()) + "/fd/" +
                             std::to_string(here.get()) + terminal.path.substr(folder.size());
    Result<UniqueFd> made = listen_unix(name);
    if (!here || !made) co_return made ? system_error("cannot open " + folder) : made.take_error();
    listener = *std::move(made);
    args.insert(args.begin() + 1, {"--console-socket", name});
  }
  Result<std::string> done =
      co_await run(loop, folder, std::move(args), {}, p.terminal ? nullptr : &p.io.streams());
  if (!done) co_return done.take_error();
  if (listener) {
    UniqueFd terminal_end = take_terminal(listener);
    if (!terminal_end) co_return system_error("runc does not give the terminal");
    p.io.attach(std::move(terminal_end));
  }
  const Result<std::string> text = read_file(number.path, 64);
  const int pid = text ? std::atoi(text->c_str()) : 0;
  if (pid <= 0) co_return Error(ErrorKind::Io, "runc does not tell the number of the process");
  co_return pid_t(pid);
}

Task<Result<pid_t>> Runc::create(Loop& loop, const Container& c, Process& p) const {
  Result<std::string> bundle = prepare_bundle(c);
  if (!bundle) co_return bundle.take_error();
  // For who cleans up after a shim that is gone.
  Result<void> ready = write_text(folder_of(c.bundle) + "/program", program_);
  if (ready) ready = mount_root(c);
  if (!ready) co_return ready.take_error();
  std::vector<std::string> args{"create", "--bundle", *std::move(bundle), c.id};
  Result<pid_t> pid = co_await run_detached(loop, c, p, std::move(args));
  co_return std::move(pid);
}

Task<Result<pid_t>> Runc::exec(Loop& loop, const Container& c, Process& p) const {
  const Temporary process(new_name(folder_of(c.bundle), "process"));
  Result<void> written = write_text(process.path, p.spec);
  if (!written) co_return written.take_error();
  std::vector<std::string> args{"exec", "--process", process.path, "--detach", c.id};
  Result<pid_t> pid = co_await run_detached(loop, c, p, std::move(args));
  co_return std::move(pid);
}

namespace {

Result<void> without_text(Result<std::string> answer) {
  return answer ? Result<void>() : Result<void>(answer.take_error());
}

}  // namespace

Task<Result<void>> Runc::start(Loop& loop, const Container& c) const {
  std::vector<std::string> args{"start", c.id};
  co_return without_text(co_await run(loop, folder_of(c.bundle), std::move(args), {}, nullptr));
}

Task<Result<void>> Runc::kill(Loop& loop, const Container& c, int signal) const {
  std::vector<std::string> args{"kill", c.id, std::to_string(signal)};
  co_return without_text(co_await run(loop, folder_of(c.bundle), std::move(args), {}, nullptr));
}

Task<Result<void>> Runc::pause(Loop& loop, const Container& c, bool on) const {
  std::vector<std::string> args{on ? "pause" : "resume", c.id};
  co_return without_text(co_await run(loop, folder_of(c.bundle), std::move(args), {}, nullptr));
}

Task<Result<void>> Runc::update(Loop& loop, const Container& c,
                                const std::string& resources) const {
  std::vector<std::string> args{"update", "--resources", "-", c.id};
  co_return without_text(
      co_await run(loop, folder_of(c.bundle), std::move(args), resources, nullptr));
}

Task<Result<void>> Runc::remove(Loop& loop, const Container& c) const {
  std::vector<std::string> args{"delete", "--force", c.id};
  Result<void> done =
      without_text(co_await run(loop, folder_of(c.bundle), std::move(args), {}, nullptr));
  if (!c.rootfs.empty()) (void)umount2(c.root_path().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  co_return std::move(done);
}

void Runc::remove_left(const std::string& bundle, const std::string& id) {
  const std::string folder = folder_of(bundle);
  const Result<std::string> program = read_file(folder + "/program", 4096);
  const UniqueFd null = take_opened(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!program || !null) return;
  const Result<pid_t> pid =
      start_program({*program,
                     {*program, "--root", folder + "/state", "delete", "--force", id},
                     {},
                     {null.get(), null.get(), null.get()}});
  int status = 0;
  while (pid && waitpid(*pid, &status, 0) < 0 && errno == EINTR) continue;
}

}  // namespace wafer::shim
