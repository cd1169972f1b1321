#include "weft/kernels/cpu/attention_gradients.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// One thread's backward work, a key and value head of a segment at a time: its query heads in
// ascending order; for each, chunks of queries that stay in the cache; for each, blocks of keys;
// for each, blocks of queries. So dq sums over keys, dk and dv over heads and queries, all in
// ascending order. 64 rows from `begin` of any of the arrays lie at begin * depth; queries are
// counted within their chunk.
template <class T, class Queue>
class Backward {
 public:
  Backward(const AttentionBackward& params, int thread)
      : a_(params), shape_(params.shape), depth_(attention_depth(shape_.head_dim)) {
    const AttentionBackwardScratch at = attention_backward_scratch(shape_);
    char* mine = static_cast<char*>(params.scratch) + at.thread_bytes * thread;
    const auto place = [mine](auto*& pointer, int64_t offset) {
      pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(mine + offset);
    };
    place(block_, at.block), place(staging_, at.staging);
    place(k_, at.k), place(v_, at.v), place(k_columns_, at.k_columns);
    place(dk_, at.dk), place(dv_, at.dv), place(dq_, at.dq);
    place(q_columns_, at.q_columns), place(q_rows_, at.q_rows);
    place(do_columns_, at.do_columns), place(do_rows_, at.do_rows);
    place(stats_.shift, at.shift), place(stats_.d, at.d);
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
    store_keys();
  }

  // Rows in no segment.
  void clear(const HeadRows& to, int64_t row, int heads) {
    for (int h = 0; h < heads; ++h)
      for (int i = 0; i < shape_.head_dim; ++i) row_of<T>(to, row, h)[i] = T{};
  }

 private:
  static_assert(sizeof(BackwardBlock<T>) <= attention_backward_block_bytes);

  int padded_keys() const { return (segment_->kv_len + block_keys - 1) / block_keys * block_keys; }

  // k and v as A for s and dp; k with its elements in rows as A for dq. The next block's rows are
  // asked for ahead: they lie a stride apart, which no prefetcher follows.
  void pack_keys() {
    const AttentionSegment& s = *segment_;
    const auto k = head_rows<T>(a_.k, s.kv_begin, kv_head_, s.kv_len, shape_.head_dim);
    const auto v = head_rows<T>(a_.v, s.kv_begin, kv_head_, s.kv_len, shape_.head_dim);
    for (int begin = 0; begin < s.kv_len; begin += block_keys) {
      for (int j = begin; j < begin + block_keys; ++j) {
        fetch(k.from(j + block_keys), 1), fetch(v.from(j + block_keys), 1);
        const int64_t row = s.kv_begin + (j < s.kv_len ? j : 0), at = int64_t{j} * depth_;
        const int width = j < s.kv_len ? shape_.head_dim : 0;
        copy_padded(row_of<T>(a_.k, row, kv_head_), width, depth_, k_ + at);
        copy_padded(row_of<T>(a_.v, row, kv_head_), width, depth_, v_ + at);
      }
      pack_key_columns(begin);
    }
  }

  // [depth][64 keys].
  void pack_key_columns(int begin) {
    T* to = k_columns_ + int64_t{begin} * depth_;
    constexpr int line = 64 / int(sizeof(T));
    for (int i = 0; i < depth_; i += line)
      for (int c = 0; c < block_keys; c += line)
        transpose_square(k_ + int64_t{begin + c} * depth_ + i, depth_, to + i * block_keys + c,
                         int64_t{block_keys});
  }

  // q and d_o as B, both ways round, and what is known of each query.
  void pack_queries(int head) {
    const AttentionSegment& s = *segment_;
    const int dim = shape_.head_dim;
    const auto q = head_rows<T>(a_.q, s.q_begin, head, s.q_len, dim).from(chunk_);
    const auto o = head_rows<T>(a_.o, s.q_begin, head, s.q_len, dim).from(chunk_);
    const auto d_o = head_rows<T>(a_.d_o, s.q_begin, head, s.q_len, dim).from(chunk_);
    for (int begin = 0; begin < queries_; begin += block_queries) {
      for (int i = begin; i < begin + block_queries; i += 16) {
        fetch(q.from(i + block_queries), 16), fetch(d_o.from(i + block_queries), 16);
        fetch(o.from(i + block_queries), 16);
        pack_columns16(q.from(i), depth_, q_columns_ + i * depth_, staging_);
        pack_columns16(d_o.from(i), depth_, do_columns_ + i * depth_, staging_);
      }
      pack_rows64(q.from(begin), depth_, q_rows_ + begin * depth_, staging_);
      pack_rows64(d_o.from(begin), depth_, do_rows_ + begin * depth_, staging_);
      for (int i = begin; i < begin + block_queries; i += 16) note_queries(i, head);
    }
  }

  void store_keys() {
    const AttentionSegment& s = *segment_;
    for (int j = 0; j < s.kv_len; ++j) {
      const int64_t row = s.kv_begin + j, at = int64_t{j} * depth_;
      store_scaled(dk_ + at, F32x16(shape_.scale), row_of<T>(a_.dk, row, kv_head_),
                   shape_.head_dim);
      store_scaled(dv_ + at, F32x16(1.0f), row_of<T>(a_.dv, row, kv_head_), shape_.head_dim);
    }
  }

