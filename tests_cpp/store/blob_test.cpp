// Content-addressed bytes, small and large.
#include "clew/store/blob.hpp"

#include <map>
#include <random>
#include <set>

#include "store/support.hpp"

namespace clew::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr Timestamp at(std::int64_t us) { return {1'000'000 + us}; }

class Blobs : public EachPlace {
 protected:
  void SetUp() override {
    auto migrations = core_migrations();
    migrations.push_back(blob_migration(2));
    db_ = open_or_fail(options(), *env_, migrations);
  }
  Result<void> done(Apply use) {
    const auto info = db_->write(std::move(use));
    return info ? Result<void>() : Result<void>(info.error());
  }
  std::string put(std::string_view bytes, std::int64_t now_us = 0) {
    std::string hash;
    EXPECT_TRUE(done([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(hash, put_blob(tx, bytes, at(now_us)));
      return {};
    }));
    return hash;
  }
  Result<std::optional<std::string>> get(const std::string& hash) {
    Result<std::optional<std::string>> bytes = std::optional<std::string>();
    const auto read = db_->read([&](Transaction& tx) -> Result<void> {
      bytes = get_blob(tx, hash);
      return {};
    });
    EXPECT_TRUE(read);
    return bytes;
  }
  BlobSweep sweep(std::int64_t before_us, const std::vector<std::string>& roots = {}) {
    BlobSweep report;
    const auto swept = done([&](Transaction& tx) -> Result<void> {
      CLEW_TRY(report, sweep_blobs(tx, roots, at(before_us)));
      return {};
    });
    EXPECT_TRUE(swept) << swept.error().to_string();
    return report;
  }
  std::int64_t count(const char* table) {
    std::int64_t rows = -1;
    VisitRow take = [&](const Row& row) -> Result<void> {
      CLEW_TRY(rows, row.integer(0));
      return {};
    };
    EXPECT_TRUE(db_->read([&](Transaction& tx) {
      return tx.each_text(fmt::format("SELECT COUNT(*) FROM {}", table), {}, take);
    }));
    return rows;
  }
  std::vector<std::string> damage() {
    std::vector<std::string> found;
    EXPECT_TRUE(db_->read([&](Transaction& tx) {
      return check_blobs(tx, [&](const Error& why) { found.push_back(why.to_string()); });
    }));
    return found;
  }
  Result<StagedBlob> write(std::string_view bytes, std::size_t step, BlobLimits limits = {}) {
    BlobWriter writer(*db_, *env_, limits);
    for (std::size_t from = 0; from < bytes.size(); from += step) {
      CLEW_TRY(writer.append(bytes.substr(from, step)));
    }
    return writer.finish();
  }
  Result<std::string> read_all(const std::string& hash) {
    CLEW_TRY(auto reader, BlobReader::open(*db_, hash));
    std::string all;
    for (;;) {
      CLEW_TRY(const auto part, reader.next());
      if (part.empty()) return all;
      EXPECT_LE(part.size(), blob_part_size);
      all += part;
    }
  }
  std::unique_ptr<Database> db_;
};
INSTANTIATE_TEST_SUITE_P(Backends, Blobs, each_place, place_name);

std::string pattern(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (auto& each : bytes) each = static_cast<char>(random());
  return bytes;
}

TEST(Sha256, of_parts_is_that_of_the_whole) {
  const auto bytes = pattern(10'000);
  for (const std::size_t step : {1U, 63U, 64U, 65U, 9'999U}) {
    Sha256 hash;
    for (std::size_t from = 0; from < bytes.size(); from += step) {
      hash.update(std::string_view(bytes).substr(from, step));
      EXPECT_EQ(hash.digest(), sha256(std::string_view(bytes).substr(0, from + step)));
    }
  }
  EXPECT_EQ(Sha256().digest(), sha256(""));
}

TEST_P(Blobs, same_bytes_are_one_blob_of_any_size) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, blob_part_size, blob_part_size + 1, 3 * blob_part_size}) {
    const auto bytes = pattern(size);
    const auto hash = put(bytes);
    EXPECT_EQ(hash, to_hex(sha256(bytes)));
    const auto rows = count("blob_chunks");
    EXPECT_EQ(put(bytes), hash);
    EXPECT_EQ(count("blob_chunks"), rows);
    EXPECT_EQ(**get(hash), bytes);
    EXPECT_EQ(*read_all(hash), bytes);
    const auto staged = write(bytes, 1'000'000);
    EXPECT_EQ(staged->hash, hash);
    EXPECT_TRUE(done([&](Transaction& tx) { return put_staged(tx, *staged, at(0)); }));
    EXPECT_EQ(count("blob_chunks"), rows) << "what is there already is not kept twice";
  }
  EXPECT_EQ(count("blobs"), 5);
  EXPECT_EQ(count("blob_stages"), 0);
  EXPECT_THAT(damage(), IsEmpty());
}

