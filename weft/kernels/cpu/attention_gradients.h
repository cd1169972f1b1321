// The backward pass on one block of 64 keys and 64 queries. Scores are made transposed, keys in
// rows: probabilities then are rows of A for dv, as are score gradients for dk, and two rows of
// score gradients interleaved are B for dq. Notation: s = k q, dp = v d_o, d = rowsum(o d_o),
// ds = p (dp - d); gradients of q and k are scaled at the very end.
#pragma once
#include "weft/kernels/cpu/attention_softmax.h"

namespace weft::kernels::cpu::WEFT_ISA {

constexpr int block_queries = attention_rows;

template <class T>
struct alignas(64) BackwardBlock {
  float s[block_keys * block_queries], dp[block_keys * block_queries];  // p and ds in their place
  T ds_pairs[2][block_keys * block_queries];  // ds as B: [queries / 16][keys / w][16][w]
};

// What there is about each query of a head, padded to whole blocks.
struct QueryStats {
  float *shift, *d;     // p = 2^(score log2(e) + shift)
  float *first, *last;  // keys [first, last) are visible; exact below 2^24
};

// ds of the keys `key` and `key + 1` of the block for 16 queries, as a part of B.
WEFT_INLINE inline void store_pair(F32x16 a, F32x16 b, int key, float* to) {
  a.store(to + key * 16), b.store(to + (key + 1) * 16);
}
WEFT_INLINE inline void store_pair(F32x16 a, F32x16 b, int key, bf16* to) {
#if defined(__AVX512BF16__)
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(b.v, a.v);
  _mm512_storeu_si512(to + key * 16, _mm512_permutexvar_epi16(order, both));
#else
  const I32x16 low = shift_right<16>(bf16_in_upper_half(a)) & I32x16(0xffff);
  (low | bf16_in_upper_half(b)).store(reinterpret_cast<int32_t*>(to + key * 16));
#endif
}

struct Gradient {
  F32x16 p, ds;
};

// One half of a block: 32 keys and the queries from `hidden` on, 0 or 32: those before see none of
// the keys.
template <class T>
struct HalfBlock {
  float *s, *dp;
  T* ds_pairs;
  QueryStats stats;
  int query, key;  // the first of each, as the statistics count them
  int key_in_block, hidden;
  float scale;  // times log2(e)
};

// 16 queries from `query` of the half on and key `key` of it.
template <class T, bool masked>
WEFT_INLINE inline Gradient score_gradient(const HalfBlock<T>& half, int query, int key) {
  const int at = key * block_queries + query, i = half.query + query;
  F32x16 p = power_of_two<T>(
      fma(F32x16::load(half.s + at), F32x16(half.scale), F32x16::load(half.stats.shift + i)));
  if constexpr (masked) {
    const F32x16 position = float(half.key + key);
    p = select((F32x16::load(half.stats.first + i) <= position) &
                   (position < F32x16::load(half.stats.last + i)),
               p, F32x16());
  }
  Gradient g;
  g.p = p;
  g.ds = p * (F32x16::load(half.dp + at) - F32x16::load(half.stats.d + i));
  return g;
}

// From s and dp to p and ds, for two keys and 32 queries. masked: not every query sees every key.
template <class T, bool masked>
WEFT_INLINE inline void score_gradients(const HalfBlock<T>& half, int query, int key) {
  Gradient g[2][2];
  WEFT_UNROLL for (int n = 0; n < 4; ++n) {
    g[n / 2][n % 2] = score_gradient<T, masked>(half, query + n % 2 * 16, key + n / 2);
  }
  WEFT_UNROLL for (int n = 0; n < 2; ++n) {
    const int at = (key + n) * p_stride<T> + query;
    store_rounded(g[n][0].p, g[n][1].p, p_of<T>(half.s) + at);
    store_rounded(g[n][0].ds, g[n][1].ds, p_of<T>(half.dp) + at);
    store_pair(g[0][n].ds, g[1][n].ds, half.key_in_block + key,
               half.ds_pairs + (query + n * 16) * block_keys);
  }
}

// Of a row the later queries come first: their probabilities lie where their scores were.
template <class T, bool masked, class Queue>
void run_half(const HalfBlock<T> half, Queue& queue) {
  if (half.hidden > 0)
    for (int key = 0; key < 32; key += 8)
      queue.beside(key + 8, 32,
                   [&](int i) WEFT_INLINE { score_gradients<T, masked>(half, 32, key + i * 2); });
  else
    for (int key = 0; key < 32; key += 4)
      queue.beside(key + 4, 32, [&](int i) WEFT_INLINE {
        score_gradients<T, masked>(half, 32 - i % 2 * 32, key + i / 2 * 2);
      });
  queue.finish();
}

}  // namespace weft::kernels::cpu::WEFT_ISA
