#include "clew/runtime/inspect.hpp"

#include <algorithm>
#include <cmath>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

namespace clew {
namespace {

constexpr std::size_t rows_max = 100'000;

// Text that is no UTF-8 cannot have been written by us.
Result<Value> to_value(const store::Cell& cell, std::string_view column) {
  struct Convert {
    std::string_view column;
    Result<Value> operator()(std::nullptr_t) const { return Value(); }
    Result<Value> operator()(std::int64_t number) const { return Value(number); }
    Result<Value> operator()(double number) const {
      if (std::isfinite(number)) return Value(number);
      return error(Code::invalid_input, "column {} is infinite, which no JSON number is", column)
          .with("column", column);
    }
    Result<Value> operator()(const std::string& text) const {
      if (is_utf8(text)) return Value(text);
      return error(Code::corrupt, "column {} holds text that is no UTF-8", column)
          .with("column", column);
    }
    Result<Value> operator()(const std::vector<std::uint8_t>& bytes) const {
      return Value(to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    }
  };
  return std::visit(Convert{column}, cell);
}

Result<store::Arg> to_arg(const Value& value, std::size_t index) {
  switch (value.kind()) {
    case Value::Kind::null:
      return store::Arg(nullptr);
    case Value::Kind::boolean:
      return store::Arg(value.as_bool());
    case Value::Kind::integer:
      return store::Arg(value.as_int());
    case Value::Kind::real:
      return store::Arg(value.as_real());
    case Value::Kind::string:
      return store::Arg(value.as_string());
    case Value::Kind::array:
    case Value::Kind::object:
      break;
  }
  return invalid_input(fmt::format("params[{}]", index), value, "a scalar");
}

}  // namespace

Result<std::vector<Value>> read_sql(store::Database& database, const std::string& query,
                                    const std::vector<Value>& parameters, store::GoOn go_on) {
  std::vector<store::Arg> args;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CLEW_TRY(auto arg, to_arg(parameters[i], i));
    args.push_back(arg);
  }
  std::vector<Value> rows;
  const auto wrong_query = [&](const Error& why) {
    const bool is_count = why.find("wanted") != nullptr;
    auto blamed = Error(Code::invalid_input, why.message());
    for (const auto& [key, value] : why.context()) blamed = blamed.with(key, value);
    if (is_count) {
      return blamed.with("path", "params")
          .with("value", static_cast<std::int64_t>(args.size()))
          .with("expected", fmt::format("{} parameters", why.find("wanted")->as_int()));
    }
    return blamed.with("path", "query")
        .with("value", query)
        .with("expected", "one statement that reads");
  };
  store::VisitRow visit = [&](const store::Row& row) -> Result<void> {
    if (rows.size() == rows_max) {
      return error(Code::resource_exhausted, "a query gives more than {} rows: add a LIMIT",
                   rows_max);
    }
    std::vector<Member> members;
    for (int column = 0; column < row.columns(); ++column) {
      std::string key(row.name(column));
      const auto taken = [&](const std::string& name) {
        return std::ranges::any_of(members, [&](const Member& each) { return each.key == name; });
      };
      for (int copy = 2; taken(key); ++copy) key = fmt::format("{}_{}", row.name(column), copy);
      CLEW_TRY(auto value, to_value(row.cell(column), key));
      members.push_back({std::move(key), std::move(value)});
    }
    rows.push_back(Value::object(std::move(members)));
    return {};
  };
  const auto done = database.read(
      [&](store::Transaction& tx) -> Result<void> {
        rows.clear();
        return tx.each_text(query, args, visit);
      },
      std::move(go_on));
  if (done) return rows;
  const auto code = done.error().code();
  // A reader answers `unsupported` to what would write or reach out of the database.
  if (code == Code::invalid_input || code == Code::unsupported) return wrong_query(done.error());
  return done.error();
}

store::GoOn patience_for(std::optional<Duration> timeout, Function<Result<void>()> is_open,
                         Function<Result<void>()> heed) {
  struct Patience {
    std::unique_ptr<Clock> clock;
    Timestamp until;
    std::optional<Duration> timeout;
    Function<Result<void>()> is_open;
    Function<Result<void>()> heed;

    Result<void> operator()() {
      CLEW_TRY(is_open());
      if (timeout && clock->now() >= until) {
        return error(Code::timeout, "the query was not done within {}", to_string(*timeout))
            .with("timeout", to_string(*timeout))
            .with_retryable(true);
      }
      return heed ? heed() : Result<void>();
    }
  };
  auto clock = make_real_clock();  // the patience of people, in virtual time too
  const auto until = timeout ? clock->now() + *timeout : Timestamp::never();
  return Patience{std::move(clock), until, timeout, std::move(is_open), std::move(heed)};
}

Value stats_of(const store::Database& database, const ThreadPool& pool,
               const Dispatcher& dispatcher, const TraceStore& traces, workflow::Engine& engine,
               const Broker& broker, Value wasm) {
  const auto calls = dispatcher.stats();
  const auto slots = pool.stats();
  const auto trace = traces.stats();
  const auto events = broker.stats();
  std::vector<Member> stored;
  for (const auto& [key, count] : database.stats().to_map()) stored.push_back({key, Value(count)});
  using Entry = std::pair<std::string_view, Value>;
  return Value::object({
      Entry{"calls",
            Value::object({Entry{"total", calls.calls}, Entry{"success", calls.success},
                           Entry{"failure", calls.failure}, Entry{"timeout", calls.timeout},
                           Entry{"cancelled", calls.cancelled}, Entry{"rejected", calls.rejected},
                           Entry{"in_flight", calls.in_flight},
                           Entry{"inline", calls.inline_calls}})},
      Entry{"pool",
            Value::object({Entry{"capacity", slots.capacity}, Entry{"running", slots.running},
                           Entry{"running_max", slots.running_max}, Entry{"queued", slots.queued},
                           Entry{"threads", slots.threads}, Entry{"submitted", slots.submitted},
                           Entry{"completed", slots.completed}, Entry{"dropped", slots.dropped},
                           Entry{"rejected", slots.rejected}, Entry{"failures", slots.failures},
                           Entry{"inline", slots.inline_runs}})},
      Entry{"traces", Value::object({Entry{"recorded", trace.recorded},
                                     Entry{"dropped", trace.dropped_by_retention},
                                     Entry{"pending", trace.pending}, Entry{"lost", trace.lost}})},
      Entry{"events",
            Value::object(
                {Entry{"published", events.published}, Entry{"duplicates", events.duplicates},
                 Entry{"delivered", events.delivered}, Entry{"redelivered", events.redelivered},
                 Entry{"dropped", events.dropped}, Entry{"warnings", events.warnings},
                 Entry{"withdrawn", events.withdrawn}, Entry{"subscriptions", events.subscriptions},
                 Entry{"last_cursor", events.last}})},
      Entry{"store", Value::object(std::move(stored))},
      Entry{"runs", engine.stats()},
      Entry{"wasm", std::move(wasm)},
  });
}

}  // namespace clew
