#include "clew/base/sha256.hpp"

#include <sodium/crypto_hash_sha256.h>

#include <new>

namespace clew {
namespace {

using State = crypto_hash_sha256_state;

// Plain data, so that copying its bytes copies it.
static_assert(std::is_trivially_copyable_v<State>);

}  // namespace

Sha256::Sha256() {
  static_assert(sizeof(State) <= sizeof(state_) && alignof(State) <= 8);
  crypto_hash_sha256_init(new (state_.data()) State);
}

void Sha256::update(std::string_view bytes) {
  crypto_hash_sha256_update(std::launder(reinterpret_cast<State*>(state_.data())),
                            reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

Digest Sha256::digest() const {
  State copy = *std::launder(reinterpret_cast<const State*>(state_.data()));
  Digest digest;
  crypto_hash_sha256_final(&copy, digest.data());
  return digest;
}

}  // namespace clew
