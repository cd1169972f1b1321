#include "weft/train/dataset.h"

#include <algorithm>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/sha256.h"
#include "weft/io/corpus.h"
#include "weft/train/folders.h"
#include "weft/train/tokenizers.h"

namespace weft::train {
namespace {

constexpr int64_t most = int64_t(1) << 53;

std::string existing_file(const std::string& directory, const char* name) {
  if (!is_directory(directory))
    resource_error("there is no directory {}; make it with weft data prepare --text FILE --out {}",
                   directory, directory);
  const std::string path = directory + "/" + name;
  if (!path_exists(path))
    resource_error(
        "{} is missing; expected a directory made by weft data prepare --text FILE --out {}", path,
        directory);
  return path;
}

SplitInfo read_split(const JsonReader& reader) {
  reader.allow_only({"tokens", "bytes", "sha256"});
  return {reader.integer("tokens", 1, most), reader.integer("bytes", 0, most),
          reader.string("sha256", 64)};
}

DataInfo read_info(const std::string& path) {
  const Json json = read_json(path);
  const JsonReader reader(json, path);
  reader.allow_only(
      {"format", "version", "tokenizer", "vocab", "documents", "document_start", "train", "val"});
  if (reader.string("format") != "weft-data") reader.refuse("format", "\"weft-data\"");
  reader.integer("version", 1, 1);
  const int64_t vocab = reader.integer("vocab", 1, max_vocab_size);
  std::optional<int32_t> start;
  if (json.contains("document_start"))
    start = int32_t(reader.integer("document_start", 0, vocab - 1));
  return {reader.string("tokenizer"),           vocab,
          reader.integer("documents", 1, most), start,
          read_split(reader.object("train")),   read_split(reader.object("val"))};
}

Json split_json(const SplitInfo& split) {
  return {{"tokens", split.tokens}, {"bytes", split.bytes}, {"sha256", split.sha256}};
}

void write_info(const DataInfo& info, const std::string& path, FileSystem& fs) {
  Json json = {{"format", "weft-data"}, {"version", 1}};
  json["tokenizer"] = info.tokenizer;
  json["vocab"] = info.vocab;
  json["documents"] = info.documents;
  if (info.document_start) json["document_start"] = *info.document_start;
  json["train"] = split_json(info.train);
  json["val"] = split_json(info.val);
  write_file_atomic(path, dump_json(json, 2) + "\n", fs);
}

// A shard that meta.json does not mean is of another preparation that was interrupted.
void check_shard(const TokenShard& shard, const SplitInfo& split) {
  const TokenView& tokens = shard.tokens();
  if (tokens.size() != split.tokens || (tokens.sha256 && to_hex(*tokens.sha256) != split.sha256))
    data_error("{} is not the file that meta.json beside it describes; run weft data prepare again",
               shard.path());
}

bool has_foreign_shards(const std::string& directory) {
  return path_exists(directory + "/train.bin") && !path_exists(directory + "/meta.json");
}

std::string tokenizer_file(const std::string& directory) {
  if (has_foreign_shards(directory) && !path_exists(directory + "/tokenizer.json"))
    resource_error(
        "{}/tokenizer.json is missing; put the tokenizer that the shards were made with beside "
        "them",
        directory);
  return existing_file(directory, "tokenizer.json");
}

// What meta.json would say of a shard that has none.
SplitInfo describe(const TokenView& tokens, const Tokenizer& tokenizer) {
  std::vector<size_t> bytes_of(size_t(tokenizer.vocab_size()));
  for (size_t id = 0; id < bytes_of.size(); ++id)
    bytes_of[id] = tokenizer.piece(int32_t(id)).size();
  size_t bytes = 0;
  std::vector<int32_t> block;
  for (int64_t at = 0; at < tokens.size(); at += int64_t(block.size())) {
    block.resize(size_t(std::min(int64_t(1) << 16, tokens.size() - at)));
    tokens.copy(at, block);
    for (const int32_t id : block) bytes += bytes_of[size_t(id)];
  }
  return {tokens.size(), int64_t(bytes), to_hex(sha256(tokens.payload))};
}

SplitInfo write_ids(const std::vector<int32_t>& ids, size_t bytes, const Tokenizer& tokenizer,
                    const std::string& path, FileSystem& fs) {
  write_token_shard(path, ids, tokenizer.vocab_size(), fs);
  const TokenShard written(path, tokenizer.vocab_size());
  return {int64_t(ids.size()), int64_t(bytes), to_hex(*written.tokens().sha256)};
}

// The last document ends as the others do, with the start of a next one.
SplitInfo write_split(const Tokenizer& tokenizer, const std::vector<std::string_view>& documents,
                      const std::string& path, FileSystem& fs) {
  const int32_t start = tokenizer.start_tokens().at(0);
  std::vector<int32_t> ids{start};
  size_t bytes = 0;
  for (const std::string_view document : documents) {
    const std::vector<int32_t> more = tokenizer.encode_plain(document);
    ids.insert(ids.end(), more.begin(), more.end());
    ids.push_back(start);
    bytes += document.size();
  }
  return write_ids(ids, bytes, tokenizer, path, fs);
}

// Writes what describes the splits, behind them.
DataInfo finish_dataset(DataInfo info, const Tokenizer& tokenizer, const std::string& out,
                        FileSystem& fs) {
  info.tokenizer = tokenizer.name();
  info.vocab = tokenizer.vocab_size();
  save_tokenizer(tokenizer, out + "/tokenizer.json", fs);
  write_info(info, out + "/meta.json", fs);
  return info;
}

bool starts_character(char c) {
  return (uint8_t(c) & 0xC0) != 0x80;
}

// Bytes of the first `characters` characters.
size_t bytes_of_characters(std::string_view text, int64_t characters) {
  for (size_t i = 0; i < text.size(); ++i)
    if (starts_character(text[i]) && characters-- == 0) return i;
  return text.size();
}

}  // namespace

Dataset::Dataset(const std::string& directory)
    : path_(directory),
      info_(has_foreign_shards(directory) ? DataInfo{}
                                          : read_info(existing_file(directory, "meta.json"))),
      tokenizer_(load_tokenizer(tokenizer_file(directory))),
      train_(open_shard(existing_file(directory, "train.bin"))),
      val_(open_shard(existing_file(directory, "val.bin"))) {
  if (info_.vocab == 0) {
    info_ = {std::string(tokenizer_->name()), tokenizer_->vocab_size(),    1, {},
             describe(train(), *tokenizer_),  describe(val(), *tokenizer_)};
    return;
  }
  if (tokenizer_->vocab_size() != info_.vocab)
    data_error(
        "{}/tokenizer.json has {} tokens, but meta.json says {}; run weft data prepare again",
        directory, tokenizer_->vocab_size(), info_.vocab);
  check_shard(train_, info_.train);
  check_shard(val_, info_.val);
}

TokenShard Dataset::open_shard(const std::string& path) const {
  if (info_.vocab > 0) return TokenShard(path, info_.vocab);
  TokenShard shard(path, tokenizer_->vocab_size(), TokenFormat::any);
  if (shard.tokens().sha256) existing_file(path_, "meta.json");  // of a preparation that was cut
  return shard;
}

void Dataset::verify_checksums() const {
  train_.verify_checksum();
  val_.verify_checksum();
}

void Dataset::check_context(int64_t context) const {
  if (train().size() < context + 1)
    data_error(
        "{} has {} tokens to train on, but a context of {} needs {}; give more text or a shorter "
        "--context",
        path_, train().size(), context, context + 1);
  if (val().size() < 2)
    data_error("{} has {} tokens to validate on, but at least 2 are needed; raise --val-fraction",
               path_, val().size());
}

DataInfo write_dataset(std::string_view train, std::string_view val, const Tokenizer& tokenizer,
                       const std::string& out, int64_t documents, FileSystem& fs) {
  make_directories(out, fs);
  DataInfo info;
  info.documents = documents;
  info.train = write_ids(tokenizer.encode(train), train.size(), tokenizer, out + "/train.bin", fs);
  info.val = write_ids(tokenizer.encode(val), val.size(), tokenizer, out + "/val.bin", fs);
  return finish_dataset(info, tokenizer, out, fs);
}

DataInfo write_documents(const std::vector<std::string_view>& train,
                         const std::vector<std::string_view>& val, const Tokenizer& tokenizer,
                         const std::string& out, FileSystem& fs) {
  WEFT_CHECK(tokenizer.start_tokens().size() == 1, "{} tokens before a document",
             tokenizer.start_tokens().size());
  make_directories(out, fs);
  DataInfo info;
  info.documents = int64_t(train.size() + val.size());
  info.document_start = tokenizer.start_tokens()[0];
  info.train = write_split(tokenizer, train, out + "/train.bin", fs);
  info.val = write_split(tokenizer, val, out + "/val.bin", fs);
  return finish_dataset(info, tokenizer, out, fs);
}

namespace {

// A tokenizer for two splits that are long enough.
std::unique_ptr<Tokenizer> tokenizer_for(std::string_view train, std::string_view val,
                                         std::string_view kind, int64_t vocab_size) {
  if (train.size() < 2 || val.size() < 2)
    data_error(
        "the text is too short: {} bytes to train on and {} to validate on, at least 2 each are "
        "needed",
        train.size(), val.size());
  return make_tokenizer(std::string(kind), vocab_size, train, val);
}

}  // namespace

DataInfo write_dataset(std::string_view train, std::string_view val, std::string_view tokenizer,
                       const std::string& out, int64_t documents, FileSystem& fs) {
  return write_dataset(train, val, *tokenizer_for(train, val, tokenizer, default_vocab_size), out,
                       documents, fs);
}

DataInfo prepare(const PrepareOptions& options, FileSystem& fs) {
  const double f = options.val_fraction;
  if (!(f > 0 && f < 1)) user_error("val_fraction must be between 0 and 1, got {}", f);
  std::vector<Document> documents = read_corpus(options.text);
  std::string text = std::move(documents[0].text);
  for (size_t i = 1; i < documents.size(); ++i) text += documents[i].text;
  int64_t characters = 0;
  for (const char c : text) characters += starts_character(c);
  const size_t cut = bytes_of_characters(text, int64_t(double(characters) * (1 - f)));
  const std::string_view all = text;
  const std::string_view train = all.substr(0, cut), val = all.substr(cut);
  const auto tokenizer = tokenizer_for(train, val, options.tokenizer, options.vocab_size);
  return write_dataset(train, val, *tokenizer, options.out, int64_t(documents.size()), fs);
}

}  // namespace weft::train
