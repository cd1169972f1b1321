#include "weft/engine/scheduler.h"

#include <algorithm>

#include "weft/base/error.h"

namespace weft::engine {

Scheduler::Scheduler(int32_t slots, int32_t max_tokens) : max_tokens_(max_tokens) {
  WEFT_CHECK(slots >= 1 && max_tokens >= slots, "{} slots, {} tokens", slots, max_tokens);
  for (int32_t slot = slots; slot-- > 0;) free_slots_.push_back(slot);
}

void Scheduler::add(Sequence& sequence) {
  WEFT_CHECK(sequence.slot < 0 && sequence.pending() > 0, "slot {}, {} pending", sequence.slot,
             sequence.pending());
  waiting_.push_back(&sequence);
}

void Scheduler::admit() {
  while (!waiting_.empty() && !free_slots_.empty()) {
    Sequence& sequence = *waiting_.front();
    waiting_.pop_front();
    sequence.slot = free_slots_.back();
    sequence.computed = 0;
    free_slots_.pop_back();
    running_.push_back(&sequence);
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
  const size_t removed = std::erase(running_, &sequence);
  WEFT_CHECK(removed == 1, "slot {}", sequence.slot);
  const auto place =
      std::lower_bound(free_slots_.begin(), free_slots_.end(), sequence.slot, std::greater<>());
  free_slots_.insert(place, sequence.slot);
  sequence.slot = -1;
}

}  // namespace weft::engine
