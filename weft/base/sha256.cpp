#include "weft/base/sha256.h"

#include <openssl/evp.h>

#include "weft/base/error.h"

namespace weft {

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
    resource_error("OpenSSL could not start a SHA-256; is memory exhausted?");
}

void Sha256::update(std::span<const std::byte> bytes) {
  WEFT_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  unsigned length = 0;
  const int ok = EVP_DigestFinal_ex(context_.get(), digest.data(), &length);
  WEFT_CHECK(ok == 1 && length == digest.size(), "ok {} length {}", ok, length);
  return digest;
}

Sha256Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Sha256Digest sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

std::string to_hex(std::span<const uint8_t> bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const uint8_t b : bytes) (hex += digits[b >> 4]) += digits[b & 15];
  return hex;
}

}  // namespace weft
