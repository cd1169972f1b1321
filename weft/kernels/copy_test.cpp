#include "weft/kernels/copy.h"

#include <gtest/gtest.h>
#include <memory>
#include <vector>

#include "weft/kernels/row_testing.h"

namespace weft::kernels {
namespace {

// Made once: starting threads takes longer than most cases.
const std::vector<std::unique_ptr<CpuDevice>>& cpus() {
  static const auto all = testing::all_cpus();
  return all;
}

struct Case {
  const char* what;
  std::vector<int64_t> sizes, in, out;
};

// Offsets into the buffers leave room for negative strides and for what must stay untouched.
constexpr int64_t room = 1 << 17, in_offset = 4096, out_offset = 7;

template <class T>
std::vector<T> source() {
  std::vector<T> v(room);
  for (size_t i = 0; i < v.size(); ++i) v[i] = T(i * 2654435761u >> 3);
  return v;
}

template <class T>
void expect_copies(const Case& c) {
  const std::vector<T> in = source<T>();
  std::vector<T> expected(room, T(0x5a)), actual;
  StridedCopy p{int(sizeof(T)), int(c.sizes.size()), {}, {}, {}, in.data() + in_offset, nullptr};
  for (size_t d = 0; d < c.sizes.size(); ++d)
    p.sizes[d] = c.sizes[d], p.in_strides[d] = c.in[d], p.out_strides[d] = c.out[d];
  p.out = expected.data() + out_offset;
  ref::strided_copy(p);
  for (const auto& cpu : cpus()) {
    actual.assign(room, T(0x5a));
    p.out = actual.data() + out_offset;
    cpu::strided_copy(cpu->stream(), p);
    EXPECT_EQ(actual, expected) << c.what << ", " << sizeof(T) << " bytes, " << cpu->description();
  }
}

TEST(StridedCopy, moves_every_element_to_its_place) {
  const Case cases[] = {
      {"one element", {}, {}, {}},
      {"nothing", {3, 0, 4}, {4, 4, 1}, {4, 4, 1}},
      {"a run", {1000}, {1}, {1}},
      {"a long run", {100000}, {1}, {1}},
      {"a contiguous grid", {3, 5, 7}, {35, 7, 1}, {35, 7, 1}},
      {"a slice", {5, 17}, {100, 1}, {17, 1}},
      {"a pad", {5, 17}, {17, 1}, {40, 1}},
      {"a transpose", {70, 300}, {1, 70}, {300, 1}},
      {"a transpose given the other way", {300, 70}, {70, 1}, {1, 300}},
      {"a small transpose", {3, 5}, {1, 3}, {5, 1}},
      {"a transpose of whole tiles", {64, 128}, {1, 64}, {128, 1}},
      {"transposes", {4, 33, 65}, {33 * 65, 1, 33}, {33 * 65, 65, 1}},
      {"heads and positions exchanged", {2, 9, 4, 16}, {576, 16, 144, 1}, {576, 64, 16, 1}},
      {"the first dimension last", {19, 6, 31}, {1, 19 * 31, 19}, {186, 31, 1}},
      {"reversed", {200}, {-1}, {1}},
      {"reversed rows", {20, 10}, {-10, 1}, {10, 1}},
      {"repeated", {6, 50}, {0, 1}, {50, 1}},
      {"each repeated", {50, 6}, {1, 0}, {6, 1}},
      {"spread out", {40}, {3}, {5}},
      {"eight dimensions",
       {2, 2, 2, 2, 2, 2, 2, 3},
       {1, 2, 4, 8, 16, 32, 64, 128},
       {192, 96, 48, 24, 12, 6, 3, 1}},
      {"dimensions of one", {1, 8, 1, 9}, {7, 1, 5, 8}, {0, 9, 3, 1}},
  };
  for (const Case& c : cases) {
    expect_copies<uint8_t>(c);
    expect_copies<uint16_t>(c);
    expect_copies<uint32_t>(c);
    expect_copies<uint64_t>(c);
  }
}

TEST(Fill, writes_the_value_and_nothing_else) {
  for (const int64_t n : {0, 1, 17, 5000, 20000})
    for (const auto& cpu : cpus())
      for (const int bytes : {1, 2, 4, 8}) {
        std::vector<uint64_t> expected(20001, 7), actual = expected;
        Fill p{bytes, 0x0123456789abcdefu, n, expected.data()};
        ref::fill(p);
        p.out = actual.data();
        cpu::fill(cpu->stream(), p);
        EXPECT_EQ(actual, expected) << n << " of " << bytes;
        EXPECT_EQ(n == 0 ? 0xef : int(reinterpret_cast<uint8_t*>(actual.data())[0]), 0xef);
      }
}

}  // namespace
}  // namespace weft::kernels
