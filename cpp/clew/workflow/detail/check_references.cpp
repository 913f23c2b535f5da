// What the parts of a definition say about each other.
#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <utility>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"
#include "clew/workflow/detail/check.hpp"

namespace clew::workflow::detail {
namespace {

using Parts = std::vector<std::string>;

std::string join(const Parts& parts, std::size_t count) {
  std::string path;
  for (std::size_t i = 0; i < count; ++i) append_path_key(path, parts[i]);
  return path;
}

// Whether a schema's `type` leaves room for objects.
bool may_be_object(const Value& schema) {
  const Value* type = schema.find("type");
  if (type == nullptr) return true;
  if (type->is_string()) return type->as_string() == "object";
  return !type->is_array() ||
         std::ranges::find(type->items(), Value("object")) != type->items().end();
}

// Looks every reference up. Confined.
class ReferenceChecker {
 public:
  ReferenceChecker(Definition& definition, const Value& document, Problems& problems)
      : definition_(definition), document_(document), problems_(problems) {
    for (std::size_t i = 0; i < definition.steps.size(); ++i) {
      names_.emplace_back(definition.steps[i].name);
      indexes_.emplace(definition.steps[i].name, static_cast<int>(i));
    }
  }

  void run() {
    for (std::size_t i = 0; i < definition_.steps.size(); ++i) check_step(static_cast<int>(i));
    own_ = -1;
    found_.clear();
    check_template(definition_.output.get(), {});
  }

 private:
  void check_step(int index) {
    Step& step = definition_.steps[static_cast<std::size_t>(index)];
    own_ = index;
    found_.clear();
    check_after(step);
    if (step.on_event) check_template(step.on_event->correlation.get(), {});
    Names names;
    names.has_event = step.on_event.has_value();
    if (names.has_event) check_template(step.on_event->where.get(), names);
    check_template(step.for_each.get(), names);
    if (step.for_each != nullptr) names.as = step.as;
    check_template(step.with.get(), names);
    step.dependencies.assign(found_.begin(), found_.end());
    for (const int dependency : step.dependencies) {
      definition_.steps[static_cast<std::size_t>(dependency)].dependents.push_back(index);
    }
  }

  // A text or a list of texts, each the name of another step.
  void check_after(const Step& step) {
    const auto path = join_path(join_path("steps", step.name), "after");
    const Value* declared = document_.find("steps")->find(step.name);
    const Value* after = declared->find("after");
    if (after == nullptr) return;
    if (after->is_string()) return check_name(after->as_string(), path);
    if (!after->is_array()) {
      return problems_.add(path, *after, "a step's name or a list of them");
    }
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < after->size(); ++i) {
      auto place = path;
      append_path_index(place, i);
      const Value& name = after->items()[i];
      if (!name.is_string()) {
        problems_.add(place, name, "a step's name");
      } else if (!seen.insert(name.as_string()).second) {
        problems_.add(place, name, "each name once");
      } else {
        check_name(name.as_string(), place);
      }
    }
  }

  // Notes the step as a dependency, if there is one of that name.
  void check_name(std::string_view name, std::string_view path) {
    const auto found = indexes_.find(name);
    if (found == indexes_.end()) {
      problems_.add(path, fmt::format("there is no step {}", preview(Value(name))),
                    std::string(nearest(name, names_)));
    } else if (found->second == own_) {
      problems_.add(path, fmt::format("step \"{}\" cannot wait for itself", name));
    } else {
      found_.insert(found->second);
    }
  }

  // What a template may name beside `input` and `steps`.
  struct Names {
    std::string_view as;  // the element of a for_each; empty: there is none
    bool has_event = false;
  };

  void check_template(const expr::Template* compiled, const Names& names) {
    if (compiled == nullptr) return;
    for (const auto& use : compiled->uses()) {
      for (const auto& parts : use.expression->references()) {
        check_reference(parts, use.path, names);
      }
    }
  }

  void check_reference(const Parts& parts, const std::string& path, const Names& names) {
    if (parts[0] == "input") return check_input(parts, path);
    if (parts[0] == "steps") return check_steps(parts, path);
    if (!names.as.empty() && parts[0] == names.as) return;
    if (names.has_event && parts[0] == "event") return check_event(parts, path);
    std::vector<std::string_view> scope = {"input", "steps"};
    if (names.has_event) scope.push_back("event");
    if (!names.as.empty()) scope.push_back(names.as);
    auto suggestion = std::string(nearest(parts[0], scope));
    if (indexes_.contains(parts[0])) suggestion = join({"steps", parts[0], "output"}, 3);
    problems_.add(path,
                  fmt::format("there is no {} here; expected one of {}", preview(Value(parts[0])),
                              list_of(scope)),
                  std::move(suggestion));
  }

  void check_steps(const Parts& parts, const std::string& path) {
    if (parts.size() < 2) {
      return problems_.add(path, "\"steps\" alone is no value; expected steps.<name>.output");
    }
    check_name(parts[1], path);
    const auto found = indexes_.find(parts[1]);
    if (found == indexes_.end()) return;
    const auto output = join({"steps", parts[1], "output"}, 3);
    if (parts.size() < 3) {
      return problems_.add(path, fmt::format("expected {}, got {}", output, join(parts, 2)),
                           output);
    }
    if (parts[2] != "output") {
      return problems_.add(
          path, fmt::format("a step has no {}; expected output", preview(Value(parts[2]))), output);
    }
    const Step& step = definition_.steps[static_cast<std::size_t>(found->second)];
    if (parts.size() > 3 && step.for_each != nullptr) {
      problems_.add(path, fmt::format("{} is the list of a for_each, which has no member {}",
                                      output, preview(Value(parts[3]))));
    }
  }

