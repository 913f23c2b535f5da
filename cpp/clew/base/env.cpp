#include "clew/base/env.hpp"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <map>

#include "clew/base/check.hpp"
#include "clew/base/error.hpp"

namespace clew {
namespace {

constexpr std::uint64_t golden = 0x9E3779B97F4A7C15U;  // 2^64 / golden ratio, made odd

// SplitMix64's output function: a bijection that spreads every bit of `x` over all of them.
std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

// FNV-1a, then mixed with the seed: labels that differ in one letter give unrelated streams.
std::uint64_t hash(std::uint64_t seed, std::string_view label) {
  std::uint64_t h = 0xCBF29CE484222325U;
  for (const char c : label) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001B3U;
  return mix(h + mix(seed + golden));
}

std::uint64_t system_entropy() {
  std::uint64_t bits = 0;
  ssize_t got = 0;
  do {
    got = getrandom(&bits, sizeof bits, 0);
  } while (got < 0 && errno == EINTR);
  CLEW_CHECK(got == sizeof bits);
  return bits;
}

// SplitMix64 over a shared counter: a draw is one atomic addition.
class CounterRandom final : public Random {
 public:
  explicit CounterRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override {
    return mix(state_.fetch_add(golden, std::memory_order_relaxed) + golden);
  }

 private:
  std::atomic<std::uint64_t> state_;
};

// UUIDv7: 48 bits of milliseconds, then a 74-bit counter that starts at a random place in each
// millisecond and rises by random steps, so that other processes' ids are not met. Thread-safe.
class UuidSource final : public IdSource {
 public:
  UuidSource(Clock& clock, Random& random) : clock_(clock), random_(random) {}

  Id next() override { return next_at(clock_.now()); }

  Id next_at(Timestamp now) override {
    const auto now_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(now.us, 0)) / 1000;
    const auto chance = random_.next();
    const Lock lock(mutex_);
    if (now_ms > ms_) {
      ms_ = now_ms;
      restart(chance);
    } else {
      step(chance);
    }
    return pack();
  }

 private:
  static constexpr std::uint64_t low_mask = (1ULL << 62U) - 1;
  static constexpr std::uint64_t high_mask = (1U << 12U) - 1;

  // The counter's top bit starts clear, which leaves room for steps.
  void restart(std::uint64_t chance) CLEW_REQUIRES(mutex_) {
    low_ = chance & low_mask;
    high_ = random_.next() & (high_mask >> 1U);
  }
  void step(std::uint64_t chance) CLEW_REQUIRES(mutex_) {
    low_ += 1 + (chance >> 32U);
    if (low_ <= low_mask) return;
    low_ &= low_mask;
    if (++high_ <= high_mask) return;
    ++ms_;  // the millisecond is full: borrow the next one
    restart(chance);
  }
  Id pack() const CLEW_REQUIRES(mutex_) {
    const std::uint64_t first = (ms_ << 16U) | 0x7000U | high_;
    const std::uint64_t second = (1ULL << 63U) | low_;
    Id id;
    for (unsigned i = 0; i < 8; ++i) {
      id.bytes[i] = static_cast<std::uint8_t>(first >> (56 - 8 * i));
      id.bytes[8 + i] = static_cast<std::uint8_t>(second >> (56 - 8 * i));
    }
    return id;
  }

  Clock& clock_;
  Random& random_;
  Mutex mutex_;
  std::uint64_t ms_ CLEW_GUARDED_BY(mutex_) = 0;
  std::uint64_t high_ CLEW_GUARDED_BY(mutex_) = 0;
  std::uint64_t low_ CLEW_GUARDED_BY(mutex_) = 0;
};

// The streams of an Env, each made at first use by `seed_for(label)`.
class Streams {
 public:
  using SeedFor = std::function<std::uint64_t(std::string_view)>;
  explicit Streams(SeedFor seed_for) : seed_for_(std::move(seed_for)) {}

  Random& at(std::string_view label) {
    const Lock lock(mutex_);
    auto found = streams_.find(label);
    if (found == streams_.end()) {
      found = streams_.try_emplace(std::string(label), seed_for_(label)).first;
    }
    return found->second;
  }

 private:
  SeedFor seed_for_;
  Mutex mutex_;
  std::map<std::string, CounterRandom, std::less<>> streams_ CLEW_GUARDED_BY(mutex_);
};

constexpr std::string_view ids_label = "clew.ids";

class PlainEnv final : public Env {
 public:
  PlainEnv(std::unique_ptr<Clock> owned, Clock& clock, Streams::SeedFor seed_for)
      : owned_(std::move(owned)),
        clock_(clock),
        streams_(std::move(seed_for)),
        ids_(clock_, streams_.at(ids_label)) {}

  Clock& clock() override { return clock_; }
  IdSource& ids() override { return ids_; }
  Random& random(std::string_view label) override { return streams_.at(label); }

 private:
  std::unique_ptr<Clock> owned_;  // null when borrowed
  Clock& clock_;
  Streams streams_;
  UuidSource ids_;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::size_t id_chars = 36;
bool is_dash_place(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

std::string Id::to_string() const {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(id_chars);
  for (const auto byte : bytes) {
    if (is_dash_place(out.size())) out += '-';
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

bool Id::is_nil() const { return *this == Id{}; }

Result<Id> Id::parse(std::string_view text) {
  constexpr std::string_view expected = "an id of 32 hexadecimal digits in the form 8-4-4-4-12";
  if (text.size() != id_chars) return invalid_input("id", text, expected);
  Id id;
  std::size_t nibbles = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_dash_place(i)) {
      if (text[i] != '-') return invalid_input("id", text, expected);
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return invalid_input("id", text, expected);
    auto& byte = id.bytes[nibbles++ / 2];
    byte = static_cast<std::uint8_t>(byte << 4U | digit);
  }
  return id;
}

Id Id::from_bytes(std::string_view sixteen) {
  Id id;
  CLEW_CHECK(sixteen.size() == id.bytes.size());
  std::ranges::transform(sixteen, id.bytes.begin(),
                         [](char c) { return static_cast<std::uint8_t>(c); });
  return id;
}

std::unique_ptr<Env> make_real_env() {
  auto clock = make_real_clock();
  auto& borrowed = *clock;
  return std::make_unique<PlainEnv>(std::move(clock), borrowed,
                                    [](std::string_view) { return system_entropy(); });
}

std::unique_ptr<Env> make_seeded_env(Clock& clock, std::uint64_t seed) {
  return std::make_unique<PlainEnv>(nullptr, clock,
                                    [seed](std::string_view label) { return hash(seed, label); });
}

}  // namespace clew
