// The roofs of the ladder, measured on the device: what its units do alone (limits.cu), and what
// that allows a step that reads so much for so many operations.
#pragma once
#include <algorithm>
#include <cstdio>

#include "bench/hopper/timing.h"
#include "examples/hopper_gemm/kernels.h"

namespace ladder {

enum Unit { fma_unit, mma_unit, wgmma_unit, shared_memory, l2_cache };
constexpr const char* unit_names[] = {"f32 units", "mma.sync", "wgmma", "L1 or shared", "L2"};

struct UnitLoop {
  KernelFile kernel;
  int blocks;  // for each multiprocessor
  int rounds;
  double work;  // of a block in a round: operations, or bytes
};
inline const UnitLoop unit_loops[] = {
    {{"fma_limit", "limits.cu", 256, 0, 256}, 8, 20000, 256 * 32.0},
    {{"mma_limit", "limits.cu", 256, 0, 256}, 4, 20000, 8 * 8 * 4096.0},
    {{"wgmma_limit", "limits.cu", 256, shared_bytes(shapes[7]), 256}, 1, 6000, 4.0 * 64 * 256 * 64},
    {{"shared_limit", "limits.cu", 1024, 0, 256}, 2, 32000, 1024 * 16.0},
    {{"l2_limit", "limits.cu", 32, 8 * 16384 + 256, 256}, 1, 15000, 16384}};

struct Limits {
  double rate[5];  // by Unit, in a second
};

inline Limits measure_limits(CudaDevice& gpu) {
  const weft::BufferPtr memory = gpu.allocate(limit_memory_bytes);
  gpu.stream().fill(memory->data(), 0, limit_memory_bytes);
  Limits limits{};
  for (int unit = fma_unit; unit <= l2_cache; ++unit) {
    const UnitLoop& loop = unit_loops[unit];
    const CudaKernel& kernel = load(gpu, loop.kernel);
    const int blocks = loop.blocks * gpu.multiprocessors();
    std::vector<double> rates;
    for (int run = 0; run < 4; ++run) {
      const double ms = weft::bench::milliseconds(gpu.stream(), [&] {
        launch(gpu.stream(), kernel, loop.kernel.threads, blocks, 1, 1, memory->data(),
               loop.rounds);
      });
      if (run > 0) rates.push_back(loop.work * loop.rounds * blocks / (ms * 1e-3));
    }
    limits.rate[unit] = weft::bench::median(rates);
  }
  return limits;
}

// What a step needs: one of the units that multiply, and a byte of shared memory (in accesses of
// 128, as the memory counts) and of L2 for each so many operations; 0: little of it.
struct Needs {
  Unit unit;
  double per_shared_byte = 0, per_l2_byte = 0;
};
struct Roof {
  double rate;
  const char* name;
};
inline Roof roof_of(const Needs& needs, const Limits& limits) {
  Roof roof{limits.rate[needs.unit], unit_names[needs.unit]};
  const auto lower = [&](Unit memory, double per_byte) {
    const double rate = per_byte * limits.rate[memory];
    if (per_byte > 0 && rate < roof.rate) roof = {rate, unit_names[memory]};
  };
  lower(shared_memory, needs.per_shared_byte);
  lower(l2_cache, needs.per_l2_byte);
  return roof;
}

}  // namespace ladder
