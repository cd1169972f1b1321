// Of attention_backward.cu: the five products of a step.
#pragma once

constexpr int sums = s.head_dim / 2;           // of one thread
constexpr int scores = backward_queries / 2;   // of one thread, in one block of queries
constexpr int query_columns = s.head_dim / 2;  // of the gradient of queries, for one warpgroup
constexpr int query_sums = query_columns / 2;  // of one thread
// From the first to the second half of K's columns.
constexpr int query_columns_offset = atoms == 2 ? backward_keys * row_bytes : row_bytes / 2;

// to = 64 keys (rows of K or V at `a`) by 64 queries (of Q or dO at `b`).
INLINE void issue_scores(float (&to)[scores], u32 a, u32 b) {
  const u64 rows = operand_descriptor(a, false);
  const u64 columns = operand_descriptor(b, false);
#pragma unroll
  for (int i = 0; i < s.head_dim / 16; ++i)
    score_product(
        to, rows + i / 4 * (backward_keys * row_bytes >> 4) + i % 4 * descriptor_step(false),
        columns + i / 4 * (backward_queries * row_bytes >> 4) + i % 4 * descriptor_step(false),
        i > 0);
}
// to += a (keys by queries, in registers) times 64 rows of Q or dO.
INLINE void issue_sums(float (&to)[sums], const u32 (&a)[scores / 2], u32 b) {
  const u64 rows = operand_descriptor(b, true);
#pragma unroll
  for (int i = 0; i < backward_queries / 16; ++i)
    key_product(to, a[4 * i], a[4 * i + 1], a[4 * i + 2], a[4 * i + 3],
                rows + i * descriptor_step(true), true);
}
// The gradient of 64 queries in half of the columns, from this tile's keys; k: where in K these
// begin.
INLINE void issue_query_sums(float (&to)[query_sums], u32 from, u32 k) {
  const u64 a = operand_descriptor(from, true);
  const u64 b = operand_descriptor(k, true);
#pragma unroll
  for (int i = 0; i < backward_keys / 16; ++i)
    query_product(to, a + i * descriptor_step(true), b + i * descriptor_step(true), i > 0);
}
