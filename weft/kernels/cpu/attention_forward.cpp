#include "weft/kernels/cpu/attention_softmax.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

// One thread's forward work. A tile is 32 consecutive pairs (query, head of the group) of one key
// and value head, so that with grouped heads a decode step still fills a tile.
template <class T>
class Forward {
 public:
  Forward(const AttentionForward& params, int thread)
      : a_(params),
        shape_(params.shape),
        depth_(attention_depth(shape_.head_dim)),
        group_(shape_.q_heads / shape_.kv_heads) {
    const AttentionForwardScratch at = attention_forward_scratch(shape_);
    char* mine = static_cast<char*>(params.scratch) + at.thread_bytes * thread;
    tile_ = reinterpret_cast<ForwardTile<T>*>(mine + at.tile);
    staging_ = reinterpret_cast<T*>(mine + at.staging);
    k_ = reinterpret_cast<T*>(mine + at.k);
    v_ = reinterpret_cast<T*>(mine + at.v);
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
    segment_ = &s, kv_head_ = kv_head;
    keys_ = head_rows<T>(a_.k, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
    values_ = head_rows<T>(a_.v, s.kv_begin, kv_head, s.kv_len, shape_.head_dim);
    streamed_ = end - begin == 1;
    if (!streamed_) pack(blocks(s, begin).begin, blocks(s, end - 1).end);
    for (int tile = begin; tile < end; ++tile) run_tile(tile);
  }

  // A row in no segment.
  void clear(int64_t row) {
    for (int h = 0; h < shape_.q_heads; ++h) {
      for (int i = 0; i < shape_.head_dim; ++i) row_of<T>(a_.o, row, h)[i] = T{};
      if (a_.lse) a_.lse[row * shape_.q_heads + h] = -infinity;
    }
  }

 private:
  static_assert(sizeof(ForwardTile<T>) <= attention_forward_tile_bytes);

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

  // Rows lie a stride apart, which no prefetcher follows: what is needed next is asked for on the
  // way, the next block's keys and the values that come after these keys.
  void pack_k(int block, T* to) {
    for (int i = 0; i < block_keys; i += 16) {
      const int row = block * block_keys + i, value = streamed_ ? row - block_keys : row;
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
      pack_k(block, k_ + block_size() * (block - begin));
      pack_v(block, v_ + block_size() * (block - begin));
    }
  }
  int64_t block_size() const { return int64_t{block_keys} * depth_; }

  // A block of keys or values as B. Where it is used by one tile only, it is packed just before.
  const T* k_block(int block) {
    if (!streamed_) return k_ + block_size() * (block - packed_from_);
    pack_k(block, k_);
    return k_;
  }
  const T* v_block(int block) {
    if (!streamed_) return v_ + block_size() * (block - packed_from_);
    pack_v(block, v_);
    return v_;
  }

  // Query and head of a row of tiles, stepped from row to row.
  struct Place {
    int64_t row;  // in the caller's arrays
    int query, head;
  };
  Place place(int flat_row) const {
    const int query = flat_row / group_;
    return {segment_->q_begin + query, query, kv_head_ * group_ + flat_row % group_};
  }
  void step(Place& p) const {
    if (++p.head < (kv_head_ + 1) * group_) return;
    p.head = kv_head_ * group_, ++p.query, ++p.row;
  }

  void load_tile(int first, int rows) {
    ForwardTile<T>& t = *tile_;
    Place p = place(first);
    for (int r = 0; r < rows; ++r, step(p)) {
      const Keys keys = visible_keys(shape_, *segment_, p.query);
      t.first[r] = float(keys.begin), t.last[r] = float(keys.end);
      copy_operand<T>(row_of<T>(a_.q, p.row, p.head), shape_.head_dim, depth_, t.q + r * depth_);
    }
    for (int r = rows; r < tile_rows; ++r) t.first[r] = t.last[r] = 0;
    const size_t unused = size_t(tile_rows - rows) * size_t(depth_);
    std::memset(static_cast<void*>(t.q + rows * depth_), 0, unused * sizeof t.q[0]);
    t.risen = 0;
  }

  // What the tile from row `first` on will read and write, into the cache.
  void fetch_tile(int first) const {
    const int count = segment_->q_len * group_ - first;
    Place p = place(first);
    for (int r = 0; r < tile_rows && r < count; ++r, step(p)) {
      fetch(head_rows<T>(a_.q, p.row, p.head, 1, shape_.head_dim), 1);
      fetch(head_rows<T>(a_.o, p.row, p.head, 1, shape_.head_dim), 1);
    }
  }

  // Every row of the tile sees all keys of the block.
  bool all_visible(int block, int rows) const {
    return tile_->first[rows - 1] <= float(block * block_keys) &&
           tile_->last[0] >= float((block + 1) * block_keys);
  }

  // Keys of the block that any row sees, up to a multiple of 32.
  int keys_seen(int block, int rows) const {
    return tile_->last[rows - 1] > float(block * block_keys + 32) ? 64 : 32;
  }

  void run_tile(int tile) {
    ForwardTile<T>& t = *tile_;
    const int first = tile * tile_rows, left = segment_->q_len * group_ - first;
    const int rows = left < tile_rows ? left : tile_rows;
    const Keys b = blocks(*segment_, tile);
    load_tile(first, rows);
    fetch_tile(first + tile_rows);
    if (b.begin == b.end) {
      std::memset(t.l, 0, sizeof t.l);
      std::memset(t.o, 0, size_t(tile_rows) * size_t(depth_) * 4);
    } else {
      run_product(
          scores<T>(t.q, k_block(b.begin), t.s[0], rows, 0, keys_seen(b.begin, rows), depth_));
      for (int block = b.begin; block < b.end; ++block) run_block(block, b, rows);
      run_product(values<T>(t.s[(b.end - b.begin - 1) % 2], v_block(b.end - 1), t.o, rows,
                            keys_seen(b.end - 1, rows), depth_, b.begin + 1 < b.end));
    }
    store_tile(first, rows);
  }

  void run_block(int block, Keys blocks, int rows) {
    ForwardTile<T>& t = *tile_;
    const int now = (block - blocks.begin) % 2;
    const bool next = block + 1 < blocks.end, first = block == blocks.begin;
    const Round<T> round = {.q = t.q,
                            .next_k = next ? k_block(block + 1) : nullptr,
                            .previous_v = first ? nullptr : v_block(block - 1),
                            .s = t.s[now],
                            .other_s = t.s[1 - now],
                            .rows = rows,
                            .depth = depth_,
                            .key = block * block_keys,
                            .next_keys = next ? keys_seen(block + 1, rows) : 0,
                            .adds = block > blocks.begin + 1,
                            .scale = shape_.scale * log2_e};
    if (all_visible(block, rows))
      first ? run_round<T, true, false>(t, round) : run_round<T, false, false>(t, round);
    else
      first ? run_round<T, true, true>(t, round) : run_round<T, false, true>(t, round);
  }

  void store_tile(int first, int rows) {
    const ForwardTile<T>& t = *tile_;
    float lse[tile_rows];
    Place p = place(first);
    for (int r = 0; r < rows; ++r, step(p)) {
      const float sum = lse[r] = sum_lanes(F32x16::load(t.l + r * 16));
      store_scaled(t.o + r * depth_, F32x16(sum == 0 ? 0.0f : 1 / sum),
                   row_of<T>(a_.o, p.row, p.head), shape_.head_dim);
    }
    if (!a_.lse) return;
    for (int r = 0; r < rows; r += 16) {
      const F32x16 sum = F32x16::load(lse + r);
      const F32x16 value = fnma(F32x16::load(t.shift + r), F32x16(ln_2), log(sum));
      select(sum == F32x16(), F32x16(-infinity), value).store(lse + r);
    }
    p = place(first);
    for (int r = 0; r < rows; ++r, step(p)) a_.lse[p.row * shape_.q_heads + p.head] = lse[r];
  }

  const AttentionForward& a_;
  const AttentionShape& shape_;
  const int depth_, group_;
  ForwardTile<T>* tile_;
  T *staging_, *k_, *v_;
  const AttentionSegment* segment_ = nullptr;
  int kv_head_ = 0, packed_from_ = 0;
  Rows<T> keys_{}, values_{};
  bool streamed_ = false;
};

template <class T>
void run_forward(CpuStream& stream, const AttentionForward& params) {
  const int threads = stream.threads();
  stream.pool().run([&](int thread) {
    const UseTiles tiles;
    Forward<T> work(params, thread);
    share_work(
        params.shape, thread, threads, [&](const AttentionSegment& s) { return work.cost(s); },
        [&](const AttentionSegment& s, int head, int64_t from, int64_t to) {
          work.run(s, head, from, to);
        });
    each_uncovered_row(params.shape, params.shape.q_rows, &AttentionSegment::q_begin,
                       &AttentionSegment::q_len, thread, threads,
                       [&](int64_t row) { work.clear(row); });
  });
}

}  // namespace

void attention_forward(CpuStream& stream, const AttentionForward& params) {
  if (params.shape.dtype == DType::bf16)
    run_forward<bf16>(stream, params);
  else
    run_forward<float>(stream, params);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
