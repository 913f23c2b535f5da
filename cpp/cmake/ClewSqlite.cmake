# Target clew_sqlite: the one copy of SQLite in the process.
#
# Two copies in one process lose each other's file locks, so the library is shared, bears the name
# that Python's own sqlite3 module asks for, and is installed beside the extension module. The
# version is pinned because releases before 3.51.3 can corrupt a WAL database when two connections
# reset the log at the same instant.
#
# CLEW_SQLITE_DIR names a directory with sqlite3.c and its headers instead of fetching them;
# CLEW_SYSTEM_SQLITE takes the system's library.

set(CLEW_SQLITE_DIR "" CACHE PATH "Directory with sqlite3.c, sqlite3.h and sqlite3ext.h")
set(CLEW_SQLITE_BUNDLED OFF)

if(NOT CLEW_SYSTEM_SQLITE)
  set(sqlite_dir "${CLEW_SQLITE_DIR}")
  if(NOT sqlite_dir)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/fetch_sqlite.py
                    RESULT_VARIABLE fetch_failed OUTPUT_VARIABLE sqlite_dir ERROR_VARIABLE reason
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(fetch_failed)
      set(sqlite_dir "")
      message(WARNING "${reason}Falling back to the system's SQLite. Before 3.51.3 it can corrupt "
                      "a database that two connections checkpoint at once.")
    endif()
  endif()
  if(sqlite_dir)
    set(CLEW_SQLITE_BUNDLED ON)
  endif()
endif()

add_library(clew_sqlite INTERFACE)
if(NOT CLEW_SQLITE_BUNDLED)
  find_package(SQLite3 REQUIRED)
  target_link_libraries(clew_sqlite INTERFACE SQLite::SQLite3)
  message(STATUS "SQLite ${SQLite3_VERSION} of the system")
  return()
endif()

# What Debian enables and the amalgamation can, because Python's sqlite3 module will run on this copy.
# THREADSAFE=1 for the same reason: that module relies on SQLite's own locks.
set(sqlite_definitions
    SQLITE_THREADSAFE=1 SQLITE_DEFAULT_MEMSTATUS=0 SQLITE_USE_URI=1 SQLITE_MAX_VARIABLE_NUMBER=250000
    SQLITE_ENABLE_COLUMN_METADATA SQLITE_ENABLE_DBSTAT_VTAB SQLITE_ENABLE_FTS3
    SQLITE_ENABLE_FTS3_PARENTHESIS SQLITE_ENABLE_FTS3_TOKENIZER SQLITE_ENABLE_FTS4
    SQLITE_ENABLE_FTS5 SQLITE_ENABLE_LOAD_EXTENSION SQLITE_ENABLE_MATH_FUNCTIONS
    SQLITE_ENABLE_PREUPDATE_HOOK SQLITE_ENABLE_RTREE SQLITE_ENABLE_SESSION SQLITE_ENABLE_STMTVTAB
    SQLITE_ENABLE_UNLOCK_NOTIFY SQLITE_LIKE_DOESNT_MATCH_BLOBS SQLITE_SOUNDEX
    HAVE_FDATASYNC=1 HAVE_GMTIME_R=1 HAVE_LOCALTIME_R=1 HAVE_PREAD=1
    HAVE_PWRITE=1 HAVE_STRERROR_R=1 HAVE_USLEEP=1)

# No other C is compiled here. The same flags in every kind of build let the compiler cache serve all.
set(CMAKE_C_FLAGS_DEBUG "")
set(CMAKE_C_FLAGS_RELEASE "")
add_library(clew_sqlite_copy SHARED ${sqlite_dir}/sqlite3.c)
target_include_directories(clew_sqlite_copy SYSTEM PUBLIC ${sqlite_dir})
target_compile_definitions(clew_sqlite_copy PRIVATE ${sqlite_definitions})
target_link_libraries(clew_sqlite_copy PRIVATE m dl Threads::Threads)
set_target_properties(
  clew_sqlite_copy
  PROPERTIES OUTPUT_NAME sqlite3
             SOVERSION 0
             C_VISIBILITY_PRESET default
             UNITY_BUILD OFF
             # Someone else's code: always fast, never sanitized, no warnings of ours.
             COMPILE_OPTIONS "-O2;-g0;-w"
             LINK_OPTIONS ""
             INTERPROCEDURAL_OPTIMIZATION OFF)
target_link_libraries(clew_sqlite INTERFACE clew_sqlite_copy)
message(STATUS "SQLite from ${sqlite_dir}")
