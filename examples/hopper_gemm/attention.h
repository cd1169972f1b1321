// Causal attention in two steps and by the library's own kernel.
#pragma once
#include "bench/hopper/attention.h"
#include "examples/hopper_gemm/climb.h"

namespace ladder {

// Three passes: half of the operations as in step 1 of the product, half with two accesses for 64.
// mma.sync: a warp's 16 queries read 64 keys or values for 2 * 16 * 64 operations each.
constexpr Step attention_steps[] = {
    {"three passes", {fma_unit, 2 / (33 * 128 / 64.0 + 2 * 128 / 64.0)}, false, "nothing yet"},
    {"online softmax", {mma_unit, 16}, false, "scores stay in registers, on tensor cores"},
    {"Weft's own", {wgmma_unit}, true, "wgmma, the copy engine, two warpgroups in turn"}};

class Attention {
 public:
  explicit Attention(CudaDevice& gpu) : gpu_(gpu), case_(gpu, head_dim, length, true) {}

  double operations() const { return case_.flops(); }
  static constexpr int64_t results = int64_t(sequences) * length * width;

  Run library() {
    return [this](std::byte* o) {
      case_.p.o.data = o;
      weft::kernels::cuda::attention_forward(gpu_.stream(), case_.p);
    };
  }
  Run three_passes() {
    const size_t bytes = size_t(sequences) * heads * length * length * sizeof(float);
    scores_ = gpu_.allocate(bytes);
    const CudaKernel* kernels[] = {&load(gpu_, attention_kernels[0]),
                                   &load(gpu_, attention_kernels[1]),
                                   &load(gpu_, attention_kernels[2])};
    return [this, first = kernels[0], second = kernels[1], third = kernels[2]](std::byte* o) {
      constexpr int pairs = sequences * heads, blocks = length / 32;
      weft::CudaStream& stream = gpu_.stream();
      std::byte* x = scores_->data();
      launch(stream, *first, 1024, blocks, blocks, pairs, case_.q->data(), case_.k->data(), x);
      launch(stream, *second, 32, length, pairs, 1, x);
      launch(stream, *third, head_dim, length, pairs, 1, x, case_.v->data(), o);
    };
  }
  Run online() {
    const CudaKernel& kernel = load(gpu_, attention_kernels[3]);
    return [this, &kernel](std::byte* o) {
      launch(gpu_.stream(), kernel, online_threads, length / tile_queries, heads, sequences,
             case_.q->data(), case_.k->data(), case_.v->data(), o);
    };
  }
  Run run(int step) { return step == 0 ? three_passes() : step == 1 ? online() : library(); }

 private:
  CudaDevice& gpu_;
  weft::bench::AttentionCase case_;
  weft::BufferPtr scores_;
};

}  // namespace ladder
