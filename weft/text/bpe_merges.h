// The heart of byte-pair encoding: within one piece of text, the pair of neighbours whose rule
// comes first in the list is merged, the leftmost first, until no rule fits (Sennrich et al. 2016).
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weft {

struct BpeRule {
  int32_t left, right, merged;
};

// Rules by pair. Const members may be called by several threads.
class BpeRules {
 public:
  struct Match {
    int32_t rank;  // place in the list; no_rule when there is none
    int32_t merged;
  };
  static constexpr int32_t no_rule = INT32_MAX;

  // Of two rules for a pair the later one counts. Ids are not -1.
  explicit BpeRules(const std::vector<BpeRule>& rules);
  // With a rank for each rule, of which some may be equal.
  BpeRules(const std::vector<BpeRule>& rules, const std::vector<int32_t>& ranks);

  Match find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    for (size_t at = place(key);; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.key == key) return slot.match;
      if (slot.key == empty) return {no_rule, -1};
    }
  }

 private:
  struct Slot {
    uint64_t key;
    Match match;
  };
  static constexpr uint64_t empty = ~uint64_t(0);

  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }
  size_t place(uint64_t key) const { return size_t((key * 0x9E3779B97F4A7C15u) >> shift_); }

  std::vector<Slot> slots_;  // open addressing, at most half full
  size_t mask_ = 0;
  int shift_ = 0;
};

// Merges the `n` symbols in place and returns how many are left. Quadratic in n: for short pieces.
size_t merge_short(const BpeRules& rules, int32_t* symbols, size_t n);
// The same in n log n.
size_t merge_long(const BpeRules& rules, int32_t* symbols, size_t n);

// Encodes pieces and remembers those it has seen. For one thread at a time.
class PieceEncoder {
 public:
  struct Model {
    BpeRules rules;
    std::array<int32_t, 256> byte_ids;  // -1: the vocabulary has no token for the byte
    // With ignore_merges a piece that is a token as a whole is that token, whatever the rules say.
    bool ignore_merges = false;
    std::unordered_map<std::string, int32_t> whole;  // only with ignore_merges
  };

  // The model must outlive the encoder.
  explicit PieceEncoder(const Model& model);

  // Appends the ids of `piece`, which lies in memory that can be read up to `readable_end`.
  // Error(user) for a byte without a token.
  void encode(std::string_view piece, const char* readable_end, std::vector<int32_t>& ids) {
    if (piece.size() <= max_key) [[likely]] {
      const Key key = load(piece, readable_end);
      const Entry& entry = entries_[slot_of(key, piece.size())];
      if (entry.size == piece.size() && entry.key == key) [[likely]] {
        ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
        return;
      }
    }
    encode_new(piece, readable_end, ids);
  }

 private:
  using Key = std::array<uint64_t, 3>;
  static constexpr size_t max_key = sizeof(Key), max_ids = 9, entry_bits = 15;
  // What a short piece becomes; one cache line.
  struct alignas(64) Entry {
    Key key;
    uint8_t size;  // 0: the entry is free
    uint8_t count;
    int32_t ids[max_ids];
  };

  // The bytes of a piece, then zeros.
  static Key load(std::string_view piece, const char* readable_end);
  static size_t slot_of(const Key& key, size_t size) {
    uint64_t h = (key[0] ^ (key[1] * 0x9E3779B97F4A7C15u) ^ (key[2] * 0xC2B2AE3D27D4EB4Fu)) + size;
    h *= 0xD6E8FEB86659FD93u;
    return size_t(h >> (64 - entry_bits));
  }
  void encode_new(std::string_view piece, const char* readable_end, std::vector<int32_t>& ids);
  void merge(std::string_view piece, std::vector<int32_t>& ids);

  const Model* model_;
  std::vector<Entry> entries_;
};

}  // namespace weft
