// The processors whose cores are ours alone right now, for `taskset` on a shared machine:
//   taskset -c "$(bench_quiet)" build/release/weft bench train --threads 2
//   bench_quiet [--cpus N]      N processors (2), separated by commas; how quiet they are on stderr
//
// A loop of tile loads and tile products as in a matrix product takes 16 cycles a product. While
// anything runs on the core's other hyperthread it takes 60 to 75: each thread then has only about
// two tile registers to rename to, so that loads and products wait for each other. Nothing else
// shows it as clearly: multiply-adds lose nothing, products on registers alone half. On a virtual
// machine processors move between cores, so the answer is good for about a second.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sched.h>
#include <thread>
#include <vector>

#include "weft/base/error.h"
#include "weft/device/isa.h"

namespace weft::bench {
namespace {

constexpr int steps = 300, runs = 30, rounds = 6;
constexpr double quiet_ns = 8;  // a product of 16 cycles at 2 GHz

struct Tiles {
  alignas(64) std::byte a[16384] = {}, b[131072] = {};  // half of L1; a part of L2
};

// `steps` of a product: two tiles of A, two of B, four products.
void multiply(Tiles& t) {
  for (int i = 0; i < steps; ++i)
    asm volatile(
        "tileloadd (%1,%2,1), %%tmm6\n tileloadd (%0,%2,1), %%tmm4\n"
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n tileloadd (%3,%2,1), %%tmm7\n"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n tileloadd (%4,%2,1), %%tmm5\n"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
        :
        : "r"(t.a + i * 2048 % 16384), "r"(t.b + i * 2048 % 131072), "r"(int64_t{64}),
          "r"(t.b + i * 2048 % 131072 + 1024), "r"(t.a + i * 2048 % 16384 + 1024)
        : "memory");
}

// Nanoseconds a product, of the upper quarter of runs, on processor `cpu`.
double measure(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return 1e9;
  struct alignas(64) {
    uint8_t palette = 1, rest[15] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } config;
  static thread_local Tiles tiles;
  asm volatile("ldtilecfg %0" : : "m"(config));
  multiply(tiles);
  std::vector<double> ns;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    multiply(tiles);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    ns.push_back(took.count() / (4 * steps));
  }
  asm volatile("tilerelease");
  std::nth_element(ns.begin(), ns.begin() + runs * 3 / 4, ns.end());
  return ns[runs * 3 / 4];
}

struct Processor {
  double ns;
  int cpu;
};

// All at the same time: two virtual processors may be one core.
std::vector<Processor> together(std::vector<Processor> some) {
  std::vector<std::thread> threads;
  for (Processor& p : some) threads.emplace_back([&p] { p.ns = measure(p.cpu); });
  for (std::thread& t : threads) t.join();
  return some;
}

std::vector<Processor> quietest(size_t count) {
  std::vector<Processor> best;
  double least = 1e30;
  for (int round = 0; round < rounds && least > quiet_ns; ++round) {
    std::vector<Processor> all;
    std::thread([&] {
      for (int cpu = 0; cpu < int(std::thread::hardware_concurrency()); ++cpu)
        all.push_back({measure(cpu), cpu});
    }).join();
    std::sort(all.begin(), all.end(), [](auto& x, auto& y) { return x.ns < y.ns; });
    all.resize(count);
    all = together(all);
    double worst = 0;
    for (const Processor& p : all) worst = std::max(worst, p.ns);
    if (worst < least) least = worst, best = all;
  }
  return best;
}

int run(int argc, char** argv) {
  int count = 2;
  if (argc == 3 && !std::strcmp(argv[1], "--cpus"))
    count = std::atoi(argv[2]);
  else if (argc > 1)
    user_error("bench_quiet: {} is not a flag; see the head of bench/quiet/main.cpp", argv[1]);
  const int there = int(std::thread::hardware_concurrency());
  if (count < 1 || count > there)
    user_error("bench_quiet: --cpus must be 1 to {} here, got {}", there, argv[2]);
  if (best_isa() < Isa::amx)
    user_error("bench_quiet measures with AMX tiles, which this machine does not have");
  const std::vector<Processor> chosen = quietest(size_t(count));
  for (size_t i = 0; i < chosen.size(); ++i) {
    std::printf("%s%d", i ? "," : "", chosen[i].cpu);
    std::fprintf(stderr, "processor %d: %.1f ns a tile product%s\n", chosen[i].cpu, chosen[i].ns,
                 chosen[i].ns < quiet_ns ? "" : " (not quiet)");
  }
  std::printf("\n");
  return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
  try {
    return weft::bench::run(argc, argv);
  } catch (const weft::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
