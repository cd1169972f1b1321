#include "weft/train/dataset.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <set>

#include "tests/expect_error.h"
#include "tests/temp_directory.h"
#include "weft/base/json.h"
#include "weft/base/sha256.h"
#include "weft/text/bpe_train.h"
#include "weft/text/byte_alphabet.h"

namespace weft::train {
namespace {

using weft::testing::TempDirectory;

std::string decoded(const Dataset& data, const Documents& documents, int64_t document = 0) {
  const int64_t begin = documents.begin(document), end = documents.end(document);
  std::vector<int32_t> ids(size_t(end - begin));
  documents.tokens.copy(begin, ids);
  return data.tokenizer().decode(ids);
}
std::vector<std::string> all_decoded(const Dataset& data, const Documents& documents) {
  std::vector<std::string> texts;
  for (int64_t d = 0; d < documents.size(); ++d) texts.push_back(decoded(data, documents, d));
  return texts;
}

TEST(Dataset, SplitsByCharactersAsNanoGpt) {
  const TempDirectory dir;
  std::string text;
  for (int i = 0; i < 39; ++i) text += i % 2 ? "ä" : "b";  // int(39 * 0.9) = 35
  write_file_atomic(dir / "text", text);
  const DataInfo info = prepare({dir / "text", "char", 0.1, dir / "new/data"});
  EXPECT_EQ(info.vocab, 2);
  EXPECT_EQ(info.train.tokens, 35);
  EXPECT_EQ(info.val.tokens, 4);
  const Dataset data(dir / "new/data");
  EXPECT_EQ(data.info().train.bytes + data.info().val.bytes, int64_t(text.size()));
  EXPECT_EQ(decoded(data, data.train()) + decoded(data, data.val()), text);
  EXPECT_EQ(data.train().tokens[0], 0);  // "b" sorts before "ä"
  EXPECT_EQ(data.train().tokens[1], 1);
}

TEST(Dataset, DocumentsAreKeptApartAndSplitByThemselves) {
  const TempDirectory dir;
  std::filesystem::create_directory(dir / "texts");
  std::set<std::string> all;
  std::string lines;
  for (int i = 0; i < 300; ++i) {
    const std::string text = format("document ü {}", i);
    all.insert(text);
    if (i < 20)
      write_file_atomic(dir / format("texts/{}.txt", i), text);
    else
      lines += dump_json({{"text", text}}) + "\n";
  }
  write_file_atomic(dir / "texts/more.jsonl", lines);
  const auto val_of = [&](int64_t seed) {
    const DataInfo info = prepare({.text = dir / "texts",
                                   .tokenizer = "byte",
                                   .val_fraction = 0.2,
                                   .out = dir / "data",
                                   .seed = seed});
    const Dataset data(dir / "data");
    data.verify_checksums();
    const std::vector<std::string> train = all_decoded(data, data.train());
    std::vector<std::string> val = all_decoded(data, data.val());
    EXPECT_EQ(info.train.documents, int64_t(train.size()));
    EXPECT_EQ(info.val.documents, int64_t(val.size()));
    std::set<std::string> seen(train.begin(), train.end());
    seen.insert(val.begin(), val.end());
    EXPECT_EQ(seen, all);
    EXPECT_EQ(train.size() + val.size(), all.size());
    EXPECT_NEAR(double(val.size()), 60, 25);
    return val;
  };
  EXPECT_EQ(val_of(1), val_of(1));
  EXPECT_NE(val_of(1), val_of(2));
}

// Whatever the fraction, there is a document on either side; equal ones are on the same.
TEST(Dataset, NoSplitIsEmpty) {
  const TempDirectory dir;
  const auto split = [&](const std::vector<std::string>& texts, double fraction) {
    std::string lines;
    for (const std::string& text : texts) lines += dump_json({{"text", text}}) + "\n";
    write_file_atomic(dir / "x.jsonl", lines);
    const DataInfo info = prepare({dir / "x.jsonl", "byte", fraction, dir / "data"});
    return std::pair(info.train.documents, info.val.documents);
  };
  EXPECT_EQ(split({"one", "two", "three"}, 1e-9), std::pair(int64_t(2), int64_t(1)));
  EXPECT_EQ(split({"one", "two", "three"}, 1 - 1e-9), std::pair(int64_t(1), int64_t(2)));
  const auto [train, val] = split({"same", "other", "same", "same"}, 0.5);
  EXPECT_EQ(std::max(train, val), 3);
  EXPECT_ERROR(data, "all 2 documents of", split({"same", "same"}, 0.5));
}

// Between the tokens that the tokenizer wants around a text; a special token is no text.
TEST(Dataset, DocumentsEndWithTheTokenThatMeansIt) {
  const TempDirectory dir;
  std::string text;
  for (int i = 0; i < 100; ++i) text += format("line {}\n", i % 10);
  write_file_atomic(dir / "text", text);
  const DataInfo info = prepare({dir / "text", "bpe", 0.1, dir / "data", 260});
  const Dataset data(dir / "data");
  const TokenView tokens = data.val().tokens;
  EXPECT_EQ(tokens[tokens.size() - 1], 0);
  EXPECT_TRUE(decoded(data, data.val()).ends_with("line 9\n<|endoftext|>"));
  EXPECT_EQ(info.train.bytes + info.val.bytes, int64_t(text.size()));
  EXPECT_EQ(text_bytes(tokens, 0, tokens.size(), bytes_by_token(data.tokenizer())), info.val.bytes);
}

TEST(Dataset, LearnsAVocabularyAndTakesItAgain) {
  const TempDirectory dir;
  std::string text;
  for (int i = 0; i < 200; ++i) text += format("line {} of the text\n", i);
  write_file_atomic(dir / "text", text);
  const DataInfo learned = prepare({dir / "text", "bpe", 0.1, dir / "data", 264});
  EXPECT_EQ(learned.tokenizer, "bpe");
  EXPECT_EQ(learned.vocab, 264);
  const Dataset data(dir / "data");
  std::string both = decoded(data, data.train()) + decoded(data, data.val());
  for (size_t at; (at = both.find("<|endoftext|>")) != both.npos;) both.erase(at, 13);
  EXPECT_EQ(both, text);
  EXPECT_EQ(data.tokenizer().added_token("<|endoftext|>"), 0);
  const DataInfo again = prepare({dir / "text", dir / "data/tokenizer.json", 0.1, dir / "two"});
  EXPECT_EQ(again.train.sha256, learned.train.sha256);
}

// A GGUF file with the bytes as vocabulary.
std::string gguf_file(const std::string& model) {
  const auto raw = [](auto value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  };
  const auto text = [&](const std::string& s) { return raw(uint64_t(s.size())) + s; };
  const auto entry = [&](const std::string& key, uint32_t type, const std::string& value) {
    return text("tokenizer.ggml." + key) + raw(type) + value;
  };
  std::string tokens;
  for (int b = 0; b < 256; ++b) tokens += text(in_alphabet(std::string(1, char(b))));
  return "GGUF" + raw(uint32_t(3)) + raw(uint64_t(0)) + raw(uint64_t(5)) +
         entry("model", 8, text(model)) + entry("pre", 8, text("gpt-2")) +
         entry("tokens", 9, raw(uint32_t(8)) + raw(uint64_t(256)) + tokens) +
         entry("add_bos_token", 7, raw(true)) + entry("bos_token_id", 4, raw(uint32_t(7)));
}

// What a document spells is no special token.
TEST(Dataset, DocumentsStandBetweenStartAndEnd) {
  const TempDirectory dir;
  ThreadPool pool(1);
  const std::vector<std::string_view> train{"one two", "three <|endoftext|>"}, val{"two"};
  const std::string_view all = "one two three two";
  const auto tokenizer = train_bpe({&all, 1}, {.vocab_size = 258, .start = {0}}, pool);
  const DataInfo info = write_dataset(Texts(train), Texts(val), *tokenizer, dir / "data");
  EXPECT_EQ(info.train.documents, 2);
  EXPECT_EQ(info.train.bytes, 7 + 19);
  const Dataset data(dir / "data");
  const std::string mark = "<|endoftext|>";
  EXPECT_EQ(all_decoded(data, data.train()),
            (std::vector<std::string>{mark + "one two" + mark, mark + "three " + mark + mark}));
  std::vector<int32_t> ids(size_t(data.train().tokens.size()));
  data.train().tokens.copy(0, ids);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 0), 4);
  EXPECT_EQ(data.tokenizer().start_tokens(), std::vector<int32_t>{0});
}

