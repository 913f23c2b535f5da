// The part of WASI preview 1 that harms nothing: standard streams, the clock, chance, the end.
// Written here on plain host functions, so that it is deterministic under a virtual clock and a
// seeded Env, and has no file or network to give away.
#include <array>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "clew/wasm/detail/abi.hpp"
#include "clew/wasm/detail/host_function.hpp"

namespace clew::wasm {
namespace {

// WASI's errno values.
constexpr std::int32_t ok = 0;
constexpr std::int32_t bad_descriptor = 8;
constexpr std::int32_t fault = 21;
constexpr std::int32_t invalid = 28;
constexpr std::int32_t cannot_seek = 70;

constexpr std::uint32_t stdin_fd = 0;
constexpr std::uint32_t stdout_fd = 1;
constexpr std::uint32_t stderr_fd = 2;
// One host call does a bounded amount of work, since it burns no fuel.
constexpr std::uint32_t vectors_max = 1024;
constexpr std::uint32_t random_max = 64U << 10U;

struct Slice {
  std::uint32_t at = 0;
  std::uint32_t count = 0;
};

// Entry `index` of an array of (pointer, length).
std::optional<Slice> slice_at(const GuestMemory& memory, std::uint32_t array, std::uint32_t index) {
  constexpr std::uint32_t entry_bytes = 8;
  const std::uint64_t at = array + std::uint64_t{index} * entry_bytes;
  if (at > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  const auto begin = memory.load<std::uint32_t>(static_cast<std::uint32_t>(at));
  const auto count =
      begin ? memory.load<std::uint32_t>(static_cast<std::uint32_t>(at) + 4) : std::nullopt;
  if (!count || !memory.has(*begin, *count)) return std::nullopt;
  return Slice{*begin, *count};
}

// fd_read(fd, vectors, count, size out)
HostResult fd_read(HostCall& call) {
  if (call.u32(0) != stdin_fd) return bad_descriptor;
  if (call.u32(2) > vectors_max) return invalid;
  std::uint32_t total = 0;
  for (std::uint32_t i = 0; i < call.u32(2); ++i) {
    const auto slice = slice_at(call.memory, call.u32(1), i);
    if (!slice) return fault;
    const auto part = call.guest.read(slice->count);
    call.memory.write(slice->at, part);
    total += static_cast<std::uint32_t>(part.size());
    if (part.size() < slice->count) break;
  }
  return call.memory.store(call.u32(3), total) ? ok : fault;
}

// fd_write(fd, vectors, count, size out)
HostResult fd_write(HostCall& call) {
  const auto fd = call.u32(0);
  if (fd != stdout_fd && fd != stderr_fd) return bad_descriptor;
  if (call.u32(2) > vectors_max) return invalid;
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < call.u32(2); ++i) {
    const auto slice = slice_at(call.memory, call.u32(1), i);
    if (!slice) return fault;
    const auto part = *call.memory.view(slice->at, slice->count);
    if (fd == stderr_fd) {
      call.guest.write_stderr(part);
    } else if (!call.guest.write_output(part)) {
      return call.guest.stop(Stop::output);
    }
    total += slice->count;
  }
  return call.memory.store(call.u32(3), static_cast<std::uint32_t>(total)) ? ok : fault;
}

HostResult fd_close(HostCall& call) { return call.u32(0) <= stderr_fd ? ok : bad_descriptor; }

HostResult fd_seek(HostCall& call) {
  return call.u32(0) <= stderr_fd ? cannot_seek : bad_descriptor;
}

// fd_fdstat_get(fd, stat out): a character device that can be read or written.
HostResult fd_fdstat_get(HostCall& call) {
  constexpr std::uint64_t right_read = 1U << 1U;
  constexpr std::uint64_t right_write = 1U << 6U;
  constexpr std::uint8_t character_device = 2;
  if (call.u32(0) > stderr_fd) return bad_descriptor;
  const auto at = call.u32(1);
  std::string stat(24, '\0');
  stat[0] = static_cast<char>(character_device);
  if (!call.memory.write(at, stat)) return fault;
  call.memory.store(at + 8, call.u32(0) == stdin_fd ? right_read : right_write);
  return ok;
}

HostResult no_such_descriptor(HostCall&) { return bad_descriptor; }

HostResult proc_exit(HostCall& call) {
  return call.guest.stop(Stop::exited, static_cast<std::int32_t>(call.u32(0)));
}

HostResult sched_yield(HostCall&) { return ok; }

// clock_time_get(clock, precision, time out): the runtime's clock, in nanoseconds.
HostResult clock_time_get(HostCall& call) {
  constexpr std::uint32_t realtime = 0;
  constexpr std::uint32_t monotonic = 1;
  const auto time = call.guest.env().clock().read();
  if (call.u32(0) > monotonic) return invalid;
  const std::int64_t ns = call.u32(0) == realtime ? time.now.us * 1000 : time.ticks_ns;
  return call.memory.store(call.u32(2), ns) ? ok : fault;
}

// clock_res_get(clock, resolution out)
HostResult clock_res_get(HostCall& call) {
  constexpr std::array<std::int64_t, 2> resolution_ns = {1000, 1};
  if (call.u32(0) >= resolution_ns.size()) return invalid;
  return call.memory.store(call.u32(1), resolution_ns[call.u32(0)]) ? ok : fault;
}

// random_get(buffer, size): the runtime's chance.
HostResult random_get(HostCall& call) {
  const auto at = call.u32(0);
  const auto count = call.u32(1);
  if (count > random_max) return invalid;
  if (!call.memory.has(at, count)) return fault;
  auto& random = call.guest.env().random("wasm.guest");
  for (std::uint32_t done = 0; done < count;) {
    const auto chance = random.next();
    const auto part = std::min<std::uint32_t>(count - done, sizeof(chance));
    call.memory.write(at + done, {reinterpret_cast<const char*>(&chance), part});
    done += part;
  }
  return ok;
}

// args_sizes_get(count out, bytes out): there are none.
HostResult args_sizes_get(HostCall& call) {
  const bool stored = call.memory.store(call.u32(0), std::uint32_t{0}) &&
                      call.memory.store(call.u32(1), std::uint32_t{0});
  return stored ? ok : fault;
}

HostResult args_get(HostCall&) { return ok; }

// "NAME=value" of each variable that the contract grants and this process has, ended by zeros.
std::vector<std::string> environment(const Limits& limits) {
  std::vector<std::string> entries;
  for (const auto& name : limits.environment) {
    const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): only read
    if (value != nullptr) entries.push_back(fmt::format("{}={}", name, value) + '\0');
  }
  return entries;
}

// environ_sizes_get(count out, bytes out)
HostResult environ_sizes_get(HostCall& call) {
  const auto entries = environment(call.guest.limits());
  std::size_t bytes = 0;
  for (const auto& entry : entries) bytes += entry.size();
  const bool stored = call.memory.store(call.u32(0), static_cast<std::uint32_t>(entries.size())) &&
                      call.memory.store(call.u32(1), static_cast<std::uint32_t>(bytes));
  return stored ? ok : fault;
}

// environ_get(pointers out, text out)
HostResult environ_get(HostCall& call) {
  auto pointer = call.u32(0);
  auto text = call.u32(1);
  for (const auto& entry : environment(call.guest.limits())) {
    if (!call.memory.store(pointer, text) || !call.memory.write(text, entry)) return fault;
    pointer += 4;
    text += static_cast<std::uint32_t>(entry.size());
  }
  return ok;
}

constexpr std::string_view wasi = "wasi_snapshot_preview1";
constexpr HostFunction table[] = {
    {wasi, "args_get", "ii", "i", host_function<args_get>},
    {wasi, "args_sizes_get", "ii", "i", host_function<args_sizes_get>},
    {wasi, "clock_res_get", "ii", "i", host_function<clock_res_get>},
    {wasi, "clock_time_get", "iIi", "i", host_function<clock_time_get>},
    {wasi, "environ_get", "ii", "i", host_function<environ_get>},
    {wasi, "environ_sizes_get", "ii", "i", host_function<environ_sizes_get>},
    {wasi, "fd_close", "i", "i", host_function<fd_close>},
    {wasi, "fd_fdstat_get", "ii", "i", host_function<fd_fdstat_get>},
    // The C library of guests asks for the folders it was given before `main`: there are none.
    {wasi, "fd_prestat_dir_name", "iii", "i", host_function<no_such_descriptor>},
    {wasi, "fd_prestat_get", "ii", "i", host_function<no_such_descriptor>},
    {wasi, "fd_read", "iiii", "i", host_function<fd_read>},
    {wasi, "fd_seek", "iIii", "i", host_function<fd_seek>},
    {wasi, "fd_write", "iiii", "i", host_function<fd_write>},
    {wasi, "proc_exit", "i", "", host_function<proc_exit>},
    {wasi, "random_get", "ii", "i", host_function<random_get>},
    {wasi, "sched_yield", "", "i", host_function<sched_yield>},
};

}  // namespace

std::span<const HostFunction> wasi_functions() { return table; }

}  // namespace clew::wasm
