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
#include "clew/exec/detail/shares.hpp"
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

// Queued tasks in the order in which they may run. Tenants take turns by `shares.hpp`; among a
// tenant's tasks by priority, then arrival, passing over those whose key is at its limit. Tasks
// with a key wait in a list of their own, whoever they are of; in the order of the tenant of the
// first of them the key stands once, and only while it has a place. So a saturated key costs
// nothing however many of its tasks wait. Tasks that name different limits for one key are each
// held to their own. Also stores the tasks. External: its owner locks.
class TaskQueue {
 public:
  // For an executor with so many slots.
  TaskQueue(Clock& clock, int slots) : shares_(clock, slots) {}
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  void push(Task&& task);
  // Takes out the next task that may run, a place of its key, and a slot: `use`. nullptr when there
  // is none. Ends with finish().
  QueuedTask* pop(SlotUse& use);
  // Gives up what pop() took; the callable must have been destroyed.
  void finish(QueuedTask* task, SlotUse& use);
  // Takes out every task, in the order of arrival. Each ends with recycle().
  std::vector<QueuedTask*> take_all();
  // Gives the storage back; the callable must have been destroyed.
  void recycle(QueuedTask* task);

  bool has_place(const KeyLimit& limit) const;
  // Takes a place of the key if there is one.
  bool take_place(const KeyLimit& limit);
  void free_place(std::uint64_t key);

  // A slot for work that was never queued. Ends with leave_slot(). Who enters while nothing queued
  // was or is run is in nobody's way, and is not counted.
  SlotUse enter_slot(std::uint32_t tenant) {
    return shares_.active() == 0 ? SlotUse{} : enter_counted(tenant);
  }
  void leave_slot(SlotUse& use) {
    if (use.share == nullptr) return;
    shares_.end(use);
    forget_if_idle(*use.share);
  }
  // Lends a slot, of a task or other, out and back.
  void pause(SlotUse& use) {
    if (use.share != nullptr) shares_.pause(use);
  }
  void resume(SlotUse& use) {
    if (use.share != nullptr) shares_.resume(use);
  }
  // Whether a queued task of another tenant has a better right to a slot.
  bool is_behind(std::uint32_t tenant) const;

  std::size_t size() const { return size_; }
  std::size_t tenants_known() const { return tenants_.size(); }
  // Whether a queue of `max`, cut up among the tenants at hand, has room in this one's part.
  bool has_part_left(std::uint32_t tenant, std::size_t max) const;
  // Whether pop() would find a task.
  bool has_runnable() const { return !shares_.is_empty(); }

 private:
  struct Tenant;
  struct Key {
    std::uint64_t key = 0;
    int running = 0;
    Tenant* stands_with = nullptr;
    std::uint32_t heap_index = UINT32_MAX;
    TaskLanes waiting;
  };
  // A key in the order of a tenant: it stands where the first of its waiting tasks would.
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
  using Stands = IndexedHeap<Stand, StandsBefore, NoteIndex>;
  struct Tenant : Share {
    std::size_t queued = 0;
    TaskLanes free;  // tasks without a key
    Stands keys_ready;

    bool has_runnable() const { return !free.empty() || !keys_ready.empty(); }
    bool is_keyed_next() const;
  };
  // Those without tasks are kept up to this many, because they tend to come back.
  static constexpr std::size_t idle_keys_max = 1024;
  static constexpr std::size_t idle_tenants_max = 1024;

  QueuedTask* store(Task&& task);
  Key& key_of(std::uint64_t key);
  SlotUse enter_counted(std::uint32_t tenant);
  Tenant& tenant_of(std::uint32_t tenant) {
    return last_tenant_ != nullptr && last_tenant_->tenant == tenant ? *last_tenant_ : find(tenant);
  }
  Tenant& find(std::uint32_t tenant);
  // Puts the key where it belongs in the order of its tenant, or takes it out.
  void settle(Key& key);
  // Puts the tenant among those that have a task that may run, or takes it out.
  void settle(Tenant& tenant);
  void forget_if_idle(Key& key);
  void forget_if_idle(const Share& share) {
    if (share.members == 0 && tenants_.size() > idle_tenants_max) forget(share);
  }
  void forget(const Share& share);

  Shares shares_;
  std::unordered_map<std::uint64_t, Tenant> tenants_;
  Tenant* last_tenant_ = nullptr;  // that was asked for
  std::unordered_map<std::uint64_t, Key> keys_;
  std::size_t size_ = 0;
  std::uint64_t arrivals_ = 0;
  std::deque<QueuedTask> storage_;
  QueuedTask* unused_ = nullptr;
};

}  // namespace clew::detail
