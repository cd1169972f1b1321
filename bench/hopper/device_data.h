// Random operands made on the device, and results compared there.
#pragma once
#include <cmath>

#include "weft/device/cuda/cuda_device.h"

namespace weft::bench {

inline const char* data_kernels() {
  return R"(
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned short u16;
// About normal, deviation 0.58: the sum of four uniform numbers.
extern "C" __global__ void fill_random(u16* out, u64 n, u64 seed) {
  for (u64 i = blockIdx.x * u64(blockDim.x) + threadIdx.x; i < n; i += u64(gridDim.x) * blockDim.x) {
    u64 s = (i + 1) * 6364136223846793005ull + seed * 1442695040888963407ull;
    s ^= s >> 33, s *= 0xff51afd7ed558ccdull, s ^= s >> 33, s *= 0xc4ceb9fe1a85ec53ull, s ^= s >> 33;
    float f = -2;
    for (int j = 0; j < 4; ++j) f += float((s >> (16 * j)) & 0xffff) / 65536.0f;
    out[i] = u16(__float_as_uint(f) >> 16);
  }
}
// result: sum of squared differences, sum of squares of b, elements with other bits.
template <class T> float wide(T v);
template <> float wide(u16 v) { return __uint_as_float(u32(v) << 16); }
template <> float wide(u32 v) { return __uint_as_float(v); }
template <class T> void compare(const T* a, const T* b, u64 n, double* result) {
  double d = 0, s = 0, bits = 0;
  for (u64 i = blockIdx.x * u64(blockDim.x) + threadIdx.x; i < n; i += u64(gridDim.x) * blockDim.x) {
    const double x = wide(a[i]), y = wide(b[i]);
    d += (x - y) * (x - y), s += y * y, bits += a[i] != b[i];
  }
  atomicAdd(result, d), atomicAdd(result + 1, s), atomicAdd(result + 2, bits);
}
// Reads n times 16 bytes; the sum is there to be used.
struct alignas(16) Four { u32 x, y, z, w; };
extern "C" __global__ void __launch_bounds__(256) read_all(const Four* from, u64 n, u32* out) {
  u32 sum = 0;
  const u64 step = u64(gridDim.x) * blockDim.x;
  u64 i = blockIdx.x * u64(blockDim.x) + threadIdx.x;
  for (; i + 7 * step < n; i += 8 * step) {
    Four v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = from[i + j * step];
#pragma unroll
    for (int j = 0; j < 8; ++j) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  for (; i < n; i += step) sum ^= from[i].x;
  if (sum == 0x12345678) *out = sum;
}
// The same through the copy engine: a ring of pieces in shared memory, that nobody looks at. It may
// start when the launch before has begun.
constexpr int pieces = 6, piece_bytes = 16384;
__device__ __forceinline__ u32 shared_at(const void* p) { return u32(__cvta_generic_to_shared(p)); }
extern "C" __global__ void __launch_bounds__(32) read_pieces(const Four* from, u64 n, u32* out) {
  extern __shared__ Four ring[];
  __shared__ u64 full[pieces];
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  if (threadIdx.x != 0) return;
  for (int i = 0; i < pieces; ++i)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_at(full + i)));
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  const u64 count = n * 16 / piece_bytes, mine = (count - blockIdx.x + gridDim.x - 1) / gridDim.x;
  for (u64 i = 0; i < mine + pieces; ++i) {
    const u32 barrier = shared_at(full + i % pieces);
    if (i >= pieces)
      asm volatile("{\n.reg .pred done;\nAGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(barrier), "r"(u32(i / pieces - 1) & 1) : "memory");
    if (i >= mine) continue;
    const char* at = (const char*)from + (blockIdx.x + i * gridDim.x) * piece_bytes;
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(piece_bytes) : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
      "r"(shared_at(ring) + u32(i % pieces) * piece_bytes), "l"(at), "r"(piece_bytes), "r"(barrier) : "memory");
  }
  if (n == 0) *out = 0;
}
extern "C" __global__ void compare_bf16(const u16* a, const u16* b, u64 n, double* r) { compare(a, b, n, r); }
extern "C" __global__ void compare_f32(const u32* a, const u32* b, u64 n, double* r) { compare(a, b, n, r); }
)";
}

inline const CudaKernel& data_kernel(CudaDevice& gpu, const char* name, int shared_bytes = 0) {
  return gpu.kernel(name, shared_bytes, [&] {
    cuda::KernelSource source;
    source.name = name;
    source.text = data_kernels();
    return source;
  });
}

inline BufferPtr random_bf16(CudaDevice& gpu, int64_t n, uint64_t seed) {
  BufferPtr b = gpu.allocate(size_t(n) * 2);
  std::byte* data = b->data();
  uint64_t count = uint64_t(n);
  void* arguments[] = {&data, &count, &seed};
  data_kernel(gpu, "fill_random").launch(gpu.stream(), {1024, 1, 1, 256}, arguments);
  return b;
}

struct Difference {
  double relative;  // |a - b| / |b|
  double bits;      // share of elements with other bits
};
inline Difference difference(CudaDevice& gpu, const BufferPtr& a, const BufferPtr& b, int64_t n,
                             bool f32) {
  BufferPtr sums = gpu.allocate(3 * sizeof(double));
  gpu.stream().fill(sums->data(), 0, 3 * sizeof(double));
  std::byte *pa = a->data(), *pb = b->data(), *ps = sums->data();
  uint64_t count = uint64_t(n);
  void* arguments[] = {&pa, &pb, &count, &ps};
  data_kernel(gpu, f32 ? "compare_f32" : "compare_bf16")
      .launch(gpu.stream(), {1024, 1, 1, 256}, arguments);
  double values[3];
  gpu.copy_to_host(reinterpret_cast<std::byte*>(values), sums->data(), sizeof values);
  return {std::sqrt(values[0] / values[1]), values[2] / double(n)};
}

}  // namespace weft::bench
