// store/detail/sqlite_file.hpp: what a SQLite file says of itself, read without a transaction, so
// that a file that is not ours stays untouched to the byte and gets no companions.
#pragma once

#include <cstdint>
#include <string>

#include "clew/base/result.hpp"

namespace clew::store::detail {

constexpr std::uint32_t clew_application_id = 0x434C4557;  // "CLEW"

struct SqliteFile {
  std::int64_t size = 0;  // 0 also when there is none
  bool has_log = false;   // changes may stand in the log that the file does not show yet
};

// Looks at the file's header and length. Errors as Database::open: `unavailable` for what cannot be
// read, `corrupt` for what is no database or was cut short, `unsupported` for another program's
// database or a schema newer than `newest_version`.
Result<SqliteFile> examine_file(const std::string& path, int newest_version);

// The refusals, also for facts that were learnt through a connection.
Error foreign_database(const std::string& path, std::uint32_t application_id);
Error newer_schema(const std::string& path, std::int64_t found, int known);

// Makes the name of a new file durable.
Result<void> sync_folder_of(const std::string& path);

}  // namespace clew::store::detail
