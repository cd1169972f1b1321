// Ids equal to those of Hugging Face's tokenizers library; tools/oracles/tokenizer_ids.py made the
// cases. WEFT_TOKENIZER_CASES names another folder of them, with more strings.
#include <cstdlib>
#include <gtest/gtest.h>

#include "weft/base/file.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"

namespace weft {
namespace {

std::string cases_folder() {
  const char* const folder = std::getenv("WEFT_TOKENIZER_CASES");
  return folder != nullptr ? folder : "tests/fixtures/tokenizers";
}

struct Count {
  size_t cases = 0, ids = 0, decoded = 0;  // that differ
};

Count compare(const Tokenizer& tokenizer, const std::string& cases) {
  Count count;
  for (size_t at = 0; at < cases.size();) {
    const size_t end = cases.find('\n', at);
    Json json = parse_json(std::string_view(cases).substr(at, end - at), "case");
    at = end + 1;
    const auto& text = json["text"].get_ref<const std::string&>();
    const auto ids = tokenizer.encode(text);
    ++count.cases;
    const bool same = ids == json["ids"].get<std::vector<int32_t>>();
    count.ids += !same;
    if (!same && count.ids <= 3)
      ADD_FAILURE() << in_quotes(text) << "\ngot " << dump_json(Json(ids)) << "\nnot "
                    << dump_json(json["ids"]);
    const std::string& decoded =
        (json.contains("decoded") ? json["decoded"] : json["text"]).get_ref<const std::string&>();
    count.decoded += replace_invalid_utf8(tokenizer.decode(ids)) != decoded;
  }
  return count;
}

TEST(TokenizerOracle, IdsAreThoseOfTheTokenizersLibrary) {
  const std::string folder = cases_folder(), suffix = ".tokenizer.json";
  size_t tokenizers = 0;
  for (const DirectoryEntry& entry : list_directory(folder)) {
    if (!entry.name.ends_with(suffix)) continue;
    const std::string name = entry.name.substr(0, entry.name.size() - suffix.size());
    const auto tokenizer = load_tokenizer(folder + "/" + entry.name);
    const std::string cases = read_file(folder + "/" + name + ".cases.jsonl", uint64_t(1) << 32);
    const Count count = compare(*tokenizer, cases);
    EXPECT_EQ(count.ids, 0u) << name << ": of " << count.cases << " texts";
    EXPECT_EQ(count.decoded, 0u) << name << ": of " << count.cases << " texts";
    EXPECT_GT(count.cases, 0u) << name;
    ++tokenizers;
  }
  EXPECT_GE(tokenizers, 5u);
}

}  // namespace
}  // namespace weft
