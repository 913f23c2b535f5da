// The class Processes: the registry of processes of a runtime. Records travel as dicts; the core
// reads and checks them.
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/bell.hpp"
#include "bindings/convert.hpp"
#include "bindings/processes.hpp"
#include "clew/base/fields.hpp"
#include "clew/runtime/stores.hpp"

namespace clew::python {

process::Processes& ProcessRegistry::processes() const {
  return core_->runtime().stores().processes();
}

namespace {

using process::Scope;
using py::operator""_a;

constexpr std::int64_t page_max = 1'000'000;

Scope scope_of(py::handle given, std::string_view path) {
  return unwrap(Scope::from_value(to_value(given, path), path));
}

int limit_of(py::handle given) { return static_cast<int>(to_integer(given, "limit", 1, page_max)); }

// What names something: a str that every store can keep.
std::string key_of(py::handle given, std::string_view path) {
  const auto text = text_view(given, path);
  unwrap(check_key(path, text));
  return std::string(text);
}

std::string key_if_given(py::handle given, std::string_view path) {
  return given.is_none() ? std::string() : key_of(given, path);
}

// Text that says something of a handle; empty when absent.
std::string words_of(py::handle given, std::string_view path) {
  auto text = text_or_empty(given, path);
  unwrap(check_text(path, text));
  return text;
}

std::string process_id(py::handle given) { return key_of(given, "process_id"); }

std::int64_t cursor_of(py::handle given) { return to_integer(given, "after", 0, INT64_MAX); }

// Lists go back as they are; what the core made needs no check.
template <typename T>
Value list_of(const std::vector<T>& records) {
  std::vector<Value> items;
  for (const auto& record : records) items.push_back(record.to_value());
  return Value::array(std::move(items));
}

Value texts(const std::vector<std::string>& list) {
  return Value::array(std::vector<Value>(list.begin(), list.end()));
}

Value lease_value(const std::string& id, const store::TimedLease& lease) {
  return Value::object({{"process_id", Value(id)},
                        {"owner_id", Value(lease.owner)},
                        {"lease_token", Value(lease.token)},
                        {"fencing_token", Value(lease.fence)},
                        {"claimed_at_us", Value(lease.claimed_at.us)},
                        {"expires_at_us", Value(lease.expires_at.us)}});
}

// Waits in slices that heed Ctrl-C. `look` finds what is waited for, or waits for it until then.
// Virtual time stands still while its test waits here: people's patience is measured in real time.
template <typename Look>
bool wait_for_store(const Core& core, std::optional<Duration> timeout, Look look) {
  auto& runtime = core.runtime();
  core.require_may_wait(nullptr);
  auto& clock = core.has_virtual_time() ? wall_clock() : runtime.env().clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  const auto look_until = [&](Timestamp slice) {
    Result<bool> found = false;
    runtime.pool().blocking([&] { found = look(slice); });
    return unwrap(std::move(found));
  };
  if (!core.has_virtual_time()) return interruptible_wait(clock, until, look_until);
  constexpr auto look_every = std::chrono::milliseconds(2);
  for (Latch never;;) {
    if (without_gil([&] { return look_until(runtime.env().clock().now()); })) return true;
    if (clock.now() >= until) return false;
    interruptible_wait(never, look_every);
    check_signals();
  }
}

// Rings at each commit that may be what somebody waits for, until it is dropped.
class Listening {
 public:
  Listening(const ProcessRegistry& registry, std::shared_ptr<Ring> ring)
      : core_(registry.core()),
        handle_(std::make_unique<std::shared_ptr<void>>(
            registry.processes().listen([ring = std::move(ring)] { ring->ring(); }))) {}
  // In a child made by fork it leaves alone what the parent's threads may have locked.
  ~Listening() {
    try {
      core_->runtime_unless_forked();
    } catch (const Raised&) {
      (void)handle_.release();
    }
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

 private:
  CorePtr core_;  // what it listens to
  std::unique_ptr<std::shared_ptr<void>> handle_;
};

using Self = ProcessRegistry;
using Class = py::classh<Self>;

void define_registry(Class& registry) {
  registry
      .def(
          "register_process",
          [](const Self& self, py::handle registration) {
            const auto given = unwrap(process::Registration::from_value(
                to_value(registration, "registration"), "registration"));
            return unwrap(without_gil([&] { return self.processes().register_process(given); }))
                .to_value();
          },
          "registration"_a)
      .def(
          "get_process",
          [](const Self& self, py::handle process) {
            const auto id = process_id(process);
            const auto found =
                unwrap(without_gil([&] { return self.processes().get_process(id); }));
            return found ? found->to_value() : Value();
          },
          "id"_a)
      .def("list_processes",
           [](const Self& self) {
             return list_of(unwrap(without_gil([&] { return self.processes().list_processes(); })));
           })
      .def("list_non_terminal",
           [](const Self& self) {
             return list_of(
                 unwrap(without_gil([&] { return self.processes().list_non_terminal(); })));
           })
      .def(
          "set_external_ref",
          [](const Self& self, py::handle process, py::handle ref) {
            const auto id = process_id(process);
            const auto given = unwrap(
                process::ExternalRef::from_value(to_value(ref, "external_ref"), "external_ref"));
            return unwrap(without_gil([&] { return self.processes().set_external_ref(id, given); }))
                .to_value();
          },
          "id"_a, "ref"_a)
      .def(
          "recover_processes",
          [](const Self& self, py::handle limit) {
            const int most = limit_of(limit);
            const auto recovered =
                unwrap(without_gil([&] { return self.processes().recover_processes(most); }));
            return Value::object({{"rerunnable", texts(recovered.rerunnable)},
                                  {"abandoned", texts(recovered.abandoned)}});
          },
          "limit"_a)
      .def(
          "prune_processes",
          [](const Self& self, py::handle before, py::handle limit) {
            const auto at = to_timestamp(before, "before");
            const int most = limit_of(limit);
            auto& stores = self.core()->runtime().stores();
            return texts(unwrap(without_gil([&] { return stores.prune_processes(at, most); })));
          },
          "before"_a, "limit"_a);
}

void define_appends(Class& registry) {
  registry
      .def(
          "append_event",
          [](const Self& self, py::handle process, py::handle request) {
            const auto id = process_id(process);
            const auto given =
                unwrap(process::AppendRequest::from_value(to_value(request, "event"), "event"));
            return unwrap(without_gil([&] { return self.processes().append_event(id, given); }))
                .to_value();
          },
          "id"_a, "request"_a)
      .def(
          "complete_process",
          [](const Self& self, py::handle process, py::handle output, py::handle lease_token,
             py::handle authority) {
            const auto id = process_id(process);
            const auto given = to_value(output, "output");
            const process::CompleteOptions options{key_if_given(lease_token, "lease_token"),
                                                   text_if_given(authority, "authority")};
            return unwrap(without_gil([&] {
                     return self.processes().complete_process(id, given, options);
                   }))
                .to_value();
          },
          "id"_a, "output"_a, "lease_token"_a, "authority"_a)
      .def(
          "request_cancel",
          [](const Self& self, py::handle process, py::handle reason) {
            const auto id = process_id(process);
            const auto why = text_or_empty(reason, "reason");
            return unwrap(without_gil([&] { return self.processes().request_cancel(id, why); }))
                .to_value();
          },
          "id"_a, "reason"_a);
}

void define_events(Class& registry) {
  registry
      .def(
          "events_after",
          [](const Self& self, py::handle process, py::handle after, py::handle limit) {
            const auto id = process_id(process);
            const auto cursor = cursor_of(after);
            const int most = limit_of(limit);
            return list_of(unwrap(
                without_gil([&] { return self.processes().events_after(id, cursor, most); })));
          },
          "id"_a, "after"_a, "limit"_a)
      .def(
          "wake_events_after",
          [](const Self& self, py::handle process, py::handle after, py::handle limit) {
            const auto id = process_id(process);
            const auto cursor = cursor_of(after);
            const int most = limit_of(limit);
            return list_of(unwrap(
                without_gil([&] { return self.processes().wake_events_after(id, cursor, most); })));
          },
          "id"_a, "after"_a, "limit"_a)
      .def(
          "ack_wake",
          [](const Self& self, py::handle process, py::handle sequence) {
            const auto id = process_id(process);
            const auto number = to_integer(sequence, "sequence", 1, INT64_MAX);
            unwrap(without_gil([&] { return self.processes().ack_wake(id, number); }));
          },
          "id"_a, "sequence"_a)
      .def(
          "wait_event_after",
          [](const Self& self, py::handle process, py::handle event_type, py::handle after,
             py::handle timeout) {
            const auto id = process_id(process);
            const auto cursor = cursor_of(after);
            const auto type = key_of(event_type, "event_type");
            const auto patience = to_patience(timeout, "timeout");
            std::optional<process::Event> found;
            auto& processes = self.processes();
            wait_for_store(*self.core(), patience, [&](Timestamp until) -> Result<bool> {
              CLEW_TRY(found, processes.wait_event_after(id, type, cursor, until));
              return found.has_value();
            });
            return found ? found->to_value() : Value();
          },
          "id"_a, "event_type"_a, "after"_a, "timeout"_a)
      .def(
          "await_process",
          [](const Self& self, py::handle process, py::handle timeout) -> py::object {
            const auto id = process_id(process);
            const auto patience = to_patience(timeout, "timeout");
            std::optional<Value> output;
            auto& processes = self.processes();
            wait_for_store(*self.core(), patience, [&](Timestamp until) -> Result<bool> {
              CLEW_TRY(output, processes.await_process(id, until));
              return output.has_value();
            });
            return output ? to_python(*output) : py::none();
          },
          "id"_a, "timeout"_a)
      .def(
          "listen",
          [](const Self& self, py::handle ring) {
            auto rung = ring_of(ring);
            CLEW_CHECK(rung != nullptr);
            return std::make_unique<Listening>(self, std::move(rung));
          },
          "ring"_a);
}

void define_handles(Class& registry) {
  registry
      .def(
          "grant_handle",
          [](const Self& self, py::handle scope, py::handle process, py::handle kind,
             py::handle label) {
            const auto id = process_id(process);
            const process::HandleGrant grant{scope_of(scope, "scope"), id, words_of(kind, "kind"),
                                             words_of(label, "label")};
            unwrap(without_gil([&] { return self.processes().grant_handle(grant); }));
          },
          "scope"_a, "id"_a, "kind"_a, "label"_a)
      .def(
          "revoke_handle",
          [](const Self& self, py::handle scope, py::handle process) {
            const auto id = process_id(process);
            const auto from = scope_of(scope, "scope");
            return unwrap(without_gil([&] { return self.processes().revoke_handle(from, id); }));
          },
          "scope"_a, "id"_a)
      .def(
          "has_handle_grant",
          [](const Self& self, py::handle scope, py::handle process) {
            const auto id = process_id(process);
            const auto of = scope_of(scope, "scope");
            return unwrap(without_gil([&] { return self.processes().has_handle_grant(of, id); }));
          },
          "scope"_a, "id"_a)
      .def(
          "list_handle_grants",
          [](const Self& self, py::handle scope, bool live_only) {
            const auto of = scope_of(scope, "scope");
            return list_of(unwrap(
                without_gil([&] { return self.processes().list_handle_grants(of, live_only); })));
          },
          "scope"_a, "live_only"_a)
      .def(
          "handle_grants_for_process",
          [](const Self& self, py::handle process) {
            const auto id = process_id(process);
            return list_of(unwrap(
                without_gil([&] { return self.processes().handle_grants_for_process(id); })));
          },
          "id"_a)
      .def(
          "transfer_handle_grants",
          [](const Self& self, py::handle from, py::handle to, py::handle process_ids) {
            std::vector<std::string> ids;
            for (const auto each : py::reinterpret_borrow<py::list>(process_ids)) {
              ids.push_back(key_of(each, fmt::format("process_ids[{}]", ids.size())));
            }
            const auto source = scope_of(from, "from_scope");
            const auto target = scope_of(to, "to_scope");
            unwrap(without_gil(
                [&] { return self.processes().transfer_handle_grants(source, target, ids); }));
          },
          "from_scope"_a, "to_scope"_a, "ids"_a)
      .def(
          "delete_session_process_state",
          [](const Self& self, py::handle session_id) {
            const auto session = key_of(session_id, "session_id");
            return unwrap(without_gil([&] {
                     return self.processes().delete_session_process_state(session);
                   }))
                .to_value();
          },
          "session_id"_a);
}

void define_leases(Class& registry) {
  registry
      .def(
          "claim_process_lease",
          [](const Self& self, py::handle process, py::handle owner_id, py::handle ttl,
             py::handle token) {
            const auto id = process_id(process);
            const auto owner = key_of(owner_id, "owner_id");
            const auto length = to_duration(ttl, "ttl");
            const auto nonce = key_if_given(token, "token");
            return lease_value(id, unwrap(without_gil([&] {
                                 return self.processes().claim_process_lease(id, owner, length,
                                                                             nonce);
                               })));
          },
          "id"_a, "owner"_a, "ttl"_a, "token"_a)
      .def(
          "renew_process_lease",
          [](const Self& self, py::handle process, py::handle lease_token, py::handle ttl) {
            const auto id = process_id(process);
            const auto token = key_of(lease_token, "lease_token");
            const auto length = to_duration(ttl, "ttl");
            return lease_value(id, unwrap(without_gil([&] {
                                 return self.processes().renew_process_lease(id, token, length);
                               })));
          },
          "id"_a, "token"_a, "ttl"_a)
      .def(
          "complete_process_lease",
          [](const Self& self, py::handle process, py::handle lease_token) {
            const auto id = process_id(process);
            const auto token = key_of(lease_token, "lease_token");
            unwrap(without_gil([&] { return self.processes().complete_process_lease(id, token); }));
          },
          "id"_a, "token"_a);
}

}  // namespace

void register_processes(py::module_& m) {
  const py::classh<Listening> listening(m, "_Listening", py::is_final(),
                                        py::release_gil_before_calling_cpp_dtor());
  Class processes(m, "Processes", py::is_final());
  define_registry(processes);
  define_appends(processes);
  define_events(processes);
  define_handles(processes);
  define_leases(processes);
}

void define_processes(RuntimeClass& runtime) {
  runtime.def_property_readonly(
      "processes", [](const RuntimeHandle& self) { return ProcessRegistry(self.core()); });
}

}  // namespace clew::python
