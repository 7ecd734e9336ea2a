#include "oci/reference.h"

#include <openssl/evp.h>

#include <algorithm>

namespace wafer::oci {

namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Parts of lower-case letters and digits, joined by one of ". _ -" or slashes.
bool is_repository(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  char before = '/';
  for (const char c : text) {
    if (!is_lower_or_digit(c) && c != '.' && c != '_' && c != '-' && c != '/') return false;
    if (c == '/' && !is_lower_or_digit(before)) return false;
    if (before == '/' && !is_lower_or_digit(c)) return false;
    before = c;
  }
  return is_lower_or_digit(before);
}

bool is_tag(std::string_view text) {
  const auto word = [](char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && text.size() <= 128 && word(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return word(c) || c == '.' || c == '-'; });
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == ':' ||
           c == '[' || c == ']';
  });
  return clean && (text.find_first_of(".:") != text.npos || text == "localhost");
}

}  // namespace

std::string digest_of(std::string_view bytes) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr);
  std::string out = "sha256:";
  for (unsigned i = 0; i < size; ++i) {
    out += "0123456789abcdef"[hash[i] >> 4];
    out += "0123456789abcdef"[hash[i] & 15];
  }
  return out;
}

bool Reference::looks_like(std::string_view text) {
  const size_t slash = text.find('/');
  return slash != text.npos && is_host(text.substr(0, slash)) && text[0] != '.';
}

Result<Reference> Reference::parse(std::string_view text) {
  const auto bad = [text](const char* why) {
    return Error(ErrorKind::Usage, "'" + std::string(text) + "' is no image: " + why);
  };
  const size_t slash = text.find('/');
  if (slash == text.npos || !is_host(text.substr(0, slash)))
    return bad("it does not begin with a registry, as in registry.example/name:tag");
  Reference r;
  r.registry = text.substr(0, slash);
  std::string_view rest = text.substr(slash + 1);
  if (const size_t at = rest.find('@'); at != rest.npos) {
    r.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_digest(r.digest)) return bad("a digest is sha256: and 64 hexadecimal digits");
  }
  if (const size_t colon = rest.find(':'); colon != rest.npos) {
    r.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(r.tag)) return bad("the tag has characters that no tag has");
  } else if (r.digest.empty()) {
    r.tag = "latest";
  }
  r.repository = rest;
  if (!is_repository(r.repository)) return bad("the name has characters that no name has");
  return r;
}

std::string Reference::text() const {
  std::string out = registry + "/" + repository;
  if (!tag.empty()) out += ":" + tag;
  if (!digest.empty()) out += "@" + digest;
  return out;
}

}  // namespace wafer::oci
