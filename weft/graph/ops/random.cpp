// Random tensors, functions of (seed, step), path and global element index; and dropout, composed
// of one.
#include "weft/base/random.h"

#include "weft/graph/ops/rules.h"
#include "weft/kernels/random.h"

namespace weft {
namespace {

// Input rng i64[2] {seed, step}.
Types infer_random(const Types& in, const Attrs& attrs) {
  expect(in[0] == TensorType{DType::i64, {2}}, "random", "rng must be i64[2], got {}", in[0].str());
  return {{DType::f32, attrs.dims("dims")}};
}

template <class Params, auto kernel>
void run(const Launch& l) {
  const int64_t* seed_and_step = l.in[0].as<int64_t>();
  Params p{};
  p.key = random_key(uint64_t(seed_and_step[0]), hash_path(l.attrs.text("path")));
  p.step = uint64_t(seed_and_step[1]);
  p.n = l.out[0].shape.elements();
  p.out = l.out[0].template as<float>();
  kernel(l.cpu(), p);
}

}  // namespace

const Op uniform_op = {
    .name = "random_uniform", .letters = "", .infer = infer_random, .vjp = [](const VjpArgs&) {
      return Tensors{{}};
    }};
const Op normal_op = {
    .name = "random_normal", .letters = "", .infer = infer_random, .vjp = [](const VjpArgs&) {
      return Tensors{{}};
    }};

KernelRows random_kernels() {
  return {
      {&uniform_op, DeviceKind::cpu, {}, run<kernels::RandomUniform, kernels::cpu::random_uniform>},
      {&normal_op, DeviceKind::cpu, {}, run<kernels::RandomNormal, kernels::cpu::random_normal>},
  };
}

Tensor random_uniform(const Dims& dims, const Tensor& rng, std::string_view path) {
  return make_one(uniform_op, {rng}, {{"dims", dims}, {"path", std::string(path)}});
}
Tensor random_normal(const Dims& dims, const Tensor& rng, std::string_view path) {
  return make_one(normal_op, {rng}, {{"dims", dims}, {"path", std::string(path)}});
}
Tensor dropout(const Tensor& x, double p, const Tensor& rng, std::string_view path) {
  if (!(p >= 0 && p < 1)) user_error("[dropout] p must be in [0, 1), got {}", p);
  const Tensor keep =
      less_equal(full(x.dims(), DType::f32, p), random_uniform(x.dims(), rng, path));
  return where(keep, x * (1.0 / (1.0 - p)), zeros(x.dims(), x.dtype()));
}

}  // namespace weft
