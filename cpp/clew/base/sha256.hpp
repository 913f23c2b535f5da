// base/sha256.hpp: SHA-256 of bytes that come in parts.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "clew/base/json.hpp"

namespace clew {

// Takes bytes in order, then gives their digest: the same as sha256() of all of them at once.
// A value: a copy goes on independently. External.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  // Of all bytes so far; more may follow.
  Digest digest() const;

 private:
  alignas(8) std::array<std::byte, 128> state_;  // libsodium's, checked to fit
};

}  // namespace clew
