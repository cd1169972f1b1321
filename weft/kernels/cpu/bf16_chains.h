// Products of bf16 with vector instructions, summed as an AMX tile sums them (tdpbf16ps in Intel's
// manual): in each step of 32 k a chain of FMAs from zero over the even k and one over the odd k,
// the two added, then added to what was there.
//
// B lies as in a tile: row r holds the pair of k (2r, 2r + 1) of 16 columns.
#pragma once
#include "weft/kernels/cpu/rows.h"

namespace weft::kernels::cpu::WEFT_ISA {

// How a chain is walked: links of 32 bits for the 16 k of its parity in a step, `ks` each, so that
// there are `words`.
//   columns  a link of 16 columns, from B's rows from b on, for `rows` rows of A
//   row      A's 32 k of a step: the even chain's words, then the odd one's
//   fma      sum + the products of a link, each rounded by itself
#if defined(__AVX512BF16__)
// A link is two k of a chain in bf16, the earlier one in the upper half: vdpbf16ps adds the product
// of the upper halves first, then that of the lower ones, and rounds after each as an FMA does.
struct Links {
  static constexpr int ks = 2, words = 8;
  // One permutation; where there are many chains it would cost them registers for its indices.
  template <int rows>
  static F32x16 columns(const bf16* b, bool odd) {
    const __m512i x = _mm512_loadu_si512(b), y = _mm512_loadu_si512(b + 32);
    if constexpr (rows <= 2) {
      const __m512i of_even = _mm512_set_epi16(30, 62, 28, 60, 26, 58, 24, 56, 22, 54, 20, 52,  //
                                               18, 50, 16, 48, 14, 46, 12, 44, 10, 42, 8, 40,   //
                                               6, 38, 4, 36, 2, 34, 0, 32);
      const __m512i words_of = odd ? _mm512_add_epi16(of_even, _mm512_set1_epi16(1)) : of_even;
      return _mm512_castsi512_ps(_mm512_permutex2var_epi16(x, words_of, y));
    }
    constexpr __mmask32 upper = 0xaaaaaaaa;
    return _mm512_castsi512_ps(odd ? _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(y, 16), x)
                                   : _mm512_mask_blend_epi16(upper, y, _mm512_slli_epi32(x, 16)));
  }
  static void row(const bf16* a, float* to) {
    const __m512i order =
        _mm512_set_epi16(29, 31, 25, 27, 21, 23, 17, 19, 13, 15, 9, 11, 5, 7, 1, 3,  //
                         28, 30, 24, 26, 20, 22, 16, 18, 12, 14, 8, 10, 4, 6, 0, 2);
    _mm512_storeu_si512(to, _mm512_permutexvar_epi16(order, _mm512_loadu_si512(a)));
  }
  static F32x16 fma(F32x16 x, F32x16 w, F32x16 sum) {
    return _mm512_dpbf16_ps(sum.v, (__m512bh)x.v, (__m512bh)w.v);
  }
};
#else
// A link is one k, in f32.
struct Links {
  static constexpr int ks = 1, words = 16;
  template <int rows>
  static F32x16 columns(const bf16* b, bool odd) {
    const int32_t* pairs = reinterpret_cast<const int32_t*>(b);
    return odd ? as_float(I32x16::load(pairs) & I32x16(int32_t(0xffff0000u)))
               : as_float(shift_left<16>(I32x16::load(pairs)));
  }
  static void row(const bf16* a, float* to) {
    columns<1>(a, false).store(to);
    columns<1>(a, true).store(to + words);
  }
  static F32x16 fma(F32x16 x, F32x16 w, F32x16 sum) {
    return weft::kernels::cpu::WEFT_ISA::fma(x, w, sum);
  }
};
#endif

// Where nothing is to be asked for meanwhile.
struct NoLines {
  void next(const bf16*) {}
};

// sums += even + odd, one step for R rows of A in words and C vectors of columns; b_stride is from
// one of these to the next. lines.next() for every line of B as it is read.
template <int R, int C, class Fetching>
WEFT_INLINE inline void chains_step(const float* a, const bf16* b, int64_t b_stride, Fetching lines,
                                    F32x16 (&sums)[R][C]) {
  constexpr int words = Links::words;
  F32x16 even[R][C], odd[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) even[r][c] = odd[r][c] = F32x16();
#pragma GCC unroll 8
  for (int link = 0; link < words; ++link, ++a, b += 32 * Links::ks) {
    F32x16 w[C], v[C];
#pragma GCC unroll 2
    for (int c = 0; c < C; ++c) {
      const bf16* at = b + c * b_stride;
      w[c] = Links::template columns<R>(at, false), v[c] = Links::template columns<R>(at, true);
      for (int row = 0; row < Links::ks; ++row) lines.next(at + 32 * row);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const F32x16 x(a[r * 2 * words]), y(a[(r * 2 + 1) * words]);
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c)
        even[r][c] = Links::fma(x, w[c], even[r][c]), odd[r][c] = Links::fma(y, v[c], odd[r][c]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < C; ++c) sums[r][c] = sums[r][c] + (even[r][c] + odd[r][c]);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
