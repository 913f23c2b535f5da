// store/detail/postgres_text.hpp: SQL that is text at run time, before PostgreSQL gets it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"

namespace clew::store::detail {

// The statements of a script, without those that are blank. Knows quotes, comments and $tags$.
std::vector<std::string> split_statements(std::string_view sql);

// Ok when foreign text may run in the transaction that it is given: it must neither end it nor
// change how the connection works; in a reader it must be a query. Error: `unsupported` naming the
// word that it begins with.
Result<void> check_foreign(std::string_view statement, bool is_reading);

// Gives each ? the number of its turn, as SQLite does, when there are arguments for them. How many
// arguments the statement takes by ? or $1.
std::size_t number_placeholders(std::string& sql, bool has_arguments);

// Text columns compare by their bytes, as on SQLite, whatever the database's own order is: gives
// each TEXT of a CREATE TABLE or ALTER TABLE its collation. Other statements stay as they are.
std::string with_byte_order(std::string statement);

}  // namespace clew::store::detail
