// Of attention_paged.cu: what lies where in shared memory, the order of work, and the warp that
// loads.
#pragma once

using Stage = RingPlace<s.stages>;

// One half's addresses in shared memory.
struct Half {
  u32 q, ring, barriers, notes;
  INLINE Half(u32 start, int half)
      : q(start + half * paged_half_bytes(s)),
        ring(q + paged_query_bytes(s)),
        barriers(start + paged_halves * paged_half_bytes(s) + half * 8 * paged_barriers(s)),
        notes(start + paged_halves * (paged_half_bytes(s) + 8 * paged_barriers(s)) +
              half * paged_notes_bytes) {}
  INLINE u32 q_full() const { return barriers; }
  INLINE u32 q_empty() const { return barriers + 8; }
  INLINE u32 full(int stage) const { return barriers + 16 + 8 * stage; }
  INLINE u32 empty(int stage) const { return barriers + 16 + 8 * (s.stages + stage); }
  INLINE u32 number(u32 phase) const { return notes + 4 * phase; }
  INLINE u32 flag() const { return notes + 8; }
  INLINE u32 block(int stage) const { return ring + stage * paged_block_bytes(s); }
};

INLINE void start_barriers(const Half& at) {
  for (int i = 0; i < paged_barriers(s); ++i) barrier_init(at.barriers + 8 * i, 1);
  barrier_init_visible();
}

INLINE PagedSequence sequence_at(const PagedArguments& p, int i) {
  return paged_sequence(s, p.q_begin[i + 1] - p.q_begin[i], p.kv_len[i], p.tile_queries, p.window);
}

// before[i]: pieces (of one head) of the sequences before the i-th. By one warp.
INLINE void count_pieces(const PagedArguments& p, int* before) {
  const int lane = threadIdx.x % 32;
  int all = 0;
  for (int begin = 0; begin < p.sequences; begin += 32) {
    const int i = begin + lane;
    const int own = i < p.sequences ? paged_pieces(sequence_at(p, i)) : 0;
    int sum = own;
    for (int distance = 1; distance < 32; distance *= 2) {
      const int other = __shfl_up_sync(~0u, sum, distance);
      if (lane >= distance) sum += other;
    }
    if (i < p.sequences) before[i] = all + sum - own;
    all += __shfl_sync(~0u, sum, 31);
  }
  if (lane == 0) before[p.sequences] = all;
}

// blocks: of this chunk that the tile sees, 0 when none; a tile that sees no key at all has one.
// slot: its number; those of a tile's chunks are kv_heads apart from `slot_first` on.
struct Piece {
  int sequence, head, tile, first_key, blocks, chunks, slot, slot_first;
  int q_begin, rows, position;  // rows of the tile; position of its first query
  int begin, keys;              // first key that it sees, and the one behind the last
};
INLINE Piece piece_at(const PagedArguments& p, const int* before, int index) {
  Piece x;
  const int at = index / p.kv_heads;
  x.head = index % p.kv_heads;
  int low = 0, high = p.sequences;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (before[middle] <= at ? low : high) = middle;
  }
  const PagedSequence q = sequence_at(p, low);
  const int rest = at - before[low], chunk = q.first_chunk + rest % q.chunks;
  x.sequence = low;
  x.tile = rest / q.chunks;
  x.position = q.kv_len - q.q_len + x.tile * p.tile_queries;
  x.begin = keys_begin(s, x.position, p.window);
  x.keys = paged_keys(q, x.tile, p.tile_queries);
  x.first_key = max(chunk * s.chunk, x.begin / s.key_block * s.key_block);
  const int seen = min(x.keys, (chunk + 1) * s.chunk) - x.first_key;
  const int first_chunk = x.begin / s.chunk;
  x.blocks = seen > 0 ? (seen + s.key_block - 1) / s.key_block : x.keys == 0 && chunk == 0;
  x.chunks = (max(x.keys, 1) + s.chunk - 1) / s.chunk - first_chunk;
  x.slot = index;
  x.slot_first = index - (chunk - first_chunk) * p.kv_heads;
  x.q_begin = p.q_begin[low] + x.tile * p.tile_queries;
  x.rows = min(p.tile_queries, q.q_len - x.tile * p.tile_queries) * p.group;
  return x;
}

// Every lane copies its own part of a block: the rows of one page.
struct Feeder {
  const Half& at;
  const PagedArguments& p;
  const int lane;
  Stage place;
  u32 q_phase = 0;

  INLINE Feeder(const Half& half, const PagedArguments& arguments)
      : at(half), p(arguments), lane(threadIdx.x % 32) {}

  INLINE int page_of(const Piece& x, int block) const {
    const int key = x.first_key + block * s.key_block + lane * s.page_rows;
    const bool mine = lane < s.key_block / s.page_rows && block < x.blocks && key < x.keys &&
                      key + s.page_rows > x.begin;
    return mine ? p.page_table[(long long)x.sequence * p.max_pages + key / p.page] : -1;
  }
  INLINE void load_block(const Piece& x, int block, int page, const TensorMap* map) {
    const int key = x.first_key + block * s.key_block + lane * s.page_rows;
    const int parts = __popc(__ballot_sync(~0u, page >= 0));
    if (lane == 0) {
      barrier_wait(at.empty(place.stage), place.phase ^ 1);
      barrier_expect_bytes(at.full(place.stage), parts * s.page_rows * s.head_dim * 2);
    }
    __syncwarp();
    if (page >= 0)
      for (int i = 0; i < atoms; ++i)
        load_box_4d(at.block(place.stage) + (i * s.key_block + lane * s.page_rows) * row_bytes, map,
                    i * 64, x.head, key % p.page, page, at.full(place.stage));
    place.advance();
  }
  // The workers learn the number of their piece with its queries; two places, written in turn.
  INLINE void announce(int index) {
    if (lane == 0) {
      barrier_wait(at.q_empty(), q_phase ^ 1);
      store_int(at.number(q_phase), index);
    }
  }
  INLINE void load_queries(const Piece& x, const TensorMap* map) {
    if (lane == 0) {
      barrier_expect_bytes(at.q_full(), p.tile_queries * p.group * s.head_dim * 2);
      for (int i = 0; i < atoms; ++i)
        load_box_4d(at.q + i * paged_rows * row_bytes, map, i * 64, x.head * p.group, x.q_begin, 0,
                    at.q_full());
    }
    q_phase ^= 1;
  }
  INLINE int take_piece() const {
    int taken = 0;
    if (lane == 0) taken = gridDim.x * paged_halves + atomicAdd(p.next_piece, 1);
    return __shfl_sync(~0u, taken, 0);
  }
  INLINE void run(const TensorMap* q, const TensorMap* k, const TensorMap* v, const int* before,
                  int index, int pieces) {
    while (index < pieces) {
      const Piece x = piece_at(p, before, index);
      int page = page_of(x, 0), following = -1;
      if (x.blocks > 0) {
        announce(index);
        load_queries(x, q);
      }
#pragma unroll 1
      for (int block = 0; block < x.blocks; ++block) {
        const int next = page_of(x, block + 1);  // on its way while this block is waited for
        load_block(x, block, page, k);
        if (block == x.blocks - 1) following = take_piece();
        load_block(x, block, page, v);
        page = next;
      }
      index = following < 0 ? take_piece() : following;
    }
    announce(index);
    if (lane == 0) barrier_arrive(at.q_full());
  }
};
