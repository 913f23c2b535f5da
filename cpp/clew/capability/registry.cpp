#include "clew/capability/registry.hpp"

#include <algorithm>

#include "clew/base/json.hpp"
#include "clew/base/text.hpp"

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

std::string exact_text(const Capability& capability) {
  return capability.contract.id + "@" + capability.version_text;
}

// The ready answers for references that need no thought.
void index(RegistrySnapshot& snapshot) {
  snapshot.by_text.clear();
  for (const auto& [id, versions] : snapshot.by_id) {
    if (versions.size() == 1) snapshot.by_text.emplace(id, versions.front());
    for (const auto& capability : versions) {
      snapshot.by_text.emplace(exact_text(*capability), capability);
    }
  }
}

Error not_found(const RegistrySnapshot& snapshot, const std::string& id) {
  std::vector<std::string_view> ids;
  for (const auto& entry : snapshot.by_id) ids.push_back(entry.first);
  const auto near = nearest(id, ids);
  auto found = error(Code::not_found, "no capability \"{}\" is registered{}", id,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
  found = found.with("capability", id);
  return near.empty() ? found : found.with("suggestion", Value(near));
}

Value version_list(const std::vector<CapabilityPtr>& versions) {
  std::vector<Value> texts;
  for (const auto& capability : versions) texts.emplace_back(capability->version_text);
  return Value::array(std::move(texts));
}

// The place among `versions` (highest first) of `version`.
auto place_of(std::vector<CapabilityPtr>& versions, const Version& version) {
  return std::ranges::find_if(
      versions, [&](const CapabilityPtr& other) { return other->contract.version <= version; });
}

Error conflict(const Capability& old, const Capability& changed) {
  const auto difference =
      first_difference(old.contract.to_document(), changed.contract.to_document());
  if (!difference.found) {
    return error(Code::conflict, "{} is registered with another function", exact_text(old))
        .with("path", "handler");
  }
  return error(Code::conflict, "{} is registered with other content: {} is {}, not {}",
               exact_text(old), difference.path, preview(difference.left),
               preview(difference.right))
      .with("path", difference.path)
      .with("registered", difference.left)
      .with("given", difference.right);
}

}  // namespace

Result<CapabilityPtr> RegistrySnapshot::resolve(const std::string& reference) const {
  if (const auto ready = by_text.find(reference); ready != by_text.end()) return ready->second;
  CLEW_TRY(const auto parsed, Reference::parse(reference, "reference"));
  return resolve(parsed);
}

Result<CapabilityPtr> RegistrySnapshot::resolve(const Reference& reference) const {
  const auto found = by_id.find(reference.id);
  if (found == by_id.end()) return not_found(*this, reference.id);
  const auto& versions = found->second;

  if (reference.kind == Reference::Kind::bare) {
    // A pre-release never stands in the way of the one release.
    std::vector<CapabilityPtr> releases;
    std::ranges::copy_if(versions, std::back_inserter(releases),
                         [](const auto& each) { return each->contract.version.pre.empty(); });
    const auto& eligible = releases.empty() ? versions : releases;
    if (eligible.size() == 1) return eligible.front();
    return error(Code::ambiguous, "\"{}\" has {} versions: name one, or a range", reference.id,
                 eligible.size())
        .with("capability", reference.id)
        .with("versions", version_list(eligible));
  }
  for (const auto& capability : versions) {
    const bool fits = reference.kind == Reference::Kind::exact
                          ? capability->contract.version == reference.version
                          : reference.range.matches(capability->contract.version);
    if (fits) return capability;
  }
  const auto wanted = reference.kind == Reference::Kind::exact ? reference.version.to_string()
                                                               : reference.range.text();
  return error(Code::not_found, "no version of \"{}\" satisfies {}: there is {}", reference.id,
               wanted, to_json(version_list(versions)))
      .with("capability", reference.id)
      .with("versions", version_list(versions));
}

Registry::Registry() : current_(std::make_shared<const RegistrySnapshot>()) {}

Result<Registration> Registry::add(Contract contract, std::shared_ptr<const Handler> handler,
                                   Replace replace) {
  CLEW_CHECK(handler != nullptr);
  CLEW_TRY(auto made, compile(std::move(contract), std::move(handler)));
  Registration done{made->contract.id, made->version_text, made->digest};

  const Lock lock(writers_);
  auto next = std::make_shared<RegistrySnapshot>(*current_.load());
  auto& versions = next->by_id[made->contract.id];
  const auto place = place_of(versions, made->contract.version);
  if (place != versions.end() && (*place)->contract.version == made->contract.version) {
    const Capability& old = **place;
    const bool same_contract = old.digest == made->digest;
    const bool same_function = old.handler->fingerprint() == made->handler->fingerprint();
    const auto needed = !same_contract  ? Replace::everything
                        : same_function ? Replace::nothing
                                        : Replace::function;
    if (needed > replace) return conflict(old, *made);
    done.already_registered = same_contract && same_function;
    done.replaced = !done.already_registered;
    if (old.handler == made->handler && same_contract) return done;
    made->key = old.key;  // what still runs of the old one counts under the limit
    *place = made;
  } else {
    made->key = ++last_key_;
    versions.insert(place, made);
  }
  index(*next);
  current_.publish(std::move(next));
  return done;
}

void Registry::clear() {
  const Lock lock(writers_);
  current_.publish(std::make_shared<const RegistrySnapshot>());
}

}  // namespace clew
