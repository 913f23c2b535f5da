// exec/detail/task_queue.hpp: which task is next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <unordered_map>
#include <vector>

#include "clew/exec/detail/indexed_heap.hpp"
#include "clew/exec/exec.hpp"

namespace clew::detail {

// A task in its place of storage, where it is also called: it moves once, on the way in.
struct QueuedTask {
  Task task;
  std::uint64_t order = 0;  // of arrival
  QueuedTask* next = nullptr;
};

// First in, first out, through the tasks' own links.
class TaskList {
 public:
  bool empty() const { return head_ == nullptr; }
  QueuedTask* front() const { return head_; }
  void push(QueuedTask* task);
  QueuedTask* pop();

 private:
  QueuedTask* head_ = nullptr;
  QueuedTask* tail_ = nullptr;
};

// One list per priority, the highest first.
class TaskLanes {
 public:
  bool empty() const { return size_ == 0; }
  void push(QueuedTask* task);
  QueuedTask* front() const;
  QueuedTask* pop();

 private:
  // Empty lanes are kept up to this many, so that a lane in steady use costs no allocation.
  static constexpr std::size_t idle_lanes_max = 8;
  std::map<int, TaskList, std::greater<>> lanes_;
  std::size_t size_ = 0;
};

// Queued tasks in the order in which they may run: by priority, then arrival, passing over those
// whose key is at its limit. Tasks with a key wait in a list of their own; in the common order the
// key stands once, for the first of them, and only while it has a place. So a saturated key costs
// nothing however many of its tasks wait. Tasks that name different limits for one key are each
// held to their own. Also stores the tasks. External: its owner locks.
class TaskQueue {
 public:
  TaskQueue() = default;
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  void push(Task&& task);
  // Takes out the next task that may run, and a place of its key. nullptr when there is none.
  // Ends with free_place() and recycle().
  QueuedTask* pop();
  // Takes out every task, in the order of arrival.
  std::vector<QueuedTask*> take_all();
  // Gives the storage back; the callable must have been destroyed.
  void recycle(QueuedTask* task);

  bool has_place(const KeyLimit& limit) const;
  // Takes a place of the key if there is one.
  bool take_place(const KeyLimit& limit);
  void free_place(std::uint64_t key);

  std::size_t size() const { return size_; }
  // Whether pop() would find a task.
  bool has_runnable() const { return !free_.empty() || !keys_ready_.empty(); }

 private:
  struct Key {
    std::uint64_t key = 0;
    int running = 0;
    std::uint32_t heap_index = UINT32_MAX;
    TaskLanes waiting;
  };
  // A key in the common order: it stands where the first of its waiting tasks would.
  struct Stand {
    int priority = 0;
    std::uint64_t order = 0;
    Key* key = nullptr;
  };
  struct StandsBefore {
    bool operator()(const Stand& a, const Stand& b) const {
      return a.priority != b.priority ? a.priority > b.priority : a.order < b.order;
    }
  };
  struct NoteIndex {
    void operator()(const Stand& stand, std::uint32_t index) const {
      stand.key->heap_index = index;
    }
  };
  // Keys without tasks are kept up to this many, because a key tends to come back.
  static constexpr std::size_t idle_keys_max = 1024;

  QueuedTask* store(Task&& task);
  Key& key_of(std::uint64_t key);
  // Puts the key where it belongs in the common order, or takes it out.
  void settle(Key& key);
  void forget_if_idle(Key& key);

  TaskLanes free_;  // tasks without a key
  IndexedHeap<Stand, StandsBefore, NoteIndex> keys_ready_;
  std::unordered_map<std::uint64_t, Key> keys_;
  std::size_t size_ = 0;
  std::uint64_t arrivals_ = 0;
  std::deque<QueuedTask> storage_;
  QueuedTask* unused_ = nullptr;
};

}  // namespace clew::detail
