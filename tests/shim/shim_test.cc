// The shim as a whole, against a small containerd: one that starts it, calls it and takes its
// events. As root, and as anybody with a user namespace.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "shim/events.h"
#include "shim/proto/task.pb.h"
#include "shim/spec.h"
#include "shim/ttrpc.h"
#include "wat/wat.h"

namespace wafer::shim {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kProgram = R"((module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 64))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (call $exit (i32.const 42)))
  (func (export "echo")
    (loop $next
      (i32.store (i32.const 0) (i32.const 1024))
      (i32.store (i32.const 4) (i32.const 512))
      (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (if (i32.load (i32.const 8)) (then
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (br $next)))))
  (func (export "spin") (loop $l (br $l)))
  (func (export "grow") (result i32) (memory.grow (i32.const 1000)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "trap") unreachable)))";

class ShimTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* const parent = std::getenv("TMPDIR");
    folder_ = std::string(parent ? parent : "/tmp") + "/shim-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    if (!namespaces_work()) GTEST_SKIP() << "no namespaces for this user here";
    setenv("WAFER_SHIM_SOCKETS", (folder_ + "/s").c_str(), 1);
    setenv("TTRPC_ADDRESS", (folder_ + "/events").c_str(), 1);
    Result<UniqueFd> listener = listen_unix(folder_ + "/events");
    ASSERT_TRUE(listener) << listener.error().message;
    events_.emplace(loop_, *std::move(listener),
                    [this](std::string_view, std::string_view, std::string payload,
                           std::string_view, RpcServer::Reply reply) {
                      proto::ForwardRequest request;
                      EXPECT_TRUE(request.ParseFromString(payload));
                      EXPECT_EQ(request.envelope().namespace_(), "test");
                      topics_.push_back(request.envelope().topic());
                      reply({});
                    });
  }
  void TearDown() override {
    if (client_) {
      // Deleted only once it has ended, and without that the shim would stay.
      (void)call("Kill", kill_request("c", SIGKILL));
      (void)call("Wait", process_request("c"));
      (void)call("Delete", process_request("c"));
      (void)call("Shutdown", proto::ShutdownRequest());
    }
    std::error_code ec;
    fs::remove_all(folder_, ec);
  }

  static bool namespaces_work() {
    const pid_t pid = fork();
    if (pid == 0) _exit(unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNS | CLONE_NEWPID) != 0);
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0;
  }

  static const char* shim() {
    const char* const other = std::getenv("WAFER_TEST_SHIM");
    return other ? other : WAFER_SHIM;
  }

  // What the program prints that is run in the folder `cwd`.
  std::string run(const std::string& cwd, std::vector<std::string> args, int* code = nullptr) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      if (chdir(cwd.c_str()) != 0) _exit(99);
      dup2(ends[1], 1);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      std::vector<char*> argv;
      for (std::string& a : args) argv.push_back(a.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(98);
    }
    close(ends[1]);
    const UniqueFd out(ends[0]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(out.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    int status = 0;
    waitpid(pid, &status, 0);
    if (code) *code = WEXITSTATUS(status);
    return text;
  }

  json spec(std::vector<std::string> args) const {
    json s = {{"ociVersion", "1.0.2"},
              {"root", {{"path", "rootfs"}}},
              {"process", {{"args", args}, {"cwd", "/"}, {"env", {"A=b"}}}},
              {"mounts", {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}}}},
              {"linux",
               {{"cgroupsPath", "/wafer-test/" + fs::path(folder_).filename().string()},
                {"namespaces", {{{"type", "mount"}}, {{"type", "pid"}}, {{"type", "ipc"}}}}}}};
    if (geteuid() != 0) {
      s["linux"]["namespaces"].push_back({{"type", "user"}});
      s["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", geteuid()}, {"size", 1}}};
      s["linux"]["gidMappings"] = {{{"containerID", 0}, {"hostID", getegid()}, {"size", 1}}};
      s.erase("mounts");
    }
    return s;
  }

  // Makes a bundle, starts the shim for it and connects.
  void start_shim(const json& config) {
    bundle_ = folder_ + "/bundle";
    fs::create_directories(bundle_ + "/rootfs");
    std::ofstream(bundle_ + "/config.json") << config.dump();
    std::ofstream(bundle_ + "/rootfs/app.wat") << kProgram;
    const auto binary = wat::parse_wat(kProgram, {});
    ASSERT_TRUE(binary);
    std::ofstream(bundle_ + "/rootfs/app.wasm", std::ios::binary)
        .write(reinterpret_cast<const char*>(binary->data()), std::streamsize(binary->size()));
    std::ofstream(bundle_ + "/rootfs/bad.wasm") << "no module";
    for (const char* name : {"/in", "/out", "/err"})
      ASSERT_EQ(mkfifo((folder_ + name).c_str(), 0600), 0);
    const std::string address = run(bundle_, flags("start"));
    ASSERT_TRUE(address.starts_with("unix://")) << address;
    client_.emplace(loop_, address.substr(7));
    // A second start for the same container finds the first.
    EXPECT_EQ(run(bundle_, flags("start")), address);
  }

  std::vector<std::string> flags(const std::string& action) const {
    return {shim(),  "-namespace", "test", "-address", "/none", "-publish-binary",
            "/none", "-id",        "c",    action};
  }

  template <class Message>
  RpcResult call(std::string_view method, const Message& request, int seconds = 10) {
    RpcResult result = RpcResult::error(RpcCode::Unknown, "no answer");
    const uint64_t timer = loop_.after(std::chrono::seconds(seconds), [this] { loop_.stop(); });
    client_->call("containerd.task.v2.Task", method, request.SerializeAsString(), [&](RpcResult r) {
      result = std::move(r);
      loop_.stop();
    });
    if (result.text == "no answer") loop_.run();
    loop_.cancel(timer);
    return result;
  }

  static proto::ProcessRequest process_request(const std::string& id,
                                               const std::string& exec_id = {}) {
    proto::ProcessRequest request;
    request.set_id(id);
    request.set_exec_id(exec_id);
    return request;
  }
  // For a process "x" of the container "c".
  static proto::ExecProcessRequest exec_request(const json& process) {
    proto::ExecProcessRequest request;
    request.set_id("c");
    request.set_exec_id("x");
    request.mutable_spec()->set_value(process.dump());
    return request;
  }
  static proto::KillRequest kill_request(const std::string& id, int signal) {
    proto::KillRequest request;
    request.set_id(id);
    request.set_signal(uint32_t(signal));
    return request;
  }

  RpcResult create(bool with_input = false, const std::string& options = {}) {
    proto::CreateTaskRequest request;
    if (!options.empty()) {
      proto::RuntimeOptions toml;
      toml.set_config_body(options);
      request.mutable_options()->set_type_url("runtimeoptions.v1.Options");
      request.mutable_options()->set_value(toml.SerializeAsString());
    }
    request.set_id("c");
    request.set_bundle(bundle_);
    if (with_input) request.set_stdin(folder_ + "/in");
    request.set_stdout(folder_ + "/out");
    request.set_stderr(folder_ + "/err");
    out_ = take_opened(open((folder_ + "/out").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    err_ = take_opened(open((folder_ + "/err").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    return call("Create", request);
  }

  uint32_t wait(const std::string& exec_id = {}) {
    const RpcResult result = call("Wait", process_request("c", exec_id));
    EXPECT_TRUE(result.ok()) << result.text;
    proto::WaitResponse response;
    EXPECT_TRUE(response.ParseFromString(result.text));
    EXPECT_GT(response.exited_at().seconds(), 0);
    return response.exit_status();
  }

  static std::string read_all(const UniqueFd& fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(fd.get(), buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    return text;
  }

  proto::TaskStatus status() {
    proto::StateResponse response;
    const RpcResult result = call("State", process_request("c"));
    EXPECT_TRUE(result.ok() && response.ParseFromString(result.text)) << result.text;
    return response.status();
  }

  Loop loop_;
  std::string folder_, bundle_;
  std::optional<RpcServer> events_;
  std::optional<RpcClient> client_;
  std::vector<std::string> topics_;
  UniqueFd out_, err_;
};

TEST_F(ShimTest, TellsWhatItIs) {
  EXPECT_NE(run("/", {shim(), "-v"}).find("Version"), std::string::npos);
  proto::RuntimeInfo info;
  EXPECT_TRUE(info.ParseFromString(run("/", {shim(), "-info"})));
  EXPECT_EQ(info.name(), "io.containerd.wafer.v1");
  int code = 0;
  run("/", {shim(), "frobnicate"}, &code);
  EXPECT_EQ(code, 1);
}

TEST_F(ShimTest, RunsAProgram) {
  start_shim(spec({"/app.wasm"}));
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  proto::CreateTaskResponse created;
  ASSERT_TRUE(created.ParseFromString(result.text));
  EXPECT_GT(created.pid(), 1u);
  EXPECT_EQ(create().code, RpcCode::AlreadyExists);
  EXPECT_EQ(status(), proto::CREATED);
  EXPECT_EQ(read_all(out_), "");
  result = call("Start", process_request("c"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(wait(), 42u);
  EXPECT_EQ(status(), proto::STOPPED);
  EXPECT_EQ(read_all(out_), "hello\n");
  EXPECT_EQ(call("Kill", kill_request("c", SIGTERM)).code, RpcCode::NotFound);
  result = call("Delete", process_request("c"));
  proto::DeleteResponse deleted;
  ASSERT_TRUE(result.ok() && deleted.ParseFromString(result.text)) << result.text;
  EXPECT_EQ(deleted.exit_status(), 42u);
  EXPECT_EQ(deleted.pid(), created.pid());
  EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
  EXPECT_TRUE(call("Shutdown", proto::ShutdownRequest()).ok());
  // The last is on its way.
  for (int i = 0; i < 1000 && topics_.size() < 4; ++i) {
    loop_.after(std::chrono::milliseconds(10), [this] { loop_.stop(); });
    loop_.run();
  }
  EXPECT_EQ(topics_, (std::vector<std::string>{"/tasks/create", "/tasks/start", "/tasks/exit",
                                               "/tasks/delete"}));
  // It is gone, with its socket.
  for (int i = 0; i < 200 && !fs::is_empty(folder_ + "/s"); ++i) usleep(10000);
  EXPECT_TRUE(fs::is_empty(folder_ + "/s"));
  client_.reset();
}

TEST_F(ShimTest, RunsTextAndEntryPoints) {
  start_shim(spec({"/app.wat#add", "40", "2"}));
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), "42\n");
}

TEST_F(ShimTest, TellsATrap) {
  start_shim(spec({"/app.wat#trap"}));
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 134u);
  EXPECT_NE(read_all(err_).find("error: /app.wat: trap: unreachable"), std::string::npos);
}

TEST_F(ShimTest, PassesInputUntilItsEnd) {
  start_shim(spec({"/app.wat#echo"}));
  ASSERT_TRUE(create(/*with_input=*/true).ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  UniqueFd in = take_opened(open((folder_ + "/in").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(in);
  ASSERT_EQ(write(in.get(), "one\n", 4), 4);
  in.reset();
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), "one\n");
}

TEST_F(ShimTest, EndsBySignal) {
  start_shim(spec({"/app.wat#spin"}));
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(status(), proto::RUNNING);
  EXPECT_EQ(call("Delete", process_request("c")).code, RpcCode::FailedPrecondition);
  EXPECT_EQ(call("Checkpoint", process_request("c")).code, RpcCode::Unimplemented);
  ASSERT_TRUE(call("Kill", kill_request("c", SIGTERM)).ok());
  EXPECT_EQ(wait(), 128u + SIGTERM);
}

TEST_F(ShimTest, AddsAProcess) {
  start_shim(spec({"/app.wat#spin"}));
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  proto::ExecProcessRequest request = exec_request(json({{"args", {"/app.wasm"}}, {"cwd", "/"}}));
  request.set_stdout(folder_ + "/out");
  RpcResult result = call("Exec", request);
  ASSERT_TRUE(result.ok()) << result.text;
  result = call("Start", process_request("c", "x"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(wait("x"), 42u);
  EXPECT_EQ(read_all(out_), "hello\n");
  EXPECT_TRUE(call("Delete", process_request("c", "x")).ok());
  EXPECT_EQ(status(), proto::RUNNING);
  // One that cannot be.
  request.set_exec_id("y");
  request.mutable_spec()->set_value(json({{"args", {"/none"}}, {"cwd", "/"}}).dump());
  ASSERT_TRUE(call("Exec", request).ok());
  result = call("Start", process_request("c", "y"));
  EXPECT_EQ(result.text, "cannot find \"/none\" in the container's root or its PATH");
}

// What else is in the container, as root, takes nothing from a process of ours.
TEST_F(ShimTest, IsHiddenFromOthersOfTheContainer) {
  if (geteuid() != 0) GTEST_SKIP() << "the user's own";
  start_shim(spec({"/app.wat#spin"}));
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  proto::CreateTaskResponse created;
  ASSERT_TRUE(created.ParseFromString(result.text));
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  const std::string program = "/proc/" + std::to_string(created.pid()) + "/exe";
  char path[4096];
  EXPECT_GT(readlink(program.c_str(), path, sizeof path), 0);
  const pid_t other = fork();
  if (other == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[2] = {};
    if (syscall(SYS_capset, &header, none) != 0) _exit(2);
    _exit(readlink(program.c_str(), path, sizeof path) < 0 && errno == EACCES ? 0 : 1);
  }
  int how = 0;
  waitpid(other, &how, 0);
  EXPECT_EQ(how, 0);
}

// What is added to a container is no program of the machine, wherever the container's links lead.
TEST_F(ShimTest, AddsNoProgramOfTheMachine) {
  if (geteuid() != 0) GTEST_SKIP() << "a namespace of users has no /proc here";
  if (std::system("file -L /bin/busybox | grep -q static") != 0)
    GTEST_SKIP() << "no static busybox (busybox-static, file)";
  start_shim(spec({"/busybox", "sleep", "100"}));
  fs::copy_file("/bin/busybox", bundle_ + "/rootfs/busybox");
  fs::create_symlink("/proc/self/exe", bundle_ + "/rootfs/self");
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  proto::ExecProcessRequest request = exec_request(json({{"args", {"/self", "-v"}}, {"cwd", "/"}}));
  ASSERT_TRUE(call("Exec", request).ok());
  result = call("Start", process_request("c", "x"));
  EXPECT_EQ(result.text, "cannot find \"/self\" in the container's root or its PATH");
}

TEST_F(ShimTest, TellsHooksTheState) {
  json s = spec({"/app.wasm"});
  const auto script = [](const std::string& text) {
    return json::array({{{"path", "/bin/sh"}, {"args", {"sh", "-c", text}}}});
  };
  const std::map<std::string, std::string> states = {{"prestart", "creating"},
                                                     {"createRuntime", "creating"},
                                                     {"createContainer", "creating"},
                                                     {"poststart", "running"},
                                                     {"poststop", "stopped"}};
  for (const auto& [name, state] : states)
    s["hooks"][name] = script("cat >" + folder_ + "/" + name);
  start_shim(s);
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  ASSERT_TRUE(call("Delete", process_request("c")).ok());
  for (const auto& [name, state] : states) {
    const Result<std::string> text = read_file(folder_ + "/" + name);
    ASSERT_TRUE(text) << name;
    const json told = json::parse(*text, nullptr, false);
    EXPECT_EQ(told.value("status", ""), state) << name << ": " << *text;
    EXPECT_EQ(told.value("id", ""), "c");
    EXPECT_EQ(told.value("bundle", ""), bundle_);
  }
  // One that fails ends the container, and says why.
  for (const char* name : {"prestart", "createContainer"}) {
    s["hooks"] = {{name, script("echo refused; exit 3")}};
    std::ofstream(bundle_ + "/config.json") << s.dump();
    EXPECT_EQ(create().text, "the hook /bin/sh failed with code 3: refused") << name;
    EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
  }
}

// What is hidden in /proc has to be hidden where it is mounted.
TEST_F(ShimTest, MountsNoProcThroughLinks) {
  json s = spec({"/native"});
  if (geteuid() != 0) GTEST_SKIP() << "a namespace of users has no /proc here";
  s["linux"]["maskedPaths"] = {"/proc/keys"};
  start_shim(s);
  const std::string root = bundle_ + "/rootfs";
  std::ofstream(root + "/native") << "#!/bin/sh\n";
  fs::create_directories(root + "/volume/proc");
  fs::create_symlink("/volume/proc", root + "/proc");
  EXPECT_EQ(create().text, "proc is not mounted where a link leads: /proc");
  fs::remove(root + "/proc");
  const RpcResult result = create();
  EXPECT_TRUE(result.ok()) << result.text;
}

TEST_F(ShimTest, LeavesTheMachinesDevicesAlone) {
  if (geteuid() != 0) GTEST_SKIP() << "only root could change them";
  struct stat before, after;
  ASSERT_EQ(stat("/dev/null", &before), 0);
  json s = spec({"/app.wasm"});
  s["process"]["user"] = {{"uid", 1234}, {"gid", 1234}};
  start_shim(s);
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  EXPECT_EQ(read_all(out_), "hello\n");
  ASSERT_EQ(stat("/dev/null", &after), 0);
  EXPECT_EQ(after.st_uid, before.st_uid);
  ASSERT_EQ(chown("/dev/null", before.st_uid, gid_t(-1)), 0);
  // Its pipes are its own.
  ASSERT_EQ(stat((folder_ + "/out").c_str(), &after), 0);
  EXPECT_EQ(after.st_uid, 1234u);
}

TEST_F(ShimTest, GoesOnUntilItsLastContainerIsDeleted) {
  start_shim(spec({"/app.wat#spin"}));
  ASSERT_TRUE(create().ok());
  EXPECT_TRUE(call("Shutdown", proto::ShutdownRequest()).ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_TRUE(call("Shutdown", proto::ShutdownRequest()).ok());
  EXPECT_EQ(status(), proto::RUNNING);
  ASSERT_TRUE(call("Kill", kill_request("c", SIGKILL)).ok());
  EXPECT_EQ(wait(), 137u);
  EXPECT_TRUE(call("Shutdown", proto::ShutdownRequest()).ok());
  EXPECT_EQ(status(), proto::STOPPED);
  EXPECT_TRUE(call("Delete", process_request("c")).ok());
  // Who is on the way when it ends is told so, and not left without an answer.
  bool shut = false;
  client_->call("containerd.task.v2.Task", "Shutdown", proto::ShutdownRequest().SerializeAsString(),
                [&](const RpcResult& r) { shut = r.ok(); });
  const RpcResult late = create();
  EXPECT_TRUE(shut);
  EXPECT_EQ(late.code, RpcCode::Unavailable);
  EXPECT_EQ(late.text, "this shim is about to end");
  for (int i = 0; i < 200 && !fs::is_empty(folder_ + "/s"); ++i) usleep(10000);
  EXPECT_TRUE(fs::is_empty(folder_ + "/s"));
  client_.reset();
}

TEST_F(ShimTest, RefusesWhatIsTooLarge) {
  json s = spec({"/app.wasm"});
  start_shim(s);
  const auto with = [&](size_t bytes) {
    s["process"]["env"] = {"A=" + std::string(bytes, 'x')};
    std::ofstream(bundle_ + "/config.json") << s.dump();
    return create();
  };
  EXPECT_EQ(with(17 << 20).text, bundle_ + "/config.json is too large");
  // More than one message to a container holds.
  EXPECT_EQ(with(8 << 20).text, "cannot tell the process what to do: Message too long");
  // More than one message of containerd holds: that ends the connection, and the next goes on.
  proto::ProcessRequest request = process_request(std::string(5 << 20, 'x'));
  EXPECT_EQ(call("State", request).code, RpcCode::Unavailable);
  request = process_request(std::string(1 << 20, 'x'));
  EXPECT_EQ(call("State", request).code, RpcCode::NotFound);
  const RpcResult result = with(100'000);
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
}

TEST_F(ShimTest, TellsEventsOnceThereIsWhoTakesThem) {
  events_.reset();
  unlink((folder_ + "/events").c_str());
  start_shim(spec({"/app.wasm"}));
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  Result<UniqueFd> listener = listen_unix(folder_ + "/events");
  ASSERT_TRUE(listener) << listener.error().message;
  events_.emplace(loop_, *std::move(listener),
                  [this](std::string_view, std::string_view, std::string payload, std::string_view,
                         RpcServer::Reply reply) {
                    proto::ForwardRequest request;
                    EXPECT_TRUE(request.ParseFromString(payload));
                    topics_.push_back(request.envelope().topic());
                    // Not yet: it comes again.
                    const bool first = topics_.size() == 1;
                    reply(first ? RpcResult::error(RpcCode::Unavailable, "busy") : RpcResult());
                  });
  for (int i = 0; i < 1000 && topics_.size() < 4; ++i) {
    loop_.after(std::chrono::milliseconds(10), [this] { loop_.stop(); });
    loop_.run();
  }
  EXPECT_EQ(topics_, (std::vector<std::string>{"/tasks/create", "/tasks/create", "/tasks/start",
                                               "/tasks/exit"}));
}

TEST_F(ShimTest, TakesTheAddressOfOneThatWasKilled) {
  start_shim(spec({"/app.wasm"}));
  proto::ConnectResponse connected;
  ASSERT_TRUE(connected.ParseFromString(call("Connect", process_request("c")).text));
  kill(pid_t(connected.shim_pid()), SIGKILL);
  for (int i = 0; i < 200 && kill(pid_t(connected.shim_pid()), 0) == 0; ++i) usleep(10000);
  client_.reset();
  ASSERT_FALSE(fs::is_empty(folder_ + "/s"));
  const std::string address = run(bundle_, flags("start"));
  ASSERT_TRUE(address.starts_with("unix://")) << address;
  client_.emplace(loop_, address.substr(7));
  const RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
}

// A group is removed once it is empty, which it is made.
TEST_F(ShimTest, RemovesAGroupThatIsStillBusy) {
  json s = spec({"/app.wasm"});
  const std::string path = s["linux"]["cgroupsPath"];
  if (geteuid() != 0) GTEST_SKIP() << "no control groups";
  start_shim(s);
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  std::string group = "/sys/fs/cgroup/memory" + path;
  if (!fs::exists(group)) group = "/sys/fs/cgroup" + path;
  ASSERT_TRUE(fs::exists(group));
  const pid_t other = fork();
  if (other == 0) {
    for (;;) pause();
  }
  std::ofstream(group + "/cgroup.procs") << other << std::flush;
  const RpcResult result = call("Delete", process_request("c"));
  EXPECT_TRUE(result.ok()) << result.text;
  // The loop here takes notice of its end.
  EXPECT_NE(::kill(other, 0), 0);
  EXPECT_FALSE(fs::exists(group));
}

TEST_F(ShimTest, BoundsMemoryAsTheContainersGroup) {
  json s = spec({"/app.wat#grow"});
  if (geteuid() == 0) s["linux"]["resources"] = {{"memory", {{"limit", 32 << 20}}}};
  start_shim(s);
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), geteuid() == 0 ? "-1\n" : "1\n");
}

TEST_F(ShimTest, SaysWhatIsWrong) {
  start_shim(spec({"/bad.wasm"}));
  RpcResult result = create();
  EXPECT_EQ(result.text, "/bad.wasm:0x0: magic header not detected");
  std::ofstream(bundle_ + "/config.json") << spec({"nothing"}).dump();
  result = create();
  EXPECT_EQ(result.text,
            "cannot find \"nothing\" in the container's root or its PATH"
#if WAFER_WITH_HTTP2
            ", nor as a layer of its image: containerd: cannot connect to /none"
#endif
  );
  std::ofstream(bundle_ + "/config.json") << "{";
  EXPECT_EQ(create().text, "config.json is not JSON");
  // None of it stays.
  EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
  EXPECT_TRUE(topics_.empty());
}

// What only runc does is neither left out nor tried.
TEST_F(ShimTest, RefusesWhatOnlyRuncDoes) {
  json s = spec({"/app.wasm"});
  s["linux"]["intelRdt"] = {{"closID", "x"}};
  start_shim(s);
  const auto with = [&](const json& config, const std::string& options = {}) {
    std::ofstream(bundle_ + "/config.json") << config.dump();
    const RpcResult result = create(false, options);
    EXPECT_EQ(result.code, RpcCode::Unimplemented);
    return result.text;
  };
  EXPECT_EQ(with(s), "linux.intelRdt is not supported for WebAssembly programs");
  s["linux"]["timeOffsets"] = {{"boottime", {{"secs", 1}}}};
  EXPECT_EQ(with(s),
            "linux.intelRdt, linux.timeOffsets are not supported for WebAssembly programs");
  json notify = spec({"/app.wat"});
  notify["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_NOTIFY"}};
  EXPECT_EQ(with(notify), "\"seccomp\": notifications is not supported for WebAssembly programs");
  // Native ones are runc's, where there is one that knows it.
  const fs::path native = bundle_ + "/rootfs/native";
  std::ofstream(native) << "#!/bin/sh\n";
  fs::permissions(native, fs::perms(0755));
  s = spec({"/native"});
  s["linux"]["memoryPolicy"] = {{"mode", "MPOL_BIND"}};
  EXPECT_EQ(with(s, "runc = '/none/runc'"),
            "linux.memoryPolicy is not supported, and there is no runc to run it (\"/none/runc\")");
  const std::string old = folder_ + "/runc";
  std::ofstream(old) << "#!/bin/sh\necho '{\"ociVersionMax\":\"1.2.1\"}'\n";
  fs::permissions(old, fs::perms(0755));
  EXPECT_EQ(with(s, "runc = '" + old + "'"),
            "linux.memoryPolicy is for runc, and " + old +
                " knows version 1.2.1 of the specification, not 1.3.0");
  EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
}

TEST_F(ShimTest, HasRuncDoWhatItDoesNot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root has control groups for runc";
  if (std::system("runc --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no runc";
  if (std::system("file -L /bin/busybox | grep -q static") != 0)
    GTEST_SKIP() << "no static busybox (busybox-static, file)";
  json s = spec({"/bin/busybox", "sleep", "100"});
  s["mounts"].push_back({{"destination", "/bin"},
                         {"type", "tmpfs"},
                         {"source", "tmpfs"},
                         {"options", {"tmpcopyup"}}});
  const std::string name = fs::path(folder_).filename().string();
  s["linux"]["cgroupsPath"] = "wafer.slice:test:" + name;
  start_shim(s);
  fs::create_directories(bundle_ + "/rootfs/bin");
  fs::copy_file("/bin/busybox", bundle_ + "/rootfs/bin/busybox");
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(status(), proto::CREATED);
  result = call("Start", process_request("c"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(status(), proto::RUNNING);
  proto::UpdateTaskRequest update;
  update.set_id("c");
  update.mutable_resources()->set_value(R"({"pids":{"limit":77}})");
  result = call("Update", update);
  EXPECT_TRUE(result.ok()) << result.text;
  bool limited = false;
  for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/pids"})
    if (const auto text = read_file(mount + ("/wafer.slice/test-" + name + ".scope/pids.max")))
      limited |= *text == "77\n";
  EXPECT_TRUE(limited);
  update.mutable_resources()->set_value(R"({"pids":{"limit":"many"}})");
  EXPECT_TRUE(call("Update", update).text.starts_with("runc update: "));
  proto::PidsResponse pids;
  result = call("Pids", process_request("c"));
  EXPECT_TRUE(pids.ParseFromString(result.text));
  EXPECT_EQ(pids.processes_size(), 1);
  proto::ExecProcessRequest exec =
      exec_request(json({{"args", {"/bin/busybox", "echo", "added"}}, {"cwd", "/"}}));
  exec.set_stdout(folder_ + "/out");
  ASSERT_TRUE(call("Exec", exec).ok());
  result = call("Start", process_request("c", "x"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(wait("x"), 0u);
  EXPECT_EQ(read_all(out_), "added\n");
  result = call("Pause", process_request("c"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(status(), proto::PAUSED);
  EXPECT_TRUE(call("Resume", process_request("c")).ok());
  EXPECT_TRUE(call("Pause", process_request("c")).ok());
  EXPECT_TRUE(call("Kill", kill_request("c", SIGKILL)).ok());
  EXPECT_EQ(wait(), 137u);
  result = call("Delete", process_request("c"));
  EXPECT_TRUE(result.ok()) << result.text;
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
    const std::string slice = hierarchy.path().string() + "/wafer.slice";
    EXPECT_FALSE(fs::exists(slice + "/test-" + name + ".scope"));
    rmdir(slice.c_str());
  }
  rmdir("/sys/fs/cgroup/wafer.slice");
  EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
}

// A label that cannot be set is no label that may be left out.
TEST_F(ShimTest, DoesNotRunWithoutItsLabel) {
  json s = spec({"/app.wasm"});
  s["process"]["apparmorProfile"] = "no-such-profile";
  start_shim(s);
  EXPECT_TRUE(create().text.starts_with("cannot set the AppArmor profile 'no-such-profile': "));
  s = spec({"/app.wasm"});
  s["process"]["selinuxLabel"] = "no:such:label:s0";
  std::ofstream(bundle_ + "/config.json") << s.dump();
  EXPECT_TRUE(create().text.starts_with("cannot set the SELinux label 'no:such:label:s0': "));
}

// Whatever the image and config.json say, the container is all that is changed.
TEST_F(ShimTest, StaysInItsRoot) {
  const std::string outside = folder_ + "/outside";
  fs::create_directories(outside);
  json s = spec({"/app.wasm"});
  start_shim(s);
  const std::string root = bundle_ + "/rootfs";
  fs::create_symlink(outside, root + "/absolute");
  fs::create_symlink("../../outside", root + "/relative");
  fs::create_symlink(outside + "/file", root + "/file");
  fs::create_symlink("/proc/self/root", root + "/magic");
  std::ofstream(folder_ + "/source") << "text";
  const auto tmpfs = [](const std::string& on) {
    return json{{"destination", on}, {"type", "tmpfs"}, {"source", "tmpfs"}};
  };
  const auto names = [](const std::string& in) {
    std::set<std::string> all;
    for (const auto& e : fs::directory_iterator(in)) all.insert(e.path().filename().string());
    return all;
  };
  const std::set<std::string> before = names(folder_);
  // Others use this machine as well.
  const auto mounts = [this] {
    std::ifstream all("/proc/self/mountinfo");
    int ours = 0;
    for (std::string line; std::getline(all, line);) ours += line.find(folder_) != line.npos;
    return ours;
  };
  // In the folder above, names that nobody else makes.
  const auto above = [this](const char* name) {
    return fs::path(folder_).filename().string() + "-" + name;
  };
  const json bind = {{"type", "bind"}, {"source", folder_ + "/source"}, {"options", {"bind"}}};
  for (const json& mount : {tmpfs("/absolute/a"), tmpfs("/relative/b"),
                            tmpfs("../../../" + above("c")), tmpfs("/x/../../../../" + above("d")),
                            tmpfs("/magic/e"), json(bind), json(bind), json(bind)}) {
    json config = s;
    config["mounts"].push_back(mount);
    if (mount["type"] == "bind") {
      static int turn = 0;
      const std::string places[] = {"/file", "/../../../" + above("f"), "/absolute/g"};
      config["mounts"].back()["destination"] = places[turn++ % 3];
    }
    config["linux"]["maskedPaths"] = {"/absolute", "/../..", "/file"};
    config["linux"]["readonlyPaths"] = {"/relative", "/../../.."};
    std::ofstream(bundle_ + "/config.json") << config.dump();
    const RpcResult result = create();
    // It may be refused, or mean a place within the root.
    if (result.ok()) {
      EXPECT_TRUE(call("Kill", kill_request("c", SIGKILL)).ok());
      (void)wait();
      EXPECT_TRUE(call("Delete", process_request("c")).ok());
    }
    EXPECT_TRUE(fs::is_empty(outside)) << config["mounts"];
    EXPECT_EQ(names(folder_), before) << config["mounts"];
    for (const char* name : {"c", "d", "f"})
      EXPECT_FALSE(fs::exists(folder_ + "/../" + above(name))) << name;
    EXPECT_EQ(mounts(), 0) << config["mounts"];
  }
  // Nor is what lies outside run.
  fs::copy_file(root + "/app.wasm", outside + "/app.wasm");
  for (const char* program :
       {"/absolute/app.wasm", "/relative/app.wasm", "/../../outside/app.wasm"}) {
    json config = s;
    config["process"]["args"] = {program};
    std::ofstream(bundle_ + "/config.json") << config.dump();
    EXPECT_NE(create().text.find("cannot find"), std::string::npos) << program;
  }
}

TEST_F(ShimTest, RefusesHostileConfigurations) {
  const json s = spec({"/app.wasm"});
  start_shim(s);
  std::string deep(100'000, '[');
  deep += std::string(deep.size(), ']');
  const std::string text = s.dump();
  for (const std::string& config :
       {deep, text.substr(0, text.size() - 1) + ",\"x\":" + deep + "}", std::string(),
        std::string("null"), std::string("[]"), std::string("{\"process\":[]}")}) {
    std::ofstream(bundle_ + "/config.json") << config;
    const RpcResult result = create();
    EXPECT_FALSE(result.ok());
    EXPECT_NE(result.text.find("config.json"), std::string::npos) << result.text;
  }
  const auto refused = [&](const char* pointer, const json& value) {
    json config = s;
    config[json::json_pointer(pointer)] = value;
    std::ofstream(bundle_ + "/config.json") << config.dump();
    const RpcResult result = create();
    EXPECT_FALSE(result.ok()) << pointer;
    EXPECT_EQ(result.text.find("zygote"), std::string::npos) << pointer << ": " << result.text;
    EXPECT_EQ(call("State", process_request("c")).code, RpcCode::NotFound);
  };
  refused("/linux/cgroupsPath", "/../../escape");
  refused("/linux/sysctl", {{"kernel.core_pattern", "|/x"}});
  refused("/linux/sysctl", {{"net/../kernel.core_pattern", "|/x"}});
  refused("/hooks", {{"prestart", {{{"path", "relative"}}}}});
  refused("/process/cwd", "relative");
  refused("/process/args", json::array());
  refused("/process/args/0", std::string("/app.wasm\0", 10));
  refused("/linux/namespaces", json::array());
  refused("/linux/namespaces/0/path", "/none");
  refused("/root/path", "none");
  // And goes on.
  std::ofstream(bundle_ + "/config.json") << s.dump();
  const RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
}

TEST_F(ShimTest, GoesOnWithAFullDisk) {
  if (geteuid() != 0) GTEST_SKIP() << "only root makes a small disk";
  const std::string disk = folder_ + "/bundle";
  fs::create_directories(disk);
  ASSERT_EQ(mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=1m"), 0);
  start_shim(spec({"/app.wat#spin"}));
  {
    std::ofstream all(disk + "/all");
    const std::string block(4096, 'x');
    while (all.write(block.data(), 4096).flush()) {
    }
  }
  // Nothing can be noted about the process; it is found nevertheless.
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  proto::CreateTaskResponse created;
  ASSERT_TRUE(created.ParseFromString(result.text));
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  proto::ConnectResponse connected;
  ASSERT_TRUE(connected.ParseFromString(call("Connect", process_request("c")).text));
  kill(pid_t(connected.shim_pid()), SIGKILL);
  client_.reset();
  std::vector<std::string> args = flags("delete");
  args.insert(args.end() - 1, {"-bundle", bundle_});
  proto::DeleteResponse deleted;
  EXPECT_TRUE(deleted.ParseFromString(run(bundle_, args)));
  for (int i = 0; i < 200 && kill(pid_t(created.pid()), 0) == 0; ++i) usleep(10000);
  EXPECT_NE(kill(pid_t(created.pid()), 0), 0);
  EXPECT_EQ(umount(disk.c_str()), 0);
}

TEST_F(ShimTest, ReplacesAZygoteThatWasEnded) {
  start_shim(spec({"/app.wasm"}));
  proto::ConnectResponse connected;
  ASSERT_TRUE(connected.ParseFromString(call("Connect", process_request("c")).text));
  const std::string parent = "\nPPid:\t" + std::to_string(connected.shim_pid()) + "\n";
  pid_t zygote = 0;
  // It is called that from the moment on that it can be asked.
  for (int i = 0; i < 200 && !zygote; ++i, usleep(10000))
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const Result<std::string> status = read_file(entry.path().string() + "/status");
      if (status && status->starts_with("Name:\twafer-zygote\n") &&
          status->find(parent) != status->npos)
        zygote = pid_t(std::atoi(entry.path().filename().c_str()));
    }
  ASSERT_GT(zygote, 0);
  kill(zygote, SIGKILL);
  const RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  EXPECT_EQ(read_all(out_), "hello\n");
}

#if WAFER_TESTS_TLS
// What answers https://127.0.0.1:PORT with 200, and the certificate that it has.
class TlsServer {
 public:
  explicit TlsServer(const std::string& folder) : certificate(folder + "/tls.pem") {
    const std::string key = folder + "/tls.key";
    const std::string make =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
        "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -days 2 "
        "-keyout " +
        key + " -out " + certificate + " 2>/dev/null";
    if (std::system(make.c_str()) != 0) return;
    output_ = popen(("echo $$; exec openssl s_server -accept 127.0.0.1:0 -www -cert " +
                     certificate + " -key " + key + " 2>&1 </dev/null")
                        .c_str(),
                    "re");
    char line[256];
    if (!output_ || !fgets(line, sizeof line, output_)) return;
    pid_ = pid_t(std::atoi(line));
    while (port == 0 && fgets(line, sizeof line, output_))
      if (std::string_view(line).starts_with("ACCEPT ")) port = std::atoi(strrchr(line, ':') + 1);
  }
  ~TlsServer() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (output_) pclose(output_);
  }

  const std::string certificate;
  int port = 0;  // 0: there is no server

 private:
  FILE* output_ = nullptr;
  pid_t pid_ = 0;
};

// A program that gets https://127.0.0.1:PORT; the certificate is where the image has those that it
// trusts.
std::vector<std::string> prepare_https(const std::string& root, const TlsServer& server,
                                       bool trusted) {
  // Where OpenSSL looks, as Debian builds it.
  fs::create_directories(root + "/usr/lib/ssl");
  fs::copy_file(WAFER_HTTPS_GUEST, root + "/https.wasm");
  if (trusted) fs::copy_file(server.certificate, root + "/usr/lib/ssl/cert.pem");
  return {"/https.wasm#get", "\"127.0.0.1:" + std::to_string(server.port) + "\""};
}

std::string loaded_by(pid_t pid) {
  const Result<std::string> maps = read_file("/proc/" + std::to_string(pid) + "/maps");
  return maps ? *maps : std::string();
}

TEST_F(ShimTest, LoadsTlsWhereRequestsAreSent) {
  const TlsServer server(folder_);
  if (server.port == 0) GTEST_SKIP() << "no openssl here";
  json config = spec(prepare_https(folder_ + "/bundle/rootfs", server, true));
  // Anybody may, without any right.
  if (geteuid() == 0) config["process"]["user"] = {{"uid", 65532}, {"gid", 65532}};
  setenv("SSL_CERT_FILE", "/none", 1);
  start_shim(config);
  unsetenv("SSL_CERT_FILE");
  RpcResult result = create();
  ASSERT_TRUE(result.ok()) << result.text;
  proto::CreateTaskResponse created;
  ASSERT_TRUE(created.ParseFromString(result.text));
  if (geteuid() == 0)
    EXPECT_NE(loaded_by(created.pid()).find("libwafer-tls.so"), std::string::npos);
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), "200\n") << read_all(err_);
}

TEST_F(ShimTest, TrustsOnlyWhatTheImageTrusts) {
  const TlsServer server(folder_);
  if (server.port == 0) GTEST_SKIP() << "no openssl here";
  setenv("SSL_CERT_FILE", server.certificate.c_str(), 1);
  start_shim(spec(prepare_https(folder_ + "/bundle/rootfs", server, false)));
  unsetenv("SSL_CERT_FILE");
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), "1013\n");  // TLS-certificate-error
}

TEST_F(ShimTest, HasTlsInAnAddedProcessAndNotInOthers) {
  const TlsServer server(folder_);
  if (server.port == 0) GTEST_SKIP() << "no openssl here";
  const std::string root = folder_ + "/bundle/rootfs";
  const std::vector<std::string> args = prepare_https(root, server, false);
  fs::copy_file(server.certificate, root + "/own.pem");
  start_shim(spec({"/app.wat#spin"}));
  RpcResult result = create();
  proto::CreateTaskResponse created;
  ASSERT_TRUE(result.ok() && created.ParseFromString(result.text)) << result.text;
  if (geteuid() == 0) {
    const std::string maps = loaded_by(created.pid());
    EXPECT_NE(maps.find("containerd-shim-wafer"), maps.npos);
    EXPECT_EQ(maps.find("libwafer-tls.so"), maps.npos);
    // Nor has it what would load it.
    for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(created.pid()) + "/fd"))
      EXPECT_FALSE(fs::is_directory(fd.path()) && fs::exists(fd.path() / "libwafer-tls.so"));
  }
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  proto::ExecProcessRequest request =
      exec_request(json({{"args", args}, {"cwd", "/"}, {"env", {"SSL_CERT_FILE=/own.pem"}}}));
  request.set_stdout(folder_ + "/out");
  ASSERT_TRUE(call("Exec", request).ok());
  result = call("Start", process_request("c", "x"));
  ASSERT_TRUE(result.ok()) << result.text;
  EXPECT_EQ(wait("x"), 0u);
  EXPECT_EQ(read_all(out_), "200\n");
}

TEST_F(ShimTest, TellsThatTlsIsMissing) {
  const TlsServer server(folder_);
  if (server.port == 0) GTEST_SKIP() << "no openssl here";
  setenv("WAFER_TLS", "/none/libwafer-tls.so", 1);
  start_shim(spec(prepare_https(folder_ + "/bundle/rootfs", server, true)));
  unsetenv("WAFER_TLS");
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 0u);
  EXPECT_EQ(read_all(out_), "1037\n");  // configuration-error
  EXPECT_EQ(read_all(err_),
            "error: no TLS: /none/libwafer-tls.so: cannot open shared object file: No such file or "
            "directory\n");
}
#endif

#if WAFER_FEW_ADDRESSES
// What the loader writes addresses into, each shim has for itself.
TEST(ShimFile, HasFewAddresses) {
  const UniqueFd file = take_opened(open(WAFER_SHIM, O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file);
  ElfW(Ehdr) header;
  ASSERT_EQ(pread(file.get(), &header, sizeof header, 0), ssize_t(sizeof header));
  size_t written = 0;
  for (int i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment;
    ASSERT_EQ(pread(file.get(), &segment, sizeof segment,
                    off_t(header.e_phoff) + off_t(i) * header.e_phentsize),
              ssize_t(sizeof segment));
    if (segment.p_type == PT_GNU_RELRO) written += segment.p_filesz;
  }
  EXPECT_GT(written, 0u);
  // With OpenSSL it would be 640 KB.
  EXPECT_LT(written, 300u << 10);
}
#endif

TEST_F(ShimTest, TellsTracesAndMetrics) {
  // A collector: takes requests, one after the other, and says yes to each.
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  ASSERT_EQ(listen(listener.get(), 8), 0);
  std::map<int, std::pair<UniqueFd, std::string>> open;
  std::map<std::string, std::vector<json>> taken;  // by path
  std::set<std::string> headers;
  loop_.watch(listener.get(), EPOLLIN, [&](uint32_t) {
    const int fd = accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    open[fd].first = UniqueFd(fd);
    loop_.watch(fd, EPOLLIN, [&, fd](uint32_t) {
      char buffer[64 << 10];
      const ssize_t n = read(fd, buffer, sizeof buffer);
      std::string& text = open[fd].second;
      if (n > 0) text.append(buffer, size_t(n));
      const size_t head = text.find("\r\n\r\n"), length = text.find("content-length: ");
      if (n > 0 &&
          (head == text.npos || text.size() - head - 4 < std::stoul(text.substr(length + 16))))
        return;
      if (n > 0) {
        const size_t path = text.find(' ') + 1;
        taken[text.substr(path, text.find(' ', path) - path)].push_back(
            json::parse(text.substr(head + 4)));
        if (text.find("x-key: secret\r\n") != text.npos) headers.insert("x-key");
        (void)!write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 40);
      }
      loop_.forget(fd);
      open.erase(fd);
    });
  });
  setenv("OTEL_EXPORTER_OTLP_ENDPOINT",
         ("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port))).c_str(), 1);
  setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret", 1);
  setenv("OTEL_RESOURCE_ATTRIBUTES", "k8s.node.name=n1", 1);
  start_shim(spec({"/app.wasm"}));
  for (const char* name :
       {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"})
    unsetenv(name);
  ASSERT_TRUE(create().ok());
  ASSERT_TRUE(call("Start", process_request("c")).ok());
  EXPECT_EQ(wait(), 42u);
  EXPECT_FALSE(call("Start", process_request("c")).ok());
  ASSERT_TRUE(call("Delete", process_request("c")).ok());
  ASSERT_TRUE(call("Shutdown", proto::ShutdownRequest()).ok());
  client_.reset();
  for (int i = 0; i < 500 && (taken["/v1/traces"].empty() || taken["/v1/metrics"].empty()); ++i) {
    loop_.after(std::chrono::milliseconds(10), [this] { loop_.stop(); });
    loop_.run();
  }
  loop_.forget(listener.get());
  for (const auto& [fd, connection] : open) loop_.forget(fd);
  EXPECT_EQ(headers.size(), 1u);
  ASSERT_FALSE(taken["/v1/traces"].empty());
  const json& resource = taken["/v1/traces"][0]["resourceSpans"][0];
  const std::string about = resource["resource"].dump();
  EXPECT_NE(about.find("containerd-shim-wafer-v1"), about.npos) << about;
  EXPECT_NE(about.find("k8s.node.name"), about.npos) << about;
  std::map<std::string, json> spans;
  for (const json& post : taken["/v1/traces"])
    for (const json& span : post["resourceSpans"][0]["scopeSpans"][0]["spans"])
      spans[span["name"]] = span;
  const json& created = spans["containerd.task.v2.Task/Create"];
  ASSERT_FALSE(created.is_null()) << resource.dump();
  EXPECT_EQ(created["traceId"].get<std::string>().size(), 32u);
  EXPECT_GT(created["endTimeUnixNano"].get<std::string>(),
            created["startTimeUnixNano"].get<std::string>());
  EXPECT_NE(created["attributes"].dump().find("container.id"), std::string::npos);
  EXPECT_EQ(spans["process"]["parentSpanId"], created["spanId"]);
  EXPECT_EQ(spans["process"]["traceId"], created["traceId"]);
  EXPECT_EQ(spans["containerd.task.v2.Task/Start"]["status"]["code"], 2);  // the second
  ASSERT_FALSE(taken["/v1/metrics"].empty());
  const std::string metrics = taken["/v1/metrics"].back().dump();
  for (const char* name : {"rpc.server.duration", "wafer.shim.errors", "wafer.shim.containers"})
    EXPECT_NE(metrics.find(name), metrics.npos) << metrics;
}

class ShimKilled : public ShimTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Stages, ShimKilled, testing::Bool());

// With a container that was only created, and one that runs.
TEST_P(ShimKilled, LeavesNothing) {
  start_shim(spec({"/app.wat#spin"}));
  RpcResult result = create();
  ASSERT_TRUE(result.ok());
  proto::CreateTaskResponse created;
  ASSERT_TRUE(created.ParseFromString(result.text));
  if (GetParam()) ASSERT_TRUE(call("Start", process_request("c")).ok());
  result = call("Connect", process_request("c"));
  proto::ConnectResponse connected;
  ASSERT_TRUE(result.ok() && connected.ParseFromString(result.text));
  EXPECT_EQ(connected.task_pid(), created.pid());
  kill(pid_t(connected.shim_pid()), SIGKILL);
  client_.reset();
  std::vector<std::string> args = flags("delete");
  args.insert(args.end() - 1, {"-bundle", bundle_});
  proto::DeleteResponse deleted;
  ASSERT_TRUE(deleted.ParseFromString(run(bundle_, args)));
  EXPECT_EQ(deleted.exit_status(), 137u);
  for (int i = 0; i < 200 && kill(pid_t(created.pid()), 0) == 0; ++i) usleep(10000);
  EXPECT_NE(kill(pid_t(created.pid()), 0), 0);
  EXPECT_TRUE(fs::is_empty(folder_ + "/s"));
}

}  // namespace
}  // namespace wafer::shim
