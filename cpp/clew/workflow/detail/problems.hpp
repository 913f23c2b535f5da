// workflow/detail/problems.hpp: everything that is wrong in one definition.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/document.hpp"
#include "clew/workflow/definition.hpp"

namespace clew::workflow::detail {

// Collects problems and finds their lines. Borrows the document. Confined.
class Problems {
 public:
  static constexpr std::size_t problems_max = 100;  // later ones are left out

  explicit Problems(const Document& document) : document_(document) {}

  void add(std::string_view path, std::string message, std::string suggestion = {});
  // "expected …, got …".
  void add(std::string_view path, const Value& value, std::string_view expected);
  // An error with a path of its own, else that of `path`.
  void add(const Error& error, std::string_view path);
  // Each key of `object` must be one of `known`.
  void check_keys(const Value& object, std::string_view path,
                  std::span<const std::string_view> known);

  bool empty() const { return found_.empty(); }
  // Ordered by line, then path.
  std::vector<Problem> take();

 private:
  const Document& document_;
  std::vector<Problem> found_;
};

std::string join_path(std::string_view path, std::string_view key);
// "a, b, c".
std::string list_of(std::span<const std::string_view> words);

}  // namespace clew::workflow::detail
