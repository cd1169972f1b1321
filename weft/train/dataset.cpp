#include "weft/train/dataset.h"

#include <algorithm>
#include <cmath>

#include "weft/base/error.h"
#include "weft/base/json.h"
#include "weft/base/random.h"
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
  std::string path = directory + "/" + name;
  if (!path_exists(path))
    resource_error(
        "{} is missing; expected a directory made by weft data prepare --text FILE --out {}", path,
        directory);
  return path;
}

SplitInfo read_split(const JsonReader& reader) {
  reader.allow_only({"tokens", "bytes", "documents", "sha256", "index_sha256"});
  return {reader.integer("tokens", 1, most), reader.integer("bytes", 0, most),
          reader.integer("documents", 1, most), reader.string("sha256", 64),
          reader.string("index_sha256", 64)};
}

DataInfo read_info(const std::string& path) {
  const Json json = read_json(path);
  const JsonReader reader(json, path);
  reader.allow_only({"format", "version", "tokenizer", "vocab", "train", "val"});
  if (reader.string("format") != "weft-data") reader.refuse("format", "\"weft-data\"");
  reader.integer("version", 2, 2);
  return {reader.string("tokenizer"), reader.integer("vocab", 1, max_vocab_size),
          read_split(reader.object("train")), read_split(reader.object("val"))};
}

Json split_json(const SplitInfo& split) {
  return {{"tokens", split.tokens},
          {"bytes", split.bytes},
          {"documents", split.documents},
          {"sha256", split.sha256},
          {"index_sha256", split.index_sha256}};
}

void write_info(const DataInfo& info, const std::string& path, FileSystem& fs) {
  Json json = {{"format", "weft-data"}, {"version", 2}};
  json["tokenizer"] = info.tokenizer;
  json["vocab"] = info.vocab;
  json["train"] = split_json(info.train);
  json["val"] = split_json(info.val);
  write_file_atomic(path, dump_json(json, 2) + "\n", fs);
}

[[noreturn]] void refuse_file(const std::string& path) {
  data_error("{} is not the file that meta.json beside it describes; run weft data prepare again",
             path);
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
  return {tokens.size(), text_bytes(tokens, 0, tokens.size(), bytes_by_token(tokenizer)), 1,
          to_hex(sha256(tokens.payload)), ""};
}

