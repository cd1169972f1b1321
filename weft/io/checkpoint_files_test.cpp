#include "weft/io/checkpoint_files.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/power_loss.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using testing::FileOperation;
using testing::RecordingFileSystem;
using testing::TempDirectory;

std::vector<float> weights(int64_t step) {
  return std::vector<float>(50, float(step));
}

void save(const std::string& root, int64_t step, FileSystem& fs = posix_file_system(),
          std::string_view name = "step") {
  const std::vector<float> w = weights(step);
  CheckpointWriter writer(root, name, step, fs);
  writer.add_tensors("model.safetensors", {{{"w", DType::f32, {50}}, std::as_bytes(std::span(w))}});
  writer.add_text("optimizer.json", format("{{\"step\":{}}}", step));
  writer.commit({{"loss", 0.1 * double(step)}, {"note", "h\xC3\xA9"}});
}

// The step of a checkpoint whose content is right, 0 for none, -1 for a wrong one.
int64_t step_of_latest(const std::string& root) {
  const auto checkpoint = latest_whole(root);
  if (!checkpoint) return 0;
  const int64_t step = checkpoint->manifest.step;
  const SafetensorsFile model(checkpoint->file("model.safetensors"));
  const std::vector<float> w = weights(step);
  const bool right =
      testing::text_of(model.tensor("w").bytes) == testing::text_of(std::as_bytes(std::span(w))) &&
      checkpoint->manifest.meta["loss"] == 0.1 * double(step);
  return right ? step : -1;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const DirectoryEntry& entry : list_directory(path)) names.push_back(entry.name);
  return names;
}

TEST(Checkpoint, SavesAndFindsTheNewest) {
  const TempDirectory dir;
  const std::string root = dir / "run";
  EXPECT_FALSE(latest_whole(root));
  for (const int64_t step : {1, 20, 3, 100000000}) save(root, step);
  EXPECT_EQ(step_of_latest(root), 100000000);
  EXPECT_EQ(names_in(root), (std::vector<std::string>{"step-00000001", "step-00000003",
                                                      "step-00000020", "step-100000000"}));
  EXPECT_EQ(names_in(root + "/step-00000001"),
            (std::vector<std::string>{"manifest.json", "model.safetensors", "optimizer.json"}));
  EXPECT_EQ(latest_whole(root)->manifest.meta["note"], "h\xC3\xA9");
}

TEST(Checkpoint, NamesAreSeparate) {
  const TempDirectory dir;
  save(dir.path(), 5);
  save(dir.path(), 3, posix_file_system(), "best");
  EXPECT_EQ(latest_whole(dir.path(), "best")->manifest.step, 3);
  EXPECT_EQ(latest_whole(dir.path())->manifest.step, 5);
  EXPECT_FALSE(latest_whole(dir.path(), "b"));
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
  const TempDirectory dir;
  save(dir.path(), 7);
  write_file_atomic(dir / "step-00000007/optimizer.json", "damaged");
  save(dir.path(), 7);
  EXPECT_EQ(step_of_latest(dir.path()), 7);
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
}

TEST(Checkpoint, OneFileAloneMayBeHashed) {
  const TempDirectory dir;
  save(dir.path(), 1), save(dir.path(), 2);
  const std::string other = dir / "step-00000002/optimizer.json";
  std::string bytes = read_file(other, 1 << 20);
  bytes[0] = char(bytes[0] ^ 1);
  write_file_atomic(other, bytes);
  EXPECT_EQ(step_of_latest(dir.path()), 1);
  EXPECT_EQ(latest_whole(dir.path(), "step", nullptr, "model.safetensors")->manifest.step, 2);
  EXPECT_EQ(latest_whole(dir.path(), "step", nullptr, "optimizer.json")->manifest.step, 1);
  write_file_atomic(other, bytes + " ");  // sizes matter in any case
  EXPECT_EQ(latest_whole(dir.path(), "step", nullptr, "model.safetensors")->manifest.step, 1);
}

