// What the documents of a data directory are like.
#pragma once
#include <cstdint>
#include <vector>

#include "weft/train/dataset.h"

namespace weft::train {

struct LengthStatistics {
  int64_t shortest = 0, median = 0, ninetieth = 0, longest = 0;  // tokens of a document
  double mean = 0;
  // counts[i]: documents of 2^i to 2^(i+1) - 1 tokens.
  std::vector<int64_t> counts;
  // Documents that equal an earlier one token for token, and their tokens.
  int64_t duplicates = 0, duplicate_tokens = 0;
};
LengthStatistics length_statistics(const Documents& documents);

// How many documents of `some` are also in `others`.
int64_t shared_documents(const Documents& some, const Documents& others);

}  // namespace weft::train
