// Requests over HTTP that are sent beside the loop: looking a name up may take long.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "host/http/fetch.h"
#include "shim/loop.h"

namespace wafer::shim {

// One request after the other, in a thread of its own that begins with the first.
class Poster {
 public:
  explicit Poster(Loop& loop);
  // Gives up what is under way; nobody is told.
  ~Poster();
  Poster(const Poster&) = delete;
  Poster& operator=(const Poster&) = delete;

  // Called once from the loop: "", or why the request was not taken.
  using Done = std::function<void(const std::string& error)>;
  // Not before the last one is done.
  void send(host::FetchRequest request, Done done);

 private:
  void work();
  void tell(std::string error);
  Loop& loop_;
  Done done_;
  UniqueFd told_;
  host::Fetch fetch_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<host::FetchRequest> request_;
  std::string error_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace wafer::shim
