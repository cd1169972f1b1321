// What the demo's model is asked when it has learned: to write, to add, to talk.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "weft/train/loaded_model.h"

namespace weft::cli {

struct ExamResult {
  std::vector<std::string> texts;  // written from nothing
  int64_t accepted = 0;            // of the texts: finished, and right to the last letter
  int64_t sums = 0, right = 0;     // asked, and answered with the most probable words
  double temperature = 0;          // of the texts
};
ExamResult examine(const train::LoadedModel& model, uint64_t seed);

// A fixed conversation, printed as the model answers.
void converse(const train::LoadedModel& model, uint64_t seed);

}  // namespace weft::cli
