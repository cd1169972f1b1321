// The products of attention, forward: one chain for all of its kernels, so that a row has the same
// bits in each. Part of attention.cu and attention_paged.cu.
#pragma once

// x = queries (64 of q_rows in a tile) times a block of keys.
template <int q_rows>
INLINE void issue_scores(float (&x)[scores], u64 q, u64 k) {
#pragma unroll
  for (int i = 0; i < s.head_dim / 16; ++i)
    score_product(x, q + (i / 4 * (q_rows * row_bytes) >> 4) + i % 4 * descriptor_step(false),
                  k + (i / 4 * (s.key_block * row_bytes) >> 4) + i % 4 * descriptor_step(false),
                  i > 0);
  wgmma_commit();
}
// o (+)= weights (in registers) times a block of values.
INLINE void issue_values(float (&o)[sums], const u32 (&weights)[scores / 2], u64 v, bool add) {
  wgmma_fence();  // weights and sums are in registers
#pragma unroll
  for (int i = 0; i < s.key_block / 16; ++i)
    value_product(o, weights[4 * i], weights[4 * i + 1], weights[4 * i + 2], weights[4 * i + 3],
                  v + i * descriptor_step(true), add || i > 0);
  wgmma_commit();
}
INLINE u64 values_descriptor(u32 address) {
  return matrix_descriptor(address, s.key_block * row_bytes, group_rows * row_bytes);
}
