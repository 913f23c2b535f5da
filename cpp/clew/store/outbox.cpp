#include "clew/store/outbox.hpp"

#include "clew/base/json.hpp"

namespace clew::store {
namespace {

const Statement put_sql(R"sql(
    INSERT INTO outbox (topic, key, data, at_us, attempts, due_us, problem)
    VALUES (:topic, :key, :data, :now, 0, :now, '') RETURNING id)sql");

const Statement due_sql(R"sql(
    SELECT id, topic, key, data, at_us, attempts, due_us, problem FROM outbox
     WHERE topic = :topic AND due_us <= :now AND NOT EXISTS (
       SELECT 1 FROM outbox earlier WHERE earlier.topic = outbox.topic
          AND earlier.key = outbox.key AND earlier.id < outbox.id)
     ORDER BY id LIMIT :limit)sql");

const Statement all_of_sql(R"sql(
    SELECT id, topic, key, data, at_us, attempts, due_us, problem FROM outbox
     WHERE topic = :topic ORDER BY id LIMIT :limit)sql");

const Statement all_sql(R"sql(
    SELECT id, topic, key, data, at_us, attempts, due_us, problem FROM outbox ORDER BY id)sql");

const Statement next_sql(R"sql(
    SELECT MIN(due_us) AS due_us FROM outbox WHERE topic = :topic AND NOT EXISTS (
       SELECT 1 FROM outbox earlier WHERE earlier.topic = outbox.topic
          AND earlier.key = outbox.key AND earlier.id < outbox.id))sql");

const Statement remove_sql("DELETE FROM outbox WHERE id = :id");

const Statement drop_sql("DELETE FROM outbox WHERE topic = :topic AND key = :key");

const Statement defer_sql(R"sql(
    UPDATE outbox SET attempts = attempts + 1, due_us = :due, problem = :problem
     WHERE id = :id)sql");

constexpr int attempts_max = 1'000'000'000;

Result<Message> decode_columns(const Row& row) {
  Message message;
  CLEW_TRY(message.id, integer_at(row, 0, 1));
  CLEW_TRY(message.topic, word_at(row, 1));
  CLEW_TRY(message.key, row.text(2));
  CLEW_TRY(message.data, json_at(row, 3));
  CLEW_TRY(message.at, instant_at(row, 4));
  CLEW_TRY(const auto attempts, integer_at(row, 5, 0, attempts_max));
  message.attempts = static_cast<int>(attempts);
  CLEW_TRY(message.due.us, integer_at(row, 6, 0));
  CLEW_TRY(message.problem, row.text(7));
  return message;
}

Result<Message> decode(const Row& row) {
  auto message = decode_columns(row);
  if (message) return message;
  return in_row(message.error(), "outbox", shown_at(row, 0));
}

template <typename... Args>
Result<std::vector<Message>> messages(Transaction& tx, const Statement& query,
                                      const Args&... args) {
  std::vector<Message> found;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(auto message, decode(row));
    found.push_back(std::move(message));
    return {};
  };
  CLEW_TRY(tx.each(query, take, args...));
  return found;
}

}  // namespace

Result<std::int64_t> put_message(Transaction& tx, std::string_view topic, std::string_view key,
                                 const Value& data, Timestamp now) {
  std::int64_t id = 0;
  const auto take = [&](const Row& row) -> Result<void> {
    CLEW_TRY(id, row.integer(0));
    return {};
  };
  CLEW_TRY(tx.first(put_sql, take, topic, key, to_json(data), now));
  return id;
}

Result<std::vector<Message>> due_messages(Transaction& tx, std::string_view topic, Timestamp now,
                                          int limit) {
  return messages(tx, due_sql, topic, now, limit);
}

Result<std::vector<Message>> all_messages(Transaction& tx, std::string_view topic, int limit) {
  return messages(tx, all_of_sql, topic, limit);
}

Result<Timestamp> next_message_due(Transaction& tx, std::string_view topic) {
  auto next = Timestamp::never();
  const auto take = [&](const Row& row) -> Result<void> {
    if (row.is_null(0)) return {};
    CLEW_TRY(next.us, integer_at(row, 0, 0));
    return {};
  };
  CLEW_TRY(tx.first(next_sql, take, topic));
  return next;
}

Result<bool> remove_message(Transaction& tx, std::int64_t id) {
  CLEW_TRY(const auto removed, tx.run(remove_sql, id));
  return removed == 1;
}

Result<void> defer_message(Transaction& tx, const Message& message, std::string_view problem,
                           Timestamp due) {
  CLEW_TRY(tx.post(defer_sql, due, problem, message.id));
  return {};
}

Result<std::int64_t> drop_messages(Transaction& tx, std::string_view topic, std::string_view key) {
  return tx.run(drop_sql, topic, key);
}

Result<void> check_outbox(Transaction& tx, const ReportRow& report) {
  return tx.each(all_sql, [&report](const Row& row) -> Result<void> {
    if (const auto message = decode(row); !message) report(message.error());
    return {};
  });
}

}  // namespace clew::store