TEST(Tokenizers, GgufFilesHaveVocabularies) {
  const TempDirectory dir;
  write_file_atomic(dir / "m.gguf", gguf_file("gpt2"));
  const auto tokenizer = read_tokenizer(dir / "m.gguf");
  EXPECT_EQ(tokenizer->encode("a b"), (std::vector<int32_t>{'a', ' ', 'b'}));
  EXPECT_EQ(tokenizer->start_tokens(), std::vector<int32_t>{7});
  write_file_atomic(dir / "s.gguf", gguf_file("llama"));
  EXPECT_ERROR(data, "the key \"tokenizer.ggml.scores\" is missing",
               read_tokenizer(dir / "s.gguf"));
  write_file_atomic(dir / "t.gguf", gguf_file("t5"));
  EXPECT_ERROR(data, "the tokenizer model \"t5\" is not supported", read_tokenizer(dir / "t.gguf"));
}

TEST(Dataset, PreparesAgainOverWhatIsThere) {
  const TempDirectory dir;
  write_dataset("abcabc", "abc", "char", dir / "data");
  write_dataset("xyzwxyzw", "xyzw", "char", dir / "data");
  EXPECT_EQ(Dataset(dir / "data").info().vocab, 4);
}

TEST(Dataset, RefusesTextThatIsNone) {
  const TempDirectory dir;
  const auto prepare_text = [&](const std::string& text) {
    write_file_atomic(dir / "text", text);
    return prepare({dir / "text", "char", 0.1, dir / "data"});
  };
  EXPECT_ERROR(data, "holds no text", prepare_text(""));
  EXPECT_ERROR(data, "too short", prepare_text("abcdefg"));
  EXPECT_ERROR(data, "no text file", prepare_text(std::string("ab\0cd", 5)));
  EXPECT_ERROR(data, "not UTF-8 at byte 3", prepare_text("abc\xff\xfe and so on"));
  EXPECT_ERROR(resource, "missing", prepare({dir / "missing", "char", 0.1, dir / "data"}));
  write_file_atomic(dir / "text", "some text that is long enough");
  EXPECT_ERROR(user, "char, byte, bpe or the path of a tokenizer.json, got \"word\"",
               prepare({dir / "text", "word", 0.1, dir / "data"}));
  EXPECT_ERROR(user, "must have 257 to 1048576 tokens, got 10",
               prepare({dir / "text", "bpe", 0.1, dir / "data", 10}));
  EXPECT_ERROR(user, "the text allows a vocabulary of at most",
               prepare({dir / "text", "bpe", 0.1, dir / "data", 5000}));
  EXPECT_ERROR(data, "is not valid JSON", prepare({dir / "text", dir / "text", 0.1, dir / "data"}));
  EXPECT_ERROR(user, "between 0 and 1, got 1.5",
               prepare({dir / "text", "char", 1.5, dir / "data"}));
  EXPECT_ERROR(user, "is a file, but a directory",
               prepare({dir / "text", "char", 0.2, dir / "text"}));
  EXPECT_ERROR(resource, "cannot create the directory",
               prepare({dir / "text", "char", 0.2, "/proc/no/data"}));
}

