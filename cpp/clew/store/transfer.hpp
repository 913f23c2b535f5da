// store/transfer.hpp: a whole database, row by row: what is in it, as counts and hashes, and
// copying it into another of the same schema, of whatever kind either is.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clew/store/session.hpp"

namespace clew::store {

// What a table holds. The hash is the SHA-256 of its rows in the order of their keys, each cell
// with its type and length: equal on every kind of database exactly when all cells are equal.
struct TableDigest {
  std::string table;
  std::int64_t rows = 0;
  std::string sha256;  // in hexadecimal
  friend bool operator==(const TableDigest&, const TableDigest&) = default;
};

struct DatabaseDigest {
  std::vector<TableDigest> tables;  // by name
  // The first text that not every database can keep: with a zero character, or that is no UTF-8.
  std::optional<Error> unusual_text;

  std::int64_t rows() const;
  std::string sha256() const;  // of all tables
};

// Knows the tables that migrations make. Immutable, thread-safe. Its functions hold one row in
// memory, whatever the size of the tables.
class Tables {
 public:
  // CLEW_CHECK: each table has a key.
  static Result<std::shared_ptr<const Tables>> of(const std::vector<Migration>& migrations);

  std::vector<std::string> names() const;

  // Reads everything. Errors: those of Transaction, naming the table.
  Result<DatabaseDigest> digest(Transaction& tx) const;

  // Ok when the tables are as the migrations have left them. `conflict` naming what is there.
  Result<void> check_empty(Transaction& tx) const;

  // Puts all rows of `from` into `to`, whose tables must be empty, with the numbers that either
  // goes on with. Both have a transaction open. Errors: those of either, naming the table.
  Result<void> copy(Session& from, Session& to) const;

 private:
  struct Table;
  Tables();
  Result<void> learn(Session& session);
  Result<TableDigest> digest_of(Transaction& tx, const Table& table,
                                std::optional<Error>& unusual) const;
  static Result<void> copy_number(Session& from, Session& to, const Table& table);
  static Result<void> copy_table(Transaction& from, Transaction& to, const Table& table);
  std::deque<Table> tables_;
  DatabaseDigest fresh_;

 public:
  ~Tables();
};

// Ok when both hold the same. `corrupt` naming the first table that differs, and how.
Result<void> check_same(const DatabaseDigest& source, const DatabaseDigest& copy);

}  // namespace clew::store
