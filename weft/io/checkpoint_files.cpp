#include "weft/io/checkpoint_files.h"

#include <algorithm>
#include <charconv>

#include "weft/base/error.h"
#include "weft/base/log.h"
#include "weft/base/utf8.h"

namespace weft {
namespace {

constexpr std::string_view manifest_name = "manifest.json";
constexpr std::string_view manifest_format = "weft-checkpoint";
constexpr size_t max_manifest_bytes = size_t(16) << 20;
constexpr size_t max_files = 65536, max_file_name = 255;
constexpr int64_t max_step = int64_t(1) << 53;

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= max_file_name && name != "." && name != ".." &&
         name != manifest_name && name.find('/') == name.npos && name.find('\0') == name.npos &&
         !is_temporary_name(name);
}

Json without_hash(const Manifest& manifest) {
  Json json = Json::object();
  json["format"] = manifest_format;
  json["version"] = 1;
  json["step"] = manifest.step;
  json["files"] = Json::array();
  for (const ManifestFile& file : manifest.files) {
    Json entry = Json::object();
    entry["name"] = file.name;
    entry["bytes"] = file.digest.bytes;
    entry["sha256"] = to_hex(file.digest.sha256);
    json["files"].push_back(std::move(entry));
  }
  json["meta"] = manifest.meta;
  return json;
}

// The digest in the field "sha256" of an object.
Sha256Digest read_digest(const JsonReader& object) {
  const std::string& hex = object.string("sha256");
  Sha256Digest digest;
  const bool right = hex.size() == 2 * digest.size() &&
                     hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!right) object.refuse("sha256", "64 lower-case hexadecimal digits");
  for (size_t i = 0; i < digest.size(); ++i)
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, digest[i], 16);
  return digest;
}

ManifestFile read_file_entry(const JsonReader& entry) {
  entry.allow_only({"name", "bytes", "sha256"});
  ManifestFile file;
  file.name = entry.string("name", max_file_name);
  if (!is_plain_name(file.name)) entry.refuse("name", "a plain file name");
  file.digest.bytes = uint64_t(entry.integer("bytes", 0, INT64_MAX));
  file.digest.sha256 = read_digest(entry);
  return file;
}

void refuse_repeated_names(const std::vector<ManifestFile>& files, const std::string& what) {
  std::vector<std::string_view> names;
  for (const ManifestFile& file : files) names.push_back(file.name);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) data_error("{} lists the file {} twice", what, in_quotes(*twice));
}

// <name>-<digits, at least 8> -> step.
std::optional<int64_t> step_of(std::string_view entry, std::string_view name) {
  if (!entry.starts_with(name) || entry.substr(name.size(), 1) != "-") return std::nullopt;
  const std::string_view digits = entry.substr(name.size() + 1);
  int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  const bool number = error == std::errc() && step >= 0 && step <= max_step;
  if (!number || digits != format("{:08}", step)) return std::nullopt;
  return step;
}

struct Candidate {
  int64_t step;
  std::string path;
};

// The directories that look like checkpoints, newest first.
std::vector<Candidate> candidates(const std::string& root, std::string_view name) {
  std::vector<Candidate> found;
  for (const DirectoryEntry& entry : list_directory(root)) {
    const auto step = step_of(entry.name, name);
    if (step && entry.kind == EntryKind::directory)
      found.push_back({*step, root + "/" + entry.name});
  }
  std::ranges::sort(found, [](const Candidate& a, const Candidate& b) { return a.step > b.step; });
  return found;
}

// The checkpoint, or why it is not whole.
std::optional<Checkpoint> try_open(const Candidate& candidate, Verify verify, std::string& why,
                                   std::string_view only = {}) {
  try {
    Checkpoint checkpoint = open_checkpoint(candidate.path, verify, only);
    if (checkpoint.manifest.step == candidate.step) return checkpoint;
    why = format("{}: its manifest is of step {}", candidate.path, checkpoint.manifest.step);
  } catch (const Error& error) {
    why = error.what();
  }
  return std::nullopt;
}

std::string make_root(const std::string& root, FileSystem& fs) {
  if (!path_exists(root)) {
    fs.make_directory(root);
    fs.sync_directory(parent_directory(root));
  }
  return root;
}

}  // namespace

std::string dump_manifest(const Manifest& manifest) {
  Json json = without_hash(manifest);
  json["sha256"] = to_hex(sha256(dump_json(json)));
  return dump_json(json, 2) + "\n";
}

