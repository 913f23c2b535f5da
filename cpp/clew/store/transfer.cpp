#include "clew/store/transfer.hpp"

#include <algorithm>
#include <bit>

#include "clew/base/fault.hpp"
#include "clew/base/sha256.hpp"
#include "clew/base/text.hpp"
#include "clew/store/column.hpp"
#include "clew/store/migrate.hpp"

namespace clew::store {
namespace {

FaultPoint fault_batch("transfer.batch");  // some rows are written, nothing is committed
FaultPoint fault_row("transfer.row");      // an error here is a row that gets lost on its way

// Statements that may be under way before an answer is waited for.
constexpr int batch_rows = 256;
constexpr std::size_t batch_bytes = std::size_t{1} << 20;

// Of a database in memory, which the migrations have just made.
const Statement columns_sql(R"sql(
    SELECT t.name, c.name, c.pk, c.type FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid)sql");

std::string list_of(const std::vector<std::string>& columns) {
  std::string list;
  for (const auto& each : columns) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", each);
  return list;
}

std::string insert_text(const std::string& table, const std::vector<std::string>& columns) {
  std::string values;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    values += fmt::format("{}:c{}", i == 0 ? "" : ", ", i);
  }
  return fmt::format("INSERT INTO \"{}\" ({}) VALUES ({})", table, list_of(columns), values);
}

Arg arg_of(const Cell& cell) {
  struct Convert {
    Arg operator()(std::nullptr_t) const { return {nullptr}; }
    Arg operator()(std::int64_t number) const { return {number}; }
    Arg operator()(double number) const { return {number}; }
    Arg operator()(const std::string& text) const { return {text}; }
    Arg operator()(const std::vector<std::uint8_t>& bytes) const {
      return {Blob{{reinterpret_cast<const char*>(bytes.data()), bytes.size()}}};
    }
  };
  return std::visit(Convert{}, cell);
}

void append_number(std::string& out, char tag, std::uint64_t number) {
  out += tag;
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}

// No cell's bytes are the beginning of another's.
void append_cell(std::string& out, const Cell& cell) {
  struct Append {
    std::string& out;
    void operator()(std::nullptr_t) const { out += 'n'; }
    void operator()(std::int64_t number) const {
      append_number(out, 'i', static_cast<std::uint64_t>(number));
    }
    // SQLite keeps no negative zero.
    void operator()(double number) const {
      append_number(out, 'r', std::bit_cast<std::uint64_t>(number == 0 ? 0.0 : number));
    }
    void operator()(const std::string& text) const {
      append_number(out, 't', text.size());
      out += text;
    }
    void operator()(const std::vector<std::uint8_t>& bytes) const {
      append_number(out, 'b', bytes.size());
      out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
  };
  std::visit(Append{out}, cell);
}

std::size_t size_of(const Cell& cell) {
  if (const auto* text = std::get_if<std::string>(&cell)) return text->size();
  const auto* bytes = std::get_if<std::vector<std::uint8_t>>(&cell);
  return bytes != nullptr ? bytes->size() : sizeof(std::int64_t);
}

}  // namespace

struct Tables::Table {
  std::string name;
  std::vector<std::string> columns;
  std::vector<int> key;  // positions in `columns`, in the order of the key
  std::string number;    // the column of integers that is the whole key; empty: none is
  std::string select;    // all rows by key
  std::string count;
  std::string insert_sql;
  std::unique_ptr<Statement> insert;

  std::string key_of(const Row& row) const {
    std::string shown;
    for (const int column : key) {
      shown += fmt::format("{}{}", shown.empty() ? "" : "/", shown_at(row, column));
    }
    return shown;
  }

