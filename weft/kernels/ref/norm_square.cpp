#include "weft/kernels/norm_square.h"

namespace weft::kernels::ref {

template <class T>
void norm_square(const NormSquare& p) {
  double total = 0;
  for (int64_t begin = 0; begin < p.n; begin += norm_square_block) {
    double block = 0;
    for (int64_t i = begin; i < p.n && i < begin + norm_square_block; ++i) {
      const double x = double(static_cast<const T*>(p.x)[i]);
      block += x * x;
    }
    total += block;
  }
  *p.out = total;
}

template void norm_square<double>(const NormSquare&);
template void norm_square<float>(const NormSquare&);

}  // namespace weft::kernels::ref
