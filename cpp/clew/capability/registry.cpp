#include "clew/capability/registry.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"
#include "clew/capability/evolution.hpp"

namespace clew {
namespace {

Result<std::shared_ptr<Capability>> compile(Contract contract,
                                            std::shared_ptr<const Handler> handler) {
  auto made = std::make_shared<Capability>();
  CLEW_TRY(made->inputs, Schema::compile(contract.inputs, "inputs"));
  CLEW_TRY(made->outputs, Schema::compile(contract.outputs, "outputs"));
  made->digest = to_hex(digest_of(contract.content()));
  made->version_text = contract.version.to_string();
  made->lifecycle = contract.stage();
  made->contract = std::move(contract);
  made->handler = std::move(handler);
  return made;
}

// Ids have no slash.
std::string key_of(std::string_view id, std::string_view workspace) {
  return workspace.empty() ? std::string(id) : fmt::format("{}/{}", workspace, id);
}

bool is_before(const CapabilityPtr& a, const CapabilityPtr& b) {
  const auto order = a->contract.version <=> b->contract.version;
  if (order != 0) return order > 0;
  return a->scope == Scope::overlay && b->scope == Scope::everyone;
}

Value version_list(const std::vector<CapabilityPtr>& versions) {
  std::vector<Value> texts;
  for (const auto& capability : versions) {
    if (texts.empty() || texts.back().as_string() != capability->version_text) {
      texts.emplace_back(capability->version_text);
    }
  }
  return Value::array(std::move(texts));
}

Value to_value(const Candidate& candidate) {
  const auto& capability = *candidate.capability;
  return Value::object(
      {{"version", Value(capability.version_text)},
       {"scope", Value(name(capability.scope))},
       {"lifecycle", Value(name(capability.lifecycle))},
       {"rejected", candidate.rejected.empty() ? Value() : Value(candidate.rejected)}});
}

Value candidate_list(const std::vector<Candidate>& candidates) {
  std::vector<Value> all;
  for (const auto& each : candidates) all.push_back(to_value(each));
  return Value::array(std::move(all));
}

// What a trace shows of the choice; null where there was none.
Value considered(const Resolution& resolution) {
  std::vector<Value> all;
  for (const auto& each : resolution.candidates) {
    if (each.is_satisfying && all.size() < considered_max) all.push_back(to_value(each));
  }
  return all.size() < 2 ? Value() : Value::array(std::move(all));
}

// Why the versions of an id are not what a reference means, apart from there being several.
class Judge {
 public:
  Judge(const std::vector<CapabilityPtr>& versions, const Reference& reference, const View& view)
      : reference_(reference), view_(view), has_release_(any_runnable_release(versions)) {}

  // The first objection; empty: none. `before`: the candidate one place higher.
  std::string objection(const Capability& capability, const Capability* before) {
    const auto& version = capability.contract.version;
    fits_this = fits(version);
    if (view_.public_only && capability.scope == Scope::overlay) return "is private";
    if (!fits_this) return fmt::format("does not satisfy {}", wanted());
    fitted = true;
    if (before != nullptr && !view_.public_only && before->contract.version == version) {
      return "is shadowed by the private one";
    }
    if (!is_runnable(capability.lifecycle)) {
      return fmt::format("is {}", name(capability.lifecycle));
    }
    if (reference_.kind == Reference::Kind::bare && has_release_ && !version.pre.empty()) {
      return "is a pre-release";
    }
    if (!capability.handler) {
      only_unbound = true;
      return "has no handler here";
    }
    return {};
  }

  std::string wanted() const {
    if (reference_.kind == Reference::Kind::exact) return reference_.version.to_string();
    return reference_.kind == Reference::Kind::range ? reference_.range.text() : "*";
  }

  bool fitted = false;        // some version fits the reference
  bool fits_this = false;     // the one that was looked at last does
  bool only_unbound = false;  // some version lacks nothing but its handler

 private:
  static bool any_runnable_release(const std::vector<CapabilityPtr>& versions) {
    return std::ranges::any_of(versions, [](const auto& each) {
      return each->contract.version.pre.empty() && is_runnable(each->lifecycle);
    });
  }
  bool fits(const Version& version) const {
    if (reference_.kind == Reference::Kind::bare) return true;
    return reference_.kind == Reference::Kind::exact ? version == reference_.version
                                                     : reference_.range.matches(version);
  }

