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

// timed_leases: a released lease keeps its row, with no token, for its fence; lease_floors keeps
// the highest of those that were purged.
constexpr const char* coordination_sql = R"sql(
CREATE TABLE timed_leases (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  owner TEXT NOT NULL,
  token TEXT NOT NULL,
  fence {integer} NOT NULL,
  claimed_us {integer} NOT NULL,
  expires_us {integer} NOT NULL,
  PRIMARY KEY (kind, id)
) {clustered};

CREATE TABLE lease_floors (
  kind TEXT NOT NULL PRIMARY KEY,
  fence {integer} NOT NULL
) {clustered};

CREATE TABLE requests (
  kind TEXT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  content TEXT NOT NULL,
  result TEXT NOT NULL,
  at_us {integer} NOT NULL,
  PRIMARY KEY (kind, scope, key)
) {clustered};
CREATE INDEX requests_by_age ON requests (kind, at_us);

CREATE TABLE due_times (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  due_us {integer} NOT NULL,
  PRIMARY KEY (kind, id)
) {clustered};
CREATE INDEX due_times_in_order ON due_times (kind, due_us, id);

CREATE TABLE outbox (
  id {identity_forever},
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  data TEXT NOT NULL,
  at_us {integer} NOT NULL,
  attempts {integer} NOT NULL,
  due_us {integer} NOT NULL,
  problem TEXT NOT NULL
) {table};
CREATE INDEX outbox_in_order ON outbox (topic, key, id);
)sql";

}  // namespace

Migration coordination_migration(int version) {
  return {version, "coordination", coordination_sql};
}

std::vector<Migration> core_migrations() { return {{1, "core", core_sql}}; }

}  // namespace clew::store
