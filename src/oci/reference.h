// Names of images.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/format/manifest.h"

namespace wafer::oci {

// "registry/name:tag" or "registry/name@digest". The registry is always named: there is none that
// is meant without being said.
struct Reference {
  std::string registry;    // "host" or "host:port"
  std::string repository;  // "team/app"
  std::string tag;         // "latest" if neither it nor a digest was given
  std::string digest;      // "sha256:...", or empty

  // As it was given, with the tag.
  std::string text() const;
  // The last part of a request's path: the digest, or else the tag.
  const std::string& version() const { return digest.empty() ? tag : digest; }

  // Usage for what is no such name.
  static Result<Reference> parse(std::string_view text);
  // Can `text` be one? It begins with a host: a name with a dot or a port, or localhost.
  static bool looks_like(std::string_view text);
};

// "sha256:" and 64 hexadecimal digits of `bytes`.
std::string digest_of(std::string_view bytes);

}  // namespace wafer::oci
