// The ways in to a definition.
#include "clew/base/document.hpp"
#include "clew/workflow/definition.hpp"
#include "clew/workflow/detail/check.hpp"

namespace clew::workflow {

Loaded load_text(std::string_view text) {
  auto document = parse_document(text);
  if (document) return detail::check(*document);
  const auto& error = document.error();
  const auto line = static_cast<int>(error.find("line")->as_int());
  std::string_view message = error.message();  // a problem says its line apart
  const auto prefix = fmt::format("line {}, ", line);
  if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  return {nullptr, {{"", line, std::string(message), ""}}};
}

Loaded load_value(const Value& document) { return detail::check({document, {}}); }

}  // namespace clew::workflow
