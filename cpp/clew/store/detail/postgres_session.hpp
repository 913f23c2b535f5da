// store/detail/postgres_session.hpp: a Session on PostgreSQL.
//
// A commit whose answer is lost is never guessed. Each writer has a row in `commit_marks`; a group
// writes its number there in the transaction itself, together with COMMIT. On a new connection the
// session raises the row's epoch: that waits for the old transaction if it holds the row, keeps it
// from committing if it comes later (its number counts only under the epoch that it knew), and
// shows whether the number got there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/store/detail/postgres_connection.hpp"
#include "clew/store/session.hpp"

namespace clew::store::detail {

// Where the sessions of one database connect to. Immutable once the backend has connected.
struct PostgresPlace {
  const Libpq* pq = nullptr;
  PostgresUrl url;
  std::string schema;   // the first of the search path: where the tables are
  std::string channel;  // of its notifications
  Duration lock_timeout{0};
  std::int64_t writer = 0;  // of this process; 0: none
};

enum class PostgresRole : std::uint8_t { writer, reader };

// Confined as Session.
class PostgresSession final : public Session {
 public:
  PostgresSession(std::shared_ptr<const PostgresPlace> place, PostgresRole role);
  ~PostgresSession() override;

  // The first connection: tried once.
  Result<void> connect();
  // From now on commits leave marks under that number.
  void mark_as(std::int64_t writer, std::int64_t epoch);

  Result<void> begin(Access access, Durability durability) override;
  Result<void> commit() override;
  void rollback() override;
  Result<void> settle() override;
  Result<void> savepoint() override;
  Result<void> release_savepoint() override;
  Result<void> rollback_to_savepoint() override;
  const Error* lost() const override { return lost_ ? &*lost_ : nullptr; }
  bool may_run_again() const override { return by_chance_; }
  bool is_broken() const override { return is_broken_; }

  Result<void> sync() override;
  bool is_maintenance_due() const override { return false; }
  Result<void> maintain() override { return {}; }
  Result<int> schema_version() override;
  Result<void> set_schema_version(int version) override;
  Result<std::vector<std::string>> check_integrity() override;
  Result<std::int64_t> data_version() override;
  bool await_change(Duration at_most) override;
  Result<void> exclude_writers(const std::vector<std::string>& tables) override;
  Result<std::int64_t> last_identity(const std::string& table, const std::string& column) override;
  Result<void> set_last_identity(const std::string& table, const std::string& column,
                                 std::int64_t number) override;
  void heed(GoOn* go_on) override;
  void abandon_waits() override { abandoned_.raise(); }

  Result<std::int64_t> run_text(std::string_view sql, std::span<const Arg> args) override;
  Result<void> each_text(std::string_view sql, std::span<const Arg> args, VisitRow& visit) override;
  Result<std::int64_t> run_args(const Statement& statement, std::span<const Arg> args) override;
  Result<void> each_args(const Statement& statement, std::span<const Arg> args,
                         VisitRow& visit) override;
  Result<bool> first_args(const Statement& statement, std::span<const Arg> args,
                          VisitRow& visit) override;
  Result<void> post_args(const Statement& statement, std::span<const Arg> args) override;
  Result<std::vector<std::int64_t>> run_each(const Statement& statement,
                                             std::span<const std::vector<Arg>> lists) override;
  Result<void> expect_args(const Statement& statement, std::span<const Arg> args,
                           Judge judge) override;

  // Text of ours, inside or outside a transaction.
  Result<PostgresResult> ask(const std::string& sql, std::span<const Arg> args = {});
  const PostgresConnection& connection() const { return *conn_; }

 private:
  const Dialect& dialect() const;
  Result<void> connect_once(Duration patience);
  Result<void> reconnect(Duration patience);
  Result<void> take_over_mark();
  Result<void> ensure_connected();
  void give_way();
  Result<void> begin_once(Access access, Durability durability);
  Result<void> post_notification();
  Result<void> settle_doubt(Error why);
  std::optional<Error> unusable() const;
  Result<PostgresResult> finish(std::string_view doing);
  Error note(const Error& why);
  Result<PostgresResult> query(const Statement& statement, std::span<const Arg> args);
  Result<void> listen();

  const std::shared_ptr<const PostgresPlace> place_;
  const PostgresRole role_;
  std::unique_ptr<PostgresConnection> conn_;
  WaitHandle abandoned_;

  bool is_open_ = false;  // a transaction is
  bool is_reading_ = false;
  bool is_silent_ = false;  // the commit that comes changes nothing that anybody waits for
  bool ran_foreign_ = false;
  std::optional<Error> failed_;  // rolling back to the savepoint helps
  std::optional<Error> lost_;    // it does not
  bool by_chance_ = false;
  int in_a_row_ = 0;  // transactions that failed by chance
  bool is_broken_ = false;
  Heed heed_;

  std::int64_t writer_ = 0;
  std::int64_t epoch_ = 0;
  std::int64_t number_ = 0;    // the last commit that is known to have been made
  std::int64_t doubtful_ = 0;  // the last whose answer was lost; above `number_` nobody knows of it
  std::int64_t found_ = 0;     // the number that the row had when it was taken over
  bool listens_ = false;
};

}  // namespace clew::store::detail
