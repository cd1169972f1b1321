// What the two matrix products of the GPU share: names and checks of their parameters, and what
// goes to the kernel as it is.
#pragma once
#include <string>

#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/cuda/matmul_tiles.h"
#include "weft/kernels/matmul.h"

namespace weft::kernels::cuda {

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
// Tiles of a whole cluster, of one matrix of the batch.
inline int64_t cluster_tiles(const Matmul& p, const MatmulSchedule& s) {
  return ceil_div(p.m, int64_t(s.tile_m) * s.cluster_m) *
         ceil_div(p.n, int64_t(s.tile_n) * s.cluster_n);
}
std::string matmul_name(const Matmul& params);
weft::cuda::Element element_of(DType type);
MatmulEpilogue epilogue_of(const Matmul& params);
std::string epilogue_text(const MatmulEpilogue& epilogue);  // as a constant of C++

// Throws Error(user) naming what the GPU cannot take.
void check_matmul(const Matmul& params);
MatmulArguments matmul_arguments(const Matmul& params);

}  // namespace weft::kernels::cuda
