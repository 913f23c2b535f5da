#include "clew/store/dialect.hpp"

#include <algorithm>

namespace clew::store {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

// The end of the quoted text or comment that starts at `at`, or `at` when none starts there.
std::size_t skip_opaque(std::string_view sql, std::size_t at) {
  const auto after = [&](std::string_view end, std::size_t from) {
    const auto found = sql.find(end, from);
    return found == std::string_view::npos ? sql.size() : found + end.size();
  };
  // A doubled quote inside a literal ends one and at once starts the next: no special case.
  if (sql[at] == '\'') return after("'", at + 1);
  if (sql[at] == '"') return after("\"", at + 1);
  if (sql.substr(at, 2) == "--") return after("\n", at + 2);
  if (sql.substr(at, 2) == "/*") return after("*/", at + 2);
  return at;
}

std::size_t end_of_name(std::string_view sql, std::size_t at) {
  while (at < sql.size() && is_name_part(sql[at])) ++at;
  return at;
}

int number_of(std::vector<std::string>& parameters, std::string_view name) {
  const auto found = std::ranges::find(parameters, name);
  if (found != parameters.end()) return static_cast<int>(found - parameters.begin()) + 1;
  parameters.emplace_back(name);
  return static_cast<int>(parameters.size());
}

}  // namespace

Result<RenderedSql> render(std::string_view sql, const Dialect& dialect) {
  RenderedSql out;
  out.text.reserve(sql.size() + 16);
  std::size_t at = 0;
  while (at < sql.size()) {
    if (const auto end = skip_opaque(sql, at); end > at) {
      out.text += sql.substr(at, end - at);
      at = end;
    } else if (sql.substr(at, 2) == "::") {  // a cast, no parameter
      out.text += "::";
      at += 2;
    } else if (sql[at] == ':' && at + 1 < sql.size() && is_name_start(sql[at + 1])) {
      const auto name_end = end_of_name(sql, at + 1);
      out.text +=
          dialect.placeholder(number_of(out.parameters, sql.substr(at + 1, name_end - at - 1)));
      at = name_end;
    } else if (sql[at] == '{') {
      const auto name_end = end_of_name(sql, at + 1);
      const auto name = sql.substr(at + 1, name_end - at - 1);
      const auto word = dialect.hook(name);
      if (name_end >= sql.size() || sql[name_end] != '}' || !word) {
        return error(Code::invalid_input, "no hook {{{}}} at offset {} of the statement", name, at);
      }
      out.text += *word;
      at = name_end + 1;
    } else {
      out.text += sql[at++];
    }
  }
  return out;
}

}  // namespace clew::store
