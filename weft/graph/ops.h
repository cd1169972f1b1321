// The operations on tensors. Every function checks its shapes and throws Error(user) with expected
// and got. Nothing is computed until eval or a jit call. No dtype is promoted: both operands of +
// have one dtype; a double scalar takes the tensor's. Shapes broadcast from the right, as in NumPy,
// as visible nodes.
#pragma once
#include <optional>
#include <string_view>

#include "weft/graph/tensor.h"

namespace weft {

// ---- creation
Tensor full(const Dims& dims, DType dtype, double value);
Tensor zeros(const Dims& dims, DType dtype);
Tensor iota(const Dims& dims, int axis, DType dtype);  // index along `axis`
// Uniform in [0, 1) and standard normal, f32, by global element index: a function of rng = i64[2]
// {seed, step}, the path and the index alone (Philox).
Tensor random_uniform(const Dims& dims, const Tensor& rng, std::string_view path);
Tensor random_normal(const Dims& dims, const Tensor& rng, std::string_view path);

// ---- pointwise
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator+(const Tensor& a, double b);
Tensor operator-(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);
Tensor operator+(double a, const Tensor& b);
Tensor operator-(double a, const Tensor& b);
Tensor operator*(double a, const Tensor& b);
Tensor operator/(double a, const Tensor& b);
Tensor operator-(const Tensor& a);
Tensor pow(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, double b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor gelu(const Tensor& x);  // tanh form, as GPT-2 (Hendrycks and Gimpel, arXiv 1606.08415)
Tensor silu(const Tensor& x);  // x sigmoid(x)
Tensor less(const Tensor& a, const Tensor& b);        // boolean
Tensor less_equal(const Tensor& a, const Tensor& b);  // boolean
Tensor equal(const Tensor& a, const Tensor& b);       // boolean
Tensor where(const Tensor& condition, const Tensor& yes, const Tensor& no);
Tensor cast(const Tensor& x, DType dtype);

// ---- reductions; the axes are consecutive. Sums accumulate in f32 (f64 for f64).
Tensor sum(const Tensor& x, int first_axis, int last_axis, bool keep = false,
           std::optional<DType> out = {});
Tensor sum(const Tensor& x);  // over everything
Tensor mean(const Tensor& x, int first_axis, int last_axis, bool keep = false);
Tensor mean(const Tensor& x);
Tensor max(const Tensor& x, int first_axis, int last_axis, bool keep = false);
Tensor argmax(const Tensor& x, int axis);  // i32; the first of equals

// ---- shape
Tensor reshape(const Tensor& x, const Dims& dims);
Tensor transpose(const Tensor& x, const std::vector<int64_t>& permutation);
Tensor broadcast_to(const Tensor& x, const Dims& dims);
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);
Tensors split(const Tensor& x, int axis, int64_t parts);  // equal parts
Tensor concat(const Tensors& parts, int axis);
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value = 0);

// ---- products. Letters name the dimensions, "td,fd->tf": those in both operands and not in the
// result are summed over. `out` may ask for f32 sums of bf16 operands, unrounded.
Tensor matmul(const Tensor& a, const Tensor& b, std::string_view letters,
              std::optional<DType> out = {});
// w[n, k] laid out once as products read it, which saves each of them doing so: for weights that are
// used many times. Only matmul() and linear() take the result, as their second operand, with n
// last in what they give; no bit changes. Where the device has no such layout, w itself.
Tensor pack_matrix(const Tensor& w);
// x[..., d] w[f, d] + bias[f]: rounded once, after the bias.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});

// ---- rows
// table[rows, ...], indices i32[n] -> [n, ...]. An index outside the rows is an error of the run.
Tensor gather(const Tensor& table, const Tensor& indices);
// Adds grad[n, ...] to rows of a zero [rows, ...], in ascending n; f32 (f64 for f64). Or to those
// of `onto`.
Tensor scatter_add(const Tensor& grad, const Tensor& indices, Dim rows);
Tensor scatter_add(const Tensor& grad, const Tensor& indices, const Tensor& onto);
// `into` with rows indices[i] replaced by values[i]; distinct indices, negative ones are skipped.
Tensor scatter_rows(const Tensor& into, const Tensor& indices, const Tensor& values);
inline Tensor embedding(const Tensor& table, const Tensor& tokens) {
  return gather(table, tokens);
}

// ---- layers
Tensor softmax(const Tensor& x);  // over the last axis
Tensor layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, double epsilon = 1e-5);
Tensor rms_norm(const Tensor& x, const Tensor& gain, double epsilon = 1e-6);
// Rotates x[tokens, heads, head_dim] by positions i32[tokens]: cos and sin f32[max_positions,
// rotary/2] (rope_tables), halves paired as in Llama (Su et al., arXiv 2104.09864).
Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin);
// Inverted dropout (Srivastava et al., 2014); p in [0, 1).
Tensor dropout(const Tensor& x, double p, const Tensor& rng, std::string_view path);

struct AttentionOptions {
  bool causal = true;
  int64_t window = 0;       // 0: none
  double scale = 0;         // 0: 1/sqrt(head_dim)
  int64_t max_context = 0;  // no segment has more keys; 0: all rows. Sizes the scratch memory
};
// q[tokens, heads, head_dim], k and v[rows, kv_heads, head_dim], segments i32[n, 4] = {q_begin,
// q_len, kv_begin, kv_len}: which rows of q and of k belong together; the last query of a segment
// sees its last key.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& segments,
                 const AttentionOptions& options = {});

struct CrossEntropy {
  Tensor loss;  // scalar: sum over tokens of weight * negative log-likelihood
  Tensor nll;   // [tokens]: each token's negative log-likelihood, nats
};
// Of logits x[tokens, d] w[vocab, d]^T, which never exist as a whole. targets i32[tokens],
// negative: ignored; weights f32[tokens].
CrossEntropy linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets,
                                  const Tensor& weights);

// ---- autodiff markers
Tensor stop_gradient(const Tensor& x);
// `copy`, which is cast(master) made before: the gradient goes to the master, unrounded, as through
// the cast.
Tensor precast(const Tensor& master, const Tensor& copy);
// f is run again in the backward pass instead of keeping what it computed.
Tensors checkpoint(std::function<Tensors(const Tensors&)> f, const Tensors& inputs);

// ---- optimizer
// {sum of squares} in f64, of a f32 or f64 tensor, over fixed blocks of its index.
Tensor norm_square(const Tensor& x);
struct Clip {
  Tensor scale, norm;  // f32 scalars: min(1, max_norm / norm), and the global norm
};
Clip clip_by_global_norm(const Tensors& norm_squares, double max_norm);
struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0.1;
};
struct AdamWState {
  Tensor param, m, v;
  Tensor copy = {};  // of the result: param rounded to bf16, made in the same pass
};
// hyper f32[4] = {learning rate, 1/(1-beta1^t), 1/(1-beta2^t), 0}; grad is multiplied by the scalar
// `scale`. Decoupled decay (Loshchilov and Hutter, arXiv 1711.05101).
AdamWState adamw(const AdamWState& state, const Tensor& grad, const Tensor& hyper,
                 const Tensor& scale, const AdamWOptions& options);

}  // namespace weft
