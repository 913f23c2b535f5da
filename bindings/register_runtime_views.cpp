#include <pybind11/stl.h>

#include <atomic>

#include "bindings/bell.hpp"
#include "bindings/convert.hpp"
#include "bindings/records.hpp"
#include "bindings/register_runtime.hpp"
#include "bindings/run.hpp"

namespace clew::python {

// Not in an anonymous namespace: registered as a Python class.
// Told from another thread that nobody waits for a query any more.
class QueryStop {
 public:
  void set() { told_.store(true); }
  bool is_set() const { return told_.load(); }

 private:
  std::atomic<bool> told_{false};
};

namespace {

using py::operator""_a;
using Self = RuntimeHandle;
using workflow::Definition;

// ---- workflows

workflow::StartRequest start_request(py::handle workflow, py::handle input, py::handle id,
                                     py::handle key, int priority, std::vector<std::string> tags,
                                     py::handle durability, const std::string& workspace) {
  workflow::StartRequest request;
  request.workspace = workspace;
  if (py::isinstance<Definition>(workflow)) {
    request.definition = workflow.cast<std::shared_ptr<Definition>>();
  } else {
    request.workflow = text_view(workflow, "workflow");
  }
  if (!input.is(py::ellipsis())) request.input = to_value(input, "input");
  request.id = text_or_empty(id, "id");
  request.key = text_or_empty(key, "key");
  request.priority = priority;
  request.tags = std::move(tags);
  if (const auto word = text_or_empty(durability, "durability"); !word.empty()) {
    if (word != "sync" && word != "relaxed") {
      raise(invalid_input("durability", Value(word), "\"sync\" or \"relaxed\""));
    }
    request.durability = word == "sync" ? store::Durability::sync : store::Durability::relaxed;
  }
  return request;
}

std::shared_ptr<Run> to_run(const CorePtr& core, workflow::RunPtr run) {
  return std::make_shared<Run>(core, std::move(run));
}

std::shared_ptr<Run> start(const Self& self, py::handle workflow, py::handle input, py::handle id,
                           py::handle key, int priority, std::vector<std::string> tags,
                           py::handle durability, const std::string& workspace) {
  const auto request =
      start_request(workflow, input, id, key, priority, std::move(tags), durability, workspace);
  auto& runtime = self.core()->runtime();
  return to_run(self.core(), unwrap(without_gil([&] { return runtime.start(request); })));
}

void start_async(const Self& self, py::handle workflow, py::handle input,
                 std::shared_ptr<Ring> ring, py::handle id, py::handle key, int priority,
                 std::vector<std::string> tags, py::handle durability,
                 const std::string& workspace) {
  auto request =
      start_request(workflow, input, id, key, priority, std::move(tags), durability, workspace);
  auto& runtime = self.core()->runtime();
  without_gil([&] {
    runtime.start_async(std::move(request),
                        [ring = std::move(ring)](Result<workflow::RunPtr> started) {
                          ring->started = std::move(started);
                          ring->ring();
                        });
  });
}

std::shared_ptr<Run> started(const Self& self, const Ring& ring) {
  if (!ring.started) raise(Error(Code::internal, "the ring of a start that has no answer yet"));
  return to_run(self.core(), unwrap(*ring.started));
}

py::tuple runs(const Self& self, py::handle status, py::handle workflow, py::handle tag,
               py::handle workspace, int limit, py::handle cursor) {
  workflow::RunQuery query;
  if (!status.is_none()) {
    query.status = unwrap(workflow::parse_run_status(text_view(status, "status")));
  }
  query.workflow = text_or_empty(workflow, "workflow");
  query.tag = text_or_empty(tag, "tag");
  if (!workspace.is_none()) query.workspace = text_view(workspace, "workspace");
  query.limit = limit;
  query.cursor = text_or_empty(cursor, "cursor");
  auto& runtime = self.core()->runtime();
  const auto page = unwrap(without_gil([&] { return runtime.runs(query); }));
  return py::make_tuple(to_list(page.runs), text_or_none(page.next_cursor));
}

// ---- inspection

py::tuple traces(const Self& self, py::handle capability, py::handle version, py::handle outcome,
                 py::handle code, py::handle since, py::handle until, py::handle run, int limit,
                 py::handle cursor) {
  TraceQuery query;
  query.capability = text_or_empty(capability, "capability");
  query.version = text_or_empty(version, "version");
  if (!outcome.is_none()) query.outcome = unwrap(parse_outcome(text_view(outcome, "outcome")));
  query.code = text_or_empty(code, "code");
  query.since = to_optional_timestamp(since, "since");
  query.until = to_optional_timestamp(until, "until");
  query.run = text_or_empty(run, "run");
  query.limit = limit;
  query.cursor = text_or_empty(cursor, "cursor");
  auto& runtime = self.core()->runtime();
  const auto page = unwrap(without_gil([&] { return runtime.traces(query); }));
  return py::make_tuple(to_list(page.traces), text_or_none(page.next_cursor));
}

py::dict trace(const Self& self, py::handle id) {
  const auto parsed = unwrap(Id::parse(text_view(id, "id")));
  auto& runtime = self.core()->runtime();
  return to_dict(unwrap(without_gil([&] { return runtime.trace(parsed); })));
}

py::list sql(const Self& self, py::handle text, py::handle params, py::handle timeout,
             const std::shared_ptr<QueryStop>& stop) {
  const std::string query(text_view(text, "query"));
  if (PyMapping_Check(params.ptr()) != 0 && PySequence_Check(params.ptr()) == 0) {
    raise(invalid_input("params", Value("(a mapping)"), "a sequence: parameters go by position"));
  }
  const auto given = to_value(params, "params");
  if (!given.is_array()) {
    raise(invalid_input("params", given, "a sequence: parameters go by position"));
  }
  const std::vector<Value> parameters(given.items().begin(), given.items().end());
  auto& runtime = self.core()->runtime();
  SignalWatch signals;
  SqlOptions options;
  options.timeout = to_optional_duration(timeout, "timeout");
  if (options.timeout && options.timeout->count() == 0) {
    raise(invalid_input("timeout", to_value(timeout, "timeout"), "a duration above zero"));
  }
  options.heed = [&]() -> Result<void> {
    if (stop && stop->is_set()) return Error(Code::cancelled, "the wait was cancelled");
    return signals.look();
  };
  const auto rows = without_gil([&] { return runtime.sql(query, parameters, std::move(options)); });
  signals.rethrow();
  if (!rows) raise(rows.error());
  py::list list;
  for (const auto& row : *rows) list.append(to_python(row));
  return list;
}

py::list verify(const Self& self) {
  auto& runtime = self.core()->runtime();
  py::list list;
  for (const auto& violation : unwrap(without_gil([&] { return runtime.verify(); }))) {
    py::dict fields;
    fields["invariant"] = violation.invariant;
    fields["detail"] = violation.detail;
    list.append(fields);
  }
  return list;
}

}  // namespace

void define_workflows(RuntimeClass& runtime) {
  runtime
      .def("start", start, "workflow"_a, "input"_a = py::ellipsis(), py::kw_only(),
           "id"_a = py::none(), "key"_a = py::none(), "priority"_a = 0, "tags"_a = py::tuple(),
           "durability"_a = py::none(), "workspace"_a = "")
      .def("_start_async", start_async, "workflow"_a, "input"_a, "ring"_a, py::kw_only(),
           "id"_a = py::none(), "key"_a = py::none(), "priority"_a = 0, "tags"_a = py::tuple(),
           "durability"_a = py::none(), "workspace"_a = "")
      .def("_started", started, "ring"_a)
      .def(
          "run",
          [](const Self& self, const std::string& id) {
            auto& core = self.core()->runtime();
            return to_run(self.core(), unwrap(without_gil([&] { return core.run(id); })));
          },
          "id"_a)
      .def("runs", runs, py::kw_only(), "status"_a = py::none(), "workflow"_a = py::none(),
           "tag"_a = py::none(), "workspace"_a = py::none(), "limit"_a = 100,
           "cursor"_a = py::none())
      .def(
          "publish_workflow",
          [](const Self& self, const std::shared_ptr<Definition>& definition) {
            return self.core()->runtime().publish_workflow(definition);
          },
          no_gil, "definition"_a.none(false))
      .def(
          "find_workflow",
          [](const Self& self, const std::string& ref) {
            auto& core = self.core()->runtime();
            return std::const_pointer_cast<Definition>(
                unwrap(without_gil([&] { return core.find_workflow(ref); })));
          },
          "ref"_a)
      .def(
          "check",
          [](const Self& self, const Definition& definition, const std::string& workspace) {
            auto& core = self.core()->runtime();
            return to_list(without_gil([&] { return core.check(definition, workspace); }));
          },
          "definition"_a, "workspace"_a = "");
}

void define_inspection(py::module_& m, RuntimeClass& runtime) {
  py::classh<QueryStop>(m, "_QueryStop", py::is_final())
      .def(py::init<>())
      .def("set", &QueryStop::set);
  runtime
      .def("traces", traces, py::kw_only(), "capability"_a = py::none(), "version"_a = py::none(),
           "outcome"_a = py::none(), "code"_a = py::none(), "since"_a = py::none(),
           "until"_a = py::none(), "run"_a = py::none(), "limit"_a = 100, "cursor"_a = py::none())
      .def("trace", trace, "id"_a)
      .def("sql", sql, "query"_a, "params"_a = py::tuple(), "timeout"_a = py::none(),
           "stop"_a = py::none())
      .def(
          "stats", [](const Self& self) { return self.core()->runtime().stats(); }, no_gil)
      .def(
          "health", [](const Self& self) { return self.core()->runtime().health(); }, no_gil)
      .def("verify", verify)
      .def("now", [](const Self& self) { return self.core()->runtime().env().clock().now(); });
}

}  // namespace clew::python
