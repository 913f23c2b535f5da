#include "bindings/register_runtime.hpp"

#include <pybind11/stl.h>
#include <unistd.h>

#include "bindings/call_object.hpp"
#include "bindings/convert.hpp"
#include "bindings/effects.hpp"
#include "bindings/events.hpp"
#include "bindings/futures_executor.hpp"
#include "bindings/handler.hpp"
#include "bindings/map.hpp"
#include "bindings/native.hpp"
#include "bindings/processes.hpp"
#include "bindings/records.hpp"
#include "bindings/register.hpp"
#include "bindings/sessions.hpp"

namespace clew::python {
namespace {

using py::operator""_a;
using Self = RuntimeHandle;

store::Durability durability_of(const std::string& word) {
  if (word == "sync") return store::Durability::sync;
  if (word == "relaxed") return store::Durability::relaxed;
  raise(invalid_input("durability", Value(word), "\"sync\" or \"relaxed\""));
}

// What a changed function may do to a registered one.
Replace replace_of(const std::string& environment) {
  if (environment == "production") return Replace::nothing;
  if (environment != "development") {
    raise(invalid_input("environment", Value(environment), "\"development\" or \"production\""));
  }
  // At a prompt a function is written again and again under one version.
  const auto sys = py::module_::import("sys");
  const auto ipython = sys.attr("modules").attr("get")("IPython");
  const auto shell = py::getattr(ipython, "get_ipython", py::none());  // imported is not running
  const bool notebook = !shell.is_none() && !shell().is_none();
  const bool prompt = notebook || py::hasattr(sys, "ps1");
  return prompt ? Replace::everything : Replace::function;
}

template <typename T>
void set_if_given(py::handle given, T& option) {
  if (!given.is_none()) option = given.cast<T>();
}
void set_if_given(py::handle given, Duration& option, std::string_view path) {
  if (!given.is_none()) option = to_duration(given, path);
}

std::unique_ptr<Self> open(const std::string& store, py::handle workers, py::handle name,
                           const std::string& durability, const std::string& environment,
                           std::shared_ptr<ManualClock> clock, bool start, py::handle queue_max,
                           py::handle relaxed_window, py::handle traces_max, py::handle traces_age,
                           py::handle lease_ttl, py::handle idempotency_ttl, py::handle keys_age,
                           py::handle processes_age, py::handle trusted_keys, py::handle events_max,
                           py::handle events_age) {
  RuntimeOptions options;
  options.store = store;
  options.durability = durability_of(durability);
  options.replace = replace_of(environment);
  options.wasm.production = environment == "production";
  options.wasm.trusted_keys = to_public_keys(trusted_keys);
  options.wasm.on_stderr = log_guest;
  options.start = start;
  options.name = text_or_empty(name, "name");
  if (options.name.empty()) options.name = fmt::format("clew-{}", ::getpid());
  if (!workers.is_none()) {
    options.workers = workers.cast<int>();
    if (options.workers < 1 || options.workers > 256) {
      raise(invalid_input("workers", Value(options.workers), "a number from 1 to 256"));
    }
  }
  set_if_given(queue_max, options.queue_max);
  set_if_given(traces_max, options.traces.count_max);
  set_if_given(events_max, options.events.count_max);
  set_if_given(events_age, options.events.age_max, "events_age");
  set_if_given(relaxed_window, options.relaxed_window, "relaxed_window");
  set_if_given(traces_age, options.traces.age_max, "traces_age");
  set_if_given(lease_ttl, options.lease_ttl, "lease_ttl");
  set_if_given(idempotency_ttl, options.idempotency_ttl, "idempotency_ttl");
  set_if_given(keys_age, options.retention.keys_age, "keys_age");
  options.retention.processes_age = to_optional_duration(processes_age, "processes_age");
  return std::make_unique<Self>(Core::open(std::move(options), std::move(clock)));
}

// ---- capabilities

Placing placing(const std::string& scope, const std::string& workspace) {
  return {unwrap(parse_scope(scope, "scope")), workspace};
}

Registration add(Core& core, const Value& document, std::shared_ptr<const Handler> handler,
                 Placing where) {
  return without_gil([&] {
    auto contract = unwrap(Contract::from_document(document));
    return unwrap(core.runtime().add(std::move(contract), std::move(handler), std::move(where)));
  });
}

py::dict register_python(const Self& self, const Value& contract, py::object handler,
                         const std::string& kind, py::handle context, py::object decode,
                         py::object encode, const std::string& fingerprint,
                         const std::string& scope, const std::string& workspace) {
  if (PyCallable_Check(handler.ptr()) == 0) {
    raise(invalid_input("handler", Value(py::repr(handler).cast<std::string>()), "a callable"));
  }
  if (kind != "python" && kind != "async") {
    raise(invalid_input("kind", Value(kind), "\"python\" or \"async\""));
  }
  const auto made = std::make_shared<PythonHandler>(
      std::move(handler), std::move(decode), std::move(encode),
      HandlerOptions{kind == "async", text_or_empty(context, "context"), fingerprint});
  auto registration = to_dict(add(*self.core(), contract, made, placing(scope, workspace)));
  self.core()->note_handler(made);
  return registration;
}

// A contract that a workflow carries out; or alone: its handler is bound later, or in another
// process.
py::dict register_contract(const Self& self, const Value& contract,
                           const std::shared_ptr<workflow::Definition>& workflow,
                           const std::string& scope, const std::string& workspace) {
  auto where = placing(scope, workspace);
  if (!workflow) return to_dict(add(*self.core(), contract, nullptr, std::move(where)));
  auto& runtime = self.core()->runtime();
  return to_dict(without_gil([&] {
    auto made = unwrap(Contract::from_document(contract));
    return unwrap(runtime.add_workflow(std::move(made), workflow, std::move(where)));
  }));
}

py::dict register_native(const Self& self, const Value& contract, const std::string& function,
                         const std::string& scope, const std::string& workspace) {
  auto handler = unwrap(make_native_handler(function, self.core()->runtime().env()));
  return to_dict(add(*self.core(), contract, std::move(handler), placing(scope, workspace)));
}

void set_lifecycle(const Self& self, py::handle reference, const std::string& lifecycle,
                   const std::string& scope, const std::string& workspace) {
  const auto to = unwrap(parse_lifecycle(Value(lifecycle), "lifecycle"));
  const auto text = Core::text_of(reference);
  auto where = placing(scope, workspace);
  without_gil([&] { unwrap(self.core()->runtime().set_lifecycle(text, to, std::move(where))); });
}

Resolved resolve_in(const Self& self, py::handle reference, const std::string& workspace) {
  self.core()->runtime();
  std::string text = workspace.empty() ? "" : Core::text_of(reference);
  if (workspace.empty()) {
    if (auto known = self.core()->resolve(reference, text); known.capability) {
      return known;
    }
  }
  return unwrap(self.core()->runtime().registry().snapshot()->lookup(text, {workspace}));
}

// What a reference means, with what was considered for it.
py::dict resolve(const Self& self, py::handle reference, bool public_only,
                 const std::string& workspace) {
  const auto text = Core::text_of(reference);
  const auto parsed = unwrap(Reference::parse(text, "reference"));
  const auto snapshot = self.core()->runtime().registry().snapshot();
  const auto resolution = unwrap(snapshot->explain(parsed, {workspace, public_only}));
  auto found = to_dict(*resolution.capability);
  py::list candidates;
  for (const auto& each : resolution.candidates) candidates.append(to_dict(each));
  found["candidates"] = std::move(candidates);
  return found;
}

py::dict placement(const Self& self, py::handle reference, const std::string& target,
                   const std::string& workspace) {
  const auto capability = resolve_in(self, reference, workspace).capability;
  return to_dict(
      unwrap(self.core()->runtime().dispatcher().explain_placement(*capability, target)));
}

py::list dependencies(const Self& self, py::handle reference, const std::string& workspace) {
  const auto capability = resolve_in(self, reference, workspace).capability;
  const auto snapshot = self.core()->runtime().registry().snapshot();
  py::list all;
  for (const auto& each : unwrap(snapshot->dependencies(*capability))) all.append(to_dict(*each));
  return all;
}

py::list capabilities(const Self& self, const std::string& workspace) {
  py::list all;
  for (const auto& each : self.core()->runtime().registry().snapshot()->list(workspace)) {
    all.append(to_dict(*each));
  }
  return all;
}

void add_executor(const Self& self, const std::string& name, py::object executor,
                  std::vector<std::string> targets, py::handle capacity) {
  if (!py::hasattr(executor, "submit")) {
    raise(invalid_input("executor", Value(py::repr(executor).cast<std::string>()),
                        "a concurrent.futures.Executor"));
  }
  FuturesOptions options{name, std::move(targets), self.core()->runtime().pool().stats().capacity};
  const auto workers = py::getattr(executor, "_max_workers", py::none());
  if (py::isinstance<py::int_>(workers)) options.capacity = workers.cast<int>();
  set_if_given(capacity, options.capacity);
  auto made = make_futures_executor(std::move(executor), std::move(options));
  without_gil([&] { unwrap(self.core()->runtime().add_executor(std::move(made))); });
}

// ---- calls

std::unique_ptr<Map> map(const Self& self, py::handle ref, py::handle inputs,
                         py::handle concurrency, bool ordered, bool return_exceptions,
                         const std::string& workspace) {
  constexpr int concurrency_max = 1'000'000;
  auto resolved = resolve_in(self, ref, workspace);
  MapOptions options{std::nullopt, ordered, return_exceptions};
  if (!concurrency.is_none()) {
    options.concurrency =
        static_cast<int>(to_integer(concurrency, "concurrency", 1, concurrency_max));
  }
  auto iterator = py::reinterpret_steal<py::object>(PyObject_GetIter(inputs.ptr()));
  if (!iterator) throw py::error_already_set();
  return std::make_unique<Map>(self.core(), std::move(resolved), std::move(iterator), options);
}

int visit(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!py::detail::is_holder_constructed(self)) return 0;
  const auto& handle = py::cast<const Self&>(py::handle(self));
  return handle.core()->traverse(visit, arg);
}

// A garbage collector that has found the runtime unreachable ends it before anything is taken
// apart, so that no handler runs with half of what it refers to.
void finalize(PyObject* self) {
  if (!py::detail::is_holder_constructed(self)) return;
  const py::error_scope keep_error;
  const auto core = py::cast<const Self&>(py::handle(self)).core();
  core->close_quietly(std::chrono::seconds(5));
}

int clear(PyObject*) { return 0; }  // finalize() has dropped what there was

void take_part_in_collection(PyHeapTypeObject* heap_type) {
  auto& type = heap_type->ht_type;
  type.tp_flags |= Py_TPFLAGS_HAVE_GC;
  type.tp_traverse = visit;
  type.tp_finalize = finalize;
  type.tp_clear = clear;
}

template <typename Class>
void define_capabilities(Class& runtime) {
  runtime
      .def("register", register_python, "contract"_a, "handler"_a, py::kw_only(),
           "kind"_a = "python", "context"_a = py::none(), "decode"_a = py::none(),
           "encode"_a = py::none(), "fingerprint"_a = "", "scope"_a = "public", "workspace"_a = "")
      .def("register_contract", register_contract, "contract"_a, "workflow"_a = py::none(),
           py::kw_only(), "scope"_a = "public", "workspace"_a = "")
      .def("register_native", register_native, "contract"_a, "function"_a, py::kw_only(),
           "scope"_a = "public", "workspace"_a = "")
      .def("set_lifecycle", set_lifecycle, "ref"_a, "lifecycle"_a, py::kw_only(),
           "scope"_a = "public", "workspace"_a = "")
      .def("capabilities", capabilities, "workspace"_a = "")
      .def("resolve", resolve, "ref"_a, py::kw_only(), "public_only"_a = false, "workspace"_a = "")
      .def("dependencies", dependencies, "ref"_a, "workspace"_a = "")
      .def("placement", placement, "ref"_a, "target"_a = "", "workspace"_a = "")
      .def("add_executor", add_executor, "name"_a, "executor"_a, "targets"_a, py::kw_only(),
           "capacity"_a = py::none());
}

template <typename Class>
void define_calls(Class& runtime) {
  add_entries(runtime);  // execute, submit, submit_future
  runtime.def("map", map, "ref"_a, "inputs"_a, py::kw_only(), "concurrency"_a = py::none(),
              "ordered"_a = true, "return_exceptions"_a = false, "workspace"_a = "");
}

}  // namespace

