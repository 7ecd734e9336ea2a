// Programs that are layers of an image, as the registry has them, and not files in a layer. The
// root of such a container is empty; the layers are read from containerd's content store.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/descriptor.h"
#include "base/result.h"
#include "oci/format/manifest.h"
#include "shim/async.h"
#include "shim/grpc.h"
#include "shim/proto/content.pb.h"

namespace wafer::shim {

class LayerSource {
 public:
  // `client` lives longer.
  explicit LayerSource(GrpcClient& client) : client_(client) {}
  LayerSource(const LayerSource&) = delete;
  LayerSource& operator=(const LayerSource&) = delete;

  // The layer that is the program `name` of the container's image: the one with that title, or
  // else the first. A sealed file in memory, one for all containers that hold it. Null if the
  // image has no layers of WebAssembly, or containerd no such container; else the error of
  // containerd.
  using Layer = std::shared_ptr<const UniqueFd>;
  struct Program {
    Layer file;
    std::string digest;    // the layer's
    bool is_code = false;  // machine code that was made of it
  };
  // With `code_label`, machine code that keep_code() has kept by that label goes first.
  Task<Result<Program>> find(std::string container, std::string name, std::string code_label);
  // The digest of the manifest of the container's image; empty if containerd knows none.
  Task<Result<std::string>> manifest_of(std::string container);
  // Machine code that keep_code() has kept for `digest` by that label; null if there is none.
  Task<Result<Layer>> find_code(std::string digest, std::string code_label);
  // Whether there is such code, or there is to be none: give_up() has said so.
  Task<bool> is_settled(std::string digest, std::string code_label);
  // Notes, by a label of `digest`, that no code of that label can be made.
  Task<Result<void>> give_up(std::string digest, std::string code_label);
  // Keeps machine code in containerd's content store, for all shims, as long as `digest` is kept
  // there, the layer or manifest that it belongs to: by a label that refers to the code. Where
  // containerd does not take it, this shim alone keeps it, and no more than kMaxLayerCode of all;
  // the error says why.
  Task<Result<void>> keep_code(std::string digest, std::string code_label, Layer code);
  // The same file to read only, and with an offset of its own. Io.
  static Result<UniqueFd> reopen(const UniqueFd& layer);

 private:
  // Calls, and gives how it ended; nothing after this is gone.
  Later<std::shared_ptr<RpcResult>> call(const std::string& method, std::string request,
                                         size_t most, GrpcClient::OnMessage on_message);
  Later<std::shared_ptr<RpcResult>> call(GrpcClient::Request request,
                                         GrpcClient::OnMessage on_message);
  // A call with one answer.
  Task<Result<std::string>> get(std::string method, std::string request);
  // All of a blob, at most `most` bytes, in parts; the first failure of `take` is the result.
  using Take = std::function<Result<void>(std::string_view part)>;
  Task<Result<void>> read(std::string digest, size_t most, Take take);
  Task<Result<Layer>> load(std::string digest, uint64_t size);
  struct Image {
    std::string digest;  // of its manifest; empty: there is no image
    oci::Manifest manifest;
  };
  Task<Result<Image>> image_of(std::string container);
  Task<Result<proto::ContentInfo>> info(std::string digest);
  Task<Result<void>> set_label(std::string digest, std::string label, std::string value);
  Task<Result<void>> store_code(std::string digest, std::string code_label, Layer code);
  GrpcClient& client_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::map<std::string, std::weak_ptr<const UniqueFd>> loaded_;  // by digest
  // Code that containerd did not take, by what it is of and its label.
  std::map<std::pair<std::string, std::string>, Layer> kept_;
};

}  // namespace wafer::shim
