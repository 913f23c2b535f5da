#include "bindings/convert.hpp"
#include "bindings/register.hpp"
#include "bindings/sessions.hpp"
#include "clew/runtime/stores.hpp"
#include "clew/session/attachments.hpp"
#include "clew/session/operations.hpp"

namespace clew::python {
namespace {

using py::operator""_a;
using Self = RuntimeHandle;

session::AttachmentOptions attachment_options(const store::Database& database) {
  session::AttachmentOptions options;
  options.folder = session::attachment_folder(database);
  return options;
}

py::object store_operation(const Self& self, const std::string& operation, py::handle arguments) {
  auto& runtime = self.core()->runtime();
  const auto given = to_value(arguments, "");
  const auto answer = unwrap(without_gil([&] {
    auto& database = runtime.database();
    return session::perform({database, runtime.env(), attachment_options(database)}, operation,
                            given);
  }));
  return to_python(answer);
}

std::shared_ptr<AttachmentSink> write_attachment(const Self& self, const std::string& session_id,
                                                 py::handle meta) {
  self.core()->runtime();  // open
  const auto given = to_value(meta, "");
  return std::make_shared<AttachmentSink>(self.core(), session_id,
                                          unwrap(session::attachment_meta_from_value(given, "")));
}

std::shared_ptr<AttachmentSource> read_attachment(const Self& self, const std::string& session_id,
                                                  const std::string& id) {
  self.core()->runtime();  // open
  return without_gil(
      [&] { return std::make_shared<AttachmentSource>(self.core(), session_id, id); });
}

session::AttachmentStore store_of(Runtime& runtime) {
  auto& database = runtime.database();
  return {database, runtime.env(), attachment_options(database)};
}

}  // namespace

AttachmentSink::AttachmentSink(CorePtr core, const std::string& session_id,
                               const session::AttachmentMeta& meta)
    : core_(std::move(core)), store_(store_of(core_->runtime())) {
  writer_ = unwrap(store_.writer(session_id, meta));
}

AttachmentSink::~AttachmentSink() {
  std::unique_ptr<session::AttachmentWriter> writer;
  {
    const Lock lock(mutex_);
    writer = std::move(writer_);
  }
  try {
    core_->runtime_unless_forked();
  } catch (const Raised&) {
    (void)writer.release();  // what it has staged is the parent's
    return;
  }
  const GilRelease waiting;
  writer.reset();
}

void AttachmentSink::append(const py::bytes& bytes) {
  core_->runtime();
  const std::string_view part = bytes;  // the argument keeps it alive
  unwrap(without_gil([&] {
    const Lock lock(mutex_);
    return writer_ ? writer_->append(part) : Result<void>(finished());
  }));
}

py::object AttachmentSink::finish() {
  core_->runtime();
  const auto ref = unwrap(without_gil([&]() -> Result<session::AttachmentRef> {
    const Lock lock(mutex_);
    if (!writer_) return finished();
    const auto writer = std::move(writer_);
    return writer->finish();
  }));
  return to_python(session::to_value(ref));
}

Error AttachmentSink::finished() {
  return error(Code::conflict, "the attachment is stored already, or was given up");
}

AttachmentSource::AttachmentSource(CorePtr core, const std::string& session_id,
                                   const std::string& id)
    : core_(std::move(core)), reader_(unwrap(store_of(core_->runtime()).reader(session_id, id))) {}

py::bytes AttachmentSource::next() {
  core_->runtime();
  const auto part = unwrap(without_gil([&] {
    const Lock lock(mutex_);
    return reader_->next();
  }));
  return py::bytes(part);
}

py::object AttachmentSource::ref() const { return to_python(session::to_value(reader_->ref())); }

void register_sessions(py::module_& m) {
  py::classh<AttachmentSink>(m, "AttachmentSink", py::is_final())
      .def("append", &AttachmentSink::append, "part"_a)
      .def("finish", &AttachmentSink::finish);
  py::classh<AttachmentSource>(m, "AttachmentSource", py::is_final(),
                               py::release_gil_before_calling_cpp_dtor())
      .def("next", &AttachmentSource::next)
      .def_property_readonly("ref", &AttachmentSource::ref);
}

void define_sessions(RuntimeClass& runtime) {
  runtime.def("store_operation", store_operation, "operation"_a, "arguments"_a)
      .def(
          "delete_session",
          [](const Self& self, const std::string& session_id) {
            auto& stores = self.core()->runtime().stores();
            return unwrap(without_gil([&] { return stores.delete_session(session_id); }));
          },
          "session_id"_a)
      .def("write_attachment", write_attachment, "session_id"_a, "meta"_a)
      .def("read_attachment", read_attachment, "session_id"_a, "id"_a);
}

}  // namespace clew::python
