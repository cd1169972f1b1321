#include "weft/device/thread_pool.h"

#include <gtest/gtest.h>
#include <stdexcept>

#include "tests/expect_error.h"

namespace weft {
namespace {

TEST(ThreadPool, EveryThreadRunsEveryJobOnce) {
  ThreadPool pool(4);
  std::vector<int> calls(4, 0);  // each written by its thread, read here in between
  for (int job = 1; job <= 1000; ++job) {
    pool.run([&](int thread) { ++calls[size_t(thread)]; });
    ASSERT_EQ(calls, std::vector<int>(4, job));
  }
}

// Longer than a thread spins, so that all of them have gone to sleep.
TEST(ThreadPool, WakesThreadsThatSleep) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  for (int job = 0; job < 20; ++job) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.run([&](int) { ++calls; });
  }
  EXPECT_EQ(calls, 60);
}

TEST(ThreadPool, WhatWasWrittenBeforeABarrierIsSeenBehindIt) {
  constexpr int threads = 4, rounds = 500;
  ThreadPool pool(threads);
  std::vector<int> written(threads, 0);
  std::atomic<int> wrong{0};
  pool.run([&](int thread) {
    for (int round = 1; round <= rounds; ++round) {
      written[size_t(thread)] = round;
      pool.barrier();
      for (const int w : written) wrong += w != round;
      pool.barrier();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, ErrorsCrossThreadsAndThePoolGoesOn) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    EXPECT_ERROR(user, "on the last", pool.run([&](int thread) {
      if (thread == threads - 1) user_error("on the last");
    }));
    EXPECT_THROW(pool.run([](int) { throw std::runtime_error("on all"); }), std::runtime_error);
    std::atomic<int> calls{0};
    pool.run([&](int) { ++calls; });
    EXPECT_EQ(calls, threads);
  }
}

TEST(ThreadPool, RefusesToNest) {
  ThreadPool pool(1);
  EXPECT_ERROR(internal, "nested", pool.run([&](int) { pool.run([](int) {}); }));
}

TEST(ThreadPool, DenormalsAreZeroInside) {
  ThreadPool pool(2);
  volatile float tiny = 1e-40f;
  std::vector<float> inside(2, 1.0f);
  float here = 1;
  pool.run([&](int thread) { inside[size_t(thread)] = tiny * 0.5f; });
  pool.run_here([&] { here = tiny * 0.5f; });
  EXPECT_EQ(inside, std::vector<float>(2, 0.0f));
  EXPECT_EQ(here, 0);
  EXPECT_GT(tiny * 0.5f, 0);
}

TEST(StaticRange, CoversEverythingOnceInGrains) {
  for (const int64_t n : {0, 1, 7, 64, 1000})
    for (const int64_t grain : {1, 16, 100})
      for (const int threads : {1, 3, 8}) {
        int64_t end = 0;
        for (int t = 0; t < threads; ++t) {
          const Range r = static_range(n, grain, t, threads);
          EXPECT_EQ(r.begin, end);
          EXPECT_TRUE(r.begin % grain == 0 || r.begin == n);
          end = r.end;
        }
        EXPECT_EQ(end, n);
      }
}

}  // namespace
}  // namespace weft
