#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>

#include "clew/store/owner.hpp"

namespace clew::store {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

// Pids mean something only within one boot and one pid namespace. Empty when either is unknown.
std::string boot_and_namespace() {
  std::error_code failed;
  const auto space = std::filesystem::read_symlink("/proc/self/ns/pid", failed);
  const auto boot = first_line("/proc/sys/kernel/random/boot_id");
  if (failed || boot.empty()) return "";
  return boot + " " + space.string();
}

struct ProcessState {
  char state = '?';
  std::int64_t started = 0;
};

// From /proc/PID/stat: "pid (name) state ppid …", the start time is field 22. The name may hold
// anything, so the fields are counted from its last parenthesis.
std::optional<ProcessState> process_state(std::int64_t pid) {
  const auto line = first_line("/proc/" + std::to_string(pid) + "/stat");
  std::string_view rest(line);
  const auto name_end = rest.rfind(')');
  if (name_end == std::string_view::npos || rest.size() < name_end + 3) return std::nullopt;
  rest.remove_prefix(name_end + 2);
  ProcessState found;
  found.state = rest.front();
  for (int field = 3; field < 22; ++field) {
    const auto space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), found.started);
  if (parsed.ec != std::errc()) return std::nullopt;
  return found;
}

// A process that is dead but not yet reaped. One whose first thread has ended while others run on
// has the same letter, but more tasks.
bool is_dead_letter(std::int64_t pid, char state) {
  if (state == 'X') return true;
  if (state != 'Z') return false;
  std::error_code failed;
  int tasks = 0;
  for (std::filesystem::directory_iterator at("/proc/" + std::to_string(pid) + "/task", failed),
       end;
       !failed && at != end; at.increment(failed)) {
    ++tasks;
  }
  return !failed && tasks <= 1;
}

}  // namespace

ProcessIdentity this_process() {
  const auto pid = static_cast<std::int64_t>(getpid());
  const auto state = process_state(pid);
  return {host_name(), boot_and_namespace(), pid, state ? state->started : 0};
}

bool may_be_alive(const ProcessIdentity& process) {
  const auto boot = boot_and_namespace();
  if (process.pid <= 0 || boot.empty() || process.boot != boot || process.host != host_name()) {
    return true;  // not ours to tell
  }
  if (kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) return false;
  const auto state = process_state(process.pid);
  if (!state) return true;
  if (process.started != 0 && state->started != process.started) return false;  // pid reused
  return !is_dead_letter(process.pid, state->state);
}

}  // namespace clew::store
