#include "clew/store/detail/postgres_text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <span>

namespace clew::store::detail {
namespace {

bool is_word_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::size_t after(std::string_view sql, std::string_view end, std::size_t from) {
  const auto found = sql.find(end, from);
  return found == std::string_view::npos ? sql.size() : found + end.size();
}

// Comments nest in PostgreSQL.
std::size_t after_comment(std::string_view sql, std::size_t at) {
  int depth = 0;
  while (at < sql.size()) {
    if (sql.substr(at, 2) == "/*") {
      ++depth;
      at += 2;
    } else if (sql.substr(at, 2) == "*/") {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return at;
}

// The end of the tag that starts at `at`, such as "$$" or "$body$"; `at` when none does.
std::size_t end_of_tag(std::string_view sql, std::size_t at) {
  auto end = at + 1;
  while (end < sql.size() && is_word_part(sql[end])) ++end;
  const bool is_number = end > at + 1 && std::isdigit(static_cast<unsigned char>(sql[at + 1])) != 0;
  return end < sql.size() && sql[end] == '$' && !is_number ? end + 1 : at;
}

// The end of whatever at `at` is no SQL to look into, or `at`.
std::size_t skip_opaque(std::string_view sql, std::size_t at) {
  switch (sql[at]) {
    case '\'':
      return after(sql, "'", at + 1);
    case '"':
      return after(sql, "\"", at + 1);
    case '-':
      return sql.substr(at, 2) == "--" ? after(sql, "\n", at + 2) : at;
    case '/':
      return sql.substr(at, 2) == "/*" ? after_comment(sql, at) : at;
    case '$': {
      const auto end = end_of_tag(sql, at);
      return end == at ? at : after(sql, sql.substr(at, end - at), end);
    }
    default:
      return at;
  }
}

std::string upper(std::string_view word) {
  std::string made(word);
  std::ranges::transform(made, made.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return made;
}

// The first words, in capitals; comments and brackets before them do not count.
std::vector<std::string> first_words(std::string_view sql, std::size_t count) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < sql.size() && words.size() < count) {
    const bool is_comment = sql[at] == '-' || sql[at] == '/';
    const auto end = is_comment ? skip_opaque(sql, at) : at;
    if (end > at) {
      at = end;
    } else if (is_word_part(sql[at])) {
      auto word_end = at;
      while (word_end < sql.size() && is_word_part(sql[word_end])) ++word_end;
      words.push_back(upper(sql.substr(at, word_end - at)));
      at = word_end;
    } else if (std::isspace(static_cast<unsigned char>(sql[at])) != 0 || sql[at] == '(') {
      ++at;
    } else {
      break;
    }
  }
  return words;
}

constexpr std::string_view queries[] = {"SELECT", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW"};
constexpr std::string_view refused[] = {
    "ABORT",   "BEGIN",      "CALL",      "CHECKPOINT", "CLOSE",  "CLUSTER", "COMMIT",   "COPY",
    "DECLARE", "DEALLOCATE", "DISCARD",   "DO",         "END",    "EXECUTE", "FETCH",    "IMPORT",
    "LISTEN",  "LOAD",       "LOCK",      "MOVE",       "NOTIFY", "PREPARE", "REASSIGN", "RELEASE",
    "RESET",   "ROLLBACK",   "SAVEPOINT", "SECURITY",   "SET",    "START",   "UNLISTEN", "VACUUM"};

// What a reader is told that it cannot do, rather than that it is no query.
constexpr std::string_view changes[] = {"ALTER",   "ANALYZE", "COMMENT",  "CREATE", "DELETE",
                                        "DROP",    "GRANT",   "INSERT",   "MERGE",  "REFRESH",
                                        "REINDEX", "REVOKE",  "TRUNCATE", "UPDATE"};

bool is_among(std::span<const std::string_view> words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

std::vector<std::string> split_statements(std::string_view sql) {
  std::vector<std::string> statements;
  const auto keep = [&](std::string_view statement) {
    if (!first_words(statement, 1).empty()) statements.emplace_back(statement);
  };
  std::size_t begin = 0;
  std::size_t at = 0;
  while (at < sql.size()) {
    if (const auto end = skip_opaque(sql, at); end > at) {
      at = end;
    } else if (sql[at] == ';') {
      keep(sql.substr(begin, at - begin));
      begin = ++at;
    } else {
      ++at;
    }
  }
  keep(sql.substr(begin));
  return statements;
}

Result<void> check_foreign(std::string_view statement, bool is_reading) {
  const auto words = first_words(statement, 1);
  const std::string_view word = words.empty() ? std::string_view() : words.front();
  const bool is_refused = is_among(refused, word);
  if (is_reading ? is_among(queries, word) : !is_refused) return {};
  const bool is_known = is_refused || is_among(changes, word);
  return error(is_known ? Code::unsupported : Code::invalid_input, "{} is refused here{}",
               word.empty() ? "this" : word, is_reading ? ": a reader only reads" : "")
      .with("sql", statement);
}

std::size_t number_placeholders(std::string& sql, bool has_arguments) {
  const std::string_view text(sql);
  std::string out;
  std::size_t wanted = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto begin = at;
    at = skip_opaque(text, at);
    if (at == begin && text[at] == '?' && has_arguments) {
      out += fmt::format("${}", ++wanted);
      ++at;
      continue;
    }
    if (at == begin && text[at] == '$') {
      std::size_t number = 0;
      const auto* const end = text.data() + text.size();
      if (std::from_chars(text.data() + at + 1, end, number).ec == std::errc()) {
        wanted = std::max(wanted, number);
      }
    }
    if (at == begin) ++at;
    out += text.substr(begin, at - begin);
  }
  sql = std::move(out);
  return wanted;
}

std::string with_byte_order(std::string statement) {
  const auto words = first_words(statement, 2);
  const bool is_table =
      words.size() == 2 && (words[0] == "CREATE" || words[0] == "ALTER") && words[1] == "TABLE";
  if (!is_table) return statement;
  constexpr std::string_view text = "TEXT";
  const std::string_view sql(statement);
  std::string out;
  std::size_t at = 0;
  while (at < sql.size()) {
    auto end = skip_opaque(sql, at);
    if (end == at && is_word_part(sql[at])) {
      while (end < sql.size() && is_word_part(sql[end])) ++end;
    }
    if (end == at) ++end;
    const auto piece = sql.substr(at, end - at);
    out += piece;
    if (piece == text) out += " COLLATE \"C\"";
    at = end;
  }
  return out;
}

}  // namespace clew::store::detail
