#include "weft/text/bpe_train.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "weft/base/error.h"
#include "weft/base/utf8.h"
#include "weft/text/byte_alphabet.h"

namespace weft {
namespace {

constexpr int64_t max_vocab = int64_t(1) << 20;
constexpr size_t block_bytes = size_t(1) << 20;
constexpr size_t max_word = 512;  // longer pieces count in parts, so that no piece takes long

using WordCounts = std::unordered_map<std::string_view, int64_t>;  // views of the texts

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// The texts in blocks of about a megabyte. They end between a letter and " a", where every usual
// pattern cuts, and do not depend on the number of threads.
std::vector<std::string_view> blocks_of(std::span<const std::string_view> texts) {
  std::vector<std::string_view> blocks;
  for (std::string_view text : texts) {
    while (text.size() > block_bytes) {
      size_t end = block_bytes;
      while (end + 1 < text.size() &&
             !(text[end] == ' ' && is_letter(text[end - 1]) && is_letter(text[end + 1])))
        ++end;
      if (end + 1 >= text.size()) break;
      blocks.push_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    if (!text.empty()) blocks.push_back(text);
  }
  return blocks;
}

void count_words(std::string_view block, const PreTokenizer& pre_tokenizer,
                 const AddedTokenFinder& special, WordCounts& counts) {
  for (const Section& section : special.split(block)) {
    if (section.id >= 0) continue;
    pre_tokenizer.for_each_piece(section.text, [&](std::string_view piece) {
      for (; piece.size() > max_word; piece.remove_prefix(max_word))
        ++counts[piece.substr(0, max_word)];
      ++counts[piece];
    });
  }
}

WordCounts count_words(std::span<const std::string_view> texts, const PreTokenizer& pre_tokenizer,
                       const AddedTokenFinder& special, ThreadPool& pool) {
  const std::vector<std::string_view> blocks = blocks_of(texts);
  std::vector<WordCounts> parts(size_t(pool.size()));
  pool.run([&](int thread) {
    for (size_t b = size_t(thread); b < blocks.size(); b += parts.size())
      count_words(blocks[b], pre_tokenizer, special, parts[size_t(thread)]);
  });
  WordCounts total = std::move(parts[0]);
  for (size_t t = 1; t < parts.size(); ++t)
    for (const auto& [word, count] : parts[t]) total[word] += count;
  return total;
}

// The distinct words as symbols, and how often each pair of neighbours occurs in them.
class PairCounts {
 public:
  struct Best {
    int64_t count;
    int32_t left, right;
    // The largest count, then the smallest ids, is the top of a heap.
    bool operator<(const Best& o) const {
      if (count != o.count) return count < o.count;
      return left != o.left ? left > o.left : right > o.right;
    }
  };

  // byte_ids: the id of each byte.
  PairCounts(const WordCounts& words, const std::array<int32_t, 256>& byte_ids) {
    for (const auto& [text, count] : words) {
      const auto index = uint32_t(words_.size());
      Word& word = words_.emplace_back(Word{count, {}});
      for (const char byte : text) word.symbols.push_back(byte_ids[uint8_t(byte)]);
      for (size_t i = 0; i + 1 < word.symbols.size(); ++i)
        add(word.symbols[i], word.symbols[i + 1], index);
    }
    for (const auto& [key, pair] : pairs_) offer(key, pair.count);
  }

  // The pair that occurs most often; a count of 0 when there is none.
  Best take_best() {
    while (!heap_.empty()) {
      Best best = heap_.top();
      heap_.pop();
      const int64_t now = pairs_.at(key_of(best.left, best.right)).count;
      if (now == best.count) return best;
      best.count = now;  // counts only fall after a pair was offered
      if (now > 0) heap_.push(best);
    }
    return {0, 0, 0};
  }

  // Replaces the pair by the symbol `merged` everywhere.
  void merge(int32_t left, int32_t right, int32_t merged) {
    const std::vector<uint32_t> where = std::move(pairs_.at(key_of(left, right)).words);
    new_pairs_.clear();
    for (const uint32_t index : where) merge_in(index, left, right, merged);
    pairs_.at(key_of(left, right)).count = 0;
    std::ranges::sort(new_pairs_);
    new_pairs_.erase(std::unique(new_pairs_.begin(), new_pairs_.end()), new_pairs_.end());
    for (const uint64_t key : new_pairs_) offer(key, pairs_.at(key).count);
  }

 private:
  struct Word {
    int64_t count;
    std::vector<int32_t> symbols;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  // that have it or had it, each about once
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }
  void offer(uint64_t key, int64_t count) {
    if (count > 0) heap_.push({count, int32_t(key >> 32), int32_t(key & 0xFFFFFFFF)});
  }
  void add(int32_t left, int32_t right, uint32_t word) {
    Pair& pair = pairs_[key_of(left, right)];
    pair.count += words_[word].count;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  }
  void remove(int32_t left, int32_t right, uint32_t word) {
    pairs_.at(key_of(left, right)).count -= words_[word].count;
  }
  void add_new(int32_t left, int32_t right, uint32_t word) {
    add(left, right, word);
    new_pairs_.push_back(key_of(left, right));
  }

  // From left to right; each place changes its two neighbouring pairs.
  void merge_in(uint32_t index, int32_t left, int32_t right, int32_t merged) {
    std::vector<int32_t>& s = words_[index].symbols;
    size_t kept = 0;
    for (size_t i = 0; i < s.size(); ++i) {
      if (i + 1 == s.size() || s[i] != left || s[i + 1] != right) {
        s[kept++] = s[i];
        continue;
      }
      if (kept > 0) {
        remove(s[kept - 1], left, index);
        add_new(s[kept - 1], merged, index);
      }
      if (i + 2 < s.size()) {
        remove(right, s[i + 2], index);
        add_new(merged, s[i + 2], index);
      }
      s[kept++] = merged;
      ++i;
    }
    s.resize(kept);
  }

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Best> heap_;
  std::vector<uint64_t> new_pairs_;  // of the merge under way
};

// The special tokens, then the bytes in the order of their alphabet, as Hugging Face has them.
BpeParts first_parts(const BpeTraining& options) {
  BpeParts parts;
  parts.splits = options.splits;
  parts.start = options.start;
  for (const std::string& content : options.special) {
    parts.added.push_back(
        {.id = int32_t(parts.tokens.size()), .content = content, .special = true});
    parts.tokens.push_back(content);
  }
  std::array<int, 256> bytes{};
  for (int b = 0; b < 256; ++b) bytes[size_t(b)] = b;
  std::ranges::sort(bytes, {}, [](int b) { return alphabet_character(uint8_t(b)); });
  for (const int b : bytes) parts.tokens.push_back(in_alphabet(std::string(1, char(b))));
  return parts;
}

// Appends rules and tokens until there are as many as wanted.
void learn(BpeParts& parts, PairCounts& pairs, size_t vocab_size) {
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = 0; id < parts.tokens.size(); ++id) ids.emplace(parts.tokens[id], int32_t(id));
  while (parts.tokens.size() < vocab_size) {
    const PairCounts::Best best = pairs.take_best();
    if (best.count < 2)
      user_error(
          "the text allows a vocabulary of at most {} tokens, because no other pair occurs twice, "
          "but {} are wanted; ask for fewer or give more text",
          parts.tokens.size(), vocab_size);
    const std::string token = parts.tokens[size_t(best.left)] + parts.tokens[size_t(best.right)];
    // Two pairs may spell the same token.
    const auto [entry, is_new] = ids.emplace(token, int32_t(parts.tokens.size()));
    if (is_new) parts.tokens.push_back(token);
    parts.rules.push_back({best.left, best.right, entry->second});
    pairs.merge(best.left, best.right, entry->second);
  }
}

}  // namespace

std::unique_ptr<BpeTokenizer> train_bpe(std::span<const std::string_view> texts,
                                        const BpeTraining& options, ThreadPool& pool) {
  BpeParts parts = first_parts(options);
  const auto least = int64_t(parts.tokens.size());
  if (options.vocab_size < least || options.vocab_size > max_vocab)
    user_error("the vocabulary must have {} to {} tokens, got {}", least, max_vocab,
               options.vocab_size);
  for (const std::string_view text : texts)
    if (const size_t bad = find_invalid_utf8(text); bad != text.npos)
      data_error("the text is not UTF-8 at byte {}: {}; convert it first", bad,
                 in_quotes(text.substr(bad, 4)));
  std::array<int32_t, 256> byte_ids{};
  for (int b = 0; b < 256; ++b) {
    const auto place = std::ranges::find(parts.tokens, in_alphabet(std::string(1, char(b))));
    byte_ids[size_t(b)] = int32_t(place - parts.tokens.begin());
  }
  PairCounts pairs(count_words(texts, PreTokenizer(options.splits, "the tokenizer"),
                               AddedTokenFinder(parts.added), pool),
                   byte_ids);
  learn(parts, pairs, size_t(options.vocab_size));
  return std::make_unique<BpeTokenizer>(std::move(parts), "the tokenizer");
}

}  // namespace weft
