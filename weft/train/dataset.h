// A directory of tokens to train on, as `weft data prepare` makes it:
//   train.bin, val.bin   token shards (io/token_shard.h)
//   tokenizer.json
//   meta.json            what the others must be; written last, so that a crash leaves no mixture
// Shards of nanoGPT or llm.c come without meta.json; the tokenizer.json that they were made with is
// put beside them.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/io/token_shard.h"
#include "weft/text/tokenizer.h"
#include "weft/train/tokenizers.h"

namespace weft::train {

struct SplitInfo {
  int64_t tokens = 0, bytes = 0;  // bytes of the text they stand for
  std::string sha256;             // of the ids, as in the shard's header
};
struct DataInfo {
  std::string tokenizer;
  int64_t vocab = 0, documents = 0;
  // The token that stands before every document; none: the text is one stream.
  std::optional<int32_t> document_start = {};
  SplitInfo train, val;
};

class Dataset {
 public:
  // Throws Error with one sentence about what is missing, damaged or does not belong together.
  explicit Dataset(const std::string& directory);

  const std::string& path() const { return path_; }
  const DataInfo& info() const { return info_; }
  const TokenView& train() const { return train_.tokens(); }
  const TokenView& val() const { return val_.tokens(); }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  // Error(data) unless the training text has a sequence of that many tokens and the token after it,
  // and the validation text two tokens.
  void check_context(int64_t context) const;
  // Reads everything once more; Error(data) when a shard's bytes are not those that were written.
  void verify_checksums() const;

 private:
  TokenShard open_shard(const std::string& path) const;

  std::string path_;
  DataInfo info_;  // vocab 0: not known yet
  std::unique_ptr<Tokenizer> tokenizer_;
  TokenShard train_, val_;
};

struct PrepareOptions {
  std::string text;                         // a file, or a directory of *.txt (io/corpus.h)
  std::string tokenizer = "char";           // what make_tokenizer takes (train/tokenizers.h)
  double val_fraction = 0.1;                // of the characters, at the end
  std::string out;                          // the directory
  int64_t vocab_size = default_vocab_size;  // of "bpe"
};
// As nanoGPT: of n characters the first int(n (1 - val_fraction)) are for training, the others for
// validation. The documents of a directory follow one another.
DataInfo prepare(const PrepareOptions& options, FileSystem& fs = posix_file_system());

// The same for texts that are already split. A character vocabulary is made from both.
DataInfo write_dataset(std::string_view train, std::string_view val, const Tokenizer& tokenizer,
                       const std::string& out, int64_t documents = 1,
                       FileSystem& fs = posix_file_system());
DataInfo write_dataset(std::string_view train, std::string_view val, std::string_view tokenizer,
                       const std::string& out, int64_t documents = 1,
                       FileSystem& fs = posix_file_system());

// The same for documents, each behind the tokenizer's start token, which it must have: training and
// evaluation then keep them apart (train/batch.h).
DataInfo write_documents(const std::vector<std::string_view>& train,
                         const std::vector<std::string_view>& val, const Tokenizer& tokenizer,
                         const std::string& out, FileSystem& fs = posix_file_system());

}  // namespace weft::train
