// Reads contract documents and writes them: one validator, which finds all problems in one pass.
#include <algorithm>
#include <array>
#include <set>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"
#include "clew/capability/contract.hpp"

namespace clew {
namespace {

// Collects every problem of a document, so that its author sees all of them at once.
class Problems {
 public:
  explicit Problems(const Document* source = nullptr) : source_(source) {}

  void add(std::string_view code, const Error& error) {
    const auto text = [&](std::string_view key) {
      const Value* value = error.find(key);
      return value != nullptr ? *value : Value();
    };
    const Value path = text("path");
    const int line =
        source_ == nullptr || !path.is_string() ? 0 : line_at(*source_, path.as_string());
    if (!first_) first_ = line > 0 ? error.with("line", line) : error;
    all_.push_back(Value::object({{"code", Value(code)},
                                  {"path", path},
                                  {"line", line},
                                  {"value", text("value")},
                                  {"expected", text("expected")},
                                  {"message", Value(error.message())}}));
  }
  void add(std::string_view code, std::string_view path, const Value& value,
           std::string_view expected) {
    add(code, invalid_input(path, value, expected));
  }
  void add(std::string_view path, const Value& value, std::string_view expected) {
    add("invalid_value", path, value, expected);
  }
  template <typename T>
  bool take(Result<T> result, T& into) {
    if (!result) {
      add("invalid_value", result.error());
      return false;
    }
    into = std::move(result).value();
    return true;
  }
  bool any() const { return first_.has_value(); }
  // Whether something is wrong with a field of the document.
  bool touch(std::string_view field) const {
    return std::ranges::any_of(all_, [&](const Value& each) {
      const Value* path = each.find("path");
      if (!path->is_string() || !path->as_string().starts_with(field)) return false;
      const auto rest = path->as_string().substr(field.size());
      return rest.empty() || rest.front() == '.' || rest.front() == '[';
    });
  }
  Error error() const { return first_->with("problems", Value::array(all_)); }

