#include "clew/testkit/conformance/check.hpp"

#include <algorithm>

#include "clew/base/env.hpp"
#include "clew/runtime/schema.hpp"

namespace clew::conformance {
namespace {

std::string line_of(const store::Row& row) {
  struct Show {
    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(std::int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return fmt::format("{}", number); }
    std::string operator()(const std::string& text) const { return to_json(Value(text)); }
    std::string operator()(const std::vector<std::uint8_t>& bytes) const {
      return "x" + to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
  };
  std::string line;
  for (int column = 0; column < row.columns(); ++column) {
    line += fmt::format(" {}={}", row.name(column), std::visit(Show{}, row.cell(column)));
  }
  return line;
}

}  // namespace

Result<std::string> dump(store::Transaction& tx, const std::vector<std::string>& tables) {
  std::vector<std::string> lines;
  for (const auto& table : tables) {
    store::VisitRow take = [&](const store::Row& row) -> Result<void> {
      lines.push_back(table + line_of(row));
      return {};
    };
    CLEW_TRY(tx.each_text("SELECT * FROM " + table, {}, take));
  }
  std::ranges::sort(lines);
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

std::string dump(store::Database& database, const std::vector<std::string>& tables) {
  return must(
      in_read<std::string>(database, [&](store::Transaction& tx) { return dump(tx, tables); }),
      "dump the tables");
}

const std::vector<std::string>& all_tables() {
  static const auto tables = [] {
    const auto env = make_real_env();
    const auto database =
        must(store::Database::open({.url = ":memory:"}, store_migrations(), *env), "open memory");
    std::vector<std::string> names;
    store::VisitRow take = [&](const store::Row& row) -> Result<void> {
      CLEW_TRY(const auto name, row.text(0));
      names.emplace_back(name);
      return {};
    };
    must(database->read([&](store::Transaction& tx) {
      return tx.each_text(
          "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' "
          "ORDER BY name",
          {}, take);
    }),
         "list the tables");
    return names;
  }();
  return tables;
}

const std::vector<std::string>& session_tables() {
  static const std::vector<std::string> tables{"artifacts",
                                               "attachment_files",
                                               "attachments",
                                               "blob_chunks",
                                               "blob_pins",
                                               "blob_stages",
                                               "blobs",
                                               "host_events",
                                               "queued_batches",
                                               "session_frames",
                                               "session_meta",
                                               "session_nodes",
                                               "session_turns",
                                               "session_usage",
                                               "sessions",
                                               "trigger_deliveries",
                                               "trigger_subscriptions",
                                               "work_lanes",
                                               "work_rows",
                                               "work_sources"};
  return tables;
}

}  // namespace clew::conformance
