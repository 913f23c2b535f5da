// store/detail/postgres_connection.hpp: one connection to PostgreSQL, on which statements are sent
// without waiting for the answers of those before (a pipeline).
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/store/detail/postgres_errors.hpp"
#include "clew/store/detail/postgres_row.hpp"
#include "clew/store/detail/postgres_url.hpp"
#include "clew/store/detail/wait_handle.hpp"
#include "clew/store/dialect.hpp"
#include "clew/store/store.hpp"

namespace clew::store::detail {

// The results of one statement.
class PostgresResult {
 public:
  PostgresResult(const Libpq& pq, PGresult* result) : pq_(&pq), result_(result, pq.PQclear) {}
  int rows() const { return pq_->PQntuples(result_.get()); }
  bool has_columns() const { return pq_->PQresultStatus(result_.get()) == PGRES_TUPLES_OK; }
  std::int64_t changed() const;
  std::string_view command() const { return pq_->PQcmdStatus(result_.get()); }
  PostgresRow row(int number) const { return {*pq_, result_.get(), number}; }

 private:
  const Libpq* pq_;
  std::unique_ptr<PGresult, decltype(&PQclear)> result_;
};

using Answered = Function<Result<void>(const PostgresResult&)>;

// What made a statement fail, and how far that reaches.
struct PostgresFailure {
  Error error;
  Reach reach = Reach::statement;
};

// As it stands while a statement runs: who may end it early.
struct Heed {
  GoOn* go_on = nullptr;
  std::optional<Error> told;  // what it has answered
};

// External: one thread at a time. Owned by a session.
class PostgresConnection {
 public:
  // Connects within `patience` of real time, or until `abandoned` is raised. Errors: `unavailable`,
  // not retryable for what will not pass by itself, such as a wrong password.
  // `dialect` renders its statements.
  static Result<std::unique_ptr<PostgresConnection>> connect(const Libpq& pq,
                                                             const PostgresUrl& url,
                                                             const Dialect& dialect,
                                                             Duration patience,
                                                             const WaitHandle& abandoned);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // Lets a statement follow those that were posted before. Its failure shows at the next finish().
  // `answered`, if any, sees its result then; what it refuses is a failure of that statement,
  // though what was posted after it has run.
  // Error: `invalid_input` for text with a zero character; nothing is posted then.
  Result<void> post(const Statement& statement, std::span<const Arg> args,
                    Answered answered = nullptr);
  // Text whose results come as text.
  Result<void> post_text(const std::string& sql, std::span<const Arg> args = {});

  // Sends all that was posted and waits for its end: the result of the last, or the first failure.
  // What was posted after a failure has not run.
  Result<PostgresResult> finish(std::string_view doing, Heed& heed);
  // Whether somebody has yet to see a result.
  bool awaits_answers() const { return awaiting_ > 0; }
  // Bytes of arguments that were posted since the last finish(): until then they may lie in memory.
  std::size_t posted_bytes() const { return posted_bytes_; }
  // Sends all that was posted; nobody waits for it.
  void send_off();

  // The same as finish(), but visits the rows of the last as they arrive.
  Result<void> finish_rows(std::string_view doing, Heed& heed, VisitRow& visit);

  // What made the last finish() fail.
  const std::optional<PostgresFailure>& failure() const { return failure_; }
  // Nothing more can be done with it.
  bool is_dead() const { return is_dead_; }
  // A statement was cancelled: when that came too late it may meet the next one.
  bool has_cancelled() const { return has_cancelled_; }

  // How many notifications have arrived since the last call whose payload is not `own`.
  int take_notifications(std::string_view own);
  // Waits until something arrives, at most so long; true when something did.
  bool await_input(Duration at_most, const WaitHandle& abandoned);
  int version() const { return pq_.PQserverVersion(conn_.get()); }
  std::string parameter(const char* name) const;

 private:
  struct Encoded;
  struct Expected {
    enum class Kind : std::uint8_t { statement, prepare, sync } kind = Kind::statement;
    std::size_t index = 0;  // of the statement that is prepared
    std::string_view sql{};
    Answered answered{};
  };
  enum class Known : std::uint8_t { no, sent, yes };

  PostgresConnection(const Libpq& pq, const Dialect& dialect, PGconn* conn)
      : pq_(pq), dialect_(dialect), conn_(conn, pq.PQfinish) {}
  Result<void> await_connected(const PostgresUrl& url, Duration patience,
                               const WaitHandle& abandoned);
  Result<void> prepare(const Statement& statement, const Encoded& encoded);
  void sent(bool is_sent, Expected expected);
  bool flush_some(bool& is_all_sent);
  Result<PGresult*> next_result(Heed& heed);
  bool await_answer(Heed& heed, bool wants_to_write);
  void heed_now(Heed& heed);
  void cancel_running();
  void note_failure(std::string_view doing, const Expected& front, const PGresult* result,
                    const Heed& heed);
  void note_loss(std::string_view doing);
  Result<std::optional<PostgresResult>> drain(std::string_view doing, Heed& heed, VisitRow* visit);
  void settle(Expected& front, const std::optional<PostgresResult>& result);

  const Libpq& pq_;
  const Dialect& dialect_;
  std::unique_ptr<PGconn, decltype(&PQfinish)> conn_;
  std::deque<Expected> expected_;
  std::size_t posted_bytes_ = 0;
  int awaiting_ = 0;             // of `expected_`: whose result somebody is to see
  std::vector<Known> prepared_;  // by Statement::index()
  std::optional<PostgresFailure> failure_;
  bool is_dead_ = false;
  bool is_cancelled_ = false;   // the statement that runs
  bool has_cancelled_ = false;  // any
};

}  // namespace clew::store::detail
