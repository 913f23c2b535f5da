// The connection is in pipeline mode all its life. Each batch of posted statements ends with a
// synchronisation point: when a statement fails the server passes over the rest up to there. What
// the answers belong to is kept in `expected_`, in order.
#include "clew/store/detail/postgres_connection.hpp"

#include <array>
#include <charconv>
#include <cstring>
#include <numeric>

namespace clew::store::detail {

namespace {

constexpr Duration look_every = std::chrono::milliseconds(20);  // whether to go on
constexpr int looks_after_cancel_max = 250;  // then the server is held for unreachable

void drop_notice(void*, const char*) {}

}  // namespace

std::int64_t PostgresResult::changed() const {
  const std::string_view text(pq_->PQcmdTuples(result_.get()));
  std::int64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

// Arguments as the wire wants them. Numbers go as text, which fits whatever type the server takes
// them for; the text of prepared statements goes without a copy.
struct PostgresConnection::Encoded {
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  std::vector<Oid> types;
  std::deque<std::string> own;

  void add(const char* value, std::size_t length, bool is_binary, Oid type) {
    values.push_back(value);
    lengths.push_back(static_cast<int>(length));
    formats.push_back(is_binary ? 1 : 0);
    types.push_back(type);
  }
  void add_own(std::string text, Oid type) {
    own.push_back(std::move(text));
    add(own.back().c_str(), own.back().size(), false, type);
  }

  Result<void> add(const Arg& arg, bool is_text) {
    const auto& data = arg.data();
    if (std::holds_alternative<std::nullptr_t>(data)) {
      add(nullptr, 0, false, 0);
    } else if (const auto* number = std::get_if<std::int64_t>(&data)) {
      add_own(fmt::format_int(*number).str(), int8_type);
    } else if (const auto* real = std::get_if<double>(&data)) {
      add_own(fmt::format("{}", *real), float8_type);
    } else if (const auto* blob = std::get_if<Blob>(&data)) {
      add(blob->bytes.empty() ? "" : blob->bytes.data(), blob->bytes.size(), true, bytea_type);
    } else {
      const auto text = std::get<std::string_view>(data);
      if (text.find('\0') != std::string_view::npos) {
        return invalid_input("text", text, "text without a zero character: PostgreSQL keeps none");
      }
      if (is_text) {
        add_own(std::string(text), 0);  // the server finds out what it is compared to
      } else {
        add(text.empty() ? "" : text.data(), text.size(), true, text_type);
      }
    }
    return {};
  }
  int count() const { return static_cast<int>(values.size()); }
  std::size_t bytes() const {
    return std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
  }
};

PostgresConnection::~PostgresConnection() = default;

// ---- connecting

Result<std::unique_ptr<PostgresConnection>> PostgresConnection::connect(
    const Libpq& pq, const PostgresUrl& url, const Dialect& dialect, Duration patience,
    const WaitHandle& abandoned) {
  // What stands before the URL it may change: a peer that vanished is noticed within a minute.
  const std::array<const char*, 8> keys = {
      "keepalives_idle", "keepalives_interval",       "keepalives_count", "tcp_user_timeout",
      "dbname",          "fallback_application_name", "client_encoding",  nullptr};
  const std::array<const char*, 8> values = {"20",   "10",   "3",    "60000", url.text.c_str(),
                                             "clew", "UTF8", nullptr};
  PGconn* raw = pq.PQconnectStartParams(keys.data(), values.data(), 1);
  if (raw == nullptr) return Error(Code::resource_exhausted, "no memory for a connection");
  std::unique_ptr<PostgresConnection> made(new PostgresConnection(pq, dialect, raw));
  CLEW_TRY(made->await_connected(url, patience, abandoned));
  pq.PQsetNoticeProcessor(raw, drop_notice, nullptr);
  if (pq.PQsetnonblocking(raw, 1) != 0 || pq.PQenterPipelineMode(raw) != 1) {
    return connection_lost("connect", pq.PQerrorMessage(raw)).with("url", url.shown);
  }
  return made;
}

Result<void> PostgresConnection::await_connected(const PostgresUrl& url, Duration patience,
                                                 const WaitHandle& abandoned) {
  const auto clock = make_real_clock();
  const auto until = clock->now() + patience;
  auto state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED) {
    const auto left = until - clock->now();
    if (pq_.PQstatus(conn_.get()) == CONNECTION_BAD) break;
    if (left.count() <= 0) {
      return error(Code::unavailable, "{} does not answer", url.shown)
          .with("url", url.shown)
          .with_retryable(true);
    }
    const auto ready =
        abandoned.wait(pq_.PQsocket(conn_.get()), state == PGRES_POLLING_WRITING, left);
    if (ready == WaitHandle::Ready::raised) {
      return Error(Code::unavailable, "connecting was given up: the database is being closed");
    }
    if (ready != WaitHandle::Ready::nothing) state = pq_.PQconnectPoll(conn_.get());
  }
  if (state == PGRES_POLLING_OK) return {};
  // Only what the server itself says tells that trying again is of no use; it comes as text alone.
  const std::string_view why(pq_.PQerrorMessage(conn_.get()));
  const bool is_refusal = why.find("FATAL:") != std::string_view::npos &&
                          why.find("starting up") == std::string_view::npos &&
                          why.find("shutting down") == std::string_view::npos &&
                          why.find("recovery") == std::string_view::npos &&
                          why.find("too many") == std::string_view::npos &&
                          why.find("remaining connection slots") == std::string_view::npos;
  return postgres_error("08001", fmt::format("connect to {}", url.shown), why)
      .with("url", url.shown)
      .with_retryable(!is_refusal);
}

std::string PostgresConnection::parameter(const char* name) const {
  const char* value = pq_.PQparameterStatus(conn_.get(), name);
  return value != nullptr ? value : "";
}

// ---- sending

void PostgresConnection::sent(bool is_sent, Expected expected) {
  if (is_sent) {
    if (expected.answered) ++awaiting_;
    expected_.push_back(std::move(expected));
  } else {
    note_loss("send");
  }
}

Result<void> PostgresConnection::prepare(const Statement& statement, const Encoded& encoded) {
  const auto index = static_cast<std::size_t>(statement.index());
  if (index >= prepared_.size()) prepared_.resize(index + 1, Known::no);
  if (prepared_[index] != Known::no) return {};
  auto rendered = render(statement.sql(), dialect_);
  if (!rendered) return Error(Code::internal, rendered.error().message());
  const auto name = fmt::format("s{}", index);
  sent(pq_.PQsendPrepare(conn_.get(), name.c_str(), rendered->text.c_str(), encoded.count(),
                         encoded.types.data()) == 1,
       {Expected::Kind::prepare, index, statement.sql()});
  prepared_[index] = Known::sent;
  return {};
}

Result<void> PostgresConnection::post(const Statement& statement, std::span<const Arg> args,
                                      Answered answered) {
  Encoded encoded;
  for (const auto& arg : args) CLEW_TRY(encoded.add(arg, false));
  CLEW_TRY(prepare(statement, encoded));
  if (is_dead_) return {};  // finish() will say so
  posted_bytes_ += encoded.bytes();
  const auto name = fmt::format("s{}", statement.index());
  sent(pq_.PQsendQueryPrepared(conn_.get(), name.c_str(), encoded.count(), encoded.values.data(),
                               encoded.lengths.data(), encoded.formats.data(), 1) == 1,
       {Expected::Kind::statement, 0, statement.sql(), std::move(answered)});
  return {};
}

Result<void> PostgresConnection::post_text(const std::string& sql, std::span<const Arg> args) {
  Encoded encoded;
  for (const auto& arg : args) CLEW_TRY(encoded.add(arg, true));
  if (is_dead_) return {};
  sent(pq_.PQsendQueryParams(conn_.get(), sql.c_str(), encoded.count(), encoded.types.data(),
                             encoded.values.data(), encoded.lengths.data(), encoded.formats.data(),
                             0) == 1,
       {Expected::Kind::statement});
  return {};
}

void PostgresConnection::send_off() {
  if (is_dead_) return;
  sent(pq_.PQpipelineSync(conn_.get()) == 1, {Expected::Kind::sync});
  bool is_all_sent = false;
  (void)flush_some(is_all_sent);
}

bool PostgresConnection::flush_some(bool& is_all_sent) {
  const int left = pq_.PQflush(conn_.get());
  is_all_sent = left == 0;
  return left >= 0;
}

// ---- receiving

void PostgresConnection::note_loss(std::string_view doing) {
  is_dead_ = true;
  failure_ =
      PostgresFailure{connection_lost(doing, pq_.PQerrorMessage(conn_.get())), Reach::chance};
}

void PostgresConnection::note_failure(std::string_view doing, const Expected& front,
                                      const PGresult* result, const Heed& heed) {
  if (failure_) return;
  const auto field = [&](int code) -> std::string_view {
    const char* text = pq_.PQresultErrorField(result, code);
    return text != nullptr ? text : "";
  };
  const auto sqlstate = field(PG_DIAG_SQLSTATE);
  const auto severity = field(PG_DIAG_SEVERITY_NONLOCALIZED);
  if (sqlstate.empty()) return note_loss(doing);
  if (severity == "FATAL" || severity == "PANIC") is_dead_ = true;
  auto why = postgres_error(sqlstate, doing, field(PG_DIAG_MESSAGE_PRIMARY));
  if (const auto detail = field(PG_DIAG_MESSAGE_DETAIL); !detail.empty()) {
    why = why.with("detail", detail);
  }
  if (!front.sql.empty()) why = why.with("sql", front.sql);
  if (heed.told && is_cancelled_) why = *heed.told;
  failure_ = PostgresFailure{std::move(why), is_dead_ ? Reach::chance : reach_of(sqlstate)};
}

void PostgresConnection::cancel_running() {
  is_cancelled_ = true;
  has_cancelled_ = true;
  auto* const handle = pq_.PQgetCancel(conn_.get());
  if (handle == nullptr) return;
  std::array<char, 256> why{};
  (void)pq_.PQcancel(handle, why.data(), static_cast<int>(why.size()));
  pq_.PQfreeCancel(handle);
}

void PostgresConnection::heed_now(Heed& heed) {
  if (heed.go_on == nullptr || heed.told) return;
  if (auto answer = (*heed.go_on)(); !answer) {
    heed.told = answer.error();
    cancel_running();
  }
}

// False when there is nothing more to hope for.
bool PostgresConnection::await_answer(Heed& heed, bool wants_to_write) {
  const bool is_bounded = heed.go_on != nullptr;
  for (int looks_after_cancel = 0; looks_after_cancel <= looks_after_cancel_max;) {
    const auto ready =
        wait_for(pq_.PQsocket(conn_.get()), wants_to_write, is_bounded ? look_every : Duration(-1));
    if (ready != WaitHandle::Ready::nothing) return true;
    heed_now(heed);
    if (is_cancelled_) ++looks_after_cancel;
  }
  return false;
}

// The next result of the statement that stands first in `expected_`; nullptr at its end.
Result<PGresult*> PostgresConnection::next_result(Heed& heed) {
  for (;;) {
    bool is_all_sent = false;
    if (!flush_some(is_all_sent)) break;
    if (is_all_sent && pq_.PQisBusy(conn_.get()) == 0) return pq_.PQgetResult(conn_.get());
    if (!await_answer(heed, !is_all_sent)) break;
    if (pq_.PQconsumeInput(conn_.get()) != 1 && pq_.PQisBusy(conn_.get()) != 0) break;
  }
  return connection_lost("wait", pq_.PQerrorMessage(conn_.get()));
}

// `result` is none of a statement that has failed or was passed over.
void PostgresConnection::settle(Expected& front, const std::optional<PostgresResult>& result) {
  if (front.kind == Expected::Kind::prepare) {
    prepared_[front.index] = result ? Known::yes : Known::no;
  }
  if (!front.answered) return;
  --awaiting_;
  if (!result || failure_) return;
  if (auto taken = front.answered(*result); !taken) {
    failure_ = PostgresFailure{taken.error(), Reach::statement};
  }
}

// Takes the answers to all that was sent. The result of the last statement, unless there is none or
// its rows were visited.
Result<std::optional<PostgresResult>> PostgresConnection::drain(std::string_view doing, Heed& heed,
                                                                VisitRow* visit) {
  std::optional<PostgresResult> last;
  std::optional<Error> refused;  // by the visitor
  while (!expected_.empty() && !is_dead_) {
    auto front = std::move(expected_.front());
    expected_.pop_front();
    const bool is_last = expected_.size() == 1;  // its synchronisation point follows
    if (visit != nullptr && is_last) (void)pq_.PQsetSingleRowMode(conn_.get());
    CLEW_CHECK(front.kind == Expected::Kind::sync || expected_.back().kind == Expected::Kind::sync);
    std::optional<PostgresResult> answer;
    for (;;) {
      auto next = next_result(heed);
      if (!next) {
        note_loss(doing);
        break;
      }
      if (*next == nullptr) break;
      PostgresResult result(pq_, *next);
      const auto status = pq_.PQresultStatus(*next);
      if (status == PGRES_PIPELINE_SYNC) break;
      if (status == PGRES_SINGLE_TUPLE) {
        if (!refused && visit != nullptr) {
          if (auto visited = (*visit)(result.row(0)); !visited) {
            refused = visited.error();
            cancel_running();  // the rows that nobody wants
          }
        }
      } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
                 status == PGRES_EMPTY_QUERY) {
        answer = std::move(result);
      } else if (status != PGRES_PIPELINE_ABORTED) {
        note_failure(doing, front, *next, heed);
        if (is_dead_) break;
      }
    }
    settle(front, answer);
    if (answer && front.kind == Expected::Kind::statement) last = std::move(answer);
  }
  if (is_dead_) {
    expected_.clear();
    awaiting_ = 0;
  }
  if (refused) return *refused;
  if (failure_) return failure_->error;
  return last;
}

