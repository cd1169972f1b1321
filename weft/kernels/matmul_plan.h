// How a matrix product is cut: into 32 x 32 blocks of C, shared among threads as a grid. The same
// for every instruction set; nothing here changes a result.
//
// Packed layout, of A (in rows) and B (in columns) alike: K is cut into runs of k_run; within a run
// one panel of 32 rows or columns lies after the other, so that what a block reads is contiguous.
#pragma once
#include "weft/kernels/matmul.h"

namespace weft::kernels {

constexpr int64_t matmul_panel = 32;

constexpr int64_t matmul_k_run = 512;

// A bf16 step holds 32 of K.
constexpr int64_t matmul_k_step(DType in) {
  return in == DType::bf16 ? 32 : 1;
}
// At least one step: an empty sum is a step of zeros.
int64_t matmul_k_padded(int64_t k, DType in);

struct MatmulPlan {
  // before: packed by the caller. shared: all of it first, by all threads, then a barrier. own: by
  // each thread what it reads, for itself, so that nothing packed crosses from core to core. local:
  // by each thread where it is used, since nobody uses it twice. in_place: A's rows are read where
  // they lie, but for a last panel that is not whole, which is local.
  enum Packing { before, shared, own, local, in_place };

  int64_t m_panels = 0, n_panels = 0, k_padded = 0;
  int row_parts = 1, column_parts = 1;  // the grid of threads over one product
  bool whole_products = false;          // each thread takes products of the batch alone
  Packing pack_a = shared, pack_b = shared;
  int m_block = 16, n_block = 8;   // panels whose sums a thread holds while it goes through K,
  int64_t k_block = matmul_k_run;  // in blocks of this; divides a run
  // Scratch, in bytes: each thread's own (sums and finished blocks, local panels, operands it packs
  // for itself), then shared packed A and B (once, or per thread with whole_products).
  size_t sum_bytes = 0, panel_bytes = 0, own_a_bytes = 0, own_b_bytes = 0, thread_bytes = 0;
  size_t a_bytes = 0, b_bytes = 0, total_bytes = 0;

  // Whether a thread reads what another has packed.
  bool meet() const {
    return !whole_products &&
           ((pack_a == shared && column_parts > 1) || (pack_b == shared && row_parts > 1));
  }
};

// Throws Error(internal) for parameters the kernel does not take.
MatmulPlan plan_matmul(const Matmul& params, int threads);

// Whether K is summed in two halves, each a product by itself, which are added then. That depends
// on the sizes of K and C alone, and is for gradients of small weights: half of the threads read
// the first half of the rows of both operands, which are what they have just computed or will
// compute next, and the others the second. A row out of another core's cache costs more than all
// else.
bool matmul_in_halves(const Matmul& params);

struct MatmulHalves {
  Matmul half[2];
  MatmulPlan plan[2];
  int group = 1;         // threads of a half
  bool in_turn = false;  // by all threads, one half after the other
  float* apart =
      nullptr;      // with C's strides: what half 0 sums from `row` on, and half 1 before it;
  int64_t row = 0;  // the rest they leave in C
  size_t total_bytes = 0;
};
MatmulHalves plan_matmul_halves(const Matmul& params, int threads);

constexpr int matmul_finished_blocks = 3;  // kept until their sums have reached the cache

}  // namespace weft::kernels
