// Files that are not ours alone.
#pragma once

#include "clew/testkit/conformance/storages.hpp"

namespace clew::conformance {

// Each storage is a file that a process made and used, until it was killed inside a commit.
Backend file_of_a_killed_process();

// Each storage is a file that a live process has open. It takes the file's lock over and over and
// reads, but leaves no trace.
Backend file_beside_another_process();

}  // namespace clew::conformance
