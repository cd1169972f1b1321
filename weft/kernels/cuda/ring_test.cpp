// A model checker for the ring of the matrix product: every order in which the producers, the
// warpgroups and the copy engine of a cluster can act, on small rings. Barriers behave as mbarriers
// do: a wait is for a parity, not for a phase. Looked for: a state in which nobody can go on, a
// stage that is read with other contents than the step's, a stage that is overwritten while it is
// read. The places in the ring are the kernel's own code (RingPlace).
#include <array>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "weft/kernels/cuda/layout.h"

namespace weft::kernels::cuda {
namespace {

constexpr int stages = 2, max_ctas = 2, groups = 2;

// What is to be gone through, and mistakes to be found.
struct Model {
  int ctas = 1, pieces = 3, steps = 3;
  bool local_release_only = false;  // a consumer frees a stage for its own CTA alone
  bool no_turns = false;            // warpgroups do not wait for each other
  bool skip_forgets_phase = false;  // a skipped piece does not flip the parity
};

// Bytes, so that a state is its own key.
struct Barrier {
  int8_t phases = 0, arrivals = 0;  // ended; missing in this one
};
struct Stage {
  Barrier full, empty;
  int8_t announced = 0;                      // boxes missing in this phase
  std::array<int8_t, max_ctas> content{};    // global step + 1, by the CTA that loaded it
  std::array<int8_t, max_ctas> in_flight{};  // the same, not landed yet; 0: none
  int8_t readers = 0;
};
struct Producer {
  int8_t at = 0;  // global step
  RingPlace<stages> place;
};
struct Consumer {
  int8_t piece = 0, step = -1;  // -1: not begun
  int8_t previous = -1;         // stage still held
  int8_t turns = 0;             // tokens of its named barrier
  RingPlace<stages> place;
};
struct State {
  std::array<std::array<Stage, stages>, max_ctas> ring{};
  std::array<Producer, max_ctas> producers{};
  std::array<std::array<Consumer, groups>, max_ctas> consumers{};
  std::string key() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
};

class Checker {
 public:
  explicit Checker(const Model& model) : m_(model) {}

  // What went wrong first, or "".
  std::string run() {
    State start{};
    for (int c = 0; c < m_.ctas; ++c) {
      for (Stage& s : start.ring[size_t(c)])
        s.full.arrivals = 1, s.empty.arrivals = int8_t(m_.ctas);
      start.consumers[size_t(c)][0].turns = 1;
    }
    todo_ = {start};
    seen_ = {start.key()};
    while (!todo_.empty() && wrong_.empty()) {
      const State state = todo_.back();
      todo_.pop_back();
      if (!expand(state) && !finished(state)) return "nobody can go on";
    }
    return wrong_;
  }
  size_t states() const { return seen_.size(); }

 private:
  void visit(const State& next) {
    if (seen_.insert(next.key()).second) todo_.push_back(next);
  }
  static bool passed(const Barrier& b, unsigned parity) {
    return (unsigned(b.phases) & 1) != parity;
  }
  static void end_phase(Barrier& b, int arrivals) {
    b.phases = int8_t((b.phases + 1) % 4);
    b.arrivals = int8_t(arrivals);
  }
  void land_if_full(Stage& s) {
    if (s.full.arrivals == 0 && s.announced == 0) end_phase(s.full, 1);
  }
  void fail(const char* what) {
    if (wrong_.empty()) wrong_ = what;
  }

  bool finished(const State& s) const {
    for (int c = 0; c < m_.ctas; ++c) {
      if (s.producers[size_t(c)].at < m_.pieces * m_.steps) return false;
      for (const Consumer& x : s.consumers[size_t(c)])
        if (x.piece < m_.pieces) return false;
    }
    return true;
  }

  // All that can happen next; false when nothing can.
  bool expand(const State& s) {
    bool any = false;
    for (int c = 0; c < m_.ctas; ++c) {
      any = produce(s, c) || any;
      for (int g = 0; g < groups; ++g) any = consume(s, c, g) || any;
      for (int i = 0; i < stages; ++i)
        for (int from = 0; from < m_.ctas; ++from) any = land(s, c, i, from) || any;
    }
    return any;
  }

