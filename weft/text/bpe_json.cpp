// Reads Hugging Face's tokenizer.json: byte-level BPE, and SentencePiece's with byte fallback. What
// the library would do and Weft does not is refused by name; padding and truncation, which are
// about batches, are left to others.
#include <algorithm>
#include <unordered_map>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"
#include "weft/text/spm.h"

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

  std::unique_ptr<Tokenizer> read() {
    read_model();
    read_added_tokens();
    if (!is_null(json_, "post_processor")) read_post_processor(file_.object("post_processor"));
    if (byte_fallback_)
      return std::make_unique<SpmTokenizer>(spm_from_json(json_, what_, std::move(parts_)), what_);
    if (!is_null(json_, "normalizer")) read_normalizer(file_.object("normalizer"));
    if (is_null(json_, "pre_tokenizer")) refuse_kind("pre_tokenizer", "null", "ByteLevel");
    read_pre_tokenizer(file_.object("pre_tokenizer"), json_["pre_tokenizer"]);
    if (!byte_level_) refuse_kind("pre_tokenizer", "without ByteLevel", "ByteLevel");
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
    if (!is_null(json, "byte_fallback")) byte_fallback_ = model.boolean("byte_fallback");
    if (!is_null(json, "ignore_merges")) parts_.ignore_merges = model.boolean("ignore_merges");
    if (byte_fallback_ && parts_.ignore_merges)
      model.refuse("ignore_merges", "false beside byte_fallback");
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
  bool byte_level_ = false, byte_fallback_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_hugging_face(const Json& json, const std::string& what) {
  return Reader(json, what).read();
}

}  // namespace weft
