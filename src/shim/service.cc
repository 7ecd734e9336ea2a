#include "shim/service.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "oci/format/json.h"
#include "shim/channel.h"
#include "shim/hooks.h"
#include "shim/log.h"
#include "shim/options.h"
#include "shim/precompile.h"
#include "shim/proto/launch.pb.h"
#include "shim/runc.h"
#include "shim/spec_pack.h"
#include "shim/state_file.h"

namespace wafer::shim {

namespace {

using proto::LaunchStep;
using std::chrono::milliseconds;

RpcResult error_of(const Error& error) {
  RpcCode code = RpcCode::Unknown;
  if (error.kind == ErrorKind::Invalid || error.kind == ErrorKind::Usage)
    code = RpcCode::InvalidArgument;
  if (error.kind == ErrorKind::Unsupported) code = RpcCode::Unimplemented;
  return RpcResult::error(code, std::string(error.message));
}

template <class Message>
RpcResult message_of(const Message& message) {
  return {RpcCode::Ok, message.SerializeAsString()};
}

RpcResult empty() { return {}; }

// Parts of the call that is being handed out, for whoever follows traces.
class Stages {
 public:
  explicit Stages(Telemetry* telemetry) : telemetry_(telemetry) {
    if (telemetry) call_ = telemetry->current();
  }
  uint64_t begin() const { return call_ ? Telemetry::now() : 0; }
  void end(const char* name, uint64_t since) const {
    if (call_) telemetry_->stage(call_, name, since);
  }

