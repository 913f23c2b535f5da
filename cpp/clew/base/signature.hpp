// base/signature.hpp: Ed25519 signatures over SHA-256 digests.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "clew/base/json.hpp"
#include "clew/base/result.hpp"

namespace clew {

using PublicKey = std::array<std::uint8_t, 32>;
using SecretSeed = std::array<std::uint8_t, 32>;

// How a signature stands to a list of trusted keys.
enum class Trust : std::uint8_t {
  trusted,
  bad_signature,  // no key that it could be of has made it for this digest
  untrusted_key   // it is good, and names a key that is not in the list
};

// A signature is 64 bytes (RFC 8032), or 96: the public key of its maker, then those 64.
// Error: `invalid_input` for any other length.
Result<Trust> check_signature(const Digest& digest, std::string_view signature,
                              std::span<const PublicKey> trusted);

// The public key of a secret seed, and the 96 bytes of its signature.
PublicKey public_key_of(const SecretSeed& seed);
std::string sign(const Digest& digest, const SecretSeed& seed);

// Reads a public key of 32 bytes, given raw or as 64 hexadecimal digits; `invalid_input`.
Result<PublicKey> parse_public_key(std::string_view text, std::string_view path);

// The bytes that hexadecimal digits of either case name; `invalid_input` naming `path`.
Result<std::string> from_hex(std::string_view digits, std::string_view path);

}  // namespace clew
