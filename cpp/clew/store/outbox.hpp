// store/outbox.hpp: what is to happen because of a commit, kept by that commit.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clew/base/env.hpp"
#include "clew/store/column.hpp"
#include "clew/store/store.hpp"

namespace clew::store {

struct Message {
  std::int64_t id = 0;  // rises with each message, never used again
  std::string topic;
  std::string key;  // what it is about; messages of one topic and key are delivered in order
  Value data;
  Timestamp at;
  int attempts = 0;     // deliveries that failed
  Timestamp due;        // not delivered before
  std::string problem;  // why the last delivery failed; empty when none did
};

// Keeps a message for whoever delivers its topic; its id. Due at once.
Result<std::int64_t> put_message(Transaction& tx, std::string_view topic, std::string_view key,
                                 const Value& data, Timestamp now);
// Up to `limit` messages of the topic that are due, by id; of each key only the first, which holds
// up the later ones. Locks nothing: remove_message() tells who delivers.
Result<std::vector<Message>> due_messages(Transaction& tx, std::string_view topic, Timestamp now,
                                          int limit);
// Every message of the topic, by id. For looking at them.
Result<std::vector<Message>> all_messages(Transaction& tx, std::string_view topic, int limit);
// When the next of them is due; never when there is none.
Result<Timestamp> next_message_due(Transaction& tx, std::string_view topic);
// It is delivered in this transaction. False when it is not there: another was quicker.
Result<bool> remove_message(Transaction& tx, std::int64_t id);
// Its delivery failed: not again before `due`.
Result<void> defer_message(Transaction& tx, const Message& message, std::string_view problem,
                           Timestamp due);
// Removes the messages of one key; how many.
Result<std::int64_t> drop_messages(Transaction& tx, std::string_view topic, std::string_view key);
// Reads every row, and reports those that cannot be.
Result<void> check_outbox(Transaction& tx, const ReportRow& report);

// Carries one message out, in the transaction that removes it: both happen or neither. Its error
// puts the message off, with what it did undone.
using Deliver = Function<Result<void>(Transaction&, const Message&)>;

// Delivers messages on a thread of its own: those that are there when it starts, those that wake()
// tells of, and those that other processes leave behind. A delivery that fails is tried again after
// 100 ms, then after twice as long each time, at most a minute. Thread-safe.
class OutboxDriver {
 public:
  virtual ~OutboxDriver() = default;  // stops
  // Something may be due. Cheap; never blocks. Called after a commit that put messages.
  virtual void wake() = 0;
  // Like wake(), when something is due that another process has left. Blocks for the disk.
  virtual void look() = 0;
  // Delivers what is due now on the calling thread; how many. Blocks for the disk. Not from a
  // completion.
  virtual Result<int> deliver_due() = 0;
  // Ends the thread; what is being delivered ends first. Idempotent.
  virtual void stop() = 0;
};

// All borrowed. `routes`: who delivers which topic.
std::unique_ptr<OutboxDriver> start_outbox(Database& database, Env& env,
                                           std::map<std::string, Deliver> routes);

}  // namespace clew::store