 private:
  Telemetry* telemetry_;
  std::shared_ptr<const Telemetry::Span> call_;
};

// As a shell reports it.
uint32_t exit_code(int status) {
  return WIFSIGNALED(status) ? 128u + uint32_t(WTERMSIG(status)) : uint32_t(WEXITSTATUS(status));
}

}  // namespace

// ---- Dispatch ---------------------------------------------------------------

void Service::handle(std::string_view service, std::string_view method, const std::string& payload,
                     std::string_view traceparent, Reply reply) {
  if (service != "containerd.task.v2.Task" && service != "containerd.task.v3.Task")
    return reply(RpcResult::error(RpcCode::Unimplemented, "no service " + std::string(service)));
  if (telemetry_) {
    // The container's name is the first member of every request.
    proto::ProcessRequest any;
    const bool known = any.ParseFromString(payload);
    reply = telemetry_->follow(service, method, known ? any.id() : std::string(), traceparent,
                               std::move(reply));
    dispatch(method, payload, std::move(reply));
    telemetry_->leave();
    return;
  }
  dispatch(method, payload, std::move(reply));
}

void Service::dispatch(std::string_view method, const std::string& payload, Reply reply) {
  const auto with = [&](auto message, auto&& call) {
    if (!message.ParseFromString(payload))
      return reply(
          RpcResult::error(RpcCode::InvalidArgument, "not a message of " + std::string(method)));
    call(std::move(message));
  };
  using proto::ProcessRequest;
  if (method == "State") return with(ProcessRequest(), [&](const auto& m) { state(m, reply); });
  if (method == "Create")
    return with(proto::CreateTaskRequest(), [&](auto m) { create(std::move(m), reply); });
  if (method == "Start") return with(ProcessRequest(), [&](auto m) { start(std::move(m), reply); });
  if (method == "Delete")
    return with(ProcessRequest(), [&](auto m) { remove(std::move(m), reply); });
  if (method == "Pids") return with(ProcessRequest(), [&](const auto& m) { pids(m, reply); });
  if (method == "Pause")
    return with(ProcessRequest(), [&](auto m) { pause(std::move(m), true, reply); });
  if (method == "Resume")
    return with(ProcessRequest(), [&](auto m) { pause(std::move(m), false, reply); });
  if (method == "Checkpoint")
    return reply(RpcResult::error(RpcCode::Unimplemented,
                                  "a checkpoint cannot be made of these containers"));
  if (method == "Kill")
    return with(proto::KillRequest(), [&](auto m) { kill(std::move(m), reply); });
  if (method == "Exec")
    return with(proto::ExecProcessRequest(), [&](const auto& m) { exec(m, reply); });
  if (method == "ResizePty")
    return with(proto::ResizePtyRequest(), [&](const auto& m) { resize(m, reply); });
  if (method == "CloseIO")
    return with(proto::CloseIORequest(), [&](const auto& m) { close_io(m, reply); });
  if (method == "Update")
    return with(proto::UpdateTaskRequest(), [&](auto m) { update(std::move(m), reply); });
  if (method == "Wait") return with(ProcessRequest(), [&](const auto& m) { wait(m, reply); });
  if (method == "Stats") return with(ProcessRequest(), [&](const auto& m) { stats(m, reply); });
  if (method == "Connect") return with(ProcessRequest(), [&](const auto& m) { connect(m, reply); });
  if (method == "Shutdown")
    return with(proto::ShutdownRequest(), [&](const auto& m) { shutdown(m, reply); });
  reply(RpcResult::error(RpcCode::Unimplemented, "no method " + std::string(method)));
}

bool Service::find(const std::string& id, const std::string& exec_id, const Reply& reply,
                   Found& out) {
  const auto it = containers_.find(id);
  if (it == containers_.end() || !it->second->ready) {
    reply(RpcResult::error(RpcCode::NotFound, "no container " + id));
    return false;
  }
  out.container = it->second;
  if (exec_id.empty()) {
    out.process = {out.container, &out.container->first};
    return true;
  }
  const auto process = out.container->execs.find(exec_id);
  if (process == out.container->execs.end()) {
    reply(RpcResult::error(RpcCode::NotFound, "no process " + exec_id + " in " + id));
    return false;
  }
  out.process = process->second;
  return true;
}

// ---- Hooks ------------------------------------------------------------------

std::string Service::state_of(const Container& c, pid_t pid, const std::string& status) {
  nlohmann::json state = {{"ociVersion", c.spec.version.empty() ? "1.0.2" : c.spec.version},
                          {"id", c.id},
                          {"status", status},
                          {"pid", pid},
                          {"bundle", c.bundle}};
  if (!c.spec.annotations.empty()) state["annotations"] = c.spec.annotations;
  return oci::to_text(state);
}

Task<Result<void>> Service::run_hooks(ContainerRef container, std::string name, pid_t pid,
                                      std::string status) {
  // runc runs them itself.
  if (container->runc) co_return Result<void>();
  for (const HookSpec& hook : container->spec.hooks_of(name)) {
    loop_.expect_child(true);
    Result<RunningHook> running = start_hook(hook, state_of(*container, pid, status));
    if (!running) {
      loop_.expect_child(false);
      co_return running.take_error();
    }
    const pid_t child = running->pid;
    uint64_t timer = 0;
    if (hook.timeout_seconds > 0)
      timer = loop_.after(std::chrono::seconds(hook.timeout_seconds),
                          [child] { ::kill(child, SIGKILL); });
    const Later<int> ended = loop_.ended(child);
    loop_.expect_child(false);
    const int how = co_await ended;
    if (timer) loop_.cancel(timer);
    Result<void> result = hook_result(hook, *running, how);
    if (!result) co_return result.take_error();
  }
  co_return Result<void>();
}

Task<bool> Service::sleep(milliseconds time) {
  const Later<bool> done;
  loop_.after(time, [done] { done.set(true); });
  co_return co_await done;
}

// ---- Processes --------------------------------------------------------------

Task<Result<pid_t>> Service::launch(ContainerRef container, std::shared_ptr<Process> process) {
  Container& c = *container;
  if (c.runc) {
    Result<pid_t> pid = co_await launch_by_runc(container, process);
    co_return std::move(pid);
  }
  Process& p = *process;
  const bool is_exec = !p.exec_id.empty();
  proto::SpawnRequest where;
  proto::LaunchRequest request;
  if (is_exec) {
    where.set_join_pid(c.first.pid);
    request.set_exec(true);
    request.set_spec(p.packed);
  } else {
    uint64_t flags = 0;
    for (const NamespaceSpec& n : c.spec.namespaces) {
      if (n.flag == CLONE_NEWPID && !n.path.empty())
        where.set_pid_namespace(n.path);
      else if (n.path.empty() && n.flag != CLONE_NEWCGROUP)
        flags |= uint64_t(n.flag);
    }
    where.set_clone_flags(flags);
    request.set_bundle(c.bundle);
    request.set_spec(pack(c.spec));
    request.set_processors(c.spec.processors());
    for (const proto::Mount& m : c.rootfs) *request.add_rootfs() = m;
    request.set_wait_for_mappings(flags & CLONE_NEWUSER);
    request.set_wait_for_hooks(!c.spec.hooks_of("prestart").empty() ||
                               !c.spec.hooks_of("createRuntime").empty());
    // Its own number differs inside; hooks there are told the one of the machine, which is not
    // known yet. They get by without.
    if (!c.spec.hooks_of("createContainer").empty() || !c.spec.hooks_of("startContainer").empty())
      request.set_state(state_of(c, 0, "creating"));
  }
  // Who is not root could not join it any more.
  request.set_hidden(geteuid() == 0);
  request.set_seccomp(c.seccomp.program);
  request.set_seccomp_flags(c.seccomp.flags);
  request.set_memory_limit(c.spec.memory_limit());
  if (c.spec.personality) request.set_personality(*c.spec.personality + 1);
  request.set_tier(c.tier);
  request.set_takes_code(!is_exec && takes_code(c));
  request.set_fuel(c.fuel);
  request.set_terminal(p.terminal);
  request.set_has_stdio(!p.terminal);
  std::vector<int> fds;
  for (const UniqueFd& fd : p.io.streams()) fds.push_back(fd.get());
  // Where it sees the machine's files and is the machine's root, it lets itself in.
  const bool enters =
      !is_exec && !(where.clone_flags() & CLONE_NEWUSER) && where.pid_namespace().empty();
  std::vector<UniqueFd> entrances;
  const std::vector<std::string> known = c.cgroup.entrances();
  for (const std::string& path : known) {
    if (enters) {
      request.add_cgroups(path);
      continue;
    }
    entrances.push_back(take_opened(open(path.c_str(), O_WRONLY | O_CLOEXEC)));
    if (!entrances.back())
      co_return Error(ErrorKind::Io, "cannot open " + path + ": " + std::strerror(errno));
    fds.push_back(entrances.back().get());
  }

  loop_.expect_child(true);
  Result<pid_t> pid = spawn(where, request.SerializeAsString(), fds, &c.cgroup, p.control);
  if (!pid) {
    loop_.expect_child(false);
    co_return pid.take_error();
  }
  p.pid = *pid;
  watch(container, process);
  loop_.expect_child(false);
  if (!is_exec) write_state_file(c.bundle, *pid);
  Result<pid_t> ready = co_await follow(container, process, *pid);
  p.io.release_streams();
  if (ready)
    if (Result<void> inside = c.cgroup.admit(*ready, known); !inside) ready = inside.take_error();
  co_return std::move(ready);
}

// A process that `launch` tells what to do, at the other end of `control`. The caller expects it.
Result<pid_t> Service::spawn(const proto::SpawnRequest& request, const std::string& launch,
                             const std::vector<int>& fds, const Cgroup* cgroup, UniqueFd& control) {
  Result<pid_t> pid = Error(ErrorKind::Io, "");
  for (int tries = 0; tries < 2; ++tries) {
    auto channel = make_channel();
    Result<UniqueFd> birthplace = cgroup ? cgroup->birthplace() : UniqueFd();
    // Sent first: the process finds it as soon as it is there.
    if (!channel || !birthplace) {
      pid = channel ? birthplace.take_error() : channel.take_error();
    } else if (!send_packet(channel->first.get(), launch, fds)) {
      pid = Error(ErrorKind::Io,
                  std::string("cannot tell the process what to do: ") + std::strerror(errno));
    } else {
      pid = zygote_.spawn(request, std::move(channel->second), *std::move(birthplace));
      control = std::move(channel->first);
    }
    if (pid || zygote_.is_open()) break;
    // Somebody ended it. A process that it had made ends with its channel.
    log_warning("the zygote has gone; another takes its place");
    Result<Zygote> other = Zygote::start_anew();
    if (!other) return other.take_error();
    zygote_ = *std::move(other);
  }
  return pid;
}

// ---- runc -------------------------------------------------------------------

Task<Result<void>> Service::hand_over(ContainerRef container) {
  Container& c = *container;
  std::string why;
  for (const BeyondUs& b : c.spec.beyond) why += (why.empty() ? "" : ", ") + b.member;
  why += c.spec.beyond.size() == 1 ? " is not supported" : " are not supported";
  Result<void> native = co_await probe(container, why);
  if (!native) co_return native.take_error();
  Result<Runc> runc = Runc::find(c.runc_program, why);
  if (!runc) co_return runc.take_error();
  Result<void> known = co_await runc->check(loop_, c.spec.beyond);
  if (known) c.runc = std::make_shared<const Runc>(*std::move(runc));
  co_return std::move(known);
}

// Whether the container's program is native: what it is can only be seen in its root.
Task<Result<void>> Service::probe(ContainerRef container, std::string why) {
  Container& c = *container;
  proto::SpawnRequest where;
  where.set_clone_flags(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0));
  proto::LaunchRequest request;
  request.set_bundle(c.bundle);
  request.set_spec(pack(c.spec));
  for (const proto::Mount& m : c.rootfs) *request.add_rootfs() = m;
  request.set_probe(why);
  UniqueFd control;
  loop_.expect_child(true);
  Result<pid_t> pid = spawn(where, request.SerializeAsString(), {}, nullptr, control);
  if (!pid) {
    loop_.expect_child(false);
    co_return pid.take_error();
  }
  const Later<int> ended = loop_.ended(*pid);
  loop_.expect_child(false);
  Result<void> answer = Error(ErrorKind::Io, "the process ended before it told what it is");
  for (;;) {
    const std::shared_ptr<Packet> packet = co_await receive_later(loop_, control.get());
    LaunchStep step;
    if (packet->gone || !step.ParseFromString(packet->bytes)) break;
    if (step.kind() == LaunchStep::PROGRAM)
      (void)co_await send_layer(container, control.get(), step.text());
    if (step.kind() == LaunchStep::NATIVE) answer = Result<void>();
    if (step.kind() == LaunchStep::FAILED) answer = Error(ErrorKind::Unsupported, step.text());
  }
  // Its mounts are gone with it.
  (void)co_await ended;
  co_return std::move(answer);
}