 private:
  const Document* source_;
  std::optional<Error> first_;
  std::vector<Value> all_;
};

std::string join_path(std::string_view path, std::string_view key) {
  std::string joined(path);
  append_path_key(joined, key);
  return joined;
}

// Visits the strings of a list; each must be there once.
template <typename Visit>
void each_string(const Value& value, std::string_view path, Problems& problems, Visit visit) {
  if (!value.is_array()) return problems.add(path, value, "a list of strings");
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const Value& item = value.items()[i];
    const auto place = fmt::format("{}[{}]", path, i);
    if (!item.is_string() || item.as_string().empty()) {
      problems.add(place, item, "a non-empty string");
    } else if (!seen.insert(item.as_string()).second) {
      problems.add("duplicate_item", place, item, "each string once");
    } else {
      visit(item, place);
    }
  }
}

void check_strings(const Value& value, std::string_view path, Problems& problems,
                   std::vector<std::string>& into) {
  into.clear();
  each_string(value, path, problems,
              [&](const Value& item, const auto&) { into.emplace_back(item.as_string()); });
}

// References of events, each an exact version of one or the bare type.
void check_events(const Value& value, std::string_view path, Problems& problems,
                  std::vector<std::string>& into) {
  into.clear();
  each_string(value, path, problems, [&](const Value& item, const std::string& place) {
    const auto parsed = Reference::parse(item.as_string(), place);
    if (!parsed) return problems.add("invalid_value", parsed.error());
    into.emplace_back(item.as_string());
  });
}

void check_number(const Value& value, std::string_view path, double low, double high,
                  Problems& problems, double& into) {
  if (!value.is_number() || value.as_real() < low || value.as_real() > high) {
    return problems.add(path, value, fmt::format("a number from {} to {}", low, high));
  }
  into = value.as_real();
}

void check_integer(const Value& value, std::string_view path, std::int64_t low, std::int64_t high,
                   Problems& problems, int& into) {
  if (!value.is_int() || value.as_int() < low || value.as_int() > high) {
    return problems.add(path, value, fmt::format("an integer from {} to {}", low, high));
  }
  into = static_cast<int>(value.as_int());
}

Result<Effect> parse_effect(const Value& value, std::string_view path) {
  for (const auto effect : {Effect::pure, Effect::idempotent, Effect::once}) {
    if (value.is_string() && value.as_string() == name(effect)) return effect;
  }
  return invalid_input(path, value, R"("pure", "idempotent" or "once")");
}

void read_retry(const Value& value, std::string_view path, Problems& problems, RetryPolicy& into) {
  if (!value.is_object()) return problems.add(path, value, "an object");
  for (const auto& [key, item] : value.members()) {
    const auto place = join_path(path, key);
    if (key == "attempts") {
      check_integer(item, place, 1, 1000, problems, into.attempts);
    } else if (key == "initial") {
      problems.take(to_duration(item, place), into.initial);
    } else if (key == "factor") {
      check_number(item, place, 1, 100, problems, into.factor);
    } else if (key == "max") {
      problems.take(to_duration(item, place), into.max);
    } else if (key == "jitter") {
      check_number(item, place, 0, 1, problems, into.jitter);
    } else {
      problems.add("unknown_field", place, item,
                   "no such key: one of attempts, initial, factor, max, jitter");
    }
  }
}

void check_schema(const Value& value, std::string_view path, Problems& problems, Value& into) {
  if (auto compiled = Schema::compile(value, path); !compiled)
    return problems.add("invalid_schema", compiled.error());
  into = value;
}

void read_text(const Value& value, std::string_view path, Problems& problems, std::string& into) {
  if (!value.is_string()) return problems.add(path, value, "a string");
  into = std::string(value.as_string());
}

void read_owner(const Value& value, std::string_view path, Problems& problems, Contract& into) {
  if (!value.is_object()) return problems.add(path, value, "an object of team and contact");
  for (const auto& [key, item] : value.members()) {
    const auto place = join_path(path, key);
    if (key == "team") {
      read_text(item, place, problems, into.owner_team);
    } else if (key == "contact") {
      read_text(item, place, problems, into.owner_contact);
    } else {
      problems.add("unknown_field", place, item, "no such key: one of team, contact");
    }
  }
  if (value.find("team") == nullptr) {
    problems.add("missing_field", join_path(path, "team"), Value(), "this field");
  }
}

// "text.words@^1", or {"name": "text.words", "version": "^1"}.
Result<Requirement> parse_requirement(const Value& value, std::string_view path) {
  if (value.is_string()) {
    CLEW_TRY(auto reference, Reference::parse(value.as_string(), path));
    if (reference.kind == Reference::Kind::exact) {
      CLEW_TRY(reference.range, VersionRange::parse("=" + reference.version.to_string(), path));
    }
    return Requirement{std::move(reference.id), std::move(reference.range)};
  }
  const Value* name = value.is_object() ? value.find("name") : nullptr;
  const Value* version = value.is_object() ? value.find("version") : nullptr;
  const std::size_t known = (name != nullptr ? 1U : 0U) + (version != nullptr ? 1U : 0U);
  if (name == nullptr || !name->is_string() || value.size() != known ||
      (version != nullptr && !version->is_string())) {
    return invalid_input(path, value, R"("name@range", or an object of name and version)");
  }
  CLEW_TRY(check_id(name->as_string(), join_path(path, "name")));
  Requirement made{std::string(name->as_string()), {}};
  if (version != nullptr) {
    CLEW_TRY(made.range, VersionRange::parse(version->as_string(), join_path(path, "version")));
  }
  return made;
}

void read_requirements(const Value& value, std::string_view path, Problems& problems,
                       std::vector<Requirement>& into) {
  if (!value.is_array()) return problems.add(path, value, "a list of requirements");
  into.clear();
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto place = fmt::format("{}[{}]", path, i);
    Requirement made;
    if (!problems.take(parse_requirement(value.items()[i], place), made)) continue;
    if (std::ranges::find(into, made.name, &Requirement::name) != into.end()) {
      problems.add("duplicate_item", place, value.items()[i], "each name once");
    } else {
      into.push_back(std::move(made));
    }
  }
}

constexpr std::int64_t limit_max = std::int64_t{1} << 53U;

