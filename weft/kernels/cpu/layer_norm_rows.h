// The rows of layer_norm (centred) and rms_norm (not centred: mean 0, no beta). A few rows go
// together so that the chains of additions of one hide behind another's; each row's own arithmetic
// does not depend on that.
#pragma once
#include "weft/kernels/cpu/rows.h"
#include "weft/kernels/layer_norm.h"

#define WEFT_EACH_ROW _Pragma("GCC unroll 4") for (int r = 0; r < R; ++r)

namespace weft::kernels::cpu::WEFT_ISA {

template <class T, bool centred, int R>
void norm_forward_rows(const LayerNormForward& p, int64_t row) {
  const int64_t width = p.width;
  const T* x = static_cast<const T*>(p.x) + row * width;
  const T* gamma = static_cast<const T*>(p.gamma);
  const T* beta = static_cast<const T*>(p.beta);
  T* y = static_cast<T*>(p.y) + row * width;
  const float n = float(width);
  F32x16 mean[R] = {}, rstd[R], sum[R] = {};
  if constexpr (centred) {
    each_step(width, [&](int64_t i, auto k)
                         WEFT_INLINE { WEFT_EACH_ROW sum[r] += load(x + r * width + i, k); });
    WEFT_EACH_ROW mean[r] = F32x16(sum_lanes(sum[r]) / n), sum[r] = F32x16();
  }
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    WEFT_EACH_ROW {
      const F32x16 d = keep(load(x + r * width + i, k) - mean[r], k);
      sum[r] = fma(d, d, sum[r]);
    }
  });
  WEFT_EACH_ROW {
    const float s = 1.0f / __builtin_sqrtf(sum_lanes(sum[r]) / n + float(p.eps));
    rstd[r] = F32x16(s);
    if (p.rstd) static_cast<float*>(p.rstd)[row + r] = s;
    if (centred && p.mean) mean[r].store(static_cast<float*>(p.mean) + row + r, 1);
  }
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    const F32x16 g = gamma ? load(gamma + i, k) : F32x16(1.0f);
    const F32x16 b = beta ? load(beta + i, k) : F32x16(-0.0f);  // h g + -0 is h g
    WEFT_EACH_ROW {
      const F32x16 h = (load(x + r * width + i, k) - mean[r]) * rstd[r];
      store(fma(h, g, b), y + r * width + i, k);
    }
  });
}

template <class T, bool centred>
void norm_forward(CpuStream& stream, const LayerNormForward& p) {
  constexpr int together = 4;
  stream.parallel_for(p.rows, together, [&](int64_t begin, int64_t end) {
    int64_t row = begin;
    for (; row + together <= end; row += together) norm_forward_rows<T, centred, together>(p, row);
    for (; row < end; ++row) norm_forward_rows<T, centred, 1>(p, row);
  });
}

// dx of R rows; their share of dgamma and dbeta is added to sums [2, width].
template <class T, bool centred, int R>
void norm_backward_rows(const LayerNormBackward& p, int64_t row, float* sums) {
  const int64_t width = p.width;
  const T* x = static_cast<const T*>(p.x) + row * width;
  const T* dy = static_cast<const T*>(p.dy) + row * width;
  const T* gamma = static_cast<const T*>(p.gamma);
  const T* residual =
      p.residual_grad ? static_cast<const T*>(p.residual_grad) + row * width : nullptr;
  T* dx = static_cast<T*>(p.dx) + row * width;
  F32x16 mean[R] = {}, rstd[R], sum[R] = {}, dot[R] = {};
  WEFT_EACH_ROW {
    if (centred) mean[r] = F32x16(static_cast<const float*>(p.mean)[row + r]);
    rstd[r] = F32x16(static_cast<const float*>(p.rstd)[row + r]);
  }
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    const F32x16 scale = gamma ? load(gamma + i, k) : F32x16(1.0f);
    WEFT_EACH_ROW {
      const F32x16 h = (load(x + r * width + i, k) - mean[r]) * rstd[r];
      const F32x16 g = load(dy + r * width + i, k) * scale;
      if (centred) sum[r] += g;
      dot[r] = fma(g, keep(h, k), dot[r]);
    }
  });
  WEFT_EACH_ROW {
    sum[r] = F32x16(sum_lanes(sum[r]) / float(width));
    dot[r] = F32x16(sum_lanes(dot[r]) / float(width));
  }
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    const F32x16 scale = gamma ? load(gamma + i, k) : F32x16(1.0f);
    F32x16 dgamma = load(sums + i, k), dbeta = load(sums + width + i, k);
    WEFT_EACH_ROW {
      const F32x16 h = (load(x + r * width + i, k) - mean[r]) * rstd[r];
      const F32x16 d = load(dy + r * width + i, k);
      dgamma = fma(d, h, dgamma);
      if (centred) dbeta += d;
      F32x16 v = fnma(h, dot[r], d * scale - sum[r]) * rstd[r];
      if (residual) v = round_to(v, dx) + load(residual + r * width + i, k);
      store(v, dx + r * width + i, k);
    }
    store(dgamma, sums + i, k);
    if (centred) store(dbeta, sums + width + i, k);
  });
}

template <class T, bool centred>
void norm_backward_block(const LayerNormBackward& p, int64_t block) {
  constexpr int together = 2;
  float* sums = static_cast<float*>(p.scratch) + block * 2 * p.width;
  const int64_t end = block * norm_block_rows + norm_block_rows < p.rows
                          ? block * norm_block_rows + norm_block_rows
                          : p.rows;
  int64_t row = block * norm_block_rows;
  std::memset(sums, 0, size_t(2 * p.width) * 4);
  for (; row + together <= end; row += together)
    norm_backward_rows<T, centred, together>(p, row, sums);
  for (; row < end; ++row) norm_backward_rows<T, centred, 1>(p, row, sums);
}

// out[i] = sum of blocks' sums[i], ascending; a block's sums are 2 width apart.
inline void add_blocks(const float* sums, int64_t blocks, int64_t width, int64_t begin, int64_t end,
                       float* out) {
  each_step(end - begin, [&](int64_t i, auto k) WEFT_INLINE {
    F32x16 total = {};
    for (int64_t b = 0; b < blocks; ++b) total += load(sums + b * 2 * width + begin + i, k);
    store(total, out + begin + i, k);
  });
}

template <class T, bool centred>
void norm_backward(CpuStream& stream, const LayerNormBackward& p) {
  const int64_t blocks = (p.rows + norm_block_rows - 1) / norm_block_rows;
  stream.parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) norm_backward_block<T, centred>(p, b);
  });
  const float* sums = static_cast<const float*>(p.scratch);
  stream.parallel_for(p.width, 128, [&](int64_t begin, int64_t end) {
    if (p.dgamma) add_blocks(sums, blocks, p.width, begin, end, static_cast<float*>(p.dgamma));
    if (p.dbeta)
      add_blocks(sums + p.width, blocks, p.width, begin, end, static_cast<float*>(p.dbeta));
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA

#undef WEFT_EACH_ROW
