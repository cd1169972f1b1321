#include "weft/kernels/cpu/attention_softmax.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// One thread's forward work. A tile is 32 consecutive pairs (query, head of the group) of one key
// and value head, so that with grouped heads a decode step still fills a tile.
template <class T, class Queue>
class Forward {
 public:
  Forward(const AttentionForward& params, int thread)
      : a_(params),
        shape_(params.shape),
        depth_(attention_depth(shape_.head_dim)),
        group_(shape_.q_heads / shape_.kv_heads) {
    const AttentionForwardScratch at = attention_forward_scratch(shape_);
    char* mine = static_cast<char*>(params.scratch) + at.thread_bytes * thread;
    tiles_ = reinterpret_cast<ForwardTile<T>*>(mine + at.tiles);
    s_ = reinterpret_cast<float*>(mine + at.s);
    staging_ = reinterpret_cast<T*>(mine + at.staging);
    k_ = reinterpret_cast<T*>(mine + at.k);
    v_ = reinterpret_cast<T*>(mine + at.v);
    packed_blocks_ = int(at.keys / block_keys);
  }

  // Key blocks of every tile, and one for what a tile costs besides.
  int64_t cost(const AttentionSegment& s) const {
    int64_t sum = 0;
    for (int tile = 0; tile < tiles(s); ++tile) sum += tile_cost(s, tile);
    return sum;
  }