Task<Result<pid_t>> Service::launch_by_runc(ContainerRef container,
                                            std::shared_ptr<Process> process) {
  Container& c = *container;
  Process& p = *process;
  const bool is_exec = !p.exec_id.empty();
  loop_.expect_child(true);
  Result<pid_t> pid =
      is_exec ? co_await c.runc->exec(loop_, c, p) : co_await c.runc->create(loop_, c, p);
  p.io.release_streams();
  if (pid) {
    p.pid = *pid;
    watch(container, process);
    if (!is_exec) write_state_file(c.bundle, *pid);
  }
  loop_.expect_child(false);
  co_return std::move(pid);
}

// ---- Steps of a process -----------------------------------------------------

bool Service::takes_code(const Container& c) const {
  return layers_ && c.compile && c.tier == "baseline" && c.fuel == 0 && !code_label().empty();
}

// Answers a process that asks for a program beside the files of the root.
Task<bool> Service::send_layer(ContainerRef container, int control, std::string name) {
  LaunchStep answer;
  answer.set_kind(LaunchStep::GO);
  std::vector<int> fds;
  Result<UniqueFd> opened = UniqueFd();
  if (layers_) {
    const std::string label = takes_code(*container) ? code_label() : std::string();
    Result<LayerSource::Program> layer =
        co_await layers_->find(container->id, std::move(name), label);
    if (layer && layer->file) {
      container->layer = layer->file;
      if (!layer->is_code && !label.empty())
        container->uncompiled = {layer->file, layer->digest, label};
      opened = LayerSource::reopen(*container->layer);
      if (opened) fds.push_back(opened->get());
    }
    if (!layer || !opened)
      answer.set_text(std::string((layer ? opened.error() : layer.error()).message));
  }
  co_return send_packet(control, answer.SerializeAsString(), fds);
}

