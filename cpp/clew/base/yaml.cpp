// Reads YAML. The only file that knows yaml-cpp: it turns the parser's events into a Value, so that
// aliases, depth and size are bounded while they are read.
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "clew/base/detail/scalar.hpp"
#include "clew/base/document.hpp"
#include "clew/base/json.hpp"

namespace clew {
namespace {

constexpr std::size_t expanded_bytes_max = 64U << 20U;  // of what aliases repeat
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

// Leaves the parser from inside one of its events. Caught in parse_events() below.
struct Refused {
  Error error;
};

[[noreturn]] void refuse(const YAML::Mark& mark, std::string_view message) {
  throw Refused{text_error(mark.line + 1, mark.column + 1, message)};
}

// A finished value and what it counts for.
struct Built {
  Value value;
  Lines lines;
  std::size_t nodes = 1;
};

// A collection that is still open.
struct Frame {
  bool is_map = false;
  YAML::Mark mark;
  YAML::anchor_t anchor = 0;
  std::vector<Value> items;
  std::vector<Member> members;
  std::vector<Lines> lines;
  std::size_t nodes = 1;
  bool has_key = false;
  std::string key;
  int key_line = 0;
  std::set<std::string, std::less<>> seen;
};

// Builds the value of one document from its events. Confined.
class Builder final : public YAML::EventHandler {
 public:
  Document take() { return {std::move(root_.value), std::move(root_.lines)}; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document; expected one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) refuse(mark, "a key must be a string, got null");
    count(mark, 1);
    finish(mark, anchor, {Value(), Lines(mark.line + 1), 1});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(mark, "an alias inside the value that it stands for");
    Built copy = found->second;
    if (expects_key()) return take_key(mark, copy.value);
    count(mark, copy.nodes);
    expanded_bytes_ += copy.value.byte_size();
    if (expanded_bytes_ > expanded_bytes_max) refuse(mark, "aliases repeat too much data");
    check_depth(mark, copy.value.depth());
    finish(mark, 0, std::move(copy));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const bool plain = tag == "?" || tag.empty();
    if (expects_key() && plain && text == "<<") {
      refuse(mark, "merge keys are not supported; write the members out");
    }
    auto value = plain        ? detail::resolve_plain(text)
                 : tag == "!" ? Result<Value>(Value(text))
                              : detail::resolve_tagged(tag, text);
    if (!value) refuse(mark, value.error().message());
    count(mark, 1);
    finish(mark, anchor, {std::move(value).value(), Lines(mark.line + 1), 1});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, false);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, true);
  }
  void OnMapEnd() override { close(); }

 private:
  bool expects_key() const {
    return !frames_.empty() && frames_.back().is_map && !frames_.back().has_key;
  }

  void count(const YAML::Mark& mark, std::size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > document_nodes_max) {
      refuse(mark, fmt::format("more than {} values", document_nodes_max));
    }
  }

  // What nests `below` levels here must still fit.
  void check_depth(const YAML::Mark& mark, int below) const {
    if (frames_.size() + static_cast<std::size_t>(below) > Value::depth_max) {
      refuse(mark, fmt::format("nests deeper than {}", Value::depth_max));
    }
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_map) {
    if (expects_key()) refuse(mark, "a key must be a string, got a collection");
    const std::string_view own = is_map ? "tag:yaml.org,2002:map" : "tag:yaml.org,2002:seq";
    if (!tag.empty() && tag != "?" && tag != "!" && tag != own) {
      refuse(mark, fmt::format("the tag {} is not supported here", preview(Value(tag), 60)));
    }
    check_depth(mark, 1);
    count(mark, 1);
    frames_.emplace_back();
    frames_.back().is_map = is_map;
    frames_.back().mark = mark;
    frames_.back().anchor = anchor;
  }

  void close() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    Built built;
    built.value = frame.is_map ? Value::object(std::move(frame.members))
                               : Value::array(std::move(frame.items));
    built.lines = Lines(frame.mark.line + 1, std::move(frame.lines));
    built.nodes = frame.nodes;
    finish(frame.mark, frame.anchor, std::move(built));
  }

  // Puts a finished value where it belongs: a key, a member, an item or the document.
  void finish(const YAML::Mark& mark, YAML::anchor_t anchor, Built built) {
    if (anchor != 0) anchors_.insert_or_assign(anchor, built);
    if (expects_key()) return take_key(mark, built.value);
    if (frames_.empty()) {
      root_ = std::move(built);
      return;
    }
    Frame& frame = frames_.back();
    frame.nodes += built.nodes;
    if (frame.is_map) {
      built.lines.line = frame.key_line;
      frame.members.push_back({std::exchange(frame.key, {}), std::move(built.value)});
      frame.has_key = false;
    } else {
      frame.items.push_back(std::move(built.value));
    }
    frame.lines.push_back(std::move(built.lines));
  }

  void take_key(const YAML::Mark& mark, const Value& value) {
    if (!value.is_string()) {
      refuse(mark,
             fmt::format("a key must be a string, got {}; write it in quotes", preview(value, 40)));
    }
    Frame& frame = frames_.back();
    const std::string key(value.as_string());
    if (!frame.seen.insert(key).second) {
      refuse(mark, fmt::format("the key {} occurs twice", preview(value, 60)));
    }
    frame.key = key;
    frame.key_line = mark.line + 1;
    frame.has_key = true;
  }

  Built root_{Value(), Lines(1), 1};  // of an empty text: null
  int documents_ = 0;
  std::vector<Frame> frames_;
  std::unordered_map<YAML::anchor_t, Built> anchors_;  // looked up only, never walked
  std::size_t nodes_ = 0;
  std::size_t expanded_bytes_ = 0;
};

