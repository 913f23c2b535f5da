#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/convert.hpp"
#include "bindings/handler.hpp"
#include "bindings/records.hpp"
#include "bindings/register_runtime.hpp"
#include "clew/base/signature.hpp"

namespace clew::python {
namespace {

using py::operator""_a;
using Self = RuntimeHandle;

std::string bytes_or_empty(py::handle given) {
  return given.is_none() ? std::string() : given.cast<std::string>();
}

// The registration, and what its author should know (or an empty text).
py::tuple register_wasm(const Self& self, const Value& contract, py::handle path, py::handle module,
                        py::handle digest, py::handle signature, const std::string& library) {
  const wasm::ModuleSource source{text_or_empty(path, "module"), bytes_or_empty(module),
                                  text_or_empty(digest, "digest"), bytes_or_empty(signature),
                                  library};
  auto& runtime = self.core()->runtime();
  const auto done = without_gil(
      [&] { return unwrap(runtime.add_wasm(unwrap(Contract::from_document(contract)), source)); });
  return py::make_tuple(to_dict(done), done.warning);
}

void add_connector(const Self& self, const std::string& name, py::object function,
                   const std::string& version, py::handle timeout, std::string context) {
  auto parsed = unwrap(Version::parse(version, "version"));
  const auto limit = to_optional_duration(timeout, "timeout");
  HandlerOptions options;
  options.context = std::move(context);
  const auto made = std::make_shared<PythonHandler>(std::move(function), py::none(), py::none(),
                                                    std::move(options));
  auto& connectors = self.core()->runtime().dispatcher().connectors();
  unwrap(without_gil([&] { return connectors.add(name, std::move(parsed), made, limit); }));
  self.core()->note_handler(made);
}

SecretSeed to_seed(const py::bytes& secret) {
  const auto text = static_cast<std::string_view>(secret);
  SecretSeed seed{};
  if (text.size() != seed.size()) {
    raise(invalid_input("secret", Value("(hidden)"), "32 bytes"));
  }
  std::copy(text.begin(), text.end(), seed.begin());
  return seed;
}

py::bytes public_key(const py::bytes& secret) {
  const auto key = public_key_of(to_seed(secret));
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

py::bytes sign_digest(const py::bytes& digest, const py::bytes& secret) {
  const auto text = static_cast<std::string_view>(digest);
  Digest given{};
  if (text.size() != given.size()) {
    raise(invalid_input("digest", Value(to_hex(text)), "32 bytes"));
  }
  std::copy(text.begin(), text.end(), given.begin());
  return py::bytes(sign(given, to_seed(secret)));
}

}  // namespace

std::vector<PublicKey> to_public_keys(py::handle given) {
  std::vector<PublicKey> keys;
  if (given.is_none()) return keys;
  for (const auto& key : given) {
    keys.push_back(unwrap(
        parse_public_key(key.cast<std::string>(), fmt::format("trusted_keys[{}]", keys.size()))));
  }
  return keys;
}

void log_guest(const Invocation& call, std::string_view text) {
  (void)with_gil([&] {
    try {
      py::module_::import("clew._wasm")
          .attr("log_stderr")(
              fmt::format("{}@{}", call.capability()->contract.id, call.capability()->version_text),
              call.id().to_string(), py::bytes(text.data(), text.size()));
    } catch (py::error_already_set& raised) {
      raised.discard_as_unraisable("the log of a WebAssembly module");
    }
  });
}

void define_wasm(py::module_& m, RuntimeClass& runtime) {
  runtime.def("register_wasm", register_wasm, "contract"_a, py::kw_only(), "path"_a = py::none(),
              "module"_a = py::none(), "digest"_a = py::none(), "signature"_a = py::none(),
              "library"_a = "");
  runtime.def("add_connector", add_connector, "name"_a, "function"_a, "version"_a,
              "timeout"_a = py::none(), "context"_a = "");
  m.def("public_key", public_key, "secret"_a);
  m.def("sign_digest", sign_digest, "digest"_a, "secret"_a);
}

}  // namespace clew::python