  const Reference& reference_;
  const View& view_;
  bool has_release_;
};

Error nothing_runs(const Judge& judge, const std::string& id,
                   const std::vector<CapabilityPtr>& versions,
                   const std::vector<Candidate>& candidates) {
  const auto listed = candidate_list(candidates);
  const auto made = [&](Code code, std::string_view reason, const std::string& message) {
    return Error(code, message, code == Code::unavailable)
        .with("reason", Value(reason))
        .with("capability", id)
        .with("versions", version_list(versions))
        .with("candidates", listed);
  };
  if (judge.only_unbound) {
    return made(Code::unavailable, "unbound",
                fmt::format("\"{}\" is known, but no handler for it is registered here", id));
  }
  if (judge.fitted) {
    const auto first = std::ranges::find_if(candidates, &Candidate::is_satisfying);
    return made(Code::not_found, "not_runnable",
                fmt::format("no version of \"{}\" may run: {} {}", id,
                            first->capability->version_text, first->rejected));
  }
  return made(Code::not_found, "no_version",
              fmt::format("no version of \"{}\" satisfies {}: there is {}", id, judge.wanted(),
                          to_json(version_list(versions))));
}

Error conflict(const Capability& old, const Capability& changed) {
  const auto difference = first_difference(old.contract.content(), changed.contract.content());
  if (!difference.found) {
    return error(Code::conflict, "{} is registered with another function", old.reference())
        .with("path", "handler");
  }
  return error(Code::conflict, "{} is registered with other content: {} is {}, not {}",
               old.reference(), difference.path, preview(difference.left),
               preview(difference.right))
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right);
}

Error backwards(const Capability& old, Lifecycle to) {
  return error(Code::conflict, "{} is {}, which cannot become {} again", old.reference(),
               name(old.lifecycle), name(to))
      .with("path", "lifecycle")
      .with("registered", Value(name(old.lifecycle)))
      .with("given", Value(name(to)));
}

// The versions next to `made` in its scope that promise something.
Result<void> check_neighbours(const std::vector<CapabilityPtr>& versions, const Capability& made) {
  const Capability* lower = nullptr;
  const Capability* higher = nullptr;
  for (const auto& each : versions) {
    if (each->scope != made.scope || each->lifecycle == Lifecycle::draft) continue;
    if (each->contract.version > made.contract.version) higher = each.get();
    if (each->contract.version < made.contract.version && lower == nullptr) lower = each.get();
  }
  if (lower != nullptr) {
    CLEW_TRY(check_progression(lower->contract, made.contract));
  }
  if (higher != nullptr && made.lifecycle != Lifecycle::draft) {
    CLEW_TRY(check_progression(made.contract, higher->contract));
  }
  return {};
}

// Stores it, and takes over a lifecycle to which another process has moved it on. The refusal of
// the one that was asked for, if it was.
Result<std::optional<Error>> keep(Capability& made, bool is_asked, Persist& persist) {
  CLEW_TRY(const auto stored, persist(made));
  const auto wanted = std::exchange(made.lifecycle, stored);
  if (!is_asked || wanted == stored) return std::nullopt;
  return std::optional(backwards(made, wanted));
}

// Takes over from what stood there under this version, as far as that may be replaced.
Result<Registration> replace(const Capability& old, Capability& made, Replace allowed) {
  Registration done{made.contract.id, made.version_text, made.digest};
  const bool same_contract = old.digest == made.digest;
  const bool same_function = old.handler == nullptr || made.handler == nullptr ||
                             old.handler->fingerprint() == made.handler->fingerprint();
  // A program that was changed since its last run is no other author.
  const auto needed = !same_contract && old.is_restored ? Replace::function
                      : !same_contract                  ? Replace::everything
                      : same_function                   ? Replace::nothing
                                                        : Replace::function;
  if (needed > allowed) return conflict(old, made);
  if (!made.contract.lifecycle) {
    made.lifecycle = old.lifecycle;
  } else if (made.lifecycle < old.lifecycle) {
    return backwards(old, made.lifecycle);
  }
  if (made.handler == nullptr) {
    made.handler = old.handler;
    made.workflow = old.workflow;
  }
  made.key = old.key;  // what still runs of the old one counts under the limit
  done.already_registered = same_contract && same_function;
  done.replaced = !done.already_registered;
  return done;
}

}  // namespace

