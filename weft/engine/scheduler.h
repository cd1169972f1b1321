// Which tokens the next step computes: sequences, their slots in the cache, and one budget of
// tokens for a step. Plain CPU code that knows no tensors.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace weft::engine {

struct Sequence {
  int64_t id = 0;               // the caller's
  std::vector<int32_t> tokens;  // the prompt, then what has been generated
  int32_t computed = 0;         // tokens[0, computed) have their keys and values in the slot
  int32_t reused = 0;           // of them those that lay in the slot when it got it
  int32_t slot = -1;            // -1: waits for one
  int32_t pending() const { return int32_t(tokens.size()) - computed; }
};

// A sequence and how many of its pending tokens come next.
struct Work {
  Sequence* sequence;
  int32_t tokens;
  // With the last pending token comes the choice of the next one.
  bool reaches_end() const { return tokens == sequence->pending(); }
};

// First come, first served. A step is schedule(), then the caller's computing, then commit(). What
// a finished sequence has left in its slot serves the next one that begins with the same tokens.
class Scheduler {
 public:
  // At most `slots` sequences at once and `max_tokens` >= slots tokens a step.
  Scheduler(int32_t slots, int32_t max_tokens);

  // Puts a sequence with pending tokens at the end of the queue. It must stay where it is in
  // memory until finish().
  void add(Sequence& sequence);
  // Sequences that generate come first, one token each, so that long prompts do not hold them up;
  // the rest of the budget goes to prompts in order of arrival. Empty: no sequence is left. The
  // result is valid until the next call.
  std::span<const Work> schedule();
  // The work that schedule() gave has been computed. To be called before tokens are added.
  void commit();
  // Takes a sequence out, whether it runs or waits; its slot is free.
  void finish(Sequence& sequence);

 private:
  void admit();
  void give_slot(Sequence& sequence);

  int32_t max_tokens_;
  std::vector<int32_t> free_slots_;            // ascending
  std::vector<std::vector<int32_t>> in_slot_;  // tokens whose keys and values lie in a free slot
  std::deque<Sequence*> waiting_;
  std::vector<Sequence*> running_;  // in order of arrival
  std::vector<Work> work_;
};

}  // namespace weft::engine