TEST_P(Blobs, writer_takes_a_large_content_in_parts_and_reader_gives_it_so) {
  const auto bytes = pattern(5 * blob_part_size + 17);
  const auto staged = write(bytes, 70'001);
  ASSERT_TRUE(staged);
  EXPECT_TRUE(staged->bytes.empty()) << "nothing of it is in memory";
  EXPECT_FALSE(get(staged->hash)->has_value()) << "not put yet";
  ASSERT_TRUE(done([&](Transaction& tx) { return put_staged(tx, *staged, at(0)); }));
  EXPECT_EQ(**get(staged->hash), bytes);
  EXPECT_EQ(*read_all(staged->hash), bytes);
}

TEST_P(Blobs, unknown_is_nothing_and_its_reader_not_found) {
  const auto hash = blob_id("never put");
  EXPECT_FALSE(get(hash)->has_value());
  EXPECT_EQ(code_of(BlobReader::open(*db_, hash)), Code::not_found);
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return pin_blob(tx, "me", hash, at(0)); })),
            Code::not_found);
}

TEST_P(Blobs, too_large_is_refused_and_leaves_nothing) {
  const BlobLimits limits{.size_max = 100};
  EXPECT_TRUE(done([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(put_blob(tx, pattern(100), at(0), limits));
    return {};
  }));
  const auto refused = done([&](Transaction& tx) -> Result<void> {
    CLEW_TRY(put_blob(tx, pattern(101), at(0), limits));
    return {};
  });
  EXPECT_EQ(code_of(refused), Code::resource_exhausted);
  EXPECT_EQ(refused.error().find("size_max")->as_int(), 100);
  EXPECT_EQ(code_of(write(pattern(101), 10, limits)), Code::resource_exhausted);
  EXPECT_EQ(count("blobs"), 1);
  EXPECT_EQ(count("blob_chunks"), 0);
}

TEST_P(Blobs, damage_is_corrupt_and_names_the_hash) {
  const auto small = put("small");
  const auto large = put(pattern(2 * blob_part_size));
  const auto holed = put(pattern(3 * blob_part_size, 2));
  const auto parts = "whole:" + large;
  const auto holed_parts = "whole:" + holed;
  ASSERT_TRUE(done([&](Transaction& tx) -> Result<void> {
    const Arg other[] = {Blob{"smalL"}, small};
    CLEW_TRY(tx.run_text("UPDATE blobs SET data = :data WHERE hash = :hash", other));
    const Arg chunk[] = {Blob{std::string_view("x")}, parts};
    CLEW_TRY(
        tx.run_text("UPDATE blob_chunks SET data = :d WHERE content = :c AND part = 1", chunk));
    const Arg hole[] = {holed_parts};
    CLEW_TRY(tx.run_text("DELETE FROM blob_chunks WHERE content = :c AND part = 1", hole));
    return {};
  }));
  for (const auto& hash : {small, large, holed}) {
    const auto found = get(hash);
    EXPECT_EQ(code_of(found), Code::corrupt);
    EXPECT_EQ(found.error().find("hash")->as_string(), hash);
    EXPECT_EQ(code_of(read_all(hash)), Code::corrupt);
  }
  EXPECT_EQ(damage().size(), 3U);
}

