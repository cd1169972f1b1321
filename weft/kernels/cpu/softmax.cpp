#include "weft/kernels/softmax.h"

#include "weft/kernels/cpu/softmax_row.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

void forward_row(const float* x, float* y, int64_t width) {
  const float largest = row_max(x, width);
  const F32x16 inverse = 1.0f / row_sum_exp<true>(x, width, largest, y);
  each_step(width,
            [&](int64_t i, auto k) WEFT_INLINE { store(load(y + i, k) * inverse, y + i, k); });
}

// There is no room for unrounded exponentials in y: they are computed twice.
void forward_row(const bf16* x, bf16* y, int64_t width) {
  const float largest = row_max(x, width);
  const F32x16 inverse = 1.0f / row_sum_exp<false>(x, width, largest);
  each_step(width, [&](int64_t i, auto k) WEFT_INLINE {
    store(exp(load(x + i, k) - F32x16(largest)) * inverse, y + i, k);
  });
}

template <class T>
void backward_row(const T* dy, const T* y, T* dx, int64_t width) {
  F32x16 dot = {};
  each_step(width, [&](int64_t i, auto k)
                       WEFT_INLINE { dot = fma(load(dy + i, k), load(y + i, k), dot); });
  const F32x16 sum = sum_lanes(dot);
  each_step(width, [&](int64_t i, auto k)
                       WEFT_INLINE { store((load(dy + i, k) - sum) * load(y + i, k), dx + i, k); });
}

template <class T>
void forward(CpuStream& stream, const SoftmaxForward& p) {
  stream.parallel_for(p.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      forward_row(static_cast<const T*>(p.x) + r * p.width, static_cast<T*>(p.y) + r * p.width,
                  p.width);
  });
}

template <class T>
void backward(CpuStream& stream, const SoftmaxBackward& p) {
  stream.parallel_for(p.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      backward_row(static_cast<const T*>(p.dy) + r * p.width,
                   static_cast<const T*>(p.y) + r * p.width, static_cast<T*>(p.dx) + r * p.width,
                   p.width);
  });
}

}  // namespace

void softmax_forward(CpuStream& stream, const SoftmaxForward& p) {
  if (p.dtype == DType::bf16)
    forward<bf16>(stream, p);
  else
    forward<float>(stream, p);
}

void softmax_backward(CpuStream& stream, const SoftmaxBackward& p) {
  if (p.dtype == DType::bf16)
    backward<bf16>(stream, p);
  else
    backward<float>(stream, p);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
