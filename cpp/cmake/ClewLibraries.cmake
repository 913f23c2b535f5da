# Libraries that CMake has no package for: wrapped as targets so that layers name them alike.
find_package(PkgConfig REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
add_library(clew_sodium INTERFACE)
target_link_libraries(clew_sodium INTERFACE PkgConfig::sodium)

find_package(yaml-cpp REQUIRED)
add_library(clew_yaml INTERFACE)
target_link_libraries(clew_yaml INTERFACE yaml-cpp)

pkg_check_modules(re2 REQUIRED IMPORTED_TARGET re2)
add_library(clew_re2 INTERFACE)
target_link_libraries(clew_re2 INTERFACE PkgConfig::re2)

# Only the header: libpq is loaded at run time, by whoever opens a PostgreSQL database.
find_path(CLEW_LIBPQ_INCLUDE libpq-fe.h PATH_SUFFIXES postgresql REQUIRED)
add_library(clew_libpq INTERFACE)
target_include_directories(clew_libpq SYSTEM INTERFACE ${CLEW_LIBPQ_INCLUDE})