std::string uint16_ids(const std::vector<uint16_t>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), 2 * ids.size()};
}

TEST(Dataset, ReadsShardsOfNanoGptBesideATokenizer) {
  const TempDirectory dir;
  const std::string path = dir / "data";
  std::filesystem::create_directory(path);
  write_file_atomic(path + "/train.bin", uint16_ids({'H', 'i', ' ', 0xc3, 0xa4}));
  write_file_atomic(path + "/val.bin", uint16_ids({'b', 'y', 'e'}));
  EXPECT_ERROR(resource, "tokenizer.json is missing; put the tokenizer that the shards were made",
               Dataset{path});
  write_dataset("abc", "abc", "byte", dir / "bytes");
  std::filesystem::copy_file(dir / "bytes/tokenizer.json", path + "/tokenizer.json");
  const Dataset data(path);
  EXPECT_EQ(decoded(data, data.train()), "Hi ä");
  EXPECT_EQ(data.info().tokenizer, "byte");
  EXPECT_EQ(data.info().vocab, 256);
  EXPECT_EQ(data.info().val.tokens, 3);
  EXPECT_EQ(data.info().train.bytes, 5);
  EXPECT_EQ(data.info().val.sha256, to_hex(sha256(uint16_ids({'b', 'y', 'e'}))));
  data.verify_checksums();

  write_file_atomic(path + "/val.bin", uint16_ids({'b', 256}));
  EXPECT_ERROR(data, "holds the token 256, outside the vocabulary of 256", Dataset{path});
  write_file_atomic(path + "/val.bin", "odd");
  EXPECT_ERROR(data, "an even number", Dataset{path});
}