Manifest parse_manifest(std::string_view text, const std::string& what) {
  const Json json = parse_json(text, what, {.max_bytes = max_manifest_bytes});
  const JsonReader reader(json, what);
  reader.allow_only({"format", "version", "step", "files", "meta", "sha256"});
  if (reader.string("format") != manifest_format) reader.refuse("format", "\"weft-checkpoint\"");
  reader.integer("version", 1, 1);
  Manifest manifest;
  manifest.step = reader.integer("step", 0, max_step);
  const size_t files = reader.array("files", max_files).size();
  for (size_t i = 0; i < files; ++i)
    manifest.files.push_back(read_file_entry(reader.item("files", i)));
  refuse_repeated_names(manifest.files, what);
  reader.object("meta");
  manifest.meta = json["meta"];
  if (sha256(dump_json(without_hash(manifest))) != read_digest(reader))
    data_error("{} does not have its own checksum; it was damaged or edited by hand", what);
  return manifest;
}

CheckpointWriter::CheckpointWriter(const std::string& root, std::string_view name, int64_t step,
                                   FileSystem& fs)
    : fs_(fs), directory_(format("{}/{}-{:08}", make_root(root, fs), name, step), fs) {
  WEFT_CHECK(step >= 0 && step <= max_step && is_plain_name(name), "step {} of {}", step, name);
  manifest_.step = step;
}

std::string CheckpointWriter::path(const std::string& file_name) const {
  WEFT_CHECK(is_plain_name(file_name), "{}", file_name);
  return directory_.staging() + "/" + file_name;
}

void CheckpointWriter::add(const std::string& file_name, const FileDigest& digest) {
  manifest_.files.push_back({file_name, digest});
}

void CheckpointWriter::add_tensors(const std::string& file_name,
                                   const std::vector<NamedTensor>& tensors,
                                   const std::map<std::string, std::string>& metadata) {
  add(file_name, write_safetensors(path(file_name), tensors, metadata, fs_));
}

void CheckpointWriter::add_text(const std::string& file_name, std::string_view text) {
  write_file_atomic(path(file_name), text, fs_);
  add(file_name, {text.size(), sha256(text)});
}

std::string CheckpointWriter::commit(Json meta) {
  manifest_.meta = std::move(meta);
  const std::string text = dump_manifest(manifest_);
  parse_manifest(text, "the new manifest");  // what this program writes it can read
  write_file_atomic(directory_.staging() + "/" + std::string(manifest_name), text, fs_);
  directory_.commit();
  return directory_.path();
}

Checkpoint open_checkpoint(const std::string& path, Verify verify, std::string_view only) {
  const std::string manifest_path = path + "/" + std::string(manifest_name);
  Checkpoint checkpoint{
      path, parse_manifest(read_file(manifest_path, max_manifest_bytes), manifest_path)};
  for (const ManifestFile& file : checkpoint.manifest.files) {
    const MappedFile map(checkpoint.file(file.name));
    if (map.size() != file.digest.bytes)
      data_error(
          "{} has {} bytes, but the manifest says {}; it is cut off or of another checkpoint",
          map.path(), map.size(), file.digest.bytes);
    if (verify == Verify::sizes || (!only.empty() && file.name != only)) continue;
    map.advise(MappedFile::Advice::sequential);
    if (sha256(map.bytes()) != file.digest.sha256)
      data_error("{} does not have the checksum of the manifest; it is damaged", map.path());
  }
  return checkpoint;
}

std::optional<Checkpoint> latest_whole(const std::string& root, std::string_view name,
                                       std::vector<std::string>* skipped, std::string_view only) {
  if (!path_exists(root)) return std::nullopt;
  for (const Candidate& candidate : candidates(root, name)) {
    std::string why;
    if (auto checkpoint = try_open(candidate, Verify::hashes, why, only)) return checkpoint;
    log_warn(format("skipping the checkpoint {}: {}", candidate.path, why));
    if (skipped) skipped->push_back(why);
  }
  return std::nullopt;
}

void prune_checkpoints(const std::string& root, std::string_view name, int keep_last,
                       FileSystem& fs) {
  WEFT_CHECK(keep_last >= 1, "keep_last {}", keep_last);
  int kept = 0;
  for (const Candidate& candidate : candidates(root, name)) {
    std::string why;
    if (kept == keep_last)
      remove_tree(candidate.path, fs);
    else if (try_open(candidate, Verify::sizes, why))
      ++kept;
  }
}

void clean_stale(const std::string& root, FileSystem& fs) {
  for (const DirectoryEntry& entry : list_directory(root))
    if (is_temporary_name(entry.name)) remove_tree(root + "/" + entry.name, fs);
}

}  // namespace weft
