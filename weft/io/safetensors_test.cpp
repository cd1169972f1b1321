#include "weft/io/safetensors.h"

#include <cstring>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "tests/temp_directory.h"

namespace weft {
namespace {

using testing::ExactBytes;
using testing::TempDirectory;
using testing::text_of;

std::string with_header(const std::string& header, const std::string& data = "") {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

std::string entry(const std::string& dtype, const std::string& shape, uint64_t begin,
                  uint64_t end) {
  return format(R"({{"dtype":"{}","shape":{},"data_offsets":[{},{}]}})", dtype, shape, begin, end);
}

Safetensors parse(const std::string& file) {
  static ExactBytes bytes("");
  bytes = ExactBytes(file);
  return parse_safetensors(bytes.bytes(), "m.safetensors");
}

const std::string small = with_header(
    R"({"__metadata__":{"format":"pt"},"a":)" + entry("F32", "[2,1]", 0, 8) + R"(,"b":)" +
        entry("U8", "[3]", 8, 11) + R"(,"none":)" + entry("BF16", "[0,4]", 11, 11) + R"(,"one":)" +
        entry("BOOL", "[]", 11, 12) + "}  ",
    "01234567abcX");

TEST(Safetensors, ReadsTheFormat) {
  const Safetensors file = parse(small);
  ASSERT_EQ(file.tensors.size(), 4u);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  const TensorView& a = file.tensors.at("a");
  EXPECT_EQ(a.dtype, DType::f32);
  EXPECT_EQ(a.shape, (Shape{2, 1}));
  EXPECT_EQ(text_of(a.bytes), "01234567");
  EXPECT_EQ(text_of(file.tensors.at("b").bytes), "abc");
  EXPECT_EQ(file.tensors.at("none").shape, (Shape{0, 4}));
  EXPECT_EQ(text_of(file.tensors.at("one").bytes), "X");
}

TEST(Safetensors, HeaderOrderNeedNotBeDataOrder) {
  const auto file = parse(with_header(
      R"({"b":)" + entry("U8", "[1]", 2, 3) + R"(,"a":)" + entry("U8", "[2]", 0, 2) + "}", "xyz"));
  EXPECT_EQ(text_of(file.tensors.at("b").bytes), "z");
}

TEST(Safetensors, WritesAndReads) {
  const TempDirectory dir;
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<uint8_t> flags = {7, 8, 9};
  const std::vector<int64_t> step = {42};
  const std::vector<NamedTensor> tensors = {
      {{"z.flags", DType::u8, {3}}, std::as_bytes(std::span(flags))},
      {{"w \"1\"", DType::f32, {2, 3}}, std::as_bytes(std::span(weight))},
      {{"empty", DType::bf16, {0}}, {}},
      {{"step", DType::i64, {}}, std::as_bytes(std::span(step))}};
  const FileDigest digest = write_safetensors(dir / "m", tensors, {{"k", "v"}});
  const SafetensorsFile file(dir / "m");
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const NamedTensor& t : tensors) {
    const TensorView& read = file.tensor(t.spec.name);
    EXPECT_EQ(read.dtype, t.spec.dtype);
    EXPECT_EQ(read.shape, t.spec.shape);
    EXPECT_EQ(text_of(read.bytes), text_of(t.bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(read.bytes.data()) % dtype_size(read.dtype), 0u);
  }
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("step").bytes.data()) % 64, 0u);
  EXPECT_EQ(file.metadata().at("k"), "v");
  const MappedFile whole(dir / "m");
  EXPECT_EQ(digest.bytes, whole.size());
  EXPECT_EQ(digest.sha256, sha256(whole.bytes()));
  EXPECT_ERROR(data, "has no tensor \"q\" among its 4", file.tensor("q"));
}

TEST(Safetensors, StreamedPiecesGiveTheSameFile) {
  const TempDirectory dir;
  const std::string data = "0123456789";
  const TensorSpec spec{"t", DType::u8, {10}};
  const FileDigest once = write_safetensors(dir / "a", {{spec, as_bytes(data)}});
  SafetensorsWriter writer(dir / "b", {spec});
  for (const char& c : data) writer.write(as_bytes({&c, 1}));
  EXPECT_ERROR(internal, "11 of 10", writer.write(as_bytes("x")));
  SafetensorsWriter again(dir / "c", {spec});
  again.write(as_bytes(data.substr(0, 9)));
  EXPECT_ERROR(internal, "9 of 10", again.commit());
  again.write(as_bytes(data.substr(9)));
  EXPECT_EQ(again.commit().sha256, once.sha256);
}

TEST(Safetensors, WriterRefusesWhatItCouldNotRead) {
  const TempDirectory dir;
  const auto write = [&](const std::string& a, const std::string& b) {
    write_safetensors(dir / "m", {{{a, DType::u8, {0}}, {}}, {{b, DType::u8, {0}}, {}}});
  };
  EXPECT_ERROR(user, "two tensors are named \"a\"", write("a", "a"));
  EXPECT_ERROR(user, "cannot name a tensor", write("a", "__metadata__"));
  EXPECT_ERROR(user, "cannot name a tensor", write("a", "\xFF"));
  EXPECT_ERROR(user, "cannot name a tensor", write("a", std::string(4097, 'x')));
  EXPECT_TRUE(list_directory(dir.path()).empty());
  EXPECT_NO_THROW(write("a", std::string(4096, 'x')));
}

TEST(Safetensors, CutAnywhereIsRefused) {
  testing::for_each_truncation(small, [](Bytes file, const std::string& how) {
    EXPECT_FALSE(testing::accepts([&] { parse_safetensors(file, "m"); })) << how;
  });
}

// A flipped bit in a name or a metadata value gives another valid file; then every extent must
// still lie in the data.
TEST(Safetensors, AnyFlippedHeaderBitIsRefusedOrConsistent) {
  int refused = 0, accepted = 0;
  testing::for_each_bit_flip(small, small.size() - 12, [&](Bytes file, const std::string& how) {
    const bool ok = testing::accepts([&] {
      for (const auto& [name, t] : parse_safetensors(file, "m").tensors) {
        EXPECT_EQ(t.bytes.size(), size_t(t.shape.elements()) * dtype_size(t.dtype)) << how;
        EXPECT_GE(t.bytes.data(), file.data()) << how;
        EXPECT_LE(t.bytes.data() + t.bytes.size(), file.data() + file.size()) << how;
      }
    });
    ++(ok ? accepted : refused);
  });
  EXPECT_GT(refused, 10 * accepted);
}

struct Hostile {
  std::string header, data, sentence;
};

TEST(Safetensors, HostileHeaders) {
  const std::string two31 = "2147483648", two32 = "4294967296", two62 = "4611686018427387904",
                    two63 = "9223372036854775808", max64 = "18446744073709551615";
  const auto one = [](const std::string& e) { return R"({"a":)" + e + "}"; };
  const auto raw = [&](const std::string& shape, const std::string& offsets) {
    return one(R"({"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}");
  };
  const std::vector<Hostile> cases = {
      {" {}", "", "starts with '{'"},
      {"[]", "", "starts with '{'"},
      {"", "", "starts with '{'"},
      {"{}", "x", "the tensors end at byte 0 of the data, but the file goes on to 1"},
      {"{}}", "", "not valid JSON"},
      {"{\"a\":NaN}", "", "not valid JSON"},
      {"{\"\xFF\":{}}", "", "not valid JSON"},
      {one("1"), "", "must be a JSON object, got 1"},
      {one("{}"), "", "\"data_offsets\" is missing"},
      {one(std::string(1000, '[')), "", "nested deeper"},
      {raw("[1]", "[0,4]") + " ", "0123 and more", "goes on to"},
      {raw("[1]", "[0,4]"), "012", "is it cut off?"},
      {raw("[1]", "[0,5]"), "01234", "takes 4 bytes, but data_offsets are 0 and 5"},
      {raw("[1]", "[4,0]"), "0123", "takes 4 bytes"},
      {raw("[1]", "[1,5]"), "01234",
       "starts at byte 1 of the data, but the tensors before it end at 0"},
      {raw("[1]", "[0,4,4]"), "0123", "must be an array of at most 2 items"},
      {raw("[1]", "[0]"), "0123", "must be an array of two integers"},
      {raw("[1]", "[0,-4]"), "0123", "data_offsets must hold integers"},
      {raw("[1]", "[0,4.0]"), "0123", "data_offsets must hold integers"},
      {raw("[1]", "[0,\"4\"]"), "0123", "data_offsets must hold integers"},
      {raw("[-1]", "[0,4]"), "0123", "shape must hold integers"},
      {raw("[1.0]", "[0,4]"), "0123", "shape must hold integers"},
      {raw("[1e0]", "[0,4]"), "0123", "shape must hold integers"},
      {raw("[1,1,1,1,1,1,1,1,1]", "[0,4]"), "0123", "at most 8 items"},
      {raw("[" + two63 + "]", "[0,4]"), "0123", "shape must hold integers"},
      {raw("[" + max64 + "0]", "[0,4]"), "0123", "does not fit 64 bits"},
      {raw("[" + two62 + "]", "[0,0]"), "", "more bytes than 63 bits"},
      {raw("[" + two62 + ",4]", "[0,0]"), "", "more bytes than 63 bits"},
      {raw("[" + two32 + "," + two32 + "]", "[0,0]"), "", "more bytes than 63 bits"},
      {raw("[0," + two62 + "," + two62 + "]", "[0,0]"), "", "more bytes than 63 bits"},
      {raw("[" + two31 + "]", "[0,8589934592]"), "0123", "is it cut off?"},
      {raw("[0]", "[" + max64 + "," + max64 + "]"), "", "starts at byte"},
      {raw("[1]", "[18446744073709551612,0]"), "", "takes 4 bytes"},
      {one(R"({"dtype":"F8","shape":[1],"data_offsets":[0,1]})"), "0", "one of F64, F32"},
      {one(R"({"dtype":"f32","shape":[1],"data_offsets":[0,4]})"), "0123", "one of F64, F32"},
      {one(R"({"dtype":1,"shape":[1],"data_offsets":[0,1]})"), "0", "must be a string"},
      {one(R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})"), "0", "must be an array"},
      {one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1})"), "0", "unknown key \"x\""},
      {R"({"a":)" + entry("U8", "[2]", 0, 2) + R"(,"b":)" + entry("U8", "[2]", 1, 3) + "}", "012",
       "tensor \"b\" starts at byte 1 of the data, but the tensors before it end at 2"},
      {R"({"a":)" + entry("U8", "[2]", 0, 2) + R"(,"b":)" + entry("U8", "[2]", 0, 2) + "}", "01",
       "starts at byte 0"},
      {R"({"a":)" + entry("U8", "[1]", 0, 1) + R"(,"b":)" + entry("U8", "[1]", 2, 3) + "}", "012",
       "starts at byte 2"},
      {R"({"a":)" + entry("U8", "[1]", 0, 1) + R"(,"a":)" + entry("U8", "[1]", 1, 2) + "}", "01",
       "the key \"a\" appears twice"},
      {R"({"__metadata__":1})", "", "__metadata__ must be an object"},
      {R"({"__metadata__":{"a":1}})", "", "must be a string"},
      {R"({")" + std::string(4097, 'n') + R"(":)" + entry("U8", "[0]", 0, 0) + "}", "",
       "the name has 4097 bytes"},
  };
  for (const Hostile& c : cases)
    EXPECT_ERROR(data, c.sentence, parse(with_header(c.header, c.data)));
}

