// The matrix product on a Hopper GPU beside cuBLASLt (the best of its heuristics) in the same
// process, on random data, in graphs over buffers larger than L2, in alternation; medians.
//   bench_hopper [--shapes 0,1,...,128x4096x4096] [--forms f,d,w,g] [--rounds 5] [--try
//   tile_n=128,stages=6,...]... [--tune 5]
// Forms, with and without an epilogue: bench/hopper/product.h. Each --try adds a column with the
// shipped schedule changed in these fields; --tune measures that many others, those with the least
// estimates, and prints them as rows of its table of tilings
// (weft/kernels/cuda/matmul_schedules.cpp). Then attention of the head sizes in --heads, with the
// shipped chunk and those of --chunks, and its gradients for those in --backward ("none": not at
// all), beside cuDNN's (--cudnn: another file than libcudnn.so.9); decode over a paged cache
// (--decode none) and products with few rows (--skinny none), with --try-skinny as --try.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/hopper/attention.h"
#include "bench/hopper/flags.h"
#include "bench/hopper/paged.h"
#include "bench/hopper/product.h"
#include "bench/hopper/skinny.h"
#include "weft_version.h"

namespace weft::bench {
namespace {

using kernels::cuda::SkinnySchedule;

struct Options {
  ProductOptions products;
  std::string heads = "64,128", chunks, backward_heads = "64,128", cudnn = "libcudnn.so.9";
  std::vector<std::string> skinny_tries;
  bool decode = true, skinny = true;
};

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--shapes")
      o.products.shapes = split(value);
    else if (flag == "--forms")
      o.products.forms = split(value);
    else if (flag == "--heads")
      o.heads = value;
    else if (flag == "--backward")
      o.backward_heads = value;
    else if (flag == "--cudnn")
      o.cudnn = value;
    else if (flag == "--decode")
      o.decode = value != "none";
    else if (flag == "--skinny")
      o.skinny = value != "none";
    else if (flag == "--chunks")
      o.chunks = value;
    else if (flag == "--try")
      o.products.tries.push_back(value);
    else if (flag == "--tune")
      o.products.tune = std::atoi(value.c_str());
    else if (flag == "--try-skinny")
      o.skinny_tries.push_back(value);
    else if (flag == "--rounds")
      o.products.rounds = std::max(1, std::atoi(value.c_str()));
    else
      user_error("bench_hopper: {} is not a flag; see the head of bench/hopper/main.cpp", flag);
  }
  return o;
}

SkinnySchedule changed_skinny(SkinnySchedule s, const std::string& changes) {
  set_fields({{"rows", &s.rows}, {"boxes", &s.boxes}}, changes);
  s.stages = kernels::cuda::skinny_stages(s);
  return s;
}

void measure_both_attentions(CudaDevice& gpu, const Options& o) {
  if (o.heads == "none" && o.backward_heads == "none") return;
  Cudnn cudnn;
  const bool found = cudnn.load(o.cudnn, gpu.stream());
  if (!found) std::printf("\nno cuDNN: %s\n", ::dlerror());
  const Cudnn* peer = found ? &cudnn : nullptr;
  const int rounds = o.products.rounds;
  if (o.heads != "none") measure_attention(gpu, peer, numbers(o.heads), numbers(o.chunks), rounds);
  if (o.backward_heads != "none")
    measure_attention_backward(gpu, peer, numbers(o.backward_heads), rounds);
}

int main_checked(int argc, char** argv) {
  const Options o = parse(argc, argv);
  std::string reason;
  if (!cuda::find_driver(&reason)) {
    std::printf("bench_hopper: skipped, %s\n", reason.c_str());
    return 0;
  }
  const int rounds = o.products.rounds;
  CudaDevice gpu;
  gpu.stream().patience_seconds = 10;
  std::printf("%s; commit %s\nTFLOP/s; data-sheet limit 989; forms: bench/hopper/product.h\n",
              gpu.description().c_str(), WEFT_COMMIT);
  if (o.products.shapes.front() != "none") measure_matmul(gpu, o.products);
  measure_both_attentions(gpu, o);
  if (o.decode) measure_paged(gpu, rounds);
  if (o.skinny) measure_skinny(gpu, rounds, o.skinny_tries, changed_skinny);
  return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) {
  try {
    return weft::bench::main_checked(argc, argv);
  } catch (const weft::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::fflush(stdout);
    std::_Exit(1);  // a kernel that hangs must not hold the process at its end
  }
}
