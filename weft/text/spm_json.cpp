// SentencePiece's part of a Hugging Face tokenizer.json: where spaces become marks, by normalizers
// (Llama 2 as it was converted first, Gemma) or by the pre-tokenizer Metaspace (newer files).
#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"
#include "weft/text/spm.h"

namespace weft {
namespace {

constexpr std::string_view mark = "\u2581";
constexpr size_t max_steps = 64;

class SpacesReader {
 public:
  SpacesReader(const Json& json, const std::string& what) : what_(what), file_(json, what) {
    each(json, "normalizer", "normalizers", [&](const JsonReader& s) { read_normalizer(s); });
    each(json, "pre_tokenizer", "pretokenizers",
         [&](const JsonReader& s) { read_pre_tokenizer(s); });
    each(json, "decoder", "decoders", [&](const JsonReader& s) { read_decoder(s); });
    if (!marked_)
      data_error(
          "{}: no step turns spaces into {}, which a model with byte_fallback needs: a normalizer "
          "Replace or the pre-tokenizer Metaspace",
          what, in_quotes(mark));
  }
  SpmSpaces spaces() const { return spaces_; }

 private:
  // The step `key`, or each of its sequence.
  template <class Read>
  void each(const Json& json, const char* key, const char* list, const Read& read) const {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) return;
    const JsonReader step = file_.object(key);
    if (step.string("type") != "Sequence") return read(step);
    const size_t steps = step.array(list, max_steps).size();
    for (size_t i = 0; i < steps; ++i) read(step.item(list, i));
  }

  void read_normalizer(const JsonReader& step) {
    const std::string& kind = step.string("type");
    if (marked_) step.refuse("type", "nothing; spaces become marks in the last normalizer");
    if (kind == "Prepend") {
      if (prepends_) step.refuse("type", "Replace; a mark is put in front already");
      if (step.string("prepend") != mark) step.refuse("prepend", in_quotes(mark));
      spaces_.front = SpmSpaces::Front::every_section;
      prepends_ = true;
    } else if (kind == "Replace") {
      if (step.object("pattern").string("String") != " ")
        step.object("pattern").refuse("String", "a space");
      if (step.string("content") != mark) step.refuse("content", in_quotes(mark));
      if (!prepends_) spaces_.front = SpmSpaces::Front::none;
      marked_ = true;
    } else {
      refuse_kind("normalizer", kind, "Prepend and Replace");
    }
  }

  void read_pre_tokenizer(const JsonReader& step) {
    const std::string& kind = step.string("type");
    if (kind == "Split" && marked_) {  // Gemma's, at spaces, of which none are left
      if (step.object("pattern").string("String") != " ")
        step.object("pattern").refuse("String", "a space");
      return;
    }
    if (kind != "Metaspace") refuse_kind("pre_tokenizer", kind, "Metaspace");
    if (marked_) step.refuse("type", "nothing; a step before has made marks of spaces");
    if (step.string("replacement") != mark) step.refuse("replacement", in_quotes(mark));
    spaces_ = {
        .front = front_of(step), .before_added = false, .cut = step.boolean_or("split", true)};
    marked_ = true;
  }
  static SpmSpaces::Front front_of(const JsonReader& step) {
    using Front = SpmSpaces::Front;
    const std::string scheme = step.string_or(
        "prepend_scheme", step.boolean_or("add_prefix_space", true) ? "always" : "never");
    if (scheme == "always") return Front::unless_there;
    if (scheme == "first") return Front::start_of_text;
    if (scheme != "never") step.refuse("prepend_scheme", "\"always\", \"first\" or \"never\"");
    return Front::none;
  }

  // The other way round. (decode() gives a space that Strip would take from the front.)
  void read_decoder(const JsonReader& step) const {
    const std::string& kind = step.string("type");
    for (const char* const known : {"Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"})
      if (kind == known) return;
    refuse_kind("decoder", kind, "Metaspace, Replace, ByteFallback, Fuse and Strip");
  }

  [[noreturn]] void refuse_kind(const char* step, std::string_view kind, const char* known) const {
    data_error("{}: the {} {} is not supported beside byte_fallback; Weft has {}", what_, step,
               in_quotes(kind), known);
  }

  const std::string& what_;
  JsonReader file_;
  SpmSpaces spaces_;
  bool prepends_ = false, marked_ = false;
};

bool is_byte(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

}  // namespace

SpmParts spm_from_json(const Json& json, const std::string& what, BpeParts common) {
  SpmParts parts;
  parts.spaces = SpacesReader(json, what).spaces();
  for (const std::string& token : common.tokens)
    parts.types.push_back(is_byte(token) ? SpmParts::byte : SpmParts::normal);
  for (const AddedToken& token : common.added)
    parts.types[size_t(token.id)] = token.special ? SpmParts::control : SpmParts::user_defined;
  parts.tokens = std::move(common.tokens);
  parts.rules = std::move(common.rules);
  parts.added = std::move(common.added);
  parts.start = std::move(common.start), parts.end = std::move(common.end);
  parts.file = dump_json(json);
  return parts;
}

}  // namespace weft
