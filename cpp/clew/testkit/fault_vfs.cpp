#include "clew/testkit/fault_vfs.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include "clew/base/check.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/sha256.hpp"

namespace clew::testkit {
namespace {

constexpr sqlite3_int64 piece_size = 4096;

// The calls that faults can meet.
enum class Call : std::uint8_t { read, write, sync, open };
constexpr int call_kinds = 4;

struct FaultRow {
  DiskFault fault;
  std::string_view name;
  Call call;
  int code;  // what SQLite is told
};
constexpr FaultRow fault_rows[] = {
    {DiskFault::read_error, "read_error", Call::read, SQLITE_IOERR_READ},
    {DiskFault::short_read, "short_read", Call::read, SQLITE_IOERR_SHORT_READ},
    {DiskFault::bit_flip, "bit_flip", Call::read, SQLITE_OK},
    {DiskFault::write_error, "write_error", Call::write, SQLITE_IOERR_WRITE},
    {DiskFault::full, "full", Call::write, SQLITE_FULL},
    {DiskFault::short_write, "short_write", Call::write, SQLITE_FULL},
    {DiskFault::torn_write, "torn_write", Call::write, SQLITE_IOERR_WRITE},
    {DiskFault::lying_write, "lying_write", Call::write, SQLITE_OK},
    {DiskFault::sync_error, "sync_error", Call::sync, SQLITE_IOERR_FSYNC},
    {DiskFault::read_only, "read_only", Call::open, SQLITE_OK},
    {DiskFault::power_cut, "power_cut", Call::write, SQLITE_IOERR},
};
static_assert(std::size(fault_rows) == disk_faults);

const FaultRow& row_of(DiskFault fault) { return fault_rows[static_cast<std::size_t>(fault)]; }

// What a piece of a file held when it was last durable.
struct Piece {
  std::vector<char> bytes;  // fewer than a piece at the file's end
  bool is_doomed = false;   // a sync has failed since it was written: only writing it again helps
};

struct FileState {
  sqlite3_int64 durable_size = 0;
  std::map<sqlite3_int64, Piece> unsynced;  // by number
};

void write_all(int fd, const char* bytes, std::size_t count, sqlite3_int64 at) {
  while (count > 0) {
    const auto done = ::pwrite(fd, bytes, count, at);
    CLEW_CHECK(done > 0);
    bytes += done;
    at += done;
    count -= static_cast<std::size_t>(done);
  }
}

// Whether that piece of that file outlives a power cut.
bool is_kept(Tail tail, const std::string& path, sqlite3_int64 number, std::uint64_t seed) {
  if (tail == Tail::lost) return false;
  const auto drawn = sha256(
      fmt::format("{} {} {}", seed, std::filesystem::path(path).filename().string(), number));
  return (static_cast<unsigned char>(drawn[0]) & 1U) != 0;
}

// Puts the file into the state that a power cut leaves.
void restore(const std::string& path, const FileState& state, Tail tail, std::uint64_t seed) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return;  // deleted
  const auto size_now = ::lseek(fd, 0, SEEK_END);
  auto size = state.durable_size;
  for (const auto& [number, piece] : state.unsynced) {
    const auto at = number * piece_size;
    if (!piece.is_doomed && is_kept(tail, path, number, seed)) {
      size = std::max(size, std::min<sqlite3_int64>(at + piece_size, size_now));
      continue;
    }
    std::vector<char> bytes(piece.bytes);
    bytes.resize(piece_size);
    write_all(fd, bytes.data(), bytes.size(), at);
  }
  CLEW_CHECK(::ftruncate(fd, size) == 0);
  ::close(fd);
}

}  // namespace

std::string_view name(DiskFault fault) { return row_of(fault).name; }

struct FaultDisk::Impl {
  explicit Impl(std::string below) : folder(std::move(below)) {}

  bool holds(std::string_view path) const { return path.starts_with(folder); }
  // Counts a call; what is wrong with it, or nullptr.
  const FaultRow* meet(Call call) CLEW_REQUIRES(mutex);
  void cut(Tail tail, std::uint64_t seed) CLEW_REQUIRES(mutex);

  const std::string folder;  // ends in a slash
  mutable Mutex mutex;
  std::map<std::string, FileState, std::less<>> files CLEW_GUARDED_BY(mutex);
  std::array<int, call_kinds> calls CLEW_GUARDED_BY(mutex){};
  DiskPlan plan CLEW_GUARDED_BY(mutex);
  bool is_armed CLEW_GUARDED_BY(mutex) = false;
  bool has_struck CLEW_GUARDED_BY(mutex) = false;
  int cuts CLEW_GUARDED_BY(mutex) = 0;
  int open_files CLEW_GUARDED_BY(mutex) = 0;
};