void register_runtime(py::module_& m) {
  py::classh<Self> runtime(m, "Runtime", py::custom_type_setup(take_part_in_collection));
  runtime
      .def(py::init(&open), "store"_a = ":memory:", py::kw_only(), "workers"_a = py::none(),
           "name"_a = py::none(), "durability"_a = "sync", "environment"_a = "development",
           "clock"_a = py::none(), "start"_a = true, "queue_max"_a = py::none(),
           "relaxed_window"_a = py::none(), "traces_max"_a = py::none(),
           "traces_age"_a = py::none(), "lease_ttl"_a = py::none(),
           "idempotency_ttl"_a = py::none(), "keys_age"_a = py::none(),
           "processes_age"_a = py::none(), "trusted_keys"_a = py::none(),
           "events_max"_a = py::none(), "events_age"_a = py::none())
      .def_property_readonly("name", [](const Self& self) { return self.core()->options().name; })
      .def_property_readonly("store", [](const Self& self) { return self.core()->options().store; })
      .def_property_readonly("workers", [](const Self& self) { return self.core()->workers(); })
      .def_property_readonly("closed", [](const Self& self) { return self.core()->closed(); })
      .def(
          "close",
          [](const Self& self, bool drain, py::handle timeout) {
            return self.core()->close(drain, to_duration(timeout, "timeout"));
          },
          "drain"_a = true, "timeout"_a = 30.0);
  define_capabilities(runtime);
  define_calls(runtime);
  define_wasm(m, runtime);
  define_workflows(runtime);
  define_events(runtime);
  define_processes(runtime);
  define_sessions(runtime);
  define_effects(runtime);
  define_inspection(m, runtime);
  m.def("native_functions", native_functions);
  m.def("live_runtimes", &Core::live_count);
  m.def(
      "close_all", [](py::handle timeout) { Core::close_all(to_duration(timeout, "timeout")); },
      "timeout"_a = 5.0);
}

}  // namespace clew::python
