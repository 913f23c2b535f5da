#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "clew/base/text.hpp"
#include "clew/wasm/detail/executor.hpp"
#include "clew/wasm/detail/module_cache.hpp"
#include "clew/wasm/detail/module_store.hpp"
#include "clew/wasm/wasm.hpp"

namespace clew::wasm {
namespace {

constexpr std::size_t module_bytes_max = 64U << 20U;
constexpr std::string_view too_large = "a module of 1 byte to 64 MiB";
constexpr int slots_max = 64;
constexpr int cache_limit = 4096;
constexpr std::string_view magic("\0asm", 4);

int default_slots() {
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, slots_max);
}

std::string name_of(const ModuleSource& source) {
  return source.path.empty() ? "(bytes)" : source.path;
}

Result<std::string> read_file(const std::string& path) {
  const auto not_found = [&] {
    return error(Code::not_found, "there is no module at {}", path).with("path", path);
  };
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed)) return not_found();
  const auto size = std::filesystem::file_size(path, failed);
  if (failed) return not_found();
  if (size > module_bytes_max) return invalid_input("module", Value(path), too_large);
  std::string bytes(size, '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(size))) return not_found();
  return bytes;
}

class HostImpl final : public Host, private ModuleSupply {
 public:
  HostImpl(HostParts parts, Options options, std::shared_ptr<Engine> engine,
           std::unique_ptr<ThreadPool> pool)
      : parts_(parts),
        options_(std::move(options)),
        engine_(std::move(engine)),
        pool_(std::move(pool)),
        world_{parts.env, options_, *pool_},
        cache_(static_cast<std::size_t>(options_.cache_max)),
        executor_(make_executor(*engine_, world_, *this)) {}
  ~HostImpl() override { executor_->stop(); }

  Result<Admitted> admit(const Contract& contract, const ModuleSource& source) override {
    const auto name = name_of(source);
    CLEW_TRY(auto limits, Limits::from_constraints(contract.constraints));
    CLEW_TRY(auto binary, read_binary(source, name));
    const auto digest = sha256(binary);
    const auto hex = to_hex(digest);
    if (!source.digest.empty() && source.digest != hex) {
      return error(Code::corrupt, "{} is another module than its digest says: {} is not {}", name,
                   hex, source.digest)
          .with("module", name)
          .with("expected", source.digest)
          .with("actual", hex);
    }
    CLEW_TRY(auto warning, check_trust(digest, source.signature, name));
    auto handler = std::make_shared<const WasmHandler>(
        ModuleRef{digest, std::make_shared<const std::string>(std::move(binary)), name}, limits);
    CLEW_TRY(module(handler->module(), warning));
    return Admitted{handler, hex, std::move(warning)};
  }

  std::shared_ptr<CapabilityExecutor> executor() override { return executor_; }

  Value stats() const override {
    const auto cache = cache_.stats();
    const auto pool = pool_->stats();
    const auto count = [](const std::atomic<std::int64_t>& counter) {
      return Value(counter.load(std::memory_order_relaxed));
    };
    return Value::object({{"cache_hits", cache.hits},
                          {"cache_misses", cache.misses},
                          {"cache_evictions", cache.evictions},
                          {"cached", cache.kept},
                          {"compiled", count(compiled_)},
                          {"from_store", count(from_store_)},
                          {"store_damaged", count(store_damaged_)},
                          {"running", engine_->ticker().running()},
                          {"capacity", pool.capacity},
                          {"queued", pool.queued},
                          {"submitted", pool.submitted},
                          {"inline", pool.inline_runs}});
  }

  Result<ModulePtr> module(const ModuleRef& ref) override {
    std::string warning;
    return module(ref, warning);
  }

 private:
  Result<std::string> read_binary(const ModuleSource& source, const std::string& name) {
    auto bytes = source.bytes;
    if (bytes.empty() && !source.path.empty()) {
      CLEW_TRY(bytes, read_file(source.path));
    }
    if (bytes.empty() || bytes.size() > module_bytes_max) {
      return invalid_input("module", Value(name), too_large);
    }
    if (bytes.starts_with(magic)) return bytes;
    if (!is_utf8(bytes)) {
      return invalid_input("module", Value(name), "WebAssembly, binary or text");
    }
    return engine_->from_text(bytes, name);
  }

  // Empty when trusted; otherwise refused in production, and why elsewhere.
  Result<std::string> check_trust(const Digest& digest, const std::string& signature,
                                  const std::string& name) const {
    std::string_view reason;
    if (signature.empty()) {
      reason = "unsigned";
    } else {
      CLEW_TRY(const auto trust, check_signature(digest, signature, options_.trusted_keys));
      if (trust == Trust::trusted) return std::string();
      reason = trust == Trust::bad_signature ? "bad_signature" : "untrusted_key";
    }
    if (!options_.production) {
      return fmt::format("{} ({}): production would refuse it", name, reason);
    }
    return error(Code::rejected, "production runs no module without a trusted signature: {} ({})",
                 name, reason)
        .with("reason", reason)
        .with("module", name)
        .with("digest", to_hex(digest));
  }

