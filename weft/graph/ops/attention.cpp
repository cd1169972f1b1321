// Attention over segments of a flat list of tokens, and rotary positions. One op serves training,
// prefill and decode.
#include "weft/kernels/attention.h"

#include <cmath>

#include "weft/graph/autodiff.h"
#include "weft/graph/ops/rules.h"
#include "weft/kernels/rope.h"

namespace weft {
namespace {

void check_heads(const Types& in) {
  constexpr const char* op = "attention";
  expect_float(in[0], op, "q");
  const char* const names[] = {"q", "k", "v"};
  for (int i = 0; i < 3; ++i) {
    expect_rank(in[size_t(i)], 3, op, names[i]);
    expect_dtype(in[size_t(i)], in[0].dtype, op, names[i]);
  }
  expect(in[1] == in[2], op, "k and v must be alike, got {} and {}", in[1].str(), in[2].str());
  expect(in[0].dims[2] == in[1].dims[2], op, "q and k must have one head size, got {} and {}",
         in[0].str(), in[1].str());
  const int64_t heads = in[0].dims[1].constant(), kv_heads = in[1].dims[1].constant(),
                size = in[0].dims[2].constant();
  expect(kv_heads > 0 && heads % kv_heads == 0, op, "{} query heads cannot share {} key heads",
         heads, kv_heads);
  expect(size >= 1 && size <= kernels::attention_max_head_dim, op,
         "the head size must be 1 to {}, got {}", kernels::attention_max_head_dim, size);
  expect(in[3].dtype == DType::i32 && in[3].dims.rank() == 2 && in[3].dims[1] == Dim(4), op,
         "segments must be i32[n, 4], got {}", in[3].str());
}

// Inputs q, k, v, segments; outputs o, lse.
Types infer_attention(const Types& in, const Attrs&) {
  check_heads(in);
  return {in[0], {DType::f32, {in[0].dims[0], in[0].dims[1]}}};
}
// Inputs q, k, v, segments, o, lse, d_o; outputs dq, dk, dv, or `joined` all in one row of a token.
Types infer_attention_grad(const Types& in, const Attrs& attrs) {
  if (!attrs.has("joined")) return {in[0], in[1], in[2]};
  return {{in[0].dtype,
           {in[0].dims[0],
            (in[0].dims[1].constant() + 2 * in[1].dims[1].constant()) * in[0].dims[2].constant()}}};
}

Tensor column(const Tensor& segments, int64_t i) {  // [n, 1] of begin, length, ...
  return slice(segments, 1, i, i + 1);
}
Tensor and_(const Tensor& a, const Tensor& b) {
  return a * b;
}
Tensor flag(const Tensor& condition, DType t) {
  return cast(condition, t);
}

// 1 where query row i may see key row j, [q_rows, kv_rows]; computed in i32 from the segments.
Tensor visible(const Tensors& in, const Attrs& attrs) {
  const Dim q_rows = in[0].dim(0), kv_rows = in[1].dim(0), n = in[3].dim(0);
  const Tensor i = iota({n, q_rows}, 1, DType::i32), j = iota({n, kv_rows}, 1, DType::i32);
  const auto within = [&](const Tensor& rows, int64_t begin) {
    const Tensor from = column(in[3], begin), length = column(in[3], begin + 1);
    return and_(flag(less_equal(broadcast_to(from, rows.dims()), rows), DType::i32),
                flag(less(rows, broadcast_to(from + length, rows.dims())), DType::i32));
  };
  const Tensor in_q = within(i, 0), in_k = within(j, 2);
  const Tensor q_position = i - column(in[3], 0) + column(in[3], 3) - column(in[3], 1),
               k_position = j - column(in[3], 2);
  const Dims cube{n, q_rows, kv_rows};
  const auto wide = [&](const Tensor& t, bool query) {
    return broadcast_to(reshape(t, query ? Dims{n, q_rows, 1} : Dims{n, 1, kv_rows}), cube);
  };
  Tensor seen = and_(wide(in_q, true), wide(in_k, false));
  const Tensor qp = wide(q_position, true), kp = wide(k_position, false);
  if (attrs.integer("causal")) seen = and_(seen, flag(less_equal(kp, qp), DType::i32));
  if (attrs.integer("window"))
    seen = and_(seen, flag(less(qp, kp + double(attrs.integer("window"))), DType::i32));
  return max(seen, 0, 0);
}

// The definition: softmax(scale q k^T + mask) v, in f32 (f64).
Tensors decompose_attention(const Tensors& in, const Attrs& attrs) {
  const DType wide = stats_dtype(in[0].dtype());
  const Dim q_rows = in[0].dim(0), kv_rows = in[1].dim(0), heads = in[0].dim(1),
            kv_heads = in[1].dim(1), size = in[0].dim(2);
  // Every query head its own copy of the keys and values it shares.
  const auto shared = [&](const Tensor& t) {
    const Tensor repeated = broadcast_to(reshape(cast(t, wide), {kv_rows, kv_heads, 1, size}),
                                         {kv_rows, kv_heads, heads / kv_heads, size});
    return reshape(repeated, {kv_rows, heads, size});
  };
  const Tensor scores =
      matmul(cast(in[0], wide), shared(in[1]), "ihd,jhd->hij") * attrs.real("scale");
  const Dims& all = scores.dims();
  const Tensor seen = broadcast_to(visible(in, attrs), all);
  const Tensor mask = less(zeros(all, DType::i32), seen);
  const Tensor masked = where(mask, scores, full(all, wide, -1e30));
  const Tensor top = stop_gradient(max(masked, -1, -1, true));
  const Tensor e = where(mask, exp(masked - top), zeros(all, wide));
  const Tensor total = sum(e, -1, -1, true);
  const Tensor p = e / maximum(total, full(total.dims(), wide, 1e-300));
  const Tensor o = matmul(p, shared(in[2]), "hij,jhd->ihd");
  const Tensor lse = reshape(log(total) + top, {heads, q_rows});
  return {cast(o, in[0].dtype()), cast(transpose(lse, {1, 0}), DType::f32)};
}

// The gradient's definition is the gradient of the definition.
Tensors decompose_attention_grad(const Tensors& in, const Attrs& attrs);

}  // namespace

const Op attention_grad_op = {.name = "attention_grad",
                              .letters = "",
                              .infer = infer_attention_grad,
                              .decompose = decompose_attention_grad,
                              .strided = true,
                              .required = 3};
const Op attention_op = {.name = "attention",
                         .letters = "",
                         .infer = infer_attention,
                         .vjp =
                             [](const VjpArgs& a) {
                               if (a.grad[1]) return Tensors{};
                               Tensors in = a.in;
                               in.insert(in.end(), {a.out[0], a.out[1], a.grad[0]});
                               Tensors grads = make_node(attention_grad_op, in, a.attrs);
                               grads.emplace_back();
                               return grads;
                             },
                         .decompose = decompose_attention,
                         .strided = true};

namespace {

kernels::AttentionShape attention_shape(const Launch& l) {
  const Shape &q = l.in[0].shape, &k = l.in[1].shape;
  WEFT_CHECK(l.in[3].contiguous(), "segments of strides {}", l.in[3].strides.str());
  kernels::AttentionShape s;
  s.q_rows = q[0], s.kv_rows = k[0], s.q_heads = int32_t(q[1]), s.kv_heads = int32_t(k[1]),
  s.head_dim = int32_t(q[2]);
  s.max_kv_len = l.attrs.integer("max_context");
  s.segments = l.in[3].as<kernels::AttentionSegment>();
  s.segment_count = l.in[3].shape[0];
  s.causal = l.attrs.integer("causal") != 0;
  s.window = int32_t(l.attrs.integer("window"));
  s.scale = float(l.attrs.real("scale"));
  s.dtype = l.in[0].dtype;
  return s;
}
kernels::ConstHeadRows read(const View& v) {
  return {v.data, v.strides[0], v.strides[1]};
}
kernels::HeadRows write(const View& v) {
  return {v.data, v.strides[0], v.strides[1]};
}

kernels::AttentionForward attention_params(const Launch& l) {
  kernels::AttentionForward p;
  p.shape = attention_shape(l);
  p.q = read(l.in[0]), p.k = read(l.in[1]), p.v = read(l.in[2]), p.o = write(l.out[0]);
  p.lse = l.out[1].as<float>(), p.scratch = l.scratch;
  return p;
}
kernels::AttentionBackward attention_grad_params(const Launch& l) {
  kernels::AttentionBackward p;
  p.shape = attention_shape(l);
  p.q = read(l.in[0]), p.k = read(l.in[1]), p.v = read(l.in[2]), p.o = read(l.in[4]),
  p.d_o = read(l.in[6]);
  p.lse = l.in[5].as<float>();
  p.scratch = l.scratch;
  if (!l.attrs.has("joined")) {
    p.dq = write(l.out[0]), p.dk = write(l.out[1]), p.dv = write(l.out[2]);
    return p;
  }
  const int64_t size = p.shape.head_dim, bytes = size * int64_t(dtype_size(p.shape.dtype));
  p.dq = {l.out[0].data, l.out[0].strides[0], size};
  p.dk = p.dv = p.dq;
  p.dk.data = l.out[0].data + p.shape.q_heads * bytes;
  p.dv.data = l.out[0].data + (p.shape.q_heads + p.shape.kv_heads) * bytes;
  return p;
}

// Inputs x, positions, cos, sin.
Types infer_rope(const Types& in, const Attrs&) {
  expect_float(in[0], "rope", "x");
  expect_rank(in[0], 3, "rope", "x");
  expect(in[1].dtype == DType::i32 && in[1].dims == Dims{in[0].dims[0]}, "rope",
         "positions must be i32[{}], got {}", in[0].dims[0].str(), in[1].str());
  expect(in[2] == in[3] && in[2].dtype == DType::f32 && in[2].dims.rank() == 2, "rope",
         "cos and sin must be f32[positions, rotary/2], got {} and {}", in[2].str(), in[3].str());
  expect(in[2].dims[1].constant() * 2 <= in[0].dims[2].constant(), "rope",
         "{} angles do not fit heads of {}", in[2].dims[1].str(), in[0].str());
  return {in[0]};
}

kernels::Rope rope_params(const Launch& l) {
  const Shape& x = l.in[0].shape;
  kernels::Rope p;
  p.tokens = x[0], p.heads = x[1], p.head_dim = x[2], p.rotary = 2 * l.in[2].shape[1],
  p.dtype = l.in[0].dtype;
  p.inverse = l.attrs.integer("inverse") != 0;
  p.x = l.in[0].data, p.y = l.out[0].data, p.x_row_stride = p.y_row_stride = p.heads * p.head_dim;
  p.positions = l.in[1].as<int32_t>(), p.cos = l.in[2].as<float>(), p.sin = l.in[3].as<float>();
  return p;
}

}  // namespace

extern const Op rope_op;
// Turning back undoes turning, so the gradient is the op itself with `inverse` flipped; to any
// order.
const Op rope_op = {
    .name = "rope",
    .letters = "",
    .infer = infer_rope,
    .vjp =
        [](const VjpArgs& a) {
          Tensors in = a.in;
          in[0] = a.grad[0];
          return Tensors{
              make_one(rope_op, in, {{"inverse", 1 - a.attrs.integer("inverse")}}), {}, {}, {}};
        },
    .in_place = {0}};

namespace {

Tensors decompose_attention_grad(const Tensors& in, const Attrs& attrs) {
  const Tensors inputs{in[0], in[1], in[2]};
  Tensors marked;
  for (const Tensor& t : inputs) marked.push_back(make_one(identity_op, {t}));
  const Tensor o = decompose_attention({marked[0], marked[1], marked[2], in[3]}, attrs)[0];
  return vjp({o}, {in[6]}, marked);
}

}  // namespace

KernelRows attention_kernels() {
  namespace k = kernels;
  const auto forward_scratch = [](const Launch& l) {
    return k::attention_forward_scratch_bytes(attention_shape(l), l.cpu().threads());
  };
  const auto backward_scratch = [](const Launch& l) {
    return k::attention_backward_scratch_bytes(attention_shape(l), l.cpu().threads());
  };
  // The elements of a head lie side by side.
  const auto accepts = [](const Launch& l) {
    for (const size_t i : {0, 1, 2, 4, 6})
      if (i < l.in.size() && l.in[i].shape[2] != 1 && l.in[i].strides[2] != 1) return false;
    return l.in[3].contiguous() && (l.in.size() < 6 || l.in[5].contiguous());
  };
  const std::vector<DType> fast{DType::bf16, DType::f32};
  return {
      {&attention_op, DeviceKind::cpu, fast,
       [](const Launch& l) { k::cpu::attention_forward(l.cpu(), attention_params(l)); },
       forward_scratch, accepts},
      {&attention_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { k::ref::attention_forward<double>(attention_params(l)); },
       nullptr,
       accepts},
      {&attention_grad_op, DeviceKind::cpu, fast,
       [](const Launch& l) { k::cpu::attention_backward(l.cpu(), attention_grad_params(l)); },
       backward_scratch, accepts},
      {&attention_grad_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { k::ref::attention_backward<double>(attention_grad_params(l)); },
       nullptr,
       accepts},
      {&rope_op, DeviceKind::cpu, fast,
       [](const Launch& l) { k::cpu::rope(l.cpu(), rope_params(l)); }},
      {&rope_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { k::ref::rope<double>(rope_params(l)); }},
  };
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& segments,
                 const AttentionOptions& options) {
  const double scale =
      options.scale != 0 ? options.scale : 1.0 / std::sqrt(double(q.dim(-1).constant()));
  return make_one(attention_op, {q, k, v, segments},
                  {{"causal", int64_t(options.causal)},
                   {"window", options.window},
                   {"scale", scale},
                   {"max_context", options.max_context}});
}
Tensor rope(const Tensor& x, const Tensor& positions, const Tensor& cos, const Tensor& sin) {
  return make_one(rope_op, {x, positions, cos, sin}, {{"inverse", int64_t(0)}});
}

}  // namespace weft
