// base/schema.hpp: JSON Schema 2020-12, compiled once, checked many times.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew {

struct SchemaProblem {
  std::string path;      // into the instance: "items[2].name"; empty for the root
  std::string keyword;   // the keyword that failed: "required"
  std::string expected;  // what it asked for, in words
  Value value;           // what stood there (null when absent)
};

// A compiled schema. Immutable, thread-safe, shared. All vocabularies of the standard but "format":
// that asserts only for date, date-time, time, email, ipv4, ipv6, uri and uuid, and annotates else.
// References stay inside the document. `definitions` is read as `$defs`; OpenAPI's `discriminator`
// annotates. Patterns are RE2's, so they run in linear time and have no look-around. A check takes
// bounded steps: a value that would need more is refused.
class Schema {
 public:
  // Error `invalid_input` with the path inside the schema for what is malformed, and
  // `unsupported` for a keyword (named) that is known to JSON Schema but not supported here.
  // Unknown keywords are refused with the nearest known one as suggestion, never ignored
  // (annotations of the standard are accepted). References that never end are refused.
  static Result<std::shared_ptr<const Schema>> compile(const Value& schema,
                                                       std::string_view path = "schema");
  virtual ~Schema() = default;
  // True for the schemas `true` and `{}`: whoever calls may then skip the check.
  virtual bool accepts_everything() const = 0;
  virtual bool is_valid(const Value& instance) const = 0;
  // Every failure, at most `limit` (above 0), a value's own before those of what it holds, except
  // that missing members come last. Empty when valid.
  virtual std::vector<SchemaProblem> problems(const Value& instance, int limit = 20) const = 0;
  virtual const Value& document() const = 0;

  // Ok, or `invalid_input` for the first problem with path (below `root`), value and expectation;
  // the context lists all problems when there are several.
  Result<void> check(const Value& instance, std::string_view root) const;
};

}  // namespace clew
