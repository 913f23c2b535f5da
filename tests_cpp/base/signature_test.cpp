#include "clew/base/signature.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace clew {
namespace {

SecretSeed seed_of(std::string_view hex) {
  const auto bytes = from_hex(hex, "seed").value();
  SecretSeed seed{};
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  return seed;
}

// RFC 8032, section 7.1, test 1.
const auto seed = seed_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
constexpr std::string_view public_hex =
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

TEST(Signature, public_key_is_that_of_the_standard) {
  EXPECT_EQ(public_key_of(seed), parse_public_key(public_hex, "key").value());
}

TEST(Signature, trust_tells_good_bad_and_strange_apart) {
  const std::vector<PublicKey> trusted = {public_key_of(seed)};
  const auto digest = sha256("a module");
  const auto good = sign(digest, seed);
  ASSERT_EQ(good.size(), 96U);
  EXPECT_EQ(check_signature(digest, good, trusted).value(), Trust::trusted);
  EXPECT_EQ(check_signature(digest, good.substr(32), trusted).value(), Trust::trusted);
  EXPECT_EQ(check_signature(digest, good, {}).value(), Trust::untrusted_key);
  EXPECT_EQ(check_signature(digest, good.substr(32), {}).value(), Trust::bad_signature);
  EXPECT_EQ(check_signature(sha256("another"), good, trusted).value(), Trust::bad_signature);
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bent = good;
    bent[i] = static_cast<char>(bent[i] ^ 1);
    EXPECT_NE(check_signature(digest, bent, trusted).value(), Trust::trusted) << i;
  }
}

TEST(Signature, lengths_and_digits_are_checked) {
  const auto digest = sha256("a module");
  for (const std::size_t length : {0U, 63U, 65U, 95U, 97U}) {
    EXPECT_EQ(check_signature(digest, std::string(length, 'x'), {}).error().code(),
              Code::invalid_input);
  }
  EXPECT_FALSE(parse_public_key("short", "key"));
  EXPECT_FALSE(parse_public_key(std::string(64, 'x'), "key"));
  EXPECT_EQ(from_hex("00fF", "x").value(), std::string("\0\xff", 2));
  EXPECT_FALSE(from_hex("0", "x"));
  EXPECT_FALSE(from_hex("0g", "x"));
  EXPECT_EQ(from_hex("", "x").value(), "");
}

}  // namespace
}  // namespace clew