TEST(Safetensors, HostileHeaderLengths) {
  for (const uint64_t length :
       {uint64_t(3), uint64_t(100'000'001), uint64_t(1) << 31, uint64_t(1) << 32, uint64_t(1) << 63,
        UINT64_MAX, UINT64_MAX - 7, UINT64_MAX - 8}) {
    std::string file = with_header("{}");
    std::memcpy(file.data(), &length, 8);
    EXPECT_ERROR(data, "the header claims", parse(file));
  }
  EXPECT_ERROR(data, "has 7 bytes", parse("1234567"));
  EXPECT_TRUE(parse(with_header("{}")).tensors.empty());
}

TEST(Safetensors, SentencesNameTheFile) {
  const TempDirectory dir;
  write_file_atomic(dir / "m", "not one");
  EXPECT_ERROR(data, (dir / "m") + " has 7 bytes", SafetensorsFile(dir / "m"));
  EXPECT_ERROR(resource, "no such file", SafetensorsFile(dir / "no"));
}

TensorSpec any_tensor(const std::string& name) {
  const DType dtype = DType(*rc::gen::inRange(0, 8));
  Shape shape = Shape(std::vector<int64_t>(size_t(*rc::gen::inRange(0, max_rank + 1)), 1));
  for (int d = 0; d < std::min(shape.rank(), 4); ++d) shape[d] = *rc::gen::inRange<int64_t>(0, 5);
  return {name, dtype, shape};
}

