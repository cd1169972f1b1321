// The arrays that a step's tokens are put into.
#pragma once
#include <cstdint>
#include <vector>

#include "weft/graph/tensor.h"
#include "weft/io/token_shard.h"

namespace weft::train {

// The arrays of `rows` x context tokens, one row after another, each filled with pieces of text
// that do not see one another. They are made once and overwritten for every batch, so filling
// allocates nothing; the tensors always show what was uploaded last.
class Batch {
 public:
  // pieces: most in one row.
  Batch(Device& device, int64_t rows, int64_t context, int64_t pieces = 1);

  int64_t rows() const { return rows_; }
  int64_t tokens_max() const { return rows_ * context_; }
  int64_t bytes() const;

  // Empties all rows.
  void clear();
  // Whether a row has room for a piece of that many tokens.
  bool fits(int64_t row, int64_t length) const;
  // Puts the tokens [begin, begin + length) behind what is in the row; each is to predict the one
  // after it. Their positions count from 0. Returns where in the arrays they lie.
  int64_t add(int64_t row, const TokenView& tokens, int64_t begin, int64_t length);
  // Every token that predicts one counts `weight` in the loss; other places have the target -1,
  // which is none.
  void upload(float weight);
  void set_random(uint64_t seed, int64_t step);

  struct Tensors {
    Tensor tokens, targets, positions;  // i32[tokens]
    Tensor segments;                    // i32[rows * pieces, 4], see attention()
    Tensor weights;                     // f32[tokens]
    Tensor random;                      // i64[2] {seed, step}
    template <class F>
    void each(F&& f) {
      f(tokens), f(targets), f(positions), f(segments), f(weights), f(random);
    }
  };
  const Tensors& tensors() const { return tensors_; }

 private:
  int64_t rows_, context_, pieces_;
  // On the host.
  std::vector<int32_t> tokens_, targets_, positions_, segments_;
  std::vector<float> weights_;
  std::vector<int32_t> crop_;         // context + 1
  std::vector<int64_t> used_, held_;  // of each row: tokens, pieces
  Tensors tensors_;
};

}  // namespace weft::train
