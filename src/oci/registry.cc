#include "oci/registry.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "oci/image.h"

namespace wafer::oci {

namespace {

using nlohmann::json;

constexpr uint64_t kMaxManifest = 4u << 20;
const std::string kAccepted =
    std::string(kManifest) + ", " + kIndex + ", " + kDockerManifest + ", " + kDockerIndex;

// As it goes into the query of a URL.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalnum(u) || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += "0123456789ABCDEF"[u >> 4];
      out += "0123456789ABCDEF"[u & 15];
    }
  }
  return out;
}

// What a registry says in the body of an error.
std::string reason_of(const host::FetchResponse& response) {
  std::string out = "status " + std::to_string(response.status);
  const json j = parse_or_null(response.body);
  if (const json& errors = member_of(j, "errors"); errors.is_array() && !errors.empty())
    for (const char* name : {"code", "message"})
      if (std::string text = text_of(errors[0], name); !text.empty()) out = std::move(text);
  std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  return out.substr(0, 300);
}

}  // namespace

std::string noted_credentials(std::string_view text, const std::string& registry) {
  const json j = parse_or_null(text);
  return text_of(member_of(member_of(j, "auths"), registry), "auth");
}

std::map<std::string, std::string> parse_challenge(const std::string& header, std::string& scheme) {
  std::map<std::string, std::string> out;
  size_t at = std::min(header.find(' '), header.size());
  scheme = header.substr(0, at);
  for (char& c : scheme) c = char(std::tolower(static_cast<unsigned char>(c)));
  while ((at = header.find_first_not_of(" ,", at)) != header.npos) {
    const size_t equals = header.find('=', at);
    if (equals == header.npos) break;
    const std::string name = header.substr(at, equals - at);
    std::string value;
    if (equals + 1 < header.size() && header[equals + 1] == '"') {
      const size_t end = std::min(header.find('"', equals + 2), header.size());
      value = header.substr(equals + 2, end - equals - 2);
      at = end == header.size() ? end : end + 1;
    } else {
      const size_t end = std::min(header.find(',', equals), header.size());
      value = header.substr(equals + 1, end - equals - 1);
      at = end;
    }
    out[name] = value;
  }
  return out;
}

Registry::Registry(std::string host, std::function<void(const std::string&)> told)
    : told_(std::move(told)) {
  use(host);
}

void Registry::use(const std::string& host) {
  host_ = host;
  authorization_.clear();
  std::string folder;
  if (const char* given = std::getenv("DOCKER_CONFIG"))
    folder = given;
  else if (const char* home = std::getenv("HOME"))
    folder = std::string(home) + "/.docker";
  std::ifstream file(folder + "/config.json");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  credentials_ = noted_credentials(text, host_);
}

std::string Registry::base() const {
  // On this machine, nobody listens to what is not encrypted.
  const std::string name = host_.substr(0, host_.rfind(':'));
  const bool here = name == "localhost" || name == "127.0.0.1" || name == "[::1]";
  return (here ? "http://" : "https://") + host_ + "/v2/";
}

Result<std::string> Registry::token(const std::string& challenge, const Reference& reference,
                                    bool write) {
  std::string scheme;
  auto fields = parse_challenge(challenge, scheme);
  if (scheme == "basic") {
    if (credentials_.empty())
      return Error(ErrorKind::Io, host_ + " wants a password: log in with docker login");
    return "Basic " + credentials_;
  }
  if (scheme != "bearer" || fields["realm"].empty())
    return Error(ErrorKind::Io, host_ + " wants an authentication that is not known here");
  host::FetchRequest r;
  r.url = fields["realm"];
  r.url += r.url.find('?') == r.url.npos ? "?" : "&";
  r.url += "service=" + escaped(fields["service"]) + "&scope=" +
           escaped("repository:" + reference.repository + (write ? ":pull,push" : ":pull"));
  // The password goes only where nobody can read it on the way.
  if (!credentials_.empty() && (r.url.starts_with("https://") || base().starts_with("http://")))
    r.headers["Authorization"] = "Basic " + credentials_;
  WAFER_LET(response, http_.request(r));
  const json j = parse_or_null(response.body);
  std::string token;
  if (response.status == 200)
    for (const char* name : {"token", "access_token"})
      if (token.empty()) token = text_of(j, name);
  if (token.empty() || token.find_first_of("\r\n") != token.npos)
    return Error(ErrorKind::Io, host_ + " gives no access: " + reason_of(response));
  return "Bearer " + token;
}

