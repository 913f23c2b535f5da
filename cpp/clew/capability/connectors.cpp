#include "clew/capability/connectors.hpp"

#include <algorithm>
#include <array>

#include "clew/base/json.hpp"
#include "clew/capability/detail/dispatch_core.hpp"
#include "clew/capability/dispatch.hpp"

namespace clew {
namespace {

// A member is refused when one of the words of its name is among these.
constexpr std::array<std::string_view, 18> forbidden_words = {
    "secret",     "secrets",    "token",       "tokens",        "password", "passwd",
    "passphrase", "credential", "credentials", "authorization", "apikey",   "key",
    "keys",       "cookie",     "path",        "paths",         "endpoint", "endpoints"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

// Whether a word of `name` is forbidden: "api_key", "apiKey" and "API-KEY" have the word "key".
bool is_forbidden(std::string_view name) {
  std::string word;
  const auto found = [&] {
    return std::ranges::find(forbidden_words, word) != forbidden_words.end();
  };
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool begins = is_upper(c) && i > 0 && !is_upper(name[i - 1]);
    if (!is_letter(c) || begins) {
      if (found()) return true;
      word.clear();
    }
    if (is_letter(c)) word += static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
  }
  return found();
}

// "scheme://user:password@host", anywhere in the text.
bool has_userinfo(std::string_view text) {
  constexpr std::string_view separator = "://";
  for (auto at = text.find(separator); at != std::string_view::npos;
       at = text.find(separator, at + 1)) {
    const auto rest = text.substr(at + separator.size());
    const auto authority = rest.substr(0, rest.find_first_of("/?# \t\r\n\"'<>"));
    if (authority.find('@') != std::string_view::npos) return true;
  }
  return false;
}

bool is_absolute_path(std::string_view text) {
  const bool drive = text.size() > 2 && is_letter(text[0]) && text[1] == ':' &&
                     (text[2] == '\\' || text[2] == '/');
  return drive || text.starts_with('/') || text.starts_with("~/") || text.starts_with("file:");
}

bool has_private_key(std::string_view text) {
  const auto begin = text.find("-----BEGIN ");
  return begin != std::string_view::npos &&
         text.find("PRIVATE KEY-----", begin) != std::string_view::npos;
}

Error forbidden(const std::string& path, std::string_view what) {
  return error(Code::invalid_input, "{}: {} must not cross between a capability and a connector",
               path, what)
      .with("path", path)
      .with("expected", "nothing secret and no place of the host")
      .with("reason", "forbidden");
}

Result<void> check_text(std::string_view text, const std::string& path) {
  if (has_private_key(text)) return forbidden(path, "a private key");
  if (has_userinfo(text)) return forbidden(path, "a URL with user information");
  if (is_absolute_path(text)) return forbidden(path, "an absolute path");
  return {};
}

Result<void> check_at(const Value& value, std::string& path) {
  const auto length = path.size();
  if (value.is_string()) return check_text(value.as_string(), path);
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      append_path_index(path, i);
      CLEW_TRY(check_at(value.items()[i], path));
      path.resize(length);
    }
  }
  if (value.is_object()) {
    for (const auto& [key, item] : value.members()) {
      append_path_key(path, key);
      if (is_forbidden(key)) return forbidden(path, "a member of that name");
      CLEW_TRY(check_at(item, path));
      path.resize(length);
    }
  }
  return {};
}

Error with_facts(Error why, std::string_view name, std::string_view reason) {
  return why.with("connector", name).with("reason", reason);
}

}  // namespace

Result<void> check_crossing(const Value& value, std::string_view path) {
  std::string at(path);
  return check_at(value, at);
}

Result<void> Connectors::add(const std::string& name, Version version,
                             std::shared_ptr<const Handler> handler,
                             std::optional<Duration> timeout) {
  auto made = std::make_shared<Capability>();
  CLEW_TRY(const auto reference, Reference::parse(name, "name"));
  if (reference.kind != Reference::Kind::bare) {
    return invalid_input("name", Value(name), "a name without a version");
  }
  made->contract.id = "connector." + name;
  made->contract.version = std::move(version);
  made->contract.summary = "a connector";
  made->contract.timeout = timeout;
  made->version_text = made->contract.version.to_string();
  made->digest = to_hex(digest_of(made->contract.to_document()));
  made->handler = std::move(handler);
  CLEW_TRY(made->inputs, Schema::compile(Value(true), "inputs"));
  made->outputs = made->inputs;

  const Lock lock(mutex_);
  auto& versions = bound_[name];
  const auto place = std::ranges::find_if(versions, [&](const CapabilityPtr& other) {
    return other->contract.version <= made->contract.version;
  });
  if (place != versions.end() && (*place)->contract.version == made->contract.version) {
    return error(Code::conflict, "connector {} {} is bound already", name, made->version_text)
        .with("connector", name);
  }
  versions.insert(place, std::move(made));
  return {};
}

Result<CapabilityPtr> Connectors::find(const Requirement& needed) const {
  const Lock lock(mutex_);
  const auto bound = bound_.find(needed.name);
  if (bound == bound_.end()) {
    return with_facts(error(Code::not_found, "no connector \"{}\" is bound", needed.name),
                      needed.name, "unbound");
  }
  for (const auto& each : bound->second) {
    if (needed.range.matches(each->contract.version)) return each;
  }
  return with_facts(error(Code::conflict, "connector \"{}\" is bound as {}, which is not {}",
                          needed.name, bound->second.front()->version_text, needed.range.text()),
                    needed.name, "incompatible");
}

Result<void> Connectors::check(const Contract& contract) const {
  for (const auto& needed : contract.connectors) CLEW_TRY(find(needed));
  return {};
}

Result<Value> Connectors::invoke(Invocation& call, const std::string& name, Value request,
                                 Timestamp deadline) {
  const auto& contract = call.capability()->contract;
  const auto needed = std::ranges::find(contract.connectors, name, &Requirement::name);
  if (needed == contract.connectors.end()) {
    return with_facts(invalid_input("connector", Value(name),
                                    fmt::format("one that the contract of {} names", contract.id)),
                      name, "undeclared");
  }
  Request nested;
  CLEW_TRY(nested.capability, find(*needed));
  CLEW_TRY(check_crossing(request, "request"));
  nested.input = Value::object({{"request", std::move(request)}});
  nested.parent = call.shared_from_this();
  nested.deadline = deadline;
  auto outcome = dispatcher_.execute(std::move(nested));
  if (!outcome.result) return outcome.result.error().with("connector", name);
  CLEW_TRY(check_crossing(*outcome.result, "response"));
  return std::move(outcome.result);
}

Result<Value> Invocation::connect(const std::string& name, Value request, Timestamp deadline) {
  CLEW_CHECK(core_->connectors != nullptr);  // it runs, so its dispatcher lives
  return core_->connectors->invoke(*this, name, std::move(request), deadline);
}

void Connectors::clear() {
  decltype(bound_) gone;  // released outside the lock
  const Lock lock(mutex_);
  bound_.swap(gone);
}

}  // namespace clew
