#include <pybind11/stl.h>

#include <new>

#include "bindings/bell.hpp"
#include "bindings/convert.hpp"
#include "bindings/events.hpp"
#include "bindings/records.hpp"

namespace clew::python {
namespace {

using py::operator""_a;
using Self = RuntimeHandle;

constexpr int poll_max = 100'000;

EventDraft draft_of(py::handle type, py::handle data, py::handle subject, py::handle id,
                    py::handle key, py::handle source, py::handle correlation_id,
                    py::handle causation_id) {
  EventDraft draft;
  draft.type = text_view(type, "type");
  draft.data = to_value(data, "data");
  draft.subject = text_if_given(subject, "subject");
  draft.id = text_if_given(id, "id");
  draft.key = text_if_given(key, "key");
  draft.source = text_if_given(source, "source");
  draft.correlation_id = text_if_given(correlation_id, "correlation_id");
  draft.causation_id = text_if_given(causation_id, "causation_id");
  return draft;
}

Cursor publish(const Self& self, py::handle type, py::handle data, py::handle subject,
               py::handle id, py::handle key, py::handle source, py::handle correlation_id,
               py::handle causation_id, py::handle timeout) {
  auto& runtime = self.core()->runtime();
  auto draft = draft_of(type, data, subject, id, key, source, correlation_id, causation_id);
  const auto patience = to_timeout(timeout, "timeout");
  return unwrap(without_gil([&] { return runtime.publish(std::move(draft), patience); }));
}

// The answer is read by _published() once the ring was called.
void publish_async(const Self& self, std::shared_ptr<Ring> ring, py::handle type, py::handle data,
                   py::handle subject, py::handle id, py::handle key, py::handle source,
                   py::handle correlation_id, py::handle causation_id) {
  auto& runtime = self.core()->runtime();
  auto draft = draft_of(type, data, subject, id, key, source, correlation_id, causation_id);
  without_gil([&] {
    runtime.publish_async(std::move(draft), [ring = std::move(ring)](Result<Cursor> published) {
      ring->published = std::move(published);
      ring->ring();
    });
  });
}

Cursor published(const Self&, const Ring& ring) {
  if (!ring.published) raise(Error(Code::internal, "the ring of an event that has no answer yet"));
  return unwrap(*ring.published);
}

std::shared_ptr<EventReader> subscribe(const Self& self, py::handle pattern, py::handle from,
                                       py::handle subject, py::handle group, py::handle queue_max,
                                       py::handle ack_timeout) {
  SubscribeOptions options;
  options.pattern = text_view(pattern, "pattern");
  if (py::isinstance<py::str>(from)) {
    const auto word = text_view(from, "from_");
    if (word != "now" && word != "start") {
      raise(invalid_input("from_", Value(word), "\"now\", \"start\" or a cursor"));
    }
    options.start = word == "now" ? StartAt::now : StartAt::start;
  } else {
    options.start = StartAt::cursor;
    options.after = to_integer(from, "from_", 0, INT64_MAX);
  }
  options.subject = text_if_given(subject, "subject");
  options.group = text_if_given(group, "group");
  if (!queue_max.is_none()) {
    options.queue_max = to_integer(queue_max, "queue_max", 1, INT64_MAX);
  }
  if (!ack_timeout.is_none()) options.ack_timeout = to_duration(ack_timeout, "ack_timeout");
  auto& runtime = self.core()->runtime();
  auto made = unwrap(without_gil([&] { return runtime.subscribe(std::move(options)); }));
  return std::make_shared<EventReader>(self.core(), std::move(made));
}

py::dict define(const Self& self, py::handle type, py::handle schema, py::handle lifecycle,
                py::handle summary) {
  auto& runtime = self.core()->runtime();
  EventDefinition definition;
  definition.type = text_view(type, "type");
  definition.schema = to_value(schema, "schema");
  definition.lifecycle = unwrap(parse_event_lifecycle(text_view(lifecycle, "lifecycle")));
  definition.summary = text_or_empty(summary, "summary");
  return to_dict(*unwrap(without_gil([&] { return runtime.define_event(definition); })));
}

py::dict set_lifecycle(const Self& self, const std::string& type, py::handle lifecycle) {
  auto& runtime = self.core()->runtime();
  const auto wanted = unwrap(parse_event_lifecycle(text_view(lifecycle, "lifecycle")));
  return to_dict(*unwrap(without_gil([&] { return runtime.set_event_lifecycle(type, wanted); })));
}

py::list event_types(const Self& self) {
  auto& runtime = self.core()->runtime();
  py::list list;
  for (const auto& type : unwrap(without_gil([&] { return runtime.event_types(); }))) {
    list.append(to_dict(*type));
  }
  return list;
}

}  // namespace

EventReader::~EventReader() {
  try {
    core_->runtime_unless_forked();
    without_gil([&] { subscription_->cancel(); });
  } catch (const Raised&) {
    (void)new (std::nothrow) SubscriptionPtr(std::move(subscription_));  // never destroyed
  }
}

// Virtual time stands still unless another thread moves it: then the wait looks at it every slice,
// so that Ctrl-C is heeded too.
bool EventReader::wait(Timestamp until) const {
  auto& runtime = core_->runtime_unless_forked();
  auto& clock = runtime.env().clock();
  const auto sleep = [&](Timestamp slice, Clock& by) {
    bool ready = false;
    runtime.pool().blocking([&] { ready = subscription_->wait(slice, by); });
    return ready;
  };
  if (!core_->has_virtual_time()) {
    return interruptible_wait(clock, until, [&](Timestamp slice) { return sleep(slice, clock); });
  }
  for (;;) {
    const auto slice = end_of_slice(wall_clock(), Timestamp::never());
    const bool ready = interruptible_wait(
        wall_clock(), slice, [&](Timestamp soon) { return sleep(soon, wall_clock()); });
    if (ready) return true;
    if (clock.now() >= until) return false;
  }
}

py::list EventReader::poll(int max, std::optional<Duration> timeout) const {
  auto& runtime = core_->runtime();
  if (!timeout || timeout->count() > 0) core_->require_may_wait(nullptr);
  auto& clock = runtime.env().clock();
  const auto until = timeout ? clock.now() + *timeout : Timestamp::never();
  for (;;) {
    const auto deliveries = unwrap(without_gil([&] { return subscription_->take(max); }));
    const bool is_over = timeout && clock.now() >= until;
    if (!deliveries.empty() || is_over || !wait(until)) return to_list(deliveries);
  }
}

void EventReader::on_ready(py::object callback) const {
  if (auto ring = ring_of(callback)) {
    without_gil([&] { subscription().on_ready([ring = std::move(ring)] { ring->ring(); }); });
    return;
  }
  auto held = std::make_shared<PyRef>(std::move(callback));
  auto notify = [core = core_, held] {
    call_back(core.get(), *held, [](py::handle function) { function(); });
  };
  without_gil([&] { subscription().on_ready(std::move(notify)); });
}

void register_events(py::module_& m) {
  py::classh<EventReader>(m, "Subscription", py::is_final())
      .def(
          "poll",
          [](const EventReader& self, py::handle max, py::handle timeout) {
            return self.poll(static_cast<int>(to_integer(max, "max", 1, poll_max)),
                             to_patience(timeout, "timeout"));
          },
          "max"_a = 100, "timeout"_a = py::none())
      .def("on_ready", &EventReader::on_ready, "callback"_a)
      .def(
          "ack",
          [](const EventReader& self, Cursor cursor, std::int64_t delivery) {
            return self.subscription().ack(cursor, delivery);
          },
          no_gil, "cursor"_a, "delivery"_a)
      .def(
          "cancel", [](const EventReader& self) { self.subscription().cancel(); }, no_gil)
      .def_property_readonly(
          "cancelled", [](const EventReader& self) { return self.subscription().cancelled(); })
      .def_property_readonly("cursor",
                             [](const EventReader& self) { return self.subscription().cursor(); });
}

void define_events(RuntimeClass& runtime) {
  runtime
      .def("publish", publish, "type"_a, "data"_a, py::kw_only(), "subject"_a = py::none(),
           "id"_a = py::none(), "key"_a = py::none(), "source"_a = py::none(),
           "correlation_id"_a = py::none(), "causation_id"_a = py::none(), "timeout"_a = py::none())
      .def("_publish_async", publish_async, "ring"_a, "type"_a, "data"_a, py::kw_only(),
           "subject"_a = py::none(), "id"_a = py::none(), "key"_a = py::none(),
           "source"_a = py::none(), "correlation_id"_a = py::none(), "causation_id"_a = py::none())
      .def("_published", published, "ring"_a)
      .def("subscribe", subscribe, "pattern"_a, py::kw_only(), "from_"_a = "now",
           "subject"_a = py::none(), "group"_a = py::none(), "queue_max"_a = py::none(),
           "ack_timeout"_a = py::none())
      .def("define_event", define, "type"_a, py::kw_only(), "schema"_a = true,
           "lifecycle"_a = "active", "summary"_a = "")
      .def("set_event_lifecycle", set_lifecycle, "type"_a, "lifecycle"_a)
      .def(
          "event_type",
          [](const Self& self, const std::string& ref) {
            auto& core = self.core()->runtime();
            return to_dict(*unwrap(without_gil([&] { return core.event_type(ref); })));
          },
          "ref"_a)
      .def("event_types", event_types);
}

}  // namespace clew::python
