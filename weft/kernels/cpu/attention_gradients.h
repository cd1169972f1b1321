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
  float s[block_keys * block_queries], dp[block_keys * block_queries];
  Operand<T> p[block_keys * block_queries], ds[block_keys * block_queries];
  T ds_pairs[block_keys * block_queries];  // ds as B: [queries / 16][keys / w][16][w]
};

// What there is about each query of a head, padded to whole blocks.
struct QueryStats {
  float *lse, *d;       // lse times log2(e)
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
  Lanes16 p, ds;
};

// 16 queries from `query` of the head on and one key, by their place `at` in the block.
template <class T, bool masked>
WEFT_INLINE inline Gradient score_gradient(const BackwardBlock<T>& block, const QueryStats& stats,
                                           int64_t query, float key, int at, F32x16 scale) {
  const F32x16 x = fma(F32x16::load(block.s + at), scale, -F32x16::load(stats.lse + query));
  F32x16 p = power_of_two<T>(x);
  if constexpr (masked) {
    const Mask16 visible = (F32x16::load(stats.first + query) <= F32x16(key)) &
                           (F32x16(key) < F32x16::load(stats.last + query));
    p = select(visible, p, F32x16());
  }
  Gradient g;
  g.p = p;
  g.ds = p * (F32x16::load(block.dp + at) - F32x16::load(stats.d + query));
  return g;
}

// From s and dp to p and ds, for 32 keys from the block's key `begin` on. masked: not every query
// sees every key. `beside` is run on the way.
template <class T, bool masked>
void score_gradients(BackwardBlock<T>& block, const QueryStats& stats, int64_t query, int key,
                     int begin, float scale_log2, ProductQueue<T>& beside) {
  const F32x16 scale = scale_log2;
  for (int c = begin; c < begin + 32; c += 2) {
    beside.advance(c - begin + 2, 32);
    for (int i = 0; i < block_queries; i += 32) {
      Gradient g[2][2];
      WEFT_UNROLL for (int n = 0; n < 4; ++n) {
        const int row = c + n / 2, column = i + n % 2 * 16;
        g[n / 2][n % 2] = score_gradient<T, masked>(block, stats, query + column, float(key + row),
                                                    row * block_queries + column, scale);
      }
      WEFT_UNROLL for (int n = 0; n < 2; ++n) {
        const int at = (c + n) * block_queries + i;
        store_rounded<T>(g[n][0].p, g[n][1].p, block.p + at);
        store_rounded<T>(g[n][0].ds, g[n][1].ds, block.ds + at);
        store_pair(g[0][n].ds, g[1][n].ds, c, block.ds_pairs + (i + n * 16) * block_keys);
      }
    }
  }
  beside.finish();
}

}  // namespace weft::kernels::cpu::WEFT_ISA
