#include "shim/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "oci/format/manifest.h"
#include "shim/proto/content.pb.h"

namespace wafer::shim {

namespace {

constexpr size_t kMaxManifest = 4 << 20;
constexpr size_t kMaxLayer = size_t{1} << 30;
// An index may lead to another.
constexpr int kMaxDepth = 4;

Error error_of(const RpcResult& result) {
  // Of these, who asked for what may not be there makes nothing.
  const bool missing = result.code == RpcCode::NotFound || result.code == RpcCode::Unimplemented;
  return Error(missing ? ErrorKind::Unsupported : ErrorKind::Io,
               "containerd: " + std::string(result.text));
}

Error no_message(const std::string& method) {
  return Error(ErrorKind::Io, "containerd: no message of " + method);
}

constexpr const char* kReadContent = "/containerd.services.content.v1.Content/Read";

}  // namespace

Later<std::shared_ptr<RpcResult>> LayerSource::call(const std::string& method, std::string request,
                                                    size_t most, GrpcClient::OnMessage on_message) {
  const Later<std::shared_ptr<RpcResult>> ended;
  client_.call(method, std::move(request), most, std::move(on_message),
               [ended, alive = std::weak_ptr(alive_)](RpcResult result) {
                 // Whoever waits has gone as well.
                 if (!alive.expired()) ended.set(std::make_shared<RpcResult>(std::move(result)));
               });
  return ended;
}

Task<Result<std::string>> LayerSource::get(std::string method, std::string request) {
  auto answer = std::make_shared<std::string>();
  const Later<std::shared_ptr<RpcResult>> ended =
      call(method, std::move(request), kMaxManifest,
           [answer](std::string message) { *answer = std::move(message); });
  const std::shared_ptr<RpcResult> result = co_await ended;
  if (!result->ok()) co_return error_of(*result);
  co_return std::move(*answer);
}

Task<Result<void>> LayerSource::read(std::string digest, size_t most, Take take) {
  proto::ReadContentRequest request;
  request.set_digest(digest);
  auto failure = std::make_shared<Result<void>>();
  const Later<std::shared_ptr<RpcResult>> ended =
      call(kReadContent, request.SerializeAsString(), most,
           [take = std::move(take), failure](const std::string& message) {
             proto::ReadContentResponse part;
             if (!*failure) return;
             if (part.ParseFromString(message))
               *failure = take(part.data());
             else
               *failure = no_message(kReadContent);
           });
  const std::shared_ptr<RpcResult> result = co_await ended;
  if (!result->ok()) co_return error_of(*result);
  co_return std::move(*failure);
}

Task<Result<LayerSource::Layer>> LayerSource::load(std::string digest, uint64_t size) {
  if (Layer there = loaded_[digest].lock()) co_return there;
  const auto failed = [digest] {
    return Error(ErrorKind::Io, "cannot keep " + digest + ": " + std::strerror(errno));
  };
  auto file = std::make_shared<UniqueFd>(
      take_opened(memfd_create("layer", MFD_CLOEXEC | MFD_ALLOW_SEALING)));
  if (!*file) co_return failed();
  auto written = std::make_shared<uint64_t>(0);
  const Take take = [file, written, failed](std::string_view rest) -> Result<void> {
    while (!rest.empty()) {
      const ssize_t n = write(file->get(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed();
      rest.remove_prefix(size_t(n));
      *written += uint64_t(n);
    }
    return {};
  };
  Result<void> done = co_await read(digest, kMaxLayer, take);
  if (!done) co_return done.take_error();
  if (*written != size)
    co_return Error(ErrorKind::Io, digest + " has " + std::to_string(*written) +
                                       " bytes, and its manifest says " + std::to_string(size));
  // Containers are not to change what others run.
  if (fcntl(file->get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0)
    co_return failed();
  std::erase_if(loaded_, [](const auto& entry) { return entry.second.expired(); });
  loaded_[digest] = file;
  co_return Layer(file);
}

Result<UniqueFd> LayerSource::reopen(const UniqueFd& layer) {
  const std::string path = "/proc/self/fd/" + std::to_string(layer.get());
  UniqueFd fd = take_opened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return Error(ErrorKind::Io, std::string("cannot open the layer: ") + std::strerror(errno));
  return fd;
}

Task<Result<LayerSource::Layer>> LayerSource::find(std::string container, std::string name) {
  proto::GetContainerRequest container_request;
  container_request.set_id(container);
  Result<std::string> answer = co_await get("/containerd.services.containers.v1.Containers/Get",
                                            container_request.SerializeAsString());
  // Who started this is not containerd, or knows the container by another name.
  if (!answer && answer.error().kind == ErrorKind::Unsupported) co_return Layer();
  if (!answer) co_return answer.take_error();
  proto::GetContainerResponse about;
  if (!about.ParseFromString(*answer)) co_return no_message("Containers/Get");
  if (about.container().image().empty()) co_return Layer();
  proto::GetImageRequest image_request;
  image_request.set_name(about.container().image());
  answer =
      co_await get("/containerd.services.images.v1.Images/Get", image_request.SerializeAsString());
  if (!answer) co_return answer.take_error();
  proto::GetImageResponse image;
  if (!image.ParseFromString(*answer)) co_return no_message("Images/Get");

  name = name.substr(0, name.rfind('#'));
  std::string digest = image.image().target().digest();
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    auto text = std::make_shared<std::string>();
    const Take take = [text](std::string_view part) -> Result<void> {
      *text += part;
      return {};
    };
    Result<void> done = co_await read(digest, kMaxManifest, take);
    if (!done) co_return done.take_error();
    Result<nlohmann::json> json = oci::parse_json(*text, "the manifest");
    if (!json) co_return json.take_error();
    if (json->contains("manifests")) {
      Result<oci::Descriptor> chosen = oci::choose_platform(*json);
      if (!chosen) co_return chosen.take_error();
      digest = chosen->digest;
      continue;
    }
    Result<oci::Manifest> manifest = oci::Manifest::parse(*json);
    if (!manifest) co_return manifest.take_error();
    const oci::Descriptor* const layer = oci::choose_layer(*manifest, name);
    if (!layer) co_return Layer();
    Result<Layer> loaded = co_await load(layer->digest, layer->size);
    co_return std::move(loaded);
  }
  co_return Error(ErrorKind::Invalid, "the image is an index of indexes without end");
}

}  // namespace wafer::shim
