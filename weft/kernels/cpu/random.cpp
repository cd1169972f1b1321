#include "weft/kernels/random.h"

#include "weft/kernels/cpu/vmath.h"

namespace weft::kernels::cpu::WEFT_ISA {
namespace {

constexpr int batch = 64;  // elements: sixteen counters of four words

struct Words {
  __m256i w[4];  // of four counters: word j of each in the low half of a 64-bit lane
};

// Philox4x32-10 of four counters (low, step), as weft/base/random.h defines it.
Words philox(uint64_t key, uint64_t step, __m256i low) {
  const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
  __m256i c0 = low, c1 = _mm256_srli_epi64(low, 32);
  __m256i c2 = _mm256_set1_epi64x(int64_t(step)), c3 = _mm256_srli_epi64(c2, 32);
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const __m256i p0 = _mm256_mul_epu32(m0, c0), p1 = _mm256_mul_epu32(m1, c2);  // low halves only
    c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), _mm256_set1_epi64x(k0));
    c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), _mm256_set1_epi64x(k1));
    c1 = p1, c3 = p0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The words of the four counters in order.
void store_words(const Words& x, uint32_t* out) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  const __m256i a = _mm256_or_si256(_mm256_and_si256(x.w[0], low), _mm256_slli_epi64(x.w[1], 32));
  const __m256i b = _mm256_or_si256(_mm256_and_si256(x.w[2], low), _mm256_slli_epi64(x.w[3], 32));
  const __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
  _mm256_storeu_si256((__m256i*)out, _mm256_permute2x128_si256(even, odd, 0x20));
  _mm256_storeu_si256((__m256i*)(out + 8), _mm256_permute2x128_si256(even, odd, 0x31));
}

// The uniform numbers of elements [64 index, 64 index + 64).
void uniform_batch(uint64_t key, uint64_t step, int64_t index, float* out) {
  uint32_t words[batch];
  for (int i = 0; i < batch / 16; ++i) {
    const __m256i counters = _mm256_add_epi64(_mm256_set1_epi64x(index * (batch / 4) + i * 4),
                                              _mm256_setr_epi64x(0, 1, 2, 3));
    store_words(philox(key, step, counters), words + i * 16);
  }
  for (int i = 0; i < batch; i += 8) {
    const __m256i bits = _mm256_srli_epi32(_mm256_loadu_si256((const __m256i*)(words + i)), 8);
    _mm256_storeu_ps(out + i,
                     _mm256_mul_ps(_mm256_cvtepi32_ps(bits), _mm256_set1_ps(1.0f / 16777216.0f)));
  }
}

void normal_batch(uint64_t key, uint64_t step, int64_t index, float* out) {
  float u[batch], first[batch / 2], second[batch / 2];
  uniform_batch(key, step, index, u);
  for (int i = 0; i < batch / 2; ++i) first[i] = u[2 * i], second[i] = u[2 * i + 1];
  for (int i = 0; i < batch / 2; i += lanes) {
    const F32x16 radius = sqrt(F32x16(-2.0f) * log(F32x16(1.0f) - F32x16::load(first + i)));
    const F32x16 angle = F32x16(6.28318531f) * F32x16::load(second + i);
    (radius * cos(angle)).store(first + i);
    (radius * sin(angle)).store(second + i);
  }
  for (int i = 0; i < batch / 2; ++i) out[2 * i] = first[i], out[2 * i + 1] = second[i];
}

// Calls make_batch for every batch that [first, first + n) touches, and keeps what lies inside.
template <class Params, class F>
void random(CpuStream& stream, const Params& p, F make_batch) {
  const int64_t end_element = p.first + p.n, first_batch = p.first / batch;
  const int64_t batches = p.n > 0 ? (end_element - 1) / batch + 1 - first_batch : 0;
  stream.parallel_for(batches, 16, [&](int64_t begin, int64_t end) {
    for (int64_t b = first_batch + begin; b < first_batch + end; ++b) {
      const int64_t from = b * batch < p.first ? p.first : b * batch;
      const int64_t to = (b + 1) * batch < end_element ? (b + 1) * batch : end_element;
      if (to - from == batch) {
        make_batch(p.key, p.step, b, p.out + (from - p.first));
      } else {
        float part[batch];
        make_batch(p.key, p.step, b, part);
        std::memcpy(p.out + (from - p.first), part + (from - b * batch),
                    size_t(to - from) * sizeof(float));
      }
    }
  });
}

}  // namespace

void random_uniform(CpuStream& stream, const RandomUniform& p) {
  random(stream, p, uniform_batch);
}

void random_normal(CpuStream& stream, const RandomNormal& p) {
  random(stream, p, normal_batch);
}

}  // namespace weft::kernels::cpu::WEFT_ISA
