// Who sees whom, and how the work is shared out, for both directions.
#pragma once
#include "weft/kernels/attention.h"
#include "weft/kernels/attention_scratch.h"
#include "weft/kernels/cpu/attention_pack.h"

namespace weft::kernels::cpu::WEFT_ISA {

// Keys [begin, end) of a segment.
struct Keys {
  int begin, end;
};

inline Keys visible_keys(const AttentionShape& shape, const AttentionSegment& s, int query) {
  const int next = s.kv_len - s.q_len + query + 1;  // the position after the query's
  int end = shape.causal && next < s.kv_len ? next : s.kv_len;
  if (end < 0) end = 0;
  const int begin = shape.window && next > shape.window ? next - shape.window : 0;
  return {begin < end ? begin : end, end};
}

template <class T>
const T* row_of(const ConstHeadRows& rows, int64_t row, int64_t head) {
  return static_cast<const T*>(rows.data) + row * rows.row_stride + head * rows.head_stride;
}
template <class T>
T* row_of(const HeadRows& rows, int64_t row, int64_t head) {
  return static_cast<T*>(rows.data) + row * rows.row_stride + head * rows.head_stride;
}

// The `rows` consecutive rows of one head from row `begin` on.
template <class T>
Rows<T> head_rows(const ConstHeadRows& from, int64_t begin, int64_t head, int rows, int width) {
  return {row_of<T>(from, begin, head), from.row_stride, rows, width};
}

template <class T>
Rows<T> head_rows(const HeadRows& from, int64_t begin, int64_t head, int rows, int width) {
  return {row_of<T>(from, begin, head), from.row_stride, rows, width};
}

// f(row) for this thread's share of the rows that no segment covers; `begin` and `length` name the
// members of AttentionSegment that say what it covers.
template <class F>
void each_uncovered_row(const AttentionShape& shape, int64_t rows, int32_t AttentionSegment::*begin,
                        int32_t AttentionSegment::*length, int thread, int threads, F f) {
  int64_t next = 0;
  for (int64_t n = 0; n <= shape.segment_count; ++n) {
    const AttentionSegment* s = n < shape.segment_count ? shape.segments + n : nullptr;
    if (s && s->q_len <= 0) continue;
    const int64_t gap_end = s ? s->*begin : rows;
    for (int64_t row = next; row < gap_end; ++row)
      if (row % threads == thread) f(row);
    if (s) next = gap_end + s->*length;
  }
}

// Calls run(segment, head, from, to) for the parts of the work this thread owns. A head's work
// costs cost(segment); a thread owns what begins at [from, to) of it.
template <class Cost, class Run>
void share_work(const AttentionShape& shape, int thread, int threads, Cost cost, Run run) {
  int64_t total = 0;
  for (int64_t n = 0; n < shape.segment_count; ++n)
    if (shape.segments[n].q_len > 0) total += cost(shape.segments[n]) * shape.kv_heads;
  const int64_t begin = total * thread / threads, end = total * (thread + 1) / threads;
  int64_t at = 0;
  for (int64_t n = 0; n < shape.segment_count && at < end; ++n) {
    const AttentionSegment& s = shape.segments[n];
    if (s.q_len <= 0) continue;
    const int64_t step = cost(s);
    for (int head = 0; head < shape.kv_heads; ++head, at += step)
      if (at < end && at + step > begin) run(s, head, begin - at, end - at);
  }
}

}  // namespace weft::kernels::cpu::WEFT_ISA
