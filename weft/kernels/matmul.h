// The matrix product, with what usually follows it fused in.
//
// Numbers. bf16: K is cut into runs of 32 (the last padded with zeros); of each run the even and
// the odd k form two chains of FMAs from +0, the chains are added, and their sum is added to the
// f32 accumulator, denormals as zero: what one tdpbf16ps does. f32: one ascending chain of FMAs. An
// element depends on its row, its column, K and the epilogue, not on M, N, the batch, threads, the
// instruction set, strides, or whether B was packed before.
#pragma once
#include <cstddef>
#include <cstdint>

#include "weft/kernels/kernel.h"

namespace weft::kernels {

// A batch of matrices; strides count elements. One of the two inner strides is 1 (that of a
// dimension of length 1 is not read).
struct MatmulOperand {
  const void* data = nullptr;
  int64_t row_stride = 0, col_stride = 1, batch_stride = 0;
  bool packed = false;  // written by matmul_pack_b (B only): the inner strides are not read
};

// C[b][i][j] = sum over l of A[b][i][l] B[b][l][j], 0 <= i < m, j < n, l < k, then, each step
// rounding to `out`: v = scale sum + bias (in f32); slope = activation'(v), v = activation(v);
// v = v + residual; C = v. Of a gradient: v = scale sum; v = v slope; C = v.
//
// SwiGLU (on the GPU), h = silu(gate) up, as one product with gate's weights and then up's: columns
// j < n / 2 of B are gates, the others ups. C has n / 2 columns, slope n: the derivatives of h by
// gate, up silu'(gate), and then those by up, silu(gate). Its gradient, from that of h (n columns):
// C and slope have 2 n columns, C = [v slope, v slope of the other half], as the products with both
// weights and with x take it.
struct Matmul {
  enum Activation { none, gelu_tanh, times_slope, swiglu, swiglu_gradient };

  int64_t batch = 1, m = 0, n = 0, k = 0;
  DType in = DType::bf16;   // of A, B and bias: bf16 or f32; f64 through ref
  DType out = DType::bf16;  // of C and the epilogue: f32, or the same as `in`
  MatmulOperand a;          // m rows, k columns
  MatmulOperand b;          // k rows, n columns
  void* c = nullptr;        // m rows, n columns
  int64_t c_row_stride = 0, c_batch_stride = 0;
  bool accumulate = false;     // the sum starts from C; only with out = accumulator(in)
  bool halves = false;         // of a weight's gradient: K may be cut, see matmul_in_halves
  float scale = 1;             // of the sum over l; on the CPU 1
  const void* bias = nullptr;  // [n], or null
  Activation activation = none;
  void* slope = nullptr;           // C's strides, or null: not wanted; gradients read it
  int64_t slope_row_stride = 0;    // of SwiGLU's, whose rows are not as long as C's
  const void* residual = nullptr;  // m rows, n columns, or null
  int64_t residual_row_stride = 0, residual_batch_stride = 0;
  void* scratch = nullptr;  // matmul_scratch_bytes; ref needs none
};

// For a stream of this many threads; depends on the sizes, the types and b.packed alone. Enough for
// fewer rows too: what is planned for the most tokens serves every batch.
size_t matmul_scratch_bytes(const Matmul& params, int threads);

// B laid out as the kernel reads it: for weights that are used many times. One layout for all
// instruction sets.
struct MatmulPack {
  int64_t k = 0, n = 0;
  DType dtype = DType::bf16;  // bf16 or f32
  MatmulOperand b;            // k rows, n columns; one matrix
  void* packed = nullptr;     // matmul_packed_bytes, aligned to 64 bytes
};
size_t matmul_packed_bytes(int64_t k, int64_t n, DType dtype);

WEFT_CPU_KERNEL(matmul, Matmul)
WEFT_CPU_KERNEL(matmul_pack_b, MatmulPack)

namespace ref {
// Operands of type T, sums in f64. For f64 this is the kernel; for others, an oracle.
template <class T>
void matmul(const Matmul& params);
}  // namespace ref

}  // namespace weft::kernels
