// The task service: what containerd asks of a shim.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "shim/container.h"
#include "shim/events.h"
#include "shim/layers.h"
#include "shim/telemetry.h"
#include "shim/zygote.h"

namespace wafer::shim {

class Service {
 public:
  // `layers` may be null: then all programs are files. So may `telemetry`. What is given here lives
  // longer.
  Service(Loop& loop, Zygote zygote, Publisher& publisher, LayerSource* layers,
          Telemetry* telemetry)
      : loop_(loop),
        zygote_(std::move(zygote)),
        publisher_(publisher),
        layers_(layers),
        telemetry_(telemetry) {
    if (telemetry_) telemetry_->count_containers([this] { return containers_.size(); });
  }
  ~Service() {
    if (telemetry_) telemetry_->count_containers(nullptr);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  // Answers one call of containerd.task.v2.Task or v3.
  void handle(std::string_view service, std::string_view method, const std::string& payload,
              std::string_view traceparent, RpcServer::Reply reply);
  // While code is made that others are to have.
  bool is_compiling() const { return compiling_; }
  // Called when containerd wants the shim to end, and nothing is left. No container is made after.
  std::function<void()> on_shutdown;

 private:
  using Reply = RpcServer::Reply;
  using ContainerRef = std::shared_ptr<Container>;
  // A container, and a process of it; kept alive together.
  struct Found {
    ContainerRef container;
    std::shared_ptr<Process> process;
  };

  void dispatch(std::string_view method, const std::string& payload, Reply reply);
  Result<void> find_filter(Container& container);
  Detached create(proto::CreateTaskRequest request, Reply reply);
  Detached start(proto::ProcessRequest request, Reply reply);
  Detached remove(proto::ProcessRequest request, Reply reply);
  void state(const proto::ProcessRequest& request, const Reply& reply);
  void wait(const proto::ProcessRequest& request, Reply reply);
  Detached kill(proto::KillRequest request, Reply reply);
  void exec(const proto::ExecProcessRequest& request, const Reply& reply);
  void pids(const proto::ProcessRequest& request, const Reply& reply);
  Detached pause(proto::ProcessRequest request, bool on, Reply reply);
  void resize(const proto::ResizePtyRequest& request, const Reply& reply);
  void close_io(const proto::CloseIORequest& request, const Reply& reply);
  Detached update(proto::UpdateTaskRequest request, Reply reply);
  void stats(const proto::ProcessRequest& request, const Reply& reply);
  void connect(const proto::ProcessRequest& request, const Reply& reply);
  void shutdown(const proto::ShutdownRequest& request, const Reply& reply);

  // Answers with NotFound where there is none.
  bool find(const std::string& id, const std::string& exec_id, const Reply& reply, Found& out);

  // What has to be run by runc is given to it; who cannot be is refused.
  Task<Result<void>> hand_over(ContainerRef container);
  Task<Result<void>> probe(ContainerRef container, std::string why);
  // Brings a process up to where it waits for its start. The pid, or the reason why not.
  Task<Result<pid_t>> launch(ContainerRef container, std::shared_ptr<Process> process);
  Task<Result<pid_t>> launch_by_runc(ContainerRef container, std::shared_ptr<Process> process);
  Result<pid_t> spawn(const proto::SpawnRequest& request, const std::string& launch,
                      const std::vector<int>& fds, const Cgroup* cgroup, UniqueFd& control);
  Task<Result<pid_t>> follow(ContainerRef container, std::shared_ptr<Process> process, pid_t pid);
  Task<bool> send_layer(ContainerRef container, int control, std::string name);
  Detached compile(ContainerRef container);
  bool takes_code(const Container& container) const;
  Task<bool> place_code(ContainerRef container);
  Task<Result<void>> make_code(Uncompiled of);
  Task<Result<void>> give_code(Uncompiled of);
  ContainerRef next_to_compile() const;
  Task<Result<void>> run_hooks(ContainerRef container, std::string name, pid_t pid,
                               std::string status);
  Detached watch(ContainerRef container, std::shared_ptr<Process> process);
  Task<bool> discard(ContainerRef container, std::shared_ptr<Process> process);
  Task<bool> sleep(std::chrono::milliseconds time);
  void note_oom(Container& container);
  static std::string state_of(const Container& container, pid_t pid, const std::string& status);

  Loop& loop_;
  Zygote zygote_;
  Publisher& publisher_;
  LayerSource* layers_;
  Telemetry* telemetry_;
  std::map<std::string, ContainerRef> containers_;
  // Filters that were compiled, with what they were compiled from: few, as most containers have the
  // same.
  std::vector<std::pair<nlohmann::json, SeccompFilter>> filters_;
  std::set<std::string> compiled_;  // what was compiled, or cannot be
  bool compiling_ = false;
  bool ending_ = false;  // there are to be no containers any more
};

}  // namespace wafer::shim
