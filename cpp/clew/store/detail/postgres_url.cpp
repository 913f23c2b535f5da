#include "clew/store/detail/postgres_url.hpp"

#include <map>
#include <memory>

namespace clew::store::detail {

// libpq's own message would quote what it could not read, which may be a part of the password.
Result<PostgresUrl> parse_postgres_url(const Libpq& pq, const std::string& url) {
  char* why = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(pq.PQconninfoFree)> parsed(
      pq.PQconninfoParse(url.c_str(), &why), pq.PQconninfoFree);
  if (why != nullptr) pq.PQfreemem(why);
  if (!parsed) {
    return invalid_input("url", url.substr(0, url.find("://")) + "://…",
                         "a URL as libpq reads them: postgresql://user@host:port/database");
  }
  std::map<std::string_view, std::string_view> given;
  for (const auto* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) given[option->keyword] = option->val;
  }
  PostgresUrl made{url, "postgresql://"};
  if (given.contains("user")) made.shown += fmt::format("{}@", given["user"]);
  made.shown += given["host"];
  if (given.contains("port")) made.shown += fmt::format(":{}", given["port"]);
  made.shown += fmt::format("/{}", given["dbname"]);
  return made;
}

}  // namespace clew::store::detail
