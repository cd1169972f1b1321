#include "weft/text/tokenizer.h"

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/utf8.h"
#include "weft/text/bpe.h"
#include "weft/text/byte_tokenizer.h"
#include "weft/text/char_tokenizer.h"
#include "weft/text/spm.h"

namespace weft {
namespace {

struct Kind {
  std::string_view name;
  std::unique_ptr<Tokenizer> (*read)(const JsonReader& fields, const std::string& what);
};

// Every tokenizer with a file format of ours.
constexpr Kind kinds[] = {
    {"byte",
     [](const JsonReader& fields, const std::string&) -> std::unique_ptr<Tokenizer> {
       fields.allow_only({"format", "version", "name"});
       return std::make_unique<ByteTokenizer>();
     }},
    {"char",
     [](const JsonReader& fields, const std::string&) -> std::unique_ptr<Tokenizer> {
       return std::make_unique<CharTokenizer>(CharTokenizer::from_fields(fields));
     }},
    {"spm",
     [](const JsonReader& fields, const std::string& what) -> std::unique_ptr<Tokenizer> {
       return std::make_unique<SpmTokenizer>(SpmTokenizer::from_fields(fields, what));
     }},
};

}  // namespace

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += piece(id);
  return text;
}

std::vector<int32_t> document_end(const Tokenizer& tokenizer) {
  std::vector<int32_t> end = tokenizer.end_tokens();
  if (!end.empty()) return end;
  for (const char* name : {"<|endoftext|>", "<|end_of_text|>", "</s>"})
    if (const auto token = tokenizer.added_token(name)) return {*token};
  return {};
}

std::string StreamDecoder::push(int32_t id) {
  pending_ += tokenizer_->piece(id);
  size_t whole = 0;
  while (whole < pending_.size()) {
    const Utf8Char c = decode_utf8(std::string_view(pending_).substr(whole));
    if (c.state == Utf8Char::State::cut_off) break;
    whole += c.bytes;
  }
  std::string text = replace_invalid_utf8(std::string_view(pending_).substr(0, whole));
  pending_.erase(0, whole);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text = replace_invalid_utf8(pending_);
  pending_.clear();
  return text;
}

std::unique_ptr<Tokenizer> tokenizer_from_json(const Json& json, const std::string& what) {
  const JsonReader reader(json, what);
  if (reader.has("model")) return tokenizer_from_hugging_face(json, what);
  if (reader.string("format") != "weft-tokenizer") reader.refuse("format", "\"weft-tokenizer\"");
  reader.integer("version", 1, 1);
  const std::string& name = reader.string("name");
  std::string names;
  for (const Kind& kind : kinds) {
    if (kind.name == name) return kind.read(reader, what);
    names += format("{}\"{}\"", names.empty() ? "" : " or ", kind.name);
  }
  reader.refuse("name", names);
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  return tokenizer_from_json(read_json(path), path);
}

void save_tokenizer(const Tokenizer& tokenizer, const std::string& path, FileSystem& fs) {
  write_file_atomic(path, dump_json(tokenizer.to_json(), 2) + "\n", fs);
}

}  // namespace weft
