// store/detail/postgres_library.hpp: libpq, loaded when the first PostgreSQL database is opened, so
// that nobody who uses SQLite needs it.
#pragma once

#include <libpq-fe.h>

#include "clew/base/result.hpp"

namespace clew::store::detail {

// What Clew calls of libpq 14 or later (pipelines came with 14).
#define CLEW_LIBPQ_FUNCTIONS(X) \
  X(PQcancel)                   \
  X(PQclear)                    \
  X(PQcmdStatus)                \
  X(PQcmdTuples)                \
  X(PQconnectPoll)              \
  X(PQconnectStartParams)       \
  X(PQconninfoFree)             \
  X(PQconninfoParse)            \
  X(PQconsumeInput)             \
  X(PQenterPipelineMode)        \
  X(PQerrorMessage)             \
  X(PQfformat)                  \
  X(PQfinish)                   \
  X(PQflush)                    \
  X(PQfname)                    \
  X(PQfreeCancel)               \
  X(PQfreemem)                  \
  X(PQftype)                    \
  X(PQgetCancel)                \
  X(PQgetisnull)                \
  X(PQgetlength)                \
  X(PQgetResult)                \
  X(PQgetvalue)                 \
  X(PQisBusy)                   \
  X(PQnfields)                  \
  X(PQnotifies)                 \
  X(PQntuples)                  \
  X(PQparameterStatus)          \
  X(PQpipelineSync)             \
  X(PQresultErrorField)         \
  X(PQresultErrorMessage)       \
  X(PQresultStatus)             \
  X(PQsendPrepare)              \
  X(PQsendQueryParams)          \
  X(PQsendQueryPrepared)        \
  X(PQserverVersion)            \
  X(PQsetnonblocking)           \
  X(PQsetSingleRowMode)         \
  X(PQsetNoticeProcessor)       \
  X(PQsocket)                   \
  X(PQstatus)

// The functions. Immutable, thread-safe.
struct Libpq {
#define CLEW_DECLARE(name) decltype(&::name) name = nullptr;
  CLEW_LIBPQ_FUNCTIONS(CLEW_DECLARE)
#undef CLEW_DECLARE

  // The library stays loaded for ever. Error: `unsupported` naming the package that is missing, or
  // that is too old.
  static Result<const Libpq*> load();
};

}  // namespace clew::store::detail
