#include "clew/expr/detail/lexer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace clew::expr::detail {
namespace {

constexpr std::array<std::string_view, 4> keywords = {"false", "in", "null", "true"};
constexpr std::array<std::string_view, 17> reserved = {
    "as",  "break", "const",     "continue", "else",   "for", "function", "if",   "import",
    "let", "loop",  "namespace", "package",  "return", "var", "void",     "while"};
// Longer ones first, so that "<=" is not read as "<".
constexpr std::array<std::string_view, 24> symbols = {"&&", "||", "==", "!=", "<=", ">=", ".", ",",
                                                      "[",  "]",  "(",  ")",  "{",  "}",  ":", "?",
                                                      "+",  "-",  "*",  "/",  "%",  "!",  "<", ">"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// The character that begins at `offset`, all its bytes.
std::string_view character_at(std::string_view text, std::size_t offset) {
  std::size_t end = offset + 1;
  while (end < text.size() && continues_character(text[end])) ++end;
  return text.substr(offset, end - offset);
}

void append_utf8(std::string& out, std::uint32_t point) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((point >> shift) & 0x3FU));
  };
  if (point < 0x80) {
    out += static_cast<char>(point);
  } else if (point < 0x800) {
    out += static_cast<char>(0xC0U | (point >> 6U));
    tail(0);
  } else if (point < 0x10000) {
    out += static_cast<char>(0xE0U | (point >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (point >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

// What `\c` stands for, or 0 when that is no escape.
char plain_escape(char c) {
  constexpr std::string_view from = "\\\"'`?nrtbfav";
  constexpr std::string_view to = "\\\"'`?\n\r\t\b\f\a\v";
  const auto at = from.find(c);
  return at == std::string_view::npos ? '\0' : to[at];
}

}  // namespace

bool is_identifier(std::string_view word) {
  return !word.empty() && is_letter(word[0]) &&
         std::ranges::all_of(word, [](char c) { return is_letter(c) || is_digit(c); });
}

bool is_keyword(std::string_view word) {
  return std::ranges::find(keywords, word) != keywords.end();
}

bool is_reserved(std::string_view word) {
  return is_keyword(word) || std::ranges::find(reserved, word) != reserved.end();
}

Error syntax_error(std::string_view text, std::size_t offset, std::string_view message) {
  const auto before = text.substr(0, offset);
  const auto column =
      1 + std::ranges::count_if(before, [](char c) { return !continues_character(c); });
  return error(Code::invalid_input, "column {}: {}", column, message)
      .with("column", static_cast<std::int64_t>(column));
}

std::size_t Lexer::skip_space() {
  while (offset_ < text_.size() && is_space(text_[offset_])) ++offset_;
  return offset_;
}

Result<Token> Lexer::next() {
  const auto at = skip_space();
  if (at == text_.size()) return token(Token::Kind::end, at);
  const char c = text_[at];
  if (is_letter(c)) return read_name();
  if (is_digit(c)) return read_number();
  if (c == '"' || c == '\'') return read_string();
  return read_symbol();
}

// What lies between `from` and here.
Token Lexer::token(Token::Kind kind, std::size_t from) const {
  return {.kind = kind, .text = std::string(text_.substr(from, offset_ - from)), .offset = from};
}

Result<Token> Lexer::read_name() {
  const auto from = offset_;
  while (offset_ < text_.size() && (is_letter(text_[offset_]) || is_digit(text_[offset_]))) {
    ++offset_;
  }
  return token(Token::Kind::name, from);
}

Result<Token> Lexer::read_number() {
  const auto from = offset_;
  auto kind = Token::Kind::integer;
  const auto skip_digits = [&] {
    while (offset_ < text_.size() && is_digit(text_[offset_])) ++offset_;
  };
  skip_digits();
  if (offset_ + 1 < text_.size() && text_[offset_] == '.' && is_digit(text_[offset_ + 1])) {
    kind = Token::Kind::real;
    ++offset_;
    skip_digits();
  }
  auto number = token(kind, from);
  if (offset_ < text_.size() && is_letter(text_[offset_])) {
    return syntax_error(text_, from, "a number that goes on with letters");
  }
  const auto* const last = number.text.data() + number.text.size();
  const bool fits =
      kind == Token::Kind::integer
          ? std::from_chars(number.text.data(), last, number.integer).ec == std::errc()
          : std::from_chars(number.text.data(), last, number.real).ec == std::errc();
  if (!fits) return syntax_error(text_, from, fmt::format("{} does not fit 64 bits", number.text));
  return number;
}

Result<Token> Lexer::read_string() {
  const auto from = offset_;
  const char quote = text_[offset_++];
  std::string content;
  while (true) {
    if (offset_ == text_.size() || text_[offset_] == '\n' || text_[offset_] == '\r') {
      return syntax_error(text_, from, fmt::format("the string has no closing {}", quote));
    }
    const char c = text_[offset_];
    if (c == quote) break;
    if (c == '\\') {
      CLEW_TRY(read_escape(content));
    } else {
      content += c;
      ++offset_;
    }
  }
  ++offset_;
  return Token{.kind = Token::Kind::string, .text = std::move(content), .offset = from};
}

Result<void> Lexer::read_escape(std::string& out) {
  const auto from = offset_++;
  const char kind = offset_ < text_.size() ? text_[offset_++] : '\0';
  if (const char plain = plain_escape(kind); plain != '\0') {
    out += plain;
    return {};
  }
  const std::size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits == 0) {
    return syntax_error(text_, from,
                        "no such escape; expected one of \\\\ \\\" \\' \\n \\r \\t \\u0000");
  }
  const auto hex = text_.substr(offset_, digits);
  std::uint32_t point = 0;
  const auto [end, problem] = std::from_chars(hex.data(), hex.data() + hex.size(), point, 16);
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  if (problem != std::errc() || end != hex.data() + digits || surrogate || point > 0x10FFFF) {
    return syntax_error(text_, from,
                        fmt::format("expected {} hexadecimal digits of a character", digits));
  }
  offset_ += digits;
  append_utf8(out, point);
  return {};
}

Result<Token> Lexer::read_symbol() {
  const auto from = offset_;
  const auto rest = text_.substr(from);
  for (const auto symbol : symbols) {
    if (rest.starts_with(symbol)) {
      offset_ += symbol.size();
      return token(Token::Kind::symbol, from);
    }
  }
  return syntax_error(text_, from, fmt::format("unexpected {}", character_at(text_, from)));
}

}  // namespace clew::expr::detail
