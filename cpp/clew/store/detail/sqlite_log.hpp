// store/detail/sqlite_log.hpp: what SQLite itself does not do for its write-ahead log.
#pragma once

#include <sqlite3.h>

namespace clew::store::detail {

// Makes the log durable as far as it is written. A code of SQLite.
int sync_log(sqlite3* db);

// The same for a log that an earlier process may have failed to sync: what can be read of it is
// then not on the disk, and no later sync puts it there; so it is written again. Inside a write
// transaction that has changed nothing. A code of SQLite.
int rewrite_log(sqlite3* db);

// Keeps zeros in the file behind the end of the log. A commit that overwrites bytes of a file is
// synced in half the time that one takes which makes the file longer: the length, and where the new
// bytes lie, would have to be synced too. SQLite gets there by itself only once it begins the log
// anew; zeros are no frame to it, so a log ends there for whoever reads it. Confined to a session.
class LogFiller {
 public:
  // Inside a write transaction, before its commit. `pages` is the log's length after the last one,
  // as this session knows it.
  // Fills seldom, about twice as far each time, at most to `pages_max`. What the disk refuses is
  // taken back and not tried again before the log begins anew: the commit needs less.
  void fill(sqlite3* db, int pages, int pages_max);

 private:
  int filled_ = 0;  // pages of the log that the file has room for
  int pages_ = 0;
};

}  // namespace clew::store::detail
