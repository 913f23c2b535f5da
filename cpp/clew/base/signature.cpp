#include "clew/base/signature.hpp"

#include <sodium/crypto_sign_ed25519.h>

#include <algorithm>

namespace clew {
namespace {

constexpr std::size_t signature_bytes = crypto_sign_ed25519_BYTES;

const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

bool verifies(const Digest& digest, std::string_view signature, const PublicKey& key) {
  return crypto_sign_ed25519_verify_detached(raw(signature), digest.data(), digest.size(),
                                             key.data()) == 0;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<Trust> check_signature(const Digest& digest, std::string_view signature,
                              std::span<const PublicKey> trusted) {
  PublicKey named{};
  static_assert(sizeof(PublicKey) == crypto_sign_ed25519_PUBLICKEYBYTES);
  if (signature.size() == signature_bytes) {
    const bool good = std::ranges::any_of(
        trusted, [&](const PublicKey& key) { return verifies(digest, signature, key); });
    return good ? Trust::trusted : Trust::bad_signature;
  }
  if (signature.size() != named.size() + signature_bytes) {
    return invalid_input("signature", Value(static_cast<std::int64_t>(signature.size())),
                         "64 bytes, or 96 with the public key first");
  }
  std::copy_n(raw(signature), named.size(), named.begin());
  if (!verifies(digest, signature.substr(named.size()), named)) return Trust::bad_signature;
  return std::ranges::find(trusted, named) != trusted.end() ? Trust::trusted : Trust::untrusted_key;
}

PublicKey public_key_of(const SecretSeed& seed) {
  PublicKey key{};
  std::array<std::uint8_t, crypto_sign_ed25519_SECRETKEYBYTES> secret{};
  crypto_sign_ed25519_seed_keypair(key.data(), secret.data(), seed.data());
  return key;
}

std::string sign(const Digest& digest, const SecretSeed& seed) {
  PublicKey key{};
  std::array<std::uint8_t, crypto_sign_ed25519_SECRETKEYBYTES> secret{};
  std::array<std::uint8_t, signature_bytes> made{};
  crypto_sign_ed25519_seed_keypair(key.data(), secret.data(), seed.data());
  crypto_sign_ed25519_detached(made.data(), nullptr, digest.data(), digest.size(), secret.data());
  std::string out(key.begin(), key.end());
  out.append(made.begin(), made.end());
  return out;
}

Result<PublicKey> parse_public_key(std::string_view text, std::string_view path) {
  PublicKey key{};
  std::string bytes(text);
  if (text.size() == 2 * key.size()) {
    CLEW_TRY(bytes, from_hex(text, path));
  }
  if (bytes.size() != key.size()) {
    return invalid_input(path, Value(static_cast<std::int64_t>(text.size())),
                         "an Ed25519 public key: 32 bytes, or 64 hexadecimal digits");
  }
  std::copy_n(raw(bytes), key.size(), key.begin());
  return key;
}

Result<std::string> from_hex(std::string_view digits, std::string_view path) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    const int high = hex_value(digits[i]);
    const int low = hex_value(digits[i + 1]);
    if (high < 0 || low < 0) break;
    bytes += static_cast<char>(high << 4 | low);
  }
  if (2 * bytes.size() == digits.size()) return bytes;
  return invalid_input(path, Value(preview(Value(digits))),
                       "hexadecimal digits, two for each byte");
}

}  // namespace clew