// Exhaustion is what passes.
Task<Result<void>> Service::make_code(Uncompiled of) {
  constexpr int kTries = 600;
  Result<UniqueFd> turn = try_turn();
  for (int i = 0; turn && !*turn; ++i) {
    if (i == kTries) co_return Error(ErrorKind::Exhaustion, "others compile");
    (void)co_await sleep(milliseconds(100));
    turn = try_turn();
  }
  if (!turn) co_return turn.take_error();
  // Whose turn it was may have made just this; nor is what takes too long tried again and again.
  if (co_await layers_->is_settled(of.digest, of.label)) co_return Result<void>();
  Result<LayerSource::Layer> code = co_await precompile(loop_, std::move(of.program));
  if (!code) {
    if (code.error().kind == ErrorKind::Invalid)
      (void)co_await layers_->give_up(std::move(of.digest), std::move(of.label));
    co_return code.take_error();
  }
  Result<void> kept = co_await layers_->keep_code(std::move(of.digest), std::move(of.label), *code);
  co_return std::move(kept);
}

// Servers that run without this machine code take it, if it is there now.
Task<Result<void>> Service::give_code(Uncompiled of) {
  std::vector<ContainerRef> takers;
  for (const auto& [id, c] : containers_) {
    if (!c->uncompiled.same_code(of) || c->first.status != proto::RUNNING) continue;
    c->uncompiled = {};
    if (c->first.control) takers.push_back(c);
  }
  if (takers.empty()) co_return Result<void>();
  Result<LayerSource::Layer> code =
      co_await layers_->find_code(std::move(of.digest), std::move(of.label));
  Result<void> given;
  for (const ContainerRef& c : takers) {
    const UniqueFd control = std::move(c->first.control);
    if (!code || !*code || !control) continue;
    Result<UniqueFd> opened = LayerSource::reopen(**code);
    LaunchStep step;
    step.set_kind(LaunchStep::GO);
    if (!opened)
      given = opened.take_error();
    else if (send_packet(control.get(), step.SerializeAsString(), {opened->get()}))
      c->code = *code;
  }
  co_return code ? std::move(given) : Result<void>(code.take_error());
}

// Says where code of a program that is a file of an image is kept: with the image. False if there
// is no such place.
Task<bool> Service::place_code(ContainerRef container) {
  Uncompiled& of = container->uncompiled;
  if (!of.digest.empty()) co_return true;
  Result<std::string> label = code_label_of(*of.program);
  if (!label) co_return false;
  Result<std::string> manifest = co_await layers_->manifest_of(container->id);
  if (!manifest || manifest->empty()) co_return false;
  of.label = *std::move(label);
  of.digest = *std::move(manifest);
  co_return true;
}

Service::ContainerRef Service::next_to_compile() const {
  for (const auto& [id, c] : containers_)
    if (c->uncompiled.program && c->first.status == proto::RUNNING) return c;
  return nullptr;
}

// Has a program compiled beside its container: that one takes the code if it serves, and those that
// come later start with it, or take it soon. Then the programs of others that wait for their turn.
Detached Service::compile(ContainerRef container) {
  if (!container->uncompiled.program || compiling_) co_return;
  compiling_ = true;
  for (; container; container = next_to_compile()) {
    if (!co_await place_code(container)) {
      container->uncompiled = {};
      container->first.control.reset();
      continue;
    }
    const Uncompiled of = container->uncompiled;
    const std::string what = of.digest + " (" + of.label + ")";
    if (compiled_.insert(what).second && !co_await layers_->is_settled(of.digest, of.label)) {
      Result<void> kept = co_await make_code(of);
      if (!kept && kept.error().kind == ErrorKind::Exhaustion) compiled_.erase(what);
      if (!kept && kept.error().kind != ErrorKind::Unsupported)
        log_warning("no machine code of " + of.digest +
                    " is kept: " + std::string(kept.error().message));
    }
    if (Result<void> given = co_await give_code(of); !given)
      log_warning("no machine code of " + of.digest +
                  " for who serves: " + std::string(given.error().message));
  }
  compiling_ = false;
}

