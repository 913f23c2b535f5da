#include "clew/base/value.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>

namespace clew {

namespace {

static_assert(sizeof(Value) == 16);

constexpr std::size_t scalar_bytes = 16;
constexpr std::size_t string_header_bytes = 16;
constexpr std::size_t tree_header_bytes = 32;
constexpr std::size_t key_header_bytes = 32;

// Sharing makes sums that no memory could hold: thirty arrays that hold each other twice.
std::size_t saturating_add(std::size_t a, std::size_t b) {
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  return b > most - a ? most : a + b;
}

struct Extent {
  std::size_t bytes = 0;  // of the children
  int depth = 1;          // with the parent

  void add(const Value& child) {
    bytes = saturating_add(bytes, child.byte_size());
    depth = std::max(depth, child.depth() + 1);
  }
};

// Positions of `members` in order of their keys; equal keys in the order given.
void sort_positions(std::span<const Member> members, std::span<std::uint32_t> positions) {
  std::iota(positions.begin(), positions.end(), 0U);
  std::sort(positions.begin(), positions.end(), [members](std::uint32_t a, std::uint32_t b) {
    const int order = members[a].key.compare(members[b].key);
    return order != 0 ? order < 0 : a < b;
  });
}

constexpr auto none = std::numeric_limits<std::size_t>::max();

// The first member whose key occurred before, or `none`. For few members.
std::size_t find_duplicate(std::span<const Member> members) {
  for (std::size_t later = 1; later < members.size(); ++later)
    for (std::size_t earlier = 0; earlier < later; ++earlier)
      if (members[later].key == members[earlier].key) return later;
  return none;
}

// The same for any number of members, given their sorted positions.
std::size_t find_duplicate(std::span<const Member> members,
                           std::span<const std::uint32_t> positions) {
  std::size_t found = none;
  for (std::size_t i = 1; i < positions.size(); ++i)
    if (members[positions[i]].key == members[positions[i - 1]].key)
      found = std::min<std::size_t>(found, positions[i]);
  return found;
}

void check_unique(std::span<const Member> members, std::size_t duplicate) {
  if (duplicate != none) [[unlikely]] {
    check_failed("keys of an object are unique", members[duplicate].key);
  }
}

struct Freed {
  void operator()(void* memory) const { ::operator delete(memory); }
};
using Memory = std::unique_ptr<void, Freed>;

}  // namespace

Value::Value(double value) : kind_(Kind::real) {
  CLEW_CHECK(std::isfinite(value));
  payload_.real = value;
}

Value::Value(std::string_view text) : kind_(Kind::string) {
  payload_.node = nullptr;
  if (text.empty()) return;
  void* memory = ::operator new(sizeof(Node) + text.size());
  payload_.node = ::new (memory) Node{.refs = 1, .size = text.size()};
  std::memcpy(static_cast<std::byte*>(memory) + sizeof(Node), text.data(), text.size());
}

Value Value::take_array(std::span<Value> items) {
  Value made;
  made.kind_ = Kind::array;
  made.payload_.node = nullptr;
  if (items.empty()) return made;

  Extent extent;
  for (const Value& item : items) extent.add(item);
  CLEW_CHECK(extent.depth <= depth_limit);

  void* memory = ::operator new(sizeof(TreeNode) + items.size_bytes());
  auto* node = ::new (memory) TreeNode{
      {.refs = 1, .size = items.size()}, extent.bytes, static_cast<std::uint32_t>(extent.depth)};
  std::uninitialized_move(items.begin(), items.end(), reinterpret_cast<Value*>(node + 1));
  made.payload_.node = node;
  return made;
}

Value Value::array(std::vector<Value> items) { return take_array(items); }

Value Value::take_object(std::span<Member> members) {
  Value made;
  made.kind_ = Kind::object;
  made.payload_.node = nullptr;
  if (members.empty()) return made;

  Extent extent;
  for (const Member& member : members) {
    extent.bytes = saturating_add(extent.bytes, key_header_bytes + member.key.size());
    extent.add(member.value);
  }
  CLEW_CHECK(extent.depth <= depth_limit);
  CLEW_CHECK(members.size() <= std::numeric_limits<std::uint32_t>::max());

  const bool indexed = members.size() > linear_max;
  const std::size_t index_at = sizeof(TreeNode) + members.size_bytes();
  Memory memory(::operator new(index_at + (indexed ? members.size() : 0) * sizeof(std::uint32_t)));
  if (indexed) {
    auto* first =
        reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(memory.get()) + index_at);
    std::uninitialized_default_construct_n(first, members.size());
    const std::span positions(first, members.size());
    sort_positions(members, positions);
    check_unique(members, find_duplicate(members, positions));
  } else {
    check_unique(members, find_duplicate(members));
  }