  void finish() {
    CLEW_CHECK(!key.empty());
    std::vector<std::string> by;
    for (const int column : key) by.push_back(columns[static_cast<std::size_t>(column)]);
    select = fmt::format("SELECT {} FROM \"{}\" ORDER BY {}", list_of(columns), name, list_of(by));
    count = fmt::format("SELECT COUNT(*) FROM \"{}\"", name);
    insert_sql = insert_text(name, columns);
    insert = std::make_unique<Statement>(insert_sql.c_str());
  }
};

Tables::Tables() = default;
Tables::~Tables() = default;

Result<std::shared_ptr<const Tables>> Tables::of(const std::vector<Migration>& migrations) {
  DatabaseOptions memory;
  CLEW_TRY(const auto backend, make_backend(memory, migrations));
  CLEW_TRY(const auto session, backend->connect_writer());
  CLEW_TRY(migrate(*session, migrations));
  const std::shared_ptr<Tables> made(new Tables());
  CLEW_TRY(session->begin(Access::snapshot, Durability::relaxed));
  CLEW_TRY(made->learn(*session));
  CLEW_TRY(made->fresh_, made->digest(*session));
  session->rollback();
  return std::shared_ptr<const Tables>(made);
}

Result<void> Tables::learn(Session& session) {
  std::vector<std::pair<std::int64_t, int>> key;  // place in the key → position
  const auto finish_last = [&] {
    if (tables_.empty()) return;
    std::ranges::sort(key);
    auto& table = tables_.back();
    for (const auto& [place, position] : key) table.key.push_back(position);
    if (key.size() != 1) table.number.clear();
    key.clear();
    table.finish();
  };
  CLEW_TRY(session.each(columns_sql, [&](const Row& row) -> Result<void> {
    CLEW_TRY(const auto table, row.text(0));
    CLEW_TRY(const auto column, row.text(1));
    CLEW_TRY(const auto place, row.integer(2));
    CLEW_TRY(const auto type, row.text(3));
    if (tables_.empty() || tables_.back().name != table) {
      finish_last();
      tables_.emplace_back().name = std::string(table);
    }
    auto& columns = tables_.back().columns;
    if (place > 0) key.emplace_back(place, static_cast<int>(columns.size()));
    if (place > 0 && type == "INTEGER") tables_.back().number = std::string(column);
    columns.emplace_back(column);
    return {};
  }));
  finish_last();
  return {};
}

std::vector<std::string> Tables::names() const {
  std::vector<std::string> names;
  for (const auto& each : tables_) names.push_back(each.name);
  return names;
}

// ---- what is in it

Result<DatabaseDigest> Tables::digest(Transaction& tx) const {
  DatabaseDigest made;
  for (const auto& each : tables_) {
    auto one = digest_of(tx, each, made.unusual_text);
    if (!one) return one.error().with("table", each.name);
    made.tables.push_back(*std::move(one));
  }
  return made;
}

namespace {

std::optional<Error> unusual_text_in(const Row& row, int column, const Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  if (text == nullptr) return std::nullopt;
  const bool has_zero = text->find('\0') != std::string::npos;
  if (!has_zero && is_utf8(*text)) return std::nullopt;
  return error(Code::unsupported, "column {} holds text {}", row.name(column),
               has_zero ? "with a zero character" : "that is no UTF-8")
      .with("column", row.name(column));
}

}  // namespace

Result<TableDigest> Tables::digest_of(Transaction& tx, const Table& table,
                                      std::optional<Error>& unusual) const {
  TableDigest made{table.name, 0, {}};
  Sha256 hash;
  std::string bytes;
  VisitRow visit = [&](const Row& row) -> Result<void> {
    ++made.rows;
    bytes.clear();
    for (int column = 0; column < row.columns(); ++column) {
      const auto cell = row.cell(column);
      append_cell(bytes, cell);
      if (unusual) continue;
      unusual = unusual_text_in(row, column, cell);
      if (unusual) unusual = in_row(*unusual, table.name, table.key_of(row));
    }
    hash.update(bytes);
    return {};
  };
  CLEW_TRY(tx.each_text(table.select, {}, visit));
  made.sha256 = to_hex(hash.digest());
  return made;
}

std::int64_t DatabaseDigest::rows() const {
  std::int64_t sum = 0;
  for (const auto& each : tables) sum += each.rows;
  return sum;
}

std::string DatabaseDigest::sha256() const {
  std::string all;
  for (const auto& each : tables)
    all += fmt::format("{} {} {}\n", each.table, each.rows, each.sha256);
  return to_hex(clew::sha256(all));
}

Result<void> check_same(const DatabaseDigest& source, const DatabaseDigest& copy) {
  CLEW_CHECK(source.tables.size() == copy.tables.size());
  for (std::size_t i = 0; i < source.tables.size(); ++i) {
    const auto& here = source.tables[i];
    const auto& there = copy.tables[i];
    if (here == there) continue;
    return error(
               Code::corrupt,
               "table {} is not what was copied: {} rows with hash {}, there {} rows with hash {}",
               here.table, here.rows, here.sha256.substr(0, 16), there.rows,
               there.sha256.substr(0, 16))
        .with("table", here.table)
        .with("rows", here.rows)
        .with("rows_copied", there.rows)
        .with("sha256", here.sha256)
        .with("sha256_copied", there.sha256);
  }
  return {};
}

Result<void> Tables::check_empty(Transaction& tx) const {
  std::string found;
  std::optional<Error> ignored;
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const auto& fresh = fresh_.tables[i];
    std::int64_t rows = 0;
    VisitRow take = [&rows](const Row& row) -> Result<void> {
      CLEW_TRY(rows, row.integer(0));
      return {};
    };
    CLEW_TRY(tx.each_text(tables_[i].count, {}, take));
    bool is_fresh = rows == fresh.rows;
    if (is_fresh && rows > 0) {
      CLEW_TRY(const auto now, digest_of(tx, tables_[i], ignored));
      is_fresh = now == fresh;
    }
    if (is_fresh) continue;
    found += fmt::format("{}{} ({})", found.empty() ? "" : ", ", tables_[i].name, rows);
  }
  if (found.empty()) return {};
  return error(Code::conflict, "there are rows already: {}", found).with("found", found);
}