void read_sandbox_limits(const Value& value, std::string_view path, Problems& problems) {
  constexpr std::array<std::string_view, 5> known = {"fuel", "memory_bytes", "table_elements",
                                                     "output_bytes", "stderr_bytes"};
  if (!value.is_object()) return problems.add(path, value, "an object of limits");
  for (const auto& [key, item] : value.members()) {
    const auto place = join_path(path, key);
    if (key == "wall") {
      Duration wall{0};
      problems.take(to_duration(item, place), wall);
    } else if (std::ranges::find(known, std::string_view(key)) == known.end()) {
      problems.add("unknown_field", place, item,
                   "no such key: one of fuel, wall, memory_bytes, table_elements, output_bytes, "
                   "stderr_bytes");
    } else if (!item.is_int() || item.as_int() < 1 || item.as_int() > limit_max) {
      problems.add(place, item, fmt::format("an integer from 1 to {}", limit_max));
    }
  }
}

void read_constraints(const Value& value, std::string_view path, Problems& problems,
                      Contract& into) {
  if (!value.is_object()) return problems.add(path, value, "an object");
  for (const auto& [key, item] : value.members()) {
    const auto place = join_path(path, key);
    if (key == "network" || key == "filesystem") {
      if (!item.is_bool()) problems.add(place, item, "true or false");
    } else if (key == "environment") {
      std::vector<std::string> names;
      check_strings(item, place, problems, names);
    } else if (key == "wasm") {
      read_sandbox_limits(item, place, problems);
    } else {
      problems.add("unknown_field", place, item,
                   "no such key: one of network, filesystem, environment, wasm");
    }
  }
  into.constraints = value;
}

void read_provenance(const Value& value, std::string_view path, Problems& problems,
                     Contract& into) {
  if (!value.is_object()) return problems.add(path, value, "an object of scalars");
  for (const auto& [key, item] : value.members()) {
    if (item.is_object() || item.is_array()) {
      problems.add(join_path(path, key), item, "a string, number or boolean");
    }
  }
  into.provenance = value;
}

Result<ServiceType> parse_service_type(const Value& value, std::string_view path) {
  for (const auto type :
       {ServiceType::stateless, ServiceType::subscribable, ServiceType::stateful}) {
    if (value.is_string() && value.as_string() == name(type)) return type;
  }
  return invalid_input(path, value, R"("stateless", "subscribable" or "stateful")");
}

void check_word(const Value& value, std::string_view path, Problems& problems) {
  if (!value.is_string()) problems.add(path, value, "a string");
}

struct Field {
  std::string_view key;
  void (*read)(const Value& value, std::string_view path, Problems& problems, Contract& into);
};

