// One thread at a time writes what is pending: the flusher, or whoever wants to read. It takes the
// whole queue, writes chunk by chunk, and puts back what it could not write.
#include <algorithm>
#include <utility>

#include "clew/base/mutex.hpp"
#include "clew/base/threads.hpp"
#include "clew/capability/detail/trace_queue.hpp"
#include "clew/capability/detail/trace_retention.hpp"
#include "clew/capability/detail/trace_rows.hpp"
#include "clew/capability/trace.hpp"

namespace clew {
namespace {

using detail::TraceChunk;
using detail::TraceChunks;

// Payloads up to this size wait for the flusher to digest them; larger ones would hold too much
// memory meanwhile.
constexpr std::size_t waiting_bytes_max = 512;
// So many pending records are written without waiting for more.
constexpr std::size_t early_size = 32 * detail::TraceQueue::chunk_max;
constexpr Duration retry_delay_max = std::chrono::seconds(1);

class StoredTraces final : public TraceStore {
 public:
  StoredTraces(store::Database& database, Env& env, TraceRetention retention, Duration flush_within)
      : database_(database),
        clock_(env.clock()),
        pending_max_(static_cast<std::size_t>(retention.count_max)),
        flush_within_(flush_within),
        keeper_(retention) {
    if (!database_.is_memory()) threads_.start("clew-traces", [this] { run_flusher(); });
  }
  ~StoredTraces() override { close(); }

  void record(TraceRecord record) override;
  Result<void> insert(store::Transaction& tx, const TraceRecord& record) override;
  Result<TracePage> query(const TraceQuery& query) override;
  Result<Trace> find(const Id& id) override;
  Result<void> flush() override;
  TraceStats stats() const override;
  void close() override;

 private:
  // The right to write, with all that was pending when it began.
  class Turn {
   public:
    explicit Turn(StoredTraces& owner) : owner_(owner), chunks_(owner.begin_turn()) {}
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { owner_.end_turn(std::move(chunks_)); }
    TraceChunks& chunks() { return chunks_; }

   private:
    StoredTraces& owner_;
    TraceChunks chunks_;
  };

  void run_flusher();
  bool await_work(int failures);
  Result<void> write_pending();
  void note(const Result<void>& written);
  Result<void> write_chunk(TraceChunk& chunk);
  Result<void> add_row(store::Transaction& tx, const TraceRecord& record);
  std::int64_t commit_ns(const TraceRecord& record);
  void sweep_lazily();
  TraceChunks begin_turn();
  void chunk_written(TraceChunk chunk);
  void end_turn(TraceChunks unwritten);
  void drop_pending();

  store::Database& database_;
  Clock& clock_;
  const std::size_t pending_max_;
  const Duration flush_within_;
  detail::TraceKeeper keeper_;

  mutable Mutex mutex_;
  Condition wake_;     // the flusher: there is work, or closing has begun
  Condition changed_;  // a turn or the closing has ended
  detail::TraceQueue pending_ CLEW_GUARDED_BY(mutex_);
  std::size_t in_turn_ CLEW_GUARDED_BY(mutex_) = 0;  // taken from `pending_`, not yet written
  bool is_writing_ CLEW_GUARDED_BY(mutex_) = false;
  bool is_idle_ CLEW_GUARDED_BY(mutex_) = false;  // the flusher waits for a first record
  bool is_closing_ CLEW_GUARDED_BY(mutex_) = false;
  bool is_closed_ CLEW_GUARDED_BY(mutex_) = false;
  std::int64_t recorded_ CLEW_GUARDED_BY(mutex_) = 0;
  std::int64_t dropped_ CLEW_GUARDED_BY(mutex_) = 0;
  std::int64_t lost_ CLEW_GUARDED_BY(mutex_) = 0;
  std::string last_error_ CLEW_GUARDED_BY(mutex_);

  Threads threads_;  // last: the flusher uses everything above
};

void StoredTraces::record(TraceRecord record) {
  if (!record.digests && (record.input.byte_size() > waiting_bytes_max ||
                          record.output.byte_size() > waiting_bytes_max)) {
    take_digests(record);
  }
  std::optional<TraceRecord> oldest;  // destroyed outside the lock
  bool wakes = false;
  {
    const Lock lock(mutex_);
    ++recorded_;
    if (is_closed_) {
      ++lost_;
      return;
    }
    if (pending_.size() == pending_max_) {
      oldest = pending_.pop_oldest();
      ++dropped_;
    }
    pending_.push(std::move(record));
    wakes = is_idle_ || pending_.size() == early_size;
    is_idle_ = false;
  }
  if (wakes) wake_.notify_one();
}

Result<void> StoredTraces::insert(store::Transaction& tx, const TraceRecord& record) {
  CLEW_TRY(add_row(tx, record));
  CLEW_TRY(const auto gone, keeper_.trim(tx, 1));
  keeper_.count_deleted(gone);
  return {};
}

// From the end of the call until now, when its row is written; at least a microsecond.
std::int64_t StoredTraces::commit_ns(const TraceRecord& record) {
  if (database_.is_memory() || record.ended_ns == 0) return 0;
  return std::max<std::int64_t>(clock_.ticks_ns() - record.ended_ns, 1000);
}

// Readers do not see what has expired, so that it need not be gone before they read.
void StoredTraces::sweep_lazily() {
  if (auto swept = keeper_.sweep_if_due(database_, clock_.now()); !swept) note(swept);
}

Result<TracePage> StoredTraces::query(const TraceQuery& query) {
  CLEW_TRY(const auto below, detail::check_query(query));
  CLEW_TRY(write_pending());
  sweep_lazily();
  TracePage page;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(page, detail::read_traces(tx, query, below, keeper_.expired(clock_.now())));
    return {};
  }));
  return page;
}

