// The picture of a small expression: every node with its value and the gradient of the result with
// respect to it.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "weft/weft.h"

namespace weft {

struct Named {
  Tensor tensor;
  std::string name;
};

// Of a scalar that is made of scalars, before it is computed: then a node forgets its inputs.
inline std::string draw_graph(const Tensor& result, const std::vector<Named>& names) {
  // Nodes by id, which ascend: inputs come before what is made of them. The column is the longest
  // way from a leaf.
  struct Place {
    Tensor tensor;
    int column = 0, row = 0;
  };
  std::map<uint64_t, Place> places;
  std::vector<Tensor> todo = {result};
  while (!todo.empty()) {
    const Tensor t = todo.back();
    todo.pop_back();
    if (!places.try_emplace(t.node()->id, Place{t}).second) continue;
    for (const Tensor& in : t.node()->inputs) todo.push_back(in);
  }
  std::vector<int> rows(places.size() + 1);
  Tensors tensors;
  for (auto& [id, place] : places) {
    for (const Tensor& in : place.tensor.node()->inputs)
      place.column = std::max(place.column, places.at(in.node()->id).column + 1);
    place.row = rows[size_t(place.column)]++;
    tensors.push_back(place.tensor);
  }
  const Tensors grads = gradients(result, tensors);

  constexpr int width = 130, height = 52, step_x = 170, step_y = 72, margin = 20;
  const auto x_of = [](const Place& p) { return margin + p.column * step_x; };
  const auto y_of = [](const Place& p) { return margin + p.row * step_y + p.column * step_y / 3; };
  std::string lines, boxes, texts;
  int right = 0, bottom = 0;
  size_t next = 0;
  for (const auto& [id, place] : places) {
    const int x = x_of(place), y = y_of(place);
    right = std::max(right, x + width), bottom = std::max(bottom, y + height);
    std::string name(place.tensor.node()->op ? place.tensor.node()->op->name : "");
    for (const Named& n : names)
      if (n.tensor == place.tensor) name = n.name;
    for (const Tensor& in : place.tensor.node()->inputs) {
      const Place& from = places.at(in.node()->id);
      lines += format("<line x1='{}' y1='{}' x2='{}' y2='{}'/>\n", x_of(from) + width,
                      y_of(from) + height / 2, x, y + height / 2);
    }
    boxes += format("<rect x='{}' y='{}' width='{}' height='{}' rx='6'/>\n", x, y, width, height);
    texts += format("<text x='{}' y='{}' font-weight='bold'>{}</text>\n", x + 8, y + 16, name);
    // The values come from copies of the nodes' graph, so that the nodes themselves stay as drawn.
    texts += format("<text x='{}' y='{}'>value {:.4f}</text>\n", x + 8, y + 31,
                    (place.tensor * 1.0).item());
    texts +=
        format("<text x='{}' y='{}'>grad {:.4f}</text>\n", x + 8, y + 46, grads[next++].item());
  }
  return format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{}' height='{}' font-family='sans-serif' "
      "font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n"
      "<g stroke='#888'>\n{}</g>\n<g fill='#eef3fa' stroke='#4878a8'>\n{}</g>\n<g "
      "fill='#222'>\n{}</g>\n</svg>\n",
      right + margin, bottom + margin, lines, boxes, texts);
}

}  // namespace weft
