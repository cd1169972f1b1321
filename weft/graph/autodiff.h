// Reverse-mode differentiation as a transformation of the graph: cotangents are tensors like any
// other, so gradients can be differentiated again, compiled and fused with the rest.
#pragma once
#include "weft/graph/tensor.h"

namespace weft {

// d(outputs . cotangents) / d(each of wrt): the vector-Jacobian product. An empty result tensor
// never occurs: what does not depend on an input has zeros. Floats only. A cotangent of a bf16
// tensor may be f32 when it comes from a product with a weight: the sum is then not rounded on its
// way to the fp32 master.
Tensors vjp(const Tensors& outputs, const Tensors& cotangents, const Tensors& wrt);

// d(scalar) / d(wrt). Throws Error(user) when `scalar` has more than one element.
Tensors gradients(const Tensor& scalar, const Tensors& wrt);

// Directional derivative of f at x along `tangents`: the vjp of the vjp, which is linear in its
// cotangent.
template <class F>
Tensors jvp(F&& f, const Tensors& x, const Tensors& tangents);

namespace detail {
// As vjp(), but as they come: a cotangent may be wider than its tensor, and is empty where there is
// none.
Tensors cotangents_of(const Tensors& wrt, const Tensors& outputs, const Tensors& cotangents);
Tensors jvp(const Tensors& outputs, const Tensors& x, const Tensors& tangents);
}  // namespace detail
template <class F>
Tensors jvp(F&& f, const Tensors& x, const Tensors& tangents) {
  return detail::jvp(f(x), x, tangents);
}

}  // namespace weft
