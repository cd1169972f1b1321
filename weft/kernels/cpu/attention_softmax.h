// The forward pass on a tile of up to 32 query rows: scores of the next block of keys, softmax of
// this one and the values of the one before go through together.
#pragma once
#include "weft/kernels/cpu/attention_segments.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int tile_rows = attention_forward_rows;
constexpr int block_keys = 64;

// What a tile keeps. Row r is query r / group of head r % group of the tile.
template <class T>
struct alignas(64) ForwardTile {
  float s[2][tile_rows * block_keys];       // q k of this block and the next
  Operand<T> p[2][tile_rows * block_keys];  // probabilities of this block and the one before
  Operand<T> q[tile_rows * attention_max_head_dim];
  float o[tile_rows * attention_max_head_dim];  // sums of p v
  float l[tile_rows * 16];                      // sums of p, lane by lane
  float m[tile_rows];                           // p = 2^(score log2(e) - m)
  float factor[tile_rows];                      // for o of the rows in `risen`
  int first[tile_rows], last[tile_rows];        // keys [first, last) are visible
  uint32_t risen;                               // rows whose m has risen in this block
};

// One step through the blocks of keys. Pointers of what there is not (before the first block,
// after the last) are null.
template <class T>
struct Round {
  const Operand<T>* q;
  const T* next_k;
  float* next_s;
  const float* s;  // of this block, beginning at `key`
  Operand<T>* p;
  const Operand<T>* previous_p;
  const T* previous_v;
  int rows, depth, key;
  int next_keys;  // of the next block that any row sees: 32 or 64
  float scale;    // times log2(e)
};

constexpr float never_seen = -1e30f;  // m of a row that has seen no key
constexpr float rise_limit = 8;       // p stays below 2^8

// A new m from the highest score so far, for one row.
template <class T>
__attribute__((noinline)) void raise(ForwardTile<T>& t, int r, F32x16 top, float scale) {
  const float m = max_lanes(top) * scale;
  const F32x16 factor = power_of_two<float>(F32x16(t.m[r] - m));
  t.m[r] = m;
  t.factor[r] = _mm256_cvtss_f32(low_lanes(factor));
  t.risen |= 1u << r;
  (F32x16::load(t.l + r * 16) * factor).store(t.l + r * 16);
}

WEFT_INLINE inline void store_operand(F32x16 a, F32x16 b, bf16* to) {
#if defined(__AMX_TILE__)
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v));
#else
  a.store(to), b.store(to + 16);
#endif
}

// Thirty-two values as a part of a row of A.
template <class T>
WEFT_INLINE inline void store_rounded(F32x16 a, F32x16 b, Operand<T>* to) {
  if constexpr (sizeof(Operand<T>) == 2) {
    store_operand(a, b, to);
  } else if constexpr (sizeof(T) == 2) {
    as_float(bf16_in_upper_half(a)).store(to);
    as_float(bf16_in_upper_half(b)).store(to + 16);
  } else {
    a.store(to), b.store(to + 16);
  }
}

WEFT_INLINE inline Mask16 lanes_between(int first, int last) {
  const int low = first < 0 ? 0 : first > 16 ? 16 : first, high = last < 0 ? 0 : last;
  return first_lanes(high) & ~first_lanes(low);
}

// Scores to probabilities, one row; masked: not every key of the block is visible.
template <class T, bool masked>
WEFT_INLINE inline void softmax_row(ForwardTile<T>& t, const Round<T>& round, int r) {
  const float* s = round.s + r * block_keys;
  const F32x16 scale = round.scale;
  Lanes16 x[4];
  Mask16 visible[4];
  WEFT_UNROLL for (int j = 0; j < 4; ++j) {
    x[j] = F32x16::load(s + j * 16);
    if constexpr (masked) {
      const int key = round.key + j * 16;
      visible[j] = lanes_between(t.first[r] - key, t.last[r] - key);
      x[j] = select(visible[j], x[j], F32x16(never_seen));
    }
  }
  const F32x16 top = max(max(x[0], x[1]), max(x[2], x[3]));
  if ((F32x16(t.m[r] + rise_limit) < top * scale).any()) [[unlikely]]
    raise(t, r, top, round.scale);
  const F32x16 m = -F32x16(t.m[r]);
  WEFT_UNROLL for (int j = 0; j < 4; ++j) {
    x[j] = power_of_two<T>(fma(x[j], scale, m));
    if constexpr (masked) x[j] = select(visible[j], x[j], F32x16());
  }
  float* l = t.l + r * 16;
  (F32x16::load(l) + ((F32x16(x[0]) + x[1]) + (F32x16(x[2]) + x[3]))).store(l);
  Operand<T>* p = round.p + r * block_keys;
  store_rounded<T>(x[0], x[1], p);
  store_rounded<T>(x[2], x[3], p + 32);
}

// After the values of the block before are in the sums.
template <class T>
void rescale(ForwardTile<T>& t, int depth) {
  for (uint32_t rows = t.risen; rows; rows &= rows - 1) {
    const int r = __builtin_ctz(rows);
    float* o = t.o + r * depth;
    for (int i = 0; i < depth; i += 16) (F32x16::load(o + i) * F32x16(t.factor[r])).store(o + i);
  }
  t.risen = 0;
}

// Scores of `keys` keys, in rows of 64.
template <class T>
Product<T> scores(const Operand<T>* q, const T* k, float* s, int rows, int keys, int depth) {
  return {.a = q,
          .a_stride = depth,
          .b = k,
          .b_stride = int64_t{depth} * 16,
          .c = s,
          .c_stride = block_keys,
          .m = rows,
          .n = keys,
          .k = depth,
          .add = false};
}

// o += p v over `keys` keys of a block.
template <class T>
Product<T> values(const Operand<T>* p, const T* v, float* o, int rows, int keys, int depth) {
  return {.a = p,
          .a_stride = block_keys,
          .b = v,
          .b_stride = block_keys * 16,
          .c = o,
          .c_stride = depth,
          .m = rows,
          .n = depth,
          .k = keys,
          .add = true};
}

template <class T, bool masked>
void run_round(ForwardTile<T>& t, const Round<T>& r) {
  // A whole tile even where the last one has fewer rows: the queue takes no halves.
  const int rows = r.rows > 16 && sizeof(Operand<T>) == 2 ? tile_rows : r.rows;
  ProductQueue<T> queue;
  if (r.next_k) queue.push(scores<T>(r.q, r.next_k, r.next_s, rows, r.next_keys, r.depth));
  if (r.previous_v)
    queue.push(values<T>(r.previous_p, r.previous_v, t.o, rows, block_keys, r.depth));
  int row = 0;
  for (; row + 4 <= r.rows; row += 4) {
    queue.advance(row + 4, tile_rows);
    WEFT_UNROLL for (int i = 0; i < 4; ++i) softmax_row<T, masked>(t, r, row + i);
  }
  for (; row < r.rows; ++row) softmax_row<T, masked>(t, r, row);
  queue.finish();
  rescale(t, r.depth);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
