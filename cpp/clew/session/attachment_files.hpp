// session/attachment_files.hpp: which files hold large attachments, as rows. A file is named by its
// content and a generation: one that is being removed is never written again, the next who stores
// the same content writes the next generation. So no removal takes what a later put has written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::session {

struct FileClaim {
  std::int64_t generation = 1;
  bool is_present = false;  // it is written already
};

// Says that a session which has an entry for it is about to write the content, so that nobody
// removes it: which generation to write. Needs that entry, in the same transaction.
Result<FileClaim> claim_file(store::Transaction& tx, std::string_view attachment_id, Timestamp now);
// The file of that generation is written. False when it is being removed, or is another by now.
Result<bool> file_written(store::Transaction& tx, std::string_view attachment_id,
                          std::int64_t generation, Timestamp now);
// The generation in which it can be read; 0: none.
Result<std::int64_t> present_generation(store::Transaction& tx, std::string_view attachment_id);

struct DoomedFile {
  std::string attachment_id;
  std::int64_t generation = 0;  // this and all before it
};
// Marks files that no session has an entry for and that were last claimed before `before`, to be
// removed; also those that were marked before.
Result<std::vector<DoomedFile>> doom_files(store::Transaction& tx, Timestamp before);
// They are removed.
Result<void> file_removed(store::Transaction& tx, const DoomedFile& file);

// "<ab>/<cdef…>", and ".<generation>" after the first.
std::string file_name(std::string_view attachment_id, std::int64_t generation);

}  // namespace clew::session
