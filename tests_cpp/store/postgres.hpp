// A PostgreSQL server for tests: one for all processes of a test run, or one of its own for tests
// that do it harm. Each test gets a schema, which is dropped at its end.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace clew {

// The program that serves, found from where the test's binary was built.
inline std::string postgres_program() {
  auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  while (folder != folder.root_path()) {
    const auto program = folder / "python/clew/_postgres.py";
    if (std::filesystem::exists(program)) return program.string();
    folder = folder.parent_path();
  }
  return "python/clew/_postgres.py";
}

inline std::string find_postgres_server(const std::string& name) {
  const bool is_shared = name == "main";
  if (const char* given = std::getenv("CLEW_TEST_POSTGRES"); is_shared && given != nullptr) {
    return given;
  }
  const auto owner = std::to_string(is_shared ? ::getppid() : ::getpid());
  // As the program says it; asking whether it runs is quicker than starting an interpreter.
  const auto folder = std::filesystem::temp_directory_path() /
                      fmt::format("clew-pg-{}-{}-{}", ::getuid(), owner, name);
  if (std::filesystem::exists(folder / "supervisor")) {
    return fmt::format("postgresql://postgres@/postgres?host={}&port=5432", folder.string());
  }
  const auto command = "python3 " + postgres_program() + " " + owner + " " + name;
  FILE* const said = ::popen(command.c_str(), "r");
  std::array<char, 1024> line{};
  const bool has_line = said != nullptr && std::fgets(line.data(), line.size(), said) != nullptr;
  if (said != nullptr) ::pclose(said);
  std::string url = has_line ? line.data() : "";
  while (!url.empty() && url.back() == '\n') url.pop_back();
  EXPECT_FALSE(url.empty()) << "these tests need a PostgreSQL server";
  return url;
}

// The URL of the server: CLEW_TEST_POSTGRES, or one that lives as long as whoever runs the tests;
// the test's children find the same. `name`: "main" is shared by all; any other belongs to this
// process alone.
inline std::string postgres_server(const std::string& name = "main") {
  auto url = find_postgres_server(name);
  if (name == "main") ::setenv("CLEW_TEST_POSTGRES", url.c_str(), 1);
  return url;
}

// A connection of the test's own, beside those of the code under test.
class PostgresClient {
 public:
  explicit PostgresClient(const std::string& url) : conn_(PQconnectdb(url.c_str()), &PQfinish) {
    EXPECT_EQ(PQstatus(conn_.get()), CONNECTION_OK) << PQerrorMessage(conn_.get());
    ask("SET client_min_messages = warning");
  }
  // The first column of all rows.
  std::vector<std::string> ask_all(const std::string& sql) {
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(conn_.get(), sql.c_str()),
                                                               &PQclear);
    const auto status = PQresultStatus(result.get());
    EXPECT_TRUE(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        << sql << ": " << PQerrorMessage(conn_.get());
    std::vector<std::string> rows;
    for (int i = 0; i < PQntuples(result.get()); ++i) {
      rows.emplace_back(PQgetvalue(result.get(), i, 0));
    }
    return rows;
  }
  std::string ask(const std::string& sql) {
    const auto rows = ask_all(sql);
    return rows.empty() ? "" : rows.front();
  }
  // The first column of the first row, once there is one.
  std::string await(const std::string& sql) {
    for (;;) {
      if (auto found = ask(sql); !found.empty()) return found;
    }
  }
  PGconn* handle() { return conn_.get(); }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> conn_;
};

// A database of its own for one test. Made when its URL is first asked for.
class PostgresSchema {
 public:
  explicit PostgresSchema(std::string server = "main") : server_(std::move(server)) {}
  ~PostgresSchema() {
    if (!name_.empty()) PostgresClient(base_).ask("DROP SCHEMA IF EXISTS " + name_ + " CASCADE");
  }
  PostgresSchema(const PostgresSchema&) = delete;
  PostgresSchema& operator=(const PostgresSchema&) = delete;

  std::string url() {
    if (name_.empty()) {
      static std::atomic<int> next{0};
      base_ = postgres_server(server_);
      name_ = "t_" + std::to_string(::getpid()) + "_" + std::to_string(next.fetch_add(1));
      PostgresClient(base_).ask("CREATE SCHEMA " + name_);
    }
    const char* mark = base_.find('?') == std::string::npos ? "?" : "&";
    return base_ + mark + "options=-csearch_path%3D" + name_;
  }
  const std::string& name() const { return name_; }
  // As if it were new.
  void clear() {
    PostgresClient(base_).ask("DROP SCHEMA " + name_ + " CASCADE; CREATE SCHEMA " + name_);
  }
  PostgresClient client() { return PostgresClient(url()); }

 private:
  std::string server_;
  std::string base_;
  std::string name_;
};

// The names of suites that run over memory (0), a file (1) and PostgreSQL (2).
inline std::string store_name(int store) {
  return store == 0 ? "memory" : store == 1 ? "file" : "postgresql";
}

// Whether the tests of files are to run on PostgreSQL this time: CLEW_TEST_STORE.
inline bool tests_postgresql() {
  const char* wanted = std::getenv("CLEW_TEST_STORE");
  return wanted != nullptr && std::string_view(wanted) == "postgresql";
}

// The store of a test that has `folder`: a file in it, or a schema of that name, which is left to
// the server's end.
inline std::string store_in(const std::filesystem::path& folder) {
  if (!tests_postgresql()) return (folder / "work.db").string();
  const auto base = postgres_server();
  auto name = folder.filename().string();
  std::ranges::replace(name, '-', '_');
  PostgresClient(base).ask("CREATE SCHEMA IF NOT EXISTS " + name);
  const char* mark = base.find('?') == std::string::npos ? "?" : "&";
  return base + mark + "options=-csearch_path%3D" + name;
}

}  // namespace clew
