// base/document.hpp: a document's text as data that still knows its lines.
#pragma once

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "clew/base/result.hpp"
#include "clew/base/value.hpp"

namespace clew {

inline constexpr std::size_t document_bytes_max = 8U << 20U;
inline constexpr std::size_t document_nodes_max = 100'000;

// Where each part of a value was written, in the shape of the value. A value; copies share.
struct Lines {
  int line = 0;  // from 1; of a member, its key's line; 0 when unknown
  std::shared_ptr<const std::vector<Lines>> children;  // of the items or members; null: none

  Lines() = default;
  explicit Lines(int own) : line(own) {}
  Lines(int own, std::vector<Lines> below)
      : line(own), children(std::make_shared<const std::vector<Lines>>(std::move(below))) {}
};

// Data and its lines. A value.
struct Document {
  Value value;
  Lines lines;
};

// Reads JSON or YAML (1.2, core schema). Bounds: 8 MiB, depth 128, 100,000 nodes with aliases
// expanded. Duplicate keys, non-string keys, merge keys, numbers beyond 64 bits and tags outside
// the core schema are errors, as is what is neither. Error `invalid_input` whose context has
// `line` and `column`, both from 1.
Result<Document> parse_document(std::string_view text);
// The same without the lines.
Result<Value> parse_yaml(std::string_view text);

// The lines of a JSON text that parse_json() has accepted. Error: more than document_nodes_max
// nodes.
Result<Lines> json_lines(std::string_view text);

// The line of the part at `path` ("steps.list.call"), or of the innermost part around it.
int line_at(const Document& document, std::string_view path);

// `invalid_input` at that place: "line 3, column 1: …".
Error text_error(int line, int column, std::string_view message);

}  // namespace clew
