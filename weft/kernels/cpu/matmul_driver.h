// A batch of products on all threads.
#pragma once
#include "weft/kernels/cpu/matmul_product.h"

namespace weft::kernels::cpu::WEFT_ISA {

template <class Kind, class Out>
void multiply_all(CpuStream& stream, const Matmul& p) {
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
