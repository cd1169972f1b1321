// Training that is killed (SIGKILL) or loses power at any moment goes on from a whole checkpoint to
// the same weights.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>

#include "tests/power_loss.h"
#include "weft/train/train_testing.h"

extern char** environ;

namespace weft::train {
namespace {

using weft::testing::FileOperation;
using weft::testing::RecordingFileSystem;
using weft::testing::TempDirectory;

TrainConfig crash_config() {
  TrainConfig c = testing::tiny_config();
  c.model.layers = 1, c.model.width = 16, c.model.context = 8;
  c.batch = 2, c.steps = 1000, c.checkpoint_every = 3, c.eval_every = 10;
  return c;
}

std::unique_ptr<Trainer> create_or_resume(const TrainConfig& config, const std::string& data,
                                          const std::string& run) {
  return is_run(run) ? Trainer::resume(run) : Trainer::create(config, data, run);
}

// What the process that is killed does.
void train_in(const std::string& directory) {
  const testing::UseDevice use(1);
  create_or_resume(crash_config(), directory + "/data", directory + "/run")->run();
}

// That process: this program with the directory in its environment, where the test that starts it
// becomes train_in.
pid_t start_child(const std::string& directory) {
  ::setenv("WEFT_CRASH_DIRECTORY", directory.c_str(), 1);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=Crash.KilledAtRandomMoments",
              brief = "--gtest_brief=1";
  char* arguments[] = {program.data(), filter.data(), brief.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
  ::unsetenv("WEFT_CRASH_DIRECTORY");
  WEFT_CHECK(error == 0, "posix_spawn: {}", error);
  return child;
}

// True if the child was killed, false if it was done before.
bool kill_after(pid_t child, std::chrono::microseconds delay) {
  std::this_thread::sleep_for(delay);
  ::kill(child, SIGKILL);
  int status = 0;
  WEFT_CHECK(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) return true;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

void let_finish(pid_t child) {
  int status = 0;
  WEFT_CHECK(::waitpid(child, &status, 0) == child);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

bool has_checkpoint(const std::string& run) {
  if (!is_directory(checkpoints_of(run))) return false;
  for (const DirectoryEntry& entry : list_directory(checkpoints_of(run)))
    if (entry.name.starts_with("step-")) return true;
  return false;
}

std::string saved_hash(const std::string& run) {
  return weights_sha256(load_run(run).params);
}

// WEFT_CRASH_KILLS=1000 for the long form.
TEST(Crash, KilledAtRandomMoments) {
  if (const char* directory = std::getenv("WEFT_CRASH_DIRECTORY")) return train_in(directory);
  const char* asked = std::getenv("WEFT_CRASH_KILLS");
  const int kills = asked ? std::atoi(asked) : 20;
  const testing::Workshop shop;
  const std::string run = shop.directory / "run";
  const auto start = std::chrono::steady_clock::now();
  let_finish(start_child(shop.directory.path()));
  const std::chrono::duration<double, std::micro> whole = std::chrono::steady_clock::now() - start;
  const std::string undisturbed = saved_hash(run);
  std::filesystem::remove_all(run);

  std::mt19937 random(std::random_device{}());
  int killed_at_work = 0;
  for (int killed = 0; killed < kills;) {
    const auto delay = std::chrono::microseconds(random() % int64_t(whole.count()));
    if (kill_after(start_child(shop.directory.path()), delay)) {
      ++killed;
      killed_at_work += has_checkpoint(run);
      continue;
    }
    ASSERT_EQ(saved_hash(run), undisturbed);
    std::filesystem::remove_all(run);
  }
  EXPECT_GT(killed_at_work, 0);
  let_finish(start_child(shop.directory.path()));
  EXPECT_EQ(saved_hash(run), undisturbed);
}

// What each step's weights are, undisturbed.
std::map<int64_t, std::string> hashes_by_step(const TrainConfig& config, const std::string& data,
                                              const std::string& run) {
  std::map<int64_t, std::string> hashes;
  const std::unique_ptr<Trainer> trainer = Trainer::create(config, data, run);
  hashes[0] = weights_sha256(trainer->params());
  RunOptions options;
  options.on_step = [&](const StepReport& r) {
    hashes[r.step] = weights_sha256(trainer->params());
  };
  trainer->run(options);
  return hashes;
}

// The newest step whose checkpoint's directory has been renamed into place and fsynced by the first
// `done` operations.
int64_t durable_step(const std::vector<FileOperation>& operations, size_t done) {
  int64_t renamed = 0, durable = 0;
  for (size_t i = 0; i < done; ++i) {
    const FileOperation& op = operations[i];
    const size_t at = op.other.rfind("checkpoints/step-");
    if (op.kind == FileOperation::Kind::rename && at != std::string::npos &&
        op.other.find('.') == std::string::npos)
      renamed = std::stoll(op.other.substr(at + 17));
    if (op.kind == FileOperation::Kind::sync_directory && op.path.ends_with("checkpoints"))
      durable = renamed;
  }
  return durable;
}

TEST(Crash, PowerLossReplay) {
  const testing::Workshop shop;
  TrainConfig c = crash_config();
  c.steps = 6, c.keep = 1, c.eval_every = 2;
  const std::map<int64_t, std::string> hashes =
      hashes_by_step(c, shop.data, shop.directory / "undisturbed");
  const TempDirectory recorded, scratch;
  RecordingFileSystem disk(recorded.path());
  Trainer::create(c, shop.data, recorded / "run", disk)->run();
  const std::vector<FileOperation>& operations = disk.operations();
  int cuts = 0, resumed = 0, finished = 0;
  weft::testing::for_each_power_cut(
      operations, scratch / "disk", [&](size_t done, const std::string& directory) {
        const std::string run = directory + "/run";
        ++cuts;
        if (!is_run(run)) return durable_step(operations, done) == 0;
        const std::unique_ptr<Trainer> trainer = Trainer::resume(run);
        ++resumed;
        EXPECT_GE(trainer->step(), durable_step(operations, done)) << done;
        EXPECT_EQ(weights_sha256(trainer->params()), hashes.at(trainer->step())) << done;
        if (cuts % 50 == 0) {
          ++finished;
          EXPECT_EQ(trainer->run().weights_sha256, hashes.at(6)) << done;
        }
        return !::testing::Test::HasFailure();
      });
  EXPECT_GT(resumed, 500);
  EXPECT_GT(finished, 10);
}

// The write that finds no space is told in one sentence; what was saved before is whole.
TEST(Crash, FullDisk) {
  const testing::Workshop shop;
  TrainConfig c = crash_config();
  c.steps = 9, c.keep = 1, c.eval_every = 2;
  const std::map<int64_t, std::string> hashes =
      hashes_by_step(c, shop.data, shop.directory / "undisturbed");
  int failures = 0;
  for (size_t fail_at = 10; fail_at < 160; fail_at += 11) {
    const TempDirectory directory;
    const std::string run = directory / "run";
    RecordingFileSystem disk(directory.path(), fail_at);
    try {
      Trainer::create(c, shop.data, run, disk)->run();
    } catch (const Error& error) {
      ++failures;
      EXPECT_EQ(int(error.kind()), int(ErrorKind::resource)) << error.what();
      EXPECT_NE(std::string(error.what()).find("disk is full"), std::string::npos) << error.what();
    }
    const std::unique_ptr<Trainer> trainer = create_or_resume(c, shop.data, run);
    EXPECT_EQ(weights_sha256(trainer->params()), hashes.at(trainer->step())) << fail_at;
    EXPECT_EQ(trainer->run().weights_sha256, hashes.at(9)) << fail_at;
  }
  EXPECT_GT(failures, 10);
}

}  // namespace
}  // namespace weft::train
