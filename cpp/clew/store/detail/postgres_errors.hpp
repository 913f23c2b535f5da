// store/detail/postgres_errors.hpp: PostgreSQL's error classes as errors of ours.
#pragma once

#include <string>
#include <string_view>

#include "clew/base/result.hpp"

namespace clew::store::detail {

// How far a failure reaches.
enum class Reach : std::uint8_t {
  statement,    // what follows in the transaction fails; rolling back to a savepoint helps
  transaction,  // the whole transaction is over, for a reason that lies in it
  chance,       // it is over, though what it did was right: it may be run again whole
};

// The error for a failure that the server reported. `doing` becomes part of the message; the
// context has `sqlstate`.
Error postgres_error(std::string_view sqlstate, std::string_view doing, std::string_view detail);
// The connection is gone: `unavailable`, retryable.
Error connection_lost(std::string_view doing, std::string_view detail);

Reach reach_of(std::string_view sqlstate);

}  // namespace clew::store::detail
