#include <fstream>

#include "wasm/support.hpp"

namespace clew::wasm {
namespace {

// A module that differs from others by `n`.
std::string numbered(int n) { return guest(fmt::format("(call $write_number (i32.const {}))", n)); }

class WasmModule : public HostTest {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("clew-wasm-{}-{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    HostTest::SetUp();
  }
  void TearDown() override {
    HostTest::TearDown();
    std::filesystem::remove_all(folder_);
  }
  void restart(Options options = {}) {
    end();
    start(std::move(options), (folder_ / "work.db").string());
  }
  Result<void> sql(const std::string& text) {
    CLEW_TRY(database_->write([&](store::Transaction& tx) -> Result<void> {
      CLEW_TRY(tx.run_text(text, {}));
      return {};
    }));
    return {};
  }
  static SecretSeed seed(std::uint8_t fill) {
    SecretSeed made{};
    made.fill(fill);
    return made;
  }
  static Digest digest_from(const std::string& hex) {
    Digest digest{};
    const auto bytes = from_hex(hex, "digest").value();
    std::copy(bytes.begin(), bytes.end(), digest.begin());
    return digest;
  }

  std::filesystem::path folder_;
};

// Parity: P WASM I/O
TEST_F(WasmModule, missing_file_is_not_found) {
  const auto path = (folder_ / "none.wasm").string();
  const auto admitted = admit("t.none", {.path = path});
  ASSERT_FALSE(admitted);
  EXPECT_EQ(admitted.error().code(), Code::not_found);
  EXPECT_EQ(word(admitted.error(), "path"), path);
  EXPECT_EQ(admit("t.none", {.path = folder_.string()}).error().code(), Code::not_found);
}

// Parity: P WASM I/O
TEST_F(WasmModule, another_digest_is_corrupt_and_names_both) {
  const auto good = admit("t.echo", {.bytes = echo()});
  ASSERT_TRUE(good);
  EXPECT_TRUE(admit("t.echo", {.bytes = echo(), .digest = good->digest}));
  // Also when the module is cached already. // Parity: P module cache
  const std::string other(64, '0');
  const auto bad = admit("t.bad", {.bytes = echo(), .digest = other});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code(), Code::corrupt);
  EXPECT_EQ(word(bad.error(), "expected"), other);
  EXPECT_EQ(word(bad.error(), "actual"), good->digest);
}

TEST_F(WasmModule, a_file_is_read_once) {
  const auto path = folder_ / "one.wat";
  std::ofstream(path) << numbered(1);
  ASSERT_TRUE(admit("t.file", {.path = path.string()}));
  std::ofstream(path) << numbered(2);
  EXPECT_EQ(to_json(*result("t.file")), "1");  // what was admitted
}

// Parity: P module cache
TEST_F(WasmModule, first_call_hits_what_registration_compiled) {
  add("t.one", numbered(1));
  EXPECT_EQ(stat("cache_misses"), 1);
  EXPECT_EQ(stat("cache_hits"), 0);
  ASSERT_TRUE(result("t.one"));
  ASSERT_TRUE(result("t.one"));
  EXPECT_EQ(stat("cache_hits"), 2);
  EXPECT_EQ(stat("cache_misses"), 1);
  EXPECT_EQ(stat("compiled"), 1);
}

// Parity: P module cache
TEST_F(WasmModule, the_module_that_came_first_is_evicted_first_and_compiled_again) {
  end();
  Options options;
  options.cache_max = 2;
  start(std::move(options));
  for (int n = 1; n <= 3; ++n) add("t.n" + std::to_string(n), numbered(n));
  EXPECT_EQ(stat("cached"), 2);
  EXPECT_EQ(stat("cache_evictions"), 1);
  EXPECT_EQ(to_json(*result("t.n2")), "2");
  EXPECT_EQ(to_json(*result("t.n3")), "3");
  EXPECT_EQ(stat("compiled"), 3);
  EXPECT_EQ(to_json(*result("t.n1")), "1");  // gone: compiled anew, in the place of t.n2
  EXPECT_EQ(stat("compiled"), 4);
  EXPECT_EQ(stat("cache_evictions"), 2);
  EXPECT_EQ(to_json(*result("t.n3")), "3");
  EXPECT_EQ(stat("compiled"), 4);
}

TEST_F(WasmModule, a_restart_compiles_nothing) {
  restart();
  add("t.one", numbered(1));
  EXPECT_EQ(stat("compiled"), 1);
  restart();
  add("t.one", numbered(1));
  EXPECT_EQ(to_json(*result("t.one")), "1");
  EXPECT_EQ(stat("compiled"), 0);
  EXPECT_EQ(stat("from_store"), 1);
}

TEST_F(WasmModule, a_damaged_row_is_compiled_anew_with_a_warning) {
  for (const std::string damage :
       {"compiled = X'00'", "compiled_sha256 = X'00'", "compiled = 'text'",
        "compiled = substr(compiled, 1, length(compiled) - 1)"}) {
    restart();
    add("t.one", numbered(1));
    ASSERT_TRUE(sql("UPDATE wasm_modules SET " + damage)) << damage;
    restart();
    const auto admitted = admit("t.one", {.bytes = numbered(1)});
    ASSERT_TRUE(admitted) << admitted.error().to_string();
    EXPECT_THAT(admitted->warning, testing::HasSubstr("wasm_modules " + admitted->digest));
    EXPECT_EQ(stat("store_damaged"), 1);
    EXPECT_EQ(stat("compiled"), 1);
    EXPECT_EQ(to_json(*result("t.one")), "1");
    restart();
    add("t.one", numbered(1));
    EXPECT_EQ(stat("from_store"), 1) << damage;  // the row is whole again
  }
}

TEST_F(WasmModule, what_another_engine_made_is_replaced) {
  restart();
  add("t.one", numbered(1));
  ASSERT_TRUE(sql("UPDATE wasm_modules SET engine = 'another'"));
  restart();
  add("t.one", numbered(1));
  EXPECT_EQ(stat("compiled"), 1);
  EXPECT_EQ(stat("store_damaged"), 0);
  restart();
  add("t.one", numbered(1));
  EXPECT_EQ(stat("from_store"), 1);
}

TEST_F(WasmModule, production_neither_reads_nor_writes_machine_code) {
  restart();
  const auto admitted = admit("t.one", {.bytes = numbered(1)});
  ASSERT_TRUE(admitted);
  Options options;
  options.production = true;
  options.trusted_keys = {public_key_of(seed(1))};
  restart(std::move(options));
  const auto signature = sign(digest_from(admitted->digest), seed(1));
  ASSERT_TRUE(admit("t.one", {.bytes = numbered(1), .signature = signature}));
  EXPECT_EQ(stat("from_store"), 0);
  EXPECT_EQ(stat("compiled"), 1);
}

// Parity: P security
TEST_F(WasmModule, production_refuses_what_no_trusted_key_has_signed) {
  const auto digest = digest_from(admit("t.echo", {.bytes = echo()})->digest);
  end();
  Options options;
  options.production = true;
  options.trusted_keys = {public_key_of(seed(1)), public_key_of(seed(2))};
  start(std::move(options));
  const auto reason = [&](const std::string& signature) {
    const auto admitted = admit("t.signed", {.bytes = echo(), .signature = signature});
    if (admitted) return "admitted" + admitted->warning;
    EXPECT_EQ(admitted.error().code(), Code::rejected);
    EXPECT_FALSE(registry_->snapshot()->resolve("t.signed"));
    return word(admitted.error(), "reason");
  };
  EXPECT_EQ(reason(""), "unsigned");
  EXPECT_EQ(reason(sign(digest, seed(3))), "untrusted_key");
  auto bent = sign(digest, seed(2));
  bent.back() = static_cast<char>(bent.back() ^ 1);
  EXPECT_EQ(reason(bent), "bad_signature");
  EXPECT_EQ(reason(sign(sha256("another module"), seed(2))), "bad_signature");
  EXPECT_EQ(reason(sign(digest, seed(3)).substr(32)), "bad_signature");  // of none of the keys
  EXPECT_EQ(stat("compiled"), 0);  // nothing that is not trusted reaches the compiler
  EXPECT_EQ(admit("t.signed", {.bytes = echo(), .signature = "short"}).error().code(),
            Code::invalid_input);
  EXPECT_EQ(reason(sign(digest, seed(2))), "admitted");
  EXPECT_EQ(reason(sign(digest, seed(2)).substr(32)), "admitted");
}

// Parity: P security
TEST_F(WasmModule, development_warns_of_what_production_would_refuse) {
  EXPECT_THAT(admit("t.echo", {.bytes = echo()})->warning, testing::HasSubstr("(unsigned)"));
  const auto digest = digest_from(admit("t.echo", {.bytes = echo()})->digest);
  const auto signature = sign(digest, seed(1));
  EXPECT_THAT(admit("t.echo", {.bytes = echo(), .signature = signature})->warning,
              testing::HasSubstr("(untrusted_key)"));
}

TEST_F(WasmModule, a_missing_library_says_what_to_install) {
  for (const std::string library : {"/nowhere/libwasmtime.so", "libc.so.6"}) {
    Options options;
    options.library = library;
    const auto host = Host::open({*env_, *database_}, std::move(options));
    ASSERT_FALSE(host);
    EXPECT_EQ(host.error().code(), Code::unsupported);
    EXPECT_THAT(host.error().message(), testing::HasSubstr("pip install \"clew[wasm]\""));
  }
}

TEST_F(WasmModule, options_out_of_range_are_refused) {
  for (const auto& [slots, cache] : {std::pair{65, 64}, std::pair{-1, 64}, std::pair{1, 0}}) {
    Options options;
    options.library = library_path();
    options.slots = slots;
    options.cache_max = cache;
    const auto host = Host::open({*env_, *database_}, std::move(options));
    ASSERT_FALSE(host);
    EXPECT_EQ(host.error().code(), Code::invalid_input);
  }
}

}  // namespace
}  // namespace clew::wasm
