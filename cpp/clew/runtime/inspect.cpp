#include "clew/runtime/inspect.hpp"

#include <algorithm>

#include "clew/base/json.hpp"

namespace clew {
namespace {

constexpr std::size_t rows_max = 100'000;

Value to_value(const store::Cell& cell) {
  struct Convert {
    Value operator()(std::nullptr_t) const { return Value(); }
    Value operator()(std::int64_t number) const { return Value(number); }
    Value operator()(double number) const { return Value(number); }
    Value operator()(const std::string& text) const { return Value(text); }
    Value operator()(const std::vector<std::uint8_t>& bytes) const {
      return Value(to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
    }
  };
  return std::visit(Convert{}, cell);
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
                                    const std::vector<Value>& parameters) {
  std::vector<store::Arg> args;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    CLEW_TRY(auto arg, to_arg(parameters[i], i));
    args.push_back(arg);
  }
  std::vector<Value> rows;
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
      auto cell = row.cell(column);
      if (std::holds_alternative<std::string>(cell)) CLEW_TRY(row.text(column));  // UTF-8
      members.push_back({std::move(key), to_value(cell)});
    }
    rows.push_back(Value::object(std::move(members)));
    return {};
  };
  const auto done = database.read([&](store::Transaction& tx) -> Result<void> {
    rows.clear();
    return tx.each_text(query, args, visit);
  });
  if (done) return rows;
  if (done.error().code() != Code::invalid_input) return done.error();
  return done.error()
      .with("path", "query")
      .with("value", query)
      .with("expected", "one statement that reads");
}

Value stats_of(const store::Database& database, const ThreadPool& pool,
               const Dispatcher& dispatcher, const TraceStore& traces, workflow::Engine& engine) {
  const auto calls = dispatcher.stats();
  const auto slots = pool.stats();
  const auto trace = traces.stats();
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
                                     Entry{"pending", trace.pending}})},
      Entry{"store", Value::object(std::move(stored))},
      Entry{"runs", engine.stats()},
  });
}

}  // namespace clew
