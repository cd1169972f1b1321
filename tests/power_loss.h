// A power cut in a test: record the file operations of a program, then rebuild what a disk may hold
// after any prefix of them. Content that was not fsynced may be lost, cut, zeroed or whole; a name
// that was created, renamed or removed may have changed or not until its directory is fsynced.
// Harsher than any real file system.
#pragma once
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "weft/base/error.h"
#include "weft/base/file.h"

namespace weft::testing {

struct FileOperation {
  enum class Kind {
    create,
    write,
    sync,
    sync_directory,
    make_directory,
    rename,
    exchange,
    remove_file,
    remove_directory,
    nothing,  // stands for one that a test leaves out
  };
  Kind kind;
  std::string path, other = {};  // below the root
  int file = -1;
  std::string bytes = {};
};

// Does everything for real below `root` and remembers it. `fail_at` makes the operation of that
// number fail instead, once.
class RecordingFileSystem final : public FileSystem {
 public:
  explicit RecordingFileSystem(std::string root, size_t fail_at = SIZE_MAX)
      : root_(std::move(root)), fail_at_(fail_at) {}

  const std::vector<FileOperation>& operations() const { return operations_; }

  int create(const std::string& path) override {
    step({.kind = FileOperation::Kind::create, .path = below(path)});
    const int file = real_.create(path);
    operations_.back().file = file;
    return file;
  }
  void write(int file, const std::string& path, Bytes bytes) override {
    const char* begin = reinterpret_cast<const char*>(bytes.data());
    step({FileOperation::Kind::write, below(path), {}, file, {begin, begin + bytes.size()}});
    real_.write(file, path, bytes);
  }
  void sync(int file, const std::string& path) override {
    step({.kind = FileOperation::Kind::sync, .path = below(path), .file = file});
  }
  void close(int file) override { real_.close(file); }
  void sync_directory(const std::string& path) override {
    step({.kind = FileOperation::Kind::sync_directory, .path = below(path)});
  }
  void make_directory(const std::string& path) override {
    step({.kind = FileOperation::Kind::make_directory, .path = below(path)});
    real_.make_directory(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    step({.kind = FileOperation::Kind::rename, .path = below(from), .other = below(to)});
    real_.rename(from, to);
  }
  void exchange(const std::string& a, const std::string& b) override {
    step({.kind = FileOperation::Kind::exchange, .path = below(a), .other = below(b)});
    real_.exchange(a, b);
  }
  void remove_file(const std::string& path) override {
    step({.kind = FileOperation::Kind::remove_file, .path = below(path)});
    real_.remove_file(path);
  }
  void remove_directory(const std::string& path) override {
    step({.kind = FileOperation::Kind::remove_directory, .path = below(path)});
    real_.remove_directory(path);
  }

 private:
  std::string below(const std::string& path) const {
    if (path == root_) return "";
    WEFT_CHECK(path.starts_with(root_ + "/"), "{} is outside {}", path, root_);
    return path.substr(root_.size() + 1);
  }
  void step(FileOperation operation) {
    if (operations_.size() == fail_at_) {
      fail_at_ = SIZE_MAX;
      resource_error("cannot write {}: the disk is full (injected)", operation.path);
    }
    operations_.push_back(std::move(operation));
  }

  FileSystem& real_ = posix_file_system();
  std::string root_;
  size_t fail_at_;
  std::vector<FileOperation> operations_;
};

// What becomes of changes that were not fsynced.
struct CrashPolicy {
  enum class Names { lost, kept, random } names;
  enum class Content { lost, kept, half, zeros, random } content;
  uint32_t seed = 0;
};

inline std::vector<CrashPolicy> all_crash_policies() {
  using N = CrashPolicy::Names;
  using C = CrashPolicy::Content;
  std::vector<CrashPolicy> all;
  for (const N names : {N::lost, N::kept})
    for (const C content : {C::lost, C::kept, C::half, C::zeros}) all.push_back({names, content});
  for (uint32_t seed = 0; seed < 6; ++seed) all.push_back({N::random, C::random, seed});
  return all;
}

class SimulatedDisk {
 public:
  SimulatedDisk() { nodes_.push_back({.directory = true}); }