// The document's fields, in the order of its normal form.
constexpr std::array<Field, 28> fields = {{
    {"id",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_string()) return problems.add(path, value, "a string");
       if (auto ok = check_id(value.as_string(), path); !ok) {
         return problems.add("invalid_value", ok.error());
       }
       into.id = std::string(value.as_string());
     }},
    {"version",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_string()) return problems.add(path, value, "a version such as \"1.0.0\"");
       problems.take(Version::parse(value.as_string(), path), into.version);
     }},
    {"summary", [](const Value& value, std::string_view path, Problems& problems,
                   Contract& into) { read_text(value, path, problems, into.summary); }},
    {"effect", [](const Value& value, std::string_view path, Problems& problems,
                  Contract& into) { problems.take(parse_effect(value, path), into.effect); }},
    {"timeout",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       Duration timeout{0};
       if (!problems.take(to_duration(value, path), timeout)) return;
       if (timeout <= Duration{0}) return problems.add(path, value, "a duration above zero");
       into.timeout = timeout;
     }},
    {"retry", [](const Value& value, std::string_view path, Problems& problems,
                 Contract& into) { read_retry(value, path, problems, into.retry); }},
    {"max_concurrency",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       check_integer(value, path, 1, 1'000'000, problems, into.max_concurrency);
     }},
    {"inputs", [](const Value& value, std::string_view path, Problems& problems,
                  Contract& into) { check_schema(value, path, problems, into.inputs); }},
    {"outputs", [](const Value& value, std::string_view path, Problems& problems,
                   Contract& into) { check_schema(value, path, problems, into.outputs); }},
    {"emits", [](const Value& value, std::string_view path, Problems& problems,
                 Contract& into) { check_events(value, path, problems, into.emits); }},
    {"tags", [](const Value& value, std::string_view path, Problems& problems,
                Contract& into) { check_strings(value, path, problems, into.tags); }},
    {"permitted_targets",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       check_strings(value, path, problems, into.permitted_targets);
       if (value.is_array() && value.size() == 0) problems.add(path, value, "at least one target");
     }},
    {"executor", [](const Value& value, std::string_view path, Problems& problems,
                    Contract& into) { read_text(value, path, problems, into.executor); }},
    {"description", [](const Value& value, std::string_view path, Problems& problems,
                       Contract& into) { read_text(value, path, problems, into.description); }},
    {"owner", read_owner},
    {"lifecycle",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       Lifecycle lifecycle{};
       if (problems.take(parse_lifecycle(value, path), lifecycle)) into.lifecycle = lifecycle;
     }},
    {"service_type",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       problems.take(parse_service_type(value, path), into.service_type);
     }},
    {"event_trigger",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       if (!value.is_string()) return problems.add(path, value, "the reference of an event");
       Reference parsed;
       if (!problems.take(Reference::parse(value.as_string(), path), parsed)) return;
       into.event_trigger = std::string(value.as_string());
     }},
    {"consumes", [](const Value& value, std::string_view path, Problems& problems,
                    Contract& into) { check_events(value, path, problems, into.consumes); }},
    {"permissions", [](const Value& value, std::string_view path, Problems& problems,
                       Contract& into) { check_strings(value, path, problems, into.permissions); }},
    {"preferred_targets",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       check_strings(value, path, problems, into.preferred_targets);
     }},
    {"connectors",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       read_requirements(value, path, problems, into.connectors);
     }},
    {"dependencies",
     [](const Value& value, std::string_view path, Problems& problems, Contract& into) {
       read_requirements(value, path, problems, into.dependencies);
     }},
    {"constraints", read_constraints},
    {"provenance", read_provenance},
    // The two halves of the id, for documents that have them apart too.
    {"namespace", [](const Value& value, std::string_view path, Problems& problems,
                     Contract&) { check_word(value, path, problems); }},
    {"name", [](const Value& value, std::string_view path, Problems& problems,
                Contract&) { check_word(value, path, problems); }},
    {"schema_version",
     [](const Value& value, std::string_view path, Problems& problems, Contract&) {
       if (!value.is_string() || value.as_string() != "1.0.0") {
         problems.add(path, value, "\"1.0.0\"");
       }
     }},
}};

Value strings_value(const std::vector<std::string>& strings) {
  std::vector<Value> items(strings.begin(), strings.end());
  return Value::array(std::move(items));
}

// Rules among fields that are right by themselves.
void check_service(const Contract& contract, Problems& problems) {
  const auto permits = [&](std::string_view target) {
    return std::ranges::find(contract.permitted_targets, target) !=
           contract.permitted_targets.end();
  };
  const bool targets_known = !problems.touch("permitted_targets");
  const bool service_known = !problems.touch("service_type") && !problems.touch("event_trigger");
  const bool subscribable = contract.service_type == ServiceType::subscribable;
  if (targets_known && contract.service_type == ServiceType::stateful && permits("browser")) {
    problems.add("service_rule", "permitted_targets", strings_value(contract.permitted_targets),
                 "no \"browser\" for a stateful capability");
  }
  if (service_known && subscribable && contract.event_trigger.empty()) {
    problems.add("service_rule", "event_trigger", Value(),
                 "the event that triggers a subscribable capability");
  }
  if (service_known && !subscribable && !contract.event_trigger.empty()) {
    problems.add("service_rule", "event_trigger", Value(contract.event_trigger),
                 "none unless service_type is \"subscribable\"");
  }
  for (std::size_t i = 0; targets_known && i < contract.preferred_targets.size(); ++i) {
    if (permits(contract.preferred_targets[i])) continue;
    problems.add("service_rule", fmt::format("preferred_targets[{}]", i),
                 Value(contract.preferred_targets[i]), "one of the permitted targets");
  }
}

