#include <cmath>
#include <cstddef>
#include <limits>

#include "clew/base/detail/json_text.hpp"
#include "clew/base/json.hpp"

namespace clew {

namespace {

constexpr auto unbounded = std::numeric_limits<std::size_t>::max();

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

// Prints in one walk. With a bound it stops soon after `out` has grown past it, so that what is
// printed is a prefix of the full text (but for the quotes and brackets that still close).
class Printer {
 public:
  Printer(std::string& out, std::size_t bytes_max) : out_(out), bytes_max_(bytes_max) {}

  void print(const Value& value) {
    switch (value.kind()) {
      case Value::Kind::null:
        out_ += "null";
        return;
      case Value::Kind::boolean:
        out_ += value.as_bool() ? "true" : "false";
        return;
      case Value::Kind::integer:
        detail::append_integer(out_, value.as_int());
        return;
      case Value::Kind::real:
        print_real(value.as_real());
        return;
      case Value::Kind::string:
        print_string(value.as_string());
        return;
      case Value::Kind::array:
        print_array(value);
        return;
      case Value::Kind::object:
        print_object(value);
        return;
    }
  }

 private:
  bool is_full() const { return out_.size() > bytes_max_; }

  void print_real(double value) {
    const std::size_t from = out_.size();
    if (value == 0 && std::signbit(value)) out_ += '-';
    detail::append_ecmascript(out_, value);
    if (out_.find_first_of(".e", from) == std::string::npos) out_ += ".0";
  }

  void print_string(std::string_view text) {
    // What is too long anyway need not be escaped to its end. One byte more keeps it too long.
    if (text.size() > bytes_max_) text = text.substr(0, bytes_max_ + 1);
    detail::append_quoted(out_, text);
  }

  void print_array(const Value& array) {
    out_ += '[';
    bool first = true;
    for (const Value& item : array.items()) {
      if (is_full()) break;
      if (!first) out_ += ',';
      first = false;
      print(item);
    }
    out_ += ']';
  }

  void print_object(const Value& object) {
    out_ += '{';
    bool first = true;
    for (const Member& member : object.members()) {
      if (is_full()) break;
      if (!first) out_ += ',';
      first = false;
      print_string(member.key);
      out_ += ':';
      print(member.value);
    }
    out_ += '}';
  }

  std::string& out_;
  const std::size_t bytes_max_;
};

}  // namespace

std::string to_json(const Value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

void append_json(std::string& out, const Value& value) { Printer(out, unbounded).print(value); }

std::string preview(const Value& value, std::size_t chars_max) {
  constexpr std::size_t character_bytes_max = 4;
  std::string out;
  Printer(out, character_bytes_max * chars_max).print(value);

  std::size_t chars = 0;
  std::size_t cut_at = 0;  // keeps one character less than the bound, for the ellipsis
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (continues_character(out[i])) continue;
    if (chars + 1 == chars_max) cut_at = i;
    if (++chars > chars_max) {
      out.resize(cut_at);
      return chars_max == 0 ? out : out + "…";
    }
  }
  return out;
}

}  // namespace clew
