// base/value.hpp: the one form in which data travels through Clew.
#pragma once

#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "clew/base/check.hpp"

namespace clew {

struct Member;

// An immutable JSON value: null, boolean, exact 64-bit integer, double, string, array or object.
// A value type of 16 bytes; copies share the content through a reference count, so passing one
// costs no more than a pointer. Immutable, hence safe to share between threads.
// Objects keep the order in which members were given and hold each key once.
// Checked by whoever makes values out of foreign data (the parser, the Python walk): strings and
// keys are UTF-8, and nesting is at most `depth_max`.
// Scalars and empty strings, arrays and objects need no memory; every other string, array or
// object is one allocation.
class Value {
 public:
  enum class Kind : std::uint8_t { null, boolean, integer, real, string, array, object };
  // How deep foreign data may nest.
  static constexpr int depth_max = 128;
  // How deep any value may nest: room for the records that wrap foreign data. Going beyond fails a
  // CLEW_CHECK, so that recursion over a value (printing, comparing, destroying) is bounded.
  static constexpr int depth_limit = depth_max + 32;

  Value() noexcept : kind_(Kind::null) { payload_.integer = 0; }
  Value(std::nullptr_t) noexcept : Value() {}
  Value(bool value) noexcept : kind_(Kind::boolean) { payload_.boolean = value; }
  Value(int value) noexcept : Value(static_cast<std::int64_t>(value)) {}
  Value(std::int64_t value) noexcept : kind_(Kind::integer) { payload_.integer = value; }
  // A real must be finite: NaN and infinities have no JSON form and fail a CLEW_CHECK.
  Value(double value);
  Value(std::string_view text);
  Value(const std::string& text) : Value(std::string_view(text)) {}
  Value(const char* text) : Value(std::string_view(text)) {}
  // Any other pointer would silently become a boolean.
  template <typename T>
    requires(!std::is_same_v<std::remove_cv_t<T>, char>)
  Value(T*) = delete;

  // All of these move what they are given. A CLEW_CHECK that fails leaves it untouched.
  static Value array(std::vector<Value> items);
  // Keys must be unique (CLEW_CHECK): whoever parses foreign data rejects duplicates first.
  static Value object(std::vector<Member> members);
  static Value object(std::initializer_list<std::pair<std::string_view, Value>> members);
  // The same for a part of a buffer that the caller uses again: the elements are moved out of it.
  static Value take_array(std::span<Value> items);
  static Value take_object(std::span<Member> members);

  // For those who build objects from foreign data. When false and `duplicate` is given, it is set
  // to the first key that occurred before; the view points into `members`.
  static bool has_unique_keys(std::span<const Member> members,
                              std::string_view* duplicate = nullptr);

  Value(const Value& other) noexcept;
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other) noexcept;
  Value& operator=(Value&& other) noexcept;
  ~Value() { release(); }

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool is_bool() const { return kind_ == Kind::boolean; }
  bool is_int() const { return kind_ == Kind::integer; }
  bool is_real() const { return kind_ == Kind::real; }
  bool is_number() const { return is_int() || is_real(); }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  // Each reads a value of that kind; another kind fails a CLEW_CHECK. Views live as long as any
  // Value that shares this content.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_real() const;  // also reads an integer, rounded
  std::string_view as_string() const;
  std::span<const Value> items() const;
  std::span<const Member> members() const;

  // The member's value, or nullptr when this is no object or has no such key.
  const Value* find(std::string_view key) const;
  // Elements of an array, members of an object, else 0.
  std::size_t size() const;

  // About the bytes that this value occupies, itself included, shared parts counted each time:
  // 16 for a scalar. The same on every platform. Saturates. O(1).
  std::size_t byte_size() const;
  // 0 for a scalar, else one more than the deepest child. O(1).
  int depth() const;

  // Identity: 1 and 1.0 differ; the order of members does not matter; 0.0 equals -0.0.
  friend bool operator==(const Value& a, const Value& b);

 private:
  // What a string, array or object shares. The characters of a string follow the Node.
  struct Node {
    std::atomic<std::uint64_t> refs{1};
    std::size_t size;
  };
  // The Values of an array, or the Members of an object, follow the TreeNode. An object with more
  // than `linear_max` members then has an index: their positions (std::uint32_t) in order of keys.
  struct TreeNode : Node {
    std::size_t bytes;
    std::uint32_t depth;
  };
  static constexpr std::size_t linear_max = 8;

  // Null for scalars and for empty strings, arrays and objects.
  Node* node() const { return kind_ >= Kind::string ? payload_.node : nullptr; }
  const TreeNode* tree() const { return static_cast<const TreeNode*>(node()); }
  const std::uint32_t* index() const;
  void release() noexcept {
    Node* held = node();
    // The load spares the only owner an atomic write.
    if (held != nullptr && (held->refs.load(std::memory_order_acquire) == 1 ||
                            held->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)) {
      destroy(held, kind_);
    }
  }
  static void destroy(Node* node, Kind kind) noexcept;
  static bool same_members(const Value& a, const Value& b);

  Kind kind_;
  union {
    bool boolean;
    std::int64_t integer;
    double real;
    Node* node;
  } payload_;
};

// One entry of an object.
struct Member {
  std::string key;
  Value value;
  friend bool operator==(const Member&, const Member&) = default;
};

// "null", "boolean", "integer", "number", "string", "array", "object": JSON Schema's words.
std::string_view name(Value::Kind kind);

// Only definitions follow.

inline Value::Value(const Value& other) noexcept : kind_(other.kind_), payload_(other.payload_) {
  if (Node* shared = node()) shared->refs.fetch_add(1, std::memory_order_relaxed);
}

inline Value::Value(Value&& other) noexcept : kind_(other.kind_), payload_(other.payload_) {
  other.kind_ = Kind::null;
}

inline Value& Value::operator=(const Value& other) noexcept {
  // The old content is released last: `other` may be a part of it.
  Value copy(other);
  std::swap(kind_, copy.kind_);
  std::swap(payload_, copy.payload_);
  return *this;
}

inline Value& Value::operator=(Value&& other) noexcept {
  Value taken(std::move(other));
  std::swap(kind_, taken.kind_);
  std::swap(payload_, taken.payload_);
  return *this;
}

inline bool Value::as_bool() const {
  CLEW_CHECK(is_bool());
  return payload_.boolean;
}

inline std::int64_t Value::as_int() const {
  CLEW_CHECK(is_int());
  return payload_.integer;
}

inline double Value::as_real() const {
  CLEW_CHECK(is_number());
  return is_real() ? payload_.real : static_cast<double>(payload_.integer);
}

inline std::string_view Value::as_string() const {
  CLEW_CHECK(is_string());
  if (payload_.node == nullptr) return {};
  return {reinterpret_cast<const char*>(payload_.node + 1), payload_.node->size};
}

inline std::span<const Value> Value::items() const {
  CLEW_CHECK(is_array());
  if (payload_.node == nullptr) return {};
  return {reinterpret_cast<const Value*>(tree() + 1), payload_.node->size};
}

inline std::span<const Member> Value::members() const {
  CLEW_CHECK(is_object());
  if (payload_.node == nullptr) return {};
  return {reinterpret_cast<const Member*>(tree() + 1), payload_.node->size};
}

inline std::size_t Value::size() const {
  return kind_ >= Kind::array && payload_.node != nullptr ? payload_.node->size : 0;
}

inline int Value::depth() const {
  if (kind_ < Kind::array) return 0;
  return payload_.node == nullptr ? 1 : static_cast<int>(tree()->depth);
}

}  // namespace clew
