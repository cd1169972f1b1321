#include "weft/engine/chat.h"

#include <gtest/gtest.h>

#include "weft/engine/engine_testing.h"
#include "weft/text/byte_tokenizer.h"

namespace weft::engine {
namespace {

const ByteTokenizer tokenizer;

struct Model {
  models::ModelConfig config;
  Params params;
  Runner runner;
  explicit Model(const models::ModelConfig& c = long_config())
      : config(c),
        params((use_device(selected_isa(), 2), small_params(c))),
        runner(config, params, {.slots = 1}) {}
  static models::ModelConfig long_config() {
    models::ModelConfig c = small_llama();
    c.context = 400;
    return c;
  }
};

GenerateOptions some_options() {
  return {.max_tokens = 12, .sampling = {.temperature = 0.8, .seed = 3}};
}

// The answer to the turns before it, by a model that has seen nothing yet.
Generated from_nothing(const std::vector<Turn>& turns, const GenerateOptions& options) {
  Model model;
  Engine engine(model.runner, tokenizer);
  const int64_t id = engine.add(tokenizer.encode(dialogue_prompt(turns)), options);
  while (engine.step()) {
  }
  return engine.take(id);
}

TEST(Chat, HistoryThatIsKeptChangesNoBit) {
  Model model;
  Chat chat(model.runner, tokenizer, some_options());
  chat.set_system("Be brief.");
  for (const char* message : {"Hello", "What is 3 + 4?", "And then?"}) {
    std::vector<Turn> before = chat.turns();
    before.push_back({Speaker::user, message});
    const Chat::Answer answer = chat.ask(message);
    const Generated want = from_nothing(before, chat.options());
    EXPECT_EQ(answer.generated.tokens, want.tokens);
    EXPECT_EQ(answer.generated.logprobs, want.logprobs);
    EXPECT_EQ(answer.generated.text, want.text);
    EXPECT_EQ(want.reused_tokens, 0);
    if (before.size() <= 2) continue;
    EXPECT_GE(answer.generated.reused_tokens,
              int64_t(dialogue_prompt({before.data(), before.size() - 2}).size()));
  }
  ASSERT_EQ(chat.turns().size(), 7u);
  EXPECT_EQ(chat.turns()[0].text, "Be brief.");
  EXPECT_EQ(chat.turns()[3].text, "What is 3 + 4?");
}

TEST(Chat, StreamsTheAnswerWithoutItsFirstSpace) {
  Model model;
  Chat chat(model.runner, tokenizer, some_options());
  std::string streamed;
  const Chat::Answer answer = chat.ask("Hello", [&](std::string_view text) { streamed += text; });
  EXPECT_EQ(streamed, answer.text);
  EXPECT_EQ(answer.text, chat.turns().back().text);
  EXPECT_EQ(answer.text.find('\n'), std::string::npos);
  // The same answer, if its space is what ends it: that is held back and then not shown.
  chat.options().stop_strings.push_back(answer.text.substr(0, 1));
  chat.reset();
  EXPECT_EQ(chat.ask("Hello").text.find(answer.text[0]), std::string::npos);
}

TEST(Chat, ForgetsTheOldestTurnsWhenTheContextIsFull) {
  Model model;
  Chat chat(model.runner, tokenizer, some_options());
  chat.set_system("Rules.");
  int64_t forgotten = 0;
  for (int i = 0; i < 12; ++i) {
    const Chat::Answer answer = chat.ask(format("message {} of some length", i));
    EXPECT_EQ(answer.forgotten_turns % 2, 0);
    EXPECT_LE(answer.generated.prompt_tokens, answer.forgotten_turns > 0 ? 200 : 388);
    forgotten += answer.forgotten_turns;
    EXPECT_EQ(int64_t(chat.turns().size()), 1 + 2 * (i + 1) - forgotten);
    EXPECT_EQ(chat.turns()[0].text, "Rules.");
  }
  EXPECT_GT(forgotten, 0);
}

TEST(Chat, AMessageThatDoesNotFitLeavesTheTurns) {
  Model model;
  Chat chat(model.runner, tokenizer, some_options());
  chat.ask("Hello");
  const size_t turns = chat.turns().size();
  try {
    chat.ask(std::string(1000, 'a'));
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::user);
    EXPECT_TRUE(std::string(e.what()).starts_with("the message has 10")) << e.what();
  }
  EXPECT_EQ(chat.turns().size(), turns);
  chat.reset();
  EXPECT_TRUE(chat.turns().empty());
}

TEST(Chat, AnInterruptEndsTheAnswer) {
  Model model;
  GenerateOptions options = some_options();
  options.max_tokens = 100;
  Chat chat(model.runner, tokenizer, options);
  int asked = 0;
  const Chat::Answer answer = chat.ask("Hello", {}, [&] { return ++asked > 3; });
  EXPECT_EQ(answer.generated.finish_reason, "cancelled");
  EXPECT_LE(answer.generated.tokens.size(), 3u);
  EXPECT_NE(chat.ask("Go on").generated.finish_reason, "cancelled");
}

}  // namespace
}  // namespace weft::engine
