// capability/detail/trace_queue.hpp: traces on their way to the database.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "clew/capability/trace.hpp"

namespace clew::detail {

using TraceChunk = std::vector<TraceRecord>;
using TraceChunks = std::deque<TraceChunk>;

// A queue in chunks: a push never moves older records, and taking all of them costs the same for
// one as for a hundred thousand. Neighbours, but for the first two, hold more than one chunk's
// worth, so memory stays in proportion to size(). External: its owner locks.
class TraceQueue {
 public:
  static constexpr std::size_t chunk_max = 256;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void push(TraceRecord&& record) {
    if (chunks_.empty() || chunks_.back().size() == chunk_max) open_chunk();
    chunks_.back().push_back(std::move(record));
    ++size_;
  }
  // CLEW_CHECK: not empty.
  TraceRecord pop_oldest();
  // Everything, oldest first, in chunks of 1 to `chunk_max`.
  TraceChunks take_all();
  // Puts chunks from take_all() before what was pushed since.
  void put_back(TraceChunks older);
  // Keeps the memory of a chunk for a later push.
  void recycle(TraceChunk chunk);

 private:
  static constexpr std::size_t spare_max = 32;

  void open_chunk();
  void drop_popped();

  TraceChunks chunks_;
  std::size_t popped_ = 0;  // records of the first chunk that pop_oldest() has moved out
  std::size_t size_ = 0;
  std::vector<TraceChunk> spare_;  // empty, with capacity
};

}  // namespace clew::detail
