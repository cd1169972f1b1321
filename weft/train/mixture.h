// Several data directories of one tokenizer that a run is trained on together, each with its share.
#pragma once
#include <string>
#include <vector>

#include "weft/train/dataset.h"
#include "weft/train/samples.h"

namespace weft::train {

struct MixturePart {
  std::string path;
  double weight = 1;
  std::string sha256 = {};  // Dataset::train_sha256(); empty: not known yet
};
// "DATA", or "DATA:2,OTHER:0.5": paths, with weights behind a colon where they are not 1. What
// exists under the whole name is one path.
std::vector<MixturePart> parse_mixture(const std::string& words);

class Mixture {
 public:
  // Opens them. Error(data) where the tokenizers differ or a directory has other training tokens
  // than its part says.
  explicit Mixture(std::vector<MixturePart> parts);

  // With hashes and absolute paths.
  const std::vector<MixturePart>& parts() const { return parts_; }
  const Tokenizer& tokenizer() const { return datasets_[0].tokenizer(); }
  // All together; the hashes are those of the first.
  DataInfo info() const;
  std::vector<Samples::Source> train() const;
  std::vector<Documents> val() const;

 private:
  std::vector<MixturePart> parts_;
  std::vector<Dataset> datasets_;
};

}  // namespace weft::train
