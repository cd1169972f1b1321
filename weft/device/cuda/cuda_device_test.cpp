// Devices, streams, events and graphs on a GPU; without one, that the same binary says so.
#include "weft/device/cuda/cuda_device.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "weft/device/cuda/tensor_map.h"

namespace weft {
namespace {

TEST(CudaDriver, WithoutOneTheReasonIsGiven) {
  std::string why;
  if (cuda::find_driver(&why)) GTEST_SKIP() << "there is a driver";
  EXPECT_FALSE(why.empty());
  EXPECT_EQ(CudaDevice::count(), 0);
  EXPECT_ERROR(resource, why, CudaDevice());
}

TEST(TensorMap, WhatTheCopyEngineCannotTakeIsRefusedByName) {
  cuda::TensorBoxes boxes;
  boxes.sizes = {64, 64}, boxes.strides = {1, 65}, boxes.box = {64, 64};
  EXPECT_ERROR(user, "weights: a stride of 65 elements", make_tensor_map(boxes, "weights"));
  boxes.strides = {1, 64};
  boxes.data = reinterpret_cast<const void*>(uintptr_t(8));
  EXPECT_ERROR(user, "multiple of 16 bytes", make_tensor_map(boxes, "weights"));
}

class OnGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!cuda::find_driver(&why)) GTEST_SKIP() << why;
    gpu_ = std::make_unique<CudaDevice>();
    if (gpu_->capability() != 90) GTEST_SKIP() << "not a Hopper GPU: " << gpu_->description();
  }
  std::vector<float> down(const BufferPtr& b, size_t n) {
    std::vector<float> v(n);
    gpu_->copy_to_host(reinterpret_cast<std::byte*>(v.data()), b->data(), n * sizeof(float));
    return v;
  }
  BufferPtr up(const std::vector<float>& v) {
    BufferPtr b = gpu_->allocate(v.size() * sizeof(float));
    gpu_->copy_from_host(b->data(), reinterpret_cast<const std::byte*>(v.data()),
                         v.size() * sizeof(float));
    return b;
  }
  // x[i] = 2 x[i], one block.
  void twice(const BufferPtr& b, unsigned n) {
    const CudaKernel& kernel = gpu_->kernel("twice", 0, [] {
      return cuda::KernelSource{
          "twice", "extern \"C\" __global__ void twice(float* x) { x[threadIdx.x] *= 2; }", {}, {}};
    });
    std::byte* data = b->data();
    void* arguments[] = {&data};
    kernel.launch(gpu_->stream(), {1, 1, 1, n}, arguments);
  }
  std::unique_ptr<CudaDevice> gpu_;
};

TEST_F(OnGpu, BytesThereAndBack) {
  const std::vector<float> values{1, 2, 3, 4.5f};
  const BufferPtr b = up(values);
  EXPECT_EQ(b->bytes() % 256, 0u);
  EXPECT_EQ(down(b, 4), values);
  EXPECT_EQ(gpu_->memory().live_bytes, int64_t(b->bytes()));
}

TEST_F(OnGpu, WorkRunsInOrderAndGraphsRepeatIt) {
  const BufferPtr b = up({1, 2, 3});
  twice(b, 3);
  EXPECT_EQ(down(b, 3), (std::vector<float>{2, 4, 6}));
  CudaGraph graph(gpu_->stream(), [&] {
    twice(b, 3);
    twice(b, 3);
  });
  EXPECT_EQ(down(b, 3), (std::vector<float>{2, 4, 6})) << "recording must not run";
  CudaEvent begin, end;
  begin.record(gpu_->stream());
  graph.launch(gpu_->stream());
  graph.launch(gpu_->stream());
  end.record(gpu_->stream());
  end.synchronize();
  EXPECT_EQ(down(b, 3), (std::vector<float>{32, 64, 96}));
  EXPECT_GT(end.milliseconds_since(begin), 0);
}

TEST_F(OnGpu, ErrorsNameTheCallAndTheKernel) {
  EXPECT_ERROR(resource, "cuMemAlloc of", gpu_->allocate(size_t(1) << 50));
  const BufferPtr b = up({1});
  EXPECT_ERROR(resource, "cuLaunchKernelEx of twice (1x1x1 blocks of 100000 threads)",
               twice(b, 100000));
  EXPECT_ERROR(resource, "CUDA device 1000", CudaDevice(1000));
}

// A kernel that never ends is named; it is let go through a flag, so that the test can end.
TEST_F(OnGpu, AKernelThatHangsIsNamed) {
  const CudaKernel& kernel = gpu_->kernel("wait_for_flag", 0, [] {
    return cuda::KernelSource{
        "wait_for_flag",
        "extern \"C\" __global__ void wait_for_flag(volatile int* f) { while (*f == 0) {} }",
        {},
        {}};
  });
  const BufferPtr flag = gpu_->allocate(4);
  CudaStream aside(*gpu_), waiting(*gpu_);
  aside.fill(flag->data(), 0, 4);
  aside.synchronize();
  std::byte* data = flag->data();
  void* arguments[] = {&data};
  kernel.launch(waiting, {1, 1, 1, 1}, arguments);
  waiting.patience_seconds = 0.2;
  EXPECT_ERROR(resource, "wait_for_flag has not ended after", waiting.synchronize());
  aside.fill(flag->data(), 1, 4);
  waiting.patience_seconds = 20;
  waiting.synchronize();
}

}  // namespace
}  // namespace weft
