#include "weft/device/thread_pool.h"

#include <immintrin.h>

#include "weft/base/error.h"

namespace weft {
namespace {

// We look again and again for 60 to 200 us, then for about as long as lies between two steps of
// training, 0.2 ms, let others run in between, if there are any; then we sleep. To be woken takes
// 50 us, and a halted virtual processor may come back on another core, with cold caches.
constexpr int spins_before_yielding = 4000, yields_before_sleep = 2000;

template <class T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  const auto changed = [&] { return value.load(std::memory_order_acquire) != old; };
  for (int i = 0; i < spins_before_yielding; ++i) {
    if (changed()) return;
    _mm_pause();
  }
  for (int i = 0; i < yields_before_sleep && !changed(); ++i) std::this_thread::yield();
  while (!changed()) value.wait(old, std::memory_order_acquire);
}

}  // namespace

ThreadPool::ThreadPool(int threads) : size_(threads) {
  WEFT_CHECK(threads >= 1, "threads {}", threads);
  for (int t = 1; t < size_; ++t) workers_.emplace_back([this, t] { work(t); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(Job job, void* context) {
  WEFT_CHECK(job_ == nullptr, "a nested ThreadPool::run");
  job_ = job;
  context_ = context;
  if (size_ > 1) {
    running_.store(size_ - 1, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }
  call(0);
  for (int left; (left = running_.load(std::memory_order_acquire)) != 0;)
    wait_while_equal(running_, left);
  job_ = nullptr;
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    wait_while_equal(generation_, seen);
    ++seen;
    if (stop_) return;
    call(thread);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_all();
  }
}

void ThreadPool::call(int thread) {
  const FlushDenormals mode;
  try {
    job_(context_, thread);
  } catch (...) {
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::barrier() {
  if (size_ == 1) return;
  const uint32_t generation = barrier_generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    barrier_generation_.store(generation + 1, std::memory_order_release);
    barrier_generation_.notify_all();
  } else {
    wait_while_equal(barrier_generation_, generation);
  }
}

}  // namespace weft
