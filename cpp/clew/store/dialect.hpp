// store/dialect.hpp: where databases differ. SQL is written once, with :names for parameters and
// {hooks} for the few words that are not the same everywhere; a dialect renders it when a session
// prepares it.
//
//   hook               SQLite                              meaning
//   {integer}          INTEGER                             64-bit signed
//   {real}             REAL                                64-bit floating point
//   {blob}             BLOB                                bytes
//   {identity}         INTEGER PRIMARY KEY                 numbers rows in order of insertion
//   {identity_forever} INTEGER PRIMARY KEY AUTOINCREMENT   the same; a number is never used again
//   {table}            STRICT                              ends CREATE TABLE (…)
//   {clustered}        STRICT, WITHOUT ROWID               the same; rows lie by primary key
//   {for_update}       (nothing: one writer)               ends a SELECT whose rows will change; in
//                                                          a reader it locks nothing
//   {skip_locked}      (nothing)                           the same, passing over locked rows
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/result.hpp"

namespace clew::store {

// What one database writes for hooks and parameters. A value; its functions are thread-safe.
struct Dialect {
  std::optional<std::string_view> (*hook)(std::string_view name);  // nothing: no such hook
  std::string (*placeholder)(int number);                          // from 1
};

struct RenderedSql {
  std::string text;
  std::vector<std::string> parameters;  // names in the order in which they first appear
};

// Fills hooks and numbers parameters. Leaves string literals, quoted names and comments alone.
// Error: `invalid_input` for an unknown hook or a brace that is not closed.
Result<RenderedSql> render(std::string_view sql, const Dialect& dialect);

}  // namespace clew::store