Result<PostgresResult> PostgresConnection::finish(std::string_view doing, Heed& heed) {
  failure_.reset();
  is_cancelled_ = false;
  posted_bytes_ = 0;
  if (!is_dead_) send_off();
  if (is_dead_) {
    if (!failure_) note_loss(doing);
    return failure_->error;
  }
  CLEW_TRY(auto last, drain(doing, heed, nullptr));
  CLEW_CHECK(last.has_value());
  return *std::move(last);
}

Result<void> PostgresConnection::finish_rows(std::string_view doing, Heed& heed, VisitRow& visit) {
  failure_.reset();
  is_cancelled_ = false;
  posted_bytes_ = 0;
  if (!is_dead_) send_off();
  if (is_dead_) {
    if (!failure_) note_loss(doing);
    return failure_->error;
  }
  CLEW_TRY(drain(doing, heed, &visit));
  return {};
}

// ---- notifications

int PostgresConnection::take_notifications(std::string_view own) {
  int foreign = 0;
  if (pq_.PQconsumeInput(conn_.get()) != 1) is_dead_ = true;
  while (auto* const notify = pq_.PQnotifies(conn_.get())) {
    if (notify->extra == nullptr || own != notify->extra) ++foreign;
    pq_.PQfreemem(notify);
  }
  return foreign;
}

bool PostgresConnection::await_input(Duration at_most, const WaitHandle& abandoned) {
  if (is_dead_) return true;
  return abandoned.wait(pq_.PQsocket(conn_.get()), false, at_most) == WaitHandle::Ready::input;
}

}  // namespace clew::store::detail