TEST(Checkpoint, SkipsAndNamesTheBrokenOnes) {
  const TempDirectory dir;
  for (int64_t step = 1; step <= 7; ++step) save(dir.path(), step);
  const auto model = [&](int step) {
    return format("{}/step-{:08}/model.safetensors", dir.path(), step);
  };
  std::string bytes = read_file(model(7), 1 << 20);
  bytes[bytes.size() - 1] = char(bytes[bytes.size() - 1] ^ 1);
  write_file_atomic(model(7), bytes);                                        // one bit
  write_file_atomic(model(6), read_file(model(5), 1 << 20));                 // of another step
  write_file_atomic(model(5), read_file(model(5), 1 << 20).substr(0, 100));  // cut off
  posix_file_system().remove_file(model(4));                                 // missing
  posix_file_system().remove_file(dir / "step-00000003/manifest.json");      // no manifest
  posix_file_system().rename(dir / "step-00000001", dir / "step-00000008");  // under a wrong name
  posix_file_system().make_directory(dir / "step-00000009.tmp-0123456789abcdef");  // being written
  std::vector<std::string> skipped;
  const auto found = latest_whole(dir.path(), "step", &skipped);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->manifest.step, 2);
  const char* const sentences[] = {"its manifest is of step 1",
                                   "model.safetensors does not have the checksum",
                                   "model.safetensors does not have the checksum",
                                   "has 100 bytes, but the manifest says",
                                   "no such file",
                                   "step-00000003/manifest.json: no such file"};
  ASSERT_EQ(skipped.size(), std::size(sentences));
  for (size_t i = 0; i < skipped.size(); ++i)
    EXPECT_NE(skipped[i].find(sentences[i]), std::string::npos) << skipped[i];
}

TEST(Checkpoint, PruneKeepsTheNewestWholeOnes) {
  const TempDirectory dir;
  for (int64_t step = 1; step <= 5; ++step) save(dir.path(), step);
  save(dir.path(), 1, posix_file_system(), "best");
  write_file_atomic(dir / "step-00000005/model.safetensors", "cut");  // does not count as kept
  prune_checkpoints(dir.path(), "step", 2);
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"best-00000001", "step-00000003",
                                                            "step-00000004", "step-00000005"}));
  EXPECT_EQ(step_of_latest(dir.path()), 4);
}

TEST(Checkpoint, CleansOnlyWhatIsTemporary) {
  const TempDirectory dir;
  save(dir.path(), 1);
  posix_file_system().make_directory(dir / "step-00000002.tmp-0123456789abcdef");
  write_file_atomic(dir / "step-00000002.tmp-0123456789abcdef/model.safetensors", "half");
  write_file_atomic(dir / "log.txt.tmp-0123456789abcdef", "half");
  write_file_atomic(dir / "log.txt", "whole");
  clean_stale(dir.path());
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"log.txt", "step-00000001"}));
}

// Saving step 2 and pruning step 1, with each operation failing in turn: step 1 or 2 is always
// there.
TEST(Checkpoint, EveryFailureLeavesAWholeCheckpoint) {
  for (size_t fail_at = 0;; ++fail_at) {
    const TempDirectory dir;
    save(dir.path(), 1);
    RecordingFileSystem fs(dir.path(), fail_at);
    const bool done = testing::accepts([&] {
      save(dir.path(), 2, fs);
      prune_checkpoints(dir.path(), "step", 1, fs);
    });
    EXPECT_GE(step_of_latest(dir.path()), 1) << fail_at;
    clean_stale(dir.path());
    for (const std::string& name : names_in(dir.path()))
      EXPECT_TRUE(name.starts_with("step-0000000")) << name;
    if (done) {
      EXPECT_EQ(step_of_latest(dir.path()), 2);
      EXPECT_GT(fail_at, 20u);
      break;
    }
  }
}

struct PowerCuts {
  size_t states = 0, wrong = 0;
};

// Three saves with pruning; counts the states in which an acknowledged checkpoint is lost or a
// corrupt one accepted. `drop` leaves out one kind of operation.
PowerCuts cut_power_everywhere(std::optional<FileOperation::Kind> drop) {
  const TempDirectory dir, scratch;
  RecordingFileSystem fs(dir.path());
  std::vector<size_t> acknowledged;  // how many operations had been asked for when a save returned
  for (int64_t step = 1; step <= 3; ++step) {
    save(dir.path(), step, fs);
    acknowledged.push_back(fs.operations().size());
    prune_checkpoints(dir.path(), "step", 2, fs);
  }
  std::vector<FileOperation> operations = fs.operations();
  for (FileOperation& operation : operations)
    if (operation.kind == drop) operation.kind = FileOperation::Kind::nothing;
  PowerCuts cuts;
  testing::for_each_power_cut(operations, scratch / "disk",
                              [&](size_t done, const std::string& disk) {
                                int64_t promised = 0;
                                while (promised < 3 && done >= acknowledged[size_t(promised)])
                                  ++promised;
                                ++cuts.states;
                                if (step_of_latest(disk) < promised) ++cuts.wrong;
                                return true;
                              });
  return cuts;
}

