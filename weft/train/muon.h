// Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024): momentum
// whose matrix is made orthogonal before it is a step. With the step's size and the decoupled decay
// of Liu et al., "Muon is Scalable for LLM Training" (arXiv 2502.16982), so that learning rate and
// decay are those of AdamW. Made of ops of the graph.
#pragma once
#include <string>

#include "weft/graph/ops.h"
#include "weft/train/config.h"

namespace weft::train {

// Whether a parameter is a matrix inside a block of a run with optimizer muon. AdamW updates all
// else: embeddings, the head, norms and biases.
bool is_for_muon(const TrainConfig& config, const std::string& path, const Dims& dims);

// About the nearest matrix to x [m, n] with singular values of one: five steps of the Newton-Schulz
// iteration with Jordan's coefficients, which leave them between 0.7 and 1.2. Products are of
// `dtype`. x is f32, of any scale.
Tensor orthogonalized(const Tensor& x, DType dtype);

struct MuonOptions {
  double momentum = 0.95, weight_decay = 0.1;
  DType dtype = DType::bf16;  // of the products
  int64_t parts = 1;          // matrices that lie one below the other, each for itself
};
struct MuonState {
  Tensor param, m;   // f32
  Tensor copy = {};  // of the result: param rounded to bf16
};
//   g = grad scale, m' = momentum m + (1 - momentum) g, u = momentum m' + (1 - momentum) g
//   param' = (1 - lr weight_decay) param - lr 0.2 sqrt(max(rows, columns)) orthogonalized(u)
// hyper f32[4] begins with the learning rate; scale is a scalar.
MuonState muon(const MuonState& state, const Tensor& grad, const Tensor& hyper, const Tensor& scale,
               const MuonOptions& options);

}  // namespace weft::train