RegistrySnapshot::RegistrySnapshot() {
  static const auto empty = std::make_shared<const Shard>();
  shards_.fill(empty);
}

// A key stands in the shard of its part before the '@'.
std::size_t RegistrySnapshot::shard_of(std::string_view key) {
  return std::hash<std::string_view>()(key.substr(0, key.find('@'))) % shards_max;
}

const RegistrySnapshot::Versions* RegistrySnapshot::versions_of(
    const std::string& id, const std::string& workspace) const {
  const auto key = key_of(id, workspace);
  const auto& shard = *shards_[shard_of(key)];
  const auto found = shard.by_key.find(key);
  return found == shard.by_key.end() ? nullptr : &found->second;
}

std::vector<CapabilityPtr> RegistrySnapshot::list(const std::string& workspace) const {
  std::vector<CapabilityPtr> all;
  for (const auto& shard : shards_) {
    for (const auto& [key, versions] : shard->by_key) {
      if (versions.front()->workspace != workspace) continue;
      all.insert(all.end(), versions.begin(), versions.end());
    }
  }
  std::ranges::sort(all, [](const CapabilityPtr& a, const CapabilityPtr& b) {
    const auto order = a->contract.id <=> b->contract.id;
    return order != 0 ? order < 0 : is_before(a, b);
  });
  return all;
}

Error RegistrySnapshot::unknown_id(const std::string& id, const std::string& workspace) const {
  const auto all = list(workspace);
  std::vector<std::string_view> ids;
  for (const auto& each : all) ids.push_back(each->contract.id);
  const auto near = nearest(id, ids);
  auto found = error(Code::not_found, "no capability \"{}\" is registered{}", id,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near))
                   .with("reason", "unknown_id")
                   .with("capability", id);
  return near.empty() ? found : found.with("suggestion", Value(near));
}

Result<CapabilityPtr> RegistrySnapshot::resolve(const std::string& reference,
                                                const View& view) const {
  CLEW_TRY(auto found, lookup(reference, view));
  return std::move(found.capability);
}

Result<Resolved> RegistrySnapshot::lookup(const std::string& reference, const View& view) const {
  if (!view.public_only) {
    const bool is_default = view.workspace.empty();
    const auto made = is_default ? std::string() : key_of(reference, view.workspace);
    const auto& key = is_default ? reference : made;
    const auto& shard = *shards_[shard_of(key)];
    if (const auto ready = shard.by_text.find(key); ready != shard.by_text.end()) {
      return ready->second;
    }
  }
  CLEW_TRY(const auto parsed, Reference::parse(reference, "reference"));
  const auto* versions = versions_of(parsed.id, view.workspace);
  if (versions != nullptr && versions->size() == 1) {  // no choice: nothing to write down
    CLEW_TRY(auto only, resolve(parsed, view));
    return Resolved{std::move(only), Value()};
  }
  CLEW_TRY(auto resolution, explain(parsed, view));
  return Resolved{std::move(resolution.capability), considered(resolution)};
}

Result<CapabilityPtr> RegistrySnapshot::resolve(const Reference& reference,
                                                const View& view) const {
  const auto* versions = versions_of(reference.id, view.workspace);
  if (versions != nullptr && reference.kind != Reference::Kind::bare) {
    Judge judge(*versions, reference, view);  // the highest comes first: no need to look on
    const Capability* before = nullptr;
    for (const auto& capability : *versions) {
      if (judge.objection(*capability, before).empty()) return capability;
      before = capability.get();
    }
  }
  CLEW_TRY(auto resolution, explain(reference, view));
  return std::move(resolution.capability);
}

Result<Resolution> RegistrySnapshot::explain(const Reference& reference, const View& view) const {
  const auto* versions = versions_of(reference.id, view.workspace);
  if (versions == nullptr) return unknown_id(reference.id, view.workspace);

  Judge judge(*versions, reference, view);
  Resolution resolution;
  std::vector<CapabilityPtr> eligible;
  const Capability* before = nullptr;
  for (const auto& capability : *versions) {
    auto objection = judge.objection(*capability, before);
    if (objection.empty()) eligible.push_back(capability);
    resolution.candidates.push_back({capability, std::move(objection), judge.fits_this});
    before = capability.get();
  }
  if (eligible.empty()) {
    return nothing_runs(judge, reference.id, *versions, resolution.candidates);
  }
  if (reference.kind == Reference::Kind::bare && eligible.size() > 1) {
    for (auto& each : resolution.candidates) {
      if (each.rejected.empty()) each.rejected = "is not the only one";
    }
    return error(Code::ambiguous, "\"{}\" has {} versions: name one, or a range", reference.id,
                 eligible.size())
        .with("capability", reference.id)
        .with("versions", version_list(eligible))
        .with("candidates", candidate_list(resolution.candidates));
  }
  resolution.capability = eligible.front();
  for (auto& each : resolution.candidates) {
    if (each.rejected.empty() && each.capability != resolution.capability) {
      each.rejected = fmt::format("is lower than {}", resolution.capability->version_text);
    }
  }
  return resolution;
}

