#include "weft/kernels/reduce.h"

#include "weft/kernels/cpu/reduce_ops.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// The sixteen partials of n elements: element i goes to lane i % 16.
template <class Op, class T>
F32x16 partials(const T* x, int64_t n) {
  F32x16 result = Op::start();
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) result = Op::join(result, F32x16::load(x + i));
  const int rest = int(n - i);
  if (rest)
    result = Op::join(result, select(first_lanes(rest), F32x16::load(x + i, rest), Op::start()));
  return result;
}

template <class Op, class T>
void reduce_rows(CpuStream& stream, const Reduce& p) {
  const T* in = static_cast<const T*>(p.in);
  stream.parallel_for(p.outer, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o)
      store_one(p.out, p.out_dtype, o, Op::tree(partials<Op>(in + o * p.reduce, p.reduce)));
  });
}

// Sums of rows longer than a block: all blocks of all rows side by side, then every row's blocks in
// order.
template <class T>
void sum_long_rows(CpuStream& stream, const Reduce& p) {
  const T* in = static_cast<const T*>(p.in);
  float* scratch = static_cast<float*>(p.scratch);
  const int64_t blocks = (p.reduce + reduce_row_block - 1) / reduce_row_block;
  stream.parallel_for(p.outer * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t at = b % blocks * reduce_row_block, rest = p.reduce - at;
      const int64_t n = rest < reduce_row_block ? rest : reduce_row_block;
      partials<Sum>(in + b / blocks * p.reduce + at, n).store(scratch + b * lanes);
    }
  });
  stream.parallel_for(p.outer, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      F32x16 sum = F32x16::load(scratch + o * blocks * lanes);
      for (int64_t b = 1; b < blocks; ++b) sum += F32x16::load(scratch + (o * blocks + b) * lanes);
      store_one(p.out, p.out_dtype, o, reduce_add(sum));
    }
  });
}

// chain[0..width) joins `count` rows in order.
template <class Op, int count, class T>
void join_rows(const T* x, int64_t stride, float* chain, int width) {
  int c = 0;
  for (; c + lanes <= width; c += lanes) {
    F32x16 v = F32x16::load(chain + c);
    for (int r = 0; r < count; ++r) v = Op::join(v, F32x16::load(x + r * stride + c));
    v.store(chain + c);
  }
  if (c == width) return;
  F32x16 v = F32x16::load(chain + c, width - c);
  for (int r = 0; r < count; ++r) v = Op::join(v, F32x16::load(x + r * stride + c, width - c));
  v.store(chain + c, width - c);
}

constexpr int tile = 512;  // columns whose chains stay in the first-level cache

// chain[0..width) joins a block of rows.
template <class Op, class T>
void join_block(const T* x, int64_t rows, int64_t stride, float* chain, int width) {
  for (int c = 0; c < width; ++c) chain[c] = Op::first;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) join_rows<Op, 4>(x + r * stride, stride, chain, width);
  for (; r < rows; ++r) join_rows<Op, 1>(x + r * stride, stride, chain, width);
}

// Sixteen columns' chains of all blocks, from the first on; `stride` apart.
template <class Op, class Lanes>
F32x16 join_chains(const float* chains, int64_t blocks, int64_t stride, Lanes n) {
  F32x16 total = Op::first;
  for (int64_t b = 0; b < blocks; ++b) total = Op::join(total, load(chains + b * stride, n));
  return total;
}

// Blocks of rows side by side, so that a thread reads the rows that it is likely to have written;
// then every column's chains in order.
template <class Op, class T>
void reduce_all_columns(CpuStream& stream, const Reduce& p) {
  const T* in = static_cast<const T*>(p.in);
  float* chains = static_cast<float*>(p.scratch);
  const int64_t blocks = (p.reduce + reduce_column_block - 1) / reduce_column_block;
  const int64_t tiles = (p.inner + tile - 1) / tile;
  stream.parallel_for(p.outer * blocks * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t column = u % tiles * tile, block = u / tiles;  // of all matrices' blocks
      const int64_t row = block % blocks * reduce_column_block, left = p.reduce - row;
      const int64_t rows = left < reduce_column_block ? left : reduce_column_block;
      const int width = int(p.inner - column < tile ? p.inner - column : tile);
      join_block<Op>(in + (block / blocks * p.reduce + row) * p.inner + column, rows, p.inner,
                     chains + block * p.inner + column, width);
    }
  });
  stream.parallel_for(p.outer * tiles, 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t o = u / tiles, column = u % tiles * tile;
      each_step(p.inner - column < tile ? p.inner - column : tile,
                [&](int64_t i, auto n) WEFT_INLINE {
                  const float* first = chains + o * blocks * p.inner + column + i;
                  store_as(join_chains<Op>(first, blocks, p.inner, n), p.out, p.out_dtype,
                           o * p.inner + column + i, n);
                });
    }
  });
}

template <class T>
void argmax(CpuStream& stream, const Reduce& p) {
  const int64_t grain = p.inner == 1 ? 1 : lanes;
  stream.parallel_for(p.outer * p.inner, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x = static_cast<const T*>(p.in) + i / p.inner * p.reduce * p.inner + i % p.inner;
      const int64_t place =
          p.inner == 1 ? place_of_largest(x, p.reduce) : place_of_largest(x, p.reduce, p.inner);
      if (p.out_dtype == DType::i32)
        static_cast<int32_t*>(p.out)[i] = int32_t(place);
      else
        static_cast<int64_t*>(p.out)[i] = place;
    }
  });
}

template <class T>
void reduce_as(CpuStream& stream, const Reduce& p) {
  const bool rows = p.inner == 1;
  switch (p.op) {
    case ReduceOp::sum:
      if (!rows) return reduce_all_columns<Sum, T>(stream, p);
      return p.reduce > reduce_row_block ? sum_long_rows<T>(stream, p)
                                         : reduce_rows<Sum, T>(stream, p);
    case ReduceOp::max:
      return rows ? reduce_rows<Max, T>(stream, p) : reduce_all_columns<Max, T>(stream, p);
    case ReduceOp::min:
      return rows ? reduce_rows<Min, T>(stream, p) : reduce_all_columns<Min, T>(stream, p);
    case ReduceOp::argmax:
      return argmax<T>(stream, p);
  }
}

}  // namespace

void reduce(CpuStream& stream, const Reduce& p) {
  switch (p.in_dtype) {
    case DType::bf16:
      return reduce_as<bf16>(stream, p);
    case DType::f16:
      return reduce_as<f16>(stream, p);
    default:
      return reduce_as<float>(stream, p);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
