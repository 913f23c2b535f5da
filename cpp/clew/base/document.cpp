#include "clew/base/document.hpp"

#include <string>

#include "clew/base/json.hpp"

namespace clew {
namespace {

// Walks a text that is known to be JSON, looking only at what separates its parts. Confined.
class LineScanner {
 public:
  explicit LineScanner(std::string_view text) : text_(text) {}

  bool is_beyond_bound() const { return nodes_ > document_nodes_max; }

  // Recursion is bounded by Value::depth_max.
  Lines scan() {
    skip_space();
    const int line = line_;
    if (++nodes_ > document_nodes_max) return Lines(line);
    const char c = text_[at_];
    if (c == '{' || c == '[') return {line, scan_children(c == '{')};
    if (c == '"') {
      skip_string();
    } else {
      while (at_ < text_.size() && !is_delimiter(text_[at_])) ++at_;
    }
    return Lines(line);
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  static bool is_delimiter(char c) { return is_space(c) || c == ',' || c == ']' || c == '}'; }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) {
      if (text_[at_] == '\n') ++line_;
      ++at_;
    }
  }

  void skip_string() {
    for (++at_; text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    ++at_;
  }

  std::vector<Lines> scan_children(bool is_object) {
    std::vector<Lines> children;
    do {
      ++at_;  // the bracket or comma
      skip_space();
      if (text_[at_] == ']' || text_[at_] == '}') break;
      const int line = line_;
      if (is_object) {
        skip_string();
        skip_space();
        ++at_;  // the colon
      }
      children.push_back(scan());
      if (is_beyond_bound()) return children;
      children.back().line = line;
      skip_space();
    } while (text_[at_] == ',');
    ++at_;
    return children;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::size_t nodes_ = 0;
};

// Whether `path` is `prefix` or goes on below it.
bool is_at_or_below(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return false;
  return path.size() == prefix.size() || path[prefix.size()] == '.' || path[prefix.size()] == '[';
}

}  // namespace

Result<Lines> json_lines(std::string_view text) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  LineScanner scanner(text);
  auto lines = scanner.scan();
  if (scanner.is_beyond_bound()) {
    return text_error(1, 1, fmt::format("more than {} values", document_nodes_max));
  }
  return lines;
}

int line_at(const Document& document, std::string_view path) {
  const Value* value = &document.value;
  const Lines* lines = &document.lines;
  std::string reached;
  bool descended = true;
  while (descended && reached.size() < path.size()) {
    descended = false;
    const auto known = lines->children == nullptr ? 0 : lines->children->size();
    for (std::size_t i = 0; i < value->size() && i < known && !descended; ++i) {
      auto below = reached;
      if (value->is_object()) {
        append_path_key(below, value->members()[i].key);
      } else {
        append_path_index(below, i);
      }
      if (!is_at_or_below(path, below)) continue;
      reached = std::move(below);
      value = value->is_object() ? &value->members()[i].value : &value->items()[i];
      lines = &(*lines->children)[i];
      descended = true;
    }
  }
  return lines->line;
}

Error text_error(int line, int column, std::string_view message) {
  return error(Code::invalid_input, "line {}, column {}: {}", line, column, message)
      .with("line", line)
      .with("column", column);
}

}  // namespace clew
