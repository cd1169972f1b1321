#include "weft/train/config.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "tests/mutations.h"
#include "weft/base/json.h"

namespace weft::train {
namespace {

TrainConfig valid() {
  TrainConfig c;
  c.model.vocab = 65;
  return c;
}

TEST(TrainConfig, SurvivesJson) {
  TrainConfig c = valid();
  c.model.dropout = 0.1, c.lr = 0.3, c.seed = INT64_MAX, c.schedule = "wsd", c.dtype = "f32",
  c.lanes = 4;
  const Json json = to_json(c);
  EXPECT_EQ(json.size(), 46u);
  EXPECT_EQ(to_json(config_from_json(parse_json(dump_json(json), "test"), "test")), json);
}

TEST(TrainConfig, RefusesJsonThatIsNotOne) {
  Json json = to_json(valid());
  json["layers"] = "four";
  EXPECT_ERROR(data, "run.json: \"layers\" must be an integer from 1 to 1024, got \"four\"",
               config_from_json(json, "run.json"));
  json["layers"] = 4, json["dtype"] = "f8";
  EXPECT_ERROR(data, "\"dtype\" must be one of bf16, f32", config_from_json(json, "run.json"));
  json["dtype"] = "f32", json["colour"] = 1;
  EXPECT_ERROR(data, "\"colour\" is not a key of a run", config_from_json(json, "run.json"));
  json.erase("colour"), json.erase("steps");
  EXPECT_ERROR(data, "\"steps\"", config_from_json(json, "run.json"));
}

TEST(TrainConfig, HostileBytes) {
  const std::string text = dump_json(to_json(valid()));
  int accepted = 0;
  const auto read = [&](Bytes bytes, const std::string& what) {
    SCOPED_TRACE(what);
    accepted += weft::testing::accepts([&] {
      TrainConfig c =
          config_from_json(parse_json(weft::testing::text_of(bytes), "run.json"), "run.json");
      c.model.vocab = 65;
      validate(c);
    });
  };
  weft::testing::for_each_truncation(text, read);
  EXPECT_EQ(accepted, 0);
  weft::testing::for_each_bit_flip(text, text.size(), read);
  EXPECT_GT(accepted, 50);  // other digits
}

TEST(TrainConfig, RefusesWhatCannotBe) {
  const auto refused = [](auto change, const char* sentence) {
    TrainConfig c = valid();
    change(c);
    EXPECT_ERROR(user, sentence, validate(c));
  };
  validate(valid());
  refused([](TrainConfig& c) { c.batch = 0; }, "batch must be from 1 to 16777216, got 0");
  refused([](TrainConfig& c) { c.steps = -5; }, "steps must be from 1");
  refused([](TrainConfig& c) { c.lr = -1; }, "lr must be from 0");
  refused([](TrainConfig& c) { c.lr = std::nan(""); }, "lr must be from 0");
  refused([](TrainConfig& c) { c.model.heads = 3; }, "heads that divide dim");
  refused([](TrainConfig& c) { c.model.dropout = 1; }, "dropout must be from 0 to 0.999, got 1");
  refused([](TrainConfig& c) { c.model.architecture = "gpt9"; },
          "model must be one of gpt2, llama, got \"gpt9\"");
  refused([](TrainConfig& c) { c.schedule = "steep"; },
          "schedule must be one of cosine, wsd, constant");
  refused([](TrainConfig& c) { c.micro_batches = 5; },
          "micro_batches must divide batch, got 5 of 12 sequences");
  refused([](TrainConfig& c) { c.micro_batches = 12, c.lanes = 3; },
          "lanes must be a power of two");
  refused([](TrainConfig& c) { c.micro_batches = 6, c.lanes = 4; }, "that divides micro_batches");
  refused([](TrainConfig& c) { c.min_lr = 1; }, "min_lr must be at most lr, got 1 above 0.001");
  refused([](TrainConfig& c) { c.batch = 1 << 24, c.model.context = 1024; }, "raise micro_batches");
}

}  // namespace
}  // namespace weft::train
