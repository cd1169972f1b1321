// Blocks of bf16 with AMX: four tiles of sums, two of A, two of B (Intel's optimization reference
// manual, chapter on AMX).
#pragma once
#include "weft/kernels/cpu/matmul_block.h"
#include "weft/kernels/cpu/tile_config.h"

#if defined(__AMX_TILE__)
namespace weft::kernels::cpu::WEFT_ISA {

struct Bf16Tiles {
  using Element = bf16;
  using Prepared = bf16;
  static constexpr int64_t fetch_distance = 2048;
  static constexpr bool fetches_c = false;  // its loads wait for the same buffers

  static void begin(int rows) { configure_tiles(rows); }
  static void end() { _tile_release(); }
  static const bf16* prepare(const PanelOfA<bf16>& a, int64_t, int, bf16*) { return a.data; }

  static void block(const Block<bf16, bf16>& x) {
    order_memory();
    if (x.rows <= 16)
      x.b_ahead.from ? tiles<1, true>(x) : tiles<1, false>(x);
    else
      x.b_ahead.from ? tiles<2, true>(x) : tiles<2, false>(x);
  }

  // The same for more than 16 rows and no b_ahead, and 16 times next_rows() between the tiles, on
  // sums that were stored at least one block ago.
  template <class NextRows>
  static void block(const Block<bf16, bf16>& x, NextRows next_rows) {
    const int64_t steps = x.k / 32;
    for (int r = 0; steps < 4 && r < 32; r += 2) next_rows();
    order_memory();
    if (steps >= 16)
      tiles<2, false, 2>(x, next_rows);
    else if (steps >= 8)
      tiles<2, false, 4>(x, next_rows);
    else if (steps >= 4)
      tiles<2, false, 8>(x, next_rows);
    else
      tiles<2, false>(x);
  }

 private:
  // Tiles 0 to 3 hold the sums, of the upper rows first; `halves` 1: of these alone.
  template <int halves>
  static void load_sums(const float* in, int64_t stride) {
    if (!in) {
      _tile_zero(0);
      _tile_zero(1);
      if (halves == 2) {
        _tile_zero(2);
        _tile_zero(3);
      }
      return;
    }
    _tile_loadd(0, in, stride * 4);
    _tile_loadd(1, in + 16, stride * 4);
    if (halves == 2) {
      _tile_loadd(2, in + 16 * stride, stride * 4);
      _tile_loadd(3, in + 16 * stride + 16, stride * 4);
    }
  }
  template <int halves>
  static void store_sums(float* out, int64_t stride) {
    _tile_stored(0, out, stride * 4);
    _tile_stored(1, out + 16, stride * 4);
    if (halves == 2) {
      _tile_stored(2, out + 16 * stride, stride * 4);
      _tile_stored(3, out + 16 * stride + 16, stride * 4);
    }
  }

  // B passes through the cache (the stream hint) while A's panel stays. All loads come first: where
  // another hyperthread keeps the core busy, a product between loads holds the next of them up.
  template <int halves>
  static void step(const bf16* a, int64_t a_row, const bf16* b) {
    _tile_stream_loadd(6, b, 64);
    _tile_loadd(4, a, a_row * 2);
    _tile_stream_loadd(7, b + 512, 64);
    if (halves == 2) _tile_loadd(5, a + 16 * a_row, a_row * 2);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (halves == 2) {
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }

  struct Nothing {
    void operator()() const {}
  };

  template <int halves, bool fetch, int rows_a_step = 0, class NextRows = Nothing>
  static void tiles(const Block<bf16, bf16>& x, NextRows next_rows = {}) {
    load_sums<halves>(x.in, x.in_stride);
    const bf16 *a = x.a, *b = x.b, *end = x.b + x.k * 32;
    // To be had meanwhile: lines of B from memory; or of the next block's sums, and `ahead`.
    Lines b_ahead{x.b_ahead.from, x.b_ahead.line};
    const int64_t skip = x.b_ahead.step - 32 * x.b_ahead.line;
    const char* next_sums = reinterpret_cast<const char*>(x.in ? x.in + 1024 : x.out);
    const char* ahead = x.ahead;
    const auto one_step = [&] {
      if constexpr (fetch) {
#pragma GCC unroll 8
        for (int i = 0; i < 32; ++i) b_ahead.next();
        b_ahead.at += skip;
      } else {
        next_sums = prefetch<l1, 4>(next_sums);
        ahead = prefetch<l2, 6>(ahead);
      }
      step<halves>(a, x.a_row, b);
      a += x.a_step, b += 1024;
    };
    if constexpr (rows_a_step > 0)
      for (int64_t r = 0; r < 32; r += rows_a_step) {
        one_step();
#pragma GCC unroll 8
        for (int i = 0; i < rows_a_step; i += 2) next_rows();
      }
    while (b != end) one_step();
    store_sums<halves>(x.out, x.out_stride);
  }
};

}  // namespace weft::kernels::cpu::WEFT_ISA
#endif
