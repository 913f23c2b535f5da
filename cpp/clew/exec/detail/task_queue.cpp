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
  auto& tenant = tenant_of(queued->task.tenant);
  shares_.join(tenant);
  ++tenant.queued;
  ++size_;
  if (const auto key_id = queued->task.limit.key; key_id != 0) {
    auto& key = key_of(key_id);
    key.waiting.push(queued);
    settle(key);
  } else {
    tenant.free.push(queued);
    if (tenant.heap_index == Stands::nowhere) shares_.stand(tenant);
  }
}

QueuedTask* TaskQueue::pop(SlotUse& use) {
  if (!has_runnable()) return nullptr;
  auto& tenant = static_cast<Tenant&>(shares_.next());
  QueuedTask* task = nullptr;
  if (tenant.is_keyed_next()) {
    auto& key = *tenant.keys_ready.top().key;
    task = key.waiting.pop();
    ++key.running;
    settle(key);
  } else {
    task = tenant.free.pop();
    if (!tenant.has_runnable()) shares_.step_aside(tenant);
  }
  --tenant.queued;
  --size_;
  use = shares_.begin(tenant);
  return task;
}

bool TaskQueue::Tenant::is_keyed_next() const {
  if (keys_ready.empty()) return false;
  const auto* first = free.front();
  return first == nullptr ||
         !StandsBefore{}({first->task.priority, first->order}, keys_ready.top());
}

void TaskQueue::finish(QueuedTask* task, SlotUse& use) {
  leave_slot(use);  // before its place brings on the next, which starts from what it had
  free_place(task->task.limit.key);
  recycle(task);
}

std::vector<QueuedTask*> TaskQueue::take_all() {
  std::vector<QueuedTask*> all;
  all.reserve(size_);
  const auto empty_into_all = [&all](TaskLanes& lanes) {
    while (auto* task = lanes.pop()) all.push_back(task);
  };
  for (auto& [id, tenant] : tenants_) empty_into_all(tenant.free);
  for (auto& [id, key] : keys_) {
    empty_into_all(key.waiting);
    settle(key);
  }
  for (auto& [id, tenant] : tenants_) settle(tenant);
  std::ranges::sort(all, {}, &QueuedTask::order);
  size_ = 0;
  for (auto* task : all) {
    auto& tenant = tenant_of(task->task.tenant);
    tenant.queued = 0;
    shares_.leave(tenant);
    forget_if_idle(tenant);
  }
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

bool TaskQueue::has_part_left(std::uint32_t tenant_id, std::size_t max) const {
  const auto found = tenants_.find(tenant_id);
  const bool is_here = found != tenants_.end() && found->second.members > 0;
  const auto parts = shares_.active() + (is_here ? 0 : 1);
  return !is_here || found->second.queued < std::max<std::size_t>(max / parts, 1);
}

SlotUse TaskQueue::enter_counted(std::uint32_t tenant_id) {
  auto& tenant = tenant_of(tenant_id);
  shares_.join(tenant);
  return shares_.begin(tenant);
}

bool TaskQueue::is_behind(std::uint32_t tenant_id) const {
  const auto found = tenants_.find(tenant_id);
  return found != tenants_.end() && shares_.is_behind(found->second);
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

TaskQueue::Tenant& TaskQueue::find(std::uint32_t tenant_id) {
  auto& tenant = tenants_[tenant_id];
  tenant.tenant = tenant_id;
  last_tenant_ = &tenant;
  return tenant;
}

void TaskQueue::settle(Key& key) {
  const auto* first = key.waiting.front();
  const bool may_run = first != nullptr && key.running < first->task.limit.max;
  auto* const stood_with = key.stands_with;
  if (stood_with != nullptr) {
    if (may_run && stood_with->keys_ready.at(key.heap_index).order == first->order) return;
    stood_with->keys_ready.erase(key.heap_index);
  }
  key.stands_with = may_run ? &tenant_of(first->task.tenant) : nullptr;
  if (may_run) {
    key.stands_with->keys_ready.push({first->task.priority, first->order, &key});
    settle(*key.stands_with);
  }
  if (stood_with != nullptr && stood_with != key.stands_with) settle(*stood_with);
}

void TaskQueue::settle(Tenant& tenant) {
  const bool stands = tenant.heap_index != Stands::nowhere;
  if (tenant.has_runnable() == stands) return;
  if (stands) {
    shares_.step_aside(tenant);
  } else {
    shares_.stand(tenant);
  }
}

void TaskQueue::forget_if_idle(Key& key) {
  if (keys_.size() > idle_keys_max && key.running == 0 && key.waiting.empty()) {
    keys_.erase(key.key);
  }
}

void TaskQueue::forget(const Share& share) {
  if (last_tenant_ == &share) last_tenant_ = nullptr;
  tenants_.erase(share.tenant);
}

}  // namespace clew::detail
