// The one pool of threads. Work is split statically by thread number, never stolen, so that who
// computes what is known; results must not depend on it all the same. No nesting.
#pragma once
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace weft {

// Flushes denormals to zero (FTZ and DAZ) on this thread while it lives; part of what the x86 class
// of numbers means.
class FlushDenormals {
 public:
  FlushDenormals() : saved_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(saved_ | 0x8040u); }
  ~FlushDenormals() { __builtin_ia32_ldmxcsr(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

class ThreadPool {
 public:
  // `threads` >= 1 in all; the caller of run() is number 0.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Calls f(thread) on every thread and returns when all are done. The first exception is rethrown
  // here. All run with denormals flushed to zero (FTZ and DAZ), which is part of what the x86 class
  // of numbers means.
  template <class F>
  void run(F&& f) {
    run_erased([](void* context, int thread) { (*static_cast<F*>(context))(thread); }, &f);
  }

  // Calls f() on the caller's thread alone, in the mode of run().
  template <class F>
  void run_here(F&& f) {
    const FlushDenormals mode;
    f();
  }

  // Inside run(): waits until every thread has come here. f must not throw before all have passed.
  void barrier();

 private:
  using Job = void (*)(void* context, int thread);
  void run_erased(Job job, void* context);
  void work(int thread);
  void call(int thread);

  const int size_;
  Job job_ = nullptr;
  void* context_ = nullptr;
  std::exception_ptr error_;
  std::mutex error_mutex_;
  bool stop_ = false;
  alignas(64) std::atomic<uint32_t> generation_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> barrier_generation_{0};
  std::vector<std::thread> workers_;
};

// Thread `thread` of `threads` gets [begin, end) of [0, n), in multiples of `grain`.
struct Range {
  int64_t begin, end;
};
inline Range static_range(int64_t n, int64_t grain, int thread, int threads) {
  const int64_t blocks = (n + grain - 1) / grain;
  const int64_t begin = blocks * thread / threads * grain,
                end = blocks * (thread + 1) / threads * grain;
  return {begin < n ? begin : n, end < n ? end : n};
}

}  // namespace weft
