#include "weft/engine/chat.h"

#include <algorithm>

namespace weft::engine {
namespace {

// Passes a text on without the space that it may begin with.
class WithoutFirstSpace {
 public:
  explicit WithoutFirstSpace(const Engine::TextCallback& to) : to_(to) {}
  void operator()(std::string_view text) {
    if (first_ && text.starts_with(' ')) text.remove_prefix(1);
    first_ = false;
    if (to_ && !text.empty()) to_(text);
  }

 private:
  const Engine::TextCallback& to_;
  bool first_ = true;
};

}  // namespace

Chat::Chat(Runner& runner, const Tokenizer& tokenizer, GenerateOptions options)
    : runner_(runner),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      engine_(runner, tokenizer) {
  options_.stop_strings.emplace_back(kTurnEnd);
  options_.validate();
}

std::vector<Turn> Chat::turns() const {
  std::vector<Turn> all;
  if (!system_.empty()) all.push_back({Speaker::system, system_});
  all.insert(all.end(), turns_.begin(), turns_.end());
  return all;
}

std::vector<int32_t> Chat::prompt() const {
  std::vector<int32_t> tokens = tokenizer_.start_tokens();
  const std::vector<int32_t> text = tokenizer_.encode_plain(dialogue_prompt(turns()));
  tokens.insert(tokens.end(), text.begin(), text.end());
  return tokens;
}

// An answer gets a quarter of the context, or as much as it may need. Once that is not free, turns
// go until half of the context is: the turns after them are computed again then, which is better
// done seldom.
int64_t Chat::forget_what_does_not_fit() {
  const int64_t context = runner_.options().context;
  const int64_t room = std::min(options_.max_tokens, context / 4);
  if (int64_t(prompt().size()) + room <= context) return 0;
  int64_t forgotten = 0;
  while (turns_.size() > 2 && int64_t(prompt().size()) > context / 2) {
    turns_.erase(turns_.begin(), turns_.begin() + 2);
    forgotten += 2;
  }
  return forgotten;
}

Chat::Answer Chat::ask(std::string message, const Engine::TextCallback& on_text,
                       const std::function<bool()>& interrupted) {
  const std::vector<Turn> before = turns_;
  turns_.push_back({Speaker::user, std::move(message)});
  Answer answer;
  try {
    answer.forgotten_turns = forget_what_does_not_fit();
    const int64_t id = engine_.add(prompt(), options_, WithoutFirstSpace(on_text), "the message");
    while (!(interrupted && interrupted()) && engine_.step()) {
    }
    engine_.cancel(id);
    answer.generated = engine_.take(id);
  } catch (...) {
    turns_ = before;
    throw;
  }
  answer.text = answer.generated.text;
  if (answer.text.starts_with(' ')) answer.text.erase(0, 1);
  turns_.push_back({Speaker::assistant, answer.text});
  return answer;
}

}  // namespace weft::engine
