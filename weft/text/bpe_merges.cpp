#include "weft/text/bpe_merges.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <numeric>
#include <queue>

#include "weft/base/error.h"

namespace weft {
namespace {

constexpr size_t max_short = 64;  // symbols; beyond, merge_long is faster

}  // namespace

BpeRules::BpeRules(const std::vector<BpeRule>& rules)
    : BpeRules(rules, [&] {
        std::vector<int32_t> ranks(rules.size());
        std::iota(ranks.begin(), ranks.end(), 0);
        return ranks;
      }()) {}

BpeRules::BpeRules(const std::vector<BpeRule>& rules, const std::vector<int32_t>& ranks) {
  const size_t slots = std::bit_ceil(2 * rules.size() + 2);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
  slots_.assign(slots, {empty, {no_rule, -1}});
  for (size_t i = 0; i < rules.size(); ++i) {
    const BpeRule& rule = rules[i];
    const uint64_t key = key_of(rule.left, rule.right);
    size_t at = place(key);
    while (slots_[at].key != empty && slots_[at].key != key) at = (at + 1) & mask_;
    slots_[at] = {key, {ranks[i], rule.merged}};
  }
}

size_t merge_short(const BpeRules& rules, int32_t* symbols, size_t n) {
  BpeRules::Match pairs[max_short];  // of symbols i and i + 1
  WEFT_CHECK(n <= max_short, "{}", n);
  for (size_t i = 0; i + 1 < n; ++i) pairs[i] = rules.find(symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].rank == BpeRules::no_rule) break;
    symbols[best] = pairs[best].merged;
    --n;
    std::copy(symbols + best + 2, symbols + n + 1, symbols + best + 1);
    if (best + 1 < n) std::copy(pairs + best + 2, pairs + n, pairs + best + 1);
    if (best + 1 < n) pairs[best] = rules.find(symbols[best], symbols[best + 1]);
    if (best > 0) pairs[best - 1] = rules.find(symbols[best - 1], symbols[best]);
  }
  return n;
}

namespace {

// A linked list of symbols and a heap of the pairs that rules fit, some of them outdated.
class LongMerge {
 public:
  LongMerge(const BpeRules& rules, int32_t* symbols, size_t n)
      : rules_(rules), symbols_(symbols), nodes_(n) {
    for (size_t i = 0; i < n; ++i) nodes_[i].before = i - 1, nodes_[i].after = i + 1;
    for (size_t i = 0; i + 1 < n; ++i) offer(i);
  }

  size_t run() {
    while (!heap_.empty()) {
      const Candidate candidate = heap_.top();
      heap_.pop();
      // A pair that has changed since has another rank or none.
      if (nodes_[candidate.at].match.rank == candidate.rank) merge(candidate.at);
    }
    size_t n = 0;
    for (size_t i = 0; i < nodes_.size(); i = nodes_[i].after) symbols_[n++] = symbols_[i];
    return n;
  }

 private:
  struct Candidate {
    int32_t rank;
    size_t at;
    bool operator>(const Candidate& o) const { return rank != o.rank ? rank > o.rank : at > o.at; }
  };
  struct Node {
    size_t before, after;  // indices; before the first is SIZE_MAX, after the last nodes_.size()
    BpeRules::Match match = {BpeRules::no_rule, -1};  // of this symbol and the next
  };

  void offer(size_t at) {
    Node& node = nodes_[at];
    node.match = node.after < nodes_.size() ? rules_.find(symbols_[at], symbols_[node.after])
                                            : BpeRules::Match{BpeRules::no_rule, -1};
    if (node.match.rank != BpeRules::no_rule) heap_.push({node.match.rank, at});
  }
  void merge(size_t at) {
    Node& node = nodes_[at];
    Node& gone = nodes_[node.after];
    symbols_[at] = node.match.merged;
    gone.match.rank = BpeRules::no_rule;
    node.after = gone.after;
    if (node.after < nodes_.size()) nodes_[node.after].before = at;
    offer(at);
    if (node.before != SIZE_MAX) offer(node.before);
  }

  const BpeRules& rules_;
  int32_t* symbols_;
  std::vector<Node> nodes_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap_;
};

}  // namespace

size_t merge_long(const BpeRules& rules, int32_t* symbols, size_t n) {
  return n == 0 ? 0 : LongMerge(rules, symbols, n).run();
}

PieceEncoder::PieceEncoder(const Model& model)
    : model_(&model), entries_(size_t(1) << entry_bits) {}

PieceEncoder::Key PieceEncoder::load(std::string_view piece, const char* readable_end) {
  Key key{};
  if (size_t(readable_end - piece.data()) < max_key) {
    std::memcpy(key.data(), piece.data(), piece.size());
    return key;
  }
  std::memcpy(key.data(), piece.data(), max_key);
  for (size_t word = 0; word < key.size(); ++word) {  // clears what follows the piece
    const size_t kept = piece.size() > 8 * word ? piece.size() - 8 * word : 0;
    if (kept < 8) key[word] &= (uint64_t(1) << 8 * kept) - 1;
  }
  return key;
}

void PieceEncoder::encode_new(std::string_view piece, const char* readable_end,
                              std::vector<int32_t>& ids) {
  const size_t first = ids.size();
  merge(piece, ids);
  const size_t count = ids.size() - first;
  if (piece.size() > max_key || count > max_ids) return;
  const Key key = load(piece, readable_end);
  Entry& entry = entries_[slot_of(key, piece.size())];
  entry.key = key;
  entry.size = uint8_t(piece.size());
  entry.count = uint8_t(count);
  std::copy(ids.begin() + ptrdiff_t(first), ids.end(), entry.ids);
}

void PieceEncoder::merge(std::string_view piece, std::vector<int32_t>& ids) {
  if (model_->ignore_merges) {
    const auto found = model_->whole.find(std::string(piece));
    if (found != model_->whole.end()) return ids.push_back(found->second);
  }
  const size_t first = ids.size();
  ids.resize(first + piece.size());
  int32_t* const symbols = ids.data() + first;
  for (size_t i = 0; i < piece.size(); ++i) {
    symbols[i] = model_->byte_ids[uint8_t(piece[i])];
    if (symbols[i] < 0)
      user_error("the vocabulary has no token for the byte {:#04x}; remove it from the text",
                 uint8_t(piece[i]));
  }
  ids.resize(first + (piece.size() <= max_short
                          ? merge_short(model_->rules, symbols, piece.size())
                          : merge_long(model_->rules, symbols, piece.size())));
}

}  // namespace weft
