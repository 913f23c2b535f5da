// session/detail/files.hpp: files that are there whole or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "clew/base/result.hpp"

namespace clew::session::detail {

// An open file. Closes it.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

// A file that is being written under a name of its own; gone unless it is published. External;
// blocks. Errors: `resource_exhausted` for a full disk, else `unavailable`, naming the path;
// publishing what somebody removed is a `conflict` with `swept`.
class StagedFile {
 public:
  // Makes the folder too.
  static Result<StagedFile> create(const std::string& folder, const std::string& name);
  StagedFile(StagedFile&& other) noexcept
      : file_(std::move(other.file_)), path_(std::exchange(other.path_, {})) {}
  StagedFile& operator=(StagedFile&&) = delete;
  ~StagedFile();

  Result<void> write(std::string_view bytes);
  // What was written is on the disk now.
  Result<void> sync();
  // Moves it to `path`, in place of what is there, and has the move on the disk. Makes the folders.
  Result<void> publish(const std::string& path);

 private:
  StagedFile(Descriptor file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Descriptor file_;
  std::string path_;  // empty: published
};

// Nothing when there is no such file.
Result<std::optional<Descriptor>> open_file(const std::string& path);
// Up to `size` bytes; fewer at the end only.
Result<std::string> read_some(const Descriptor& file, std::size_t size, const std::string& path);
// Nothing when there is no such file.
Result<std::optional<std::int64_t>> file_size(const std::string& path);
// Removes a file; it is fine when there is none.
Result<void> remove_file(const std::string& path);

}  // namespace clew::session::detail
