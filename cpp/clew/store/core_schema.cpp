#include "clew/store/migrate.hpp"

namespace clew::store {
namespace {

// owners: owner 0 in leases means nobody, so ids start at 1; they are never used again, lest an old
// lease seem to belong to a new owner.
// leases: a closed lease keeps its row for its token, but leaves the index that looks for work.
// events: rows lie in the order in which they were written, so appending touches the end of the
// table whatever the stream; the index finds a stream's events in order.
constexpr const char* core_sql = R"sql(
CREATE TABLE owners (
  id {identity_forever},
  name TEXT NOT NULL,
  host TEXT NOT NULL,
  boot TEXT NOT NULL,
  pid {integer} NOT NULL,
  started {integer} NOT NULL,
  expires_at {integer} NOT NULL
) {table};

CREATE TABLE leases (
  kind TEXT NOT NULL,
  number {integer} NOT NULL,
  owner {integer} NOT NULL,
  token {integer} NOT NULL,
  closed {integer} NOT NULL,
  PRIMARY KEY (kind, number)
) {clustered};
CREATE INDEX leases_open ON leases (kind, owner, number) WHERE closed = 0;

CREATE TABLE events (
  pos {identity},
  stream {integer} NOT NULL,
  seq {integer} NOT NULL,
  at_us {integer} NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  data TEXT NOT NULL,
  UNIQUE (stream, seq)
) {table};
)sql";

}  // namespace

std::vector<Migration> core_migrations() { return {{1, "core", core_sql}}; }

}  // namespace clew::store
