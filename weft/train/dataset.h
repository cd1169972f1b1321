// A directory of tokens to train on, as `weft data prepare` makes it:
//   train.bin, val.bin   token shards (io/token_shard.h)
//   train.idx, val.idx   where their documents end (io/documents.h)
//   tokenizer.json
//   meta.json            what the others must be; written last, so that a crash leaves no mixture
// Shards of nanoGPT or llm.c come without meta.json; the tokenizer.json that they were made with is
// put beside them. Each is one document.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "weft/io/documents.h"
#include "weft/text/tokenizer.h"
#include "weft/train/tokenizers.h"

namespace weft::train {

struct SplitInfo {
  int64_t tokens = 0, bytes = 0;  // bytes of the text they stand for
  int64_t documents = 0;
  std::string sha256, index_sha256;  // of the ids and of the documents' ends, as in the headers
};
struct DataInfo {
  std::string tokenizer;
  int64_t vocab = 0;
  SplitInfo train, val;
};

class Dataset {
 public:
  // Throws Error with one sentence about what is missing, damaged or does not belong together.
  explicit Dataset(const std::string& directory);

  const std::string& path() const { return path_; }
  const DataInfo& info() const { return info_; }
  Documents train() const { return train_.documents(); }
  Documents val() const { return val_.documents(); }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  // Of what a model sees in training: ids and documents.
  std::string train_sha256() const;
  // Reads everything once more; Error(data) when a shard's bytes are not those that were written.
  void verify_checksums() const;

 private:
  struct Split {
    TokenShard shard;
    std::vector<uint64_t> ends;  // empty: one document
    Documents documents() const { return {shard.tokens(), ends}; }
  };
  Split open_split(const std::string& name, const SplitInfo& info) const;

  std::string path_;
  DataInfo info_;  // vocab 0: not known yet
  std::unique_ptr<Tokenizer> tokenizer_;
  Split train_, val_;
};

// Bytes of text that each token stands for, by id: none for special tokens.
std::vector<int64_t> bytes_by_token(const Tokenizer& tokenizer);
// Of the tokens [begin, end).
int64_t text_bytes(const TokenView& tokens, int64_t begin, int64_t end,
                   const std::vector<int64_t>& bytes_by_token);

struct PrepareOptions {
  std::string text;                         // a file or a directory (io/corpus.h)
  std::string tokenizer = "char";           // what make_tokenizer takes (train/tokenizers.h)
  double val_fraction = 0.1;                // of the documents, or of a single one's characters
  std::string out;                          // the directory
  int64_t vocab_size = default_vocab_size;  // of "bpe"
  std::string field = "text";               // of JSONL
  int64_t seed = 1;                         // of the split
};
// Of several documents each is for validation or not by a hash of the seed and its text, so that
// equal ones are in one split and a document stays where it is when others come; there is at least
// one of either. A single one is cut as by nanoGPT: of n characters the first int(n (1 -
// val_fraction)) are for training.
DataInfo prepare(const PrepareOptions& options, FileSystem& fs = posix_file_system());

// The same for texts that are already split. Every document begins with the tokenizer's start
// tokens and ends with document_end().
using Texts = std::span<const std::string_view>;
DataInfo write_dataset(Texts train, Texts val, const Tokenizer& tokenizer, const std::string& out,
                       FileSystem& fs = posix_file_system());
// One document each.
DataInfo write_dataset(std::string_view train, std::string_view val, const Tokenizer& tokenizer,
                       const std::string& out, FileSystem& fs = posix_file_system());
// A character vocabulary is made from both.
DataInfo write_dataset(std::string_view train, std::string_view val, std::string_view tokenizer,
                       const std::string& out, FileSystem& fs = posix_file_system());

}  // namespace weft::train
