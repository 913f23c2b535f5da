#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "clew/base/json.hpp"

namespace clew {

namespace {

// What went wrong and after how many bytes.
struct Failure {
  std::size_t offset = 0;
  std::string message;
};

// A forward iterator over the text that tells how far it was read, for errors that only our own
// handler sees.
class Cursor {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Cursor(const char* at, const char** progress) : at_(at), progress_(progress) {}
  reference operator*() const { return *at_; }
  Cursor& operator++() {
    *progress_ = ++at_;
    return *this;
  }
  Cursor operator++(int) {
    Cursor old(*this);
    ++*this;
    return old;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at_ == b.at_; }

 private:
  const char* at_;
  const char** progress_;
};

// Builds a Value from the events of nlohmann's parser, bottom up. Each returns false to stop, with
// the failure noted. The children of all open containers lie on two stacks.
class Builder {
 public:
  Builder(std::string_view text, int depth_max) : text_(text), depth_max_(depth_max) {}

  const char** progress() { return &progress_; }
  const std::optional<Failure>& failure() const { return failure_; }
  Value take_root() { return std::move(root_); }

  bool null() { return add(Value()); }
  bool boolean(bool value) { return add(Value(value)); }
  bool number_integer(std::int64_t value) { return add(Value(value)); }
  bool number_unsigned(std::uint64_t value) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return fail_number("an integer beyond 64 bits");
    }
    return add(Value(static_cast<std::int64_t>(value)));
  }
  bool number_float(double value, const std::string& text) {
    // Integers that fit no 64 bits arrive here too, already rounded.
    if (text.find_first_of(".eE") == std::string::npos) {
      return fail_number("an integer beyond 64 bits");
    }
    return add(Value(value));
  }
  bool string(const std::string& text) { return add(Value(std::string_view(text))); }
  bool binary(const nlohmann::json::binary_t&) { return fail(read(), "binary data"); }

  bool start_object(std::size_t) { return open(false, members_.size()); }
  bool start_array(std::size_t) { return open(true, values_.size()); }
  bool key(std::string& key) {
    members_.push_back({std::move(key), Value()});
    key_ends_.push_back(last_read());
    return true;
  }
  bool end_object();
  bool end_array();
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& problem);

 private:
  struct Open {
    bool is_array;
    std::size_t first;  // of its children, on the stack of its kind
  };

  std::size_t read() const {
    return progress_ == nullptr ? 0 : static_cast<std::size_t>(progress_ - text_.data());
  }
  std::size_t last_read() const { return std::max<std::size_t>(read(), 1) - 1; }
  std::string path_of_last() const;

  bool fail(std::size_t offset, std::string message) {
    failure_ = Failure{std::min(offset, text_.size()), std::move(message)};
    return false;
  }
  // The parser has read on to learn where the number ends.
  bool fail_number(std::string message) {
    std::size_t offset = last_read();
    while (offset > 0 && (text_[offset] < '0' || text_[offset] > '9')) --offset;
    return fail(offset, std::move(message));
  }

  bool open(bool is_array, std::size_t first) {
    if (open_.size() >= static_cast<std::size_t>(std::max(depth_max_, 0))) {
      return fail(last_read(), fmt::format("nesting deeper than {}", depth_max_));
    }
    open_.push_back({is_array, first});
    return true;
  }

  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_array) {
      values_.push_back(std::move(value));
    } else {
      members_.back().value = std::move(value);
    }
    return true;
  }

  const std::string_view text_;
  const int depth_max_;
  const char* progress_ = nullptr;
  std::optional<Failure> failure_;
  Value root_;
  std::vector<Open> open_;
  std::vector<Value> values_;
  std::vector<Member> members_;
  std::vector<std::size_t> key_ends_;  // where each key of members_ ends in the text
};

bool Builder::end_object() {
  const std::size_t first = open_.back().first;
  const std::span members(members_.data() + first, members_.size() - first);
  std::string_view duplicate;
  if (!Value::has_unique_keys(members, &duplicate)) {
    const auto at = std::ranges::find_if(
        members, [&](const Member& member) { return member.key.data() == duplicate.data(); });
    const auto position = first + static_cast<std::size_t>(at - members.begin());
    members_.resize(position + 1);
    return fail(key_ends_[position], fmt::format("duplicate key {}", path_of_last()));
  }
  Value object = Value::take_object(members);
  members_.resize(first);
  key_ends_.resize(first);
  open_.pop_back();
  return add(std::move(object));
}

bool Builder::end_array() {
  const std::size_t first = open_.back().first;
  Value array = Value::take_array({values_.data() + first, values_.size() - first});
  values_.resize(first);
  open_.pop_back();
  return add(std::move(array));
}

// The path of the member or element that was read last.
std::string Builder::path_of_last() const {
  std::string path;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    // The child that is being read is the last one before the next open container of this kind.
    const auto next =
        std::find_if(open_.begin() + static_cast<std::ptrdiff_t>(i) + 1, open_.end(),
                     [&](const Open& other) { return other.is_array == open_[i].is_array; });
    if (open_[i].is_array) {
      append_path_index(path,
                        (next == open_.end() ? values_.size() : next->first) - open_[i].first);
    } else {
      append_path_key(path,
                      members_[(next == open_.end() ? members_.size() : next->first) - 1].key);
    }
  }
  return path;
}

// The parser's own words, without their position (ours has more) and without the token, which may
// be long or no UTF-8.
std::string words_of(std::string_view problem) {
  const auto syntax = problem.find("syntax error");
  if (syntax == std::string_view::npos) return "syntax error";
  problem.remove_prefix(syntax);
  if (const auto dash = problem.find(" - "); dash != std::string_view::npos) {
    problem.remove_prefix(dash + 3);
  }
  return std::string(problem.substr(0, problem.find("; last read:")));
}

bool Builder::parse_error(std::size_t position, const std::string&,
                          const nlohmann::json::exception& problem) {
  const std::size_t offset = std::max<std::size_t>(position, 1) - 1;
  if (dynamic_cast<const nlohmann::json::out_of_range*>(&problem) != nullptr) {
    return fail_number("a number beyond double");
  }
  return fail(offset, words_of(problem.what()));
}

Error located(std::string_view text, const Failure& failure) {
  const std::string_view before = text.substr(0, failure.offset);
  const auto line = 1 + std::ranges::count(before, '\n');
  const auto line_start = before.rfind('\n');  // npos + 1 is 0
  const auto column = 1 + std::ranges::count_if(before.substr(line_start + 1), [](char c) {
                        return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
                      });
  return error(Code::invalid_input, "invalid JSON at line {}, column {}: {}", line, column,
               failure.message)
      .with("offset", static_cast<std::int64_t>(failure.offset))
      .with("line", static_cast<std::int64_t>(line))
      .with("column", static_cast<std::int64_t>(column));
}

}  // namespace

Result<Value> parse_json(std::string_view text, const ParseLimits& limits) {
  if (text.size() > limits.bytes_max) {
    return located(text, {limits.bytes_max, fmt::format("{} bytes of text, more than the bound {}",
                                                        text.size(), limits.bytes_max)});
  }
  // The parser takes a zero byte for the end of the text.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
    return located(text, {zero, "a zero byte"});
  }
  Builder builder(text, std::min(limits.depth_max, Value::depth_limit));
  const Cursor first(text.data(), builder.progress());
  const Cursor last(text.data() + text.size(), builder.progress());
  nlohmann::json::sax_parse(first, last, &builder);
  if (builder.failure()) return located(text, *builder.failure());
  return builder.take_root();
}

}  // namespace clew
