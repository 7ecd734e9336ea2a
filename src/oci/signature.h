// Signatures of images, by key, as cosign keeps them: an image beside the image, whose layers are
// the signed texts ("simple signing") with the signature as an annotation.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/reference.h"

namespace wafer::oci {

inline constexpr const char* kSigned = "application/vnd.dev.cosign.simplesigning.v1+json";
inline constexpr const char* kSignature = "dev.cosignproject.cosign/signature";

// A public key: ECDSA, RSA (PKCS #1) or Ed25519, over SHA-256 where the kind takes a hash.
class PublicKey {
 public:
  // Invalid if `pem` is no such key.
  static Result<PublicKey> parse(std::string_view pem);
  // Is `signature`, in base64, one of `text` by this key?
  bool verifies(std::string_view text, std::string_view signature) const;

 private:
  std::string der_;
};

// What a signed text is about: the digest of a manifest. Invalid if it says none.
Result<std::string> signed_digest(std::string_view text);

// The tag that cosign gives the signatures of the manifest with this digest.
std::string signature_tag(std::string_view digest);

}  // namespace wafer::oci