void append(std::vector<int32_t>& ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

SplitInfo write_split(const Tokenizer& tokenizer, Texts texts, const std::string& path,
                      FileSystem& fs) {
  const std::vector<int32_t> start = tokenizer.start_tokens(), end = document_end(tokenizer);
  std::vector<int32_t> ids;
  std::vector<uint64_t> ends;
  SplitInfo info;
  for (const std::string_view text : texts) {
    append(ids, start), append(ids, tokenizer.encode_plain(text)), append(ids, end);
    if (ids.size() > (ends.empty() ? 0 : ends.back())) ends.push_back(ids.size());
    info.bytes += int64_t(text.size());
  }
  write_token_shard(path + ".bin", ids, tokenizer.vocab_size(), fs);
  const TokenShard written(path + ".bin", tokenizer.vocab_size());
  info.tokens = int64_t(ids.size()), info.documents = int64_t(ends.size());
  info.sha256 = to_hex(*written.tokens().sha256);
  info.index_sha256 = to_hex(write_document_index(path + ".idx", ends, fs));
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

std::vector<int64_t> bytes_by_token(const Tokenizer& tokenizer) {
  std::vector<int64_t> bytes(size_t(tokenizer.vocab_size()));
  for (size_t id = 0; id < bytes.size(); ++id)
    if (!tokenizer.is_special(int32_t(id)))
      bytes[id] = int64_t(tokenizer.piece(int32_t(id)).size());
  return bytes;
}

int64_t text_bytes(const TokenView& tokens, int64_t begin, int64_t end,
                   const std::vector<int64_t>& bytes_by_token) {
  int64_t bytes = 0;
  std::vector<int32_t> block;
  for (int64_t at = begin; at < end; at += int64_t(block.size())) {
    block.resize(size_t(std::min(int64_t(1) << 16, end - at)));
    tokens.copy(at, block);
    for (const int32_t id : block) bytes += bytes_by_token[size_t(id)];
  }
  return bytes;
}

Dataset::Dataset(const std::string& directory)
    : path_(directory),
      info_(has_foreign_shards(directory) ? DataInfo{}
                                          : read_info(existing_file(directory, "meta.json"))),
      tokenizer_(load_tokenizer(tokenizer_file(directory))),
      train_(open_split("train", info_.train)),
      val_(open_split("val", info_.val)) {
  if (info_.vocab == 0) {
    info_ = {std::string(tokenizer_->name()), tokenizer_->vocab_size(),
             describe(train().tokens, *tokenizer_), describe(val().tokens, *tokenizer_)};
    return;
  }
  if (tokenizer_->vocab_size() != info_.vocab)
    data_error(
        "{}/tokenizer.json has {} tokens, but meta.json says {}; run weft data prepare again",
        directory, tokenizer_->vocab_size(), info_.vocab);
}

// What meta.json does not mean is of another preparation that was interrupted.
Dataset::Split Dataset::open_split(const std::string& name, const SplitInfo& info) const {
  const std::string path = existing_file(path_, (name + ".bin").c_str());
  if (info_.vocab == 0) {
    TokenShard shard(path, tokenizer_->vocab_size(), TokenFormat::any);
    if (shard.tokens().sha256) existing_file(path_, "meta.json");
    return {std::move(shard), {}};
  }
  TokenShard shard(path, info_.vocab);
  const TokenView& tokens = shard.tokens();
  if (tokens.size() != info.tokens || (tokens.sha256 && to_hex(*tokens.sha256) != info.sha256))
    refuse_file(path);
  const std::string index_path = existing_file(path_, (name + ".idx").c_str());
  DocumentIndex index = read_document_index(index_path, tokens.size());
  if (int64_t(index.ends.size()) != info.documents || to_hex(index.sha256) != info.index_sha256)
    refuse_file(index_path);
  return {std::move(shard), std::move(index.ends)};
}

void Dataset::verify_checksums() const {
  train_.shard.verify_checksum();
  val_.shard.verify_checksum();
}

std::string Dataset::train_sha256() const {
  return to_hex(sha256(info_.train.sha256 + info_.train.index_sha256));
}

DataInfo write_dataset(Texts train, Texts val, const Tokenizer& tokenizer, const std::string& out,
                       FileSystem& fs) {
  make_directories(out, fs);
  DataInfo info{std::string(tokenizer.name()), tokenizer.vocab_size(), {}, {}};
  info.train = write_split(tokenizer, train, out + "/train", fs);
  info.val = write_split(tokenizer, val, out + "/val", fs);
  save_tokenizer(tokenizer, out + "/tokenizer.json", fs);
  write_info(info, out + "/meta.json", fs);
  return info;
}

DataInfo write_dataset(std::string_view train, std::string_view val, const Tokenizer& tokenizer,
                       const std::string& out, FileSystem& fs) {
  return write_dataset(Texts(&train, 1), Texts(&val, 1), tokenizer, out, fs);
}

namespace {

// A tokenizer for two splits that are long enough.
std::unique_ptr<Tokenizer> tokenizer_for(Texts train, Texts val, const std::string& kind,
                                         int64_t vocab_size) {
  const auto bytes = [](Texts texts) {
    size_t sum = 0;
    for (const std::string_view text : texts) sum += text.size();
    return sum;
  };
  if (bytes(train) < 2 || bytes(val) < 2)
    data_error(
        "the text is too short: {} bytes to train on and {} to validate on, at least 2 each are "
        "needed",
        bytes(train), bytes(val));
  return make_tokenizer(kind, vocab_size, train, val);
}

struct SplitTexts {
  std::vector<std::string_view> train, val;
};

SplitTexts cut_document(std::string_view text, double val_fraction) {
  int64_t characters = 0;
  for (const char c : text) characters += starts_character(c);
  const size_t cut = bytes_of_characters(text, int64_t(double(characters) * (1 - val_fraction)));
  return {{text.substr(0, cut)}, {text.substr(cut)}};
}

// In [0, 1).
double place_of(std::string_view text, int64_t seed) {
  const auto words = Philox{random_key(uint64_t(seed), hash_path(text))}(0);
  return uniform_double(words[0], words[1]);
}

// By the documents' places: below val_fraction for validation.
SplitTexts split_documents(const std::vector<std::string>& documents,
                           const PrepareOptions& options) {
  std::vector<double> places;
  for (const std::string& text : documents) places.push_back(place_of(text, options.seed));
  const auto [lowest, highest] = std::ranges::minmax(places);
  const double bound =
      std::max(std::nextafter(lowest, 1.0), std::min(options.val_fraction, highest));
  SplitTexts split;
  for (size_t i = 0; i < documents.size(); ++i)
    (places[i] < bound ? split.val : split.train).push_back(documents[i]);
  return split;
}

}  // namespace

DataInfo write_dataset(std::string_view train, std::string_view val, std::string_view tokenizer,
                       const std::string& out, FileSystem& fs) {
  const Texts trains(&train, 1), vals(&val, 1);
  return write_dataset(trains, vals,
                       *tokenizer_for(trains, vals, std::string(tokenizer), default_vocab_size),
                       out, fs);
}

DataInfo prepare(const PrepareOptions& options, FileSystem& fs) {
  const double f = options.val_fraction;
  if (!(f > 0 && f < 1)) user_error("val_fraction must be between 0 and 1, got {}", f);
  const Corpus corpus = read_corpus(options.text, {.field = options.field});
  const SplitTexts split = corpus.documents.size() == 1
                               ? cut_document(corpus.documents[0], f)
                               : split_documents(corpus.documents, options);
  if (split.train.empty())
    data_error("all {} documents of {} are the same, so none can be held out; give different ones",
               corpus.documents.size(), options.text);
  const auto tokenizer =
      tokenizer_for(split.train, split.val, options.tokenizer, options.vocab_size);
  return write_dataset(Texts(split.train), Texts(split.val), *tokenizer, options.out, fs);
}

}  // namespace weft::train
