#include "weft/train/batch.h"

#include <algorithm>

#include "weft/base/random.h"

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

int64_t sample_offset(uint64_t seed, int64_t sample, int64_t tokens, int64_t context) {
  WEFT_CHECK(tokens > context, "{} tokens, context {}", tokens, context);
  const auto words = Philox{random_key(seed, hash_path("train.samples"))}(uint64_t(sample));
  const uint64_t bits = uint64_t(words[0]) << 32 | words[1];
  // The product's upper half: uniform up to 2^-64 times the number of places.
  using Wide = unsigned __int128;
  return int64_t(Wide(bits) * Wide(uint64_t(tokens - context)) >> 64);
}

Batch::Batch(Device& device, int64_t sequences, int64_t context, float weight)
    : sequences_(sequences), context_(context), crop_(size_t(context + 1)) {
  const int64_t n = tokens_max();
  tokens_.resize(size_t(n)), targets_.resize(size_t(n));
  std::vector<int32_t> positions, segments;
  for (int64_t i = 0; i < n; ++i) positions.push_back(int32_t(i % context));
  for (int64_t s = 0; s < sequences; ++s)
    for (int repeat = 0; repeat < 2; ++repeat)
      segments.insert(segments.end(), {int32_t(s * context), int32_t(context)});
  tensors_.tokens = tensor_of(device, {n}, tokens_);
  tensors_.targets = tensor_of(device, {n}, targets_);
  tensors_.positions = tensor_of(device, {n}, positions);
  tensors_.segments = tensor_of(device, {sequences, 4}, segments);
  tensors_.weights = tensor_of(device, {n}, std::vector<float>(size_t(n), weight));
  tensors_.random = tensor_of(device, {2}, std::vector<int64_t>(2));
}

int64_t Batch::bytes() const {
  int64_t total = 0;
  Tensors tensors = tensors_;
  tensors.each([&](const Tensor& t) { total += int64_t(t.value().buffer()->bytes()); });
  return total;
}

void Batch::upload() {
  overwrite(tensors_.tokens, tokens_);
  overwrite(tensors_.targets, targets_);
}

void Batch::fill_samples(const TokenView& tokens, uint64_t seed, int64_t first) {
  for (int64_t s = 0; s < sequences_; ++s) {
    tokens.copy(sample_offset(seed, first + s, tokens.size(), context_), crop_);
    std::copy(crop_.begin(), crop_.end() - 1, tokens_.begin() + s * context_);
    std::copy(crop_.begin() + 1, crop_.end(), targets_.begin() + s * context_);
  }
  upload();
}

int64_t Batch::fill_windows(const TokenView& tokens, int64_t first) {
  int64_t predicted = 0;
  for (int64_t s = 0; s < sequences_; ++s) {
    const int64_t begin = (first + s) * context_;
    const int64_t count = std::clamp<int64_t>(tokens.size() - 1 - begin, 0, context_);
    int32_t* in = tokens_.data() + s * context_;
    int32_t* out = targets_.data() + s * context_;
    if (count > 0) {
      tokens.copy(begin, std::span(crop_).first(size_t(count + 1)));
      std::copy_n(crop_.begin(), count, in);
      std::copy_n(crop_.begin() + 1, count, out);
    }
    std::fill(in + count, in + context_, 0);
    std::fill(out + count, out + context_, -1);
    predicted += count;
  }
  upload();
  return predicted;
}

void Batch::set_random(uint64_t seed, int64_t step) {
  overwrite(tensors_.random, std::vector<int64_t>{int64_t(seed), step});
}

}  // namespace weft::train
