// weft data prepare | inspect
#include <cstdio>
#include <memory>

#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/train/dataset.h"

namespace weft::cli {
namespace {

Json split_json(const train::SplitInfo& split) {
  return {{"tokens", split.tokens}, {"bytes", split.bytes}, {"sha256", split.sha256}};
}

void print_info(const std::string& directory, const train::DataInfo& info, const Output& output) {
  if (output.json) {
    print_json({{"data", directory},
                {"tokenizer", info.tokenizer},
                {"vocab", info.vocab},
                {"documents", info.documents},
                {"train", split_json(info.train)},
                {"val", split_json(info.val)}});
    return;
  }
  std::printf("%s: %s tokenizer, vocabulary %lld, %lld documents\n", directory.c_str(),
              info.tokenizer.c_str(), static_cast<long long>(info.vocab),
              static_cast<long long>(info.documents));
  const auto row = [](const char* name, const train::SplitInfo& s) {
    std::printf("  %-6s %12lld tokens  %10s  %.3f bytes a token\n", name,
                static_cast<long long>(s.tokens), format_bytes(double(s.bytes)).c_str(),
                s.tokens ? double(s.bytes) / double(s.tokens) : 0.0);
  };
  row("train", info.train), row("val", info.val);
}

void add_prepare(CLI::App& data) {
  struct Options {
    train::PrepareOptions prepare;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c = data.add_subcommand("prepare", "turn a text into tokens to train on");
  c->add_option("--text", o->prepare.text,
                "a UTF-8 text file, or a directory whose *.txt files are read")
      ->required();
  c->add_option("--out", o->prepare.out, "the directory to write")->required();
  c->add_option("--tokenizer", o->prepare.tokenizer,
                "char: one token a character; byte: one a byte; bpe: learned from the text; or the "
                "path of a tokenizer.json or of a .gguf file")
      ->capture_default_str();
  c->add_option("--vocab-size", o->prepare.vocab_size, "tokens of --tokenizer bpe")
      ->capture_default_str();
  c->add_option("--val-fraction", o->prepare.val_fraction,
                "share of the text, at its end, kept for validation")
      ->capture_default_str();
  add_output(*c, o->output);
  c->callback([o] { print_info(o->prepare.out, train::prepare(o->prepare), o->output); });
}

void add_inspect(CLI::App& data) {
  struct Options {
    std::string directory;
    Output output;
  };
  auto o = std::make_shared<Options>();
  CLI::App* c =
      data.add_subcommand("inspect", "say what a data directory holds, and verify its checksums");
  c->add_option("DATA", o->directory, "a directory made by weft data prepare")->required();
  add_output(*c, o->output);
  c->callback([o] {
    const train::Dataset dataset(o->directory);
    dataset.verify_checksums();
    print_info(o->directory, dataset.info(), o->output);
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
