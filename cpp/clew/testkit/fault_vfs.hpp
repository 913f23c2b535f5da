// testkit/fault_vfs.hpp: a disk that fails, lies and loses power, under SQLite.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "clew/base/result.hpp"

namespace clew::testkit {

// What goes wrong at one call for a database, its log or its journal.
enum class DiskFault : std::uint8_t {
  read_error,   // a read fails
  short_read,   // a read ends half-way, as at the end of a file; the rest is zeros
  bit_flip,     // one bit of what is read is another; the file itself stays sound
  write_error,  // a write fails, and nothing of it reaches the file
  full,         // the same for want of room
  short_write,  // half of a write reaches the file, then there is no more room
  torn_write,   // half of a write reaches the file, then it fails
  lying_write,  // half of a write reaches the disk, the caller is told all is well, power goes
  sync_error,   // a sync fails; what it should have made durable is read back but never will be
  read_only,    // a file is opened for reading though it was to be written
  power_cut,    // power goes before a write, or a sync
};
constexpr int disk_faults = 11;
std::string_view name(DiskFault fault);

// What stands in for the unsynced part of each file once the power is back.
enum class Tail : std::uint8_t {
  lost,   // nothing of it
  mixed,  // a random part of its pieces of 4096 bytes
};

struct DiskPlan {
  DiskFault fault = DiskFault::read_error;
  int at = 1;                // which of the calls that the fault can meet, from when it is armed
  bool is_for_ever = false;  // that one and all later ones, until disarmed
  Tail tail = Tail::lost;    // of a power cut
  std::uint64_t seed = 1;    // which bit, which pieces
};

// A disk for the files below one folder. From its construction on, connections of this process to
// SQLite files there go through it, and all others past it: it is part of SQLite's default file
// system (named "clew-faults", which stays registered). Reads and writes reach the real files at
// once, as they reach the system's page cache; the disk remembers what the files held when they
// were last synced, and a power cut brings that back. Making, deleting and locking files is
// durable at once. Thread-safe; the calls for one disk take turns. Two disks must not share a
// folder. Other processes, and what does not come through SQLite, see the real files.
class FaultDisk {
 public:
  // `folder` exists.
  explicit FaultDisk(const std::string& folder);
  // Lets go: connections opened later see the plain files. CLEW_CHECK: all of its own are closed.
  ~FaultDisk();
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // The plan replaces the last one; calls are counted from here.
  void arm(const DiskPlan& plan);
  void disarm();
  // The calls since then that `fault` could have met: reads for those of reading, and so on.
  int calls(DiskFault fault) const;
  // Whether the plan has struck.
  bool has_struck() const;

  // Power goes: of each file the last synced state is left, and `tail` of what was written since.
  // Every call by a connection that is open now fails from here on; new ones find what is left.
  void cut(Tail tail = Tail::lost, std::uint64_t seed = 1);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
  friend struct FaultVfs;
};

}  // namespace clew::testkit