namespace {

int calls_of(const std::array<int, call_kinds>& calls, DiskFault fault) {
  const auto count = [&](Call call) { return calls[static_cast<std::size_t>(call)]; };
  if (fault == DiskFault::power_cut) return count(Call::write) + count(Call::sync);
  return count(row_of(fault).call);
}

}  // namespace

const FaultRow* FaultDisk::Impl::meet(Call call) {
  ++calls[static_cast<std::size_t>(call)];
  if (!is_armed) return nullptr;
  const auto& row = row_of(plan.fault);
  const bool is_met =
      call == row.call || (plan.fault == DiskFault::power_cut && call == Call::sync);
  if (!is_met) return nullptr;
  const int number = calls_of(calls, plan.fault);
  if (number != plan.at && (!plan.is_for_ever || number < plan.at)) return nullptr;
  has_struck = true;
  return &row;
}

void FaultDisk::Impl::cut(Tail tail, std::uint64_t seed) {
  for (const auto& [path, state] : files) restore(path, state, tail, seed);
  files.clear();
  ++cuts;
}

// The file system that SQLite sees.
struct FaultVfs {
  using Disk = FaultDisk::Impl;

  // A file of a disk; that of the real file system lies behind it.
  struct OpenFile {
    sqlite3_file base;
    sqlite3_file* real;
    Disk* disk;
    std::shared_ptr<Disk>* keep;
    std::string* path;
    int cuts;  // of the disk when it was opened
  };

  struct Registry {
    Mutex mutex;
    std::vector<std::shared_ptr<Disk>> disks CLEW_GUARDED_BY(mutex);
  };

  static Registry& registry() {
    static Registry all;
    return all;
  }
  static sqlite3_vfs* real() {
    static sqlite3_vfs* const system = sqlite3_vfs_find(nullptr);
    return system;
  }
  static std::size_t header_size() { return (sizeof(OpenFile) + 15U) / 16U * 16U; }

  static void install() {
    static sqlite3_vfs vfs = [] {
      sqlite3_vfs ours = *real();
      ours.zName = "clew-faults";
      ours.pNext = nullptr;
      ours.szOsFile = static_cast<int>(header_size()) + real()->szOsFile;
      ours.xOpen = &FaultVfs::open;
      ours.xDelete = &FaultVfs::remove;
      return ours;
    }();
    CLEW_CHECK(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
  }

  static std::shared_ptr<Disk> disk_of(const char* path) {
    if (path == nullptr) return nullptr;
    auto& all = registry();
    const Lock lock(all.mutex);
    for (const auto& disk : all.disks) {
      if (disk->holds(path)) return disk;
    }
    return nullptr;
  }

  static OpenFile& self(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }
  static bool is_dead(const OpenFile& file) CLEW_REQUIRES(file.disk->mutex) {
    return file.cuts != file.disk->cuts;
  }

  static int open(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    constexpr int kinds = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
    auto disk = (flags & kinds) != 0 ? disk_of(path) : nullptr;
    if (disk == nullptr) return real()->xOpen(real(), path, file, flags, out_flags);
    file->pMethods = nullptr;
    const Lock lock(disk->mutex);
    if ((flags & SQLITE_OPEN_READWRITE) != 0 && disk->meet(Call::open) != nullptr) {
      if ((flags & SQLITE_OPEN_MAIN_DB) == 0) return SQLITE_READONLY_DIRECTORY;
      flags &= ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
      flags |= SQLITE_OPEN_READONLY;
    }
    auto* const below =
        reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + header_size());
    const int code = real()->xOpen(real(), path, below, flags, out_flags);
    if (code != SQLITE_OK) return code;
    sqlite3_int64 size = 0;
    below->pMethods->xFileSize(below, &size);
    disk->files.try_emplace(path, FileState{size, {}});
    ++disk->open_files;
    auto& ours = self(file);
    ours = {{&methods}, below, disk.get(), nullptr, new std::string(path), disk->cuts};
    ours.keep = new std::shared_ptr<Disk>(disk);
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs*, const char* path, int sync_folder) {
    const auto disk = disk_of(path);
    if (disk == nullptr) return real()->xDelete(real(), path, sync_folder);
    const Lock lock(disk->mutex);
    const int code = real()->xDelete(real(), path, sync_folder);
    if (code == SQLITE_OK) disk->files.erase(path);
    return code;
  }

