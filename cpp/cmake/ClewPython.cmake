# Target _core: the extension module clew._core, made of bindings/*.cpp and the whole core.
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT pybind11_DIR)
  execute_process(COMMAND ${Python_EXECUTABLE} -m pybind11 --cmakedir
                  OUTPUT_VARIABLE pybind11_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
find_package(pybind11 3.1 REQUIRED CONFIG)

file(GLOB binding_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bindings/*.cpp)
# NO_EXTRAS: pybind11's own link-time optimisation would dominate every rebuild; CLEW_LTO has its own.
pybind11_add_module(_core MODULE NO_EXTRAS ${binding_sources})
target_include_directories(_core PRIVATE ${PROJECT_SOURCE_DIR})
set_source_files_properties(${PROJECT_SOURCE_DIR}/bindings/module.cpp PROPERTIES COMPILE_DEFINITIONS
                            CLEW_VERSION="${PROJECT_VERSION}")
target_link_libraries(_core PRIVATE clew_testkit)
# A register file instantiates much of pybind11: two of them side by side in one batch need more
# memory and time than they save, and a caster that one file forgets would go unnoticed.
set_target_properties(_core PROPERTIES UNITY_BUILD OFF INSTALL_RPATH "$ORIGIN")

install(TARGETS _core LIBRARY DESTINATION clew)
if(CLEW_SQLITE_BUNDLED)
  install(TARGETS clew_sqlite_copy LIBRARY DESTINATION clew NAMELINK_SKIP)
endif()
