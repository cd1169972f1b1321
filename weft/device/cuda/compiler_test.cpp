// The kernel cache and the run-time compiler; no GPU needed.
#include "weft/device/cuda/compiler.h"

#include <algorithm>
#include <cctype>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/file.h"

namespace weft::cuda {
namespace {

const std::string key(64, 'a');

TEST(KernelCache, GivesBackWhatWasStored) {
  const testing::TempDirectory folder;
  const KernelCache cache(folder.path() + "/deep/kernels");
  std::string cubin, log;
  EXPECT_FALSE(cache.load(key, cubin, log));
  const std::string binary(
      "\x7f"
      "ELF\0\1\2",
      7);
  cache.store(key, binary, "a log");
  ASSERT_TRUE(cache.load(key, cubin, log));
  EXPECT_EQ(cubin, binary);
  EXPECT_EQ(log, "a log");
}

TEST(KernelCache, ADamagedEntryIsNotUsed) {
  const testing::TempDirectory folder;
  const KernelCache cache(folder.path());
  cache.store(key, std::string(1000, 'c'), "log");
  const std::string whole = read_file(cache.path(key), 1 << 20);
  std::string cubin, log;
  for (size_t i = 0; i < whole.size(); i += 211) {
    std::string bad = whole;
    bad[i] = char(bad[i] ^ 4);
    write_file_atomic(cache.path(key), std::string_view(bad));
    EXPECT_FALSE(cache.load(key, cubin, log)) << "byte " << i;
  }
  for (const size_t length : {size_t(0), size_t(7), size_t(47), whole.size() - 1}) {
    write_file_atomic(cache.path(key), std::string_view(whole).substr(0, length));
    EXPECT_FALSE(cache.load(key, cubin, log)) << "length " << length;
  }
  cache.store(key, "again", "");
  EXPECT_TRUE(cache.load(key, cubin, log));
  EXPECT_EQ(cubin, "again");
}

// Processes and threads that store and load the same entry see one of the whole contents.
TEST(KernelCache, ManyWritersLeaveAWholeEntry) {
  const testing::TempDirectory folder;
  const KernelCache cache(folder.path() + "/shared");
  const auto work = [&](char letter) {
    bool right = true;
    for (int i = 0; i < 20; ++i) {
      cache.store(key, std::string(20000, letter), "");
      std::string cubin, log;
      right = right && cache.load(key, cubin, log) && cubin.size() == 20000 &&
              cubin == std::string(20000, cubin[0]);
    }
    return right;
  };
  std::vector<pid_t> children;
  for (const char letter : {'a', 'b', 'c'}) {
    children.push_back(fork());
    if (children.back() == 0) _exit(work(letter) ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (const char letter : {'d', 'e'}) threads.emplace_back([&, letter] { right += work(letter); });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(right, 2);
  for (const DirectoryEntry& entry : list_directory(folder.path() + "/shared"))
    EXPECT_FALSE(is_temporary_name(entry.name));
}

TEST(KernelCache, AFolderThatCannotBeWrittenIsNoError) {
  const testing::TempDirectory folder;
  write_file_atomic(folder.path() + "/file", std::string_view("x"));
  const KernelCache cache(folder.path() + "/file/kernels");
  cache.store(key, "c", "");
  std::string cubin, log;
  EXPECT_FALSE(cache.load(key, cubin, log));
}

TEST(KernelCache, TheKeyDependsOnEveryPart) {
  const KernelSource source{"f", "text", {{"h", "header"}}, {"-DX"}};
  std::vector<std::string> keys{cache_key(source, "1")};
  const auto add = [&](auto&& change, const char* version = "1") {
    KernelSource other = source;
    change(other);
    keys.push_back(cache_key(other, version));
  };
  add([](KernelSource&) {}, "2");
  add([](KernelSource& s) { s.name = "g"; });
  add([](KernelSource& s) { s.text = "texT"; });
  add([](KernelSource& s) { s.headers[0].second = "Header"; });
  add([](KernelSource& s) { s.headers.emplace_back("i", ""); });
  add([](KernelSource& s) { s.flags[0] = "-DY"; });
  // The same characters cut elsewhere.
  add([](KernelSource& s) { s.headers[0] = {"hh", "eader"}; });
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::unique(keys.begin(), keys.end()), keys.end());
}

TEST(KernelReport, IsReadFromTheLog) {
  const KernelReport r = parse_report(
      "ptxas info    : (C7519) warpgroup.arrive is injected to allow use of registers in GMMA\n"
      "ptxas info    : Compiling entry function 'f' for 'sm_90a'\n"
      "    16 bytes stack frame, 20 bytes spill stores, 20 bytes spill loads\n"
      "ptxas info    : Used 168 registers, used 9 barriers, 64 bytes smem\n");
  EXPECT_EQ(r.spill_bytes, 20);
  EXPECT_EQ(r.registers, 168);
  EXPECT_EQ(r.static_shared_bytes, 64);
  EXPECT_FALSE(r.serialised);
  EXPECT_TRUE(parse_report("(C7510) Potential Performance Loss: wgmma ... serialized").serialised);
}

class RuntimeCompiler : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string reason;
    if (!compiler_found(&reason)) GTEST_SKIP() << reason;
  }
};

const KernelSource twice{"twice",
                         "#include \"times\"\n"
                         "extern \"C\" __global__ void twice(float* x) {\n"
                         "  x[threadIdx.x] = times(x[threadIdx.x]);\n}\n",
                         {{"times", "constexpr float times(float x) { return 2 * x; }\n"}},
                         {}};

TEST_F(RuntimeCompiler, CompilesOnceAndThenReadsTheCache) {
  const testing::TempDirectory folder;
  const KernelCache cache(folder.path());
  const KernelBinary first = compile(twice, cache), second = compile(twice, cache);
  EXPECT_EQ(first.origin, KernelBinary::compiled);
  EXPECT_EQ(second.origin, KernelBinary::cached);
  EXPECT_EQ(first.cubin.substr(1, 3), "ELF");
  EXPECT_EQ(first.cubin, second.cubin);
  EXPECT_EQ(first.report.registers, second.report.registers);
  EXPECT_GT(first.report.registers, 0);
}

TEST_F(RuntimeCompiler, ADamagedEntryIsCompiledAgain) {
  const testing::TempDirectory folder;
  const KernelCache cache(folder.path());
  const KernelBinary first = compile(twice, cache);
  std::string compiler;
  compiler_found(&compiler);
  write_file_atomic(cache.path(cache_key(twice, compiler)), std::string_view("no cubin"));
  const KernelBinary second = compile(twice, cache);
  EXPECT_EQ(second.origin, KernelBinary::compiled);
  EXPECT_EQ(first.cubin, second.cubin);
  EXPECT_EQ(compile(twice, cache).origin, KernelBinary::cached);
}

TEST_F(RuntimeCompiler, ATextThatDoesNotCompileIsNamedWithItsLog) {
  const testing::TempDirectory folder;
  const KernelSource broken{
      "broken", "extern \"C\" __global__ void broken() { nonsense; }", {}, {}};
  EXPECT_ERROR(internal, "kernel broken does not compile",
               compile(broken, KernelCache(folder.path())));
}

}  // namespace
}  // namespace weft::cuda
