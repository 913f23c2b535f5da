// capability/contract.hpp: what a capability promises, and what carries it out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/schema.hpp"
#include "clew/base/semver.hpp"
#include "clew/base/time.hpp"

namespace clew {

// May a call be repeated when nobody knows whether it happened?
enum class Effect : std::uint8_t {
  pure,        // repeat or reuse freely
  idempotent,  // repeat with the same key
  once         // never repeated by itself: an interrupted attempt is an unknown outcome
};
std::string_view name(Effect effect);

// How often to try, and how long to wait between. `attempts` counts all tries.
struct RetryPolicy {
  int attempts = 1;  // 1 to 1000
  Duration initial = std::chrono::seconds(1);
  double factor = 2.0;  // 1 to 100
  Duration max = std::chrono::hours(1);
  double jitter = 0.0;  // fraction, 0 to 1

  // The wait before try number `next` (from 2): initial × factor^(next−2), at most `max`, then up
  // to `jitter` of it less, by `unit` in [0, 1).
  Duration delay_before(int next, double unit = 0.0) const;
  // Reads {attempts, initial, factor, max, jitter}; unknown keys and values out of range are
  // `invalid_input` with their path.
  static Result<RetryPolicy> from_value(const Value& value, std::string_view path);
  Value to_value() const;
  friend bool operator==(const RetryPolicy&, const RetryPolicy&) = default;
};

// Whether an error may be tried again by default (RULINGS: never bad input, cancellation, unknown
// outcomes, absence or conflict).
bool is_retried_by_default(Code code);
// The same for what a handler raised: an `execution_failed` whose "code" says that the handler met
// such an error is not tried again either.
bool is_retried_by_default(const Error& error);

// The contract of one version of a capability. A value.
struct Contract {
  std::string id;
  Version version;
  std::string summary;
  Effect effect = Effect::idempotent;
  std::optional<Duration> timeout;  // from the call to its outcome, queue included
  RetryPolicy retry;                // for steps of workflows, unless the step says otherwise
  int max_concurrency = 0;          // 0: only the pool's
  Value inputs = Value(true);       // JSON Schema of the input object
  Value outputs = Value(true);      // JSON Schema of the output
  std::vector<std::string> emits;
  std::vector<std::string> tags;
  std::vector<std::string> permitted_targets = {"local"};
  std::string executor;  // only this executor may run it; empty: any that serves the target
  Value wasm;            // null, or the limits of a WebAssembly module; read by wasm/limits.hpp

  // Reads a contract document. All problems are found in one pass: `invalid_input` whose context
  // lists each with path, value and expectation; unknown keys are problems.
  static Result<Contract> from_document(const Value& document);
  // The document in its normal form: absent options left out.
  Value to_document() const;
};

// What carries a contract out. Each kind of executor knows its own kind of handler. Immutable,
// thread-safe; its destructor must be safe on any thread.
class Handler {
 public:
  virtual ~Handler() = default;
  // "native", "python", "async": the word in traces and errors.
  virtual std::string_view kind() const = 0;
  // Something by which a changed function is told from an unchanged one; empty: never changed.
  virtual std::string fingerprint() const { return {}; }
};

// A registered capability: contract, handler and what was compiled from them. Immutable, shared.
struct Capability {
  Contract contract;
  std::shared_ptr<const Handler> handler;
  std::string digest;        // hex SHA-256 of the contract document's canonical form
  std::string version_text;  // contract.version as text
  // Names the capability in limits; in one registry, that of what it replaced and of no other.
  std::uint64_t key = 0;
  std::shared_ptr<const Schema> inputs;
  std::shared_ptr<const Schema> outputs;
};
using CapabilityPtr = std::shared_ptr<const Capability>;

}  // namespace clew
