#include "clew/wasm/detail/wasmtime_api.hpp"

#include <dlfcn.h>

namespace clew::wasm::wt {
namespace {

Error unsupported(const std::string& path, std::string_view why) {
  return error(Code::unsupported,
               "WebAssembly needs the library of wasmtime 50 ({}): pip install \"clew[wasm]\", or "
               "name the library in CLEW_WASMTIME",
               why)
      .with("library", path)
      .with("install", "clew[wasm]");
}

std::string text_of(Bytes& bytes) {
  std::string text(bytes.data, bytes.size);
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

}  // namespace

Result<std::shared_ptr<const Api>> Api::load(const std::string& path) {
  if (path.empty()) return unsupported(path, "none was found");
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps one per thread
    return unsupported(path, why != nullptr ? why : "it cannot be loaded");
  }
  auto api = std::make_shared<Api>();
  const char* missing = nullptr;
#define CLEW_FIND(result, name, parameters)                                    \
  api->name = reinterpret_cast<result(*) parameters>(::dlsym(library, #name)); \
  if (api->name == nullptr) missing = #name;
  CLEW_WASMTIME_FUNCTIONS(CLEW_FIND)
#undef CLEW_FIND
  ::dlclose(library);
  if (missing != nullptr) return unsupported(path, fmt::format("it has no {}", missing));
  return std::shared_ptr<const Api>(std::move(api));
}

std::string Api::take(Failure* failure) const {
  Bytes message{};
  wasmtime_error_message(failure, &message);
  auto text = text_of(message);
  wasm_byte_vec_delete(&message);
  wasmtime_error_delete(failure);
  return text;
}

std::string Api::take(Trap* trap) const {
  Bytes message{};
  wasm_trap_message(trap, &message);
  auto text = text_of(message);
  wasm_byte_vec_delete(&message);
  wasm_trap_delete(trap);
  return text;
}

}  // namespace clew::wasm::wt
