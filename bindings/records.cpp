#include "bindings/records.hpp"

#include "bindings/convert.hpp"
#include "clew/base/json.hpp"

namespace clew::python {
namespace {

// Fills a dict, member by member.
class Fields {
 public:
  Fields& add(const char* key, py::object value) {
    fields_[to_shared_str(key)] = std::move(value);
    return *this;
  }
  Fields& text(const char* key, std::string_view value) {
    return add(key, py::str(value.data(), value.size()));
  }
  Fields& text_or_none(const char* key, std::string_view value) {
    return add(key, python::text_or_none(value));
  }
  Fields& word(const char* key, std::string_view value) { return add(key, to_shared_str(value)); }
  Fields& number(const char* key, std::int64_t value) { return add(key, py::int_(value)); }
  // None below zero.
  Fields& index(const char* key, std::int64_t value) {
    return add(key, value < 0 ? py::object(py::none()) : py::int_(value));
  }
  Fields& value(const char* key, const Value& value) { return add(key, to_python(value)); }
  py::dict take() { return std::move(fields_); }

 private:
  py::dict fields_;
};

// (stage, reason, when), where it is known when: at the start, when the handler began, at the end.
py::list hops_of(const Trace& trace) {
  const auto hop = [](CallStage to, HopReason reason, py::object at) {
    return py::make_tuple(to_shared_str(name(to)), text_or_none(name(reason)), std::move(at));
  };
  const auto began = trace.started + Duration(trace.queue_us);
  py::list hops;
  const auto way = trace.path.hops();
  if (way.empty()) return hops;
  hops.append(hop(CallStage::received, HopReason::none, to_datetime(trace.started)));
  for (const auto& [from, reason, to] : way) {
    py::object at = py::none();
    if (to == CallStage::running) at = to_datetime(began);
    if (to >= CallStage::success) at = to_datetime(began + Duration(trace.run_us));
    hops.append(hop(to, reason, std::move(at)));
  }
  return hops;
}

}  // namespace

py::dict to_dict(const Trace& trace) {
  return Fields()
      .text("id", trace.id.to_string())
      .add("parent", trace.parent ? py::object(py::str(trace.parent->to_string())) : py::none())
      .word("capability", trace.capability)
      .text_or_none("version", trace.version)
      .text_or_none("target", trace.target)
      .text_or_none("executor", trace.executor)
      .word("outcome", name(trace.outcome))
      .text_or_none("code", trace.code)
      .add("started", to_datetime(trace.started))
      .number("queue_us", trace.queue_us)
      .number("run_us", trace.run_us)
      .number("commit_us", trace.commit_us)
      .text_or_none("input_sha256", trace.input_sha256)
      .text_or_none("output_sha256", trace.output_sha256)
      .number("attempt", trace.attempt)
      .text_or_none("run", trace.run)
      .text_or_none("step", trace.step)
      .index("item", trace.item)
      .text_or_none("correlation_id", trace.correlation_id)
      .text("traceparent", trace.traceparent)
      .text_or_none("remote_parent", trace.remote_parent)
      .add("hops", hops_of(trace))
      .value("versions", trace.versions)
      .value("executors", trace.executors)
      .take();
}

py::dict to_dict(const Invocation& ended) {
  const TraceRecord& record = ended.trace();
  Trace trace;
  trace.id = record.id;
  if (!record.parent.is_nil()) trace.parent = record.parent;
  trace.capability = record.capability ? record.capability->contract.id : record.reference;
  if (record.capability) trace.version = record.capability->version_text;
  trace.target = record.target;
  trace.executor = record.executor;
  trace.outcome = record.outcome;
  if (record.code) trace.code = name(*record.code);
  trace.started = record.started;
  trace.queue_us = record.queue_ns / 1000;
  trace.run_us = record.run_ns / 1000;
  trace.input_sha256 = to_hex(digest_of(ended.input()));
  if (ended.outcome().result) trace.output_sha256 = to_hex(digest_of(*ended.outcome().result));
  if (record.tag) {
    trace.attempt = record.tag->attempt;
    trace.run = record.tag->run;
    trace.step = record.tag->step;
    trace.item = record.tag->item;
  }
  trace.correlation_id = record.correlation_id;
  trace.traceparent = ended.traceparent();
  trace.remote_parent = remote_parent_of(record.context);
  trace.path = record.path;
  trace.versions = record.versions;
  trace.executors = record.executors;
  return to_dict(trace);
}

py::dict to_dict(const Registration& registration) {
  return Fields()
      .text("id", registration.id)
      .text("version", registration.version)
      .text("digest", registration.digest)
      .add("already_registered", py::bool_(registration.already_registered))
      .add("replaced", py::bool_(registration.replaced))
      .take();
}

py::dict to_dict(const Capability& capability) {
  return Fields()
      .text("id", capability.contract.id)
      .text("version", capability.version_text)
      .text("digest", capability.digest)
      .word("kind", capability.handler ? capability.handler->kind() : "unbound")
      .word("lifecycle", name(capability.lifecycle))
      .word("scope", name(capability.scope))
      .text_or_none("workspace", capability.workspace)
      .value("contract", capability.contract.to_document())
      .take();
}

py::dict to_dict(const Candidate& candidate) {
  return Fields()
      .text("version", candidate.capability->version_text)
      .word("scope", name(candidate.capability->scope))
      .word("lifecycle", name(candidate.capability->lifecycle))
      .text_or_none("rejected", candidate.rejected)
      .take();
}

py::dict to_dict(const PlacementReport& report) {
  py::list candidates;
  for (const auto& each : report.candidates) {
    candidates.append(Fields()
                          .text("executor", each.executor)
                          .text_or_none("target", each.target)
                          .add("load", py::float_(each.load))
                          .text_or_none("rejected", each.rejected)
                          .take());
  }
  return Fields()
      .text("target", report.target)
      .text("executor", report.executor)
      .text("reason", report.reason)
      .text("confidence", report.confidence)
      .add("candidates", std::move(candidates))
      .take();
}

py::dict to_dict(const workflow::RunInfo& info) {
  return Fields()
      .text("id", info.id)
      .text("workflow", info.workflow)
      .text("version", info.version)
      .word("status", workflow::name(info.status))
      .value("input", info.input)
      .value("output", info.output)
      .add("error", to_dict(info.error))
      .text_or_none("failed_step", info.failed_step)
      .add("tags",
           [&] {
             py::list tags;
             for (const auto& tag : info.tags) tags.append(py::str(tag));
             return tags;
           }())
      .text_or_none("key", info.key)
      .text_or_none("workspace", info.workspace)
      .number("priority", info.priority)
      .text_or_none("waiting_for", info.waiting_for)
      .add("created", to_datetime(info.created))
      .add("ended", to_datetime(info.ended))
      .number("steps_done", info.steps_done)
      .number("steps_total", info.steps_total)
      .take();
}

py::dict to_dict(const workflow::StepInfo& step) {
  return Fields()
      .text("id", step.id)
      .word("status", workflow::name(step.status))
      .number("attempts", step.attempts)
      .value("output", step.output)
      .add("error", to_dict(step.error))
      .add("started", to_datetime(step.started))
      .add("ended", to_datetime(step.ended))
      .index("items", step.items)
      .number("items_done", step.items_done)
      .text_or_none("reason", step.reason)
      .take();
}

py::dict to_dict(const workflow::EventInfo& event) {
  return Fields()
      .number("seq", event.seq)
      .add("at", to_datetime(event.at))
      .word("type", event.type)
      .text_or_none("step", event.step)
      .index("item", event.item)
      .value("data", event.data)
      .take();
}

py::dict to_dict(const Delivery& delivery) {
  const Event& event = *delivery.event;
  return Fields()
      .number("cursor", event.cursor)
      .text("id", event.id)
      .word("source", event.source)
      .word("type", event.type)
      .word("version", event.version)
      .add("time", to_datetime(event.time))
      .text_or_none("subject", event.subject)
      .text_or_none("key", event.key)
      .text_or_none("correlation_id", event.correlation_id)
      .text_or_none("causation_id", event.causation_id)
      .value("data", event.data)
      .number("delivery", delivery.attempt)
      .take();
}

py::dict to_dict(const EventType& type) {
  return Fields()
      .text("id", type.id)
      .text("version", type.version_text)
      .word("lifecycle", name(type.lifecycle))
      .text("summary", type.summary)
      .value("schema", type.schema->document())
      .add("defined", to_datetime(type.defined))
      .take();
}

py::dict to_dict(const workflow::Problem& problem) {
  return Fields()
      .text("path", problem.path)
      .number("line", problem.line)
      .text("message", problem.message)
      .text("suggestion", problem.suggestion)
      .take();
}

py::object to_dict(const std::optional<Error>& error) {
  if (!error) return py::none();
  return to_python(error->to_value());
}

}  // namespace clew::python
