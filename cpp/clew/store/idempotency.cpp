#include "clew/store/idempotency.hpp"

#include "clew/base/json.hpp"

namespace clew::store {
namespace {

const Statement find_sql(R"sql(
    SELECT content, result, at_us FROM requests
     WHERE kind = :kind AND scope = :scope AND key = :key)sql");

const Statement add_sql(R"sql(
    INSERT INTO requests (kind, scope, key, content, result, at_us)
    VALUES (:kind, :scope, :key, :content, :result, :now)
    ON CONFLICT (kind, scope, key) DO NOTHING)sql");

const Statement forget_sql("DELETE FROM requests WHERE kind = :kind AND scope = :scope");

const Statement purge_sql(R"sql(
    DELETE FROM requests WHERE (kind, scope, key) IN (
      SELECT kind, scope, key FROM requests WHERE kind = :kind AND at_us < :before
       ORDER BY at_us, scope, key LIMIT :limit))sql");

const Statement all_sql(R"sql(
    SELECT content, result, at_us, kind, scope, key FROM requests ORDER BY kind, scope, key)sql");

struct Remembered {
  Value content;
  Value result;
};

Result<Remembered> decode(const Row& row) {
  Remembered found;
  CLEW_TRY(found.content, json_at(row, 0));
  CLEW_TRY(found.result, json_at(row, 1));
  CLEW_TRY(instant_at(row, 2));
  return found;
}

Error other_content(RequestKey key, const Value& before, const Value& given) {
  const auto difference = first_difference(before, given);
  return error(Code::conflict, "the key \"{}\" belongs to another request: {} was {}, not {}",
               key.key, difference.path.empty() ? "it" : difference.path, preview(difference.left),
               preview(difference.right))
      .with("key", key.key)
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right);
}

}  // namespace

Result<std::optional<Value>> find_request(Transaction& tx, RequestKey key, const Value& content) {
  if (key.key.empty()) return invalid_input("key", key.key, "a word");
  std::optional<Remembered> found;
  const auto take = [&](const Row& row) -> Result<void> {
    auto remembered = decode(row);
    if (!remembered) {
      return in_row(remembered.error(), "requests",
                    fmt::format("{}/{}/{}", key.kind, key.scope, key.key));
    }
    found = *std::move(remembered);
    return {};
  };
  CLEW_TRY(tx.first(find_sql, take, key.kind, key.scope, key.key));
  if (!found) return std::optional<Value>();
  if (found->content != content) return other_content(key, found->content, content);
  return std::optional<Value>(std::move(found->result));
}

Result<void> remember_request(Transaction& tx, RequestKey key, const Value& content,
                              const Value& result, Timestamp now) {
  CLEW_TRY(const auto added,
           tx.run(add_sql, key.kind, key.scope, key.key, to_json(content), to_json(result), now));
  if (added == 1) return {};
  return error(Code::conflict, "the key \"{}\" is being used by another request", key.key)
      .with("key", key.key)
      .with_retryable(true);
}

Result<std::int64_t> forget_requests(Transaction& tx, std::string_view kind,
                                     std::string_view scope) {
  return tx.run(forget_sql, kind, scope);
}

Result<std::int64_t> purge_requests(Transaction& tx, std::string_view kind, Timestamp before,
                                    int limit) {
  return tx.run(purge_sql, kind, before, limit);
}

Result<void> check_requests(Transaction& tx, const ReportRow& report) {
  return tx.each(all_sql, [&report](const Row& row) -> Result<void> {
    const auto key = fmt::format("{}/{}/{}", shown_at(row, 3), shown_at(row, 4), shown_at(row, 5));
    if (const auto found = decode(row); !found) report(in_row(found.error(), "requests", key));
    return {};
  });
}

}  // namespace clew::store
