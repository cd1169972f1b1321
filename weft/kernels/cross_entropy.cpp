// The parts of linear cross-entropy: three products and the rows between them.
#include "weft/kernels/cross_entropy.h"

#include <algorithm>
#include <utility>

#include "weft/kernels/matmul.h"
#include "weft/kernels/pointwise.h"

namespace weft::kernels {
namespace {

constexpr int64_t bytes_aligned(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// What lies in the scratch, one after the other.
struct Layout {
  int64_t chunk, part;  // tokens, entries of the vocabulary
  int64_t nll_bytes, row_bytes, logits_bytes, dx_bytes;

  explicit Layout(const LinearCrossEntropy& p)
      : chunk(std::min(p.tokens, cross_entropy_chunk)),
        part(cross_entropy_part(p.vocab)),
        nll_bytes(p.nll ? 0 : bytes_aligned(p.tokens * 4)),
        row_bytes(bytes_aligned(chunk * 4)),
        logits_bytes(chunk * row_stride() * 4),
        dx_bytes(sums_dx(p) ? bytes_aligned(chunk * p.width * 4) : 0) {}

  // Of logits, in floats: an odd number of lines, so that rows spread over a cache's sets.
  int64_t row_stride() const { return ((part + 15) / 16 | 1) * 16; }
  int64_t bytes() const { return nll_bytes + 3 * row_bytes + logits_bytes + dx_bytes; }
  // Whether dx is summed in f32 before it is rounded.
  bool sums_dx(const LinearCrossEntropy& p) const {
    return p.dx && p.dtype != DType::f32 && part < p.vocab;
  }
};

// Tokens [first, first + tokens) of the batch.
class Chunk {
 public:
  Chunk(const LinearCrossEntropy& p, const Layout& layout, int64_t first)
      : p_(p), layout_(layout), first_(first), tokens_(std::min(layout.chunk, p.tokens - first)) {
    std::byte* at = static_cast<std::byte*>(p.scratch);
    const auto take = [&](int64_t bytes) {
      return reinterpret_cast<float*>(std::exchange(at, at + bytes));
    };
    nll_ = take(layout.nll_bytes);
    if (p.nll) nll_ = static_cast<float*>(p.nll);
    largest_ = take(layout.row_bytes), sum_ = take(layout.row_bytes);
    target_logit_ = take(layout.row_bytes);
    logits_ = take(layout.logits_bytes), dx_sum_ = take(layout.dx_bytes);
    products_ = at;
  }

  void run(CpuStream& stream) const {
    const bool one_part = layout_.part == p_.vocab;
    for (int64_t begin = 0; begin < p_.vocab; begin += layout_.part) {
      cpu::matmul(stream, logits_product(begin));
      cpu::cross_entropy_rows(stream, rows(CrossEntropyRows::statistics, begin));
    }
    if (!p_.dx && !p_.dw) return;
    for (int64_t begin = 0; begin < p_.vocab; begin += layout_.part) {
      if (!one_part) cpu::matmul(stream, logits_product(begin));
      cpu::cross_entropy_rows(stream, rows(CrossEntropyRows::gradient, begin));
      if (p_.dx) cpu::matmul(stream, dx_product(begin));
      if (p_.dw) cpu::matmul(stream, dw_product(begin));
    }
    if (layout_.dx_bytes) round_dx(stream);
  }

  size_t product_scratch_bytes(int threads) const {
    size_t bytes = 0;
    for (const int64_t begin : {int64_t(0), (p_.vocab - 1) / layout_.part * layout_.part}) {
      bytes = std::max(bytes, matmul_scratch_bytes(logits_product(begin), threads));
      if (p_.dx) bytes = std::max(bytes, matmul_scratch_bytes(dx_product(begin), threads));
      if (p_.dw) bytes = std::max(bytes, matmul_scratch_bytes(dw_product(begin), threads));
    }
    return bytes;
  }

 private:
  int64_t size() const { return int64_t(dtype_size(p_.dtype)); }
  int64_t entries(int64_t begin) const { return std::min(layout_.part, p_.vocab - begin); }
  const std::byte* x() const {
    return static_cast<const std::byte*>(p_.x) + first_ * p_.width * size();
  }
  const std::byte* w(int64_t begin) const {
    return static_cast<const std::byte*>(p_.w) + begin * p_.width * size();
  }
  std::byte* dx() const { return static_cast<std::byte*>(p_.dx) + first_ * p_.width * size(); }
  // The row stride of dlogits, which begin where logits did.
  int64_t gradient_stride() const { return layout_.row_stride() * 4 / size(); }

  Matmul product(int64_t m, int64_t n, int64_t k, DType out) const {
    Matmul q;
    q.m = m, q.n = n, q.k = k, q.in = p_.dtype, q.out = out, q.scratch = products_;
    return q;
  }
  // logits [tokens, entries] = x w^T
  Matmul logits_product(int64_t begin) const {
    Matmul q = product(tokens_, entries(begin), p_.width, DType::f32);
    q.a = {x(), p_.width, 1}, q.b = {w(begin), 1, p_.width};
    q.c = logits_, q.c_row_stride = layout_.row_stride();
    return q;
  }
  // dx [tokens, width] += dlogits w
  Matmul dx_product(int64_t begin) const {
    const bool sums = layout_.dx_bytes > 0;
    Matmul q = product(tokens_, p_.width, entries(begin), sums ? DType::f32 : p_.dtype);
    q.a = {logits_, gradient_stride(), 1}, q.b = {w(begin), p_.width, 1};
    q.c = sums ? static_cast<void*>(dx_sum_) : dx();
    q.c_row_stride = p_.width, q.accumulate = begin > 0;
    return q;
  }
  // dw [entries, width] += dlogits^T x
  Matmul dw_product(int64_t begin) const {
    Matmul q = product(entries(begin), p_.width, tokens_, DType::f32);
    q.a = {logits_, 1, gradient_stride()}, q.b = {x(), p_.width, 1};
    q.c = static_cast<float*>(p_.dw) + begin * p_.width;
    q.c_row_stride = p_.width, q.accumulate = first_ > 0;
    return q;
  }

  CrossEntropyRows rows(CrossEntropyRows::Pass pass, int64_t begin) const {
    CrossEntropyRows r;
    r.pass = pass, r.rows = tokens_, r.vocab = p_.vocab;
    r.begin = begin, r.end = begin + entries(begin);
    r.row_stride = layout_.row_stride(), r.dtype = p_.dtype, r.logits = logits_;
    r.targets = p_.targets + first_, r.weights = static_cast<const float*>(p_.weights) + first_;
    r.largest = largest_, r.sum = sum_, r.target_logit = target_logit_, r.nll = nll_ + first_;
    return r;
  }

  void round_dx(CpuStream& stream) const {
    Pointwise cast;
    cast.rank = 1, cast.sizes[0] = tokens_ * p_.width;
    cast.inputs = 1, cast.input[0] = {dx_sum_, DType::f32, {1}};
    cast.instrs = 2, cast.instr[0] = {PointwiseOp::input, DType::f32};
    cast.instr[1] = {PointwiseOp::cast, p_.dtype};
    cast.outputs = 1, cast.output[0] = {dx(), {1}, 1};
    cpu::pointwise(stream, cast);
  }

  const LinearCrossEntropy& p_;
  const Layout& layout_;
  int64_t first_, tokens_;
  float *nll_, *largest_, *sum_, *target_logit_, *logits_, *dx_sum_;
  void* products_;
};

void finish(const LinearCrossEntropy& p, const float* nll) {
  double loss = 0;
  int64_t bad = -1;
  for (int64_t t = 0; t < p.tokens; ++t) {
    if (p.targets[t] >= p.vocab && bad < 0) bad = t;
    if (p.targets[t] >= 0 && p.targets[t] < p.vocab)
      loss += double(static_cast<const float*>(p.weights)[t]) * double(nll[t]);
  }
  *static_cast<float*>(p.loss) = float(loss);
  if (p.bad) *p.bad = int32_t(bad);
}

}  // namespace

size_t linear_cross_entropy_scratch_bytes(const LinearCrossEntropy& p, int threads) {
  const Layout layout(p);
  size_t products = 0;  // the last chunk may be shorter than the others
  if (p.tokens && p.vocab)
    for (const int64_t first : {int64_t(0), (p.tokens - 1) / layout.chunk * layout.chunk})
      products = std::max(products, Chunk(p, layout, first).product_scratch_bytes(threads));
  return size_t(layout.bytes()) + products;
}

namespace cpu {

void linear_cross_entropy(CpuStream& stream, const LinearCrossEntropy& p) {
  const Layout layout(p);
  const float* nll = static_cast<const float*>(p.nll ? p.nll : p.scratch);
  if (p.dw && p.tokens == 0) std::fill_n(static_cast<float*>(p.dw), p.vocab * p.width, 0.0f);
  for (int64_t first = 0; first < p.tokens; first += layout.chunk)
    Chunk(p, layout, first).run(stream);
  finish(p, nll);
}

}  // namespace cpu
}  // namespace weft::kernels
