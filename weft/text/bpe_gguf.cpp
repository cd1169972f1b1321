// The vocabulary of a GGUF file, whose pre-tokenizers have names.
#include <algorithm>
#include <span>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"

namespace weft {
namespace {

std::vector<SplitRule> rules_of(std::span<const std::string_view> patterns) {
  std::vector<SplitRule> rules;
  for (const std::string_view pattern : patterns)
    rules.push_back({.pattern = std::string(pattern)});
  return rules;
}

// Names as llama.cpp gives them (src/llama-vocab.cpp).
std::vector<SplitRule> splits_of(std::string_view pre, const std::string& what) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), pre) != names.end();
  };
  if (is_one_of({"gpt-2", "phi-2", "roberta-bpe", "olmo"})) return rules_of({&gpt2_pattern, 1});
  if (is_one_of({"llama3", "llama-v3", "llama-bpe"})) return rules_of({&llama3_pattern, 1});
  if (is_one_of({"qwen2", "deepseek-r1-qwen"})) return rules_of({&qwen2_pattern, 1});
  if (is_one_of({"gpt-4o", "llama4"})) return rules_of({&o200k_pattern, 1});
  if (pre == "deepseek-v3") return rules_of(deepseek3_patterns);
  if (pre == "deepseek-coder") {
    std::vector<SplitRule> rules = rules_of(deepseek_coder_patterns);
    rules.push_back({.kind = SplitRule::Kind::digits, .single_digits = true});
    return rules;
  }
  data_error(
      "{}: the pre-tokenizer {} is not supported; Weft has gpt-2, llama-bpe, qwen2, gpt-4o, "
      "deepseek-v3 and deepseek-coder",
      what, in_quotes(pre));
}

constexpr int64_t control_type = 3, user_defined_type = 4;

std::vector<AddedToken> added_of(const GgufVocabulary& vocabulary, const std::string& what) {
  if (!vocabulary.types.empty() && vocabulary.types.size() != vocabulary.tokens.size())
    data_error("{}: {} tokens have {} types", what, vocabulary.tokens.size(),
               vocabulary.types.size());
  std::vector<AddedToken> added;
  for (size_t id = 0; id < vocabulary.types.size(); ++id) {
    const int64_t type = vocabulary.types[id];
    if (type == control_type || type == user_defined_type)
      added.push_back(
          {.id = int32_t(id), .content = vocabulary.tokens[id], .special = type == control_type});
  }
  return added;
}

std::vector<SpelledRule> rules_of(const std::vector<std::string>& merges, const std::string& what) {
  std::vector<SpelledRule> rules;
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ', 1);  // a token is not empty
    if (space == merge.npos)
      data_error("{}: merge {} must be two tokens, \"a b\", got {}", what, rules.size(),
                 in_quotes(merge));
    rules.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return rules;
}

}  // namespace

std::unique_ptr<BpeTokenizer> bpe_from_gguf(GgufVocabulary vocabulary, const std::string& what) {
  if (vocabulary.model != "gpt2")
    data_error("{}: the tokenizer model {} is not supported; Weft has byte-level BPE (gpt2)", what,
               in_quotes(vocabulary.model));
  BpeParts parts;
  parts.splits = splits_of(vocabulary.pre, what);
  parts.added = added_of(vocabulary, what);
  parts.rules = resolve_rules(rules_of(vocabulary.merges, what), vocabulary.tokens, what);
  parts.tokens = std::move(vocabulary.tokens);
  if (vocabulary.start) parts.start = {*vocabulary.start};
  if (vocabulary.end) parts.end = {*vocabulary.end};
  return std::make_unique<BpeTokenizer>(std::move(parts), what);
}

}  // namespace weft
