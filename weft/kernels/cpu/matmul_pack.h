// Laying operands out in panels of 32 lanes (rows of A, columns of B).
//
// bf16, per step of 32 of K, 2 KiB: two tiles of 16 lanes, each 16 rows of 64 bytes. In A's tiles
// row r is lane r with its 32 k; in B's, row r holds the pair of k (2r, 2r + 1) of the 16 lanes.
// f32, A and B alike: per k the 32 lanes.
#pragma once
#include "weft/kernels/cpu/matmul_lanes.h"

namespace weft::kernels::cpu::WEFT_ISA {

// An operand as the packers see it. Strides in elements; one of them is 1.
template <class T>
struct Source {
  const T* data;
  int64_t lane_stride, k_stride;
  int64_t lanes, k;

  bool k_contiguous() const { return k_stride == 1 || k <= 1; }
  const T* at(int64_t lane, int64_t l) const { return data + lane * lane_stride + l * k_stride; }
};

// A window of 32 lanes by `ks` k, filled up with zeros to 32 by 32, in the source's own order.
template <class T>
struct Window {
  alignas(64) T values[32 * 32];
  Source<T> source;

  Window(const Source<T>& s, int64_t lane, int64_t l, int64_t ks) : values{} {
    const int64_t there = s.lanes - lane < 32 ? s.lanes - lane : 32;
    const bool rows = s.k_contiguous();
    const T* from = s.at(lane, l);
    const int64_t count = rows ? there : ks, length = rows ? ks : there;
    for (int64_t i = 0; length > 0 && i < count; ++i)
      std::memcpy(static_cast<void*>(values + i * 32),
                  from + i * (rows ? s.lane_stride : s.k_stride), size_t(length) * sizeof(T));
    source = {values, rows ? 32 : 1, rows ? 1 : 32, 32, 32};
  }
};

// One step of A: 32 lanes by 32 k, all there.
inline void pack_step_a(const Source<bf16>& s, int64_t lane, int64_t l, bf16* to) {
  const bf16* x = s.at(lane, l);
  if (s.k_contiguous()) {
    for (int r = 0; r < 32; ++r) copy_line(x + r * s.lane_stride, to + r * 32);
    return;
  }
  transpose_32x32(x, s.k_stride * 2, to, 64);
}

// One step of B: 32 lanes by 32 k, all there.
inline void pack_step_b(const Source<bf16>& s, int64_t lane, int64_t l, bf16* to) {
  const bf16* x = s.at(lane, l);
  if (s.k_contiguous()) {
    transpose_16x16(x, s.lane_stride * 2, to, 64);
    transpose_16x16(x + 16 * s.lane_stride, s.lane_stride * 2, to + 512, 64);
    return;
  }
  for (int r = 0; r < 16; ++r, x += 2 * s.k_stride)
    pair_up(x, x + s.k_stride, to + r * 32, to + 512 + r * 32);
}

template <bool is_a>
inline void pack_step(const Source<bf16>& s, int64_t lane, int64_t l, bf16* to) {
  if (is_a)
    pack_step_a(s, lane, l, to);
  else
    pack_step_b(s, lane, l, to);
}

// The panel that starts at `lane`, k from l0 to l1 (a multiple of 32 apart; zeros past the end).
template <bool is_a>
inline void pack_panel(const Source<bf16>& s, int64_t lane, int64_t l0, int64_t l1, bf16* to) {
  const bool all_lanes = lane + 32 <= s.lanes;
  for (int64_t l = l0; l < l1; l += 32, to += 1024) {
    if (all_lanes && l + 32 <= s.k) {
      pack_step<is_a>(s, lane, l, to);
    } else {
      const Window<bf16> window(s, lane, l, s.k - l < 32 ? s.k - l : 32);
      pack_step<is_a>(window.source, 0, 0, to);
    }
  }
}

// k from l0 to l1 of f32: copied, or transposed 16 k at a time.
template <bool is_a>
inline void pack_panel(const Source<float>& s, int64_t lane, int64_t l0, int64_t l1, float* to) {
  const bool all_lanes = lane + 32 <= s.lanes;
  for (int64_t l = l0; l < l1;) {
    const int64_t ks = l1 - l < 16 ? l1 - l : 16, there = l + ks <= s.k ? ks : s.k - l;
    if (all_lanes && there == ks && !s.k_contiguous()) {
      for (int64_t i = 0; i < ks; ++i) {
        const float *x = s.at(lane, l + i), *ahead = x + 16 * s.k_stride;
        __builtin_prefetch(ahead), __builtin_prefetch(ahead + 16);
        copy_line(x, to + i * 32), copy_line(x + 16, to + i * 32 + 16);
      }
    } else if (all_lanes && there == 16) {
      transpose_16x16(s.at(lane, l), s.lane_stride * 4, to, 128);
      transpose_16x16(s.at(lane + 16, l), s.lane_stride * 4, to + 16, 128);
    } else {
      const Window<float> window(s, lane, l, there);
      const Source<float>& w = window.source;
      for (int64_t i = 0; i < ks; ++i)
        for (int j = 0; j < 32; ++j) to[i * 32 + j] = *w.at(j, i);
    }
    l += ks, to += ks * 32;
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
