// The peer: cuBLASLt, found at run time, the best of its heuristics' proposals.
#pragma once
#include <dlfcn.h>
#include <vector>

#include "bench/hopper/timing.h"
#include "weft/base/error.h"
#include "weft/kernels/matmul.h"

namespace weft::bench {

// Declared here, numbers from cublasLt.h, so that the bench builds without the toolkit.
struct LtAlgorithm {
  uint64_t opaque[8];
};
struct LtProposal {
  LtAlgorithm algorithm;
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

#define WEFT_CUBLASLT(X)                                                                          \
  X(create, cublasLtCreate, (void**))                                                             \
  X(desc_create, cublasLtMatmulDescCreate, (void**, int, int))                                    \
  X(desc_set, cublasLtMatmulDescSetAttribute, (void*, int, const void*, size_t))                  \
  X(layout_create, cublasLtMatrixLayoutCreate, (void**, int, uint64_t, uint64_t, int64_t))        \
  X(preference_create, cublasLtMatmulPreferenceCreate, (void**))                                  \
  X(preference_set, cublasLtMatmulPreferenceSetAttribute, (void*, int, const void*, size_t))      \
  X(propose, cublasLtMatmulAlgoGetHeuristic,                                                      \
    (void*, void*, void*, void*, void*, void*, void*, int, LtProposal*, int*))                    \
  X(matmul, cublasLtMatmul,                                                                       \
    (void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, \
     void*, void*, void*, const LtAlgorithm*, void*, size_t, void*))

class CublasLt {
 public:
  // False when the library is not there.
  bool load() {
    void* library = nullptr;
    for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                             "/usr/local/cuda/lib64/libcublasLt.so"})
      if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    if (!library) return false;
#define WEFT_CUBLASLT_LOAD(member, symbol, parameters)                     \
  member = reinterpret_cast<int(*) parameters>(::dlsym(library, #symbol)); \
  if (!member) return false;
    WEFT_CUBLASLT(WEFT_CUBLASLT_LOAD)
#undef WEFT_CUBLASLT_LOAD
    return create(&handle) == 0;
  }
  void* handle = nullptr;
#define WEFT_CUBLASLT_MEMBER(member, symbol, parameters) int(*member) parameters = nullptr;
  WEFT_CUBLASLT(WEFT_CUBLASLT_MEMBER)
#undef WEFT_CUBLASLT_MEMBER
};

// One product as cuBLASLt takes it: column-major, so C turned = B turned times A turned.
class LtMatmul {
 public:
  static constexpr size_t workspace_bytes = size_t(64) << 20;

  LtMatmul(const CublasLt& lt, CudaStream& stream, const kernels::Matmul& p) : lt_(lt) {
    constexpr int compute_f32 = 68, type_f32 = 0, type_bf16 = 14, op_n = 0, op_t = 1;
    constexpr int attribute_op_a = 3, attribute_op_b = 4, attribute_epilogue = 7,
                  attribute_bias = 8, max_workspace = 1;
    const bool b_turned = p.b.row_stride != 1, a_turned = p.a.col_stride != 1;
    const int out = p.out == DType::f32 ? type_f32 : type_bf16;
    const int op_first = b_turned ? op_n : op_t, op_second = a_turned ? op_t : op_n;
    ok(lt.desc_create(&desc_, compute_f32, type_f32), "cublasLtMatmulDescCreate");
    ok(lt.desc_set(desc_, attribute_op_a, &op_first, sizeof op_first), "set op");
    ok(lt.desc_set(desc_, attribute_op_b, &op_second, sizeof op_second), "set op");
    if (p.bias) {
      const int epilogue = p.activation == kernels::Matmul::gelu_tanh ? 36 : 4;
      ok(lt.desc_set(desc_, attribute_epilogue, &epilogue, sizeof epilogue), "set epilogue");
      ok(lt.desc_set(desc_, attribute_bias, &p.bias, sizeof p.bias), "set bias");
    }
    layout(&first_, type_bf16, b_turned ? p.n : p.k, b_turned ? p.k : p.n,
           b_turned ? p.b.row_stride : p.b.col_stride);
    layout(&second_, type_bf16, a_turned ? p.m : p.k, a_turned ? p.k : p.m,
           a_turned ? p.a.col_stride : p.a.row_stride);
    layout(&result_, out, p.n, p.m, p.c_row_stride);
    workspace_ = stream.cuda_device().allocate(workspace_bytes);
    void* preference = nullptr;
    ok(lt.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
    ok(lt.preference_set(preference, max_workspace, &workspace_bytes, sizeof workspace_bytes),
       "set workspace");
    choose(stream, p, preference);
  }

  void run(CudaStream& stream, const kernels::Matmul& p) const { run(stream, p, best_); }

 private:
  static void ok(int status, const char* call) {
    if (status != 0) resource_error("{} gave status {}", call, status);
  }
  void layout(void** to, int type, int64_t rows, int64_t columns, int64_t stride) {
    ok(lt_.layout_create(to, type, uint64_t(rows), uint64_t(columns), stride), "create layout");
  }
  void run(CudaStream& stream, const kernels::Matmul& p, const LtAlgorithm& algorithm) const {
    const float one = 1, beta = p.accumulate ? 1 : 0;
    ok(lt_.matmul(lt_.handle, desc_, &one, p.b.data, first_, p.a.data, second_, &beta, p.c, result_,
                  p.c, result_, &algorithm, workspace_->data(), workspace_bytes, stream.handle()),
       "cublasLtMatmul");
  }
  void choose(CudaStream& stream, const kernels::Matmul& p, void* preference) {
    LtProposal proposals[8];
    int found = 0;
    ok(lt_.propose(lt_.handle, desc_, first_, second_, result_, result_, preference, 8, proposals,
                   &found),
       "cublasLtMatmulAlgoGetHeuristic");
    double best = 0;
    for (int i = 0; i < found; ++i) {
      run(stream, p, proposals[i].algorithm);
      const double t = milliseconds(stream, [&] {
        for (int j = 0; j < 3; ++j) run(stream, p, proposals[i].algorithm);
      });
      if (i == 0 || t < best) best = t, best_ = proposals[i].algorithm;
    }
  }

  const CublasLt& lt_;
  void *desc_ = nullptr, *first_ = nullptr, *second_ = nullptr, *result_ = nullptr;
  BufferPtr workspace_;
  LtAlgorithm best_{};
};

}  // namespace weft::bench