  void apply(const FileOperation& op) {
    using Kind = FileOperation::Kind;
    switch (op.kind) {
      case Kind::create:
        files_[op.file] = add(op.path, {.directory = false});
        break;
      case Kind::make_directory:
        add(op.path, {.directory = true});
        break;
      case Kind::write:
        nodes_[files_.at(op.file)].content += op.bytes;
        break;
      case Kind::sync:
        nodes_[files_.at(op.file)].durable = nodes_[files_.at(op.file)].content;
        break;
      case Kind::sync_directory:
        sync_names(find(op.path));
        break;
      case Kind::rename:
        change({{op.path, -1}, {op.other, find(op.path)}});
        break;
      case Kind::exchange:
        change({{op.path, find(op.other)}, {op.other, find(op.path)}});
        break;
      case Kind::remove_file:
      case Kind::remove_directory:
        change({{op.path, -1}});
        break;
      case Kind::nothing:
        break;
    }
  }

  // Writes what is left after a power cut into the empty directory `to`.
  void crash(const CrashPolicy& policy, const std::string& to) const {
    std::mt19937 random(policy.seed);
    std::map<int, std::map<std::string, int>> entries;
    for (const Change& c : changes_)
      if (c.durable || keep_name(policy, random))
        for (const Edit& e : c.edits) {
          if (e.node < 0)
            entries[e.directory].erase(e.name);
          else
            entries[e.directory][e.name] = e.node;
        }
    materialise(0, entries, policy, random, to);
  }

 private:
  struct Node {
    bool directory;
    std::string content = {}, durable = {};
    std::map<std::string, int> entries = {};  // as the running system sees them
  };
  struct Edit {
    int directory;
    std::string name;
    int node;  // -1: the name goes away
  };
  struct Change {
    std::vector<Edit> edits;  // one atomic step, all in one directory
    bool durable = false;
  };

  static std::pair<std::string, std::string> split(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
  }
  int find(const std::string& path) const {
    if (path.empty()) return 0;
    const auto [parent, name] = split(path);
    return nodes_[find(parent)].entries.at(name);
  }
  int add(const std::string& path, Node node) {
    nodes_.push_back(std::move(node));
    change({{path, int(nodes_.size()) - 1}});
    return int(nodes_.size()) - 1;
  }
  void change(const std::vector<std::pair<std::string, int>>& names) {
    Change change;
    for (const auto& [path, node] : names) {
      const auto [parent, name] = split(path);
      change.edits.push_back({find(parent), name, node});
    }
    for (const Edit& e : change.edits) {
      if (e.node < 0)
        nodes_[e.directory].entries.erase(e.name);
      else
        nodes_[e.directory].entries[e.name] = e.node;
    }
    changes_.push_back(std::move(change));
  }
  void sync_names(int directory) {
    for (Change& c : changes_)
      if (c.edits[0].directory == directory) c.durable = true;
  }

  static bool keep_name(const CrashPolicy& policy, std::mt19937& random) {
    if (policy.names == CrashPolicy::Names::random) return random() % 2 == 0;
    return policy.names == CrashPolicy::Names::kept;
  }
  static std::string content_after(const Node& node, const CrashPolicy& policy,
                                   std::mt19937& random) {
    using C = CrashPolicy::Content;
    if (node.content == node.durable) return node.content;
    const C fate = policy.content == C::random ? C(random() % 4) : policy.content;
    const size_t kept = node.durable.size(), size = node.content.size();
    switch (fate) {
      case C::half:
        return node.content.substr(0, kept + (size - kept) / 2);
      case C::zeros:
        return node.durable + std::string(size - kept, '\0');
      case C::kept:
        return node.content;
      default:
        return node.durable;
    }
  }
  void materialise(int directory, const std::map<int, std::map<std::string, int>>& entries,
                   const CrashPolicy& policy, std::mt19937& random, const std::string& to) const {
    const auto names = entries.find(directory);
    if (names == entries.end()) return;
    for (const auto& [name, id] : names->second) {
      const std::string path = to + "/" + name;
      if (nodes_[id].directory) {
        std::filesystem::create_directory(path);
        materialise(id, entries, policy, random, path);
      } else {
        std::ofstream(path, std::ios::binary) << content_after(nodes_[id], policy, random);
      }
    }
  }

  std::vector<Node> nodes_;
  std::map<int, int> files_;  // open file -> node
  std::vector<Change> changes_;
};

// Calls check(done, directory) for every number `done` of finished operations and every policy,
// with the directory a power cut then leaves. Stops when check returns false.
template <class Check>
void for_each_power_cut(const std::vector<FileOperation>& operations, const std::string& scratch,
                        Check&& check) {
  SimulatedDisk disk;
  for (size_t done = 0; done <= operations.size(); ++done) {
    if (done > 0) disk.apply(operations[done - 1]);
    for (const CrashPolicy& policy : all_crash_policies()) {
      std::filesystem::remove_all(scratch);
      std::filesystem::create_directory(scratch);
      disk.crash(policy, scratch);
      if (!check(done, scratch)) return;
    }
  }
}

}  // namespace weft::testing