  // A CTA's producer announces a stage and sends its share of it to every CTA.
  bool produce(State s, int c) {
    Producer& p = s.producers[size_t(c)];
    if (p.at == m_.pieces * m_.steps) return false;
    const size_t at = size_t(p.place.stage);
    Stage& own = s.ring[size_t(c)][at];
    if (!passed(own.empty, p.place.phase ^ 1)) return false;
    own.full.arrivals = int8_t(own.full.arrivals - 1);
    own.announced = int8_t(own.announced + m_.ctas);
    for (int to = 0; to < m_.ctas; ++to) {
      Stage& there = s.ring[size_t(to)][at];
      if (there.readers > 0 || there.in_flight[size_t(c)]) fail("overwritten while it is read");
      there.in_flight[size_t(c)] = int8_t(p.at + 1);
    }
    land_if_full(own);
    p.at = int8_t(p.at + 1);
    p.place.advance();
    visit(s);
    return true;
  }

  bool land(State s, int c, int i, int from) {
    Stage& stage = s.ring[size_t(c)][size_t(i)];
    if (stage.in_flight[size_t(from)] == 0) return false;
    if (stage.readers > 0) fail("overwritten while it is read");
    stage.content[size_t(from)] = stage.in_flight[size_t(from)];
    stage.in_flight[size_t(from)] = 0;
    stage.announced = int8_t(stage.announced - 1);
    land_if_full(stage);
    visit(s);
    return true;
  }

  void release(State& s, int c, int stage) {
    s.ring[size_t(c)][size_t(stage)].readers = 0;
    for (int to = 0; to < m_.ctas; ++to) {
      if (m_.local_release_only && to != c) continue;
      Barrier& b = s.ring[size_t(to)][size_t(stage)].empty;
      b.arrivals = int8_t(b.arrivals - (m_.local_release_only ? m_.ctas : 1));
      if (b.arrivals == 0) end_phase(b, m_.ctas);
    }
  }

  // One step of a warpgroup: skips a piece of the other's, begins one, or takes a stage.
  bool consume(State s, int c, int g) {
    Consumer& x = s.consumers[size_t(c)][size_t(g)];
    if (x.piece == m_.pieces) return false;
    if (x.piece % groups != g) {
      const unsigned phase = x.place.phase;
      x.place.skip(m_.steps);
      if (m_.skip_forgets_phase) x.place.phase = phase;
      x.piece = int8_t(x.piece + 1);
    } else if (x.step < 0) {
      if (x.turns == 0 && !m_.no_turns) return false;
      x.turns = int8_t(m_.no_turns ? 0 : x.turns - 1);
      x.step = 0;
    } else if (!take_stage(s, c, g)) {
      return false;
    }
    visit(s);
    return true;
  }

  bool take_stage(State& s, int c, int g) {
    Consumer& x = s.consumers[size_t(c)][size_t(g)];
    Stage& stage = s.ring[size_t(c)][size_t(x.place.stage)];
    if (!passed(stage.full, x.place.phase)) return false;
    for (int from = 0; from < m_.ctas; ++from)
      if (stage.content[size_t(from)] != x.piece * m_.steps + x.step + 1)
        fail("read with other contents");
    stage.readers = 1;
    if (x.previous >= 0) release(s, c, x.previous);
    x.previous = int8_t(x.place.stage);
    x.place.advance();
    x.step = int8_t(x.step + 1);
    if (x.step < m_.steps) return true;
    Consumer& other = s.consumers[size_t(c)][size_t(1 - g)];
    if (!m_.no_turns) other.turns = int8_t(other.turns + 1);
    if (other.turns > 1) fail("a turn was passed twice");
    release(s, c, x.previous);
    x.previous = x.step = -1;
    x.piece = int8_t(x.piece + 1);
    return true;
  }

  const Model m_;
  std::vector<State> todo_;
  std::set<std::string> seen_;
  std::string wrong_;
};

TEST(CudaRing, EveryOrderOfEventsEndsRight) {
  for (const Model& model : {Model{1, 3, 3}, Model{1, 5, 2}, Model{1, 4, 1}, Model{2, 3, 2}}) {
    Checker checker(model);
    EXPECT_EQ(checker.run(), "") << model.ctas << " " << model.pieces << " " << model.steps;
    EXPECT_GT(checker.states(), 50u);
  }
}

TEST(CudaRing, MistakesAreFound) {
  Model local{2, 3, 2};
  local.local_release_only = true;
  EXPECT_NE(Checker(local).run(), "");
  Model turns{1, 3, 3};
  turns.no_turns = true;
  EXPECT_NE(Checker(turns).run(), "");
  Model phase{1, 3, 3};
  phase.skip_forgets_phase = true;
  EXPECT_NE(Checker(phase).run(), "");
}

}  // namespace
}  // namespace weft::kernels::cuda