TEST(Dataset, RefusesAPreparationThatWasCutShort) {
  const TempDirectory dir;
  write_dataset("abcabc", "abc", "byte", dir / "data");
  std::filesystem::remove(dir / "data/meta.json");
  EXPECT_ERROR(resource, "meta.json is missing", Dataset{dir / "data"});
}

TEST(Dataset, RefusesWhatDoesNotBelongTogether) {
  const TempDirectory dir;
  const std::string path = dir / "data";
  EXPECT_ERROR(resource, "there is no directory", Dataset{path});
  std::filesystem::create_directory(path);
  EXPECT_ERROR(resource, "meta.json is missing", Dataset{path});
  write_dataset("abcdabcd", "abcd", "char", path);
  write_dataset("abcdabcd", "abcd", "char", dir / "other");
  write_dataset("dcbadcba", "abcd", "char", dir / "third");
  std::filesystem::copy_file(dir / "third/train.bin", path + "/train.bin",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_ERROR(data, "train.bin is not the file that meta.json beside it describes", Dataset{path});
  write_dataset("abababab", "abab", "char", path);
  std::filesystem::copy_file(dir / "other/tokenizer.json", path + "/tokenizer.json",
                             std::filesystem::copy_options::overwrite_existing);
  EXPECT_ERROR(data, "tokenizer.json has 4 tokens, but meta.json says 2", Dataset{path});
  write_dataset("abababab", "abab", "char", path);
  write_document_index(path + "/train.idx", std::vector<uint64_t>{3, 8});
  EXPECT_ERROR(data, "train.idx is not the file that meta.json beside it describes", Dataset{path});
  std::filesystem::remove(path + "/train.idx");
  EXPECT_ERROR(resource, "train.idx is missing", Dataset{path});
  write_dataset("abababab", "abab", "char", path);
  std::filesystem::remove(path + "/val.bin");
  EXPECT_ERROR(resource, "val.bin is missing", Dataset{path});
  std::ofstream(path + "/meta.json") << "{\"format\": 7}";
  EXPECT_ERROR(data, "\"format\" must be", Dataset{path});
}

}  // namespace
}  // namespace weft::train
