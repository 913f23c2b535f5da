// session/detail/operations.hpp: what the tables of operations are made of.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/session/detail/fields.hpp"
#include "clew/session/operations.hpp"

namespace clew::session::detail {

struct Operation {
  std::string_view name;
  Result<Value> (*run)(const Stores& stores, Fields& arguments);
};

std::span<const Operation> session_operations();
std::span<const Operation> host_operations();  // triggers and attachments

// From 1, 1000 when absent.
Result<int> limit_of(Fields& in);
Result<std::vector<std::string>> ids_of(Fields& in, std::string_view key);

inline Value as_value(bool value) { return value; }
inline Value as_value(std::int64_t value) { return value; }
inline Value as_value(const std::string& value) { return Value(value); }
template <typename T>
  requires requires(const T& record) { to_value(record); }
Value as_value(const T& record) {
  return to_value(record);
}
template <typename T>
Value as_value(const std::vector<T>& all) {
  std::vector<Value> values;
  values.reserve(all.size());
  for (const auto& each : all) values.push_back(as_value(each));
  return Value::array(std::move(values));
}
template <typename T>
Value as_value(const std::optional<T>& record) {
  return record ? as_value(*record) : Value();
}

template <typename T>
Result<Value> valued(const Result<T>& done) {
  if (!done) return done.error();
  if constexpr (std::is_void_v<T>) {
    return Value();
  } else {
    return as_value(*done);
  }
}

}  // namespace clew::session::detail
