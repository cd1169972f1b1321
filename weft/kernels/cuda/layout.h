// How a block shares out a Hopper multiprocessor: registers, and where things lie in shared memory.
// The same text is compiled for the host's tests and, by NVRTC, into kernels: no includes, no
// library.
#pragma once

namespace weft::kernels::cuda {

// Two warpgroups multiply, one feeds them. A multiprocessor gives each thread of a block of 384 168
// registers; the feeder hands most of its own over. What is taken must have been given: one more,
// and the kernel waits for ever.
constexpr int block_threads = 384, producer_registers = 40, consumer_registers = 232;
static_assert(producer_registers * 128 + consumer_registers * 256 <= 168 * block_threads);

// Every tile is made of "columns of rows of 128 bytes": 64 bf16 or 32 f32 a row, rows in groups of
// 8 (1024 bytes). Inside a group the 16-byte chunks of row r are permuted by xor with r, which
// spreads a column of chunks over all banks (PTX ISA, "128-Byte swizzle").
constexpr int row_bytes = 128, chunk_bytes = 16, group_rows = 8;

// Byte offset of a 16-byte chunk of a row, from the tile's start.
constexpr int swizzled_offset(int row, int chunk) {
  return row * row_bytes + ((chunk ^ (row % group_rows)) * chunk_bytes);
}

// The 64-bit description of an operand that wgmma reads (PTX ISA, "Matrix descriptor"): start
// address, distance of neighbours along the leading and the strided dimension, each in units of 16
// bytes, and the swizzle in the two top bits (1: 128 bytes).
constexpr unsigned long long matrix_descriptor(unsigned address, int leading_bytes,
                                               int strided_bytes) {
  return (unsigned long long)((address & 0x3ffff) >> 4) |
         (unsigned long long)(leading_bytes >> 4) << 16 |
         (unsigned long long)(strided_bytes >> 4) << 32 | 1ull << 62;
}

// An operand tile of `outer` rows (of A; columns of B) by 64 of the reduced dimension, as TMA
// delivers it. Reduced dimension inside: one box, a row of 128 bytes for each outer index.
// Outside: boxes of 64 outer indices, one behind the other, a row of 128 bytes for each reduced
// index.
constexpr int reduced_per_stage = 64, reduced_per_instruction = 16;
constexpr int turned_box_bytes = reduced_per_stage * row_bytes;

constexpr unsigned long long operand_descriptor(unsigned address, bool turned) {
  return turned ? matrix_descriptor(address, turned_box_bytes, group_rows * row_bytes)
                : matrix_descriptor(address, chunk_bytes, group_rows * row_bytes);
}
// What to add to a descriptor for the next 16 of the reduced dimension: 32 bytes along a row, or 16
// rows.
constexpr int descriptor_step(bool turned) {
  return (turned ? reduced_per_instruction * row_bytes : reduced_per_instruction * 2) >> 4;
}

// A place in a ring of stages in shared memory. phase: the parity of the barriers' phases in this
// round; whoever fills stages waits for the other parity, which at first counts as passed.
template <int stages>
struct RingPlace {
  int stage = 0;
  unsigned phase = 0;

  constexpr void advance() {
    if (++stage == stages) stage = 0, phase ^= 1;
  }
  constexpr void skip(int count) {
    stage += count;
    phase ^= stage / stages & 1;
    stage %= stages;
  }
};

}  // namespace weft::kernels::cuda
