// capability/contract.hpp: what a capability promises, and what carries it out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/base/document.hpp"
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

// How far a version is on its way. Only active and deprecated versions run.
enum class Lifecycle : std::uint8_t { draft, active, deprecated, retired, archived };
std::string_view name(Lifecycle lifecycle);
bool is_runnable(Lifecycle lifecycle);
// `invalid_input` at `path` for a word that is none.
Result<Lifecycle> parse_lifecycle(const Value& word, std::string_view path);

// What a capability is to its callers: asked (stateless), told of events (subscribable; names the
// event that triggers it), or one that keeps state (never in a browser).
enum class ServiceType : std::uint8_t { stateless, subscribable, stateful };
std::string_view name(ServiceType type);

// Another thing that must be there, in a version of a range: "text.words@^1".
struct Requirement {
  std::string name;
  VersionRange range;
  std::string to_string() const { return name + "@" + range.text(); }
};

// The contract of one version of a capability. A value.
struct Contract {
  std::string id;
  Version version;
  std::string summary;
  std::string description;
  std::string owner_team;
  std::string owner_contact;
  std::optional<Lifecycle> lifecycle;  // absent: active
  ServiceType service_type = ServiceType::stateless;
  std::string event_trigger;  // reference of an event; of subscribable capabilities
  Effect effect = Effect::idempotent;
  std::optional<Duration> timeout;    // from the call to its outcome, queue included
  RetryPolicy retry;                  // for steps of workflows, unless the step says otherwise
  int max_concurrency = 0;            // 0: only the pool's
  Value inputs = Value(true);         // JSON Schema of the input object
  Value outputs = Value(true);        // JSON Schema of the output
  std::vector<std::string> emits;     // references of events: "text.counted@1.0.0"
  std::vector<std::string> consumes;  // the same
  std::vector<std::string> permissions;
  std::vector<std::string> tags;
  std::vector<std::string> permitted_targets = {"local"};
  std::vector<std::string> preferred_targets;  // hints among the permitted ones, best first
  std::vector<Requirement> connectors;
  std::vector<Requirement> dependencies;  // capabilities that it calls
  Value constraints;                      // what a sandbox grants and limits; null: the defaults
  Value provenance;                       // where it came from: an object of scalars; null: unknown
  std::string executor;  // only this executor may run it; empty: any that serves the target

  // Reads a contract document, a JSON object of the fields of docs/contracts.md. All problems are
  // found in one pass: `invalid_input` for the first, whose context lists each under "problems",
  // with code, path, line, value, expected and message. Codes: unknown_field, missing_field,
  // invalid_value, invalid_schema, duplicate_item, inconsistent_identity, service_rule.
  static Result<Contract> from_document(const Value& document);
  // The same for a document that knows its lines (else they are 0): see parse_document().
  static Result<Contract> from_document(const Document& document);
  // The document in its normal form: absent options left out.
  Value to_document() const;
  // What may never change under one version: the document without its lifecycle.
  Value content() const;
  Lifecycle stage() const { return lifecycle.value_or(Lifecycle::active); }
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

// Who sees a registration: everybody in its workspace, or, shadowing that, its owner's overlay.
enum class Scope : std::uint8_t { everyone, overlay };
std::string_view name(Scope scope);  // "public", "private"
Result<Scope> parse_scope(std::string_view word, std::string_view path);

// A registered capability: contract, handler and what was compiled from them. Immutable, shared.
struct Capability {
  Contract contract;
  std::shared_ptr<const Handler> handler;  // null: known from the store, bound to nothing here
  std::string digest;                      // hex SHA-256 of the canonical form of its content()
  std::string version_text;                // contract.version as text
  std::string workspace;                   // empty: the default one
  Scope scope = Scope::everyone;
  Lifecycle lifecycle = Lifecycle::active;  // its contract's, or what it was moved to since
  std::string workflow;  // the digest of the workflow that carries it out; empty: a function does
  bool is_restored = false;  // an earlier process has registered it, and this one not yet
  // Names the capability in limits; in one registry, that of what it replaced and of no other.
  std::uint64_t key = 0;
  std::uint32_t tenant = 0;  // numbers the workspace for the shares of pools; 0: the default one
  std::shared_ptr<const Schema> inputs;
  std::shared_ptr<const Schema> outputs;

  std::string reference() const { return contract.id + "@" + version_text; }
};
using CapabilityPtr = std::shared_ptr<const Capability>;

}  // namespace clew
