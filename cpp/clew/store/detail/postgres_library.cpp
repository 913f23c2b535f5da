#include "clew/store/detail/postgres_library.hpp"

#include <dlfcn.h>

namespace clew::store::detail {
namespace {

constexpr const char* library_name = "libpq.so.5";

Error unsupported(std::string_view why) {
  return error(Code::unsupported,
               "PostgreSQL needs libpq 14 or later ({}): install the system's package, such as "
               "libpq5 of Debian",
               why)
      .with("library", library_name)
      .with("install", "libpq5");
}

Result<Libpq> find_all() {
  void* const library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): glibc keeps one per thread
    return unsupported(why != nullptr ? why : "it cannot be loaded");
  }
  Libpq found;
  const char* missing = nullptr;
#define CLEW_FIND(name)                                                         \
  found.name = reinterpret_cast<decltype(found.name)>(::dlsym(library, #name)); \
  if (found.name == nullptr) missing = #name;
  CLEW_LIBPQ_FUNCTIONS(CLEW_FIND)
#undef CLEW_FIND
  ::dlclose(library);
  if (missing != nullptr) return unsupported(fmt::format("it has no {}", missing));
  return found;
}

}  // namespace

Result<const Libpq*> Libpq::load() {
  static const Result<Libpq> loaded = find_all();
  if (!loaded) return loaded.error();
  return &*loaded;
}

}  // namespace clew::store::detail