  static int close(sqlite3_file* file) {
    auto& ours = self(file);
    const int code = ours.real->pMethods->xClose(ours.real);
    const std::unique_ptr<std::shared_ptr<Disk>> keep(ours.keep);
    const std::unique_ptr<std::string> path(ours.path);
    const Lock lock((*keep)->mutex);
    --(*keep)->open_files;
    return code;
  }

  static int read(sqlite3_file* file, void* bytes, int size, sqlite3_int64 at) {
    auto& ours = self(file);
    const Lock lock(ours.disk->mutex);
    if (is_dead(ours)) return SQLITE_IOERR_READ;
    const auto* fault = ours.disk->meet(Call::read);
    if (fault != nullptr && fault->fault == DiskFault::read_error) return fault->code;
    const int code = ours.real->pMethods->xRead(ours.real, bytes, size, at);
    if (fault == nullptr || code != SQLITE_OK || size < 2) return code;
    auto* const start = static_cast<unsigned char*>(bytes);
    if (fault->fault == DiskFault::short_read) {
      std::memset(start + size / 2, 0, static_cast<std::size_t>(size - size / 2));
    } else {
      const auto bit = ours.disk->plan.seed % (static_cast<std::uint64_t>(size) * 8U);
      start[bit / 8U] ^= static_cast<unsigned char>(1U << (bit % 8U));
    }
    return fault->code;
  }

  // Remembers what was durable of the pieces that are about to change.
  static void remember(OpenFile& ours, sqlite3_int64 at, sqlite3_int64 size)
      CLEW_REQUIRES(ours.disk->mutex) {
    auto& state = ours.disk->files[*ours.path];
    for (auto number = at / piece_size; number * piece_size < at + size; ++number) {
      const auto [found, is_new] = state.unsynced.try_emplace(number);
      found->second.is_doomed = false;
      const auto held =
          std::clamp<sqlite3_int64>(state.durable_size - number * piece_size, 0, piece_size);
      if (!is_new || held == 0) continue;
      auto& old = found->second.bytes;
      old.resize(static_cast<std::size_t>(held));
      // A part that an unsynced truncation took was remembered then.
      ours.real->pMethods->xRead(ours.real, old.data(), static_cast<int>(held),
                                 number * piece_size);
    }
  }

  static int put(OpenFile& ours, const void* bytes, int size, sqlite3_int64 at)
      CLEW_REQUIRES(ours.disk->mutex) {
    remember(ours, at, size);
    return ours.real->pMethods->xWrite(ours.real, bytes, size, at);
  }

  // Half of the bytes are on the disk, and that is the last thing that happened.
  static int lie(OpenFile& ours, const void* bytes, int size, sqlite3_int64 at)
      CLEW_REQUIRES(ours.disk->mutex) {
    const auto path = *ours.path;
    ours.disk->cut(ours.disk->plan.tail, ours.disk->plan.seed);
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    CLEW_CHECK(fd >= 0);
    write_all(fd, static_cast<const char*>(bytes), static_cast<std::size_t>(size / 2), at);
    ::close(fd);
    return SQLITE_OK;
  }

