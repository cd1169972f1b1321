// Which tokens a step sees, and the arrays they are put into.
//
// Training sample i of a run (i counts all sequences of all steps) is a crop of context + 1 tokens
// whose offset is a pure function of (seed, i): uniform over the n - context places where it fits,
// by Philox. So the data order does not depend on batch sizes, lanes, ranks or on where a run was
// resumed. Where the data are documents (train/dataset.h), the crop begins at the first document
// that starts within a context of that offset, if there is one.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "weft/graph/tensor.h"
#include "weft/io/token_shard.h"

namespace weft::train {

// Of `tokens` tokens, at least context + 1.
int64_t sample_offset(uint64_t seed, int64_t sample, int64_t tokens, int64_t context);

// The arrays of `sequences` x context tokens, one sequence after another. They are made once and
// overwritten for every batch, so filling allocates nothing; the tensors always show the newest
// content.
//
// No token sees another document: a sequence is one segment for each document in it, with positions
// from 0.
class Batch {
 public:
  // Every token counts `weight` in the loss.
  Batch(Device& device, int64_t sequences, int64_t context, float weight,
        std::optional<int32_t> document_start = {});

  int64_t sequences() const { return sequences_; }
  int64_t tokens_max() const { return sequences_ * context_; }
  int64_t bytes() const;

  // Samples first .. first + sequences - 1 of the run.
  void fill_samples(const TokenView& tokens, uint64_t seed, int64_t first);
  // Consecutive windows of the whole text, the first one at `begin`: a window reads `context`
  // tokens and predicts those one further on. It ends early before the last document in it that is
  // cut, so that the next one begins there. Other places have target -1, which is no target.
  // Returns where the next window begins: where there is nothing left, at the last token.
  int64_t fill_windows(const TokenView& tokens, int64_t begin);
  void set_random(uint64_t seed, int64_t step);

  struct Tensors {
    Tensor tokens, targets, positions;  // i32[tokens]
    Tensor segments;                    // i32[n, 4], see attention()
    Tensor weights;                     // f32[tokens]
    Tensor random;                      // i64[2] {seed, step}
    template <class F>
    void each(F&& f) {
      f(tokens), f(targets), f(positions), f(segments), f(weights), f(random);
    }
  };
  const Tensors& tensors() const { return tensors_; }

 private:
  // The row's tokens and targets from the first `count` + 1 of crop_.
  void fill_row(int64_t row, int64_t count);
  void mark_documents();
  void upload();

  int64_t sequences_, context_;
  std::optional<int32_t> document_start_;
  std::vector<int32_t> tokens_, targets_, positions_, segments_;  // on the host
  std::vector<int32_t> crop_;                                     // context + 1
  Tensors tensors_;
};

}  // namespace weft::train