Task<Result<pid_t>> Service::follow(ContainerRef container, std::shared_ptr<Process> process,
                                    pid_t pid) {
  Container& c = *container;
  Process& p = *process;
  const auto go = [&p] {
    LaunchStep step;
    step.set_kind(LaunchStep::GO);
    (void)send_packet(p.control.get(), step.SerializeAsString());
  };
  for (;;) {
    const std::shared_ptr<Packet> packet = co_await receive_later(loop_, p.control.get());
    LaunchStep step;
    if (packet->gone || !step.ParseFromString(packet->bytes))
      co_return Error(ErrorKind::Io, "the process ended before it was ready");
    if (step.kind() == LaunchStep::FAILED) co_return Error(ErrorKind::Invalid, step.text());
    if (step.kind() == LaunchStep::NAMESPACES) {
      const std::string folder = "/proc/" + std::to_string(pid);
      const auto write_map = [&](const char* file, const std::vector<IdMapping>& mappings) {
        std::string text;
        for (const IdMapping& m : mappings)
          text += std::to_string(m.inside) + " " + std::to_string(m.outside) + " " +
                  std::to_string(m.size) + "\n";
        const UniqueFd fd = take_opened(open((folder + file).c_str(), O_WRONLY | O_CLOEXEC));
        return fd && write(fd.get(), text.data(), text.size()) == ssize_t(text.size());
      };
      if (geteuid() != 0) {
        // The kernel's condition for mapping one's own group.
        const UniqueFd fd =
            take_opened(open((folder + "/setgroups").c_str(), O_WRONLY | O_CLOEXEC));
        (void)!write(fd.get(), "deny", 4);
      }
      if (!write_map("/uid_map", c.spec.uid_mappings) ||
          !write_map("/gid_map", c.spec.gid_mappings))
        co_return Error(ErrorKind::Io, std::string("cannot map users: ") + std::strerror(errno));
      go();
    } else if (step.kind() == LaunchStep::PROGRAM) {
      (void)co_await send_layer(container, p.control.get(), step.text());
    } else if (step.kind() == LaunchStep::MOUNTED) {
      for (const char* name : {"prestart", "createRuntime"}) {
        Result<void> done = co_await run_hooks(container, name, pid, "creating");
        if (!done) co_return done.take_error();
      }
      go();
    } else if (step.kind() == LaunchStep::READY) {
      if (!packet->fds.empty()) p.io.attach(std::move(packet->fds[0]));
      co_return pid;
    }
  }
}

void Service::note_oom(Container& c) {
  const uint64_t kills = c.cgroup.oom_kills();
  if (kills <= c.oom_kills) return;
  c.oom_kills = kills;
  proto::TaskEvent event;
  event.set_container_id(c.id);
  publisher_.publish("/tasks/oom", "containerd.events.TaskOOM", event);
}

// Waits for the end of a process, and tells.
Detached Service::watch(ContainerRef container, std::shared_ptr<Process> process) {
  Container& c = *container;
  Process& p = *process;
  const int status = co_await loop_.ended(p.pid);
  p.exited_at = timestamp_now();
  // Its start is told before its end.
  if (p.starting) (void)co_await p.started;
  const bool is_first = p.exec_id.empty();
  // With a PID namespace of its own the kernel has ended whatever it left behind.
  const NamespaceSpec* const pids = c.spec.find_namespace(CLONE_NEWPID);
  if (is_first && !(pids && pids->path.empty())) c.cgroup.signal_all(SIGKILL);
  p.exit_status = exit_code(status);
  p.status = proto::STOPPED;
  p.io.end();
  if (c.ready) {
    note_oom(c);
    proto::TaskExit event;
    event.set_container_id(c.id);
    event.set_id(is_first ? c.id : p.exec_id);
    event.set_pid(uint32_t(p.pid));
    event.set_exit_status(p.exit_status);
    *event.mutable_exited_at() = p.exited_at;
    publisher_.publish("/tasks/exit", "containerd.events.TaskExit", event);
  }
  for (const auto& done : std::exchange(p.waiting, {})) done();
}

// Ends a process that will not be used, with what was made for it.
Task<bool> Service::discard(ContainerRef container, std::shared_ptr<Process> process) {
  Process& p = *process;
  if (p.pid && p.status != proto::STOPPED) {
    ::kill(p.pid, SIGKILL);
    const Later<bool> ended;
    p.waiting.push_back([ended] { ended.set(true); });
    (void)co_await ended;
  }
  p.control.reset();
  p.io.close();
  if (!p.exec_id.empty()) co_return true;
  if (container->runc) {
    if (Result<void> gone = co_await container->runc->remove(loop_, *container); !gone)
      log_warning(std::string(gone.error().message));
  }
  // The kernel takes a moment to let go of the last process.
  for (int i = 0; !container->cgroup.remove(); ++i) {
    if (i == 50) {
      log_warning("the control group " + container->cgroup.path() + " cannot be removed");
      co_return false;
    }
    container->cgroup.signal_all(SIGKILL);
    (void)co_await sleep(milliseconds(1 + 2 * i));
  }
  co_return true;
}

// ---- Life -------------------------------------------------------------------