  auto* node = ::new (memory.release()) TreeNode{
      {.refs = 1, .size = members.size()}, extent.bytes, static_cast<std::uint32_t>(extent.depth)};
  std::uninitialized_move(members.begin(), members.end(), reinterpret_cast<Member*>(node + 1));
  made.payload_.node = node;
  return made;
}

Value Value::object(std::vector<Member> members) { return take_object(members); }

Value Value::object(std::initializer_list<std::pair<std::string_view, Value>> members) {
  std::vector<Member> made;
  made.reserve(members.size());
  for (const auto& [key, value] : members) made.push_back({std::string(key), value});
  return take_object(made);
}

bool Value::has_unique_keys(std::span<const Member> members, std::string_view* duplicate) {
  std::size_t found = none;
  if (members.size() <= linear_max) {
    found = find_duplicate(members);
  } else {
    CLEW_CHECK(members.size() <= std::numeric_limits<std::uint32_t>::max());
    std::vector<std::uint32_t> positions(members.size());
    sort_positions(members, positions);
    found = find_duplicate(members, positions);
  }
  if (found == none) return true;
  if (duplicate != nullptr) *duplicate = members[found].key;
  return false;
}

void Value::destroy(Node* node, Kind kind) noexcept {
  if (kind != Kind::string) {
    auto* tree = static_cast<TreeNode*>(node);
    if (kind == Kind::array) {
      std::destroy_n(reinterpret_cast<Value*>(tree + 1), tree->size);
    } else {
      std::destroy_n(reinterpret_cast<Member*>(tree + 1), tree->size);
    }
  }
  ::operator delete(node);
}

const std::uint32_t* Value::index() const {
  return reinterpret_cast<const std::uint32_t*>(reinterpret_cast<const Member*>(tree() + 1) +
                                                tree()->size);
}

const Value* Value::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  const auto all = members();
  if (all.size() <= linear_max) {
    for (const Member& member : all)
      if (member.key == key) return &member.value;
    return nullptr;
  }
  const std::span positions(index(), all.size());
  const auto at = std::lower_bound(positions.begin(), positions.end(), key,
                                   [all](std::uint32_t position, std::string_view wanted) {
                                     return all[position].key < wanted;
                                   });
  return at != positions.end() && all[*at].key == key ? &all[*at].value : nullptr;
}

std::size_t Value::byte_size() const {
  switch (kind_) {
    case Kind::null:
    case Kind::boolean:
    case Kind::integer:
    case Kind::real:
      return scalar_bytes;
    case Kind::string:
      return payload_.node == nullptr ? scalar_bytes
                                      : scalar_bytes + string_header_bytes + payload_.node->size;
    case Kind::array:
    case Kind::object:
      return payload_.node == nullptr
                 ? scalar_bytes
                 : saturating_add(scalar_bytes + tree_header_bytes, tree()->bytes);
  }
  check_failed("a value has a known kind", {});
}

bool Value::same_members(const Value& a, const Value& b) {
  const auto left = a.members();
  const auto right = b.members();
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    // Most objects that are compared were made alike, in the same order.
    const Value* other = left[i].key == right[i].key ? &right[i].value : b.find(left[i].key);
    if (other == nullptr || !(left[i].value == *other)) return false;
  }
  return true;
}

bool operator==(const Value& a, const Value& b) {
  if (a.kind_ != b.kind_) return false;
  if (a.kind_ >= Value::Kind::string && a.payload_.node == b.payload_.node) return true;
  switch (a.kind_) {
    case Value::Kind::null:
      return true;
    case Value::Kind::boolean:
      return a.payload_.boolean == b.payload_.boolean;
    case Value::Kind::integer:
      return a.payload_.integer == b.payload_.integer;
    case Value::Kind::real:
      return a.payload_.real == b.payload_.real;
    case Value::Kind::string:
      return a.as_string() == b.as_string();
    case Value::Kind::array:
      return std::ranges::equal(a.items(), b.items());
    case Value::Kind::object:
      return Value::same_members(a, b);
  }
  check_failed("a value has a known kind", {});
}

std::string_view name(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::null:
      return "null";
    case Value::Kind::boolean:
      return "boolean";
    case Value::Kind::integer:
      return "integer";
    case Value::Kind::real:
      return "number";
    case Value::Kind::string:
      return "string";
    case Value::Kind::array:
      return "array";
    case Value::Kind::object:
      return "object";
  }
  check_failed("a kind is known", {});
}

}  // namespace clew
