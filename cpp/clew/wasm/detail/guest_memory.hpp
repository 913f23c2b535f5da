// wasm/detail/guest_memory.hpp: reading and writing a guest's memory without trusting its numbers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace clew::wasm {

// Confined to one host function: the guest is not running, so its memory stands still.
class GuestMemory {
 public:
  explicit GuestMemory(std::span<std::uint8_t> bytes) : bytes_(bytes) {}

  bool has(std::uint32_t at, std::uint64_t count) const {
    return at + count <= bytes_.size();  // 64 bits: no overflow
  }
  std::optional<std::string_view> view(std::uint32_t at, std::uint32_t count) const {
    if (!has(at, count)) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(bytes_.data()) + at, count);
  }
  bool write(std::uint32_t at, std::string_view data) {
    if (!has(at, data.size())) return false;
    std::ranges::copy(data, bytes_.begin() + at);
    return true;
  }
  template <typename T>
  std::optional<T> load(std::uint32_t at) const {
    if (!has(at, sizeof(T))) return std::nullopt;
    T value{};
    std::memcpy(&value, bytes_.data() + at, sizeof(T));  // both sides are little-endian
    return value;
  }
  template <typename T>
  bool store(std::uint32_t at, T value) {
    if (!has(at, sizeof(T))) return false;
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return true;
  }

 private:
  std::span<std::uint8_t> bytes_;
};

}  // namespace clew::wasm