// What only several fields together can break.
void check_rules(const Value& document, const Contract& contract, Problems& problems) {
  for (const std::string_view required : {"id", "version"}) {
    if (document.find(required) == nullptr) {
      problems.add("missing_field", required, Value(), "this field");
    }
  }
  const Value* space = document.find("namespace");
  const Value* last = document.find("name");
  if ((space != nullptr || last != nullptr) && !contract.id.empty()) {
    const auto dot = contract.id.rfind('.');
    const auto expected_space = dot == std::string::npos ? "" : contract.id.substr(0, dot);
    const auto expected_name = dot == std::string::npos ? contract.id : contract.id.substr(dot + 1);
    if (space != nullptr && space->is_string() && space->as_string() != expected_space) {
      problems.add("inconsistent_identity", "namespace", *space,
                   fmt::format("{}, as in the id {}", preview(Value(expected_space)), contract.id));
    }
    if (last != nullptr && last->is_string() && last->as_string() != expected_name) {
      problems.add("inconsistent_identity", "name", *last,
                   fmt::format("{}, as in the id {}", preview(Value(expected_name)), contract.id));
    }
  }
  check_service(contract, problems);
}

Result<Contract> read(const Value& document, const Document* source) {
  if (!document.is_object()) return invalid_input("contract", document, "an object");
  Problems problems(source);
  Contract contract;
  std::vector<std::string_view> known;
  for (const auto& field : fields) known.push_back(field.key);
  for (const auto& [key, value] : document.members()) {
    const auto field = std::ranges::find(fields, std::string_view(key), &Field::key);
    if (field == fields.end()) {
      const auto near = nearest(key, known);
      problems.add("unknown_field", join_path("", key), value,
                   near.empty()
                       ? "no such field in a contract"
                       : fmt::format("no such field in a contract; did you mean \"{}\"?", near));
    } else {
      field->read(value, key, problems, contract);
    }
  }
  check_rules(document, contract, problems);
  if (problems.any()) return problems.error();
  return contract;
}

}  // namespace

Result<Contract> Contract::from_document(const Value& document) { return read(document, nullptr); }

Result<Contract> Contract::from_document(const Document& document) {
  return read(document.value, &document);
}

Result<RetryPolicy> RetryPolicy::from_value(const Value& value, std::string_view path) {
  Problems problems;
  RetryPolicy policy;
  read_retry(value, path, problems, policy);
  if (problems.any()) return problems.error();
  return policy;
}

Value Contract::content() const {
  std::vector<Member> members = {
      {"id", Value(id)}, {"version", Value(version.to_string())}, {"effect", Value(name(effect))}};
  const auto add = [&](bool present, std::string key, Value value) {
    if (present) members.push_back({std::move(key), std::move(value)});
  };
  const auto add_strings = [&](std::string key, const std::vector<std::string>& strings) {
    add(!strings.empty(), std::move(key), strings_value(strings));
  };
  const auto add_requirements = [&](std::string key, const std::vector<Requirement>& all) {
    std::vector<Value> items;
    for (const auto& each : all) items.emplace_back(each.to_string());
    if (!items.empty()) members.push_back({std::move(key), Value::array(std::move(items))});
  };
  add(!summary.empty(), "summary", summary);
  add(!description.empty(), "description", description);
  if (!owner_team.empty()) {
    std::vector<Member> owner = {{"team", Value(owner_team)}};
    if (!owner_contact.empty()) owner.push_back({"contact", Value(owner_contact)});
    members.push_back({"owner", Value::object(std::move(owner))});
  }
  add(service_type != ServiceType::stateless, "service_type", Value(name(service_type)));
  add(!event_trigger.empty(), "event_trigger", event_trigger);
  add(timeout.has_value(), "timeout", to_string(timeout.value_or(Duration{0})));
  add(!(retry == RetryPolicy{}), "retry", retry.to_value());
  add(max_concurrency > 0, "max_concurrency", max_concurrency);
  add(true, "inputs", inputs);
  add(true, "outputs", outputs);
  add_strings("emits", emits);
  add_strings("consumes", consumes);
  add_strings("permissions", permissions);
  add_strings("tags", tags);
  add_strings("permitted_targets", permitted_targets);
  add_strings("preferred_targets", preferred_targets);
  add_requirements("connectors", connectors);
  add_requirements("dependencies", dependencies);
  add(!constraints.is_null(), "constraints", constraints);
  add(!provenance.is_null(), "provenance", provenance);
  add(!executor.empty(), "executor", executor);
  return Value::object(std::move(members));
}

Value Contract::to_document() const {
  auto document = content();
  if (!lifecycle) return document;
  std::vector<Member> members(document.members().begin(), document.members().end());
  members.push_back({"lifecycle", Value(name(*lifecycle))});
  return Value::object(std::move(members));
}

}  // namespace clew
