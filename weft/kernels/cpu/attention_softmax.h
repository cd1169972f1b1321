// The forward pass in steps of a block of keys for a tile of up to 32 query rows: scores of the
// next step, softmax of this one and the values of the one before go through together, from one
// tile into the next.
#pragma once
#include "weft/kernels/cpu/attention_segments.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int tile_rows = attention_forward_rows;
constexpr int block_keys = 64;

// What a tile keeps. Row r is query r / group of head r % group of the tile.
template <class T>
struct alignas(64) ForwardTile {
  T q[tile_rows * attention_max_head_dim];
  float o[tile_rows * attention_max_head_dim];  // sums of p v
  float l[tile_rows * 16];                      // sums of p, lane by lane
  float shift[tile_rows];                       // p = 2^(score log2(e) + shift)
  float limit[tile_rows];                       // a higher score makes for a new shift
  float factor[tile_rows];                      // for o of the rows in `risen`
  float first[tile_rows], last[tile_rows];      // keys [first, last) are visible
  uint32_t risen;                               // rows whose shift is new in this block
};

// One block of keys for one tile.
template <class T>
struct Step {
  ForwardTile<T>* tile = nullptr;      // null: none, before the first step and after the last
  const T *k = nullptr, *v = nullptr;  // packed
  float* s = nullptr;                  // [32, 64] scores, then p in their place
  int rows = 0, product_rows = 0;      // of the tile; of its products
  int key = 0, keys = 0;               // the block's first; how many any row sees: 32 or 64
  bool first = false, last = false;    // of its tile's blocks
  bool masked = false;                 // not every row sees every key
};

constexpr float never_seen = -1e30f;  // scores of keys not seen
constexpr float rise_limit = 8;       // p stays below 2^8

// Keys whose scores may be made while the place of the others still holds p of an earlier block.
template <class T>
constexpr int early_keys = sizeof(T) == 2 ? 32 : 0;

