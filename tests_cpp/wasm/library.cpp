// Where the development environment has wasmtime. A test that cannot find it fails.
#include <cstdlib>
#include <filesystem>
#include <string>

namespace clew::wasm {

std::string library_path() {
  if (const char* named = std::getenv("CLEW_WASMTIME")) return named;
  const std::filesystem::path packages = CLEW_TEST_ENVIRONMENT "/lib";
  std::error_code none;
  for (const auto& python : std::filesystem::directory_iterator(packages, none)) {
    for (const auto& folder :
         std::filesystem::directory_iterator(python.path() / "site-packages" / "wasmtime", none)) {
      const auto library = folder.path() / "_libwasmtime.so";
      if (std::filesystem::exists(library)) return library.string();
    }
  }
  return {};
}

}  // namespace clew::wasm

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// The library was not built for the sanitizer, which therefore sees half of its locking.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizer's name for it
extern "C" const char* __tsan_default_suppressions() {
  return "race:_libwasmtime\ncalled_from_lib:_libwasmtime.so\n";
}
#endif
#endif
