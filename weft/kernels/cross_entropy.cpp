// The chunks of linear cross-entropy: three products and the rows between them.
#include "weft/kernels/cross_entropy.h"

#include <algorithm>

#include "weft/kernels/matmul.h"

namespace weft::kernels {
namespace {

constexpr int64_t bytes_aligned(int64_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Where a chunk's logits, every token's nll and the products' scratch lie in the scratch.
struct Layout {
  int64_t chunk, row_stride;  // tokens; floats
  int64_t nll_bytes, logits_bytes;
  explicit Layout(const LinearCrossEntropy& p) {
    chunk = std::min(p.tokens, cross_entropy_chunk(p.width, p.vocab));
    row_stride = (p.vocab + 15) / 16 * 16;
    nll_bytes = p.nll ? 0 : bytes_aligned(p.tokens * 4);
    logits_bytes = chunk * row_stride * 4;
  }
};

// Tokens [first, first + tokens) of the batch.
struct Chunk {
  const LinearCrossEntropy& p;
  const Layout& layout;
  int64_t first, tokens;
  float* logits;
  void* scratch;

  const std::byte* x() const {
    return static_cast<const std::byte*>(p.x) + first * p.width * int64_t(dtype_size(p.dtype));
  }
  // The row stride of dlogits, which begin where logits did.
  int64_t gradient_stride() const { return layout.row_stride * 4 / int64_t(dtype_size(p.dtype)); }

  Matmul product(int64_t m, int64_t n, int64_t k, DType out) const {
    Matmul q;
    q.m = m, q.n = n, q.k = k, q.in = p.dtype, q.out = out, q.scratch = scratch;
    return q;
  }
  // logits [tokens, vocab] = x w^T
  Matmul logits_product() const {
    Matmul q = product(tokens, p.vocab, p.width, DType::f32);
    q.a = {x(), p.width, 1}, q.b = {p.w, 1, p.width};
    q.c = logits, q.c_row_stride = layout.row_stride;
    return q;
  }
  // dx [tokens, width] = dlogits w
  Matmul dx_product() const {
    Matmul q = product(tokens, p.width, p.vocab, p.dtype);
    q.a = {logits, gradient_stride(), 1}, q.b = {p.w, p.width, 1};
    q.c = static_cast<std::byte*>(p.dx) + first * p.width * int64_t(dtype_size(p.dtype));
    q.c_row_stride = p.width;
    return q;
  }
  // dw [vocab, width] += dlogits^T x
  Matmul dw_product() const {
    Matmul q = product(p.vocab, p.width, tokens, DType::f32);
    q.a = {logits, 1, gradient_stride()}, q.b = {x(), p.width, 1};
    q.c = p.dw, q.c_row_stride = p.width, q.accumulate = first > 0;
    return q;
  }
  size_t product_scratch_bytes(int threads) const {
    size_t bytes = matmul_scratch_bytes(logits_product(), threads);
    if (p.dx) bytes = std::max(bytes, matmul_scratch_bytes(dx_product(), threads));
    if (p.dw) bytes = std::max(bytes, matmul_scratch_bytes(dw_product(), threads));
    return bytes;
  }
  void run(CpuStream& stream, float* nll) const {
    cpu::matmul(stream, logits_product());
    CrossEntropyRows rows;
    rows.rows = tokens, rows.vocab = p.vocab, rows.row_stride = layout.row_stride;
    rows.dtype = p.dtype, rows.gradient = p.dx || p.dw, rows.logits = logits;
    rows.targets = p.targets + first, rows.weights = static_cast<const float*>(p.weights) + first;
    rows.nll = nll + first;
    cpu::cross_entropy_rows(stream, rows);
    if (p.dx) cpu::matmul(stream, dx_product());
    if (p.dw) cpu::matmul(stream, dw_product());
  }
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

// Every chunk reads w twice and reads and writes dw: fewer than 256 tokens make that dearer than
// the products (measured: half the speed at 32). More than 128 MiB of logits gain nothing.
int64_t cross_entropy_chunk(int64_t, int64_t vocab) {
  const int64_t fits = (int64_t(128) << 20) / (vocab * 4) / 64 * 64;
  return std::clamp<int64_t>(fits, 256, 1024);
}

size_t linear_cross_entropy_scratch_bytes(const LinearCrossEntropy& p, int threads) {
  const Layout layout(p);
  size_t products = 0;  // the last chunk may be shorter than the others
  for (const int64_t tokens : {layout.chunk, layout.chunk ? p.tokens % layout.chunk : 0})
    if (tokens)
      products = std::max(
          products, Chunk{p, layout, 0, tokens, nullptr, nullptr}.product_scratch_bytes(threads));
  return size_t(layout.nll_bytes + layout.logits_bytes) + products;
}

namespace cpu {

void linear_cross_entropy(CpuStream& stream, const LinearCrossEntropy& p) {
  const Layout layout(p);
  std::byte* scratch = static_cast<std::byte*>(p.scratch);
  float* nll = static_cast<float*>(p.nll ? p.nll : p.scratch);
  float* logits = reinterpret_cast<float*>(scratch + layout.nll_bytes);
  void* products = scratch + layout.nll_bytes + layout.logits_bytes;
  if (p.dw && p.tokens == 0) std::fill_n(static_cast<float*>(p.dw), p.vocab * p.width, 0.0f);
  for (int64_t first = 0; first < p.tokens; first += layout.chunk) {
    const int64_t tokens = std::min(layout.chunk, p.tokens - first);
    Chunk{p, layout, first, tokens, logits, products}.run(stream, nll);
  }
  finish(p, nll);
}

}  // namespace cpu
}  // namespace weft::kernels
