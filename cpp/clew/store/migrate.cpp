#include "clew/store/migrate.hpp"

namespace clew::store {
namespace {

Result<void> apply_step(Session& session, const Migration& step) {
  auto done = session.run_text(step.sql, {});
  if (!done) {
    const auto& why = done.error();
    // The text is ours, so a statement that the database cannot read is no one's bad input.
    if (why.code() != Code::invalid_input) return why;
    return Error(Code::internal, why.message());
  }
  return session.set_schema_version(step.version);
}

// Begins, looks at the version, applies the next migration, commits. False: nothing left to do.
Result<bool> migrate_one(Session& session, const std::vector<Migration>& migrations) {
  CLEW_TRY(session.begin(Access::write, Durability::sync));
  auto version = session.schema_version();
  if (!version || *version >= newest_version(migrations)) {
    session.rollback();
    CLEW_TRY(const int found, std::move(version));
    if (found == newest_version(migrations)) return false;
    return error(Code::unsupported,
                 "the database has schema version {}, this program knows {}: it is newer", found,
                 newest_version(migrations))
        .with("found", found)
        .with("known", newest_version(migrations));
  }
  const auto& step = migrations[static_cast<std::size_t>(*version)];
  if (auto done = apply_step(session, step); !done) {
    session.rollback();
    return done.error().with("migration", step.name).with("version", step.version);
  }
  CLEW_TRY(session.commit());
  return true;
}

}  // namespace

int newest_version(const std::vector<Migration>& migrations) {
  int version = 0;
  for (const auto& migration : migrations) CLEW_CHECK(migration.version == ++version);
  return version;
}

Result<void> migrate(Session& session, const std::vector<Migration>& migrations) {
  for (;;) {
    CLEW_TRY(const int version, session.schema_version());
    if (version == newest_version(migrations)) return {};
    CLEW_TRY(const bool more, migrate_one(session, migrations));
    if (!more) return {};
  }
}

}  // namespace clew::store
