// oneDNN 2.x as the peer, through its C interface and dlopen, so that the benchmark also runs where
// it is not installed. Compiled in where its headers are. Objects live until the process ends.
#pragma once
#include <cstdint>
#include <cstdio>

#if __has_include(<oneapi/dnnl/dnnl.h>)
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>
#endif

namespace weft::bench {

// C [m, n] = A B, C contiguous; strides in elements.
struct PeerProduct {
  int64_t m, n, k;
  bool bf16, f32_out;
  bool packed;  // B goes beforehand into the layout oneDNN asks for
  int64_t a_row, a_column, b_row, b_column;
  void *a, *b, *c;
};

#if __has_include(<oneapi/dnnl/dnnl.h>) && DNNL_VERSION_MAJOR == 2

class OneDnn {
 public:
  explicit OneDnn(int threads) {
    library_ = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_GLOBAL);
    if (!library_) return;
    if (auto* set = reinterpret_cast<void (*)(int)>(dlsym(library_, "omp_set_num_threads")))
      set(threads);
    ok_ = call(&dnnl_engine_create, "dnnl_engine_create", &engine_, dnnl_cpu, 0) &&
          call(&dnnl_stream_create, "dnnl_stream_create", &stream_, engine_,
               dnnl_stream_default_flags);
  }
  bool ok() const { return ok_; }

  // Prepares a product; run() executes it. False where oneDNN cannot.
  bool prepare(const PeerProduct& p) {
    const auto type = p.bf16 ? dnnl_bf16 : dnnl_f32;
    const dnnl_memory_desc_t a = matrix(p.m, p.k, type, p.a_row, p.a_column);
    const dnnl_memory_desc_t b = matrix(p.k, p.n, type, p.b_row, p.b_column);
    const dnnl_memory_desc_t c = matrix(p.m, p.n, p.f32_out ? dnnl_f32 : type, p.n, 1);
    dnnl_memory_desc_t any = b;
    if (p.packed) any = matrix(p.k, p.n, type, 0, 0);
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t plan;
    if (!call(&dnnl_matmul_desc_init, "dnnl_matmul_desc_init", &desc, &a, &any, nullptr, &c) ||
        !call(&dnnl_primitive_desc_create, "dnnl_primitive_desc_create", &plan, &desc, nullptr,
              engine_, nullptr) ||
        !call(&dnnl_primitive_create, "dnnl_primitive_create", &product_, plan))
      return false;
    auto* query = reinterpret_cast<decltype(&dnnl_primitive_desc_query_md)>(
        dlsym(library_, "dnnl_primitive_desc_query_md"));
    const dnnl_memory_desc_t* wanted = query(plan, dnnl_query_weights_md, 0);
    arguments_[0] = {DNNL_ARG_SRC, memory(a, p.a)};
    arguments_[1] = {DNNL_ARG_WEIGHTS, memory(b, p.b)};
    arguments_[2] = {DNNL_ARG_DST, memory(c, p.c)};
    return !p.packed || reorder(b, *wanted, arguments_[1].memory);
  }

  void run() { execute(product_, 3, arguments_); }

 private:
  template <class F, class... Args>
  bool call(F*, const char* name, Args... args) {
    auto* f = reinterpret_cast<F*>(dlsym(library_, name));
    return f && f(args...) == dnnl_success;
  }
  void execute(dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t* arguments) {
    call(&dnnl_primitive_execute, "dnnl_primitive_execute", primitive, stream_, count, arguments);
    call(&dnnl_stream_wait, "dnnl_stream_wait", stream_);
  }
  // row 0: the layout is oneDNN's to choose.
  dnnl_memory_desc_t matrix(int64_t rows, int64_t columns, dnnl_data_type_t type, int64_t row,
                            int64_t column) {
    dnnl_memory_desc_t desc;
    const int64_t dims[2] = {rows, columns}, strides[2] = {row, column};
    if (row)
      call(&dnnl_memory_desc_init_by_strides, "dnnl_memory_desc_init_by_strides", &desc, 2, dims,
           type, strides);
    else
      call(&dnnl_memory_desc_init_by_tag, "dnnl_memory_desc_init_by_tag", &desc, 2, dims, type,
           dnnl_format_tag_any);
    return desc;
  }
  dnnl_memory_t memory(const dnnl_memory_desc_t& desc, void* data) {
    dnnl_memory_t result{};
    call(&dnnl_memory_create, "dnnl_memory_create", &result, &desc, engine_, data);
    return result;
  }
  bool reorder(const dnnl_memory_desc_t& from, const dnnl_memory_desc_t& to, dnnl_memory_t& b) {
    dnnl_primitive_desc_t plan;
    dnnl_primitive_t primitive;
    if (!call(&dnnl_reorder_primitive_desc_create, "dnnl_reorder_primitive_desc_create", &plan,
              &from, engine_, &to, engine_, nullptr) ||
        !call(&dnnl_primitive_create, "dnnl_primitive_create", &primitive, plan))
      return false;
    dnnl_memory_t packed = memory(to, DNNL_MEMORY_ALLOCATE);
    const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, b}, {DNNL_ARG_TO, packed}};
    execute(primitive, 2, arguments);
    b = packed;
    return true;
  }

  void* library_ = nullptr;
  bool ok_ = false;
  dnnl_engine_t engine_{};
  dnnl_stream_t stream_{};
  dnnl_primitive_t product_{};
  dnnl_exec_arg_t arguments_[3] = {};
};

#else

class OneDnn {
 public:
  explicit OneDnn(int) {}
  bool ok() const { return false; }
  bool prepare(const PeerProduct&) { return false; }
  void run() {}
};

#endif

}  // namespace weft::bench
