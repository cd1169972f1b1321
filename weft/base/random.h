// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11): a random
// number is a pure function of its key and counter, so it does not depend on threads, batches or
// the order of calls.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace weft {

struct Philox {
  uint64_t key;

  // Four independent uniform 32-bit words for one 128-bit counter.
  std::array<uint32_t, 4> operator()(uint64_t low, uint64_t high = 0) const {
    uint32_t c[4] = {uint32_t(low), uint32_t(low >> 32), uint32_t(high), uint32_t(high >> 32)};
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * c[0], p1 = uint64_t(0xCD9E8D57u) * c[2];
      const uint32_t n0 = uint32_t(p1 >> 32) ^ c[1] ^ k0, n2 = uint32_t(p0 >> 32) ^ c[3] ^ k1;
      c[1] = uint32_t(p1), c[3] = uint32_t(p0), c[0] = n0, c[2] = n2;
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {c[0], c[1], c[2], c[3]};
  }
};

// In [0, 1): 24 random bits.
inline float uniform_float(uint32_t bits) {
  return float(bits >> 8) * (1.0f / 16777216.0f);
}
// In [0, 1): 53 random bits.
inline double uniform_double(uint32_t a, uint32_t b) {
  return double((uint64_t(a) << 21) ^ (uint64_t(b) >> 11)) * (1.0 / 9007199254740992.0);
}

// FNV-1a: the 64-bit hash of a parameter's or an op's path that keys its random numbers.
constexpr uint64_t hash_path(std::string_view path) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : path) h = (h ^ uint8_t(c)) * 0x100000001b3ull;
  return h;
}

// Keys a stream by (seed, path): splitmix64's finaliser over both.
constexpr uint64_t random_key(uint64_t seed, uint64_t path_hash) {
  uint64_t z = seed + 0x9E3779B97F4A7C15ull * (path_hash | 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace weft