  static int write(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
    auto& ours = self(file);
    const Lock lock(ours.disk->mutex);
    if (is_dead(ours)) return SQLITE_IOERR_WRITE;
    const auto* fault = ours.disk->meet(Call::write);
    if (fault == nullptr) return put(ours, bytes, size, at);
    switch (fault->fault) {
      case DiskFault::short_write:
      case DiskFault::torn_write:
        (void)put(ours, bytes, size / 2, at);
        return fault->code;
      case DiskFault::lying_write:
        return lie(ours, bytes, size, at);
      case DiskFault::power_cut:
        ours.disk->cut(ours.disk->plan.tail, ours.disk->plan.seed);
        return fault->code;
      default:
        return fault->code;
    }
  }

  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    auto& ours = self(file);
    const Lock lock(ours.disk->mutex);
    if (is_dead(ours)) return SQLITE_IOERR_TRUNCATE;
    const auto durable = ours.disk->files[*ours.path].durable_size;
    if (size < durable) remember(ours, size, durable - size);
    return ours.real->pMethods->xTruncate(ours.real, size);
  }

  // The real files need none: it is this disk that loses power.
  static int sync(sqlite3_file* file, int) {
    auto& ours = self(file);
    const Lock lock(ours.disk->mutex);
    if (is_dead(ours)) return SQLITE_IOERR_FSYNC;
    auto& state = ours.disk->files[*ours.path];
    if (const auto* fault = ours.disk->meet(Call::sync); fault != nullptr) {
      if (fault->fault == DiskFault::power_cut) {
        ours.disk->cut(ours.disk->plan.tail, ours.disk->plan.seed);
      } else {
        for (auto& [number, piece] : state.unsynced) piece.is_doomed = true;
      }
      return fault->code;
    }
    std::erase_if(state.unsynced, [](const auto& each) { return !each.second.is_doomed; });
    return ours.real->pMethods->xFileSize(ours.real, &state.durable_size);
  }

  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    auto& ours = self(file);
    const Lock lock(ours.disk->mutex);
    if (is_dead(ours)) return SQLITE_IOERR_FSTAT;
    return ours.real->pMethods->xFileSize(ours.real, size);
  }

  static int shm_lock(sqlite3_file* file, int from, int count, int flags) {
    auto& ours = self(file);
    if ((flags & SQLITE_SHM_LOCK) != 0) {
      const Lock lock(ours.disk->mutex);
      if (is_dead(ours)) return SQLITE_IOERR_SHMLOCK;
    }
    return ours.real->pMethods->xShmLock(ours.real, from, count, flags);
  }
  static int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** at) {
    auto& ours = self(file);
    {
      const Lock lock(ours.disk->mutex);
      if (is_dead(ours)) return SQLITE_IOERR_SHMMAP;
    }
    return ours.real->pMethods->xShmMap(ours.real, page, size, extend, at);
  }

  // Passed on as they are.
  static sqlite3_file* below(sqlite3_file* file) { return self(file).real; }
  static int lock(sqlite3_file* file, int level) {
    return below(file)->pMethods->xLock(below(file), level);
  }
  static int unlock(sqlite3_file* file, int level) {
    return below(file)->pMethods->xUnlock(below(file), level);
  }
  static int is_reserved(sqlite3_file* file, int* answer) {
    return below(file)->pMethods->xCheckReservedLock(below(file), answer);
  }
  static int control(sqlite3_file* file, int operation, void* argument) {
    return below(file)->pMethods->xFileControl(below(file), operation, argument);
  }
  static int sector_size(sqlite3_file* file) {
    return below(file)->pMethods->xSectorSize(below(file));
  }
  static int characteristics(sqlite3_file* file) {
    return below(file)->pMethods->xDeviceCharacteristics(below(file));
  }
  static void shm_barrier(sqlite3_file* file) { below(file)->pMethods->xShmBarrier(below(file)); }
  static int shm_unmap(sqlite3_file* file, int deletes) {
    return below(file)->pMethods->xShmUnmap(below(file), deletes);
  }

  static const sqlite3_io_methods methods;
};

const sqlite3_io_methods FaultVfs::methods = {
    2,  // no memory mapping
    &FaultVfs::close,
    &FaultVfs::read,
    &FaultVfs::write,
    &FaultVfs::truncate,
    &FaultVfs::sync,
    &FaultVfs::file_size,
    &FaultVfs::lock,
    &FaultVfs::unlock,
    &FaultVfs::is_reserved,
    &FaultVfs::control,
    &FaultVfs::sector_size,
    &FaultVfs::characteristics,
    &FaultVfs::shm_map,
    &FaultVfs::shm_lock,
    &FaultVfs::shm_barrier,
    &FaultVfs::shm_unmap,
    nullptr,
    nullptr,
};

FaultDisk::FaultDisk(const std::string& folder)
    : impl_(std::make_shared<Impl>(std::filesystem::canonical(folder).string() + "/")) {
  auto& all = FaultVfs::registry();
  const Lock lock(all.mutex);
  (void)FaultVfs::real();  // found before ours takes its place
  FaultVfs::install();
  all.disks.push_back(impl_);
}

FaultDisk::~FaultDisk() {
  auto& all = FaultVfs::registry();
  const Lock lock(all.mutex);
  std::erase(all.disks, impl_);
  const Lock files(impl_->mutex);
  CLEW_CHECK(impl_->open_files == 0);
}

void FaultDisk::arm(const DiskPlan& plan) {
  const Lock lock(impl_->mutex);
  impl_->plan = plan;
  impl_->calls = {};
  impl_->is_armed = true;
  impl_->has_struck = false;
}

void FaultDisk::disarm() {
  const Lock lock(impl_->mutex);
  impl_->is_armed = false;
}

int FaultDisk::calls(DiskFault fault) const {
  const Lock lock(impl_->mutex);
  return calls_of(impl_->calls, fault);
}

bool FaultDisk::has_struck() const {
  const Lock lock(impl_->mutex);
  return impl_->has_struck;
}

void FaultDisk::cut(Tail tail, std::uint64_t seed) {
  const Lock lock(impl_->mutex);
  impl_->cut(tail, seed);
}

}  // namespace clew::testkit
