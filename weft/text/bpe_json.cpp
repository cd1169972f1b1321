// Hugging Face's tokenizer.json for byte-level BPE. What the library would do and Weft does not is
// refused by name; padding and truncation, which are about batches, are left to others.
#include <algorithm>
#include <unordered_map>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"

namespace weft {
namespace {

constexpr size_t max_tokens = size_t(1) << 20, max_rules = size_t(1) << 21;
constexpr int64_t max_id = (int64_t(1) << 24) - 1;
constexpr size_t max_steps = 64;

bool is_null(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null();
}

// Above 2^63 an integer is negative here, and refused as such.
bool is_id(const Json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= max_id;
}

// Reads one file, field by field, into parts.
class Reader {
 public:
  Reader(const Json& json, const std::string& what) : json_(json), what_(what), file_(json, what) {}

  std::unique_ptr<BpeTokenizer> read() {
    read_model();
    read_added_tokens();
    if (!is_null(json_, "normalizer")) read_normalizer(file_.object("normalizer"));
    if (is_null(json_, "pre_tokenizer")) refuse_kind("pre_tokenizer", "null", "ByteLevel");
    read_pre_tokenizer(file_.object("pre_tokenizer"), json_["pre_tokenizer"]);
    if (!byte_level_) refuse_kind("pre_tokenizer", "without ByteLevel", "ByteLevel");
    if (!is_null(json_, "post_processor")) read_post_processor(file_.object("post_processor"));
    if (!is_null(json_, "decoder")) read_decoder(file_.object("decoder"));
    return std::make_unique<BpeTokenizer>(std::move(parts_), what_);
  }

 private:
  [[noreturn]] void refuse_kind(std::string_view step, std::string_view kind,
                                std::string_view known) const {
    data_error("{}: the {} {} is not supported; Weft has byte-level BPE with {}", what_, step,
               in_quotes(kind), known);
  }

  // The model.
  void read_model() {
    const JsonReader model = file_.object("model");
    const Json& json = json_["model"];
    const std::string kind = is_null(json, "type") ? "BPE" : model.string("type");
    if (kind != "BPE") refuse_kind("model", kind, "BPE");
    if (!is_null(json, "dropout") && model.number("dropout", 0, 1) != 0)
      model.refuse("dropout", "null; ids would depend on chance");
    for (const char* const affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!is_null(json, affix) && !model.string(affix).empty())
        model.refuse(affix, "null; bytes have no affixes");
    if (!is_null(json, "byte_fallback") && model.boolean("byte_fallback"))
      model.refuse("byte_fallback", "false; SentencePiece models are not supported");
    if (!is_null(json, "ignore_merges")) parts_.ignore_merges = model.boolean("ignore_merges");
    model.object("vocab");  // refuses what is none
    read_vocab(json["vocab"]);
    read_merges(model.array("merges", max_rules));
  }
  void read_vocab(const Json& vocab) {
    const auto& entries = vocab.get_ref<const Json::object_t&>();
    if (entries.size() > max_tokens)
      data_error("{}: \"model.vocab\" has {} tokens, at most {} are allowed", what_, entries.size(),
                 max_tokens);
    for (const auto& [token, id] : entries) {
      if (!is_id(id))
        data_error("{}: the id of the token {} must be an integer from 0 to {}, got {}", what_,
                   in_quotes(token), max_id, in_quotes(dump_json(id)));
      place(id.get<uint64_t>(), token);
    }
  }
  // Gives an id that is still free to a token.
  void place(size_t id, const std::string& token) {
    if (token.empty()) data_error("{}: the token with the id {} is empty", what_, id);
    if (id >= parts_.tokens.size()) parts_.tokens.resize(id + 1);
    std::string& entry = parts_.tokens[id];
    if (!entry.empty())
      data_error("{}: the id {} is both {} and {}", what_, id, in_quotes(entry), in_quotes(token));
    entry = token;
  }
  void read_merges(const Json& merges) {
    std::vector<SpelledRule> rules;
    rules.reserve(merges.size());
    for (const Json& merge : merges) {
      if (merge.is_string()) {
        const std::string_view text = merge.get_ref<const std::string&>();
        const size_t space = text.find(' ');
        if (space != text.npos && text.find(' ', space + 1) == text.npos) {
          rules.push_back({text.substr(0, space), text.substr(space + 1)});
          continue;
        }
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                 merge[1].is_string()) {
        rules.push_back(
            {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()});
        continue;
      }
      data_error("{}: merge {} must be two tokens, \"a b\" or [\"a\", \"b\"], got {}", what_,
                 rules.size(), in_quotes(dump_json(merge)));
    }
    parts_.rules = resolve_rules(rules, parts_.tokens, what_);
  }

  void read_added_tokens() {
    if (is_null(json_, "added_tokens")) return;
    const Json& list = file_.array("added_tokens", max_tokens);
    std::unordered_map<std::string_view, size_t> ids;
    for (size_t id = 0; id < parts_.tokens.size(); ++id)
      if (!parts_.tokens[id].empty()) ids.emplace(parts_.tokens[id], id);
    std::vector<std::string> contents;
    for (size_t i = 0; i < list.size(); ++i) {
      const JsonReader entry = file_.item("added_tokens", i);
      AddedToken token;
      token.id = int32_t(entry.integer("id", 0, max_id));
      token.content = entry.string("content", BpeTokenizer::max_added_bytes);
      token.special = entry.boolean_or("special", false);
      token.normalized = entry.boolean_or("normalized", !token.special);
      token.single_word = entry.boolean_or("single_word", false);
      token.lstrip = entry.boolean_or("lstrip", false);
      token.rstrip = entry.boolean_or("rstrip", false);
      const auto known = ids.find(token.content);
      if (known != ids.end() && known->second != size_t(token.id))
        data_error("{}: the token {} has the id {} in the vocabulary and {} among the added ones",
                   what_, in_quotes(token.content), known->second, token.id);
      parts_.added.push_back(std::move(token));
    }
    place_added(ids);
  }
  void place_added(const std::unordered_map<std::string_view, size_t>& in_vocab) {
    std::unordered_map<std::string_view, int32_t> seen;
    std::vector<const AddedToken*> new_ones;
    for (const AddedToken& token : parts_.added) {
      if (!seen.emplace(token.content, token.id).second)
        data_error("{}: the added token {} appears twice", what_, in_quotes(token.content));
      if (!in_vocab.contains(token.content)) new_ones.push_back(&token);
    }
    for (const AddedToken* token : new_ones) place(size_t(token->id), token->content);
  }

