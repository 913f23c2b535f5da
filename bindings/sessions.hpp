// bindings/sessions.hpp: the session stores as Python holds them. All but the bytes of attachments
// are operations on JSON.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "bindings/core.hpp"
#include "bindings/register_runtime.hpp"
#include "clew/base/mutex.hpp"
#include "clew/session/attachments.hpp"

namespace clew::python {

// Takes an attachment part by part. Thread-safe. Dropped unfinished, it leaves nothing.
class AttachmentSink {
 public:
  // Throws Raised.
  AttachmentSink(CorePtr core, const std::string& session_id, const session::AttachmentMeta& meta);
  // In a child made by fork it leaves what was staged alone.
  ~AttachmentSink();
  AttachmentSink(const AttachmentSink&) = delete;
  AttachmentSink& operator=(const AttachmentSink&) = delete;
  void append(const py::bytes& bytes);
  py::object finish();

 private:
  static Error finished();
  CorePtr core_;
  session::AttachmentStore store_;
  Mutex mutex_;
  std::unique_ptr<session::AttachmentWriter> writer_ CLEW_GUARDED_BY(mutex_);
};

// Gives an attachment part by part. Thread-safe.
class AttachmentSource {
 public:
  // Throws Raised. Without the GIL.
  AttachmentSource(CorePtr core, const std::string& session_id, const std::string& id);
  py::bytes next();  // empty at the end
  py::object ref() const;

 private:
  CorePtr core_;
  Mutex mutex_;
  const std::unique_ptr<session::AttachmentReader> reader_;
};

void register_sessions(py::module_& m);
void define_sessions(RuntimeClass& runtime);

}  // namespace clew::python