// One request to the registry, with what it takes to be let in, and on to where it leads.
Result<host::FetchResponse> Registry::call(host::FetchRequest r, const Reference& reference,
                                           bool write) {
  bool challenged = false;
  const std::string own = base();
  for (int hop = 0; hop < 8; ++hop) {
    const bool ours = r.url.starts_with(own);
    if (ours && !authorization_.empty()) r.headers["Authorization"] = authorization_;
    // To nobody else.
    if (!ours) r.headers.erase("Authorization");
    WAFER_LET(response, http_.request(r));
    if (response.status == 401 && ours && !challenged) {
      challenged = true;
      WAFER_LET(authorization, token(response.headers["www-authenticate"], reference, write));
      authorization_ = authorization;
      continue;
    }
    const bool moved = response.status == 301 || response.status == 302 || response.status == 307 ||
                       response.status == 308;
    if (!moved || (r.method != "GET" && r.method != "HEAD")) return std::move(response);
    std::string to = response.headers["location"];
    if (to.starts_with('/')) to = own.substr(0, own.size() - 4) + to;
    if (r.url.starts_with("https://") && !to.starts_with("https://"))
      return Error(ErrorKind::Io, host_ + " leads to what is not encrypted");
    r.url = to;
  }
  return Error(ErrorKind::Io, host_ + " leads in circles");
}

Result<std::string> Registry::fetch(const std::string& path, const Reference& reference,
                                    uint64_t limit, const char* accept, std::string* media_type,
                                    const Descriptor* part) {
  host::FetchRequest r;
  r.url = base() + reference.repository + path;
  r.limit = limit;
  if (part && progress_) r.progress = [this, part](uint64_t bytes) { progress_(*part, bytes); };
  if (accept) r.headers["Accept"] = accept;
  WAFER_LET(response, call(std::move(r), reference, false));
  if (response.status != 200)
    return Error(ErrorKind::Io, "cannot pull " + reference.text() + ": " + reason_of(response));
  if (media_type) *media_type = response.headers["content-type"];
  return std::move(response.body);
}

Result<Descriptor> Registry::pull(const Reference& reference, Layout& store) {
  const std::string own = host_;
  const std::string not_signed = "has no signature by this key";
  for (const std::string& mirror : mirrors_) {
    use(mirror);
    Result<std::optional<Descriptor>> pulled = pull_here(reference, store);
    use(own);
    if (pulled && *pulled) return **std::move(pulled);
    // What is there but not what it has to be is not looked for elsewhere. What is not signed is:
    // mirrors may leave signatures out.
    if (!pulled && pulled.error().kind != ErrorKind::Io) return pulled.take_error();
    told_("not by way of " + mirror + ": " +
          (pulled ? "it " + not_signed : std::string(pulled.error().message)));
  }
  WAFER_LET(pulled, pull_here(reference, store));
  if (!pulled) return Error(ErrorKind::Invalid, reference.text() + " " + not_signed);
  return *std::move(pulled);
}

// As cosign does by key: without a log that others could look into.
Result<bool> Registry::is_signed(const Reference& reference, const std::string& digest) {
  host::FetchRequest r;
  r.url = base() + reference.repository + "/manifests/" + signature_tag(digest);
  r.limit = kMaxManifest;
  r.headers["Accept"] = kManifest;
  WAFER_LET(response, call(std::move(r), reference, false));
  if (response.status == 404) return false;
  if (response.status != 200)
    return Error(ErrorKind::Io,
                 "cannot pull the signatures of " + reference.text() + ": " + reason_of(response));
  WAFER_LET(manifest, parse_json(response.body, "the signatures"));
  for (const json& layer : list_of(manifest, "layers")) {
    WAFER_LET(part, Descriptor::parse(layer));
    const auto signature = part.annotations.find(kSignature);
    if (part.media_type != kSigned || signature == part.annotations.end()) continue;
    WAFER_LET(text, fetch("/blobs/" + part.digest, reference, kMaxManifest, nullptr, nullptr));
    if (!key_->verifies(text, signature->second)) continue;
    WAFER_LET(about, signed_digest(text));
    if (about == digest) return true;
  }
  return false;
}