  void read_normalizer(const JsonReader& step) {
    const std::string& kind = step.string("type");
    if (kind == "Sequence") {
      const size_t steps = step.array("normalizers", max_steps).size();
      for (size_t i = 0; i < steps; ++i) read_normalizer(step.item("normalizers", i));
      return;
    }
    constexpr std::pair<std::string_view, NormalForm> forms[] = {{"NFC", NormalForm::nfc},
                                                                 {"NFD", NormalForm::nfd},
                                                                 {"NFKC", NormalForm::nfkc},
                                                                 {"NFKD", NormalForm::nfkd}};
    for (const auto& [name, form] : forms)
      if (name == kind) return parts_.normal_forms.push_back(form);
    refuse_kind("normalizer", kind, "NFC, NFD, NFKC, NFKD and sequences of them");
  }

  void read_pre_tokenizer(const JsonReader& step, const Json& json) {
    const std::string& kind = step.string("type");
    if (kind == "Sequence") {
      const Json& list = step.array("pretokenizers", max_steps);
      for (size_t i = 0; i < list.size(); ++i)
        read_pre_tokenizer(step.item("pretokenizers", i), list[i]);
      return;
    }
    if (byte_level_) step.refuse("type", "nothing; ByteLevel is the last pre-tokenizer");
    if (parts_.splits.size() >= max_steps)
      data_error("{}: more than {} pre-tokenizers", what_, max_steps);
    if (kind == "Split")
      parts_.splits.push_back(read_split(step, json));
    else if (kind == "Digits")
      parts_.splits.push_back({.kind = SplitRule::Kind::digits,
                               .single_digits = step.boolean_or("individual_digits", false)});
    else if (kind == "ByteLevel")
      read_byte_level(step);
    else
      refuse_kind("pre_tokenizer", kind, "ByteLevel, Split, Digits and sequences of them");
  }
  void read_byte_level(const JsonReader& step) {
    byte_level_ = true;
    parts_.add_prefix_space = step.boolean_or("add_prefix_space", true);
    if (parts_.add_prefix_space && !parts_.splits.empty())
      step.refuse("add_prefix_space", "false after other pre-tokenizers");
    if (step.boolean_or("use_regex", true))
      parts_.splits.push_back({.pattern = std::string(gpt2_pattern)});
  }
  SplitRule read_split(const JsonReader& step, const Json& json) const {
    SplitRule rule;
    const JsonReader pattern = step.object("pattern");
    const bool literal = pattern.has("String");
    rule.kind = literal ? SplitRule::Kind::literal : SplitRule::Kind::pattern;
    rule.pattern = pattern.string(literal ? "String" : "Regex", size_t(1) << 16);
    const std::string& behavior = step.string("behavior");
    const bool invert = !is_null(json, "invert") && step.boolean("invert");
    if (behavior == "Removed")
      (invert ? rule.keep_gaps : rule.keep_matches) = false;
    else if (behavior != "Isolated")
      refuse_kind("Split behavior", behavior, "Isolated and Removed");
    return rule;
  }

  void read_post_processor(const JsonReader& step) {
    const std::string& kind = step.string("type");
    if (kind == "Sequence") {
      const size_t steps = step.array("processors", max_steps).size();
      for (size_t i = 0; i < steps; ++i) read_post_processor(step.item("processors", i));
    } else if (kind == "TemplateProcessing") {
      read_template(step);
    } else if (kind != "ByteLevel") {  // which is about offsets only
      refuse_kind("post_processor", kind, "ByteLevel, TemplateProcessing and sequences of them");
    }
  }
  void read_template(const JsonReader& step) {
    const Json& list = step.array("single", max_steps);
    bool text_seen = false;
    for (size_t i = 0; i < list.size(); ++i) {
      const JsonReader item = step.item("single", i);
      if (item.has("Sequence")) {
        if (text_seen) step.refuse("single", "a template with one sequence");
        text_seen = true;
        continue;
      }
      const std::string& name = item.object("SpecialToken").string("id");
      const JsonReader token = step.object("special_tokens").object(name);
      const Json& ids = token.array("ids", max_steps);
      for (const Json& id : ids) {
        if (!is_id(id)) token.refuse("ids", "ids of tokens");
        (text_seen ? parts_.end : parts_.start).push_back(id.get<int32_t>());
      }
    }
    if (!text_seen) step.refuse("single", "a template with one sequence");
  }

  void read_decoder(const JsonReader& step) const {
    const std::string& kind = step.string("type");
    if (kind != "ByteLevel") refuse_kind("decoder", kind, "ByteLevel");
  }

  const Json& json_;
  const std::string& what_;
  JsonReader file_;
  BpeParts parts_;
  bool byte_level_ = false;
};

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

std::unique_ptr<BpeTokenizer> bpe_from_json(const Json& json, const std::string& what) {
  return Reader(json, what).read();
}

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
