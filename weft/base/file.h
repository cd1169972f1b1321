// Reading files, and writing those that matter so that a crash, a full disk or a power cut leaves
// the old content or the new, never a mixture: temporary name, write, fsync, rename, fsync of the
// directory (Pillai et al., "All File Systems Are Not Created Equal", OSDI'14).
//
// Every function throws Error(resource) with the path and what to do when the system refuses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

using Bytes = std::span<const std::byte>;
inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

// A whole file. Error(data) when it has more than `max_bytes`.
std::string read_file(const std::string& path, uint64_t max_bytes);

enum class EntryKind { file, directory, other };
struct DirectoryEntry {
  std::string name;  // without the directory
  EntryKind kind;    // a symbolic link counts as what it points to
};
// Sorted by name (bytewise), without "." and "..".
std::vector<DirectoryEntry> list_directory(const std::string& path);

bool path_exists(const std::string& path);
bool is_directory(const std::string& path);
// The directory a path lies in: "a/b" -> "a", "b" -> ".".
std::string parent_directory(const std::string& path);

// A read-only map of a file. Move-only; the bytes live as long as it does. Whoever shortens the
// file meanwhile kills the reader (SIGBUS), so files that matter are replaced by rename, never in
// place.
class MappedFile {
 public:
  enum class Advice { normal, sequential, random, will_need };

  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
  Bytes bytes() const { return {data_, size_}; }
  void advise(Advice advice) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;  // nullptr for an empty file
  size_t size_ = 0;
};

// The operations that durable writes are made of. The one seam: a test records them and replays
// every prefix as a power cut would leave it.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // A new file open for writing; refuses one that exists.
  virtual int create(const std::string& path) = 0;
  virtual void write(int file, const std::string& path, Bytes bytes) = 0;
  virtual void sync(int file, const std::string& path) = 0;
  virtual void close(int file) = 0;
  virtual void sync_directory(const std::string& path) = 0;
  virtual void make_directory(const std::string& path) = 0;
  // Replaces a file or an empty directory of that name.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  // Swaps two names in one step.
  virtual void exchange(const std::string& a, const std::string& b) = 0;
  virtual void remove_file(const std::string& path) = 0;
  virtual void remove_directory(const std::string& path) = 0;  // an empty one
};
FileSystem& posix_file_system();

// A file that appears under its name whole and durable on commit(), or not at all.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path, FileSystem& fs = posix_file_system());
  ~AtomicFile();  // without commit(): leaves nothing behind
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  void write(Bytes bytes);
  void commit();

 private:
  FileSystem& fs_;
  std::string path_, temporary_;
  int file_ = -1;
  bool renamed_ = false;
};

void write_file_atomic(const std::string& path, Bytes bytes, FileSystem& fs = posix_file_system());
void write_file_atomic(const std::string& path, std::string_view text,
                       FileSystem& fs = posix_file_system());

// A directory that appears under its name whole and durable on commit(), replacing one of that
// name, or not at all. Write its files into staging() with AtomicFile, without subdirectories.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::string path, FileSystem& fs = posix_file_system());
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::string& path() const { return path_; }
  const std::string& staging() const { return staging_; }
  void commit();

 private:
  FileSystem& fs_;
  std::string path_, staging_;
  bool committed_ = false;
};

// Whether a name is one that AtomicFile or AtomicDirectory works under: left by a crash if nobody
// is writing.
bool is_temporary_name(std::string_view name);

// Removes a file, or a directory of files. It is renamed to a temporary name first, so that a crash
// leaves no half of it under its own name.
void remove_tree(const std::string& path, FileSystem& fs = posix_file_system());

}  // namespace weft
