// What the host must know of a step to launch it. Compiled for the host and by NVRTC: no includes.
#pragma once

namespace ladder {

struct Shape {
  int tile_m = 0, tile_n = 0;  // of C, for one block of threads
  int threads = 0;
  int stages = 0;   // of 64 of k for both operands, in dynamic shared memory
  int cluster = 1;  // blocks that share what they read of B
};
constexpr Shape shapes[] = {{},                      // steps count from 1
                            {32, 32, 1024},          // one thread an element
                            {32, 32, 1024},          // tiles in shared memory
                            {128, 128, 256},         // tiles in registers
                            {128, 128, 128, 3},      // mma.sync
                            {128, 128, 256, 3},      // wgmma
                            {128, 128, 256, 3},      // the copy engine
                            {128, 256, 288, 4},      // a warp that feeds two warpgroups
                            {128, 256, 288, 4, 2}};  // persistent, in clusters

constexpr int stage_bytes(const Shape& s) {
  return (s.tile_m + s.tile_n) * 128;
}
// Room to align the start to 1024 bytes, the stages, two barriers for each.
constexpr int shared_bytes(const Shape& s) {
  return s.stages ? 1024 + s.stages * (stage_bytes(s) + 16) : 0;
}

constexpr int limit_memory_bytes = 16 << 20;  // fits L2: what limits.cu reads there

}  // namespace ladder
