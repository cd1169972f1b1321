// weft chat: a conversation with a model. On a terminal with line editing; over a pipe a line in is
// a message and a line out the answer.
#include "weft/engine/chat.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/base/utf8.h"
#include "weft/cli/command.h"
#include "weft/cli/line_reader.h"
#include "weft/cli/sampling.h"

namespace weft::cli {
namespace {

struct ChatOptions {
  std::string model, dtype, system;
  engine::GenerateOptions generate;
  bool best = false;
  Compute compute;
  Output output;
};

std::atomic<bool> interrupted{false};

// While it lives, Ctrl-C ends the answer and not the program.
class CatchInterrupt {
 public:
  CatchInterrupt() {
    interrupted = false;
    before_ = std::signal(SIGINT, [](int) { interrupted = true; });
  }
  ~CatchInterrupt() { std::signal(SIGINT, before_); }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

 private:
  void (*before_)(int);
};

void say(const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
}

class Conversation {
 public:
  Conversation(engine::Chat& chat, const ChatOptions& options)
      : chat_(chat), json_(options.output.json) {}

  void run();

 private:
  struct Command {
    const char *name, *argument, *help;
    void (Conversation::*run)(const std::string& argument);
  };
  static const Command commands[];

  void take_line(const std::string& line);
  void run_command(const std::string& line);
  void answer(const std::string& message);

  void help(const std::string&);
  void reset(const std::string&);
  void system(const std::string& text);
  void temperature(const std::string& number);
  void save(const std::string& path);
  void quit(const std::string&) { done_ = true; }

  engine::Chat& chat_;
  bool json_;
  LineReader lines_{"> "};
  bool done_ = false, told_of_forgetting_ = false;
};

const Conversation::Command Conversation::commands[] = {
    {"/help", "", "what can be typed", &Conversation::help},
    {"/reset", "", "begin a new conversation", &Conversation::reset},
    {"/system", "TEXT", "a new conversation, before which the model is told this",
     &Conversation::system},
    {"/temperature", "X", "0: the most probable answer; more: more variety",
     &Conversation::temperature},
    {"/save", "FILE", "write the conversation as JSON", &Conversation::save},
    {"/quit", "", "end; so does Ctrl-D", &Conversation::quit},
};

// A person may try again after a mistake; a program's input is wrong.
void Conversation::run() {
  if (lines_.interactive())
    say("Type a message, or /help. Ctrl-C ends an answer, Ctrl-D the chat.");
  while (!done_) {
    const std::optional<std::string> line = lines_.next();
    if (!line) break;
    try {
      take_line(*line);
    } catch (const Error& e) {
      if (!lines_.interactive() || e.kind() == ErrorKind::internal) throw;
      say(e.what());
    }
  }
  if (lines_.interactive() && !done_) std::printf("\n");
}

void Conversation::take_line(const std::string& line) {
  if (find_invalid_utf8(line) != std::string::npos)
    user_error("the message {} is not UTF-8; type text", in_quotes(line));
  if (line.starts_with('/'))
    run_command(line);
  else if (line.find_first_not_of(" \t") != std::string::npos)
    answer(line);
}

void Conversation::run_command(const std::string& line) {
  const size_t space = std::min(line.find(' '), line.size());
  const size_t argument = std::min(line.find_first_not_of(' ', space), line.size());
  for (const Command& command : commands)
    if (line.substr(0, space) == command.name) return (this->*command.run)(line.substr(argument));
  user_error("there is no command {}; /help lists them", in_quotes(line.substr(0, space)));
}

void Conversation::answer(const std::string& message) {
  const CatchInterrupt catch_interrupt;
  const engine::Chat::Answer a = chat_.ask(
      message,
      [&](std::string_view text) {
        if (json_) return;
        std::fwrite(text.data(), 1, text.size(), stdout);
        std::fflush(stdout);
      },
      [] { return interrupted.load(); });
  if (json_)
    print_json({{"text", a.text},
                {"tokens", a.generated.tokens},
                {"logprobs", a.generated.logprobs},
                {"prompt_tokens", a.generated.prompt_tokens},
                {"reused_tokens", a.generated.reused_tokens},
                {"forgotten_turns", a.forgotten_turns},
                {"finish_reason", std::string(a.generated.finish_reason)}});
  else
    std::printf("\n");
  std::fflush(stdout);
  if (a.forgotten_turns > 0 && !std::exchange(told_of_forgetting_, true))
    say(
        format("(the conversation no longer fits into the context: its first {} turns are left out "
               "from here on, and more as it goes on)",
               a.forgotten_turns));
}

void Conversation::help(const std::string&) {
  for (const Command& c : commands) say(format("  {:12} {:5} {}", c.name, c.argument, c.help));
}

void Conversation::reset(const std::string&) {
  chat_.reset();
}

void Conversation::system(const std::string& text) {
  chat_.reset();
  chat_.set_system(text);
}

void Conversation::temperature(const std::string& number) {
  engine::SamplingOptions sampling = chat_.options().sampling;
  if (!CLI::detail::lexical_cast(number, sampling.temperature))
    user_error("/temperature needs a number from 0 to 100, got {}", in_quotes(number));
  sampling.validate();
  chat_.options().sampling = sampling;
}

void Conversation::save(const std::string& path) {
  if (path.empty()) user_error("/save needs the name of a file");
  Json messages = Json::array();
  for (const Turn& turn : chat_.turns()) {
    const char* role = turn.speaker == Speaker::system ? "system"
                       : turn.speaker == Speaker::user ? "user"
                                                       : "assistant";
    messages.push_back({{"role", role}, {"content", turn.text}});
  }
  write_file_atomic(path, dump_json({{"messages", messages}}, 2) + "\n");
}

}  // namespace

void add_chat(CLI::App& app) {
  auto o = std::make_shared<ChatOptions>();
  o->generate.sampling.temperature = 0.7;
  o->generate.max_tokens = 256;
  CLI::App* c = app.add_subcommand("chat", "talk with a trained model");
  c->add_option("MODEL", o->model, "a run folder or a Hugging Face directory")->required();
  c->add_option("--system", o->system, "what the model is told before all else");
  add_sampling(*c, o->generate);
  c->add_option("--dtype", o->dtype, "number type that computes; default: the model's")
      ->check(CLI::IsMember({"bf16", "f32"}));
  add_best(*c, o->best);
  add_compute(*c, o->compute);
  add_output(*c, o->output);
  c->callback([o, c] {
    use(o->compute);
    const train::LoadedModel model = load(o->model, o->best);
    take_defaults(*c, model.generation, o->generate);
    constexpr int64_t most_context = 8192;  // whose keys and values are allocated
    engine::Runner runner(model.config, model.params,
                          {.dtype = parse_dtype(o->dtype.empty() ? model.dtype : o->dtype),
                           .slots = 1,
                           .context = std::min(model.config.context, most_context)});
    engine::Chat chat(runner, *model.tokenizer, o->generate);
    chat.set_system(o->system);
    Conversation(chat, *o).run();
  });
}

}  // namespace weft::cli