CapabilityPtr RegistrySnapshot::find(const std::string& exact, const View& view) const {
  const auto parsed = Reference::parse(exact, "reference");
  if (!parsed || parsed->kind != Reference::Kind::exact) return nullptr;
  const auto* versions = versions_of(parsed->id, view.workspace);
  if (versions == nullptr) return nullptr;
  for (const auto& each : *versions) {
    if (view.public_only && each->scope == Scope::overlay) continue;
    if (each->contract.version == parsed->version) return each->handler ? each : nullptr;
  }
  return nullptr;
}

Result<std::vector<CapabilityPtr>> RegistrySnapshot::dependencies(
    const Capability& capability) const {
  std::vector<CapabilityPtr> all;
  std::vector<std::string> chain = {capability.reference()};
  CLEW_TRY(add_dependencies(capability, chain, all));
  return all;
}

Result<void> RegistrySnapshot::add_dependencies(const Capability& capability,
                                                std::vector<std::string>& chain,
                                                std::vector<CapabilityPtr>& into) const {
  const View view{capability.workspace};
  for (const auto& needed : capability.contract.dependencies) {
    Reference reference;
    reference.id = needed.name;
    reference.kind = Reference::Kind::range;
    reference.range = needed.range;
    auto found = resolve(reference, view);
    const auto path = [&](const std::string& last) {
      return fmt::format("{} -> {}", fmt::join(chain, " -> "), last);
    };
    if (!found) {
      return Error(found.error().code(),
                   fmt::format("{}: {}", path(needed.to_string()), found.error().message()))
          .with("path", path(needed.to_string()))
          .with("reason", "dependency")
          .with("dependency", needed.to_string());
    }
    const auto name = (*found)->reference();
    if (std::ranges::find(chain, name) != chain.end()) {
      return error(Code::conflict, "dependencies form a cycle: {}", path(name))
          .with("reason", "dependency_cycle")
          .with("cycle", path(name));
    }
    if (chain.size() > static_cast<std::size_t>(depth_max)) {
      return error(Code::resource_exhausted, "dependencies are nested deeper than {}: {}",
                   depth_max, path(name))
          .with("reason", "dependency_depth")
          .with("path", path(name));
    }
    if (std::ranges::find(into, *found) != into.end()) continue;
    chain.push_back(name);
    CLEW_TRY(add_dependencies(**found, chain, into));
    chain.pop_back();
    into.push_back(*std::move(found));
  }
  return {};
}

Registry::Registry() : current_(std::make_shared<const RegistrySnapshot>()) {}

// Publishes a snapshot in which `made` stands in its place.
void Registry::put(std::shared_ptr<Capability> made) {
  auto next = std::make_shared<RegistrySnapshot>(*current_.load());
  const auto key = key_of(made->contract.id, made->workspace);
  auto& place = next->shards_[RegistrySnapshot::shard_of(key)];
  auto shard = std::make_shared<RegistrySnapshot::Shard>(*place);
  place = shard;
  auto& versions = shard->by_key[key];
  const CapabilityPtr shared = std::move(made);
  const auto at = std::ranges::lower_bound(versions, shared, is_before);
  const bool replaces = at != versions.end() && !is_before(shared, *at);
  if (replaces) {
    shard->by_text.erase(fmt::format("{}@{}", key, (*at)->version_text));
    *at = shared;
  } else {
    versions.insert(at, shared);
  }

  // The answers that need no thought: for this version, and for the id alone.
  const View view{shared->workspace};
  const auto answer = [&](const std::string& text, const Reference& reference) {
    if (auto found = next->explain(reference, view)) {
      shard->by_text.insert_or_assign(text, Resolved{found->capability, considered(*found)});
    } else {
      shard->by_text.erase(text);
    }
  };
  Reference reference;
  reference.id = shared->contract.id;
  answer(key, reference);
  reference.kind = Reference::Kind::exact;
  reference.version = shared->contract.version;
  answer(fmt::format("{}@{}", key, shared->version_text), reference);
  current_.publish(std::move(next));
}

