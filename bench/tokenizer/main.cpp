// How fast byte-level BPE encodes on one core, and where the time goes: cutting a text into pieces
// by hand and in PCRE2, then merging. bench/peers/tokenizers_cpu.py runs it beside Hugging Face's
// library.
//   bench_tokenizer [--quick] [--text FILE] [--tokenizer tokenizer.json]
// Without a text it takes stories; without a tokenizer it learns one from the text.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>

#include "weft/base/error.h"
#include "weft/base/file.h"
#include "weft/text/bpe_train.h"
#include "weft/text/story_grammar.h"

namespace {

using weft::BpeTokenizer;

// Seconds of this thread, so that other programs on the core do not count.
double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// The best of some runs.
template <class F>
double seconds_of(int runs, F&& run) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const double begin = thread_seconds();
    run();
    best = std::min(best, thread_seconds() - begin);
  }
  return best;
}

size_t count_pieces(const weft::Splitter& splitter, std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); ++count) at = splitter.next(text, at).end;
  return count;
}

struct Options {
  std::string text, tokenizer;
  bool quick = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--quick")
      options.quick = true;
    else if (flag == "--text" && i + 1 < argc)
      options.text = argv[++i];
    else if (flag == "--tokenizer" && i + 1 < argc)
      options.tokenizer = argv[++i];
    else
      weft::user_error("unknown flag {}; there are --quick, --text FILE, --tokenizer FILE", flag);
  }
  return options;
}

void run(const Options& options) {
  const size_t bytes = options.quick ? size_t(1) << 20 : size_t(8) << 20;
  const std::string text = options.text.empty() ? weft::make_corpus(weft::story_grammar(), 1, bytes)
                                                : weft::read_file(options.text, uint64_t(1) << 32);
  const std::string_view view = text;
  weft::ThreadPool pool(1);
  const auto tokenizer = options.tokenizer.empty()
                             ? weft::train_bpe({&view, 1}, {.vocab_size = 512}, pool)
                             : weft::load_tokenizer(options.tokenizer);
  const int runs = options.quick ? 2 : 5;
  const double megabytes = double(text.size()) / 1e6;
  size_t ids = 0;
  const double encode = seconds_of(runs, [&] { ids = tokenizer->encode(text).size(); });
  std::printf("%-28s %8.1f MB/s   (bar: 20)  %zu bytes, %.2f a token\n", "encode, one core",
              megabytes / encode, text.size(), double(text.size()) / double(ids));
  for (const auto& [name, pattern] : {std::pair{"gpt2", weft::gpt2_pattern},
                                      {"llama3", weft::llama3_pattern},
                                      {"qwen2", weft::qwen2_pattern},
                                      {"o200k", weft::o200k_pattern},
                                      {"deepseek3", weft::deepseek3_patterns[2]}}) {
    const auto scanner = weft::make_scanner(pattern);
    const auto regex =
        weft::make_regex_splitter({.pattern = std::string(pattern)}, "the benchmark");
    const double by_hand = seconds_of(runs, [&] { count_pieces(*scanner, text); });
    const double in_pcre2 = seconds_of(runs, [&] { count_pieces(*regex, text); });
    std::printf("%-28s %8.1f MB/s   in PCRE2 %.1f\n", (std::string("pieces, ") + name).c_str(),
                megabytes / by_hand, megabytes / in_pcre2);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const weft::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
