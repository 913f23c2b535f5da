#include "clew/capability/detail/trace_queue.hpp"

#include <iterator>
#include <utility>

#include "clew/base/check.hpp"

namespace clew::detail {

void TraceQueue::open_chunk() {
  TraceChunk chunk;
  if (!spare_.empty()) {
    chunk = std::move(spare_.back());
    spare_.pop_back();
  }
  chunk.reserve(chunk_max);
  chunks_.push_back(std::move(chunk));
}

TraceRecord TraceQueue::pop_oldest() {
  CLEW_CHECK(size_ > 0);
  auto& front = chunks_.front();
  TraceRecord oldest = std::move(front[popped_]);
  ++popped_;
  --size_;
  if (popped_ == front.size()) {
    recycle(std::move(front));
    chunks_.pop_front();
    popped_ = 0;
  }
  return oldest;
}

void TraceQueue::drop_popped() {
  if (popped_ == 0) return;
  auto& front = chunks_.front();
  front.erase(front.begin(), front.begin() + static_cast<std::ptrdiff_t>(popped_));
  popped_ = 0;
}

TraceChunks TraceQueue::take_all() {
  drop_popped();
  size_ = 0;
  return std::exchange(chunks_, {});
}

void TraceQueue::put_back(TraceChunks older) {
  if (older.empty()) return;
  drop_popped();
  for (const auto& chunk : older) size_ += chunk.size();
  // One record that fails again and again must not hold a chunk's memory with each that follows it.
  auto& last = older.back();
  if (!chunks_.empty() && last.size() + chunks_.front().size() <= chunk_max) {
    auto& first = chunks_.front();
    std::move(first.begin(), first.end(), std::back_inserter(last));
    recycle(std::move(first));
    chunks_.pop_front();
  }
  std::move(chunks_.begin(), chunks_.end(), std::back_inserter(older));
  chunks_ = std::move(older);
}

void TraceQueue::recycle(TraceChunk chunk) {
  if (spare_.size() == spare_max) return;
  chunk.clear();
  spare_.push_back(std::move(chunk));
}

}  // namespace clew::detail
