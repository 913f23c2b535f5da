#include "clew/exec/detail/task_queue.hpp"

#include <algorithm>
#include <utility>

#include "clew/base/check.hpp"

namespace clew::detail {

void TaskList::push(QueuedTask* task) {
  task->next = nullptr;
  (head_ == nullptr ? head_ : tail_->next) = task;
  tail_ = task;
}

QueuedTask* TaskList::pop() { return std::exchange(head_, head_->next); }

void TaskLanes::push(QueuedTask* task) {
  lanes_[task->task.priority].push(task);
  ++size_;
}

QueuedTask* TaskLanes::front() const {
  for (const auto& [priority, list] : lanes_) {
    if (!list.empty()) return list.front();
  }
  return nullptr;
}

QueuedTask* TaskLanes::pop() {
  for (auto lane = lanes_.begin(); lane != lanes_.end(); ++lane) {
    if (lane->second.empty()) continue;
    auto* task = lane->second.pop();
    --size_;
    if (lane->second.empty() && lanes_.size() > idle_lanes_max) lanes_.erase(lane);
    return task;
  }
  return nullptr;
}

void TaskQueue::push(Task&& task) {
  auto* queued = store(std::move(task));
  ++size_;
  const auto key_id = queued->task.limit.key;
  if (key_id == 0) return free_.push(queued);
  auto& key = key_of(key_id);
  key.waiting.push(queued);
  settle(key);
}

QueuedTask* TaskQueue::pop() {
  if (!has_runnable()) return nullptr;
  auto* first = free_.front();
  --size_;
  if (keys_ready_.empty()) return free_.pop();
  const auto& stand = keys_ready_.top();
  if (first != nullptr && StandsBefore{}({first->task.priority, first->order}, stand)) {
    return free_.pop();
  }
  auto& key = *stand.key;
  auto* task = key.waiting.pop();
  ++key.running;
  settle(key);
  return task;
}

std::vector<QueuedTask*> TaskQueue::take_all() {
  std::vector<QueuedTask*> all;
  all.reserve(size_);
  const auto empty_into_all = [&all](TaskLanes& lanes) {
    while (auto* task = lanes.pop()) all.push_back(task);
  };
  empty_into_all(free_);
  for (auto& [id, key] : keys_) empty_into_all(key.waiting);
  std::ranges::sort(all, {}, &QueuedTask::order);
  for (auto& [id, key] : keys_) key.heap_index = decltype(keys_ready_)::nowhere;
  keys_ready_.clear();
  size_ = 0;
  return all;
}

void TaskQueue::recycle(QueuedTask* task) {
  task->next = unused_;
  unused_ = task;
}

bool TaskQueue::has_place(const KeyLimit& limit) const {
  if (limit.key == 0) return true;
  const auto found = keys_.find(limit.key);
  return (found == keys_.end() ? 0 : found->second.running) < limit.max;
}

bool TaskQueue::take_place(const KeyLimit& limit) {
  if (limit.key == 0) return true;
  auto& key = key_of(limit.key);
  if (key.running >= limit.max) return false;
  ++key.running;
  settle(key);
  return true;
}

void TaskQueue::free_place(std::uint64_t key_id) {
  if (key_id == 0) return;
  const auto found = keys_.find(key_id);
  CLEW_CHECK(found != keys_.end() && found->second.running > 0);
  --found->second.running;
  settle(found->second);
  forget_if_idle(found->second);
}

QueuedTask* TaskQueue::store(Task&& task) {
  QueuedTask* queued = unused_;
  if (queued != nullptr) {
    unused_ = queued->next;
  } else {
    queued = &storage_.emplace_back();
  }
  queued->task = std::move(task);
  queued->order = ++arrivals_;
  return queued;
}

TaskQueue::Key& TaskQueue::key_of(std::uint64_t key_id) {
  auto& key = keys_[key_id];
  key.key = key_id;
  return key;
}

void TaskQueue::settle(Key& key) {
  const auto* first = key.waiting.front();
  const bool may_run = first != nullptr && key.running < first->task.limit.max;
  if (key.heap_index != decltype(keys_ready_)::nowhere) {
    if (may_run && keys_ready_.at(key.heap_index).order == first->order) return;
    keys_ready_.erase(key.heap_index);
  }
  if (may_run) keys_ready_.push({first->task.priority, first->order, &key});
}

void TaskQueue::forget_if_idle(Key& key) {
  if (keys_.size() > idle_keys_max && key.running == 0 && key.waiting.empty()) {
    keys_.erase(key.key);
  }
}

}  // namespace clew::detail