std::uint32_t Registry::tenant_of(const std::string& workspace) {
  return tenants_.try_emplace(workspace, static_cast<std::uint32_t>(tenants_.size())).first->second;
}

Result<Registration> Registry::add(Contract contract, std::shared_ptr<const Handler> handler,
                                   AddOptions options, Persist persist) {
  CLEW_TRY(check_workspace(options.workspace));
  CLEW_TRY(auto made, compile(std::move(contract), std::move(handler)));
  made->scope = options.scope;
  made->workspace = std::move(options.workspace);
  made->workflow = std::move(options.workflow);
  Registration done{made->contract.id, made->version_text, made->digest};

  const Lock lock(writers_);
  const auto now = current_.load();
  const auto* versions = now->versions_of(made->contract.id, made->workspace);
  CapabilityPtr old;
  if (versions != nullptr) {
    const auto same = std::ranges::find_if(*versions, [&](const CapabilityPtr& each) {
      return each->contract.version == made->contract.version && each->scope == made->scope;
    });
    if (same != versions->end()) old = *same;
  }
  if (old) {
    CLEW_TRY(done, replace(*old, *made, options.replace));
  }
  const bool new_content = !old || old->digest != made->digest;
  if (new_content && versions != nullptr) {
    CLEW_TRY(check_neighbours(*versions, *made));
  }
  const bool moved = old && (old->lifecycle != made->lifecycle || old->workflow != made->workflow);
  if (old && !new_content && !moved && old->handler == made->handler) return done;
  if (!old) made->key = ++last_key_;
  made->tenant = tenant_of(made->workspace);
  std::optional<Error> refusal;
  if (persist && (new_content || moved)) {
    CLEW_TRY(refusal, keep(*made, made->contract.lifecycle.has_value(), persist));
  }
  put(std::move(made));
  if (refusal) return *std::move(refusal);
  return done;
}

Result<void> Registry::set_lifecycle(const std::string& exact, Lifecycle to,
                                     const AddOptions& where, Persist persist) {
  CLEW_TRY(const auto reference, Reference::parse(exact, "reference"));
  if (reference.kind != Reference::Kind::exact) {
    return invalid_input("reference", Value(exact), "an exact version, as in \"text.words@1.2.0\"");
  }
  const Lock lock(writers_);
  const auto now = current_.load();
  const auto* versions = now->versions_of(reference.id, where.workspace);
  if (versions == nullptr) return now->unknown_id(reference.id, where.workspace);
  const auto old = std::ranges::find_if(*versions, [&](const CapabilityPtr& each) {
    return each->contract.version == reference.version && each->scope == where.scope;
  });
  if (old == versions->end()) {
    return error(Code::not_found, "there is no {} version {} of \"{}\"", name(where.scope),
                 reference.version.to_string(), reference.id)
        .with("capability", reference.id)
        .with("versions", version_list(*versions));
  }
  if (to < (*old)->lifecycle) return backwards(**old, to);
  if (to == (*old)->lifecycle) return {};
  auto made = std::make_shared<Capability>(**old);
  made->lifecycle = to;
  std::optional<Error> refusal;
  if (persist) {
    CLEW_TRY(refusal, keep(*made, true, persist));
  }
  put(std::move(made));
  if (refusal) return *std::move(refusal);
  return {};
}

Result<void> Registry::restore(std::vector<Capability> stored) {
  const Lock lock(writers_);
  for (auto& each : stored) {
    if (each.handler) {
      CLEW_TRY(each.inputs, Schema::compile(each.contract.inputs, "inputs"));
      CLEW_TRY(each.outputs, Schema::compile(each.contract.outputs, "outputs"));
    }
    each.key = ++last_key_;
    each.tenant = tenant_of(each.workspace);
    each.is_restored = true;
    put(std::make_shared<Capability>(std::move(each)));
  }
  return {};
}

void Registry::clear() {
  const Lock lock(writers_);
  current_.publish(std::make_shared<const RegistrySnapshot>());
}

Result<void> check_workspace(const std::string& name) {
  if (name.empty()) return {};
  return check_id(name, "workspace");
}

}  // namespace clew
