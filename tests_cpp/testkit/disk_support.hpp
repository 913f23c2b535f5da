// A folder with stores in it.
#pragma once

#include <string>

namespace clew::testkit {

// A folder of its own, removed with all that is in it.
class StoreFolder {
 public:
  StoreFolder();
  ~StoreFolder();
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string file() const { return path_ + "/work.db"; }
  // The path of one more empty store, of the newest schema.
  std::string add_store();

 private:
  std::string path_;
  int stores_ = 0;
};

}  // namespace clew::testkit
