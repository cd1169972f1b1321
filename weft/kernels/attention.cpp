#include "weft/kernels/attention.h"

#include "weft/base/error.h"
#include "weft/kernels/attention_scratch.h"

namespace weft::kernels {
namespace {

int64_t longest(int64_t bound, int64_t rows) {
  const int64_t n = bound > 0 && bound < rows ? bound : rows;
  return (n + attention_rows - 1) / attention_rows * attention_rows;
}

// Hands out ranges of one thread's scratch.
class Carver {
 public:
  int64_t take(int64_t bytes) {
    const int64_t at = end_;
    end_ += (bytes + 63) / 64 * 64;
    return at;
  }
  int64_t end() const { return end_; }

 private:
  int64_t end_ = 0;
};

void refuse_soft_cap(const AttentionShape& shape) {
  if (shape.soft_cap != 0)
    user_error("attention with a soft cap of {}: on the CPU scores cannot be capped",
               shape.soft_cap);
}

}  // namespace

AttentionForwardScratch attention_forward_scratch(const AttentionShape& shape) {
  refuse_soft_cap(shape);
  const int64_t depth = attention_depth(shape.head_dim), size = int64_t(dtype_size(shape.dtype));
  const int64_t longest_keys = longest(shape.max_kv_len, shape.kv_rows);
  Carver carver;
  AttentionForwardScratch at;
  at.tiles = carver.take(2 * attention_forward_tile_bytes);
  at.s = carver.take(2 * attention_forward_rows * attention_rows * 4);
  at.staging = carver.take(attention_rows * depth * size);
  at.keys = longest_keys < attention_packed_keys ? attention_packed_keys : longest_keys;
  at.k = carver.take(at.keys * depth * size);
  at.v = carver.take(at.keys * depth * size);
  at.thread_bytes = carver.end();
  return at;
}

AttentionBackwardScratch attention_backward_scratch(const AttentionShape& shape) {
  refuse_soft_cap(shape);
  const int64_t depth = attention_depth(shape.head_dim), size = int64_t(dtype_size(shape.dtype));
  const int64_t keys = longest(shape.max_kv_len, shape.kv_rows);
  const int64_t all = longest(shape.max_q_len, shape.q_rows);
  const int64_t chunk = attention_query_chunk(int(depth)), queries = all < chunk ? all : chunk;
  Carver carver;
  AttentionBackwardScratch at;
  at.block = carver.take(attention_backward_block_bytes);
  at.staging = carver.take(attention_rows * depth * size);
  for (int64_t* rows : {&at.k, &at.v, &at.k_columns}) *rows = carver.take(keys * depth * size);
  for (int64_t* rows : {&at.dk, &at.dv}) *rows = carver.take(keys * depth * 4);
  for (int64_t* rows : {&at.q_columns, &at.q_rows, &at.do_columns, &at.do_rows})
    *rows = carver.take(queries * depth * size);
  at.dq = carver.take(queries * depth * 4);
  for (int64_t* row : {&at.shift, &at.d, &at.first, &at.last}) *row = carver.take(queries * 4);
  at.thread_bytes = carver.end();
  return at;
}

size_t attention_forward_scratch_bytes(const AttentionShape& shape, int threads) {
  return size_t(attention_forward_scratch(shape).thread_bytes) * size_t(threads);
}

size_t attention_backward_scratch_bytes(const AttentionShape& shape, int threads) {
  return size_t(attention_backward_scratch(shape).thread_bytes) * size_t(threads);
}

}  // namespace weft::kernels
