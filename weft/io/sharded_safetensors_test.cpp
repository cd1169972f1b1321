#include "weft/io/sharded_safetensors.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/json.h"

namespace weft {
namespace {

using testing::TempDirectory;

// Tensors of one u8 value each: its place in the list.
std::vector<TensorSpec> some(const std::vector<std::string>& names) {
  std::vector<TensorSpec> specs;
  for (const std::string& name : names) specs.push_back({name, DType::u8, {1}});
  return specs;
}
void write(const std::string& directory, const std::vector<std::string>& names, uint64_t most) {
  const auto source = [&](const TensorSpec& t) {
    const auto at = std::ranges::find(names, t.name) - names.begin();
    return std::vector<std::byte>{std::byte(at)};
  };
  write_sharded_safetensors(directory, some(names), source, most);
}
void write_index(const TempDirectory& dir, const std::string& weight_map) {
  write_file_atomic(dir / "model.safetensors.index.json", R"({"weight_map":)" + weight_map + "}");
}

TEST(ShardedSafetensors, ReadsWhatItWrites) {
  for (const uint64_t most : {1, 2, 100}) {
    const TempDirectory dir;
    write(dir.path(), {"c", "a", "b", "e", "d"}, most);
    EXPECT_EQ(path_exists(dir / "model.safetensors"), most == 100);
    EXPECT_EQ(path_exists(dir / "model-00001-of-00003.safetensors"), most == 2);
    EXPECT_TRUE(has_safetensors(dir.path()));
    const ShardedSafetensors files(dir.path());
    EXPECT_EQ(files.tensors().size(), 5u);
    EXPECT_EQ(files.find("e")->bytes[0], std::byte(3));
    EXPECT_EQ(files.find("f"), nullptr);
  }
}

TEST(ShardedSafetensors, IndexAndFilesMustAgree) {
  const TempDirectory dir;
  const auto open = [&] { ShardedSafetensors files(dir.path()); };
  EXPECT_FALSE(has_safetensors(dir.path()));
  EXPECT_ERROR(resource, "has neither model.safetensors nor model.safetensors.index.json", open());
  write(dir.path(), {"a", "b"}, 1);
  const std::string one = "model-00001-of-00002.safetensors",
                    two = "model-00002-of-00002.safetensors";
  const auto map = [](const std::string& a, const std::string& b) {
    return format(R"({{"a":"{}","b":"{}"}})", a, b);
  };
  write_index(dir, map(one, two));
  open();
  write_index(dir, map(one, one));
  EXPECT_ERROR(data, "says that tensor \"b\" lies in model-00001-of-00002.safetensors", open());
  write_index(dir, map(two, one));
  EXPECT_ERROR(data, "has a tensor \"a\" that lies in model-00002-of-00002.safetensors by", open());
  write_index(dir, format(R"({{"a":"{}"}})", one));
  open();  // a file that the index does not name is not read
  write_index(dir, format(R"({{"a":"{}","c":"{}"}})", one, two));
  EXPECT_ERROR(data, "has a tensor \"b\" that model.safetensors.index.json does not name", open());
  write_index(dir, map(one, "model-3.safetensors"));
  EXPECT_ERROR(resource, "model-3.safetensors", open());
  std::filesystem::copy_file(dir / one, dir / "copy.safetensors");
  write_index(dir, format(R"({{"a":"{}","b":"{}","d":"copy.safetensors"}})", one, two));
  EXPECT_ERROR(data, "copy.safetensors has a tensor \"a\" that lies in", open());
}

TEST(ShardedSafetensors, HostileIndexesAreRefused) {
  const auto refused = [](const std::string& text, const char* sentence) {
    EXPECT_ERROR(data, sentence, parse_safetensors_index(text, "index"));
  };
  const auto file = [](const std::string& name) { return R"({"weight_map":{"a":)" + name + "}}"; };
  for (const char* name :
       {R"("../x.safetensors")", R"("/etc/x.safetensors")", R"("d/x.safetensors")", R"("x.bin")",
        R"("..\\x.safetensors")", R"("x\u0000.safetensors")", R"(".safetensors")", R"("")", "1",
        "null", R"(["x.safetensors"])"})
    refused(file(name), "the file of tensor \"a\" must be a name in this directory");
  refused(file('"' + std::string(300, 'x') + R"(.safetensors")"), "must be a name");
  refused(R"({"weight_map":{}})", "names no tensor");
  refused(R"({"weight_map":[]})", "must be an object");
  refused(R"({"metadata":{}})", "\"weight_map\" is missing");
  refused(R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})", "twice");
  refused("[]", "must be a JSON object");
  refused("{", "index");
  EXPECT_EQ(parse_safetensors_index(file(R"("x.safetensors")"), "index").at("a"), "x.safetensors");
}

}  // namespace
}  // namespace weft
