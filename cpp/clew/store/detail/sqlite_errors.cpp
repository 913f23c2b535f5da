#include "clew/store/detail/sqlite_errors.hpp"

namespace clew::store::detail {
namespace {

struct Mapping {
  int code;
  const char* name;
  Code ours;
  bool retryable;
};

// Extended codes first where they differ from their primary code; look-up takes the exact code,
// then the primary one.
constexpr Mapping mappings[] = {
    {SQLITE_BUSY, "SQLITE_BUSY", Code::unavailable, true},
    {SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT", Code::unavailable, true},
    {SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY", Code::unavailable, true},
    {SQLITE_LOCKED, "SQLITE_LOCKED", Code::unavailable, true},
    {SQLITE_PROTOCOL, "SQLITE_PROTOCOL", Code::unavailable, true},
    {SQLITE_SCHEMA, "SQLITE_SCHEMA", Code::unavailable, true},
    {SQLITE_INTERRUPT, "SQLITE_INTERRUPT", Code::unavailable, true},
    {SQLITE_ABORT, "SQLITE_ABORT", Code::unavailable, true},

    {SQLITE_IOERR, "SQLITE_IOERR", Code::unavailable, false},
    {SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC", Code::unavailable, false},
    {SQLITE_IOERR_DIR_FSYNC, "SQLITE_IOERR_DIR_FSYNC", Code::unavailable, false},
    {SQLITE_IOERR_READ, "SQLITE_IOERR_READ", Code::unavailable, false},
    {SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE", Code::unavailable, false},
    {SQLITE_IOERR_SHORT_READ, "SQLITE_IOERR_SHORT_READ", Code::corrupt, false},
    {SQLITE_IOERR_NOMEM, "SQLITE_IOERR_NOMEM", Code::resource_exhausted, true},
    {SQLITE_IOERR_CORRUPTFS, "SQLITE_IOERR_CORRUPTFS", Code::corrupt, false},
    {SQLITE_IOERR_DATA, "SQLITE_IOERR_DATA", Code::corrupt, false},
    {SQLITE_CANTOPEN, "SQLITE_CANTOPEN", Code::unavailable, false},
    {SQLITE_PERM, "SQLITE_PERM", Code::unavailable, false},
    {SQLITE_NOLFS, "SQLITE_NOLFS", Code::unavailable, false},
    {SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED", Code::unavailable, false},

    {SQLITE_CORRUPT, "SQLITE_CORRUPT", Code::corrupt, false},
    {SQLITE_NOTADB, "SQLITE_NOTADB", Code::corrupt, false},
    {SQLITE_FORMAT, "SQLITE_FORMAT", Code::corrupt, false},

    {SQLITE_FULL, "SQLITE_FULL", Code::resource_exhausted, true},
    {SQLITE_NOMEM, "SQLITE_NOMEM", Code::resource_exhausted, true},
    {SQLITE_TOOBIG, "SQLITE_TOOBIG", Code::resource_exhausted, false},

    {SQLITE_READONLY, "SQLITE_READONLY", Code::unsupported, false},
    {SQLITE_AUTH, "SQLITE_AUTH", Code::unsupported, false},

    {SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT_DATATYPE", Code::internal, false},
    {SQLITE_CONSTRAINT_FUNCTION, "SQLITE_CONSTRAINT_FUNCTION", Code::internal, false},
    {SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT", Code::conflict, false},
    {SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE", Code::conflict, false},
    {SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY", Code::conflict, false},

    {SQLITE_ERROR, "SQLITE_ERROR", Code::internal, false},
    {SQLITE_INTERNAL, "SQLITE_INTERNAL", Code::internal, false},
    {SQLITE_MISMATCH, "SQLITE_MISMATCH", Code::internal, false},
    {SQLITE_MISUSE, "SQLITE_MISUSE", Code::internal, false},
    {SQLITE_RANGE, "SQLITE_RANGE", Code::internal, false},
    {SQLITE_NOTFOUND, "SQLITE_NOTFOUND", Code::internal, false},
    {SQLITE_EMPTY, "SQLITE_EMPTY", Code::internal, false},
};

constexpr int primary(int code) { return code & 0xff; }

const Mapping* find_mapping(int code) {
  for (const auto& mapping : mappings) {
    if (mapping.code == code) return &mapping;
  }
  return code == primary(code) ? nullptr : find_mapping(primary(code));
}

}  // namespace

Error sqlite_error(int code, std::string_view doing, std::string_view detail) {
  const auto* mapping = find_mapping(code);
  const auto message = fmt::format("{}: {}", doing, detail);
  if (mapping == nullptr) return Error(Code::internal, message).with("sqlite_code", code);
  return Error(mapping->ours, message, mapping->retryable)
      .with("sqlite", mapping->name)
      .with("sqlite_code", code);
}

bool ends_transaction(int code) {
  switch (primary(code)) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_INTERRUPT:
    case SQLITE_BUSY:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
      return true;
    default:
      return false;
  }
}

bool leaves_disk_unknown(int code) {
  switch (primary(code)) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_CONSTRAINT:
    case SQLITE_READONLY:
      return false;
    default:
      return code != SQLITE_IOERR_NOMEM;
  }
}

}  // namespace clew::store::detail
