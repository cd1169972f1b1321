// Automatic differentiation from one neuron to a small network, after Andrej Karpathy's micrograd.
//
//   1. One neuron of scalars: its value, its gradients, and the picture of its graph (graph.svg).
//   2. A network that tells two interleaved moons apart, run as it is written (define by run).
//   3. The same step compiled by jit: the same bits, less time. The result is boundary.svg.
//
//   example_micrograd [--quick] [FOLDER for the pictures]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>

#include "examples/micrograd/draw_graph.h"
#include "weft/base/file.h"
#include "weft/base/random.h"
#include "weft/base/svg.h"
#include "weft/weft.h"

using namespace weft;

namespace {

void require(bool condition, const char* what) {
  if (!condition) data_error("expected {}, but it is not so", what);
}

Tensor scalar(double value) {
  return full({}, DType::f64, value);
}

// tanh(w1 x1 + w2 x2 + b). A Tensor is a handle to a node that remembers what it is made of;
// nothing is computed until a value is asked for.
void one_neuron(const std::string& folder) {
  const Tensor x1 = scalar(2), x2 = scalar(0), w1 = scalar(-3), w2 = scalar(1), b = scalar(6.7);
  const Tensor out = tanh(w1 * x1 + w2 * x2 + b);
  write_file_atomic(folder + "/graph.svg",
                    draw_graph(out, {{x1, "x1"}, {x2, "x2"}, {w1, "w1"}, {w2, "w2"}, {b, "b"}}));

  // Gradients are tensors like any other, and can be differentiated again. A tensor whose value has
  // been asked for is a leaf from then on, so what is to be differentiated comes first.
  const Tensors grads = gradients(out, {w1, x1, b});
  const Tensor second = gradients(grads[2], {b})[0];
  const double slope = 1 - out.item() * out.item();  // tanh' = 1 - tanh^2
  std::printf("tanh(w1 x1 + w2 x2 + b) = %.4f, d/dw1 = %.4f, d/dx1 = %.4f, d/db = %.4f\n",
              out.item(), grads[0].item(), grads[1].item(), grads[2].item());
  require(std::abs(grads[0].item() - 2 * slope) < 1e-12, "d/dw1 to be x1 (1 - out^2)");
  require(std::abs(grads[1].item() + 3 * slope) < 1e-12, "d/dx1 to be w1 (1 - out^2)");
  // d2/db2 tanh = -2 tanh (1 - tanh^2)
  require(std::abs(second.item() + 2 * out.item() * slope) < 1e-12, "d2/db2 to be -2 out slope");
}

// Two half circles that reach into each other, with noise.
struct Moons {
  std::vector<float> x, y;    // points
  std::vector<float> labels;  // -1 or 1
  std::vector<float> flat() const {
    std::vector<float> xy;
    for (size_t i = 0; i < x.size(); ++i) xy.push_back(x[i]), xy.push_back(y[i]);
    return xy;
  }
};

Moons make_moons(int points, uint64_t seed) {
  Moons moons;
  const Philox random{seed};  // a pure function from a counter to random words
  for (int i = 0; i < points; ++i) {
    const auto words = random(uint64_t(i));
    const float angle = std::numbers::pi_v<float> * uniform_float(words[0]);
    const float dx = 0.5f * (uniform_float(words[1]) - 0.5f);
    const float dy = 0.5f * (uniform_float(words[2]) - 0.5f);
    const bool upper = i % 2 == 0;
    moons.x.push_back((upper ? std::cos(angle) : 1 - std::cos(angle)) + dx);
    moons.y.push_back((upper ? std::sin(angle) : 0.5f - std::sin(angle)) + dy);
    moons.labels.push_back(upper ? 1.0f : -1.0f);
  }
  return moons;
}

Tensor tensor(const Shape& shape, const std::vector<float>& values) {
  return Array::from<float>(default_device(), shape, values);
}

// 2 -> 16 -> 16 -> 1 with relu between.
const nn::Linear layers[] = {{"in", 2, 16}, {"middle", 16, 16}, {"out", 16, 1}};

Params initialize() {
  nn::Initializer make(1);
  for (const nn::Linear& layer : layers) layer.init(make, 1 / std::sqrt(double(layer.in)));
  return make.finish();
}

// points [n, 2] -> scores [n]; above 0: the upper moon.
Tensor scores(const Params& params, const Tensor& points) {
  const Tensor hidden = relu(layers[1](params, relu(layers[0](params, points))));
  return reshape(layers[2](params, hidden), {points.dim(0)});
}

// The hinge loss of a support vector machine: 0 for points on the right side by a margin of 1.
Tensor hinge(const Params& params, const Tensor& points, const Tensor& labels) {
  return mean(relu(1.0 - labels * scores(params, points)));
}

// One step of gradient descent: the parameters after it, and the loss before.
std::pair<Params, Tensor> descend(Params params, Tensor points, Tensor labels) {
  const auto [loss, grads] = value_and_grad(hinge)(params, points, labels);
  for (auto& [path, value] : params) value = value - 0.3 * grads.at(path);
  return {params, loss};
}

struct Trained {
  Params params;
  double loss = 0, microseconds = 0;  // of a step
};

template <class Step>
Trained train(Step step, const Tensor& points, const Tensor& labels, int steps) {
  using clock = std::chrono::steady_clock;
  Trained t{.params = initialize()};
  const auto start = clock::now();
  for (int i = 0; i < steps; ++i) {
    Tensor loss;
    std::tie(t.params, loss) = step(t.params, points, labels);
    // Define by run: here the pending step is computed. Of a jit call nothing is pending.
    Tensors wanted = tensors_of(t.params);
    wanted.push_back(loss);
    eval(wanted);
    t.loss = loss.item();
    if (i % (steps / 5) == 0) std::printf("  step %4d  loss %.4f\n", i, t.loss);
  }
  const std::chrono::duration<double, std::micro> spent = clock::now() - start;
  t.microseconds = spent.count() / steps;
  return t;
}

bool same_bits(const Params& a, const Params& b) {
  for (const auto& [path, value] : a)
    if (value.to_vector<float>() != b.at(path).to_vector<float>()) return false;
  return true;
}

double accuracy(const Params& params, const Moons& moons) {
  const Tensor points = tensor({int64_t(moons.x.size()), 2}, moons.flat());
  const std::vector<float> score = scores(params, points).to_vector<float>();
  size_t right = 0;
  for (size_t i = 0; i < score.size(); ++i) right += (score[i] > 0) == (moons.labels[i] > 0);
  return double(right) / double(score.size());
}

// What the network says everywhere, and the points it was shown.
void draw_boundary(const std::string& path, const Params& params, const Moons& moons) {
  PlotRaster raster{.x = {-1.5, 2.5}, .y = {-1.0, 1.5}, .columns = 96, .rows = 60};
  std::vector<float> cells;
  for (int row = 0; row < raster.rows; ++row)
    for (int column = 0; column < raster.columns; ++column) {
      cells.push_back(float(-1.5 + 4.0 * (column + 0.5) / raster.columns));
      cells.push_back(float(-1.0 + 2.5 * (row + 0.5) / raster.rows));
    }
  const int64_t n = int64_t(raster.rows) * raster.columns;
  for (const float score : scores(params, tensor({n, 2}, cells)).to_vector<float>()) {
    raster.color.push_back(score > 0 ? 0 : 1);
    raster.strength.push_back(0.1 + 0.4 * std::min(1.0, std::abs(double(score))));
  }
  Plot plot{.title = "Two moons", .x = {.label = "x", .range = raster.x}};
  plot.y = {.label = "y", .range = raster.y};
  plot.series = {{.label = "upper", .points = true}, {.label = "lower", .points = true}};
  for (size_t i = 0; i < moons.x.size(); ++i) {
    PlotSeries& series = plot.series[moons.labels[i] > 0 ? 0 : 1];
    series.x.push_back(double(moons.x[i])), series.y.push_back(double(moons.y[i]));
  }
  plot.raster = std::move(raster);
  write_file_atomic(path, plot.svg());
}

void two_moons(const std::string& folder, int steps) {
  const Moons moons = make_moons(200, 1);
  const Tensor points = tensor({200, 2}, moons.flat()), labels = tensor({200}, moons.labels);
  std::printf("define by run:\n");
  const Trained eager = train(descend, points, labels, steps);
  std::printf("compiled:\n");
  const Trained compiled = train(jit(descend), points, labels, steps);
  require(same_bits(eager.params, compiled.params), "both ways to give the same weights");

  const double seen = accuracy(compiled.params, moons);
  const double unseen = accuracy(compiled.params, make_moons(1000, 2));
  std::printf("accuracy %.1f%% on the points it saw, %.1f%% on 1000 others\n", 100 * seen,
              100 * unseen);
  std::printf("a step takes %.0f us define by run, %.0f us compiled; the weights are equal\n",
              eager.microseconds, compiled.microseconds);
  draw_boundary(folder + "/boundary.svg", compiled.params, moons);
  std::printf("pictures: %s/graph.svg, %s/boundary.svg\n", folder.c_str(), folder.c_str());
  require(unseen > 0.97, "more than 97% of unseen points to be told apart");
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = false;
  std::string folder = ".";
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]) == "--quick")
      quick = true;
    else
      folder = argv[i];
  }
  static CpuDevice device(1);  // work this small is not worth a second thread
  set_default_device(device);
  try {
    one_neuron(folder);
    two_moons(folder, quick ? 600 : 1500);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