  // What there is about 16 queries.
  void note_queries(int begin, int head) {
    const AttentionSegment& s = *segment_;
    float products[16 * 16];
    for (int i = begin; i < begin + 16; ++i) {
      const bool real = i < queries_;
      const Keys keys = real ? visible_keys(shape_, s, chunk_ + i) : Keys{0, 0};
      const int64_t row = s.q_begin + chunk_ + i;
      stats_.first[i] = float(keys.begin), stats_.last[i] = float(keys.end);
      stats_.shift[i] = real ? a_.lse[row * shape_.q_heads + head] * -log2_e : 0;
      const F32x16 sum =
          real ? products_of(row_of<T>(a_.o, row, head), row_of<T>(a_.d_o, row, head)) : F32x16();
      sum.store(products + (i - begin) * 16);
    }
    sum_rows16(products).store(stats_.d + begin);
  }
  F32x16 products_of(const T* a, const T* b) const {
    F32x16 sum = {};
    int i = 0;
    for (; i + 16 <= shape_.head_dim; i += 16)
      sum = fma(F32x16::load(a + i), F32x16::load(b + i), sum);
    if (const int left = shape_.head_dim - i)
      sum = fma(F32x16::load(a + i, left), F32x16::load(b + i, left), sum);
    return sum;
  }

