// One stage's products on the tensor cores of a warpgroup.
#pragma once
#include "examples/hopper_gemm/tiles.cuh"
#include "wgmma"  // wgmma(): the instruction m64nNk16, N columns, as the host spells it out

// Issues d [64][N] (+)= a [64][64] b [N][64] turned, 16 of k an instruction, and does not wait.
template <int sums>
INLINE void issue_products(float (&d)[sums], u32 a, u32 b, bool first) {
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < reduced_per_stage / reduced_per_instruction; ++k)
    wgmma(d, operand_descriptor(a, false) + k * descriptor_step(false),
          operand_descriptor(b, false) + k * descriptor_step(false), !first || k > 0);
  wgmma_commit();
}