  // The tiles whose cost, added up from the first, begins in [from, to).
  void run(const AttentionSegment& s, int kv_head, int64_t from, int64_t to) {
    int begin = 0, end = 0;
    int64_t at = 0;
    for (int tile = 0; tile < tiles(s) && at < to; at += tile_cost(s, tile), ++tile) {
      if (at < from) begin = tile + 1;
      end = tile + 1;
    }
    if (begin >= end) return;
    const Keys b = {blocks(s, begin).begin, blocks(s, end - 1).end};
    const bool streamed = end - begin == 1;
    // Heads that fit into a half of the room take turns: the last steps of one run beside the first
    // of the next.
    const bool overlapped = !streamed && 2 * (b.end - b.begin) <= packed_blocks_;
    if (!overlapped) drain();
    half_ = overlapped ? 1 - half_ : 0;
    segment_ = &s, kv_head_ = kv_head, streamed_ = streamed;
    keys_ = head_rows<T>(a_.k, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
    values_ = head_rows<T>(a_.v, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
    // What is short, or so close that prefetchers follow, is packed faster than it could be asked
    // for.
    constexpr int64_t followed_stride = 2048 / int64_t(sizeof(T));
    asks_ahead_ = !overlapped || (s.kv_len > block_keys && a_.k.row_stride > followed_stride);
    ahead_ = {};
    if (asks_ahead_ && kv_head + 1 < shape_.kv_heads) {
      ahead_.rows[0] = head_rows<T>(a_.k, s.kv_begin, kv_head + 1, s.kv_len, shape_.head_dim);
      ahead_.rows[1] = head_rows<T>(a_.v, s.kv_begin, kv_head + 1, s.kv_len, shape_.head_dim);
    }
    if (!streamed) pack(b.begin, b.end);
    const int64_t steps = steps_;
    for (int tile = begin; tile < end; ++tile) run_tile(tile);
    if (!overlapped || steps_ < steps + 2) drain();
  }

  // Brings the steps under way to their end.
  void drain() {
    if (before_.tile || now_.tile) advance({}), advance({});
  }

  // A row in no segment.
  void clear(int64_t row) {
    for (int h = 0; h < shape_.q_heads; ++h) clear_row(row, h);
  }

 private:
  static_assert(sizeof(ForwardTile<T>) <= attention_forward_tile_bytes);

  // A step and what it takes to store its tile.
  struct TileStep : Step<T> {
    const AttentionSegment* segment = nullptr;
    int kv_head = 0, first_row = 0, block = 0;
  };

  int tiles(const AttentionSegment& s) const {
    return (s.q_len * group_ + tile_rows - 1) / tile_rows;
  }

  // Blocks of keys [begin, end) that a tile's rows see: both ends grow from row to row.
  Keys blocks(const AttentionSegment& s, int tile) const {
    const int rows = s.q_len * group_, first = tile * tile_rows;
    const int last = first + tile_rows < rows ? first + tile_rows - 1 : rows - 1;
    const int begin = visible_keys(shape_, s, first / group_).begin / block_keys;
    const int end = (visible_keys(shape_, s, last / group_).end + block_keys - 1) / block_keys;
    return {begin < end ? begin : end, end};
  }
  int64_t tile_cost(const AttentionSegment& s, int tile) const {
    const Keys b = blocks(s, tile);
    return b.end - b.begin + 1;
  }

  // Rows lie a stride apart, which no prefetcher follows: the next block's are asked for on the
  // way; of values those that come after these keys.
  void pack_k(int block, T* to) {
    for (int i = 0; i < block_keys; i += 16) {
      const int row = block * block_keys + i, value = row + (streamed_ ? -1 : 1) * block_keys;
      fetch(keys_.from(row + block_keys), 16);
      if (value >= 0) fetch(values_.from(value), 16);
      pack_columns16(keys_.from(row), depth_, to + i * depth_, staging_);
    }
  }
  void pack_v(int block, T* to) {
    pack_rows64(values_.from(block * block_keys), depth_, to, staging_);
  }
  void pack(int begin, int end) {
    packed_from_ = begin;
    for (int block = begin; block < end; ++block) {
      pack_k(block, k_ + packed(block));
      pack_v(block, v_ + packed(block));
    }
  }
  int64_t packed(int block) const {
    return (int64_t{half_} * (packed_blocks_ / 2) + block - packed_from_) * block_keys * depth_;
  }

  // Query and head of a row of tiles, stepped from row to row.
  struct Place {
    int64_t row;  // in the caller's arrays
    int query, head, head_end;
  };
  Place place(const AttentionSegment& s, int kv_head, int flat_row) const {
    const int query = flat_row / group_;
    const int head = kv_head * group_;
    return {s.q_begin + query, query, head + flat_row % group_, head + group_};
  }
  void step(Place& p) const {
    if (++p.head < p.head_end) return;
    p.head -= group_, ++p.query, ++p.row;
  }

  // The sums of the tile that was there before may still be in use.
  void load_tile(ForwardTile<T>& t, int first, int rows) {
    Place p = place(*segment_, kv_head_, first);
    for (int r = 0; r < rows; ++r, step(p)) {
      const Keys keys = visible_keys(shape_, *segment_, p.query);
      t.first[r] = float(keys.begin), t.last[r] = float(keys.end);
      copy_padded(row_of<T>(a_.q, p.row, p.head), shape_.head_dim, depth_, t.q + r * depth_);
    }
    for (int r = rows; r < tile_rows; ++r) t.first[r] = t.last[r] = 0;
    const size_t unused = size_t(tile_rows - rows) * size_t(depth_);
    std::memset(static_cast<void*>(t.q + rows * depth_), 0, unused * sizeof t.q[0]);
  }

  // What the tile from row `first` on, or the next head's first, will read and write, into the
  // cache. Inlined: GCC 12 drops calls of a function that does nothing but prefetch.
  WEFT_INLINE void fetch_tile(int first) const {
    const int rows = segment_->q_len * group_, next_head = first >= rows;
    if (kv_head_ + next_head >= shape_.kv_heads) return;
    if (next_head) first = 0;
    const int count = rows - first;
    Place p = place(*segment_, kv_head_ + next_head, first);
    for (int r = 0; r < tile_rows && r < count; ++r, step(p)) {
      fetch(head_rows<T>(a_.q, p.row, p.head, 1, shape_.head_dim), 1);
      fetch(head_rows<T>(a_.o, p.row, p.head, 1, shape_.head_dim), 1);
    }
  }

  void run_tile(int tile) {
    const int first = tile * tile_rows, left = segment_->q_len * group_ - first;
    const int rows = left < tile_rows ? left : tile_rows;
    const Keys b = blocks(*segment_, tile);
    if (b.begin == b.end) return clear_rows(first, rows);
    ForwardTile<T>& t = tiles_[tiles_begun_++ % 2];
    load_tile(t, first, rows);
    if (asks_ahead_) fetch_tile(first + tile_rows);
    for (int block = b.begin; block < b.end; ++block) {
      const int key = block * block_keys;
      TileStep next;
      next.tile = &t, next.s = s_ + steps_++ % 2 * (tile_rows * block_keys);
      next.k = streamed_ ? k_ : k_ + packed(block), next.v = streamed_ ? v_ : v_ + packed(block);
      if (streamed_) pack_k(block, k_);
      next.rows = rows;
      // Among other tiles no products of fewer rows: they would not keep their turn.
      next.product_rows = Queue::on_tiles && !streamed_ ? tile_rows : rows;
      next.key = key, next.keys = t.last[rows - 1] > float(key + 32) ? 64 : 32;
      next.first = block == b.begin, next.last = block + 1 == b.end;
      next.masked = t.first[rows - 1] > float(key) || t.last[0] < float(key + block_keys);
      next.segment = segment_, next.kv_head = kv_head_, next.first_row = first, next.block = block;
      advance(next);
    }
  }

  // The softmax that is due. Streamed values are packed just before they are used.
  void advance(const TileStep& next) {
    if (streamed_ && before_.tile) pack_v(before_.block, v_);
    ahead_.fetch_some();
    run_step<Queue>(before_, now_, next, depth_, shape_.scale * log2_e);
    if (before_.tile && before_.last) store_tile(before_);
    before_ = now_, now_ = next;
  }

  void store_tile(const TileStep& done) {
    const ForwardTile<T>& t = *done.tile;
    float inverse[tile_rows], lse[tile_rows];
    for (int r = 0; r < done.rows; r += 16) {
      const F32x16 sum = sum_rows16(t.l + r * 16);
      const Mask16 none = sum == F32x16();
      select(none, F32x16(), F32x16(1.0f) / sum).store(inverse + r);
      const F32x16 value = fnma(F32x16::load(t.shift + r), F32x16(ln_2), log(sum));
      select(none, F32x16(-infinity), value).store(lse + r);
    }
    Place p = place(*done.segment, done.kv_head, done.first_row);
    for (int r = 0; r < done.rows; ++r, step(p)) {
      store_scaled(t.o + r * depth_, F32x16(inverse[r]), row_of<T>(a_.o, p.row, p.head),
                   shape_.head_dim);
      if (a_.lse) a_.lse[p.row * shape_.q_heads + p.head] = lse[r];
    }
  }

  // Rows that see no key.
  void clear_rows(int first, int rows) {
    Place p = place(*segment_, kv_head_, first);
    for (int r = 0; r < rows; ++r, step(p)) clear_row(p.row, p.head);
  }
  void clear_row(int64_t row, int head) {
    for (int i = 0; i < shape_.head_dim; ++i) row_of<T>(a_.o, row, head)[i] = T{};
    if (a_.lse) a_.lse[row * shape_.q_heads + head] = -infinity;
  }

  const AttentionForward& a_;
  const AttentionShape& shape_;
  const int depth_, group_;
  ForwardTile<T>* tiles_;  // two, in turn
  float* s_;               // [2][32, 64], in turn
  T *staging_, *k_, *v_;
  int packed_blocks_;  // that k_ and v_ hold
  const AttentionSegment* segment_ = nullptr;
  int kv_head_ = 0, packed_from_ = 0, half_ = 0;
  int64_t tiles_begun_ = 0, steps_ = 0;
  Rows<T> keys_{}, values_{};
  RowsAhead<T, 2> ahead_;
  bool streamed_ = false, asks_ahead_ = false;
  TileStep before_, now_;
};

template <class T, class Queue>
void run_forward(CpuStream& stream, const AttentionForward& params) {
  const int threads = stream.threads();
  stream.pool().run([&](int thread) {
    const typename Queue::Session session;
    Forward<T, Queue> work(params, thread);
    share_work(
        params.shape, thread, threads, [&](const AttentionSegment& s) { return work.cost(s); },
        [&](const AttentionSegment& s, int head, int64_t from, int64_t to) {
          work.run(s, head, from, to);
        });
    work.drain();
    each_uncovered_row(params.shape, params.shape.q_rows, &AttentionSegment::q_begin,
                       &AttentionSegment::q_len, thread, threads,
                       [&](int64_t row) { work.clear(row); });
  });
}

}  // namespace

void attention_forward(CpuStream& stream, const AttentionForward& params) {
  with_products(stream, params.shape.dtype,
                [&]<class T, class Queue>() { run_forward<T, Queue>(stream, params); });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