TEST_P(Blobs, sweep_takes_what_nobody_pinned_and_what_is_old_enough) {
  const auto pinned = put("pinned");
  const auto root = put("root");
  const auto old = put(pattern(2 * blob_part_size));
  const auto touched = put("touched");
  put("touched", 10);
  ASSERT_TRUE(done([&](Transaction& tx) { return pin_blob(tx, "me", pinned, at(0)); }));
  auto report = sweep(10, {root});
  EXPECT_EQ(report.roots, 2);
  EXPECT_EQ(report.retained, 3);
  EXPECT_EQ(report.deleted, 1);
  EXPECT_EQ(report.deleted_bytes, static_cast<std::int64_t>(2 * blob_part_size));
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_FALSE(get(old)->has_value());
  EXPECT_EQ(count("blob_chunks"), 0);
  EXPECT_EQ(**get(pinned), "pinned");
  ASSERT_TRUE(done([&](Transaction& tx) { return unpin_blobs(tx, "me"); }));
  report = sweep(11);
  EXPECT_EQ(report.roots, 0);
  EXPECT_EQ(report.retained, 0);
  EXPECT_EQ(report.deleted, 3);
  EXPECT_THAT(sweep(11, {root}).missing, ElementsAre(root)) << "a root that is gone is told";
}

TEST_P(Blobs, sweep_takes_what_a_writer_left_behind_and_its_late_end_is_refused) {
  const auto manual = std::make_unique<ManualClock>(at(0));
  const auto env = make_seeded_env(*manual, 1);
  BlobWriter writer(*db_, *env);
  ASSERT_TRUE(writer.append(pattern(2 * blob_part_size)));
  EXPECT_EQ(count("blob_stages"), 1);
  sweep(0);
  EXPECT_EQ(count("blob_stages"), 1);
  sweep(1);
  EXPECT_EQ(count("blob_stages"), 0);
  EXPECT_EQ(count("blob_chunks"), 0);
  const auto staged = writer.finish();
  EXPECT_EQ(code_of(done([&](Transaction& tx) { return put_staged(tx, *staged, at(2)); })),
            Code::conflict);
  EXPECT_EQ(count("blobs"), 0);
}

// Random operations against a map.
TEST_P(Blobs, random_operations_agree_with_a_map) {
  const char* seed_text = std::getenv("CLEW_SEED");
  const auto seed = seed_text != nullptr ? std::stoul(seed_text) : 11UL;
  SCOPED_TRACE(testing::Message() << "CLEW_SEED=" << seed);
  std::mt19937 random(static_cast<std::mt19937::result_type>(seed));
  struct Kept {
    std::string bytes;
    std::int64_t touched = 0;
  };
  std::map<std::string, Kept> model;
  std::map<std::string, std::set<std::string>> pins;
  for (std::int64_t now = 1; now <= 300; ++now) {
    const auto size = random() % 4 == 0 ? blob_part_size + random() % 3 : random() % 3;
    const auto bytes = pattern(size, 3);
    const auto hash = blob_id(bytes);
    const auto holder = std::string(1, static_cast<char>('a' + random() % 3));
    switch (random() % 6) {
      case 0:
        put(bytes, now);
        model[hash] = {bytes, now};
        break;
      case 1: {
        const auto staged = write(bytes, 100'000);
        ASSERT_TRUE(done([&](Transaction& tx) { return put_staged(tx, *staged, at(now)); }));
        model[hash] = {bytes, now};
        break;
      }
      case 2: {
        const auto pinned =
            done([&](Transaction& tx) { return pin_blob(tx, holder, hash, at(now)); });
        ASSERT_EQ(pinned.has_value(), model.contains(hash));
        if (pinned) pins[holder].insert(hash);
        if (pinned) model[hash].touched = now;
        break;
      }
      case 3:
        ASSERT_TRUE(done([&](Transaction& tx) { return unpin_blobs(tx, holder); }));
        pins.erase(holder);
        break;
      case 4: {
        const auto before = now - static_cast<std::int64_t>(random() % 10);
        const auto gone = std::erase_if(model, [&](const auto& each) {
          for (const auto& [who, what] : pins) {
            if (what.contains(each.first)) return false;
          }
          return each.second.touched < before;
        });
        ASSERT_EQ(sweep(before).deleted, static_cast<std::int64_t>(gone));
        break;
      }
      default:
        ASSERT_EQ(get(hash)->has_value(), model.contains(hash));
        break;
    }
    ASSERT_EQ(count("blobs"), static_cast<std::int64_t>(model.size()));
  }
  for (const auto& [hash, kept] : model) EXPECT_EQ(**get(hash), kept.bytes);
  EXPECT_THAT(damage(), IsEmpty());
}

}  // namespace
}  // namespace clew::store
