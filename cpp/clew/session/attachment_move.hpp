// session/attachment_move.hpp: the bytes of attachments when a whole store moves.
#pragma once

#include <string>

#include "clew/store/store.hpp"

namespace clew::session {

// Where a store has large attachments; empty: in its database.
struct AttachmentFolders {
  std::string from;
  std::string to;
};

struct MovedAttachments {
  std::int64_t count = 0;
  std::int64_t bytes = 0;
};

// Brings what the entries in `tx`, copied from another store, have in files along: into files of
// the same names, or, where the new store has no folder, into its database; the entries then say
// so. Holds one part of one file in memory. Blocks for the disk. Errors: `corrupt` naming an
// attachment whose file is missing or damaged; those of files and of the database. What was written
// into the folder by then stays; the same move again writes it again.
Result<MovedAttachments> move_attachments(store::Transaction& tx, const AttachmentFolders& folders,
                                          Timestamp now);

}  // namespace clew::session
