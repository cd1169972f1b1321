#include "weft/kernels/cpu/attention_gradients.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// One thread's backward work, a key and value head of a segment at a time: its query heads in
// ascending order; for each, blocks of keys ascending; for each, blocks of queries ascending. So
// dq sums over keys, dk and dv over heads and queries, all in ascending order. 64 rows from `begin`
// of any of the arrays lie at begin * depth.
template <class T>
class Backward {
 public:
  Backward(const AttentionBackward& params, int thread)
      : a_(params), shape_(params.shape), depth_(attention_depth(shape_.head_dim)) {
    const AttentionBackwardScratch at = attention_backward_scratch(shape_);
    char* mine = static_cast<char*>(params.scratch) + at.thread_bytes * thread;
    const auto place = [mine](auto*& pointer, int64_t offset) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(mine + offset);
    };
    place(block_, at.block), place(staging_, at.staging), place(pairs_, at.pairs);
    place(k_, at.k), place(v_, at.v), place(k_columns_, at.k_columns);
    place(dk_, at.dk), place(dv_, at.dv), place(dq_, at.dq);
    place(q_columns_, at.q_columns), place(q_rows_, at.q_rows);
    place(do_columns_, at.do_columns), place(do_rows_, at.do_rows);
    place(stats_.lse, at.lse), place(stats_.d, at.d);
    place(stats_.first, at.first), place(stats_.last, at.last);
  }

  // Blocks of scores, and those of rows to be packed.
  int64_t cost(const AttentionSegment& s) const {
    int64_t sum = (s.kv_len + block_keys - 1) / block_keys + 1;
    for (int query = 0; query < s.q_len; query += block_queries) {
      const int last = query + block_queries < s.q_len ? query + block_queries - 1 : s.q_len - 1;
      sum +=
          (visible_keys(shape_, s, last).end - visible_keys(shape_, s, query).begin) / block_keys +
          1;
    }
    return sum * (shape_.q_heads / shape_.kv_heads);
  }

  void run(const AttentionSegment& s, int kv_head) {
    segment_ = &s, kv_head_ = kv_head;
    pack_keys();
    const size_t bytes = size_t(padded_keys()) * size_t(depth_) * 4;
    std::memset(dk_, 0, bytes);
    std::memset(dv_, 0, bytes);
    const int group = shape_.q_heads / shape_.kv_heads;
    for (int h = kv_head * group; h < (kv_head + 1) * group; ++h) run_head(h);
    for (int j = 0; j < s.kv_len; ++j) {
      const int64_t row = s.kv_begin + j, at = int64_t{j} * depth_;
      store_scaled(dk_ + at, F32x16(shape_.scale), row_of<T>(a_.dk, row, kv_head), shape_.head_dim);
      store_scaled(dv_ + at, F32x16(1.0f), row_of<T>(a_.dv, row, kv_head), shape_.head_dim);
    }
  }

  // Rows in no segment.
  void clear(const HeadRows& to, int64_t row, int heads) {
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < shape_.head_dim; ++i) row_of<T>(to, row, h)[i] = T{};
  }

 private:
  static_assert(sizeof(BackwardBlock<T>) <= attention_backward_block_bytes);

  int padded_keys() const { return (segment_->kv_len + block_keys - 1) / block_keys * block_keys; }
  int padded_queries() const {
    return (segment_->q_len + block_queries - 1) / block_queries * block_queries;
  }

  // k and v as A for s and dp; k with its elements in rows as A for dq.
  void pack_keys() {
    const AttentionSegment& s = *segment_;
    for (int j = 0; j < padded_keys(); ++j) {
      const bool real = j < s.kv_len;
      const int64_t row = s.kv_begin + (real ? j : 0), at = int64_t{j} * depth_;
      const int width = real ? shape_.head_dim : 0;
      copy_operand<T>(row_of<T>(a_.k, row, kv_head_), width, depth_, k_ + at);
      copy_operand<T>(row_of<T>(a_.v, row, kv_head_), width, depth_, v_ + at);
    }
    const Rows<T> keys = head_rows<T>(a_.k, s.kv_begin, kv_head_, s.kv_len, shape_.head_dim);
    for (int j = 0; j < padded_keys(); j += block_keys) pack_key_columns(keys.from(j), j);
  }

  // [depth][64 keys]. Bf16 is turned by pairs of keys.
  void pack_key_columns(Rows<T> keys, int begin) {
    Operand<T>* to = k_columns_ + int64_t{begin} * depth_;
    constexpr int word = 16 * pair_width<Operand<T>>;  // keys of 16 words
    if constexpr (pair_width<Operand<T>> == 2) pack_rows64(keys, depth_, pairs_, staging_);
    for (int i = 0; i < depth_; i += 16)
      for (int c = 0; c < block_keys; c += word) {
        if constexpr (pair_width<Operand<T>> == 2)
          transpose_words(pairs_ + i * block_keys + c * 16, word, to + i * block_keys + c,
                          int64_t{block_keys});
        else
          transpose_words(k_ + int64_t{begin + c} * depth_ + i, depth_, to + i * block_keys + c,
                          int64_t{block_keys});
      }
  }

  // q and d_o as B, both ways round, and what is known of each query.
  void pack_queries(int head) {
    const AttentionSegment& s = *segment_;
    const auto q = head_rows<T>(a_.q, s.q_begin, head, s.q_len, shape_.head_dim);
    const auto d_o = head_rows<T>(a_.d_o, s.q_begin, head, s.q_len, shape_.head_dim);
    for (int i = 0; i < padded_queries(); i += 16) {
      pack_columns16(q.from(i), depth_, q_columns_ + int64_t{i} * depth_, staging_);
      pack_columns16(d_o.from(i), depth_, do_columns_ + int64_t{i} * depth_, staging_);
    }
    for (int i = 0; i < padded_queries(); i += block_queries) {
      pack_rows64(q.from(i), depth_, q_rows_ + int64_t{i} * depth_, staging_);
      pack_rows64(d_o.from(i), depth_, do_rows_ + int64_t{i} * depth_, staging_);
    }
    for (int i = 0; i < padded_queries(); ++i) note_query(i, head);
  }

  void note_query(int i, int head) {
    const AttentionSegment& s = *segment_;
    const bool real = i < s.q_len;
    const Keys keys = real ? visible_keys(shape_, s, i) : Keys{0, 0};
    const int64_t row = s.q_begin + i;
    stats_.first[i] = float(keys.begin), stats_.last[i] = float(keys.end);
    stats_.lse[i] = real ? a_.lse[row * shape_.q_heads + head] * log2_e : 0;
    stats_.d[i] =
        real ? sum_of_products(row_of<T>(a_.o, row, head), row_of<T>(a_.d_o, row, head)) : 0;
  }
  float sum_of_products(const T* a, const T* b) const {
    F32x16 sum;
    int i = 0;
    for (; i + 16 <= shape_.head_dim; i += 16)
      sum = fma(F32x16::load(a + i), F32x16::load(b + i), sum);
    if (const int left = shape_.head_dim - i)
      sum = fma(F32x16::load(a + i, left), F32x16::load(b + i, left), sum);
    return sum_lanes(sum);
  }

  void run_head(int head) {
    pack_queries(head);
    std::memset(dq_, 0, size_t(padded_queries()) * size_t(depth_) * 4);
    for (int key = 0; key < segment_->kv_len; key += block_keys)
      for (int query = 0; query < segment_->q_len; query += block_queries)
        if (any_visible(key, query)) run_block(key, query);
    for (int query = 0; query < segment_->q_len; query += 16) store_dq(query, head);
  }

  int last_query(int query) const {
    const int last = query + block_queries - 1;
    return last < segment_->q_len ? last : segment_->q_len - 1;
  }
  bool any_visible(int key, int query) const {
    return stats_.first[query] < float(key + block_keys) &&
           stats_.last[last_query(query)] > float(key);
  }
  bool all_visible(int key, int query) const {
    return query + block_queries <= segment_->q_len &&
           stats_.first[last_query(query)] <= float(key) &&
           stats_.last[query] >= float(key + block_keys);
  }

  // s or dp of 32 keys.
  Product<T> scores(const Operand<T>* rows, const T* columns, float* to) const {
    return {.a = rows,
            .a_stride = depth_,
            .b = columns,
            .b_stride = int64_t{depth_} * 16,
            .c = to,
            .c_stride = block_queries,
            .m = 32,
            .n = block_queries,
            .k = depth_,
            .add = false};
  }
  // What 32 keys add to their rows of dk or dv.
  Product<T> row_sums(const Operand<T>* weights, const T* rows, float* to) const {
    return {.a = weights,
            .a_stride = block_queries,
            .b = rows,
            .b_stride = block_queries * 16,
            .c = to,
            .c_stride = depth_,
            .m = 32,
            .n = depth_,
            .k = block_queries,
            .add = true};
  }

  // In halves of 32 keys, so that products of one are beside the softmax of the other.
  void run_block(int key, int query) {
    BackwardBlock<T>& b = *block_;
    ProductQueue<T> queue;
    const int64_t q_at = int64_t{query} * depth_;
    const bool masked = !all_visible(key, query);
    const auto push_scores = [&](int half) {
      const int64_t at = int64_t{key + half} * depth_, to = half * block_queries;
      queue.push(scores(k_ + at, q_columns_ + q_at, b.s + to));
      queue.push(scores(v_ + at, do_columns_ + q_at, b.dp + to));
    };
    const auto push_sums = [&](int half) {
      const int64_t at = half * block_queries, to = int64_t{key + half} * depth_;
      queue.push(row_sums(b.p + at, do_rows_ + q_at, dv_ + to));
      queue.push(row_sums(b.ds + at, q_rows_ + q_at, dk_ + to));
    };
    const auto gradients = [&](int half) {
      const float scale = shape_.scale * log2_e;
      if (masked)
        score_gradients<T, true>(b, stats_, query, key, half, scale, queue);
      else
        score_gradients<T, false>(b, stats_, query, key, half, scale, queue);
    };
    push_scores(0);
    queue.finish();
    push_scores(32);
    gradients(0);
    push_sums(0);
    gradients(32);
    push_sums(32);
    queue.finish();
    run_product<T>({.a = k_columns_ + int64_t{key} * depth_,
                    .a_stride = block_keys,
                    .b = b.ds_pairs,
                    .b_stride = block_keys * 16,
                    .c = dq_ + q_at,
                    .c_stride = block_queries,
                    .m = depth_,
                    .n = block_queries,
                    .k = block_keys,
                    .add = true});
  }

  // 16 queries; dq_ holds blocks of [depth][64 queries].
  void store_dq(int query, int head) {
    const int inner = query % block_queries;
    const float* from = dq_ + int64_t{query - inner} * depth_ + inner;
    float* turned = block_->s;  // [16 queries][depth]
    static_assert(sizeof block_->s >= 16 * attention_max_head_dim * sizeof(float));
    for (int i = 0; i < depth_; i += 16)
      transpose_words(from + i * block_queries, int64_t{block_queries}, turned + i,
                      int64_t{depth_});
    for (int r = 0; r < 16 && query + r < segment_->q_len; ++r)
      store_scaled(turned + r * depth_, F32x16(shape_.scale),
                   row_of<T>(a_.dq, segment_->q_begin + query + r, head), shape_.head_dim);
  }

  const AttentionBackward& a_;
  const AttentionShape& shape_;
  const int depth_;
  BackwardBlock<T>* block_;
  T *staging_, *pairs_, *q_columns_, *q_rows_, *do_columns_, *do_rows_;
  Operand<T>*k_, *v_, *k_columns_;
  float *dk_, *dv_, *dq_;
  QueryStats stats_;
  const AttentionSegment* segment_ = nullptr;
  int kv_head_ = 0;
};

