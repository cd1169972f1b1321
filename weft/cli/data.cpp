// weft data prepare | inspect
#include <algorithm>
#include <cstdio>
#include <memory>

#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/train/inspect.h"

namespace weft::cli {
namespace {

Json split_json(const train::SplitInfo& split) {
  return {{"tokens", split.tokens},
          {"bytes", split.bytes},
          {"documents", split.documents},
          {"sha256", split.sha256}};
}

Json info_json(const std::string& directory, const train::DataInfo& info) {
  return {{"data", directory},
          {"tokenizer", info.tokenizer},
          {"vocab", info.vocab},
          {"train", split_json(info.train)},
          {"val", split_json(info.val)}};
}

void print_info(const std::string& directory, const train::DataInfo& info) {
  std::printf("%s: %s tokenizer, vocabulary %lld\n", directory.c_str(), info.tokenizer.c_str(),
              static_cast<long long>(info.vocab));
  const auto row = [](const char* name, const train::SplitInfo& s) {
    std::printf("  %-6s %12lld tokens  %10s  %.3f bytes a token  %lld documents\n", name,
                static_cast<long long>(s.tokens), format_bytes(double(s.bytes)).c_str(),
                s.tokens ? double(s.bytes) / double(s.tokens) : 0.0,
                static_cast<long long>(s.documents));
  };
  row("train", info.train), row("val", info.val);
}

Json statistics_json(const train::LengthStatistics& s) {
  return {{"shortest", s.shortest},
          {"median", s.median},
          {"ninetieth", s.ninetieth},
          {"longest", s.longest},
          {"mean", s.mean},
          {"counts", s.counts},
          {"duplicates", s.duplicates},
          {"duplicate_tokens", s.duplicate_tokens}};
}

void print_statistics(const char* split, const train::LengthStatistics& s) {
  std::printf(
      "\n%s: documents of %lld to %lld tokens; median %lld, mean %.1f, one in ten has %lld or "
      "more\n",
      split, static_cast<long long>(s.shortest), static_cast<long long>(s.longest),
      static_cast<long long>(s.median), s.mean, static_cast<long long>(s.ninetieth));
  const int64_t most = *std::ranges::max_element(s.counts);
  for (size_t i = 0; i < s.counts.size(); ++i) {
    if (s.counts[i] == 0) continue;
    const int64_t bar = (40 * s.counts[i] + most - 1) / most;
    std::printf("  %8lld to %-8lld %10lld  %s\n", 1LL << i, (2LL << i) - 1,
                static_cast<long long>(s.counts[i]), std::string(size_t(bar), '#').c_str());
  }
  std::printf("  duplicates: %lld documents with %lld tokens\n",
              static_cast<long long>(s.duplicates), static_cast<long long>(s.duplicate_tokens));
}

void add_prepare(CLI::App& data) {
  struct Options {
    train::PrepareOptions prepare;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = data.add_subcommand("prepare", "turn a text into tokens to train on");
  c->add_option(
       "--text", o->prepare.text,
       "a UTF-8 text file, a .jsonl file with a document a line, or a directory of *.txt and "
       "*.jsonl")
      ->required();
  c->add_option("--out", o->prepare.out, "the directory to write")->required();
  c->add_option("--tokenizer", o->prepare.tokenizer,
                "char: one token a character; byte: one a byte; bpe: learned from the text; or the "
                "path of a tokenizer.json or of a .gguf file")
      ->capture_default_str();
  c->add_option("--vocab-size", o->prepare.vocab_size, "tokens of --tokenizer bpe")
      ->capture_default_str();
  c->add_option("--val-fraction", o->prepare.val_fraction,
                "share of the documents, or of the end of a single one, kept for validation")
      ->capture_default_str();
  c->add_option("--field", o->prepare.field, "where the objects of a .jsonl file have their text")
      ->capture_default_str();
  c->add_option("--seed", o->prepare.seed, "of which documents are for validation")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_output(*c, o->output);
  c->callback([o] {
    const train::DataInfo info = train::prepare(o->prepare);
    if (o->output.json) return print_json(info_json(o->prepare.out, info));
    print_info(o->prepare.out, info);
  });
}

void add_inspect(CLI::App& data) {
  struct Options {
    std::string directory;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = data.add_subcommand(
      "inspect", "lengths, compression and duplicates of a data directory; verifies its checksums");
  c->add_option("DATA", o->directory, "a directory made by weft data prepare")->required();
  add_output(*c, o->output);
  c->callback([o] {
    const train::Dataset dataset(o->directory);
    dataset.verify_checksums();
    const auto train = train::length_statistics(dataset.train()),
               val = train::length_statistics(dataset.val());
    const int64_t shared = train::shared_documents(dataset.val(), dataset.train());
    if (o->output.json) {
      Json json = info_json(o->directory, dataset.info());
      json["train"]["lengths"] = statistics_json(train);
      json["val"]["lengths"] = statistics_json(val);
      json["val_in_train"] = shared;
      return print_json(json);
    }
    print_info(o->directory, dataset.info());
    print_statistics("train", train), print_statistics("val", val);
    std::printf("\n%lld validation documents are also in train\n", static_cast<long long>(shared));
  });
}

}  // namespace

void add_data(CLI::App& app) {
  CLI::App* c = app.add_subcommand("data", "prepare and inspect training data");
  c->require_subcommand(1);
  add_prepare(*c);
  add_inspect(*c);
}

}  // namespace weft::cli
