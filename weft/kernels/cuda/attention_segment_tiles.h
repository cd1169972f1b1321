// Which rows belong together, as kernels are told, and the order in which their tiles are worked
// on. Compiled for the host and by NVRTC: no includes.
#pragma once

namespace weft::kernels::cuda {

constexpr int launch_segments = 120;  // of one launch: a kernel's parameters end at 4 KB

struct KernelSegment {
  int q_begin, q_len, kv_begin, kv_len;
  int places;    // of the order, for one head, before this segment's group
  int q_blocks;  // of 64 queries, of the segments before this one
};

// Segments of a launch, those with the most tiles first, and heads. `group` segments that follow
// each other, and `heads_together` heads, are worked on together, so that what they share stays in
// L2; the last of these groups have all that is left.
struct SegmentList {
  int count, group, groups, places;
  int heads, heads_together, head_groups;
  KernelSegment segments[launch_segments];
};
constexpr int clamped(int x, int low, int high) {
  return x < low ? low : x > high ? high : x;
}
constexpr int order_length(const SegmentList& l) {
  return l.places * l.heads;
}

// A place in the order: heads together by heads together, in these group by group, in a group the
// last tiles of all its segments first: with causal masks those with the most keys (forward) or
// the fewest queries (backward). A segment with fewer tiles than its group's first is there with
// tiles it does not have: nothing to do.
struct PlaceInOrder {
  int segment, tile, head;
};
constexpr PlaceInOrder place_in_order(const SegmentList& l, int index) {
  const int head_group = clamped(index / (l.places * l.heads_together), 0, l.head_groups - 1);
  const int first_head = head_group * l.heads_together;
  const int width = head_group < l.head_groups - 1 ? l.heads_together : l.heads - first_head;
  const int rest = index - first_head * l.places, place = rest / width;
  int low = 0, high = l.groups;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (l.segments[middle * l.group].places <= place ? low : high) = middle;
  }
  const int first = low * l.group;
  const int size = low < l.groups - 1 ? l.group : l.count - first;
  const int end = low < l.groups - 1 ? l.segments[first + size].places : l.places;
  const int from_end = end - 1 - place;  // the group's last place is a tile 0
  return {first + size - 1 - from_end % size, from_end / size, first_head + rest % width};
}

}  // namespace weft::kernels::cuda
