// A second process of the same test binary.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

namespace clew {

using Environment = std::vector<std::pair<std::string, std::string>>;

struct ChildEnd {
  int exit_code = -1;  // -1: ended by a signal
  int signal = 0;
};

// Runs `test` (a disabled test of this binary, "Suite.DISABLED_case") in a new process.
inline pid_t start_child(const std::string& test, const Environment& environment) {
  // Everything is made before the fork: the child of a program with threads must only exec.
  std::vector<std::string> texts;
  for (char** entry = environ; *entry != nullptr; ++entry) texts.emplace_back(*entry);
  for (const auto& [name, value] : environment) texts.push_back(name + "=" + value);
  std::vector<std::string> words = {"/proc/self/exe", "--gtest_also_run_disabled_tests",
                                    "--gtest_filter=" + test, "--gtest_brief=1"};
  std::vector<char*> variables;
  std::vector<char*> arguments;
  for (auto& text : texts) variables.push_back(text.data());
  for (auto& word : words) arguments.push_back(word.data());
  variables.push_back(nullptr);
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    execve("/proc/self/exe", arguments.data(), variables.data());
    _exit(127);
  }
  return child;
}

inline ChildEnd await_child(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) return {WEXITSTATUS(status), 0};
  return {-1, WTERMSIG(status)};
}

inline ChildEnd run_child(const std::string& test, const Environment& environment) {
  return await_child(start_child(test, environment));
}

}  // namespace clew
