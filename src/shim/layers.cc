#include "shim/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstring>

#include "oci/format/manifest.h"
#include "shim/precompile.h"

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

std::string content(const char* method) {
  return std::string("/containerd.services.content.v1.Content/") + method;
}

// The last digest that a message names, or nothing.
std::string digest_in(std::string_view message) {
  constexpr std::string_view kAlgorithm = "sha256:";
  const size_t at = message.rfind(kAlgorithm);
  if (at == message.npos) return {};
  const size_t end = message.find_first_not_of("0123456789abcdef", at + kAlgorithm.size());
  return std::string(message.substr(at, end == message.npos ? end : end - at));
}

// What stands for the label of code that cannot be made.
std::string given_up(const std::string& code_label) {
  return "wafer.given-up-" + code_label.substr(code_label.rfind('-') + 1);
}

// As RFC 3339 has it.
std::string text_of_time(time_t when) {
  tm parts{};
  gmtime_r(&when, &parts);
  char text[40];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

Later<std::shared_ptr<RpcResult>> LayerSource::call(const std::string& method, std::string request,
                                                    size_t most, GrpcClient::OnMessage on_message) {
  return call({method, {std::move(request)}, most, {}}, std::move(on_message));
}

Later<std::shared_ptr<RpcResult>> LayerSource::call(GrpcClient::Request request,
                                                    GrpcClient::OnMessage on_message) {
  const Later<std::shared_ptr<RpcResult>> ended;
  client_.call(std::move(request), std::move(on_message),
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
      call(content("Read"), request.SerializeAsString(), most,
           [take = std::move(take), failure](const std::string& message) {
             proto::ReadContentResponse part;
             if (!*failure) return;
             if (part.ParseFromString(message))
               *failure = take(part.data());
             else
               *failure = no_message("Content/Read");
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
  if (fcntl(file->get(), F_ADD_SEALS, kSealed) != 0) co_return failed();
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

Task<Result<proto::ContentInfo>> LayerSource::info(std::string digest) {
  proto::ContentInfoRequest request;
  request.set_digest(digest);
  Result<std::string> answer = co_await get(content("Info"), request.SerializeAsString());
  if (!answer) co_return answer.take_error();
  proto::ContentInfoResponse response;
  if (!response.ParseFromString(*answer)) co_return no_message("Content/Info");
  co_return std::move(*response.mutable_info());
}

Task<Result<LayerSource::Layer>> LayerSource::find_code(std::string digest,
                                                        std::string code_label) {
  if (const auto kept = kept_.find({digest, code_label}); kept != kept_.end())
    co_return kept->second;
  Result<proto::ContentInfo> layer = co_await info(digest);
  if (!layer) co_return layer.take_error();
  const auto label = layer->labels().find(code_label);
  if (label == layer->labels().end()) co_return Layer();
  const std::string code = label->second;
  Result<proto::ContentInfo> about = co_await info(code);
  if (!about) co_return about.take_error();
  if (about->size() <= 0 || uint64_t(about->size()) > kMaxLayerCode) co_return Layer();
  Result<Layer> loaded = co_await load(code, uint64_t(about->size()));
  if (loaded && !code_fits(**loaded)) co_return Layer();
  co_return std::move(loaded);
}

Task<bool> LayerSource::is_settled(std::string digest, std::string code_label) {
  const Result<Layer> code = co_await find_code(digest, code_label);
  if (code && *code) co_return true;
  const Result<proto::ContentInfo> layer = co_await info(std::move(digest));
  co_return layer && layer->labels().contains(given_up(code_label));
}

Task<Result<void>> LayerSource::set_label(std::string digest, std::string label,
                                          std::string value) {
  proto::UpdateContentRequest update;
  update.mutable_info()->set_digest(digest);
  (*update.mutable_info()->mutable_labels())[label] = value;
  update.mutable_update_mask()->add_paths("labels." + label);
  Result<std::string> updated = co_await get(content("Update"), update.SerializeAsString());
  co_return updated ? Result<void>() : Result<void>(updated.take_error());
}

Task<Result<void>> LayerSource::give_up(std::string digest, std::string code_label) {
  Result<void> noted =
      co_await set_label(std::move(digest), given_up(code_label), text_of_time(time(nullptr)));
  co_return std::move(noted);
}

Task<Result<void>> LayerSource::keep_code(std::string digest, std::string code_label, Layer code) {
  Result<void> stored = co_await store_code(digest, code_label, code);
  const auto size_of = [](const Layer& kept) {
    struct stat about;
    return fstat(kept->get(), &about) == 0 ? uint64_t(about.st_size) : kMaxLayerCode;
  };
  uint64_t all = size_of(code);
  for (const auto& [of, kept] : kept_) all += size_of(kept);
  if (!stored && all <= kMaxLayerCode)
    kept_[{std::move(digest), std::move(code_label)}] = std::move(code);
  co_return std::move(stored);
}

Task<Result<void>> LayerSource::store_code(std::string digest, std::string code_label, Layer code) {
  // Until the layer refers to it, a lease does; should this shim die, not for long.
  proto::CreateLeaseRequest lease;
  uint64_t chance = 0;
  (void)!getrandom(&chance, sizeof chance, 0);
  lease.set_id("wafer-" + std::to_string(getpid()) + "-" + std::to_string(chance));
  (*lease.mutable_labels())["containerd.io/gc.expire"] = text_of_time(time(nullptr) + 600);
  Result<std::string> answer =
      co_await get("/containerd.services.leases.v1.Leases/Create", lease.SerializeAsString());
  if (!answer) co_return answer.take_error();
  Result<void> stored = co_await [&]() -> Task<Result<void>> {
    constexpr size_t kPart = 1 << 20;
    GrpcClient::Request request{content("Write"), {}, kMaxManifest, lease.id()};
    const off_t size = lseek(code->get(), 0, SEEK_END);
    proto::WriteContentRequest part;
    part.set_action(proto::WriteContentRequest::WRITE);
    part.set_ref(lease.id());
    part.set_total(size);
    while (part.offset() < size) {
      std::string& data = *part.mutable_data();
      data.resize(kPart);
      const ssize_t n = pread(code->get(), data.data(), data.size(), part.offset());
      if (n <= 0)
        co_return Error(ErrorKind::Io,
                        std::string("cannot read the code: ") + std::strerror(n < 0 ? errno : EIO));
      data.resize(size_t(n));
      request.messages.push_back(part.SerializeAsString());
      part.set_offset(part.offset() + n);
    }
    part.clear_data();
    part.set_action(proto::WriteContentRequest::COMMIT);
    request.messages.push_back(part.SerializeAsString());
    auto last = std::make_shared<proto::WriteContentResponse>();
    const Later<std::shared_ptr<RpcResult>> ended =
        call(std::move(request),
             [last](const std::string& message) { (void)last->ParseFromString(message); });
    const std::shared_ptr<RpcResult> result = co_await ended;
    // The same code may be there: of another shim at this moment, or without its label.
    std::string kept = last->digest();
    if (result->code == RpcCode::AlreadyExists)
      kept = digest_in(result->text);
    else if (!result->ok())
      co_return error_of(*result);
    if (kept.empty() || kept == digest) co_return no_message("Content/Write");
    Result<void> labelled = co_await set_label(digest, code_label, kept);
    co_return std::move(labelled);
  }();
  proto::DeleteLeaseRequest done;
  done.set_id(lease.id());
  (void)co_await get("/containerd.services.leases.v1.Leases/Delete", done.SerializeAsString());
  co_return std::move(stored);
}

Task<Result<LayerSource::Image>> LayerSource::image_of(std::string container) {
  proto::GetContainerRequest container_request;
  container_request.set_id(container);
  Result<std::string> answer = co_await get("/containerd.services.containers.v1.Containers/Get",
                                            container_request.SerializeAsString());
  // Who started this is not containerd, or knows the container by another name.
  if (!answer && answer.error().kind == ErrorKind::Unsupported) co_return Image();
  if (!answer) co_return answer.take_error();
  proto::GetContainerResponse about;
  if (!about.ParseFromString(*answer)) co_return no_message("Containers/Get");
  if (about.container().image().empty()) co_return Image();
  proto::GetImageRequest image_request;
  image_request.set_name(about.container().image());
  answer =
      co_await get("/containerd.services.images.v1.Images/Get", image_request.SerializeAsString());
  if (!answer) co_return answer.take_error();
  proto::GetImageResponse image;
  if (!image.ParseFromString(*answer)) co_return no_message("Images/Get");

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
    co_return Image{std::move(digest), *std::move(manifest)};
  }
  co_return Error(ErrorKind::Invalid, "the image is an index of indexes without end");
}

Task<Result<std::string>> LayerSource::manifest_of(std::string container) {
  Result<Image> image = co_await image_of(std::move(container));
  if (!image) co_return image.take_error();
  co_return std::move(image->digest);
}

Task<Result<LayerSource::Program>> LayerSource::find(std::string container, std::string name,
                                                     std::string code_label) {
  Result<Image> image = co_await image_of(std::move(container));
  if (!image) co_return image.take_error();
  if (image->digest.empty()) co_return Program();
  name = name.substr(0, name.rfind('#'));
  const oci::Descriptor* const layer = oci::choose_layer(image->manifest, name);
  if (!layer) co_return Program();
  Program found{{}, layer->digest, false};
  if (!code_label.empty()) {
    // Without it the program only takes longer.
    Result<Layer> code = co_await find_code(found.digest, std::move(code_label));
    if (code && *code) {
      found.file = *std::move(code);
      found.is_code = true;
      co_return std::move(found);
    }
  }
  Result<Layer> loaded = co_await load(layer->digest, layer->size);
  if (!loaded) co_return loaded.take_error();
  found.file = *std::move(loaded);
  co_return std::move(found);
}

}  // namespace wafer::shim
