// store/sql.hpp: statements, parameters and rows, the same for every database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/time.hpp"

namespace clew::store {

// A statement known at compile time. Define one as a static object; each session prepares it once
// and keeps it. Parameters are written :name; the arguments of a call stand in the order in which
// the names first appear. {hooks} are filled by the dialect ({skip_locked}, {blob}, …).
// Immutable, thread-safe.
class Statement {
 public:
  explicit Statement(const char* sql);
  const char* sql() const { return sql_; }
  int index() const { return index_; }  // dense, for the sessions' caches

 private:
  const char* sql_;
  int index_;
};

// The names of a statement's parameters in the order in which its arguments stand. For callers who
// have arguments by name. Error: `invalid_input` for a brace that is not closed.
Result<std::vector<std::string>> parameter_names(std::string_view sql);

// Bytes, as opposed to text.
struct Blob {
  std::string_view bytes;
};

// An argument. Borrows text for the length of the call.
class Arg {
 public:
  using Data = std::variant<std::nullptr_t, std::int64_t, double, std::string_view, Blob>;
  Arg(std::nullptr_t) : data_(nullptr) {}
  Arg(bool value) : data_(static_cast<std::int64_t>(value)) {}
  Arg(int value) : data_(static_cast<std::int64_t>(value)) {}
  Arg(std::int64_t value) : data_(value) {}
  Arg(double value) : data_(value) {}
  Arg(std::string_view text) : data_(text) {}
  Arg(const std::string& text) : data_(std::string_view(text)) {}
  Arg(const char* text) : data_(std::string_view(text)) {}
  Arg(Blob blob) : data_(blob) {}
  Arg(Timestamp at) : data_(at.us) {}
  const Data& data() const { return data_; }

 private:
  Data data_;
};

// One column of one row. Owns its text.
using Cell =
    std::variant<std::nullptr_t, std::int64_t, double, std::string, std::vector<std::uint8_t>>;

// One row of a result, valid while it is visited. Reading a column as another type than it holds,
// or as text that is not UTF-8, answers `corrupt` with the column's name; cell() gives what is
// there. column.hpp has the checks that go further.
class Row {
 public:
  virtual ~Row() = default;
  virtual int columns() const = 0;
  virtual std::string_view name(int column) const = 0;
  virtual bool is_null(int column) const = 0;
  virtual Result<std::int64_t> integer(int column) const = 0;
  virtual Result<double> real(int column) const = 0;
  virtual Result<std::string_view> text(int column) const = 0;
  virtual Result<std::string_view> blob(int column) const = 0;
  virtual Cell cell(int column) const = 0;
};

}  // namespace clew::store
