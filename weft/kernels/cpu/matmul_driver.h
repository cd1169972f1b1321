// A batch of products on all threads, and one whose K is cut in two.
#pragma once
#include "weft/kernels/cpu/matmul_product.h"

namespace weft::kernels::cpu::WEFT_ISA {

// A row of C + what the other half left apart + the residual.
inline void add_apart(const Matmul& p, const float* apart, int64_t row) {
  float* c = static_cast<float*>(p.c) + row * p.c_row_stride;
  const float* residual = static_cast<const float*>(p.residual);
  if (residual) residual += row * p.residual_row_stride;
  apart += row * p.c_row_stride;
  each_step(p.n, [&](int64_t i, auto k) WEFT_INLINE {
    F32x16 sum = load(c + i, k) + load(apart + i, k);
    if (residual) sum = sum + load(residual + i, k);
    store(sum, c + i, k);
  });
}

// Each half leaves in C what its threads will add the other's to.
template <class Kind>
void multiply_in_halves(CpuStream& stream, const Matmul& p) {
  ThreadPool& pool = stream.pool();
  const int threads = pool.size();
  const MatmulHalves plan = plan_matmul_halves(p, threads);
  const Apart<float> apart[2] = {{plan.apart, plan.row, p.m}, {plan.apart, 0, plan.row}};
  const bool meet = plan.plan[0].meet() || plan.plan[1].meet();
  pool.run([&](int thread) {
    const int first = plan.in_turn ? 0 : thread / plan.group, last = plan.in_turn ? 1 : first;
    for (int i = first; i <= last; ++i) {
      Product<Kind, float> product(plan.half[i], plan.plan[i], 0, thread % plan.group, plan.group,
                                   apart[i]);
      product.pack();
      if (meet) pool.barrier();
      product.multiply();
    }
    pool.barrier();
    const Span rows = part({0, p.m}, thread, threads);
    for (int64_t row = rows.begin; row < rows.end; ++row) add_apart(p, plan.apart, row);
  });
}

template <class Kind, class Out>
void multiply_all(CpuStream& stream, const Matmul& p) {
  if constexpr (sizeof(Out) > sizeof(typename Kind::Element))
    if (p.m > 0 && p.n > 0 && matmul_in_halves(p)) return multiply_in_halves<Kind>(stream, p);
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
  ThreadPool& pool = stream.pool();
  const int threads = pool.size();
  const MatmulPlan plan = plan_matmul(p, threads);
  const bool meet = plan.meet();
  pool.run([&](int thread) {
    const Span all{0, p.batch};
    const Span mine = plan.whole_products ? part(all, thread, threads) : all;
    for (int64_t batch = mine.begin; batch < mine.end; ++batch) {
      Product<Kind, Out> product(p, plan, batch, thread, threads);
      if (meet && batch > 0) pool.barrier();  // all have read what was packed for the last one
      product.pack();
      if (meet) pool.barrier();
      product.multiply();
    }
  });
}

}  // namespace weft::kernels::cpu::WEFT_ISA