// Compiles its filter of system calls, or has it from a container before.
Result<void> Service::find_filter(Container& c) {
  constexpr size_t kMost = 32;
  nlohmann::json rules = std::exchange(c.spec.seccomp, nullptr);
  if (rules.is_null()) return {};
  for (const auto& [known, filter] : filters_)
    if (known == rules) {
      c.seccomp = filter;
      return {};
    }
  Result<SeccompFilter> filter = compile_seccomp(rules);
  if (!filter && filter.error().kind == ErrorKind::Unsupported) {
    c.spec.beyond.push_back({std::string(filter.error().message), "1.0.0"});
    return {};
  }
  if (!filter) return filter.take_error();
  c.seccomp = *filter;
  if (filters_.size() == kMost) filters_.erase(filters_.begin());
  filters_.emplace_back(std::move(rules), *std::move(filter));
  return {};
}

Detached Service::create(proto::CreateTaskRequest request, Reply reply) {
  const Stages stages(telemetry_);
  if (ending_) {
    reply(RpcResult::error(RpcCode::Unavailable, "this shim is about to end"));
    co_return;
  }
  if (containers_.count(request.id())) {
    reply(RpcResult::error(RpcCode::AlreadyExists, "there is a container " + request.id()));
    co_return;
  }
  if (!request.checkpoint().empty()) {
    reply(RpcResult::error(RpcCode::Unimplemented, "a container cannot be restored"));
    co_return;
  }
  const auto parse = [&]() -> Result<ContainerRef> {
    WAFER_LET(settings, parse_settings(request.options()));
    WAFER_LET(text, read_file(request.bundle() + "/config.json"));
    WAFER_LET(spec, parse_spec(text));
    if (!spec.process) return Error(ErrorKind::Invalid, "config.json has no process");
    WAFER_LET(group, cgroup_path(spec.cgroups_path, request.id()));
    auto c = std::make_shared<Container>(loop_, group);
    c->id = request.id();
    c->bundle = request.bundle();
    c->tier = settings.tier;
    c->fuel = settings.fuel;
    c->compile = settings.compile;
    c->runc_program = settings.runc;
    c->spec = std::move(spec);
    WAFER_TRY(find_filter(*c));
    c->rootfs.assign(request.rootfs().begin(), request.rootfs().end());
    c->first.terminal = request.terminal();
    c->first.in = request.stdin();
    c->first.out = request.stdout();
    c->first.err = request.stderr();
    return c;
  };
  Result<ContainerRef> parsed = parse();
  if (!parsed) {
    reply(error_of(parsed.error()));
    co_return;
  }
  const ContainerRef& c = *parsed;
  const std::shared_ptr<Process> first(c, &c->first);
  containers_[c->id] = c;
  uint64_t since = stages.begin();
  Result<void> made;
  if (!c->spec.beyond.empty()) made = co_await hand_over(c);
  if (made && !c->runc) made = c->cgroup.create(c->spec.resources);
  stages.end("control group", since);
  // Who is not root has no control groups, unless somebody gave some: as runc's rootless mode.
  if (!made && geteuid() != 0 && c->spec.beyond.empty()) made = Result<void>();
  if (made) made = first->io.open(first->in, first->out, first->err, first->terminal);
  since = stages.begin();
  Result<pid_t> pid = made ? co_await launch(c, first) : Result<pid_t>(made.take_error());
  stages.end("process", since);
  if (!pid) {
    (void)co_await discard(c, first);
    containers_.erase(c->id);
    reply(error_of(pid.error()));
    co_return;
  }
  c->ready = true;
  proto::CreateTaskResponse response;
  response.set_pid(uint32_t(*pid));
  proto::TaskCreate event;
  event.set_container_id(c->id);
  event.set_bundle(c->bundle);
  for (const proto::Mount& m : c->rootfs) *event.add_rootfs() = m;
  event.mutable_io()->set_stdin(first->in);
  event.mutable_io()->set_stdout(first->out);
  event.mutable_io()->set_stderr(first->err);
  event.mutable_io()->set_terminal(first->terminal);
  event.set_pid(uint32_t(*pid));
  publisher_.publish("/tasks/create", "containerd.events.TaskCreate", event);
  reply(message_of(response));
}

