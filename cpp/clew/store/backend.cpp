#include "clew/store/detail/postgres_backend.hpp"
#include "clew/store/detail/sqlite_backend.hpp"
#include "clew/store/session.hpp"

namespace clew::store {
namespace {

// "postgresql" of "postgresql://…"; empty for a path.
std::string_view scheme_of(std::string_view url) {
  const auto end = url.find("://");
  if (end == std::string_view::npos || end == 0) return "";
  const auto scheme = url.substr(0, end);
  const bool is_word = scheme.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789+-.") == std::string_view::npos;
  return is_word ? scheme : "";
}

}  // namespace

Result<std::unique_ptr<Backend>> make_backend(const DatabaseOptions& options,
                                              const std::vector<Migration>& migrations) {
  const std::string_view url(options.url);
  if (url.empty() || url.find('\0') != std::string_view::npos) {
    return invalid_input("url", options.url, "a path or \":memory:\"");
  }
  if (options.read_only && url == ":memory:") {
    return invalid_input("read_only", true, "false for a database in memory");
  }
  const auto scheme = scheme_of(url);
  if (scheme == "postgresql" || scheme == "postgres") {
    return detail::make_postgres_backend(options, migrations);
  }
  if (!scheme.empty()) {  // only the scheme is shown: the rest may hold a password
    return invalid_input("url", scheme, "a path, \":memory:\" or postgresql://…");
  }
  return detail::make_sqlite_backend(options, migrations);
}

}  // namespace clew::store
