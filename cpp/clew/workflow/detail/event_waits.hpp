// workflow/detail/event_waits.hpp: steps of live runs that wait for events, and the thread that
// shows each of them the log.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/capability/broker.hpp"
#include "clew/workflow/detail/live_run.hpp"

namespace clew::workflow {

// A step that waits, and for what. A value.
struct EventWait {
  std::weak_ptr<LiveRun> run;
  int step = -1;
  EventPattern type;
  std::string type_id;
  std::string correlation;   // empty: any
  Cursor looked_to = 0;      // events after it count
  std::uint64_t number = 0;  // set by EventWaits: in the order in which they came
};

// Reads the log once for all that wait: an event costs two look-ups, however many there are. A new
// wait is first shown what came before, so that each sees its events once and in their order. The
// thread is there from the first wait on; while nobody waits nothing is read. Thread-safe.
class EventWaits {
 public:
  // Gives a run what happened to one of its steps; says whether that step still waits. Called on
  // the thread of the waits, without a lock.
  using Tell = Function<bool(const LiveRunPtr& run, int step, const Stimulus& stimulus)>;

  // All borrowed. `is_durable`: runs outlive this process, so what was passed over is noted now and
  // then, before retention takes it.
  EventWaits(Broker& broker, Clock& clock, bool is_durable, Tell tell);
  ~EventWaits() { stop(); }
  EventWaits(const EventWaits&) = delete;
  EventWaits& operator=(const EventWaits&) = delete;

  void add(EventWait wait);
  // The deadline of a wait has come. It is told so after every event that is there by now.
  void expire(const LiveRunPtr& run, int step);
  // The run waits for nothing any more.
  void drop(const LiveRunPtr& run);
  // Whether the calling thread is theirs, which nothing may hold up.
  static bool on_own_thread();
  // Joins the thread. Idempotent.
  void stop();

 private:
  using WaitPtr = std::shared_ptr<EventWait>;
  using Waits = std::map<std::uint64_t, WaitPtr>;  // by number
  struct Order {
    enum class Kind : std::uint8_t { add, expire, drop };
    Kind kind = Kind::add;
    EventWait wait{};
    LiveRunPtr run{};  // of expire and drop
  };
  // What wakes the thread. Apart, for the broker may ring after the waits are gone.
  struct Inbox {
    Mutex mutex;
    Condition filled;
    std::vector<Order> orders CLEW_GUARDED_BY(mutex);
    bool has_news CLEW_GUARDED_BY(mutex) = false;
    bool is_stopped CLEW_GUARDED_BY(mutex) = false;
  };

  void push(Order order);
  // The thread's own, as is all that they touch.
  void work();
  bool await_work();
  Result<void> handle();
  Result<void> begin(const WaitPtr& wait);
  Result<bool> catch_up(EventWait& wait, Cursor to);
  bool show(EventWait& wait, const EventPtr& event);
  bool show_lost(EventWait& wait, Cursor to);
  Result<void> follow();
  void show_all(const EventPtr& event);
  void show_gap(const Event& gap);
  std::vector<WaitPtr> all_waits() const;
  void give_up(const Error& why);
  void note_passed();
  void keep(const WaitPtr& wait);
  void forget(const WaitPtr& wait);
  void forget_run(const LiveRunPtr& run);
  void arm();

  Broker& broker_;
  Clock& clock_;
  const bool is_durable_;
  Tell tell_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();

  std::deque<Order> pending_;
  std::vector<Order> expired_;
  std::map<std::string, Waits, std::less<>> by_key_;  // of type and correlation
  std::map<std::weak_ptr<LiveRun>, Waits, std::owner_less<>> by_run_;
  std::uint64_t last_number_ = 0;
  SubscriptionPtr log_;    // null while nobody waits
  bool is_armed_ = false;  // it will ring
  Cursor noted_ = 0;       // every wait has noted that it passed so far
  Timestamp note_due_ = Timestamp::never();
  Timestamp again_ = Timestamp::never();  // reading has failed: another try

  Mutex thread_mutex_;
  Threads thread_;  // started once, by whoever set is_started_
  bool is_started_ CLEW_GUARDED_BY(thread_mutex_) = false;
  bool is_stopped_ CLEW_GUARDED_BY(thread_mutex_) = false;
};

}  // namespace clew::workflow