RC_GTEST_PROP(Safetensors, WhatIsWrittenReadsTheSame, ()) {
  const TempDirectory dir;
  const auto names = *rc::gen::container<std::set<std::string>>(
      rc::gen::container<std::string>(rc::gen::inRange(' ', '~')));
  std::map<std::string, std::pair<TensorSpec, std::string>> written;
  std::vector<NamedTensor> tensors;
  for (const std::string& name : names) {
    const TensorSpec spec = any_tensor(name);
    std::string data(size_t(spec.shape.elements()) * dtype_size(spec.dtype), '\0');
    for (char& c : data) c = char(*rc::gen::inRange(0, spec.dtype == DType::boolean ? 2 : 256));
    written[name] = {spec, data};
  }
  for (const auto& [name, tensor] : written)
    tensors.push_back({tensor.first, as_bytes(tensor.second)});
  const std::map<std::string, std::string> metadata = {{"made by", "\"x\"\n"}};
  write_safetensors(dir / "m.safetensors", tensors, metadata);
  const SafetensorsFile file(dir / "m.safetensors");
  RC_ASSERT(file.metadata() == metadata);
  RC_ASSERT(file.tensors().size() == written.size());
  for (const auto& [name, tensor] : written) {
    const TensorView& read = file.tensor(name);
    RC_ASSERT(read.dtype == tensor.first.dtype && read.shape == tensor.first.shape);
    RC_ASSERT(text_of(read.bytes) == tensor.second);
  }
}

}  // namespace
}  // namespace weft
