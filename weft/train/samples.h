// Which tokens make up each training sample. Sample i of a run (i counts all sequences of all
// steps) is a pure function of the data, the config's seed and i, so that it does not depend on
// batch sizes, lanes, ranks or on where a run was resumed.
#pragma once
#include <cstdint>
#include <vector>

#include "weft/io/documents.h"
#include "weft/train/config.h"

namespace weft::train {

// Consecutive tokens of one document, each of which is to predict the token after it. The last
// token of a document is in no piece.
struct Piece {
  int64_t begin = 0;
  int32_t length = 0;
  int32_t source = 0;
};

// What the config's `rows` can be:
//   crops      a sample is context + 1 tokens from anywhere in the text: its offset is uniform over
//              all that fit. As nanoGPT.
//   documents  documents, those longer than the context in pieces, are put into rows of the context
//              by best fit, the longest first, so that none is cut but for its length (Ding et al.,
//              "Fewer Truncations Improve Language Modeling", arXiv 2404.10830). No token attends
//              to another document. An epoch goes through all rows in an order of its own.
//   auto       crops where every source is one document, documents else
//
// Of several sources each gives its share of every 4096 consecutive samples, exactly, in an order
// that is drawn anew each time.
class Samples {
 public:
  struct Source {
    Documents documents;
    double weight = 1;  // its share, relative to the others'
  };
  // The tokens must outlive it. Error(data) for a source too short for one sample, Error(user) for
  // weights that make no sense.
  Samples(const TrainConfig& config, std::vector<Source> sources);

  // Replaces `out` by sample i: pieces of no more than `context` tokens together.
  void get(int64_t sample, std::vector<Piece>& out) const;
  const TokenView& tokens(const Piece& piece) const {
    return sources_[size_t(piece.source)].documents.tokens;
  }
  // No sample has more.
  int64_t max_pieces() const { return max_pieces_; }
  // Tokens that the samples first .. first + count - 1 predict.
  int64_t targets(int64_t first, int64_t count) const;

 private:
  // The rows of one source; row r has the pieces [starts[r], starts[r + 1]).
  struct Rows {
    std::vector<Piece> pieces;
    std::vector<int64_t> starts;
    int64_t size() const { return int64_t(starts.size()) - 1; }
  };
  struct Place {
    size_t source;
    int64_t index;  // how many samples of this source came before
  };

  Place locate(int64_t sample) const;
  const Piece* row_of(int64_t sample, int64_t& count) const;
  Rows pack(const Documents& documents, int32_t source) const;

  uint64_t seed_;
  int64_t context_;
  bool packed_;
  int64_t max_pieces_ = 1;
  std::vector<Source> sources_;
  std::vector<int64_t> shares_;  // cumulative, of mixture_block; for several sources
  std::vector<Rows> rows_;       // of each source, if packed
};

// Samples of a mixture are shared out in blocks of this many.
constexpr int64_t mixture_block = 4096;

// Where the crop of sample i begins, of `tokens` tokens, at least context + 1.
int64_t sample_offset(uint64_t seed, int64_t sample, int64_t tokens, int64_t context);

// The place of `index` in a permutation of 0 .. n - 1 that the key draws: a Feistel network over
// the next power of four, walked until it lands below n (Black and Rogaway, CT-RSA 2002).
int64_t permuted(uint64_t key, int64_t index, int64_t n);

}  // namespace weft::train
