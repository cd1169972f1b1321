// The way of a warpgroup through its tiles of queries. Part of attention.cu.
#pragma once
#include "weft/kernels/cuda/device/attention_consumer.cuh"

struct TileWalk : Consumer {
  using Consumer::Consumer;

  template <bool masked>
  INLINE void begin() {
    if (!overlaps(s)) {
      issue_first_scores();
      wgmma_wait<0>();
      scores_done(tile.first);
    }
    float decay[2];
    start_softmax<masked>(tile.first, decay);
    weigh(x, chunk, p.scale_log2);
    pack_weights(weights, x);
  }

  // A block that only other warpgroups see.
  INLINE void pass_block() {
    barrier_wait(at.k_full + 8 * place.stage, place.phase);
    wait_turn();
    pass_turn();
    release(at.k_empty + 8 * place.stage);
    barrier_wait(at.v_full + 8 * place.stage, place.phase);
    release(at.v_empty + 8 * place.stage);
    place.advance();
  }
  // The products of the last block, beneath them and what follows the first scores of the next
  // tile; false: there is none.
  INLINE bool finish_beneath(const TensorMap* map) {
    const int j = end() - 1;
    const Stage last = place;
    place.advance();
    if (end() < tile.end) pass_block();
    const bool first = is_first_chunk(j), add = !starts_sums(j);
    barrier_wait(at.v_full + 8 * last.stage, last.phase);
    wait_turn();
    issue_values(last.stage, add);
    const bool more = comes(q_phase ^ 1);
    if (more) {
      issue_first_scores();
      pass_turn();
      wgmma_wait<1>();
      values_done(last.stage);
      end_tile(map, first);
      q_phase = same(q_phase ^ 1);
      first_scores_done();
    } else {  // apart: the assembler wants to see which products are under way
      pass_turn();
      wgmma_wait<0>();
      values_done(last.stage);
      end_tile(map, first);
    }
    return more;
  }
  INLINE void end_tile(const TensorMap* map, bool first) {
    add_chunk(o, chunk, all, first, total_of(lane_now()), p.scale_log2);
    write(map);
  }

  INLINE void run() {
    chunk = all = RowState();
    int j = tile.first;
    if (is_whole(j))
      begin<false>();
    else
      begin<true>();
    if (s.windowed) {
#pragma unroll 1
      for (++j; j < end(); ++j)
        if (is_whole(j))
          step<false>(j);
        else
          step<true>(j);
    } else {
#pragma unroll 1
      for (++j; j < end() && is_whole(j); ++j) step<false>(j);
#pragma unroll 1
      for (; j < end(); ++j) step<true>(j);
    }
  }

  // o / sum through this warp's part of `total` to memory, and the logarithm of the sum.
  INLINE void write(const TensorMap* map) {
    tile = announced(at, q_phase);  // again: for want of registers not all of it was kept
    const int now = lane_now(), &lane = overlaps(s) ? now : this->lane;
    const u32 staging = total_of(lane) - lane * 16;
    float inverse[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      inverse[r] = inverse_sum(all.sum[r]);
      const int row = warp * 16 + lane / 4 + 8 * r;
      if (p.lse && lane % 4 == 0 && row < tile.rows)
        p.lse[(long long)(tile.q + row) * p.list.heads + tile.head] =
            log_sum(all.most[r], all.sum[r], p.scale);
    }
    if (lane == 0) wait_stores_read<0>();
    __syncwarp();  // and every lane has read its totals
#pragma unroll
    for (int i = 0; i < sums; i += 8) {
      const u32 to =
          staging + i / 32 * (16 * row_bytes) + swizzled_offset(lane % 16, i / 4 % 8 + lane / 16);
      store_blocks(to, pack_halves<s.f16>(o[i] * inverse[0], o[i + 1] * inverse[0]),
                   pack_halves<s.f16>(o[i + 2] * inverse[1], o[i + 3] * inverse[1]),
                   pack_halves<s.f16>(o[i + 4] * inverse[0], o[i + 5] * inverse[0]),
                   pack_halves<s.f16>(o[i + 6] * inverse[1], o[i + 7] * inverse[1]));
    }
    publish_to_async();
    __syncwarp();
    if (lane == 0) store_rows(map, staging, tile.head, tile.q + warp * 16, tile.rows - warp * 16);
  }

  // All tiles, each by itself.
  INLINE void run_apart(const TensorMap* map) {
    for (u32 phase = 0;; phase ^= 1) {
      barrier_wait(at.q_full, phase);
      tile = announced(at, phase);
      if (tile.rows == 0) break;
      run();
      barrier_wait(at.v_full + 8 * place.stage, place.phase);
      issue_values(place.stage, !starts_sums(end() - 1));
      wgmma_wait<0>();
      values_done(place.stage);
      place.advance();
      q_phase = phase;
      end_tile(map, is_first_chunk(end() - 1));
    }
  }
  // All tiles, each beneath the end of the one before.
  INLINE void run_overlapping(const TensorMap* map) {
    bool more = comes(0);
    if (more) {
      issue_first_scores();
      first_scores_done();
    }
#pragma unroll 1
    while (more) {
      run();
      more = finish_beneath(map);
    }
  }
};