Result<std::optional<Descriptor>> Registry::pull_here(const Reference& reference, Layout& store) {
  WAFER_LET(kept, store.keep_blobs());
  (void)kept;
  std::string version = reference.version();
  Descriptor manifest;
  std::string text;
  for (int depth = 0;; ++depth) {
    std::string type;
    WAFER_LET(body,
              fetch("/manifests/" + version, reference, kMaxManifest, kAccepted.c_str(), &type));
    if (is_digest(version) && digest_of(body) != version)
      return Error(ErrorKind::Invalid,
                   "the manifest of " + reference.text() + " does not have the digest " + version);
    // What is signed is what the name stands for, which leads to all the rest by digests.
    if (key_ && depth == 0) {
      WAFER_LET(found, is_signed(reference, digest_of(body)));
      if (!found) return std::optional<Descriptor>();
    }
    WAFER_LET(j, parse_json(body, "the manifest"));
    if (std::string own = text_of(j, "mediaType"); !own.empty()) type = std::move(own);
    if (j.contains("manifests") && depth == 0) {
      WAFER_LET(chosen, choose_platform(j));
      version = chosen.digest;
      continue;
    }
    WAFER_LET(put, store.put(body, j.contains("layers") ? type : std::string(kManifest)));
    manifest = put;
    text = std::move(body);
    break;
  }
  WAFER_LET(j, parse_json(text, "the manifest"));
  WAFER_LET(all, Manifest::parse(j));
  std::vector<Descriptor> parts{std::move(all.config)};
  parts.insert(parts.end(), all.layers.begin(), all.layers.end());
  uint64_t left = Store::kMaxImage;
  for (const Descriptor& part : parts) {
    if (part.size > left)
      return Error(ErrorKind::Exhaustion, "the image " + reference.text() + " is too large");
    left -= part.size;
    if (store.has(part.digest)) continue;
    if (part.size > Store::kMaxBlob)
      return Error(ErrorKind::Exhaustion, "the blob " + part.digest + " is too large");
    told_("pulling " + part.digest.substr(0, 19) + " (" + std::to_string(part.size) + " bytes)");
    WAFER_LET(bytes, fetch("/blobs/" + part.digest, reference, part.size, nullptr, nullptr, &part));
    if (bytes.size() != part.size || digest_of(bytes) != part.digest)
      return Error(ErrorKind::Invalid,
                   "the content of " + part.digest + " does not have this digest");
    WAFER_TRY(store.put(bytes, part.media_type));
  }
  WAFER_TRY(store.set_name(reference.text(), manifest));
  return std::optional<Descriptor>(std::move(manifest));
}

Result<void> Registry::push(const Store& store, const Descriptor& image,
                            const Reference& reference) {
  const std::string own = base() + reference.repository;
  const auto failed = [&](const host::FetchResponse& response) {
    return Error(ErrorKind::Io, "cannot push " + reference.text() + ": " + reason_of(response));
  };
  WAFER_LET(parts, reachable(store, image));
  for (size_t i = 1; i < parts.size(); ++i) {
    const Descriptor& part = parts[i];
    host::FetchRequest look;
    look.method = "HEAD";
    look.url = own + "/blobs/" + part.digest;
    WAFER_LET(there, call(look, reference, true));
    if (there.status == 200) continue;
    told_("pushing " + part.digest.substr(0, 19) + " (" + std::to_string(part.size) + " bytes)");
    host::FetchRequest begin;
    begin.method = "POST";
    begin.url = own + "/blobs/uploads/";
    WAFER_LET(begun, call(begin, reference, true));
    std::string to = begun.headers["location"];
    if (begun.status != 202 || to.empty()) return failed(begun);
    if (to.starts_with('/')) to = base().substr(0, base().size() - 4) + to;
    host::FetchRequest send;
    send.method = "PUT";
    send.url = to + (to.find('?') == to.npos ? "?" : "&") + "digest=" + escaped(part.digest);
    send.headers["Content-Type"] = "application/octet-stream";
    WAFER_LET(bytes, store.get(part));
    send.body = std::move(bytes);
    WAFER_LET(sent, call(std::move(send), reference, true));
    if (sent.status != 201) return failed(sent);
  }
  host::FetchRequest name;
  name.method = "PUT";
  name.url = own + "/manifests/" + reference.version();
  name.headers["Content-Type"] = image.media_type;
  WAFER_LET(bytes, store.get(image));
  name.body = std::move(bytes);
  WAFER_LET(named, call(std::move(name), reference, true));
  return named.status == 201 ? Result<void>() : failed(named);
}

}  // namespace wafer::oci
