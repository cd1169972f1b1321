#include "weft/train/mixture.h"

#include <charconv>
#include <filesystem>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/train/loaded_model.h"

namespace weft::train {
namespace {

// A path that still leads there when the run is resumed from another directory.
std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

MixturePart parse_part(const std::string& word) {
  const size_t colon = word.rfind(':');
  if (path_exists(word) || colon == std::string::npos) return {word};
  MixturePart part{word.substr(0, colon)};
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data() + colon + 1, end, part.weight);
  if (error != std::errc() || stop != end)
    user_error("{} must be a data directory, or one with a weight as in DATA:0.5", in_quotes(word));
  return part;
}

void add(SplitInfo& to, const SplitInfo& more) {
  to.tokens += more.tokens, to.bytes += more.bytes, to.documents += more.documents;
}

}  // namespace

std::vector<MixturePart> parse_mixture(const std::string& words) {
  if (path_exists(words)) return {{words}};
  std::vector<MixturePart> parts;
  for (size_t at = 0; at <= words.size();) {
    const size_t end = std::min(words.find(',', at), words.size());
    parts.push_back(parse_part(words.substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

Mixture::Mixture(std::vector<MixturePart> parts) : parts_(std::move(parts)) {
  WEFT_CHECK(!parts_.empty());
  for (MixturePart& part : parts_) {
    const Dataset& data = datasets_.emplace_back(part.path);
    if (!part.sha256.empty() && part.sha256 != data.train_sha256())
      data_error("{} has other training tokens than the run was started with; give the same data",
                 part.path);
    check_same_tokenizer(tokenizer(), parts_[0].path, data.tokenizer(), part.path);
    if (data.val().tokens.size() < 2)
      data_error("{} has {} tokens to validate on, but at least 2 are needed; raise --val-fraction",
                 part.path, data.val().tokens.size());
    part.sha256 = data.train_sha256(), part.path = absolute(part.path);
  }
}

DataInfo Mixture::info() const {
  DataInfo info = datasets_[0].info();
  for (size_t i = 1; i < datasets_.size(); ++i)
    add(info.train, datasets_[i].info().train), add(info.val, datasets_[i].info().val);
  return info;
}

std::vector<Samples::Source> Mixture::train() const {
  std::vector<Samples::Source> sources;
  for (size_t i = 0; i < datasets_.size(); ++i)
    sources.push_back({datasets_[i].train(), parts_[i].weight});
  return sources;
}

std::vector<Documents> Mixture::val() const {
  std::vector<Documents> all;
  for (const Dataset& data : datasets_) all.push_back(data.val());
  return all;
}

}  // namespace weft::train
