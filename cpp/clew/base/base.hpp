// base/base.hpp: what every layer stands on. Read this first, then the header of the noun you need.
//
//   value.hpp     Value: immutable shared JSON, the form in which all data travels
//   compare.hpp   values by what they are worth
//   error.hpp     Code, Error; result.hpp: Result<T>, CLEW_TRY; check.hpp: CLEW_CHECK
//   json.hpp      text and canonical form, SHA-256, first difference
//   signature.hpp Ed25519 over digests
//   document.hpp  JSON or YAML text as data that knows its lines
//   schema.hpp    JSON Schema 2020-12, compiled
//   semver.hpp    Version, VersionRange, Reference ("text.words@^1")
//   time.hpp      Timestamp, Duration, Clock, ManualClock
//   env.hpp       Env: clock, random streams, ids (UUIDv7)
//   cancel.hpp    CancelSource, CancelToken
//   fault.hpp     FaultPoint: named places where tests make the world fail
//   mutex.hpp     Mutex, Lock, Guarded; snapshot.hpp: read-mostly data
//   function.hpp  Function: a move-only callable; threads.hpp: named threads, joined by their owner
#pragma once

#include "clew/base/cancel.hpp"
#include "clew/base/compare.hpp"
#include "clew/base/env.hpp"
#include "clew/base/fault.hpp"
#include "clew/base/function.hpp"
#include "clew/base/json.hpp"
#include "clew/base/mutex.hpp"
#include "clew/base/result.hpp"
#include "clew/base/schema.hpp"
#include "clew/base/semver.hpp"
#include "clew/base/snapshot.hpp"
#include "clew/base/threads.hpp"
#include "clew/base/time.hpp"