Detached Service::start(proto::ProcessRequest request, Reply reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) co_return;
  const ContainerRef c = found.container;
  const std::shared_ptr<Process> p = found.process;
  if (p->status != proto::CREATED || p->starting) {
    reply(RpcResult::error(RpcCode::FailedPrecondition, "the process was started already"));
    co_return;
  }
  const bool is_exec = !p->exec_id.empty();
  if (is_exec && (c->first.status != proto::RUNNING || c->paused)) {
    reply(RpcResult::error(RpcCode::FailedPrecondition, "the container is not running"));
    co_return;
  }
  p->starting = true;
  if (is_exec) {
    Result<void> opened = p->io.open(p->in, p->out, p->err, p->terminal);
    Result<pid_t> pid = opened ? co_await launch(c, p) : Result<pid_t>(opened.take_error());
    if (!pid) {
      p->starting = false;
      p->started.set(false);
      (void)co_await discard(c, p);
      p->status = proto::STOPPED;
      p->exit_status = 126;
      p->exited_at = timestamp_now();
      for (const auto& done : std::exchange(p->waiting, {})) done();
      reply(error_of(pid.error()));
      co_return;
    }
  }
  Result<void> begun;
  if (!c->runc) {
    LaunchStep step;
    step.set_kind(LaunchStep::GO);
    (void)send_packet(p->control.get(), step.SerializeAsString());
    const std::shared_ptr<Packet> packet = co_await receive_later(loop_, p->control.get());
    // Nothing: the program has replaced the process that would have told.
    if (packet->gone || !step.ParseFromString(packet->bytes)) step.Clear();
    if (step.kind() == LaunchStep::FAILED) begun = Error(ErrorKind::Io, step.text());
    const bool serves = !is_exec && step.kind() == LaunchStep::SERVING;
    if (serves && !packet->fds.empty() && !c->uncompiled.program)
      if (auto copy = copy_program(packet->fds[0])) c->uncompiled.program = *std::move(copy);
    if (!serves || !c->uncompiled.program) p->control.reset();
  } else if (!is_exec) {
    begun = co_await c->runc->start(loop_, *c);
  }
  if (!begun) {
    p->starting = false;
    p->started.set(false);
    reply(error_of(begun.error()));
    co_return;
  }
  p->status = proto::RUNNING;
  if (is_exec) {
    proto::TaskExecStarted event;
    event.set_container_id(c->id);
    event.set_exec_id(p->exec_id);
    event.set_pid(uint32_t(p->pid));
    publisher_.publish("/tasks/exec-started", "containerd.events.TaskExecStarted", event);
  } else {
    proto::TaskStart event;
    event.set_container_id(c->id);
    event.set_pid(uint32_t(p->pid));
    publisher_.publish("/tasks/start", "containerd.events.TaskStart", event);
    if (Result<void> hooks = co_await run_hooks(c, "poststart", p->pid, "running"); !hooks)
      log_warning(std::string(hooks.error().message));
  }
  proto::StartResponse response;
  response.set_pid(uint32_t(p->pid));
  reply(message_of(response));
  p->starting = false;
  p->started.set(true);
  if (!is_exec) compile(c);
}

Detached Service::remove(proto::ProcessRequest request, Reply reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) co_return;
  const ContainerRef c = found.container;
  const std::shared_ptr<Process> p = found.process;
  if (p->status == proto::RUNNING || p->starting) {
    reply(RpcResult::error(RpcCode::FailedPrecondition, "the process is running"));
    co_return;
  }
  // Output that a reader is about to take.
  for (int i = 0; p->io.is_draining() && i < 100; ++i) (void)co_await sleep(milliseconds(10));
  (void)co_await discard(c, p);
  proto::DeleteResponse response;
  response.set_pid(uint32_t(p->pid));
  response.set_exit_status(p->exit_status);
  *response.mutable_exited_at() = p->exited_at;
  if (!p->exec_id.empty()) {
    c->execs.erase(p->exec_id);
    reply(message_of(response));
    co_return;
  }
  if (Result<void> hooks = co_await run_hooks(c, "poststop", 0, "stopped"); !hooks)
    log_warning(std::string(hooks.error().message));
  containers_.erase(c->id);
  proto::TaskDelete event;
  event.set_container_id(c->id);
  event.set_id(c->id);
  event.set_pid(uint32_t(p->pid));
  event.set_exit_status(p->exit_status);
  *event.mutable_exited_at() = p->exited_at;
  publisher_.publish("/tasks/delete", "containerd.events.TaskDelete", event);
  reply(message_of(response));
}

// ---- Questions and orders ---------------------------------------------------

void Service::state(const proto::ProcessRequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) return;
  const Process& p = *found.process;
  proto::StateResponse response;
  response.set_id(request.id());
  response.set_exec_id(request.exec_id());
  response.set_bundle(found.container->bundle);
  response.set_pid(uint32_t(p.pid));
  response.set_status(found.container->paused && p.status == proto::RUNNING ? proto::PAUSED
                                                                            : p.status);
  response.set_stdin(p.in);
  response.set_stdout(p.out);
  response.set_stderr(p.err);
  response.set_terminal(p.terminal);
  response.set_exit_status(p.exit_status);
  if (p.status == proto::STOPPED) *response.mutable_exited_at() = p.exited_at;
  reply(message_of(response));
}

void Service::wait(const proto::ProcessRequest& request, Reply reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) return;
  Process* const p = found.process.get();
  const auto done = [p, reply = std::move(reply)] {
    proto::WaitResponse response;
    response.set_exit_status(p->exit_status);
    *response.mutable_exited_at() = p->exited_at;
    reply(message_of(response));
  };
  if (p->status == proto::STOPPED)
    done();
  else
    p->waiting.push_back(done);
}