// How many bytes the character at the front of `rest` takes; 0 unless it is UTF-8 and printable.
std::size_t printable_bytes(std::string_view rest) {
  const auto byte = [&](std::size_t i) {
    return i < rest.size() ? static_cast<unsigned char>(rest[i]) : 0U;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return (lead >= 0x20 && lead != 0x7F) || lead == '\t' || lead == '\r' ? 1 : 0;
  const std::size_t size = lead >= 0xC2 && lead < 0xE0   ? 2
                           : lead >= 0xE0 && lead < 0xF0 ? 3
                           : lead >= 0xF0 && lead < 0xF5 ? 4
                                                         : 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool beyond = (lead == 0xED && byte(1) >= 0xA0) || (lead == 0xF4 && byte(1) >= 0x90);
  return overlong || beyond ? 0 : size;
}

// The parser trusts its bytes, and takes some control characters for marks of its own.
Result<void> check_characters(std::string_view text) {
  int line = 1;
  int column = 1;
  for (std::size_t at = 0; at < text.size(); ++column) {
    if (text[at] == '\n') {
      ++line;
      column = 0;
      ++at;
      continue;
    }
    const auto bytes = printable_bytes(text.substr(at));
    if (bytes == 0) return text_error(line, column, "not UTF-8, or a control character");
    at += bytes;
  }
  return {};
}

Result<Document> parse_events(std::string_view text) {
  std::istringstream stream{std::string(text)};
  Builder builder;
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return refused.error;
  } catch (const YAML::Exception& exception) {
    return text_error(exception.mark.line + 1, exception.mark.column + 1, exception.msg);
  }
  return builder.take();
}

}  // namespace

Result<Document> parse_document(std::string_view text) {
  if (text.size() > document_bytes_max) {
    return text_error(1, 1, fmt::format("{} bytes; at most {}", text.size(), document_bytes_max));
  }
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && (text[first] == '{' || text[first] == '[')) {
    // Strict JSON has escapes that YAML lacks. What is no JSON may still be YAML.
    if (auto value = parse_json(text)) {
      CLEW_TRY(auto lines, json_lines(text));
      return Document{std::move(value).value(), std::move(lines)};
    }
  }
  CLEW_TRY(check_characters(text));
  return parse_events(text);
}

Result<Value> parse_yaml(std::string_view text) {
  CLEW_TRY(auto document, parse_document(text));
  return std::move(document.value);
}

}  // namespace clew
