// Rows of one head to and from shared memory, through tensor maps made by rows_map()
// (attention_maps.cpp): what lies behind a segment's last row reads as zeros and is not written.
#pragma once

// Rows of such a map's box: the third coordinate leaves out, at its end, what is beyond `left`.
template <int box>
INLINE int rows_inside(int left) {
  return max(0, min(left, box));
}
template <int box>
INLINE void load_rows(u32 to, const TensorMap* map, int head, int row, int left, u32 full) {
  const int inside = rows_inside<box>(left);
  for (int i = 0; i < atoms; ++i)
    load_box_4d(to + i * box * row_bytes, map, i * 64, head, box - inside, row + inside, full);
}
template <int box>
INLINE void prefetch_rows(const TensorMap* map, int head, int row, int left) {
  const int inside = rows_inside<box>(left);
  for (int i = 0; i < atoms; ++i) prefetch_box_4d(map, i * 64, head, box - inside, row + inside);
}
// 16 rows, by one thread.
INLINE void store_rows(const TensorMap* map, u32 from, int head, int row, int left) {
  const int inside = rows_inside<16>(left);
  for (int i = 0; i < atoms; ++i)
    store_box_4d(map, from + i * 16 * row_bytes, i * 64, head, 16 - inside, row + inside);
  commit_stores();
}
