// store/detail/sqlite_errors.hpp: SQLite's result codes as errors of ours.
#pragma once

#include <sqlite3.h>

#include <string_view>

#include "clew/base/result.hpp"

namespace clew::store::detail {

// The error for `code` (extended or not; no SQLITE_OK, SQLITE_ROW or SQLITE_DONE). `doing` and
// `detail` become the message; the code's name goes into the context as "sqlite".
Error sqlite_error(int code, std::string_view doing, std::string_view detail);

// True for failures after which an open transaction cannot go on, whatever SQLite itself did.
bool ends_transaction(int code);

// True when a COMMIT or sync that failed so leaves open what is on the disk. The others are
// refusals before anything was written.
bool leaves_disk_unknown(int code);

}  // namespace clew::store::detail
