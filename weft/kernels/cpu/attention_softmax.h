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
  float s[2][tile_rows * block_keys];  // q k of this block and the next, and p in its place
  Operand<T> q[tile_rows * attention_max_head_dim];
  float o[tile_rows * attention_max_head_dim];  // sums of p v
  float l[tile_rows * 16];                      // sums of p, lane by lane
  float shift[tile_rows];                       // p = 2^(score log2(e) + shift)
  float limit[tile_rows];                       // a higher score makes for a new shift
  float factor[tile_rows];                      // for o of the rows in `risen`
  float first[tile_rows], last[tile_rows];      // keys [first, last) are visible
  uint32_t risen;                               // rows whose shift is new in this block
};

// One step through the blocks of keys. Pointers of what there is not (before the first block,
// after the last) are null.
template <class T>
struct Round {
  const Operand<T>* q;
  const T* next_k;
  const T* previous_v;
  float *s, *other_s;  // of this block, beginning at `key`; of the next and of the one before
  int rows, depth, key;
  int next_keys;  // of the next block that any row sees: 32 or 64
  bool adds;      // the block before is not the first
  float scale;    // times log2(e)
};

constexpr float never_seen = -1e30f;  // scores of keys not seen
constexpr float rise_limit = 8;       // p stays below 2^8

// Where p lies in the place of s, with a row as wide: behind the scores of 32 keys, which may be
// made before the values are read.
template <class T>
constexpr int p_stride = block_keys * 4 / int(sizeof(Operand<T>));
template <class T>
constexpr int p_begin = p_stride<T> - block_keys;

template <class T>
Operand<T>* p_of(float* s) {
  return reinterpret_cast<Operand<T>*>(s) + p_begin<T>;
}

template <class T>
WEFT_INLINE inline void set_shift(ForwardTile<T>& t, int r, F32x16 top, float scale) {
  const float m = max_lanes(top) * scale;
  t.shift[r] = -m;
  t.limit[r] = (m + rise_limit) / scale;
}

// A new shift from the highest score so far, for one row.
template <class T>
__attribute__((noinline)) void raise(ForwardTile<T>& t, int r, F32x16 top, float scale) {
  const float before = t.shift[r];
  set_shift(t, r, top, scale);
  const F32x16 factor = power_of_two<float>(F32x16(t.shift[r] - before));
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

// Of 16 keys from `key` on, those in [first, last).
WEFT_INLINE inline Mask16 visible_lanes(float first, float last, int key) {
  alignas(64) static constexpr float count[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                  8, 9, 10, 11, 12, 13, 14, 15};
  const F32x16 keys = F32x16::load(count) + F32x16(float(key));
  return (F32x16(first) <= keys) & (keys < F32x16(last));
}

// Scores to probabilities, one row. first: this is the tile's first block; masked: not every key
// of the block is visible.
template <class T, bool first, bool masked>
WEFT_INLINE inline void softmax_row(ForwardTile<T>& t, const Round<T>& round, int r) {
  const float* s = round.s + r * block_keys;
  Lanes16 x[4];
  Mask16 visible[4];
  WEFT_UNROLL for (int j = 0; j < 4; ++j) {
    x[j] = F32x16::load(s + j * 16);
    if constexpr (masked) {
      visible[j] = visible_lanes(t.first[r], t.last[r], round.key + j * 16);
      x[j] = select(visible[j], x[j], F32x16(never_seen));
    }
  }
  const F32x16 top = max(max(x[0], x[1]), max(x[2], x[3]));
  if constexpr (first) {
    set_shift(t, r, top, round.scale);
  } else if ((F32x16(t.limit[r]) < top).any()) [[unlikely]] {
    raise(t, r, top, round.scale);
  }
  const F32x16 scale = round.scale, shift = t.shift[r];
  WEFT_UNROLL for (int j = 0; j < 4; ++j) {
    x[j] = power_of_two<T>(fma(x[j], scale, shift));
    if constexpr (masked) x[j] = select(visible[j], x[j], F32x16());
  }
  const F32x16 sum = (F32x16(x[0]) + x[1]) + (F32x16(x[2]) + x[3]);
  float* l = t.l + r * 16;
  (first ? sum : F32x16::load(l) + sum).store(l);
  Operand<T>* p = p_of<T>(round.s) + r * p_stride<T>;
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

// Scores of keys [from, to) of a block.
template <class T>
Product<T> scores(const Operand<T>* q, const T* k, float* s, int rows, int from, int to,
                  int depth) {
  return {.a = q,
          .a_stride = depth,
          .b = k + from * depth,
          .b_stride = int64_t{depth} * 16,
          .c = s + from,
          .c_stride = block_keys,
          .m = rows,
          .n = to - from,
          .k = depth,
          .add = false};
}

// o = p v or o += p v over `keys` keys of a block.
template <class T>
Product<T> values(float* s, const T* v, float* o, int rows, int keys, int depth, bool add) {
  return {.a = p_of<T>(s),
          .a_stride = p_stride<T>,
          .b = v,
          .b_stride = block_keys * 16,
          .c = o,
          .c_stride = depth,
          .m = rows,
          .n = depth,
          .k = keys,
          .add = add};
}

template <class T, bool first, bool masked>
void run_round(ForwardTile<T>& t, const Round<T> r) {
  constexpr int early = p_begin < T >> 0 ? 32 : 0;  // keys whose scores lie beside the block's p
  ProductQueue<T> queue;
  if (r.next_k && early) queue.push(scores<T>(r.q, r.next_k, r.other_s, r.rows, 0, early, r.depth));
  if (r.previous_v)
    queue.push(values<T>(r.other_s, r.previous_v, t.o, r.rows, block_keys, r.depth, r.adds));
  if (r.next_k && early < r.next_keys)
    queue.push(scores<T>(r.q, r.next_k, r.other_s, r.rows, early, r.next_keys, r.depth));
  int row = 0;
  for (; row + 4 <= r.rows; row += 4)
    queue.beside(row + 4, tile_rows,
                 [&](int i) WEFT_INLINE { softmax_row<T, first, masked>(t, r, row + i); });
  for (; row < r.rows; ++row) softmax_row<T, first, masked>(t, r, row);
  queue.finish();
  if constexpr (!first) rescale(t, r.depth);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
