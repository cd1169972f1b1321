// A checkpoint as files, knowing nothing of training. Below one root directory:
//   step-00001200/manifest.json      what the other files must be, and free-form "meta"
//   step-00001200/model.safetensors, ...
//   step-00001200.tmp-<16 hex>/      being written, or left by a crash
// A checkpoint appears by one rename after everything in it is durable; there is no "latest" file,
// the listing decides.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/file.h"
#include "weft/base/json.h"
#include "weft/io/safetensors.h"

namespace weft {

struct ManifestFile {
  std::string name;  // a plain name, no path
  FileDigest digest;
};

struct Manifest {
  int64_t step = 0;
  std::vector<ManifestFile> files;
  Json meta = Json::object();
};

// manifest.json: {"format": "weft-checkpoint", "version": 1, "step", "files": [{"name", "bytes",
// "sha256"}], "meta", "sha256"}; the last is that of the rest, written without spaces.
std::string dump_manifest(const Manifest& manifest);
// Error(data) naming `what`.
Manifest parse_manifest(std::string_view text, const std::string& what);

struct Checkpoint {
  std::string path;
  Manifest manifest;
  std::string file(std::string_view name) const { return path + "/" + std::string(name); }
};

// Writes one checkpoint. Without commit() nothing is left. A checkpoint of the same name and step
// is replaced.
class CheckpointWriter {
 public:
  // `root` is created if missing. The directory becomes <root>/<name>-<step, 8 digits>.
  CheckpointWriter(const std::string& root, std::string_view name, int64_t step,
                   FileSystem& fs = posix_file_system());

  void add_tensors(const std::string& file_name, const std::vector<NamedTensor>& tensors,
                   const std::map<std::string, std::string>& metadata = {});
  void add_text(const std::string& file_name, std::string_view text);
  // For content that is streamed: write to path(name), then report its digest.
  std::string path(const std::string& file_name) const;
  void add(const std::string& file_name, const FileDigest& digest);

  // Durable when it returns; gives the directory.
  std::string commit(Json meta);

 private:
  FileSystem& fs_;
  Manifest manifest_;
  AtomicDirectory directory_;
};

enum class Verify { sizes, hashes };

// Reads the manifest in `path` and checks the files against it; Error naming the file that is
// missing or damaged. only: the file whose hash matters, of the others the size does; empty: all.
Checkpoint open_checkpoint(const std::string& path, Verify verify = Verify::hashes,
                           std::string_view only = {});

// The newest checkpoint <name>-* under `root` whose files all have their hashes. Broken ones are
// skipped with a warning that names them, which is also added to `skipped`. Nothing when there is
// none. only: as above.
std::optional<Checkpoint> latest_whole(const std::string& root, std::string_view name = "step",
                                       std::vector<std::string>* skipped = nullptr,
                                       std::string_view only = {});

// Removes all checkpoints <name>-* that are older than the newest `keep_last` (>= 1) whole ones,
// judged by sizes. Call it after commit().
void prune_checkpoints(const std::string& root, std::string_view name, int keep_last,
                       FileSystem& fs = posix_file_system());

// Removes what crashes left under temporary names. Only while nobody else writes below `root`.
void clean_stale(const std::string& root, FileSystem& fs = posix_file_system());

}  // namespace weft