Result<Trace> StoredTraces::find(const Id& id) {
  CLEW_TRY(write_pending());
  sweep_lazily();
  std::optional<Trace> found;
  CLEW_TRY(database_.read([&](store::Transaction& tx) -> Result<void> {
    CLEW_TRY(found, detail::find_trace(tx, id, keeper_.expired(clock_.now())));
    return {};
  }));
  if (!found) {
    return error(Code::not_found, "no trace has the id {}", id.to_string())
        .with("id", Value(id.to_string()));
  }
  return *std::move(found);
}

Result<void> StoredTraces::flush() {
  CLEW_TRY(write_pending());
  return keeper_.sweep(database_, clock_.now());
}

TraceStats StoredTraces::stats() const {
  const Lock lock(mutex_);
  return {.recorded = recorded_,
          .dropped_by_retention = dropped_ + keeper_.deleted(),
          .pending = static_cast<std::int64_t>(pending_.size() + in_turn_),
          .lost = lost_,
          .last_error = last_error_};
}

void StoredTraces::close() {
  {
    Lock lock(mutex_);
    if (is_closing_) {
      while (!is_closed_) changed_.wait(lock);
      return;
    }
    is_closing_ = true;
  }
  wake_.notify_all();
  threads_.join();
  if (!database_.is_memory()) {
    (void)write_pending();  // its error stands in stats()
    drop_pending();
  }
  const Lock lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

void StoredTraces::drop_pending() {
  TraceChunks dropped;  // destroyed outside the lock
  const Lock lock(mutex_);
  lost_ += static_cast<std::int64_t>(pending_.size());
  dropped = pending_.take_all();
}

void StoredTraces::run_flusher() {
  int failures = 0;
  sweep_lazily();  // what expired while nobody had the file open
  while (await_work(failures)) {
    auto done = write_pending();
    if (done) {
      done = keeper_.sweep_if_due(database_, clock_.now());
      note(done);
    }
    failures = done ? 0 : failures + 1;
  }
}

// Sleeps until something is pending, and then for `flush_within` (longer after failures), so that
// one write takes many; or until something that was written expires. False once closing has begun.
bool StoredTraces::await_work(int failures) {
  Lock lock(mutex_);
  while (!is_closing_ && pending_.empty()) {
    is_idle_ = true;
    const bool expires = clock_.wait_until(wake_, lock, keeper_.next_sweep());
    if (expires && pending_.empty()) break;
  }
  is_idle_ = false;
  if (pending_.empty()) return !is_closing_;
  const auto backed_off = flush_within_ * (std::int64_t{1} << std::min(failures, 10));
  const auto delay = failures == 0 ? flush_within_
                                   : std::max(flush_within_, std::min(backed_off, retry_delay_max));
  const auto deadline = clock_.now() + delay;
  while (!is_closing_ && (failures > 0 || pending_.size() < early_size)) {
    if (clock_.wait_until(wake_, lock, deadline)) break;
  }
  return !is_closing_;
}

Result<void> StoredTraces::write_pending() {
  Turn turn(*this);
  auto& chunks = turn.chunks();
  Result<void> written;
  while (!chunks.empty()) {
    written = write_chunk(chunks.front());
    if (!written) break;
    chunk_written(std::move(chunks.front()));
    chunks.pop_front();
  }
  note(written);
  return written;
}

void StoredTraces::note(const Result<void>& written) {
  auto text = written ? std::string() : written.error().to_string();
  const Lock lock(mutex_);
  last_error_ = std::move(text);
}

Result<void> StoredTraces::write_chunk(TraceChunk& chunk) {
  for (auto& record : chunk) take_digests(record);  // here, so as not to keep the writer waiting
  std::int64_t gone = 0;
  const auto apply = [&](store::Transaction& tx) -> Result<void> {
    for (const auto& record : chunk) CLEW_TRY(add_row(tx, record));
    CLEW_TRY(gone, keeper_.trim(tx, static_cast<std::int64_t>(chunk.size())));
    return {};
  };
  CLEW_TRY(database_.write(apply, store::Durability::relaxed));
  keeper_.count_deleted(gone);
  return {};
}

Result<void> StoredTraces::add_row(store::Transaction& tx, const TraceRecord& record) {
  keeper_.expect(record.started);
  return detail::insert_trace(tx, record, commit_ns(record));
}

TraceChunks StoredTraces::begin_turn() {
  Lock lock(mutex_);
  while (is_writing_) changed_.wait(lock);
  is_writing_ = true;
  in_turn_ = pending_.size();
  return pending_.take_all();
}

void StoredTraces::chunk_written(TraceChunk chunk) {
  const auto size = chunk.size();
  chunk.clear();  // payloads are released outside the lock
  const Lock lock(mutex_);
  in_turn_ -= size;
  pending_.recycle(std::move(chunk));
}

void StoredTraces::end_turn(TraceChunks unwritten) {
  const Lock lock(mutex_);
  pending_.put_back(std::move(unwritten));
  for (; pending_.size() > pending_max_; ++dropped_) pending_.pop_oldest();
  in_turn_ = 0;
  is_writing_ = false;
  changed_.notify_all();
}

}  // namespace

std::unique_ptr<TraceStore> make_trace_store(store::Database& database, Env& env,
                                             TraceRetention retention, Duration flush_within) {
  return std::make_unique<StoredTraces>(database, env, retention, flush_within);
}

}  // namespace clew
