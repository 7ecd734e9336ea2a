// Standard streams of a container's process: the pipes that containerd names, or a terminal.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/loop.h"

namespace wafer::shim {

// Copies what comes out of one descriptor into another until there is no more, then closes both.
// Whoever does not read holds up nobody else.
class Pump : public std::enable_shared_from_this<Pump> {
 public:
  Pump(Loop& loop, UniqueFd from, UniqueFd to)
      : loop_(loop), from_(std::move(from)), to_(std::move(to)) {}
  ~Pump() {
    on_end_ = nullptr;
    stop();
  }
  // `on_end` is called once, when it has stopped.
  void start(std::function<void()> on_end = {});
  // Copies what is there already, and stops then.
  void finish();
  void stop();
  bool is_running() const { return bool(from_) || bool(to_); }

 private:
  void read_some();
  void write_some();
  Loop& loop_;
  UniqueFd from_, to_;
  std::string buffer_;
  bool finishing_ = false;
  std::function<void()> on_end_;
};

class ProcessIo {
 public:
  explicit ProcessIo(Loop& loop) : loop_(loop) {}
  ~ProcessIo() { close(); }

  // Opens what containerd names: paths of named pipes, file:// URLs, or nothing. Io; Unsupported
  // for other URLs.
  Result<void> open(const std::string& in, const std::string& out, const std::string& err,
                    bool terminal);
  // What the process gets as its streams; without a terminal.
  const std::vector<UniqueFd>& streams() const { return streams_; }
  // After the process has them.
  void release_streams() { streams_.clear(); }
  // Takes the other end of the process's terminal.
  void attach(UniqueFd master);
  Result<void> resize(uint32_t width, uint32_t height) const;
  // Nothing more comes to standard input, after what was written to it.
  void close_input();
  // True while there is output on its way.
  bool is_draining() const { return output_ && output_->is_running(); }
  // The process is gone: readers of its output learn that it has ended.
  void end();
  void close();

 private:
  Loop& loop_;
  bool terminal_ = false;
  std::vector<UniqueFd> streams_;
  // Ends of the pipes that are held open: who reads may come and go.
  std::vector<UniqueFd> held_;
  UniqueFd input_source_, output_target_, master_;
  std::shared_ptr<Pump> input_, output_;
};

}  // namespace wafer::shim
