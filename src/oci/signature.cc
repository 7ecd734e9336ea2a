#include "oci/signature.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/deleter.h"
#include "oci/store.h"

namespace wafer::oci {

namespace {

using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX, EVP_MD_CTX_free>>;

const uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// Empty for what is no base64.
std::vector<uint8_t> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 1 << 16) return {};
  std::vector<uint8_t> out(text.size() / 4 * 3);
  if (EVP_DecodeBlock(out.data(), bytes_of(text), int(text.size())) < 0) return {};
  for (size_t i = 0; i < 2 && text.ends_with('='); ++i, text.remove_suffix(1)) out.pop_back();
  return out;
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(BIO_new_mem_buf(pem.data(), int(pem.size())),
                                                     &BIO_free);
  const Key key(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!key) return Error(ErrorKind::Invalid, "no public key in PEM form");
  const int kind = EVP_PKEY_base_id(key.get());
  if (kind != EVP_PKEY_EC && kind != EVP_PKEY_RSA && kind != EVP_PKEY_ED25519)
    return Error(ErrorKind::Invalid, "the key is neither of ECDSA nor of RSA nor of Ed25519");
  uint8_t* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) return Error(ErrorKind::Invalid, "the public key cannot be used");
  PublicKey out;
  out.der_.assign(reinterpret_cast<const char*>(der), size_t(size));
  OPENSSL_free(der);
  return out;
}

bool PublicKey::verifies(std::string_view text, std::string_view signature) const {
  const std::vector<uint8_t> raw = decode_base64(signature);
  const uint8_t* der = bytes_of(der_);
  const Key key(d2i_PUBKEY(nullptr, &der, long(der_.size())));
  const Digest digest(EVP_MD_CTX_new());
  if (raw.empty() || !key || !digest) return false;
  // Ed25519 hashes by itself.
  const EVP_MD* const hash =
      EVP_PKEY_base_id(key.get()) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  return EVP_DigestVerifyInit(digest.get(), nullptr, hash, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(digest.get(), raw.data(), raw.size(), bytes_of(text), text.size()) == 1;
}

Result<std::string> signed_digest(std::string_view text) {
  WAFER_LET(j, parse_json(text, "the signed text"));
  std::string digest =
      text_of(member_of(member_of(j, "critical"), "image"), "docker-manifest-digest");
  if (digest.empty()) return Error(ErrorKind::Invalid, "the signed text names no image");
  return digest;
}

std::string signature_tag(std::string_view digest) {
  std::string tag(digest);
  if (const size_t colon = tag.find(':'); colon != tag.npos) tag[colon] = '-';
  return tag + ".sig";
}

}  // namespace wafer::oci
