#include "clew/base/error.hpp"

#include <algorithm>
#include <array>

#include "clew/base/check.hpp"
#include "clew/base/json.hpp"

namespace clew {

namespace {

// A value up to this size is kept whole in the context of an error, a larger one as its preview.
constexpr std::size_t kept_bytes_max = 1024;

constexpr std::array all_codes = {
    Code::invalid_input, Code::not_found,          Code::conflict,         Code::ambiguous,
    Code::rejected,      Code::no_eligible_target, Code::execution_failed, Code::timeout,
    Code::cancelled,     Code::resource_exhausted, Code::unknown_outcome,  Code::stale_lease,
    Code::corrupt,       Code::unavailable,        Code::unsupported,      Code::closed,
    Code::internal,
};

constexpr std::size_t text_bytes_max = std::size_t{16} << 10U;

bool is_long(const Value& value) { return value.byte_size() > text_bytes_max; }

// Cut between two characters, and saying so.
std::string cut(std::string_view text) {
  if (text.size() <= text_bytes_max) return std::string(text);
  auto end = text_bytes_max - 64;  // room for the note
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return fmt::format("{}… ({} bytes more)", text.substr(0, end), text.size() - end);
}

Value kept(const Value& value) {
  return value.byte_size() <= kept_bytes_max ? value : Value(preview(value));
}

}  // namespace

std::string_view name(Code code) {
  switch (code) {
    case Code::invalid_input:
      return "invalid_input";
    case Code::not_found:
      return "not_found";
    case Code::conflict:
      return "conflict";
    case Code::ambiguous:
      return "ambiguous";
    case Code::rejected:
      return "rejected";
    case Code::no_eligible_target:
      return "no_eligible_target";
    case Code::execution_failed:
      return "execution_failed";
    case Code::timeout:
      return "timeout";
    case Code::cancelled:
      return "cancelled";
    case Code::resource_exhausted:
      return "resource_exhausted";
    case Code::unknown_outcome:
      return "unknown_outcome";
    case Code::stale_lease:
      return "stale_lease";
    case Code::corrupt:
      return "corrupt";
    case Code::unavailable:
      return "unavailable";
    case Code::unsupported:
      return "unsupported";
    case Code::closed:
      return "closed";
    case Code::internal:
      return "internal";
  }
  check_failed("a code is known", {});
}

Code code_of(std::string_view word) {
  const auto found = std::ranges::find(all_codes, word, [](Code code) { return name(code); });
  return found == all_codes.end() ? Code::internal : *found;
}

struct Error::Data {
  Code code;
  std::string message;
  std::vector<std::pair<std::string, Value>> context;
  bool retryable;
  std::shared_ptr<const ErrorCause> cause;
};

Error::Error(Code code, std::string message, bool retryable)
    : data_(std::make_shared<const Data>(Data{code, std::move(message), {}, retryable, nullptr})) {}

Code Error::code() const { return data_->code; }
const std::string& Error::message() const { return data_->message; }
const std::vector<std::pair<std::string, Value>>& Error::context() const { return data_->context; }
bool Error::retryable() const { return data_->retryable; }
const std::shared_ptr<const ErrorCause>& Error::cause() const { return data_->cause; }

const Value* Error::find(std::string_view key) const {
  for (const auto& [name, value] : data_->context)
    if (name == key) return &value;
  return nullptr;
}

Error Error::with(std::string_view key, Value value) const {
  if (find(key) != nullptr) return *this;
  auto changed = std::make_shared<Data>(*data_);
  changed->context.emplace_back(key, std::move(value));
  Error made(*this);
  made.data_ = std::move(changed);
  return made;
}

Error Error::with_cause(std::shared_ptr<const ErrorCause> cause) const {
  auto changed = std::make_shared<Data>(*data_);
  changed->cause = std::move(cause);
  Error made(*this);
  made.data_ = std::move(changed);
  return made;
}

Error Error::with_retryable(bool retryable) const {
  auto changed = std::make_shared<Data>(*data_);
  changed->retryable = retryable;
  Error made(*this);
  made.data_ = std::move(changed);
  return made;
}

Error Error::shortened() const {
  const auto is_long_fact = [](const auto& fact) { return is_long(fact.second); };
  if (message().size() <= text_bytes_max && std::ranges::none_of(context(), is_long_fact)) {
    return *this;
  }
  auto changed = std::make_shared<Data>(*data_);
  changed->message = cut(message());
  for (auto& [key, value] : changed->context) {
    if (!is_long(value)) continue;
    value = value.is_string() ? Value(cut(value.as_string())) : Value(preview(value));
  }
  Error made(*this);
  made.data_ = std::move(changed);
  return made;
}

std::string Error::to_string() const {
  std::string out(name(code()));
  out += ": ";
  out += message();
  const char* before = " (";
  for (const auto& [key, value] : context()) {
    out += before;
    out += key;
    out += '=';
    out += preview(value);
    before = ", ";
  }
  if (!context().empty()) out += ')';
  return out;
}

Value Error::to_value() const {
  std::vector<Member> facts;
  facts.reserve(context().size());
  for (const auto& [key, value] : context()) facts.push_back({key, value});
  return Value::object({{"code", name(code())},
                        {"message", message()},
                        {"context", Value::object(std::move(facts))},
                        {"retryable", retryable()}});
}

Error Error::from_value(const Value& stored) {
  const Value* code = stored.find("code");
  const Value* message = stored.find("message");
  const Value* context = stored.find("context");
  const Value* retryable = stored.find("retryable");
  const bool well_formed = code != nullptr && code->is_string() && message != nullptr &&
                           message->is_string() && context != nullptr && context->is_object() &&
                           retryable != nullptr && retryable->is_bool();
  if (!well_formed) {
    return Error(Code::corrupt, "a stored error is not {code, message, context, retryable}")
        .with("stored", kept(stored));
  }

  auto data = std::make_shared<Data>(Data{code_of(code->as_string()),
                                          std::string(message->as_string()),
                                          {},
                                          retryable->as_bool(),
                                          nullptr});
  for (const auto& [key, value] : context->members()) data->context.emplace_back(key, value);
  Error made(Code::internal, {});
  made.data_ = std::move(data);
  return made;
}

Error invalid_input(std::string_view path, const Value& value, std::string_view expected) {
  const std::string shown = preview(value);
  auto problem = path.empty()
                     ? error(Code::invalid_input, "expected {}, got {}", expected, shown)
                     : error(Code::invalid_input, "{}: expected {}, got {}", path, expected, shown);
  return problem.with("path", path).with("value", kept(value)).with("expected", expected);
}

}  // namespace clew
