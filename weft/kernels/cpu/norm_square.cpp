#include "weft/kernels/norm_square.h"

#include "weft/kernels/cpu/rows.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// Sixteen running sums of squares in f64. Squares of floats are exact in f64, so fused or not is
// the same.
#if defined(__AVX512F__)
struct Squares {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  WEFT_INLINE void add(F32x16 x) {
    const __m512d a = _mm512_cvtps_pd(_mm512_castps512_ps256(x.v));
    const __m512d b = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1));
    low = _mm512_fmadd_pd(a, a, low), high = _mm512_fmadd_pd(b, b, high);
  }
  void store(double* t) const { _mm512_storeu_pd(t, low), _mm512_storeu_pd(t + 8, high); }
};
#else
struct Squares {
  __m256d sum[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(),
                    _mm256_setzero_pd()};
  static __m256d square_add(__m128 x, __m256d sum) {
    const __m256d wide = _mm256_cvtps_pd(x);
    return _mm256_fmadd_pd(wide, wide, sum);
  }
  WEFT_INLINE void add(F32x16 x) {
    sum[0] = square_add(_mm256_castps256_ps128(x.a), sum[0]);
    sum[1] = square_add(_mm256_extractf128_ps(x.a, 1), sum[1]);
    sum[2] = square_add(_mm256_castps256_ps128(x.b), sum[2]);
    sum[3] = square_add(_mm256_extractf128_ps(x.b, 1), sum[3]);
  }
  void store(double* t) const {
    for (int i = 0; i < 4; ++i) _mm256_storeu_pd(t + 4 * i, sum[i]);
  }
};
#endif

double block_square(const float* x, int64_t n) {
  Squares squares;
  each_step(n, [&](int64_t i, auto k) WEFT_INLINE { squares.add(load(x + i, k)); });
  double t[lanes];
  squares.store(t);
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; ++i) t[i] += t[i + width];
  return t[0];
}

}  // namespace

void norm_square(CpuStream& stream, const NormSquare& p) {
  const float* x = static_cast<const float*>(p.x);
  const int64_t blocks = (p.n + norm_square_block - 1) / norm_square_block;
  stream.parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * norm_square_block, left = p.n - first;
      p.scratch[b] = block_square(x + first, left < norm_square_block ? left : norm_square_block);
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += p.scratch[b];
  *p.out = total;
}

void clip_scale(CpuStream&, const ClipScale& p) {
  double square = 0;
  for (int64_t i = 0; i < p.count; ++i) square += p.squares[i];
  const double norm = __builtin_sqrt(square), scale = p.max_norm / (norm + 1e-6);
  *p.scale = scale >= 1 ? 1.0f : float(scale);
  if (p.norm) *p.norm = float(norm);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
