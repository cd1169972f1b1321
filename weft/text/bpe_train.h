// Learns byte-level BPE from text: the pair of neighbours that occurs most often becomes a token,
// again and again (Sennrich et al. 2016). Of pairs that occur equally often the one with the
// smaller ids is taken, as Hugging Face's BpeTrainer does, so that the result is a function of the
// text alone, whatever the number of threads.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weft/device/thread_pool.h"
#include "weft/text/bpe.h"

namespace weft {

struct BpeTraining {
  int64_t vocab_size = 4096;  // the special tokens, the 256 bytes and what is learned
  std::vector<std::string> special = {
      "<|endoftext|>"};             // the first ids; no part of what is learned
  std::vector<int32_t> start = {};  // those of them that a model wants before a text
  // By default Qwen2's: sums are easier to learn from single digits.
  std::vector<SplitRule> splits = {{.pattern = std::string(qwen2_pattern)}};
};

// Error(user) when the vocabulary cannot hold the bytes, or is larger than the text allows: a pair
// must occur twice. Error(data) for text that is not UTF-8.
std::unique_ptr<BpeTokenizer> train_bpe(std::span<const std::string_view> texts,
                                        const BpeTraining& options, ThreadPool& pool);

}  // namespace weft
