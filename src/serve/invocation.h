// One request in an instance of its own.
#pragma once

#include <memory>
#include <string>

#include "component/run/linker.h"
#include "serve/serve.h"
#include "wasi/p2/http.h"

namespace wafer::serve {

// What a thread needs for invocations.
struct Surroundings {
  host::Loop& loop;
  host::Process& process;
  const component::ComponentLinker& linker;
  const wasi::ResourceTypes& types;
  const Limits& limits;
};

class Invocation : public std::enable_shared_from_this<Invocation> {
 public:
  // `answer` is called once, from the loop or from start(); `ended` once after that, when the
  // guest has returned or failed (then with why).
  Invocation(Surroundings surroundings, Application application,
             std::function<void(wasi::p2::HttpAnswer)> answer,
             std::function<void(const std::string& failure)> ended);
  ~Invocation();
  void start(host::HttpRequest request);
  // Ends it as soon as possible; nothing is called any more.
  void cancel();
  // From any thread, while it is kept: its time is up.
  void interrupt() { store_.interrupt(); }
  // Looks whether it was interrupted, on the loop.
  void wake() { go_on(); }
  bool interrupted() const { return store_.interrupt_flag.load(std::memory_order_relaxed) != 0; }

 private:
  void go_on();
  void end(const std::string& failure);
  void give(wasi::p2::HttpAnswer answer);

  Surroundings s_;
  Application application_;
  std::function<void(wasi::p2::HttpAnswer)> answer_;
  std::function<void(const std::string&)> ended_;
  runtime::Store store_;
  component::ComponentStore components_;
  wasi::p2::Host host_;
  bool running_ = false, waiting_ = false, scheduled_ = false, done_ = false;
};

}  // namespace wafer::serve
