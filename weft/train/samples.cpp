#include "weft/train/samples.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "weft/base/error.h"
#include "weft/base/random.h"

namespace weft::train {
namespace {

// Whole shares of a block in the proportion of the weights, by largest remainders; cumulative.
std::vector<int64_t> cumulative_shares(const std::vector<Samples::Source>& sources) {
  double total = 0;
  for (const Samples::Source& s : sources) {
    if (!(s.weight > 0 && s.weight < 1e9))
      user_error("the weight of a data directory must be above 0 and below 1e9, got {}", s.weight);
    total += s.weight;
  }
  std::vector<int64_t> shares;
  std::vector<std::pair<double, size_t>> remainders;
  for (size_t i = 0; i < sources.size(); ++i) {
    const double exact = sources[i].weight / total * double(mixture_block);
    shares.push_back(int64_t(exact));
    remainders.emplace_back(double(shares[i]) - exact, i);
  }
  std::ranges::sort(remainders);
  int64_t left = mixture_block - std::accumulate(shares.begin(), shares.end(), int64_t(0));
  for (size_t i = 0; left > 0; ++i, --left) ++shares[remainders[i].second];
  if (std::ranges::count(shares, 0) > 0)
    user_error("every data directory needs a weight of at least 1/{} of all, so that it is seen",
               mixture_block);
  std::partial_sum(shares.begin(), shares.end(), shares.begin());
  return shares;
}

// The pieces of all documents in the order of the text.
std::vector<Piece> cut(const Documents& documents, int64_t context, int32_t source) {
  std::vector<Piece> pieces;
  for (int64_t d = 0; d < documents.size(); ++d)
    for (int64_t at = documents.begin(d); at < documents.end(d) - 1; at += context)
      pieces.push_back({at, int32_t(std::min(context, documents.end(d) - 1 - at)), source});
  return pieces;
}

// Rows that have room for more, by how much.
class OpenRows {
 public:
  // The row with the least room that is enough; -1: none.
  int64_t take(int64_t length) {
    const auto found = by_room_.lower_bound(length);
    if (found == by_room_.end()) return -1;
    room_ = found->first;
    const int64_t row = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) by_room_.erase(found);
    return row;
  }
  int64_t room() const { return room_; }  // that the row taken last had
  void put(int64_t row, int64_t room) { by_room_[room].push_back(row); }

 private:
  std::map<int64_t, std::vector<int64_t>> by_room_;
  int64_t room_ = 0;
};

}  // namespace

int64_t sample_offset(uint64_t seed, int64_t sample, int64_t tokens, int64_t context) {
  WEFT_CHECK(tokens > context, "{} tokens, context {}", tokens, context);
  const auto words = Philox{random_key(seed, hash_path("train.samples"))}(uint64_t(sample));
  const uint64_t bits = uint64_t(words[0]) << 32 | words[1];
  // The product's upper half: uniform up to 2^-64 times the number of places.
  using Wide = unsigned __int128;
  return int64_t(Wide(bits) * Wide(uint64_t(tokens - context)) >> 64);
}

int64_t permuted(uint64_t key, int64_t index, int64_t n) {
  WEFT_CHECK(index >= 0 && index < n, "{} of {}", index, n);
  const int half = std::max(1, int(std::bit_width(uint64_t(n - 1)) + 1) / 2);
  const uint64_t mask = (uint64_t(1) << half) - 1;
  const Philox philox{key};
  uint64_t x = uint64_t(index);
  do {
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t round = 0; round < 4; ++round) {
      const auto words = philox(right, round);
      const uint64_t mixed = left ^ ((uint64_t(words[0]) << 32 | words[1]) & mask);
      left = right, right = mixed;
    }
    x = left << half | right;
  } while (x >= uint64_t(n));
  return int64_t(x);
}