  // The first rows of what query head `head` will read, if there is one.
  void plan_ahead(int head) {
    const AttentionSegment& s = *segment_;
    ahead_ = {};
    if (head >= shape_.q_heads) return;
    ahead_.rows[0] = head_rows<T>(a_.q, s.q_begin, head, s.q_len, shape_.head_dim);
    ahead_.rows[1] = head_rows<T>(a_.d_o, s.q_begin, head, s.q_len, shape_.head_dim);
    ahead_.rows[2] = head_rows<T>(a_.o, s.q_begin, head, s.q_len, shape_.head_dim);
    const int kv_head = head / (shape_.q_heads / shape_.kv_heads);
    if (kv_head == kv_head_) return;
    ahead_.rows[3] = head_rows<T>(a_.k, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
    ahead_.rows[4] = head_rows<T>(a_.v, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
  }

  void run_head(int head) {
    const int chunk = attention_query_chunk(depth_);
    for (chunk_ = 0; chunk_ < segment_->q_len; chunk_ += chunk) {
      const int left = segment_->q_len - chunk_;
      queries_ = left < chunk ? left : chunk;
      if (left <= chunk) plan_ahead(head + 1);
      pack_queries(head);
      std::memset(dq_, 0,
                  size_t(queries_ + block_queries - 1) / block_queries * block_queries *
                      size_t(depth_) * 4);
      run_blocks();
      for (int query = 0; query < queries_; query += 16) store_dq(query, head);
    }
  }

  // A block of scores: 64 keys and 64 queries; `pairs` of the block's two ds_pairs is its own.
  struct Place {
    int key, query, pairs;
  };
  bool any_visible(const Place& at) const {
    return stats_.first[at.query] < float(at.key + block_keys) &&
           stats_.last[last_query(at.query)] > float(at.key);
  }
  bool all_visible(const Place& at) const {
    return at.query + block_queries <= queries_ &&
           stats_.first[last_query(at.query)] <= float(at.key) &&
           stats_.last[at.query] >= float(at.key + block_keys);
  }
  int last_query(int query) const {
    const int last = query + block_queries - 1;
    return last < queries_ ? last : queries_ - 1;
  }
  // To the next block of which anything is visible, if there is one.
  bool advance(Place& at) const {
    at.pairs = 1 - at.pairs;
    do {
      if ((at.query += block_queries) >= queries_) at.query = 0, at.key += block_keys;
      if (at.key >= segment_->kv_len) return false;
    } while (!any_visible(at));
    return true;
  }

  // Queries of a block, 0 or 32, that see none of a half's keys.
  int hidden(const Place& at, int half) const {
    const int last = at.query + 31 < queries_ ? at.query + 31 : queries_ - 1;
    return stats_.last[last] > float(at.key + half) ? 0 : 32;
  }

  // In halves of 32 keys: beside the softmax of one half go the scores of the next and what the
  // half before adds to the sums.
  void run_blocks() {
    Place now = {0, -block_queries, 0}, before;
    if (!advance(now)) return;
    Queue queue;
    push_scores(queue, now, 0, 0, block_queries);
    queue.finish();
    for (bool more = true, first = true; more; first = false) {
      push_scores(queue, now, 32, 0, early_keys<T>);
      if (!first) push_sums(queue, before, 32), push_dq(queue, before);
      push_scores(queue, now, 32, early_keys<T>, block_queries);
      softmax(queue, now, 0);

      Place next = now;
      more = advance(next);
      if (more) push_scores(queue, next, 0, 0, early_keys<T>);
      push_sums(queue, now, 0);
      if (more) push_scores(queue, next, 0, early_keys<T>, block_queries);
      softmax(queue, now, 32);
      before = now, now = next;
    }
    push_sums(queue, before, 32), push_dq(queue, before);
    queue.finish();
  }

  void softmax(Queue& queue, const Place& at, int half) {
    const HalfBlock<T> h = {.s = block_->s + half * block_queries,
                            .dp = block_->dp + half * block_queries,
                            .ds_pairs = block_->ds_pairs[at.pairs],
                            .stats = stats_,
                            .query = at.query,
                            .key = at.key + half,
                            .key_in_block = half,
                            .hidden = hidden(at, half),
                            .scale = shape_.scale * log2_e};
    ahead_.fetch_some();
    all_visible(at) ? run_half<T, false>(h, queue) : run_half<T, true>(h, queue);
  }

  // s and dp of 32 keys and queries [from, to) of a block, as far as they see any.
  void push_scores(Queue& queue, const Place& at, int half, int from, int to) {
    if (const int skip = hidden(at, half); from < skip) from = skip;
    if (from >= to) return;
    const int64_t keys = int64_t{at.key + half} * depth_;
    const int queries = (at.query + from) * depth_, place = half * block_queries + from;
    Product<T> p = {.a = k_ + keys,
                    .a_stride = depth_,
                    .b = q_columns_ + queries,
                    .b_stride = int64_t{depth_} * 16,
                    .c = block_->s + place,
                    .c_stride = block_queries,
                    .m = 32,
                    .n = to - from,
                    .k = depth_,
                    .add = false};
    queue.push(p);
    p.a = v_ + keys, p.b = do_columns_ + queries, p.c = block_->dp + place;
    queue.push(p);
  }

  // What 32 keys add to their rows of dv and dk.
  void push_sums(Queue& queue, const Place& at, int half) {
    const int64_t keys = int64_t{at.key + half} * depth_;
    const int skip = hidden(at, half), rows = at.query * depth_ + skip * 16;
    Product<T> p = {.a = p_of<T>(block_->s + half * block_queries) + skip,
                    .a_stride = p_stride<T>,
                    .b = do_rows_ + rows,
                    .b_stride = block_queries * 16,
                    .c = dv_ + keys,
                    .c_stride = depth_,
                    .m = 32,
                    .n = depth_,
                    .k = block_queries - skip,
                    .add = true};
    queue.push(p);
    p.a = p_of<T>(block_->dp + half * block_queries) + skip, p.b = q_rows_ + rows;
    p.c = dk_ + keys;
    queue.push(p);
  }

  void push_dq(Queue& queue, const Place& at) {
    Product<T> p = {.a = k_columns_ + int64_t{at.key} * depth_,
                    .a_stride = block_keys,
                    .b = block_->ds_pairs[at.pairs],
                    .b_stride = block_keys * 16,
                    .c = dq_ + at.query * depth_,
                    .c_stride = block_queries,
                    .m = depth_,
                    .n = block_queries,
                    .k = block_keys,
                    .add = true};
    if (hidden(at, 32) == 0) return queue.push(p);
    p.n = 32, p.k = 32;
    if (hidden(at, 0) == 0) queue.push(p);
    p.b += 32 * block_keys, p.c += 32, p.k = block_keys;
    queue.push(p);
  }

  // 16 queries; dq_ holds blocks of [depth][64 queries].
  void store_dq(int query, int head) {
    const int inner = query % block_queries;
    const float* from = dq_ + (query - inner) * depth_ + inner;
    float* turned = block_->s;  // [16 queries][depth]
    static_assert(sizeof block_->s >= 16 * attention_max_head_dim * sizeof(float));
    for (int i = 0; i < depth_; i += 16)
      transpose_square(from + i * block_queries, block_queries, turned + i, depth_);
    for (int r = 0; r < 16 && query + r < queries_; ++r)
      store_scaled(turned + r * depth_, F32x16(shape_.scale),
                   row_of<T>(a_.dq, segment_->q_begin + chunk_ + query + r, head), shape_.head_dim);
  }

  const AttentionBackward& a_;
  const AttentionShape& shape_;
  const int depth_;
  BackwardBlock<T>* block_;
  T *staging_, *q_columns_, *q_rows_, *do_columns_, *do_rows_;
  T *k_, *v_, *k_columns_;
  float *dk_, *dv_, *dq_;
  QueryStats stats_;
  const AttentionSegment* segment_ = nullptr;
  RowsAhead<T, 5> ahead_;
  int kv_head_ = 0, chunk_ = 0, queries_ = 0;  // chunk_: its first query; queries_: in it
};

template <class T, class Queue>
void run_backward(CpuStream& stream, const AttentionBackward& params) {
  const int threads = stream.threads();
  const AttentionShape& shape = params.shape;
  stream.pool().run([&](int thread) {
    const typename Queue::Session session;
    Backward<T, Queue> work(params, thread);
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
  with_products(stream, params.shape.dtype,
                [&]<class T, class Queue>() { run_backward<T, Queue>(stream, params); });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
