// The products of attention_product.h on AMX tiles, between pieces of vector work: left to itself
// the processor runs the one after the other. What pays is a tile product every fifty or so vector
// instructions, and sums that are stored long after the product that completes them.
#pragma once
#include "weft/kernels/cpu/attention_product.h"
#include "weft/kernels/cpu/tile_config.h"

#if defined(__AMX_TILE__)
namespace weft::kernels::cpu::WEFT_ISA {

// Sums of 16 x 16: 0 and 1 are the upper ones of 32 x 32, 2 and 3 the lower.
struct SumsAt {
  float* c;
  int64_t stride;

  template <int n>
  WEFT_INLINE float* tile() const {
    return c + n / 2 * 16 * stride + n % 2 * 16;
  }
};
// The intrinsics take no template arguments.
template <int n>
WEFT_INLINE inline void zero_sum() {
  asm volatile("tilezero %%tmm%c0" : : "i"(n));
}
template <int n>
WEFT_INLINE inline void load_sum(const SumsAt& at) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(n), "r"(at.tile<n>()), "r"(at.stride * 4));
}
template <int n>
WEFT_INLINE inline void store_sum(const SumsAt& at) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(n), "r"(at.tile<n>()), "r"(at.stride * 4));
}

// 32 of k of 32 x 32 of C, tile by tile.
struct TilePart {
  const bf16* a;
  int64_t a_stride;
  const bf16* b;
  int64_t b_stride;  // elements from a tile of B to the one 16 columns on
  SumsAt sums;
  bool begins, adds;

  // Sum n: first stores what the tile held for an earlier part. B passes through the cache (the
  // stream hint) while sums and A stay.
  template <int n>
  WEFT_INLINE void multiply(const SumsAt& before) const {
    if (before.c) store_sum<n>(before);
    if (begins) adds ? load_sum<n>(sums) : zero_sum<n>();
    if constexpr (n == 0) {
      _tile_loadd(4, a, a_stride * 2);
      _tile_stream_loadd(6, b, 64);
      _tile_dpbf16ps(0, 4, 6);
    } else if constexpr (n == 1) {
      _tile_stream_loadd(7, b + b_stride, 64);
      _tile_dpbf16ps(1, 4, 7);
    } else if constexpr (n == 2) {
      _tile_loadd(5, a + 16 * a_stride, a_stride * 2);
      _tile_dpbf16ps(2, 5, 6);
    } else {
      _tile_dpbf16ps(3, 5, 7);
    }
  }
};

class TileQueue {
 public:
  static constexpr bool on_tiles = true;
  struct Session {
    Session() { configure_tiles(); }
    ~Session() { _tile_release(); }
  };

  void push(const Product<bf16>& p) {
    if (p.m <= 16) return run_upper(p);
    queue_[size_++] = p;
    total_ += (p.m + 31) / 32 * (p.n / 32) * (p.k / 32);
  }
  // The last products go between the pieces, evenly; products in excess of two times four go
  // before.
  template <class F>
  WEFT_INLINE void beside(int done, int of, F f) {
    const int parts = total_ * done / of - parts_;
    order_memory();
    if (parts <= 0) {
      for (int i = 0; i < 4; ++i) f(i);
    } else if (parts == 1) {
      run_part([&](int n) WEFT_INLINE { f(n); });
    } else {
      for (int i = 2; i < parts; ++i) run_part([](int) {});
      for (int i = 0; i < 4; i += 2)
        run_part([&](int n) WEFT_INLINE {
          if (n % 2) f(i + n / 2);
        });
    }
    order_memory();
  }
  void finish() {
    order_memory();
    while (parts_ < total_) run_part([](int) {});
    if (unstored_.c) {
      store_sum<0>(unstored_);
      store_sum<1>(unstored_);
      store_sum<2>(unstored_);
      store_sum<3>(unstored_);
      unstored_.c = nullptr;
    }
    order_memory();
    size_ = at_ = parts_ = total_ = 0;
  }

 private:
  // f(n) after sum n.
  template <class F>
  WEFT_INLINE void run_part(F f) {
    const TilePart part = next_part();
    const SumsAt before = unstored_;
    ++parts_;
    part.multiply<0>(before);
    f(0);
    part.multiply<1>(before);
    f(1);
    part.multiply<2>(before);
    f(2);
    part.multiply<3>(before);
    f(3);
    unstored_ = s_ == 0 ? part.sums : SumsAt{nullptr, 0};
  }

  WEFT_INLINE TilePart next_part() {
    const Product<bf16>& p = queue_[at_];
    const TilePart part = {.a = p.a + i_ * p.a_stride + s_,
                           .a_stride = p.a_stride,
                           .b = p.b + j_ / 16 * p.b_stride + s_ * 16,
                           .b_stride = p.b_stride,
                           .sums = {p.c + i_ * p.c_stride + j_, p.c_stride},
                           .begins = s_ == 0,
                           .adds = p.add};
    if ((s_ += 32) < p.k) return part;
    s_ = 0;
    if ((j_ += 32) < p.n) return part;
    j_ = 0;
    if ((i_ += 32) < p.m) return part;
    i_ = 0, ++at_;
    return part;
  }

  // Up to 16 rows, at once.
  static void run_upper(const Product<bf16>& p) {
    order_memory();
    for (int j = 0; j < p.n; j += 32)
      for (int s = 0; s < p.k; s += 32) {
        const TilePart part = {.a = p.a + s,
                               .a_stride = p.a_stride,
                               .b = p.b + j / 16 * p.b_stride + s * 16,
                               .b_stride = p.b_stride,
                               .sums = {p.c + j, p.c_stride},
                               .begins = s == 0,
                               .adds = p.add};
        part.multiply<0>({nullptr, 0});
        part.multiply<1>({nullptr, 0});
        if (s + 32 < p.k) continue;
        store_sum<0>(part.sums);
        store_sum<1>(part.sums);
      }
    order_memory();
  }

  static constexpr int capacity = 8;
  Product<bf16> queue_[capacity];
  SumsAt unstored_ = {nullptr, 0};  // complete, but still in the tiles
  int size_ = 0, at_ = 0;           // products
  int total_ = 0, parts_ = 0;       // parts: all, done
  int i_ = 0, j_ = 0, s_ = 0;       // the next part, within queue_[at_]
};

}  // namespace weft::kernels::cpu::WEFT_ISA
#endif

namespace weft::kernels::cpu::WEFT_ISA {

// f<T, Queue>() for the operands' type and the way this stream takes its products.
template <class F>
void with_products([[maybe_unused]] const CpuStream& stream, DType dtype, F f) {
  if (dtype != DType::bf16) return f.template operator()<float, ProductQueue<float>>();
#if defined(__AMX_TILE__)
  if (stream.isa() == Isa::amx) return f.template operator()<bf16, TileQueue>();
#endif
  f.template operator()<bf16, ProductQueue<bf16>>();
}

}  // namespace weft::kernels::cpu::WEFT_ISA
