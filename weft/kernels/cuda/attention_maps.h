// What attention's kernels for Hopper share on the host: what they take, and their tensor maps.
#pragma once
#include <string>

#include "weft/device/cuda/tensor_map.h"
#include "weft/kernels/attention.h"

namespace weft::kernels::cuda {

std::string attention_name(const AttentionShape& shape);

// Throws Error(user) for what is not for the GPU: other head sizes and types, windows, segments of
// different lengths.
void check_attention(const AttentionShape& shape);

// x as [segments][rows][heads][head_dim], in boxes of box_rows by 64 columns of one head.
weft::cuda::TensorMap head_map(const ConstHeadRows& x, int heads, int64_t rows,
                               const AttentionShape& shape, int box_rows, const char* name);

}  // namespace weft::kernels::cuda
