#include "weft/cli/main.h"

#include <cstdio>

#include "weft/base/error.h"
#include "weft/base/toml.h"
#include "weft/cli/command.h"
#include "weft_version.h"

namespace weft::cli {
namespace {

constexpr const char* description =
    "Weft trains, evaluates and runs language models, natively.\n\n"
    "  weft demo                                     a GPT trained before your eyes in about two "
    "minutes\n"
    "  weft data prepare --text FILE --out DATA      a text as tokens\n"
    "  weft train --data DATA --out RUN              a model from them\n"
    "  weft generate RUN --prompt \"Once\"             and what it writes\n"
    "  weft chat RUN                                 talk with it\n";

// The words of the command line, with those of --config FILE behind the command's name.
std::vector<std::string> expand_config(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  for (size_t i = 1; i < words.size(); ++i) {
    std::string path;
    size_t used = 1;
    if (words[i] == "--config" && i + 1 < words.size())
      path = words[i + 1], used = 2;
    else if (words[i].starts_with("--config="))
      path = words[i].substr(9);
    else
      continue;
    words.erase(words.begin() + int64_t(i), words.begin() + int64_t(i + used));
    std::vector<std::string> from_file;
    for (const auto& [name, value] : read_toml(path))
      from_file.push_back(format("--{}={}", name, value));
    words.insert(words.begin() + 1, from_file.begin(), from_file.end());
    break;
  }
  return words;
}

int run(int argc, char** argv) {
  CLI::App app(description, "weft");
  app.set_version_flag("--version", "weft " WEFT_VERSION " (" WEFT_COMMIT ")");
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  for (const auto add : {add_demo, add_data, add_train, add_eval, add_generate, add_chat,
                         add_export, add_info, add_bench})
    add(app);
  try {
    std::vector<std::string> words = expand_config(argc, argv);
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "weft: %s (weft --help explains)\n", e.what());
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& e) {
    std::fprintf(stderr, "weft: %s\n", e.what());
    return e.kind() == ErrorKind::user ? 2 : 1;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "weft: out of memory\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weft: internal error: %s\n", e.what());
  }
  return 1;
}

}  // namespace weft::cli
