#include "clew/wasm/detail/module_store.hpp"

#include "clew/wasm/wasm.hpp"

namespace clew::wasm {
namespace {

using store::Blob;
using store::Statement;

const Statement find_sql(R"sql(
    SELECT compiled, compiled_sha256 FROM wasm_modules
     WHERE digest = :digest AND engine = :engine)sql");

const Statement keep_sql(R"sql(
    INSERT INTO wasm_modules (digest, engine, compiled, compiled_sha256, made_us)
    VALUES (:digest, :engine, :compiled, :sha256, :now)
    ON CONFLICT (digest) DO UPDATE SET engine = excluded.engine, compiled = excluded.compiled,
      compiled_sha256 = excluded.compiled_sha256, made_us = excluded.made_us)sql");

const Statement trim_sql(R"sql(
    DELETE FROM wasm_modules WHERE digest NOT IN (
      SELECT digest FROM wasm_modules ORDER BY made_us DESC, digest LIMIT :modules_max))sql");

constexpr std::int64_t modules_max = 256;

Blob blob_of(const Digest& digest) {
  return Blob{{reinterpret_cast<const char*>(digest.data()), digest.size()}};
}

}  // namespace

store::Migration module_migration(int version) {
  return {version, "wasm modules", R"sql(
CREATE TABLE wasm_modules (
  digest {blob} NOT NULL PRIMARY KEY,
  engine TEXT NOT NULL,
  compiled {blob} NOT NULL,
  compiled_sha256 {blob} NOT NULL,
  made_us {integer} NOT NULL
);
)sql"};
}

Result<std::optional<StoredModule>> find_module(store::Transaction& tx, const Digest& binary,
                                                const std::string& engine) {
  StoredModule stored;
  const auto take = [&](const store::Row& row) -> Result<void> {
    const auto compiled = row.blob(0);
    const auto digest = row.blob(1);
    const auto made = compiled ? sha256(*compiled) : Digest{};
    stored.damaged = !compiled || !digest || *digest != blob_of(made).bytes;
    if (!stored.damaged) stored.compiled = std::string(*compiled);
    return {};
  };
  CLEW_TRY(const bool found, tx.first(find_sql, take, blob_of(binary), engine));
  if (!found) return std::optional<StoredModule>();
  return std::optional<StoredModule>(std::move(stored));
}

Result<void> keep_module(store::Transaction& tx, const Digest& binary, const std::string& engine,
                         const std::string& compiled, Timestamp now) {
  const auto digest = sha256(compiled);
  CLEW_TRY(tx.run(keep_sql, blob_of(binary), engine, Blob{compiled}, blob_of(digest), now));
  CLEW_TRY(tx.run(trim_sql, modules_max));
  return {};
}

}  // namespace clew::wasm
