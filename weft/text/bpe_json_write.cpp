// Writes a byte-level BPE tokenizer as Hugging Face's tokenizer.json.
#include <algorithm>

#include "weft/base/json.h"
#include "weft/text/bpe.h"

namespace weft {
namespace {

constexpr const char* byte_level = "ByteLevel";

Json byte_level_json(bool add_prefix_space, bool use_regex) {
  return {{"type", byte_level},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json split_json(const SplitRule& rule) {
  if (rule.kind == SplitRule::Kind::digits)
    return {{"type", "Digits"}, {"individual_digits", rule.single_digits}};
  const bool literal = rule.kind == SplitRule::Kind::literal;
  const bool isolated = rule.keep_matches && rule.keep_gaps;
  return {{"type", "Split"},
          {"pattern", {{literal ? "String" : "Regex", rule.pattern}}},
          {"behavior", isolated ? "Isolated" : "Removed"},
          {"invert", !rule.keep_gaps}};
}

Json sequence_or_one(Json::array_t steps, const char* list) {
  if (steps.size() == 1) return std::move(steps[0]);
  Json sequence = {{"type", "Sequence"}};
  sequence[list] = std::move(steps);
  return sequence;
}

Json pre_tokenizer_json(const BpeParts& parts) {
  Json::array_t steps;
  const auto& splits = parts.splits;
  const bool use_regex = splits.size() == 1 && splits[0].kind == SplitRule::Kind::pattern &&
                         splits[0].pattern == gpt2_pattern && splits[0].keep_gaps &&
                         splits[0].keep_matches;
  if (!use_regex)
    for (const SplitRule& rule : splits) steps.push_back(split_json(rule));
  steps.push_back(byte_level_json(parts.add_prefix_space, use_regex));
  return sequence_or_one(std::move(steps), "pretokenizers");
}

Json normalizer_json(const BpeParts& parts) {
  constexpr const char* names[] = {"NFC", "NFD", "NFKC", "NFKD"};
  Json::array_t steps;
  for (const NormalForm form : parts.normal_forms) steps.push_back({{"type", names[int(form)]}});
  return steps.empty() ? Json() : sequence_or_one(std::move(steps), "normalizers");
}

Json added_json(const BpeParts& parts) {
  std::vector<AddedToken> added = parts.added;
  std::ranges::sort(added, {}, &AddedToken::id);
  Json list = Json::array();
  for (const AddedToken& token : added)
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  return list;
}

Json post_processor_json(const BpeParts& parts) {
  Json processor = byte_level_json(true, true);
  if (parts.start.empty() && parts.end.empty()) return processor;
  Json specials = Json::object();
  const auto around = [&](Json& sequence, const std::vector<int32_t>& ids, int type) {
    for (const int32_t id : ids) {
      const std::string& name = parts.tokens[size_t(id)];
      sequence.push_back({{"SpecialToken", {{"id", name}, {"type_id", type}}}});
      specials[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
    }
  };
  const auto one = [&](Json& sequence, const char* name, int type) {
    around(sequence, parts.start, type);
    sequence.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    around(sequence, parts.end, type);
  };
  Json single = Json::array(), pair = Json::array();
  one(single, "A", 0), one(pair, "A", 0), one(pair, "B", 1);
  Json text = {{"type", "TemplateProcessing"}};
  text["single"] = single, text["pair"] = pair, text["special_tokens"] = specials;
  return sequence_or_one({processor, text}, "processors");
}

// "a b", which every version reads. No token of a rule has a space: the byte alphabet has none.
Json merge_json(const BpeParts& parts, const BpeRule& rule) {
  return parts.tokens[size_t(rule.left)] + " " + parts.tokens[size_t(rule.right)];
}

Json model_json(const BpeParts& parts) {
  Json vocab = Json::object();
  // The vector under ordered_map: its own emplace would search all keys first.
  std::vector<std::pair<const std::string, Json>>& entries = vocab.get_ref<Json::object_t&>();
  for (size_t id = 0; id < parts.tokens.size(); ++id)
    if (!parts.tokens[id].empty()) entries.emplace_back(parts.tokens[id], id);
  Json::array_t merges;
  for (const BpeRule& rule : parts.rules) merges.push_back(merge_json(parts, rule));
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", parts.ignore_merges}};
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  return model;
}

}  // namespace

Json BpeTokenizer::to_json() const {
  Json json = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  json["added_tokens"] = added_json(parts_);
  json["normalizer"] = normalizer_json(parts_);
  json["pre_tokenizer"] = pre_tokenizer_json(parts_);
  json["post_processor"] = post_processor_json(parts_);
  json["decoder"] = byte_level_json(true, true);
  json["model"] = model_json(parts_);
  return json;
}

}  // namespace weft
