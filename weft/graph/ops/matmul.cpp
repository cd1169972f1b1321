// Products with index letters, "td,fd->tf". Letters in both operands and the result are batch; in
// both operands only, summed over. Gradients are products too: swap the letters.
#include "weft/kernels/matmul.h"

#include "weft/graph/ops/rules.h"

namespace weft {
namespace {

struct Letters {
  std::string a, b, c;
  explicit Letters(std::string_view s) {
    const size_t comma = s.find(','), arrow = s.find("->");
    const bool ok = comma != s.npos && arrow != s.npos && comma < arrow;
    expect(ok, "matmul", "index letters look like \"td,fd->tf\", got \"{}\"", s);
    a = s.substr(0, comma), b = s.substr(comma + 1, arrow - comma - 1), c = s.substr(arrow + 2);
  }
};
bool has(const std::string& s, char c) {
  return s.find(c) != s.npos;
}

// attrs: letters, dtype of the result; flags bias, gelu, keep (also give the value before gelu),
// residual, gelu_grad (times gelu' of the last input) say which extra inputs follow a and b and
// what the epilogue does; only linear() and the fusion pass set them. packed: b is a packed_op's.
// halves: a weight's gradient, kernels::Matmul's.
int64_t flag(const Attrs& attrs, const char* name) {
  return attrs.has(name) ? attrs.integer(name) : 0;
}

Types infer_matmul(const Types& in, const Attrs& attrs) {
  const Letters l(attrs.text("letters"));
  expect_float(in[0], "matmul", "the operands");
  expect(in[0].dtype == in[1].dtype, "matmul", "expected operands of one dtype, got {} and {}",
         in[0].str(), in[1].str());
  expect(in[0].dims.size() == l.a.size() && in[1].dims.size() == l.b.size(), "matmul",
         "{} and {} do not fit \"{}\"", in[0].str(), in[1].str(), attrs.text("letters"));
  std::string names = l.a + l.b;
  Dims sizes = in[0].dims;
  sizes.insert(sizes.end(), in[1].dims.begin(), in[1].dims.end());
  for (size_t i = 0; i < names.size(); ++i)
    expect(sizes[names.find(names[i])] == sizes[i], "matmul",
           "\"{}\" has two sizes of {}: {} and {}", attrs.text("letters"), names[i], in[0].str(),
           in[1].str());
  TensorType out{attrs.dtype("dtype"), {}};
  for (const char c : l.c) {
    expect(has(names, c), "matmul", "{} of the result is in no operand of \"{}\"", c,
           attrs.text("letters"));
    out.dims.push_back(sizes[names.find(c)]);
  }
  size_t next = 2;
  if (flag(attrs, "bias"))
    expect(in[next].dims.rank() == 1 && in[next].dims[0] == out.dims.back() &&
               in[next].dtype == in[0].dtype,
           "linear", "the bias {} does not fit the result {}", in[next].str(), out.str()),
        ++next;
  for (const char* extra : {"residual", "by_slope"})
    if (flag(attrs, extra))
      expect(in[next] == out, "matmul", "the {} {} does not fit the result {}", extra,
             in[next].str(), out.str()),
          ++next;
  if (flag(attrs, "slope")) return {out, out};
  return {out};
}

// Gradients come before fusion: no epilogue but the bias. A weight's (and a bias's) gradient is
// left in f32: the sum over tokens is not rounded before the optimizer.
Tensors matmul_vjp(const VjpArgs& args) {
  const Letters l(args.attrs.text("letters"));
  const Tensor &a = args.in[0], &b = args.in[1], g = cast(args.grad[0], a.dtype());
  Tensors grads(args.in.size());
  if (args.wanted[0]) grads[0] = matmul(g, b, l.c + "," + l.b + "->" + l.a);
  const bool weight = b.rank() == 2 && a.rank() >= 2;
  const DType wide = weight ? accumulator(b.dtype()) : b.dtype();
  if (args.wanted[1]) {
    Attrs attrs = {{"letters", l.c + "," + l.a + "->" + l.b}, {"dtype", wide}};
    if (weight) attrs.set("halves", int64_t(1));
    grads[1] = make_one(matmul_op, {g, a}, std::move(attrs));
  }
  if (flag(args.attrs, "bias") && args.wanted[2])
    grads[2] = g.rank() == 1 ? cast(g, wide) : sum(g, 0, g.rank() - 2, false, wide);
  return grads;
}

// One group of letters as one dimension: its size, and its stride in an operand.
struct Group {
  int64_t size = 1, stride = 1;
};
Group group_of(const std::string& group, const std::string& letters, const View& v,
               bool* collapsible) {
  Group g;
  int64_t next = 0;  // stride that the letter before (outside) must have to merge
  for (size_t i = group.size(); i-- > 0;) {
    const size_t axis = letters.find(group[i]);
    const int64_t size = v.shape[int(axis)], stride = v.strides[int(axis)];
    if (size == 1) continue;
    if (g.size == 1)
      g.stride = stride;
    else if (stride != next)
      *collapsible = false;
    g.size *= size;
    next = stride * size;
  }
  return g;
}

struct Groups {
  std::string batch, m, n, k;
  explicit Groups(const Letters& l) {
    for (const char c : l.c) (has(l.a, c) && has(l.b, c) ? batch : has(l.a, c) ? m : n) += c;
    for (const char c : l.a)
      if (!has(l.c, c)) k += c;
  }
};

int64_t size_of(const std::string& group, const std::string& letters, const View& v) {
  int64_t n = 1;
  for (const char c : group) n *= v.shape[int(letters.find(c))];
  return n;
}

kernels::Matmul matmul_params(const Launch& l, bool* collapsible) {
  Letters letters(l.attrs.text("letters"));
  // The result's last letter belongs to b's columns: else the operands change places, which changes
  // no bit.
  const bool swapped = !letters.c.empty() && !has(letters.b, letters.c.back());
  if (swapped) std::swap(letters.a, letters.b);
  const Groups groups(letters);
  const View &a = l.in[swapped ? 1 : 0], &b = l.in[swapped ? 0 : 1], &c = l.out[0];
  kernels::Matmul p{};
  p.m = size_of(groups.m, letters.a, a), p.n = size_of(groups.n, letters.b, b),
  p.k = size_of(groups.k, letters.a, a);
  p.batch = size_of(groups.batch, letters.a, a);
  p.in = a.dtype, p.out = l.attrs.dtype("dtype");
  p.a = {a.data, group_of(groups.m, letters.a, a, collapsible).stride,
         group_of(groups.k, letters.a, a, collapsible).stride,
         group_of(groups.batch, letters.a, a, collapsible).stride, false};
  p.b = {b.data, group_of(groups.k, letters.b, b, collapsible).stride,
         group_of(groups.n, letters.b, b, collapsible).stride,
         group_of(groups.batch, letters.b, b, collapsible).stride, false};
  if (flag(l.attrs, "packed")) {
    WEFT_CHECK(!swapped && p.batch == 1, "{} of a packed matrix", l.attrs.text("letters"));
    p.b = {b.data, 0, 0, 0, true};
  }
  const Group cm = group_of(groups.m, letters.c, c, collapsible),
              cn = group_of(groups.n, letters.c, c, collapsible);
  p.c = c.data;
  p.c_row_stride = p.m == 1 ? p.n : cm.stride;
  p.c_batch_stride = group_of(groups.batch, letters.c, c, collapsible).stride;
  if (p.n != 1 && cn.stride != 1) *collapsible = false;
  const auto unit = [](int64_t x, int64_t y, int64_t nx, int64_t ny) {
    return x == 1 || y == 1 || nx == 1 || ny == 1;
  };
  if (!unit(p.a.row_stride, p.a.col_stride, p.m, p.k) ||
      !(p.b.packed || unit(p.b.row_stride, p.b.col_stride, p.k, p.n)))
    *collapsible = false;
  size_t next = 2;
  if (flag(l.attrs, "bias")) p.bias = l.in[next++].data;
  if (flag(l.attrs, "residual"))
    p.residual = l.in[next++].data, p.residual_row_stride = p.c_row_stride,
    p.residual_batch_stride = p.c_batch_stride;
  p.halves = flag(l.attrs, "halves");
  if (flag(l.attrs, "gelu")) p.activation = kernels::Matmul::gelu_tanh;
  if (flag(l.attrs, "slope")) p.slope = l.out[1].data;
  if (flag(l.attrs, "by_slope"))
    p.activation = kernels::Matmul::times_slope,
    p.slope = const_cast<void*>(static_cast<const void*>(l.in[next++].data));
  p.scratch = l.scratch;
  return p;
}

kernels::Matmul checked_params(const Launch& l) {
  bool collapsible = true;
  const kernels::Matmul p = matmul_params(l, &collapsible);
  WEFT_CHECK(collapsible, "{} with strides {} and {}", l.attrs.text("letters"),
             l.in[0].strides.str(), l.in[1].strides.str());
  return p;
}

// w[n, k] as products read it; a flat array, padded.
Types infer_pack(const Types& in, const Attrs&) {
  expect_rank(in[0], 2, "pack", "the matrix");
  const int64_t n = in[0].dims[0].constant(), k = in[0].dims[1].constant();
  const size_t bytes = kernels::matmul_packed_bytes(k, n, in[0].dtype);
  return {{in[0].dtype, {int64_t(bytes / dtype_size(in[0].dtype))}}};
}
// That array as the matrix it is made of.
Types infer_packed(const Types& in, const Attrs& attrs) {
  return {{in[0].dtype, {attrs.integer("n"), attrs.integer("k")}}};
}

void run_pack(const Launch& l) {
  const Shape& shape = l.in[0].shape;
  kernels::MatmulPack p;
  p.n = shape[0], p.k = shape[1], p.dtype = l.in[0].dtype;
  p.b = {l.in[0].data, 1, shape[1], 0, false};
  p.packed = l.out[0].data;
  kernels::cpu::matmul_pack_b(l.cpu(), p);
}

const Op pack_op = {.name = "pack", .letters = "", .infer = infer_pack};

}  // namespace

const Op packed_op = {.name = "packed", .letters = "", .infer = infer_packed, .view = true};
const Op matmul_op = {.name = "matmul",
                      .letters = "(letters)",
                      .infer = infer_matmul,
                      .vjp = matmul_vjp,
                      .strided = true};

KernelRows matmul_kernels() {
  const auto accepts = [](const Launch& l) {
    bool collapsible = true;
    matmul_params(l, &collapsible);
    for (size_t i = 2; i < l.in.size(); ++i)
      collapsible = collapsible && l.in[i].contiguous();  // bias, residual, value before gelu
    return collapsible;
  };
  const auto scratch = [](const Launch& l) {
    return kernels::matmul_scratch_bytes(checked_params(l), l.cpu().threads());
  };
  return {
      {&pack_op, DeviceKind::cpu, {DType::bf16, DType::f32}, run_pack},
      {&matmul_op,
       DeviceKind::cpu,
       {DType::bf16, DType::f32},
       [](const Launch& l) { kernels::cpu::matmul(l.cpu(), checked_params(l)); },
       scratch,
       accepts},
      {&matmul_op,
       DeviceKind::cpu,
       {DType::f64},
       [](const Launch& l) { kernels::ref::matmul<double>(checked_params(l)); },
       nullptr,
       accepts},
  };
}

Tensor matmul(const Tensor& a, const Tensor& b, std::string_view letters,
              std::optional<DType> out) {
  return make_one(matmul_op, {a, b},
                  {{"letters", std::string(letters)}, {"dtype", out.value_or(a.dtype())}});
}

Tensor pack_matrix(const Tensor& w) {
  if (!find_kernel(pack_op, default_device().kind(), w.dtype())) return w;
  const Tensor packed = make_one(pack_op, {w}, {});
  eval({packed});
  return make_one(packed_op, {packed}, {{"n", w.dim(0).constant()}, {"k", w.dim(1).constant()}});
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  if (w.rank() != 2 || x.rank() < 1)
    user_error("[linear] expected x[..., d] and w[f, d], got {} and {}", x.type().str(),
               w.type().str());
  std::string outer = "abcefgh";
  outer.resize(size_t(x.rank()) - 1);
  Attrs attrs{{"letters", outer + "d,nd->" + outer + "n"}, {"dtype", x.dtype()}};
  if (!bias) return make_one(matmul_op, {x, w}, attrs);
  attrs.set("bias", int64_t(1));
  return make_one(matmul_op, {x, w, bias}, attrs);
}

}  // namespace weft
