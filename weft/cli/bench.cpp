// weft bench gemm | attention | train | decode | dispatch: how fast this machine runs the parts of
// a model, each beside its limit. The programs under bench/ go further and set the peers beside
// them.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>

#include "weft/base/random.h"
#include "weft/base/terminal.h"
#include "weft/cli/command.h"
#include "weft/cli/demo_config.h"
#include "weft/cli/measure.h"
#include "weft/engine/runner.h"
#include "weft/graph/jit.h"
#include "weft/train/step.h"

namespace weft::cli {
namespace {

struct BenchOptions {
  Compute compute;
  Output output;
  std::string dtype = "bf16";
  int64_t runs = 9;
  bool profile = false;
  std::string model = "all";  // of train
};

void row(const Output& output, const std::string& what, const std::string& shape, double seconds,
         double rate, const char* unit) {
  if (output.json)
    print_json(
        {{"bench", what}, {"shape", shape}, {"seconds", seconds}, {"rate", rate}, {"unit", unit}});
  else
    std::printf("%-22s %-24s %10s  %10.3f %s\n", what.c_str(), shape.c_str(),
                format_duration(seconds).c_str(), rate, unit);
  std::fflush(stdout);
}

// Products in the form of a training step's forward pass, nothing packed before; the limit is the
// largest of them.
void bench_gemm(const BenchOptions& o) {
  const DType dtype = parse_dtype(o.dtype);
  for (const auto& [m, n, k] :
       std::vector<std::tuple<int64_t, int64_t, int64_t>>{{1024, 1024, 1024},
                                                          {2048, 2048, 2048},
                                                          {512, 4096, 4096},
                                                          {1, 4096, 4096},
                                                          {8, 4096, 4096}}) {
    const Tensor x = random_tensor({m, k}, dtype, 1), w = random_tensor({n, k}, dtype, 2);
    auto f = jit([](Tensor a, Tensor b) { return matmul(a, b, "td,fd->tf"); });
    const double s = median_seconds(o.runs, [&, xx = x, ww = w] { f(xx, ww); });
    const std::string shape = format("{}x{}x{}", m, n, k);
    if (m >= 64)
      row(o.output, "gemm " + o.dtype, shape, s, 2e-12 * double(m) * double(n) * double(k) / s,
          "TFLOP/s");
    else
      row(o.output, "gemm " + o.dtype, shape, s,
          double(n) * double(k) * double(dtype_size(dtype)) / s * 1e-9,
          "GB/s of weights (in cache)");
  }
}

void bench_attention(const BenchOptions& o) {
  const DType dtype = parse_dtype(o.dtype);
  const int64_t heads = 16, size = 64;
  for (const int64_t length : {int64_t(512), int64_t(2048)}) {
    const Tensor q = random_tensor({length, heads, size}, dtype, 1),
                 k = random_tensor({length, heads, size}, dtype, 2),
                 v = random_tensor({length, heads, size}, dtype, 3);
    const int32_t whole[] = {0, int32_t(length), 0, int32_t(length)};
    const Tensor segments(Array::from<int32_t>(default_device(), {1, 4}, whole));
    auto forward =
        jit([](Tensor a, Tensor b, Tensor c, Tensor s) { return attention(a, b, c, s); });
    auto both = jit([](Tensor a, Tensor b, Tensor c, Tensor s) {
      const Tensor out = attention(a, b, c, s);
      return vjp({out}, {out}, {a, b, c});
    });
    const double flop = 4.0 * double(heads * size) * (double(length) * double(length + 1) / 2);
    const double f = median_seconds(o.runs, [&] { forward(q, k, v, segments); });
    const double fb = median_seconds(o.runs, [&] { both(q, k, v, segments); });
    const std::string shape = format("{} heads of {}, S {}", heads, size, length);
    row(o.output, "attention forward", shape, f, flop / f * 1e-12, "TFLOP/s");
    row(o.output, "attention both", shape, fb, 3.5 * flop / fb * 1e-12, "TFLOP/s");
  }
}

// What a kernel costs beyond its work: a chain of kernels that have almost none.
void bench_dispatch(const BenchOptions& o) {
  constexpr int kernels = 256;
  auto chain = jit([](Tensor x) {
    for (int i = 0; i < kernels; ++i) x = softmax(x);
    return x;
  });
  const Tensor x = random_tensor({1, 16}, parse_dtype(o.dtype), 1);
  const double s = median_seconds(o.runs * 20, [&] { chain(x); }) / kernels;
  row(o.output, "dispatch", format("softmax of {}", x.dims().str()), s, 1e6 * s, "us a kernel");
}

train::TrainConfig small_gpt() {
  train::TrainConfig c;
  c.model = {.vocab = 65, .context = 64, .layers = 4, .heads = 4, .width = 128};
  return c;
}
train::TrainConfig gpt2_124m(int64_t batch = 4, int64_t context = 64) {
  train::TrainConfig c;
  c.model = {.vocab = 50257, .context = context, .layers = 12, .heads = 12, .width = 768};
  c.batch = batch;
  return c;
}

// Where the time of one step goes, by op and shape of its first result: each kernel's median.
void print_profile(Executable& executable, int64_t steps, const std::function<void()>& step) {
  std::map<const GraphNode*, std::vector<double>> times;
  executable.observe(
      [&](const GraphNode& node, double seconds) { times[&node].push_back(seconds); });
  const double whole = median_seconds(steps - 1, step);
  executable.observe({});
  std::map<std::string, std::pair<int, double>> spent;
  double total = 0;
  for (auto& [node, seconds] : times) {
    std::nth_element(seconds.begin(), seconds.begin() + steps / 2, seconds.end());
    const double median = seconds[size_t(steps / 2)];
    auto& [count, sum] =
        spent[std::string(node->op->name) +
              (node->attrs.has("letters") ? " " + node->attrs.text("letters") : "") + " " +
              executable.graph().values[size_t(node->out[0])].str()];
    ++count, sum += median, total += median;
  }
  std::vector<std::pair<double, std::string>> rows;
  for (const auto& [name, s] : spent)
    rows.emplace_back(s.second, format("{:4} x  {}", s.first, name));
  std::sort(rows.rbegin(), rows.rend());
  for (const auto& [seconds, name] : rows)
    std::printf("  %6.2f%%  %9.0f us  %s\n", 100 * seconds / total, 1e6 * seconds, name.c_str());
  std::printf("  kernels %zu, together %.0f us of a step's %.0f us\n", executable.kernel_count(),
              1e6 * total, 1e6 * whole);
}

std::vector<train::TrainConfig> trained_models(const std::string& name) {
  if (name == "small") return {small_gpt()};
  if (name == "124m") return {gpt2_124m(), gpt2_124m(8, 256)};
  if (name == "demo") return {demo_config(false), demo_config(true)};
  return {small_gpt(), gpt2_124m(), gpt2_124m(8, 256), demo_config(false), demo_config(true)};
}

void bench_train(const BenchOptions& o) {
  for (train::TrainConfig config : trained_models(o.model)) {
    config.dtype = o.dtype;
    std::vector<uint16_t> ids(65536);
    const Philox random{1};
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = uint16_t(random(i)[0] % uint32_t(config.model.vocab));
    const TokenView tokens{std::as_bytes(std::span(ids)), 2, config.model.vocab, {}};
    const train::Samples samples(config, {{tokens}});
    train::Stepper stepper(config,
                           train::initial_state(config.model, config.seed, default_device()),
                           default_device(), samples);
    int64_t step = 0;
    const auto one_step = [&] { stepper.run(step, step * config.batch), ++step; };
    const int64_t runs = config.model.layers > 4 ? 3 : o.runs * 5;
    const double s = median_seconds(runs, one_step);
    const std::string shape = format("{} layers of {}, {} x {}", config.model.layers,
                                     config.model.width, config.batch, config.model.context);
    row(o.output, "train " + o.dtype, shape, s, double(config.tokens_per_step()) / s, "tokens/s");
    if (o.profile) print_profile(*stepper.executable(), runs, one_step);
  }
}

// The shape of Qwen3-0.6B.
models::ModelConfig qwen3_06b() {
  models::ModelConfig c;
  c.architecture = "llama", c.vocab = 151936, c.context = 1024, c.layers = 28, c.width = 1024;
  c.hidden = 3072, c.heads = 16, c.kv_heads = 8, c.head_dim = 128, c.qk_norm = true;
  c.rope_theta = 1e6, c.norm_epsilon = 1e-6;
  return c;
}

// One token of each sequence a step; every weight is read once a step, which is the limit.
void bench_decode_of(const BenchOptions& o, const char* name, const models::ModelConfig& config,
                     const std::vector<int64_t>& batches) {
  const DType dtype = parse_dtype(o.dtype);
  const Params params = models::find_architecture(config.architecture).initialize(config, 1);
  for (const int64_t sequences : batches) {
    engine::Runner runner(config, params, {.dtype = dtype, .slots = sequences});
    const int32_t token = 7;
    int32_t position = 0;
    const auto step = [&] {
      std::vector<engine::Chunk> chunks;
      for (int32_t slot = 0; slot < sequences; ++slot)
        chunks.push_back({slot, position, {&token, 1}, 1});
      runner.run(chunks), ++position;
    };
    step();
    MemoryReader reader;
    std::vector<double> seconds, rates;  // in turns, as the memory of a shared machine changes
    for (int64_t i = 0; i < o.runs; ++i)
      seconds.push_back(seconds_of(step)), rates.push_back(reader.rate());
    const double s = median(seconds);
    const std::string shape =
        format("{}, {} sequence{}", name, sequences, sequences > 1 ? "s" : "");
    row(o.output, "decode " + o.dtype, shape, s, double(sequences) / s, "tokens/s");
    const double bytes = double(models::parameter_count(params)) * double(dtype_size(dtype));
    const double read_rate = median(rates);
    row(o.output, "  reading the weights", shape, bytes / read_rate, 100 * bytes / read_rate / s,
        "% of the time");
    if (o.profile)
      print_profile(*runner.executable(), o.runs, [&] {
        const engine::Chunk chunk{0, position, {&token, 1}, 1};
        runner.run({&chunk, 1}), ++position;
      });
  }
}

void bench_decode(const BenchOptions& o) {
  bench_decode_of(o, "GPT-2 124M", gpt2_124m().model, {1, 8});
  bench_decode_of(o, "Qwen3 0.6B", qwen3_06b(), {1});
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* c = app.add_subcommand("bench", "how fast this machine runs the parts of a model");
  c->require_subcommand(1);
  const std::tuple<const char*, const char*, void (*)(const BenchOptions&)> parts[] = {
      {"gemm", "matrix products", bench_gemm},
      {"attention", "causal attention, forward and backward", bench_attention},
      {"train", "training steps of a small GPT, of GPT-2 124M and of the demo's Llamas",
       bench_train},
      {"decode", "one token after another of GPT-2 124M and Qwen3 0.6B", bench_decode},
      {"dispatch", "what starting a kernel costs", bench_dispatch},
  };
  for (const auto& [name, help, run] : parts) {
    auto o = std::make_shared<BenchOptions>();
    CLI::App* part = c->add_subcommand(name, help);
    part->add_option("--dtype", o->dtype, "bf16 or f32")
        ->check(CLI::IsMember({"bf16", "f32"}))
        ->capture_default_str();
    part->add_option("--runs", o->runs, "timed runs; the median is printed")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    if (std::string_view(name) == "train" || std::string_view(name) == "decode")
      part->add_flag("--profile", o->profile, "where the time of a step goes");
    if (std::string_view(name) == "train")
      part->add_option("--model", o->model, "whose step")
          ->check(CLI::IsMember({"all", "small", "124m", "demo"}))
          ->capture_default_str();
    add_compute(*part, o->compute);
    add_output(*part, o->output);
    part->callback([o, work = run] {
      use(o->compute);
      work(*o);
    });
  }
}

}  // namespace weft::cli
