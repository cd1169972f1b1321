// A conversation with a model in the dialogue format of text/dialogue.h.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/engine/engine.h"
#include "weft/text/dialogue.h"

namespace weft::engine {

class Chat {
 public:
  // The options are those of each answer; the turn's end is added to what stops it. The runner and
  // the tokenizer must outlive the chat.
  Chat(Runner& runner, const Tokenizer& tokenizer, GenerateOptions options);

  struct Answer {
    Generated generated;
    std::string text;             // without the space that it begins with
    int64_t forgotten_turns = 0;  // the oldest, that no longer fitted into the context
  };
  // Takes the user's message and gives the assistant's answer; both join the turns. Keys and values
  // of what the model has seen before are not computed again, which changes no bit of the answer.
  // Stops early when `interrupted` says so. Throws Error(user) for a message that does not fit into
  // the context; the turns are then as before.
  Answer ask(std::string message, const Engine::TextCallback& on_text = {},
             const std::function<bool()>& interrupted = {});

  // Forgets the turns, but not the system's.
  void reset() { turns_.clear(); }
  // What stands before all turns; empty: nothing.
  void set_system(std::string text) { system_ = std::move(text); }
  // With the system's.
  std::vector<Turn> turns() const;
  GenerateOptions& options() { return options_; }

 private:
  std::vector<int32_t> prompt() const;
  int64_t forget_what_does_not_fit();

  const Runner& runner_;
  const Tokenizer& tokenizer_;
  GenerateOptions options_;
  Engine engine_;
  std::string system_;
  std::vector<Turn> turns_;  // of the user and the assistant in turn
};

}  // namespace weft::engine