template <class T>
void run_backward(CpuStream& stream, const AttentionBackward& params) {
  const int threads = stream.threads();
  const AttentionShape& shape = params.shape;
  stream.pool().run([&](int thread) {
    const UseTiles tiles;
    Backward<T> work(params, thread);
    share_work(
        shape, thread, threads, [&](const AttentionSegment& s) { return work.cost(s); },
        [&](const AttentionSegment& s, int head, int64_t from, int64_t to) {
          if (from <= 0 && to > 0) work.run(s, head);
        });
    each_uncovered_row(shape, shape.q_rows, &AttentionSegment::q_begin, &AttentionSegment::q_len,
                       thread, threads,
                       [&](int64_t row) { work.clear(params.dq, row, shape.q_heads); });
    each_uncovered_row(shape, shape.kv_rows, &AttentionSegment::kv_begin, &AttentionSegment::kv_len,
                       thread, threads, [&](int64_t row) {
                         work.clear(params.dk, row, shape.kv_heads);
                         work.clear(params.dv, row, shape.kv_heads);
                       });
  });
}

}  // namespace

void attention_backward(CpuStream& stream, const AttentionBackward& params) {
  if (params.shape.dtype == DType::bf16)
    run_backward<bf16>(stream, params);
  else
    run_backward<float>(stream, params);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
