#include "clew/testkit/conformance/check.hpp"

#include <algorithm>

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

std::string dump(store::Database& database, const std::vector<std::string>& tables) {
  std::vector<std::string> lines;
  must(database.read([&](store::Transaction& tx) -> Result<void> {
    lines.clear();
    for (const auto& table : tables) {
      store::VisitRow take = [&](const store::Row& row) -> Result<void> {
        lines.push_back(table + line_of(row));
        return {};
      };
      CLEW_TRY(tx.each_text("SELECT * FROM " + table, {}, take));
    }
    return {};
  }),
       "dump the tables");
  std::ranges::sort(lines);
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
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