Detached Service::kill(proto::KillRequest request, Reply reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) co_return;
  Container& c = *found.container;
  const Process& p = *found.process;
  const auto finished = [&reply] {
    reply(RpcResult::error(RpcCode::NotFound, "process already finished"));
  };
  if (p.status == proto::STOPPED || p.pid == 0) {
    finished();
    co_return;
  }
  const int signal = int(request.signal());
  if (request.all() && p.exec_id.empty()) {
    c.cgroup.signal_all(signal);
  } else if (c.runc && p.exec_id.empty()) {
    Result<void> sent = co_await c.runc->kill(loop_, c, signal);
    if (!sent) {
      // It may have ended meanwhile.
      if (p.status == proto::STOPPED || ::kill(p.pid, 0) != 0)
        finished();
      else
        reply(error_of(sent.error()));
      co_return;
    }
  } else if (::kill(p.pid, signal) != 0) {
    if (errno == ESRCH)
      finished();
    else
      reply(RpcResult::error(errno == EINVAL ? RpcCode::InvalidArgument : RpcCode::Unknown,
                             std::strerror(errno)));
    co_return;
  }
  // Groups of version 1 keep even those who are to die frozen.
  if (signal == SIGKILL && c.paused) (void)c.cgroup.freeze(false);
  reply(empty());
}

void Service::exec(const proto::ExecProcessRequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), {}, reply, found)) return;
  Container& c = *found.container;
  if (request.exec_id().empty())
    return reply(RpcResult::error(RpcCode::InvalidArgument, "the process has no name"));
  if (c.execs.count(request.exec_id()))
    return reply(
        RpcResult::error(RpcCode::AlreadyExists, "there is a process " + request.exec_id()));
  Result<ProcessSpec> spec = parse_process(request.spec().value());
  if (!spec) return reply(error_of(spec.error()));
  auto p = std::make_shared<Process>(loop_);
  p->exec_id = request.exec_id();
  p->terminal = request.terminal();
  p->in = request.stdin();
  p->out = request.stdout();
  p->err = request.stderr();
  p->spec = request.spec().value();
  p->packed = pack(*spec);
  c.execs[p->exec_id] = p;
  proto::TaskExecAdded event;
  event.set_container_id(c.id);
  event.set_exec_id(p->exec_id);
  publisher_.publish("/tasks/exec-added", "containerd.events.TaskExecAdded", event);
  reply(empty());
}

void Service::pids(const proto::ProcessRequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), {}, reply, found)) return;
  proto::PidsResponse response;
  for (const pid_t pid : found.container->cgroup.processes())
    response.add_processes()->set_pid(uint32_t(pid));
  reply(message_of(response));
}

Detached Service::pause(proto::ProcessRequest request, bool on, Reply reply) {
  Found found;
  if (!find(request.id(), {}, reply, found)) co_return;
  Container& c = *found.container;
  if (c.first.status != proto::RUNNING || c.paused == on) {
    reply(RpcResult::error(RpcCode::FailedPrecondition,
                           on ? "the container is not running" : "it is not paused"));
    co_return;
  }
  Result<void> done = c.runc ? co_await c.runc->pause(loop_, c, on) : c.cgroup.freeze(on);
  if (!done) {
    reply(error_of(done.error()));
    co_return;
  }
  c.paused = on;
  proto::TaskEvent event;
  event.set_container_id(c.id);
  publisher_.publish(on ? "/tasks/paused" : "/tasks/resumed",
                     on ? "containerd.events.TaskPaused" : "containerd.events.TaskResumed", event);
  reply(empty());
}

void Service::resize(const proto::ResizePtyRequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) return;
  const Result<void> done = found.process->io.resize(request.width(), request.height());
  reply(done ? empty() : error_of(done.error()));
}

void Service::close_io(const proto::CloseIORequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), request.exec_id(), reply, found)) return;
  if (request.stdin()) found.process->io.close_input();
  reply(empty());
}

Detached Service::update(proto::UpdateTaskRequest request, Reply reply) {
  Found found;
  if (!find(request.id(), {}, reply, found)) co_return;
  Container& c = *found.container;
  const std::string& text = request.resources().value();
  const Result<nlohmann::json> resources = oci::parse_value(text, "the update");
  if (!resources) {
    reply(error_of(resources.error()));
    co_return;
  }
  const Result<void> done =
      c.runc ? co_await c.runc->update(loop_, c, text) : c.cgroup.update(*resources);
  reply(done ? empty() : error_of(done.error()));
}

void Service::stats(const proto::ProcessRequest& request, const Reply& reply) {
  Found found;
  if (!find(request.id(), {}, reply, found)) return;
  const Cgroup::Stats stats = found.container->cgroup.stats();
  proto::StatsResponse response;
  response.mutable_stats()->set_type_url(stats.type_url);
  response.mutable_stats()->set_value(stats.value);
  reply(message_of(response));
}

void Service::connect(const proto::ProcessRequest& request, const Reply& reply) {
  proto::ConnectResponse response;
  response.set_shim_pid(uint32_t(getpid()));
  if (const auto it = containers_.find(request.id()); it != containers_.end())
    response.set_task_pid(uint32_t(it->second->first.pid));
  response.set_version("v2");
  reply(message_of(response));
}

void Service::shutdown(const proto::ShutdownRequest& request, const Reply& reply) {
  reply(empty());
  // Others of the pod go on.
  if (!containers_.empty() || !on_shutdown) return;
  ending_ = true;
  on_shutdown();
}

}  // namespace wafer::shim