// Where p lies in the place of s, with a row as wide: behind the early keys.
template <class T>
constexpr int p_stride = block_keys * 4 / int(sizeof(T));
template <class T>
T* p_of(float* s) {
  return reinterpret_cast<T*>(s + early_keys<T>);
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

// Sixteen keys from `key` on.
WEFT_INLINE inline F32x16 keys_from(int key) {
  alignas(64) static constexpr float count[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                  8, 9, 10, 11, 12, 13, 14, 15};
  return F32x16::load(count) + F32x16(float(key));
}

// What a row sees of a block of keys.
enum class Seen {
  all,
  diagonal,  // all of the first vectors, of the last one the keys before its `last`, no others
  any
};

// Whether vector j may have keys that are not seen.
template <Seen seen, int vectors>
constexpr bool hides(int j) {
  return seen == Seen::any || (seen == Seen::diagonal && j + 1 == vectors);
}

// Scores to probabilities, one row; no key past `vectors` times 16 is seen. first: this is the
// tile's first block.
template <class T, bool first, Seen seen, int vectors>
WEFT_INLINE inline void softmax_row(const Step<T>& step, int r, float scale) {
  ForwardTile<T>& t = *step.tile;
  const float* s = step.s + r * block_keys;
  F32x16 x[4] = {{}, {}, {}, {}};
  Mask16 visible[4];
  WEFT_UNROLL for (int j = 0; j < vectors; ++j) {
    x[j] = F32x16::load(s + j * 16);
    if (!hides<seen, vectors>(j)) continue;
    const F32x16 keys = keys_from(step.key + j * 16);
    visible[j] = keys < F32x16(t.last[r]);
    if (seen == Seen::any) visible[j] = visible[j] & (F32x16(t.first[r]) <= keys);
    x[j] = select(visible[j], x[j], F32x16(never_seen));
  }
  F32x16 top = x[0];
  if constexpr (vectors > 1) top = max(top, x[1]);
  if constexpr (vectors > 2) top = max(top, vectors > 3 ? max(x[2], x[3]) : x[2]);
  if constexpr (first) {
    set_shift(t, r, top, scale);
  } else if ((F32x16(t.limit[r]) < top).any()) [[unlikely]] {
    raise(t, r, top, scale);
  }
  const F32x16 shift = t.shift[r];
  WEFT_UNROLL for (int j = 0; j < vectors; ++j) {
    x[j] = power_of_two<T>(fma(x[j], F32x16(scale), shift));
    if (hides<seen, vectors>(j)) x[j] = select(visible[j], x[j], F32x16());
  }
  F32x16 sum = x[0];
  if constexpr (vectors > 1) sum += x[1];
  if constexpr (vectors > 2) sum += vectors > 3 ? x[2] + x[3] : x[2];
  float* l = t.l + r * 16;
  (first ? sum : F32x16::load(l) + sum).store(l);
  T* p = p_of<T>(step.s) + r * p_stride<T>;
  store_rounded(x[0], x[1], p);
  store_rounded(x[2], x[3], p + 32);
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

// Scores of keys [from, to) of the step's block, as far as they are seen.
template <class T, class Queue>
void push_scores(Queue& queue, const Step<T>& step, int from, int to, int depth) {
  if (to > step.keys) to = step.keys;
  if (!step.tile || from >= to) return;
  queue.push({.a = step.tile->q,
              .a_stride = depth,
              .b = step.k + from * depth,
              .b_stride = int64_t{depth} * 16,
              .c = step.s + from,
              .c_stride = block_keys,
              .m = step.product_rows,
              .n = to - from,
              .k = depth,
              .add = false});
}

// o = p v or o += p v.
template <class T, class Queue>
void push_values(Queue& queue, const Step<T>& step, int depth) {
  if (!step.tile) return;
  queue.push({.a = p_of<T>(step.s),
              .a_stride = p_stride<T>,
              .b = step.v,
              .b_stride = block_keys * 16,
              .c = step.tile->o,
              .c_stride = depth,
              .m = step.product_rows,
              .n = depth,
              .k = step.keys,
              .add = !step.first});
}

// Four rows from `row` on.
template <class T, bool first, Seen seen, int vectors, class Queue>
WEFT_INLINE inline void softmax_rows(const Step<T>& step, int row, float scale, Queue& queue) {
  queue.beside(row + 4, tile_rows, [&](int i) WEFT_INLINE {
    softmax_row<T, first, seen, vectors>(step, row + i, scale);
  });
}
template <class T, bool first, Seen seen, int vectors, class Queue>
__attribute__((noinline)) void few_softmax_rows(const Step<T>& step, int row, float scale,
                                                Queue& queue) {
  softmax_rows<T, first, seen, vectors>(step, row, scale, queue);
}

// All rows see all keys.
template <class T, bool first, class Queue>
void softmax_of_all(const Step<T> step, float scale, Queue& queue) {
  int row = 0;
  for (; row + 4 <= step.rows; row += 4)
    softmax_rows<T, first, Seen::all, 4>(step, row, scale, queue);
  for (; row < step.rows; ++row) softmax_row<T, first, Seen::all, 4>(step, row, scale);
}

template <class T, bool first, class Queue>
void softmax_of_some(const Step<T>& step, float scale, Queue& queue) {
  const ForwardTile<T>& t = *step.tile;
  int row = 0;
  for (; row + 4 <= step.rows; row += 4) {
    const int low = int(t.last[row]) - step.key, high = int(t.last[row + 3]) - step.key;
    const int vectors = high < block_keys ? (high + 15) / 16 : 4;
    const bool any = t.first[row + 3] > float(step.key) || high <= 0 || low < 16 * (vectors - 1);
    if (any)
      few_softmax_rows<T, first, Seen::any, 4>(step, row, scale, queue);
    else if (vectors == 1)
      few_softmax_rows<T, first, Seen::diagonal, 1>(step, row, scale, queue);
    else if (vectors == 2)
      few_softmax_rows<T, first, Seen::diagonal, 2>(step, row, scale, queue);
    else if (vectors == 3)
      few_softmax_rows<T, first, Seen::diagonal, 3>(step, row, scale, queue);
    else
      few_softmax_rows<T, first, Seen::diagonal, 4>(step, row, scale, queue);
  }
  for (; row < step.rows; ++row) softmax_row<T, first, Seen::any, 4>(step, row, scale);
}

template <class T, bool first, class Queue>
void softmax(const Step<T>& step, float scale, Queue& queue) {
  if (step.masked)
    softmax_of_some<T, first>(step, scale, queue);
  else
    softmax_of_all<T, first>(step, scale, queue);
  queue.finish();
}

// Softmax of `now` beside the values of the step before and the scores of the next, whose place is
// that of the step before. scale: times log2(e).
template <class Queue, class T>
void run_step(const Step<T>& before, const Step<T>& now, const Step<T>& next, int depth,
              float scale) {
  Queue queue;
  push_scores(queue, next, 0, early_keys<T>, depth);
  push_values(queue, before, depth);
  push_scores(queue, next, early_keys<T>, block_keys, depth);
  if (!now.tile) {
    queue.finish();
  } else if (now.first) {
    now.tile->risen = 0;
    softmax<T, true>(now, scale, queue);
  } else {
    softmax<T, false>(now, scale, queue);
    rescale(*now.tile, depth);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
