#include "weft/engine/scheduler.h"

#include <algorithm>

#include "weft/base/error.h"

namespace weft::engine {
namespace {

size_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const size_t n = std::min(a.size(), b.size());
  return size_t(std::mismatch(a.begin(), a.begin() + int64_t(n), b.begin()).first - a.begin());
}

}  // namespace

Scheduler::Scheduler(int32_t slots, int32_t max_tokens) : max_tokens_(max_tokens) {
  WEFT_CHECK(slots >= 1 && max_tokens >= slots, "{} slots, {} tokens", slots, max_tokens);
  for (int32_t slot = 0; slot < slots; ++slot) free_slots_.push_back(slot);
  in_slot_.resize(size_t(slots));
}

void Scheduler::add(Sequence& sequence) {
  WEFT_CHECK(sequence.slot < 0 && sequence.pending() > 0, "slot {}, {} pending", sequence.slot,
             sequence.pending());
  waiting_.push_back(&sequence);
}

// The free slot that holds most of the sequence's beginning; of several the lowest. The last token
// is computed in any case: the next one is chosen from it.
void Scheduler::give_slot(Sequence& sequence) {
  auto best = free_slots_.begin();
  size_t most = 0;
  for (auto slot = best; slot != free_slots_.end(); ++slot) {
    const size_t n = common_prefix(in_slot_[size_t(*slot)], sequence.tokens);
    if (n > most) most = n, best = slot;
  }
  sequence.slot = *best;
  sequence.reused = sequence.computed = int32_t(std::min(most, sequence.tokens.size() - 1));
  free_slots_.erase(best);
}

void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    give_slot(*waiting_.front());
    running_.push_back(waiting_.front());
    waiting_.pop_front();
  }
}

std::span<const Work> Scheduler::schedule() {
  admit();
  work_.clear();
  int32_t left = max_tokens_;
  for (Sequence* sequence : running_) {
    if (sequence->pending() != 1) continue;
    work_.push_back({sequence, 1});
    --left;
  }
  for (Sequence* sequence : running_) {
    const int32_t pending = sequence->pending();
    WEFT_CHECK(pending >= 1, "slot {} has no pending token", sequence->slot);
    if (pending == 1 || left == 0) continue;
    work_.push_back({sequence, std::min(pending, left)});
    left -= work_.back().tokens;
  }
  return work_;
}

void Scheduler::commit() {
  for (const Work& work : work_) work.sequence->computed += work.tokens;
}

void Scheduler::finish(Sequence& sequence) {
  if (sequence.slot < 0) {
    WEFT_CHECK(std::erase(waiting_, &sequence) == 1, "sequence {} is not here", sequence.id);
    return;
  }
  WEFT_CHECK(std::erase(running_, &sequence) == 1, "slot {}", sequence.slot);
  in_slot_[size_t(sequence.slot)].assign(sequence.tokens.begin(),
                                         sequence.tokens.begin() + sequence.computed);
  free_slots_.insert(std::ranges::upper_bound(free_slots_, sequence.slot), sequence.slot);
  sequence.slot = -1;
}

}  // namespace weft::engine
