// store/transaction.hpp: the only way to read or change stored state.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "clew/base/function.hpp"
#include "clew/store/sql.hpp"

namespace clew::store {

using VisitRow = Function<Result<void>(const Row&)>;
// Says whether the first row of an answer is what it must be; nullptr: there is none.
using Judge = Function<Result<void>(const Row*)>;

// One database transaction (or, in a reader, one snapshot). Confined to the function it is passed
// to. Store functions take it first; they never begin, commit or sleep, and take the time as a
// parameter. A function may be run again in a new transaction when its group failed: it touches
// only its transaction and its arguments, has no outside effect, and never enters Python.
// Any error leaves the transaction usable for the caller to give up with; what the function did is
// rolled back when it returns an error.
class Transaction {
 public:
  virtual ~Transaction() = default;

  // Runs a statement that returns no rows; how many rows it changed.
  // Errors: `conflict` for a broken unique or other constraint, `resource_exhausted` for a full
  // disk, `unavailable` (retryable) for a busy or lost database, `corrupt`, `unsupported` for a
  // write to a read-only file or in a reader, `internal` for a statement that is wrong.
  template <typename... Args>
  Result<std::int64_t> run(const Statement& statement, const Args&... args) {
    const Arg list[] = {Arg(args)..., Arg(nullptr)};
    return run_args(statement, std::span<const Arg>(list, sizeof...(args)));
  }

  // Runs a statement that returns no rows and whose count nobody needs. The database may carry it
  // out later; then its error is that of the next statement, or of the commit.
  template <typename... Args>
  Result<void> post(const Statement& statement, const Args&... args) {
    const Arg list[] = {Arg(args)..., Arg(nullptr)};
    return post_args(statement, std::span<const Arg>(list, sizeof...(args)));
  }

  // Runs a statement that returns no rows once for each list of arguments, in order; how many rows
  // each changed. The database is asked once, where it is asked over a distance.
  virtual Result<std::vector<std::int64_t>> run_each(const Statement& statement,
                                                     std::span<const std::vector<Arg>> lists) {
    std::vector<std::int64_t> changed;
    for (const auto& args : lists) {
      CLEW_TRY(const auto rows, run_args(statement, args));
      changed.push_back(rows);
    }
    return changed;
  }

  // Runs a query whose answer only decides whether the transaction may go on. The database may
  // carry it out later: then an error, its own or the judge's, is that of a later statement, or of
  // the commit. So `judge` owns what it uses.
  template <typename... Args>
  Result<void> expect(const Statement& statement, Judge judge, const Args&... args) {
    const Arg list[] = {Arg(args)..., Arg(nullptr)};
    return expect_args(statement, std::span<const Arg>(list, sizeof...(args)), std::move(judge));
  }

  // Visits each row in the statement's order; stops at the visitor's first error and returns it.
  template <typename... Args>
  Result<void> each(const Statement& statement, VisitRow visit, const Args&... args) {
    const Arg list[] = {Arg(args)..., Arg(nullptr)};
    return each_args(statement, std::span<const Arg>(list, sizeof...(args)), visit);
  }

  // Visits the first row only. False when there is none.
  template <typename... Args>
  Result<bool> first(const Statement& statement, VisitRow visit, const Args&... args) {
    const Arg list[] = {Arg(args)..., Arg(nullptr)};
    return first_args(statement, std::span<const Arg>(list, sizeof...(args)), visit);
  }

  // Statements that are text at run time: migrations, rt.sql(). Not cached. Several statements
  // separated by ';' are allowed in run_text without arguments only.
  virtual Result<std::int64_t> run_text(std::string_view sql, std::span<const Arg> args) = 0;
  virtual Result<void> each_text(std::string_view sql, std::span<const Arg> args,
                                 VisitRow& visit) = 0;

  virtual Result<std::int64_t> run_args(const Statement& statement, std::span<const Arg> args) = 0;
  virtual Result<void> each_args(const Statement& statement, std::span<const Arg> args,
                                 VisitRow& visit) = 0;
  virtual Result<bool> first_args(const Statement& statement, std::span<const Arg> args,
                                  VisitRow& visit) = 0;
  virtual Result<void> post_args(const Statement& statement, std::span<const Arg> args) {
    CLEW_TRY(run_args(statement, args));
    return {};
  }
  virtual Result<void> expect_args(const Statement& statement, std::span<const Arg> args,
                                   Judge judge) {
    VisitRow visit = [&judge](const Row& row) { return judge(&row); };
    CLEW_TRY(const bool found, first_args(statement, args, visit));
    if (found) return {};
    return judge(nullptr);
  }
};

}  // namespace clew::store