  Result<ModulePtr> module(const ModuleRef& ref, std::string& warning) {
    if (auto kept = cache_.find(ref.digest)) return kept;
    // It was read long ago: what is compiled is what was admitted.
    if (sha256(*ref.binary) != ref.digest) {
      return error(Code::corrupt, "the module {} has changed in memory", ref.name)
          .with("expected", to_hex(ref.digest));
    }
    CLEW_TRY(auto made, load_or_compile(ref, warning));
    CLEW_TRY(made->link(ref.name));
    cache_.put(ref.digest, made);
    return ModulePtr(std::move(made));
  }

  Result<std::shared_ptr<Module>> load_or_compile(const ModuleRef& ref, std::string& warning) {
    const bool stores = !options_.production && !parts_.database.is_memory();
    if (!stores) return compile(ref);
    CLEW_TRY(const auto engine, fingerprint());
    std::optional<StoredModule> stored;
    CLEW_TRY(parts_.database.read([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(stored, find_module(tx, ref.digest, engine));
      return {};
    }));
    if (stored && !stored->damaged) {
      if (auto loaded = engine_->load(stored->compiled)) {
        from_store_.fetch_add(1, std::memory_order_relaxed);
        return loaded;
      }
    }
    if (stored) {
      store_damaged_.fetch_add(1, std::memory_order_relaxed);
      warning += fmt::format("{}wasm_modules {} is damaged and was compiled anew",
                             warning.empty() ? "" : "; ", to_hex(ref.digest));
    }
    CLEW_TRY(auto made, compile(ref));
    CLEW_TRY(const auto saved, engine_->save(*made));
    if (saved.size() <= stored_bytes_max) {
      const auto now = parts_.env.clock().now();
      CLEW_TRY(parts_.database.write(
          [&](store::Transaction& tx) { return keep_module(tx, ref.digest, engine, saved, now); }));
    }
    return made;
  }

  Result<std::shared_ptr<Module>> compile(const ModuleRef& ref) {
    compiled_.fetch_add(1, std::memory_order_relaxed);
    return engine_->compile(*ref.binary, ref.name);
  }

  Result<std::string> fingerprint() {
    const Lock lock(fingerprint_mutex_);
    if (fingerprint_.empty()) {
      CLEW_TRY(fingerprint_, engine_->fingerprint());
    }
    return fingerprint_;
  }

  HostParts parts_;
  const Options options_;
  const std::shared_ptr<Engine> engine_;
  const std::unique_ptr<ThreadPool> pool_;
  GuestWorld world_;
  ModuleCache cache_;
  Mutex fingerprint_mutex_;
  std::string fingerprint_ CLEW_GUARDED_BY(fingerprint_mutex_);
  std::atomic<std::int64_t> compiled_{0};
  std::atomic<std::int64_t> from_store_{0};
  std::atomic<std::int64_t> store_damaged_{0};
  const std::shared_ptr<CapabilityExecutor> executor_;
};

Result<void> check_options(const Options& options) {
  if (options.slots < 0 || options.slots > slots_max) {
    return invalid_input("wasm.slots", options.slots, "a number from 1 to 64");
  }
  if (options.cache_max < 1 || options.cache_max > cache_limit) {
    return invalid_input("wasm.cache_max", options.cache_max, "a number from 1 to 4096");
  }
  return {};
}

std::string library_of(const Options& options) {
  if (!options.library.empty()) return options.library;
  const char* named = std::getenv("CLEW_WASMTIME");  // NOLINT(concurrency-mt-unsafe): only read
  return named != nullptr ? named : "";
}

}  // namespace

Result<std::unique_ptr<Host>> Host::open(HostParts parts, Options options) {
  CLEW_TRY(check_options(options));
  CLEW_TRY(auto engine, Engine::open(library_of(options)));
  PoolOptions pool;
  pool.threads = options.slots == 0 ? default_slots() : options.slots;
  pool.full = FullPolicy::reject;
  pool.name = "clew-wasm";
  pool.on_thread_start = options.on_thread_start;
  pool.on_thread_stop = options.on_thread_stop;
  CLEW_TRY(auto threads, make_thread_pool(std::move(pool), parts.env.clock()));
  CLEW_TRY(threads->start());
  return std::unique_ptr<Host>(
      std::make_unique<HostImpl>(parts, std::move(options), std::move(engine), std::move(threads)));
}

}  // namespace clew::wasm
