// expr/detail/lexer.hpp: the text of an expression as tokens with positions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "clew/base/result.hpp"

namespace clew::expr::detail {

// The smallest piece of an expression. A value.
struct Token {
  enum class Kind : std::uint8_t { name, integer, real, string, symbol, end };
  Kind kind = Kind::end;
  std::string text;          // the name, the symbol, or what the string stands for
  std::int64_t integer = 0;  // of an integer
  double real = 0;           // of a real
  std::size_t offset = 0;    // of its first byte

  bool is(std::string_view symbol) const { return kind == Kind::symbol && text == symbol; }
};

// Reads tokens of CEL from the front of a text, which it borrows. Confined.
class Lexer {
 public:
  explicit Lexer(std::string_view text, std::size_t offset = 0) : text_(text), offset_(offset) {}

  // The next token, and `end` for ever after the last. Error `invalid_input` with its column.
  Result<Token> next();
  // Where the rest begins, white space skipped.
  std::size_t skip_space();

 private:
  Token token(Token::Kind kind, std::size_t from) const;
  Result<Token> read_name();
  Result<Token> read_number();
  Result<Token> read_string();
  Result<void> read_escape(std::string& out);
  Result<Token> read_symbol();

  std::string_view text_;
  std::size_t offset_;
};

// Letters, digits and underscores that do not begin with a digit.
bool is_identifier(std::string_view word);
// true, false, null, in: what CEL reads as something other than a name, everywhere.
bool is_keyword(std::string_view word);
// The words that CEL keeps for itself where a name could stand.
bool is_reserved(std::string_view word);

// `invalid_input` at that byte of `text`: "column 3: …".
Error syntax_error(std::string_view text, std::size_t offset, std::string_view message);

}  // namespace clew::expr::detail