TEST(Checkpoint, SurvivesAPowerCutAnywhere) {
  const PowerCuts cuts = cut_power_everywhere(std::nullopt);
  EXPECT_EQ(cuts.wrong, 0u);
  EXPECT_GT(cuts.states, 500u);
}

TEST(Checkpoint, ThePowerCutTestSeesMissingFsyncs) {
  EXPECT_GT(cut_power_everywhere(FileOperation::Kind::sync).wrong, 0u);
  EXPECT_GT(cut_power_everywhere(FileOperation::Kind::sync_directory).wrong, 0u);
}

Manifest small_manifest() {
  Manifest manifest;
  manifest.step = 12;
  manifest.files = {{"a.bin", {3, sha256("abc")}}, {"b", {0, sha256("")}}};
  manifest.meta = {{"loss", 2.5}, {"tokens", 18446744073709551615u}, {"nested", {{"x", {1, 2}}}}};
  return manifest;
}

TEST(Manifest, RoundTrip) {
  const std::string text = dump_manifest(small_manifest());
  const Manifest read = parse_manifest(text, "m");
  EXPECT_EQ(dump_manifest(read), text);
  EXPECT_EQ(read.step, 12);
  EXPECT_EQ(read.files[0].name, "a.bin");
  EXPECT_EQ(read.files[0].digest.bytes, 3u);
  EXPECT_EQ(read.files[0].digest.sha256, sha256("abc"));
}

TEST(Manifest, CutAnywhereOrAnyBitFlippedIsRefusedOrTheSame) {
  const std::string text = dump_manifest(small_manifest());
  testing::for_each_truncation(text.substr(0, text.size() - 1), [](Bytes bytes,
                                                                   const std::string& how) {
    EXPECT_FALSE(testing::accepts([&] { parse_manifest(testing::text_of(bytes), "m"); })) << how;
  });
  testing::for_each_bit_flip(text, text.size(), [&](Bytes bytes, const std::string& how) {
    testing::accepts([&] {
      EXPECT_EQ(dump_manifest(parse_manifest(testing::text_of(bytes), "m")), text) << how;
    });
  });
}

TEST(Manifest, Hostile) {
  const auto refused = [](const std::string& from, const std::string& to,
                          const std::string& sentence) {
    std::string text = dump_manifest(small_manifest());
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_ERROR(data, sentence, parse_manifest(text, "m.json"));
  };
  refused("weft-checkpoint", "other", "\"format\" must be \"weft-checkpoint\", got \"other\"");
  refused("\"version\": 1", "\"version\": 2", "\"version\" must be an integer from 1 to 1, got 2");
  refused("\"step\": 12", "\"step\": 13", "m.json does not have its own checksum");
  refused("\"step\": 12", "\"step\": -1", "\"step\" must be an integer");
  refused("\"step\": 12", "\"step\": 1e1", "\"step\" must be an integer");
  refused("\"step\": 12", "\"step\": 12, \"step\": 12", "appears twice");
  refused("\"step\": 12", "\"step\": 12, \"x\": 1", "unknown key \"x\"");
  refused("\"bytes\": 3", "\"bytes\": 18446744073709551615",
          "\"files[0].bytes\" must be an integer");
  refused("\"a.bin\"", "\"b\"", "lists the file \"b\" twice");
  for (const char* name : {"../b", "/etc/passwd", "", ".", "..", "a/b", "manifest.json", "x\\u0000",
                           "a.tmp-0123456789abcdef"})
    refused("\"a.bin\"", format("\"{}\"", name), "\"files[0].name\" must be a plain file name");
  refused("ba7816bf", "BA7816BF", "64 lower-case hexadecimal digits");
  refused("ba7816bf", "", "64 lower-case hexadecimal digits");
  refused("2.5", "2.25", "own checksum");
  EXPECT_ERROR(data, "must be a JSON object", parse_manifest("[]", "m.json"));
  EXPECT_ERROR(data, "nested deeper", parse_manifest(std::string(100000, '['), "m.json"));
}

}  // namespace
}  // namespace weft
