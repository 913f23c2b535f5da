#include "clew/capability/contract_rows.hpp"

#include <fmt/format.h>

#include "clew/base/json.hpp"

namespace clew {
namespace {

constexpr const char* contracts_sql = R"sql(
CREATE TABLE contracts (
  workspace TEXT NOT NULL,
  scope TEXT NOT NULL,
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  digest TEXT NOT NULL,
  lifecycle TEXT NOT NULL,
  document TEXT NOT NULL,
  registered_us {integer} NOT NULL,
  PRIMARY KEY (workspace, scope, id, version)
) {clustered};
CREATE VIEW v_capabilities AS
  SELECT workspace, scope, id, version, digest, lifecycle, document, registered_us FROM contracts;
)sql";

constexpr const char* workflow_sql = R"sql(
ALTER TABLE contracts ADD COLUMN workflow TEXT;
DROP VIEW v_capabilities;
CREATE VIEW v_capabilities AS
  SELECT workspace, scope, id, version, digest, lifecycle, document, registered_us, workflow
    FROM contracts;
)sql";

const store::Statement lock_sql(R"sql(
SELECT digest, document, lifecycle FROM contracts
WHERE workspace = :workspace AND scope = :scope AND id = :id AND version = :version
{for_update})sql");

const store::Statement insert_sql(R"sql(
INSERT INTO contracts (workspace, scope, id, version, digest, lifecycle, document, registered_us,
                       workflow)
VALUES (:workspace, :scope, :id, :version, :digest, :lifecycle, :document, :now, :workflow)
ON CONFLICT (workspace, scope, id, version) DO NOTHING)sql");

const store::Statement change_sql(R"sql(
UPDATE contracts SET digest = :digest, lifecycle = :lifecycle, document = :document,
                     workflow = :workflow
WHERE workspace = :workspace AND scope = :scope AND id = :id AND version = :version)sql");

const store::Statement load_sql(R"sql(
SELECT workspace, scope, id, version, digest, lifecycle, document, workflow FROM contracts
ORDER BY workspace, id, version, scope)sql");

Result<Capability> decode(const store::Row& row) {
  Capability made;
  CLEW_TRY(made.workspace, store::text_at(row, 0));
  CLEW_TRY(const auto scope, store::word_at(row, 1));
  CLEW_TRY(made.scope, parse_scope(scope, "scope"));
  CLEW_TRY(made.version_text, store::word_at(row, 3));
  CLEW_TRY(made.digest, store::word_at(row, 4));
  CLEW_TRY(const auto lifecycle, store::word_at(row, 5));
  CLEW_TRY(made.lifecycle, parse_lifecycle(Value(lifecycle), "lifecycle"));
  CLEW_TRY(const auto document, store::json_at(row, 6));
  CLEW_TRY(made.contract, Contract::from_document(document));
  CLEW_TRY(made.workflow, store::text_at(row, 7));
  if (to_hex(digest_of(made.contract.content())) != made.digest) {
    return store::corrupt_column(row, 4, "the digest of the document");
  }
  return made;
}

Error in_contract(const Error& why, const store::Row& row) {
  const auto key = fmt::format("{}/{}/{}@{}", store::shown_at(row, 0), store::shown_at(row, 1),
                               store::shown_at(row, 2), store::shown_at(row, 3));
  const auto damage = why.code() == Code::corrupt
                          ? why
                          : Error(Code::corrupt, why.message()).with("why", why.to_string());
  return store::in_row(damage, "contracts", key);
}

}  // namespace

store::Migration contract_migration(int version) { return {version, "contracts", contracts_sql}; }
store::Migration contract_workflow_migration(int version) {
  return {version, "workflows of contracts", workflow_sql};
}

Result<Lifecycle> store_contract(store::Transaction& tx, const Capability& capability,
                                 bool may_replace, Timestamp now) {
  const auto scope = std::string(name(capability.scope));
  auto lifecycle = capability.lifecycle;
  const auto document = to_json(capability.contract.content());
  const auto workflow =
      capability.workflow.empty() ? store::Arg(nullptr) : store::Arg(capability.workflow);
  CLEW_TRY(const auto added, tx.run(insert_sql, capability.workspace, scope, capability.contract.id,
                                    capability.version_text, capability.digest, name(lifecycle),
                                    document, now, workflow));
  if (added == 1) return lifecycle;
  Value stored;
  std::string digest;
  CLEW_TRY(tx.first(
      lock_sql,
      [&](const store::Row& row) -> Result<void> {
        CLEW_TRY(digest, store::word_at(row, 0));
        CLEW_TRY(stored, store::json_at(row, 1));
        CLEW_TRY(const auto word, store::word_at(row, 2));
        // A damaged word is written anew.
        if (const auto reached = parse_lifecycle(Value(word), "lifecycle")) {
          lifecycle = std::max(lifecycle, *reached);
        }
        return {};
      },
      capability.workspace, scope, capability.contract.id, capability.version_text));
  if (!digest.empty() && digest != capability.digest && !may_replace) {
    const auto difference = first_difference(stored, capability.contract.content());
    return error(Code::conflict, "{} is stored with other content: {} is {}, not {}",
                 capability.reference(), difference.path, preview(difference.left),
                 preview(difference.right))
        .with("path", difference.path)
        .with("registered", difference.left)
        .with("given", difference.right);
  }
  CLEW_TRY(tx.post(change_sql, capability.digest, name(lifecycle), document, workflow,
                   capability.workspace, scope, capability.contract.id, capability.version_text));
  return lifecycle;
}

Result<std::vector<Capability>> load_contracts(store::Transaction& tx,
                                               const store::ReportRow& damaged) {
  std::vector<Capability> all;
  CLEW_TRY(tx.each(load_sql, [&](const store::Row& row) -> Result<void> {
    auto made = decode(row);
    if (made) {
      all.push_back(*std::move(made));
    } else {
      damaged(in_contract(made.error(), row));
    }
    return {};
  }));
  return all;
}

}  // namespace clew
