#include "weft/train/inspect.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "weft/base/sha256.h"

namespace weft::train {
namespace {

// Half of a document's SHA-256.
using Fingerprint = std::array<uint64_t, 2>;

Fingerprint fingerprint(const Documents& documents, int64_t document) {
  const TokenView& tokens = documents.tokens;
  const int64_t begin = documents.begin(document), end = documents.end(document);
  const Sha256Digest hash = sha256(tokens.payload.subspan(
      size_t(begin * tokens.token_bytes), size_t((end - begin) * tokens.token_bytes)));
  Fingerprint half;
  std::memcpy(half.data(), hash.data(), sizeof half);
  return half;
}

// Ascending, each with the tokens of its document.
std::vector<std::pair<Fingerprint, int64_t>> fingerprints(const Documents& documents) {
  std::vector<std::pair<Fingerprint, int64_t>> all;
  for (int64_t d = 0; d < documents.size(); ++d)
    all.emplace_back(fingerprint(documents, d), documents.end(d) - documents.begin(d));
  std::ranges::sort(all);
  return all;
}

}  // namespace

LengthStatistics length_statistics(const Documents& documents) {
  LengthStatistics s;
  std::vector<int64_t> lengths;
  for (int64_t d = 0; d < documents.size(); ++d)
    lengths.push_back(documents.end(d) - documents.begin(d));
  std::ranges::sort(lengths);
  const size_t n = lengths.size();
  s.shortest = lengths[0], s.median = lengths[n / 2], s.ninetieth = lengths[n * 9 / 10];
  s.longest = lengths[n - 1], s.mean = double(documents.tokens.size()) / double(n);
  s.counts.resize(size_t(std::bit_width(uint64_t(s.longest))));
  for (const int64_t length : lengths) ++s.counts[size_t(std::bit_width(uint64_t(length))) - 1];
  const auto all = fingerprints(documents);
  for (size_t i = 1; i < n; ++i)
    if (all[i] == all[i - 1]) ++s.duplicates, s.duplicate_tokens += all[i].second;
  return s;
}

int64_t shared_documents(const Documents& some, const Documents& others) {
  const auto known = fingerprints(others);
  return std::ranges::count_if(
      fingerprints(some), [&](const auto& one) { return std::ranges::binary_search(known, one); });
}

}  // namespace weft::train
