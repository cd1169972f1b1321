#include "weft/train/folders.h"

#include "weft/base/error.h"

namespace weft::train {

void make_directories(const std::string& path, FileSystem& fs) {
  if (is_directory(path)) return;
  if (path.empty()) user_error("expected the name of a directory, got an empty one");
  if (path_exists(path))
    user_error("{} is a file, but a directory is needed there; choose another name", path);
  if (path.ends_with('/')) return make_directories(path.substr(0, path.size() - 1), fs);
  const std::string parent = parent_directory(path);
  make_directories(parent, fs);
  fs.make_directory(path);
  fs.sync_directory(parent);
}

}  // namespace weft::train