  void check_event(const Parts& parts, const std::string& path) {
    static constexpr std::array<std::string_view, 5> members = {"id", "type", "subject", "data",
                                                                "correlation_id"};
    if (parts.size() < 2 || std::ranges::find(members, parts[1]) != members.end()) return;
    problems_.add(path,
                  fmt::format("an event has no {}; expected one of {}", preview(Value(parts[1])),
                              list_of(members)),
                  std::string(nearest(parts[1], members)));
  }

  // Refuses what no input that fits the schema can have.
  void check_input(const Parts& parts, const std::string& path) {
    const Value* schema = document_.find("input");
    for (std::size_t i = 1; i < parts.size() && schema != nullptr && schema->is_object(); ++i) {
      if (!may_be_object(*schema)) {
        return problems_.add(
            path,
            fmt::format("{} has no member {}: the input schema says its type is {}", join(parts, i),
                        preview(Value(parts[i])), preview(*schema->find("type"))));
      }
      const Value* properties = schema->find("properties");
      const Value* found = properties != nullptr ? properties->find(parts[i]) : nullptr;
      const Value* others = schema->find("additionalProperties");
      if (found == nullptr && properties != nullptr &&
          schema->find("patternProperties") == nullptr && others != nullptr &&
          *others == Value(false)) {
        return refuse_member(parts, i, *properties, path);
      }
      schema = found;
    }
  }

  void refuse_member(const Parts& parts, std::size_t at, const Value& properties,
                     const std::string& path) {
    if (!properties.is_object()) return;
    std::vector<std::string_view> keys;
    for (const auto& member : properties.members()) keys.emplace_back(member.key);
    problems_.add(path,
                  fmt::format("{} has no member {}: the input schema allows {}", join(parts, at),
                              preview(Value(parts[at])), keys.empty() ? "none" : list_of(keys)),
                  std::string(nearest(parts[at], keys)));
  }

  Definition& definition_;
  const Value& document_;
  Problems& problems_;
  std::vector<std::string_view> names_;
  std::unordered_map<std::string_view, int> indexes_;  // looked up only, never walked
  int own_ = -1;                                       // the step that is looked at
  std::set<int> found_;                                // its dependencies so far
};

// Finds circles by removing steps that wait for nobody until none is left. Confined.
class CycleFinder {
 public:
  explicit CycleFinder(const Definition& definition)
      : steps_(definition.steps), waits_(definition.steps.size()) {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      waits_[i] = static_cast<int>(steps_[i].dependencies.size());
      if (waits_[i] == 0) ready_.push_back(i);
    }
  }

  // One circle, each step waiting for the next and the last for the first; empty when there is no
  // other.
  std::vector<std::size_t> next() {
    settle();
    while (first_ < steps_.size() && waits_[first_] <= 0) ++first_;
    if (first_ == steps_.size()) return {};
    std::vector<std::size_t> way;
    std::vector<char> seen(steps_.size(), 0);
    std::size_t at = first_;
    while (seen[at] == 0) {
      seen[at] = 1;
      way.push_back(at);
      at = unsettled_dependency(at);
    }
    way.erase(way.begin(), std::ranges::find(way, at));
    std::ranges::rotate(way, std::ranges::min_element(way));
    for (const auto step : way) release(step);
    return way;
  }

 private:
  static constexpr int settled = -1;

  void release(std::size_t step) {
    waits_[step] = 0;
    ready_.push_back(step);
  }

  void settle() {
    while (!ready_.empty()) {
      const auto step = ready_.back();
      ready_.pop_back();
      waits_[step] = settled;
      for (const int dependent : steps_[step].dependents) {
        const auto index = static_cast<std::size_t>(dependent);
        if (waits_[index] > 0 && --waits_[index] == 0) ready_.push_back(index);
      }
    }
  }

  std::size_t unsettled_dependency(std::size_t step) const {
    const auto& dependencies = steps_[step].dependencies;
    const auto found = std::ranges::find_if(
        dependencies, [&](int index) { return waits_[static_cast<std::size_t>(index)] > 0; });
    return static_cast<std::size_t>(*found);
  }

  const std::vector<Step>& steps_;
  std::vector<int> waits_;  // dependencies that are not settled; -1: settled itself
  std::vector<std::size_t> ready_;
  std::size_t first_ = 0;
};

}  // namespace

void check_references(Definition& definition, const Value& document, Problems& problems) {
  ReferenceChecker(definition, document, problems).run();
}

void check_cycles(const Definition& definition, Problems& problems) {
  CycleFinder finder(definition);
  for (auto circle = finder.next(); !circle.empty(); circle = finder.next()) {
    std::string way;
    for (const auto step : circle) way += definition.steps[step].name + " -> ";
    const auto& first = definition.steps[circle.front()].name;
    problems.add(join_path("steps", first),
                 fmt::format("steps wait for each other in a circle: {}{}", way, first));
  }
}

}  // namespace clew::workflow::detail
