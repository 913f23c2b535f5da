#include <pybind11/stl.h>

#include <cstdint>

#include "bindings/call_object.hpp"
#include "bindings/context.hpp"
#include "bindings/convert.hpp"

namespace clew::python {
namespace {

using py::operator""_a;

CallOptions options_of(const py::kwargs& options) {
  CallOptions parsed;
  for (const auto& [key, value] : options) {
    const auto name = text_view(key, "options");
    if (!set_option(parsed, name, value)) {
      throw py::type_error(fmt::format("unknown option '{}'", name));
    }
  }
  return parsed;
}

Request nested(const Context& context, py::handle ref, py::handle input,
               const py::kwargs& options) {
  context.check_cancelled();
  const bool absent = input.is(py::ellipsis());
  return make_request(*context.core(), ref, absent ? py::handle() : input, options_of(options),
                      context.invocation_ptr());
}

py::object connect(const Context& context, const std::string& name, py::handle request) {
  context.core()->require_may_wait(nullptr);
  auto value = to_value(request, "request");
  const auto response =
      without_gil([&] { return context.invocation().connect(name, std::move(value)); });
  return to_python(unwrap(response));
}

py::object remaining(const Context& context) {
  const auto deadline = context.invocation().deadline();
  if (deadline == Timestamp::never()) return py::none();
  const auto left = deadline - context.core()->runtime_unless_forked().env().clock().now();
  return py::float_(std::max(0.0, static_cast<double>(left.count()) / 1e6));
}

std::optional<std::string> of_tag(const Context& context, std::string StepTag::* field) {
  const auto* tag = context.invocation().tag();
  if (tag == nullptr || (tag->*field).empty()) return std::nullopt;
  return tag->*field;
}

void emit(const Context& self, py::handle event, py::handle data, py::handle subject,
          py::handle key) {
  EventDraft draft;
  draft.type = text_view(event, "event");
  draft.data = to_value(data, "data");
  draft.subject = text_if_given(subject, "subject");
  draft.key = text_if_given(key, "key");
  self.core()->runtime_unless_forked();
  unwrap(without_gil([&] { return self.invocation().emit(std::move(draft)); }));
}

}  // namespace

void Context::check_cancelled() const {
  if (invocation_->cancelled()) raise(Error(Code::cancelled, "the call was asked to stop"));
}

py::object make_context(InvocationPtr invocation, CorePtr core, bool is_async) {
  return py::cast(std::make_shared<Context>(std::move(invocation), std::move(core), is_async));
}

void register_context(py::module_& m) {
  py::classh<Context>(m, "Context", py::is_final())
      .def(
          "call",
          [](const Context& self, py::handle ref, py::handle input, const py::kwargs& options) {
            auto request = nested(self, ref, input, options);
            if (self.is_async()) return to_object(submit(self.core(), std::move(request)), true);
            return execute(*self.core(), std::move(request));
          },
          "ref"_a, "input"_a = py::ellipsis())
      .def(
          "submit",
          [](const Context& self, py::handle ref, py::handle input, const py::kwargs& options) {
            return to_object(submit(self.core(), nested(self, ref, input, options)));
          },
          "ref"_a, "input"_a = py::ellipsis())
      .def("_connect", connect, "name"_a, "request"_a)
      .def("emit", emit, "event"_a, "data"_a = py::none(), py::kw_only(), "subject"_a = py::none(),
           "key"_a = py::none())
      .def_property_readonly(
          "deadline", [](const Context& self) { return to_datetime(self.invocation().deadline()); })
      .def_property_readonly("remaining", remaining)
      .def_property_readonly("cancelled",
                             [](const Context& self) { return self.invocation().cancelled(); })
      .def("check_cancelled", &Context::check_cancelled)
      .def_property_readonly(
          "idempotency_key",
          [](const Context& self) { return text_or_none(self.invocation().idempotency_key()); })
      .def_property_readonly(
          "correlation_id",
          [](const Context& self) { return text_or_none(self.invocation().correlation_id()); })
      .def_property_readonly("attempt",
                             [](const Context& self) { return self.invocation().attempt(); })
      .def_property_readonly("trace_id",
                             [](const Context& self) { return self.invocation().id().to_string(); })
      .def_property_readonly("traceparent",
                             [](const Context& self) { return self.invocation().traceparent(); })
      .def_property_readonly("run_id",
                             [](const Context& self) { return of_tag(self, &StepTag::run); })
      .def_property_readonly("step",
                             [](const Context& self) { return of_tag(self, &StepTag::step); })
      .def_property_readonly("item",
                             [](const Context& self) -> std::optional<int> {
                               const auto* tag = self.invocation().tag();
                               if (tag == nullptr || tag->item < 0) return std::nullopt;
                               return tag->item;
                             })
      .def_property_readonly("capability",
                             [](const Context& self) {
                               const auto& capability = *self.invocation().capability();
                               return capability.contract.id + "@" + capability.version_text;
                             })
      .def(
          "progress",
          [](const Context& self, py::handle done, py::handle total) {
            const auto whole = to_integer(total, "total", 0, INT64_MAX);
            const auto part = to_integer(done, "done", 0, whole);
            self.invocation().report_progress(part, whole);
          },
          "done"_a, "total"_a)
      .def(
          "heartbeat",
          [](const Context& self, py::handle details) {
            (void)to_value(details, "details");  // refused now rather than when somebody reads it
            self.check_cancelled();
          },
          "details"_a = py::none());
}

}  // namespace clew::python