Samples::Samples(const TrainConfig& config, std::vector<Source> sources)
    : seed_(uint64_t(config.seed)), context_(config.model.context), sources_(std::move(sources)) {
  WEFT_CHECK(!sources_.empty());
  const auto many = [](const Source& s) { return s.documents.size() > 1; };
  packed_ =
      config.rows == "documents" || (config.rows == "auto" && std::ranges::any_of(sources_, many));
  if (sources_.size() > 1) shares_ = cumulative_shares(sources_);
  // A row of tiny documents may stay short, so that batches need not be made for a document of
  // every single token.
  if (packed_) max_pieces_ = std::max<int64_t>(context_ / 8, 1);
  for (const Source& s : sources_) {
    if (packed_)
      rows_.push_back(pack(s.documents, int32_t(rows_.size())));
    else if (s.documents.tokens.size() <= context_)
      data_error(
          "a data directory has {} tokens to train on, but a context of {} needs {}; give more "
          "text or a shorter --context",
          s.documents.tokens.size(), context_, context_ + 1);
  }
}

Samples::Rows Samples::pack(const Documents& documents, int32_t source) const {
  std::vector<Piece> pieces = cut(documents, context_, source);
  if (pieces.empty()) data_error("no document has two tokens, so there is nothing to train on");
  std::ranges::stable_sort(pieces, std::greater<>(), &Piece::length);
  OpenRows open;
  std::vector<int64_t> row_of(pieces.size()), counts;
  for (size_t i = 0; i < pieces.size(); ++i) {
    int64_t row = open.take(pieces[i].length), room = open.room();
    if (row < 0) row = int64_t(counts.size()), room = context_, counts.push_back(0);
    row_of[i] = row;
    room -= pieces[i].length;
    if (++counts[size_t(row)] < max_pieces_ && room > 0) open.put(row, room);
  }
  Rows rows;
  rows.starts.resize(counts.size() + 1);
  for (const int64_t row : row_of) ++rows.starts[size_t(row) + 1];
  std::partial_sum(rows.starts.begin(), rows.starts.end(), rows.starts.begin());
  rows.pieces.resize(pieces.size());
  std::vector<int64_t> next(rows.starts.begin(), rows.starts.end() - 1);
  for (size_t i = 0; i < pieces.size(); ++i)
    rows.pieces[size_t(next[size_t(row_of[i])]++)] = pieces[i];
  return rows;
}

Samples::Place Samples::locate(int64_t sample) const {
  if (shares_.empty()) return {0, sample};
  const int64_t block = sample / mixture_block;
  const uint64_t key = random_key(uint64_t(block), random_key(seed_, hash_path("train.mixture")));
  const int64_t slot = permuted(key, sample % mixture_block, mixture_block);
  const size_t source = size_t(std::ranges::upper_bound(shares_, slot) - shares_.begin());
  const int64_t before = source == 0 ? 0 : shares_[source - 1];
  return {source, block * (shares_[source] - before) + slot - before};
}

const Piece* Samples::row_of(int64_t sample, int64_t& count) const {
  const auto [source, index] = locate(sample);
  const Rows& rows = rows_[source];
  const uint64_t of_source = random_key(source, random_key(seed_, hash_path("train.rows")));
  const uint64_t key = random_key(uint64_t(index / rows.size()), of_source);  // of the epoch
  const size_t row = size_t(permuted(key, index % rows.size(), rows.size()));
  count = rows.starts[row + 1] - rows.starts[row];
  return rows.pieces.data() + rows.starts[row];
}

void Samples::get(int64_t sample, std::vector<Piece>& out) const {
  if (packed_) {
    int64_t count = 0;
    const Piece* pieces = row_of(sample, count);
    out.assign(pieces, pieces + count);
    return;
  }
  const size_t source = locate(sample).source;
  const int64_t tokens = sources_[source].documents.tokens.size();
  out.assign(1,
             {sample_offset(seed_, sample, tokens, context_), int32_t(context_), int32_t(source)});
}

int64_t Samples::targets(int64_t first, int64_t count) const {
  if (!packed_) return count * context_;
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t pieces = 0;
    const Piece* piece = row_of(first + i, pieces);
    for (int64_t p = 0; p < pieces; ++p) total += piece[p].length;
  }
  return total;
}

}  // namespace weft::train
