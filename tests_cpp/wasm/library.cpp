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
