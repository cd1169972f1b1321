// The learning rate of every step: a pure function, so that a run that is resumed or extended needs
// no state for it.
#pragma once
#include <cstdint>
#include <string>

namespace weft::train {

struct Schedule {
  // cosine: warm-up, then half a cosine from lr to min_lr (Loshchilov and Hutter, arXiv:1608.03983,
  // as nanoGPT has it). wsd: warm-up, stable, then linear to min_lr over the last decay_fraction of
  // the steps (Hu et al., MiniCPM, arXiv:2404.06395). constant: warm-up, then lr.
  std::string kind = "cosine";
  double lr = 1e-3, min_lr = 1e-4;
  int64_t warmup = 0;  // steps; step i of them has lr (i + 1) / (warmup + 1)
  int64_t steps = 0;   // of the whole run
  double decay_fraction = 0.2;
};

// Of step `step`, counted from 0.
double learning_rate(const Schedule& schedule, int64_t step);

}  // namespace weft::train
