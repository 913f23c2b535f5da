// store/idempotency.hpp: a request that is made twice happens once.
#pragma once

#include <optional>
#include <string_view>

#include "clew/store/column.hpp"
#include "clew/store/transaction.hpp"

namespace clew::store {

// Which request: a kind ("process_event"), the thing that it is made to, and the requester's key.
struct RequestKey {
  std::string_view kind;
  std::string_view scope;
  std::string_view key;
};

// Nothing: the request is new, and remember_request() is to follow in the same transaction. The
// same content again answers the result that was remembered. `conflict` naming the first difference
// when the key stands for other content; `invalid_input` for an empty key.
// Two transactions that find the same request new at once: the second to remember it gets
// `conflict` (retryable).
Result<std::optional<Value>> find_request(Transaction& tx, RequestKey key, const Value& content);
Result<void> remember_request(Transaction& tx, RequestKey key, const Value& content,
                              const Value& result, Timestamp now);

// Forgets what was asked of one thing; how many requests.
Result<std::int64_t> forget_requests(Transaction& tx, std::string_view kind,
                                     std::string_view scope);
// Forgets those of a kind that were remembered before `before`, at most `limit`.
Result<std::int64_t> purge_requests(Transaction& tx, std::string_view kind, Timestamp before,
                                    int limit);
// Reads every row, and reports those that cannot be.
Result<void> check_requests(Transaction& tx, const ReportRow& report);

}  // namespace clew::store
