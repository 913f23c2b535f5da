// store/detail/postgres_url.hpp: the address of a PostgreSQL database.
#pragma once

#include <string>

#include "clew/store/detail/postgres_library.hpp"

namespace clew::store::detail {

struct PostgresUrl {
  std::string text;   // as libpq takes it; may hold a password, so it is never shown
  std::string shown;  // "postgresql://user@host:port/database"
};

// Error: `invalid_input` for text that libpq cannot read; it shows no part of it but the scheme.
Result<PostgresUrl> parse_postgres_url(const Libpq& pq, const std::string& url);

}  // namespace clew::store::detail