// ---- copying

namespace {

// Puts rows into a table, many under way at once.
class Inserter {
 public:
  Inserter(Transaction& to, const Statement& insert) : to_(to), insert_(insert) {}

  Result<void> put(const Row& row) {
    std::vector<Cell> cells;
    std::vector<Arg> args;
    cells.reserve(static_cast<std::size_t>(row.columns()));
    for (int column = 0; column < row.columns(); ++column) {
      bytes_ += size_of(cells.emplace_back(row.cell(column)));
    }
    for (const auto& cell : cells) args.push_back(arg_of(cell));
    ++rows_;
    if (rows_ < batch_rows && bytes_ < batch_bytes) return to_.post_args(insert_, args);
    rows_ = 0;
    bytes_ = 0;
    CLEW_TRY(to_.run_args(insert_, args));
    return fault_batch.hit();
  }

 private:
  Transaction& to_;
  const Statement& insert_;
  int rows_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

Result<void> Tables::copy_table(Transaction& from, Transaction& to, const Table& table) {
  Inserter into(to, *table.insert);
  VisitRow visit = [&into](const Row& row) -> Result<void> {
    if (!fault_row.hit()) return {};
    return into.put(row);
  };
  return from.each_text(table.select, {}, visit);
}

// A number that was given to a row must not come back, though the row may be gone.
Result<void> Tables::copy_number(Session& from, Session& to, const Table& table) {
  if (table.number.empty()) return {};
  std::int64_t last = 0;
  VisitRow take = [&last](const Row& row) -> Result<void> {
    if (row.is_null(0)) return {};
    CLEW_TRY(last, row.integer(0));
    return {};
  };
  CLEW_TRY(from.each_text(fmt::format("SELECT MAX(\"{}\") FROM \"{}\"", table.number, table.name),
                          {}, take));
  CLEW_TRY(const auto given, from.last_identity(table.name, table.number));
  return to.set_last_identity(table.name, table.number, std::max(last, given));
}

Result<void> Tables::copy(Session& from, Session& to) const {
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    const auto& table = tables_[i];
    if (fresh_.tables[i].rows > 0) {
      CLEW_TRY(to.run_text(fmt::format("DELETE FROM \"{}\"", table.name), {}));
    }
    if (auto done = copy_table(from, to, table); !done) {
      return done.error().with("table", table.name);
    }
    if (auto done = copy_number(from, to, table); !done) {
      return done.error().with("table", table.name);
    }
  }
  return fault_batch.hit();
}

}  // namespace clew::store
