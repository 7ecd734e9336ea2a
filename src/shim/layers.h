// Programs that are layers of an image, as the registry has them, and not files in a layer. The
// root of such a container is empty; the layers are read from containerd's content store.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "shim/async.h"
#include "shim/grpc.h"

namespace wafer::shim {

class LayerSource {
 public:
  explicit LayerSource(GrpcClient& client) : client_(client) {}

  // The layer that is the program `name` of the container's image: the one with that title, or
  // else the first. A sealed file in memory, one for all containers that hold it. Null if the
  // image has no layers of WebAssembly, or containerd no such container; else the error of
  // containerd.
  using Layer = std::shared_ptr<const UniqueFd>;
  Task<Result<Layer>> find(std::string container, std::string name);

 private:
  // A call with one answer.
  Task<Result<std::string>> get(std::string method, std::string request);
  Task<Result<std::string>> read(std::string digest);
  Task<Result<Layer>> load(std::string digest, uint64_t size);
  GrpcClient& client_;
  std::map<std::string, std::weak_ptr<const UniqueFd>> loaded_;  // by digest
};

}  // namespace wafer::shim
