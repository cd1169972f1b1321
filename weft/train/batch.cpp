#include "weft/train/batch.h"

#include <algorithm>

#include "weft/base/error.h"

namespace weft::train {
namespace {

template <class T>
void overwrite(const Tensor& tensor, const std::vector<T>& values) {
  const Array& array = tensor.value();
  WEFT_CHECK(array.dtype() == dtype_of<T>::value && array.elements() == int64_t(values.size()));
  array.device().copy_from_host(array.data(), reinterpret_cast<const std::byte*>(values.data()),
                                array.bytes());
}

template <class T>
Tensor tensor_of(Device& device, const Shape& shape, const std::vector<T>& values) {
  return Array::from<T>(device, shape, values);
}

}  // namespace

Batch::Batch(Device& device, int64_t rows, int64_t context, int64_t pieces)
    : rows_(rows), context_(context), pieces_(pieces), crop_(size_t(context + 1)) {
  const int64_t n = tokens_max();
  for (std::vector<int32_t>* values : {&tokens_, &targets_, &positions_}) values->resize(size_t(n));
  segments_.resize(size_t(4 * rows * pieces));
  weights_.resize(size_t(n));
  used_.resize(size_t(rows)), held_.resize(size_t(rows));
  clear();
  tensors_.tokens = tensor_of(device, {n}, tokens_);
  tensors_.targets = tensor_of(device, {n}, targets_);
  tensors_.positions = tensor_of(device, {n}, positions_);
  tensors_.segments = tensor_of(device, {rows * pieces, 4}, segments_);
  tensors_.weights = tensor_of(device, {n}, weights_);
  tensors_.random = tensor_of(device, {2}, std::vector<int64_t>(2));
}

int64_t Batch::bytes() const {
  int64_t total = 0;
  Tensors tensors = tensors_;
  tensors.each([&](const Tensor& t) { total += int64_t(t.value().buffer()->bytes()); });
  return total;
}

// Segments without tokens are skipped by attention, wherever they begin.
void Batch::clear() {
  std::ranges::fill(used_, 0), std::ranges::fill(held_, 0);
  std::ranges::fill(tokens_, 0), std::ranges::fill(positions_, 0);
  std::ranges::fill(targets_, -1);
  std::ranges::fill(segments_, 0);
}

bool Batch::fits(int64_t row, int64_t length) const {
  return held_[size_t(row)] < pieces_ && used_[size_t(row)] + length <= context_;
}

int64_t Batch::add(int64_t row, const TokenView& tokens, int64_t begin, int64_t length) {
  WEFT_CHECK(length > 0 && fits(row, length), "{} tokens after {} in {}", length,
             used_[size_t(row)], held_[size_t(row)]);
  const int64_t at = row * context_ + used_[size_t(row)];
  const std::span<int32_t> crop = std::span(crop_).first(size_t(length + 1));
  tokens.copy(begin, crop);
  std::copy(crop.begin(), crop.end() - 1, tokens_.begin() + at);
  std::copy(crop.begin() + 1, crop.end(), targets_.begin() + at);
  for (int64_t i = 0; i < length; ++i) positions_[size_t(at + i)] = int32_t(i);
  int32_t* segment = segments_.data() + 4 * (row * pieces_ + held_[size_t(row)]);
  segment[0] = segment[2] = int32_t(at), segment[1] = segment[3] = int32_t(length);
  used_[size_t(row)] += length, ++held_[size_t(row)];
  return at;
}

void Batch::upload(float weight) {
  std::ranges::fill(weights_, weight);
  overwrite(tensors_.tokens, tokens_);
  overwrite(tensors_.targets, targets_);
  overwrite(tensors_.positions, positions_);
  overwrite(tensors_.segments, segments_);
  overwrite(tensors_.weights, weights_);
}

void Batch::set_random(uint64_t seed, int64_t step) {
  overwrite(tensors_.random, std::vector<int64_t>{int64_t(seed), step});
}

}  // namespace weft::train
