// runtime/offline.hpp: looking into a store, and moving one, without a runtime: nothing is adopted,
// nothing runs.
#pragma once

#include <string>
#include <vector>

#include "clew/runtime/verify.hpp"
#include "clew/store/transfer.hpp"

namespace clew {

// Asked at least every 50 ms while something takes long; its error ends it. Empty: nothing.
using Heed = store::GoOn;

// Checks a store that others may be using. Changes nothing. Errors as store::Database::open with
// `read_only`: an older schema is `unsupported`.
Result<std::vector<Violation>> verify_store(const std::string& url, Heed heed);

// Runs one reading statement; see Runtime::sql.
Result<std::vector<Value>> query_store(const std::string& url, const std::string& query,
                                       const std::vector<Value>& parameters, Heed heed);

struct Export {
  store::DatabaseDigest content;  // of both stores, before attachments were moved
  std::int64_t attachments = 0;   // that were in files
  std::int64_t attachment_bytes = 0;
  bool is_in_database = false;  // where they are now
};

// Copies a store into an empty one, of whatever kind either is; what stands in it is then compared,
// by counts and hashes, with what was read. Blocks. A store of an older schema is migrated first;
// else the source is only read, on one snapshot. The destination gets everything in one
// transaction: whatever happens before its end, it is as empty as it was. Errors: `conflict` when
// some process has the source open (a process that ended counts not), or when the destination is
// not empty; `invalid_input` for a store in memory; `unsupported` naming table, key and column of
// text that the destination cannot keep; `corrupt` when the copy is not what was read; those of
// opening, reading and writing.
Result<Export> export_store(const std::string& from, const std::string& to, Heed heed);

}  // namespace clew
