// store/column.hpp: reading rows that may be damaged. What comes back from the disk is checked
// here, so that damage is `corrupt`, naming table, key and column, wherever a row is read.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "clew/store/sql.hpp"

namespace clew::store {

// `corrupt`: column so-and-so is not `expected`.
Error corrupt_column(const Row& row, int column, std::string_view expected);

// `why` as what is wrong with the row of that table and key: both join its context.
Error in_row(const Error& why, std::string_view table, std::string_view key);

// Told of each damaged row by a check that reads them all and stops at none.
using ReportRow = std::function<void(const Error&)>;

// The text of a column; empty when it is NULL.
Result<std::string> text_at(const Row& row, int column);
// Text that is there and is not empty.
Result<std::string> word_at(const Row& row, int column);
// An integer from `low` to `high`.
Result<std::int64_t> integer_at(const Row& row, int column, std::int64_t low,
                                std::int64_t high = INT64_MAX);
// An instant that a clock can have shown, from 1970 to 9999.
Result<Timestamp> instant_at(const Row& row, int column);
// The value of JSON text; null when the column is NULL.
Result<Value> json_at(const Row& row, int column);

// What Clew itself wrote as JSON: any size, nested to Value::depth_limit. `corrupt` when it is
// none.
Result<Value> parse_stored(std::string_view text);

// A column as a message shows it, whatever is in it: text that is none, and bytes, in hexadecimal.
std::string shown_at(const Row& row, int column);

}  // namespace clew::store
