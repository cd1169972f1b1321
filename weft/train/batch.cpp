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

// A document has a token at least.
Batch::Batch(Device& device, int64_t sequences, int64_t context, float weight,
             std::optional<int32_t> document_start)
    : sequences_(sequences),
      context_(context),
      document_start_(document_start),
      crop_(size_t(context + 1)) {
  const int64_t n = tokens_max();
  const int64_t documents = document_start ? n : sequences;
  for (std::vector<int32_t>* each : {&tokens_, &targets_, &positions_}) each->resize(size_t(n));
  segments_.resize(size_t(4 * documents));
  mark_documents();
  tensors_.tokens = tensor_of(device, {n}, tokens_);
  tensors_.targets = tensor_of(device, {n}, targets_);
  tensors_.positions = tensor_of(device, {n}, positions_);
  tensors_.segments = tensor_of(device, {documents, 4}, segments_);
  tensors_.weights = tensor_of(device, {n}, std::vector<float>(size_t(n), weight));
  tensors_.random = tensor_of(device, {2}, std::vector<int64_t>(2));
}

int64_t Batch::bytes() const {
  int64_t total = 0;
  Tensors tensors = tensors_;
  tensors.each([&](const Tensor& t) { total += int64_t(t.value().buffer()->bytes()); });
  return total;
}

void Batch::fill_row(int64_t row, int64_t count) {
  int32_t *in = tokens_.data() + row * context_, *out = targets_.data() + row * context_;
  std::copy_n(crop_.begin(), count, in);
  std::copy_n(crop_.begin() + 1, count, out);
  std::fill(in + count, in + context_, 0);
  std::fill(out + count, out + context_, -1);
}

// Segments that are not needed are empty and stand behind all tokens.
void Batch::mark_documents() {
  size_t used = 0;
  for (int32_t i = 0; i < int32_t(tokens_max()); ++i) {
    if (i % context_ == 0 || tokens_[size_t(i)] == document_start_) {
      segments_[used] = segments_[used + 2] = i;
      segments_[used + 1] = segments_[used + 3] = 0;
      used += 4;
    }
    positions_[size_t(i)] = segments_[used - 3]++;
    ++segments_[used - 1];
  }
  for (; used < segments_.size(); used += 2)
    segments_[used] = int32_t(tokens_max()), segments_[used + 1] = 0;
}

void Batch::upload() {
  mark_documents();
  overwrite(tensors_.tokens, tokens_);
  overwrite(tensors_.targets, targets_);
  overwrite(tensors_.positions, positions_);
  overwrite(tensors_.segments, segments_);
}

void Batch::fill_samples(const TokenView& tokens, uint64_t seed, int64_t first) {
  for (int64_t s = 0; s < sequences_; ++s) {
    const int64_t offset = sample_offset(seed, first + s, tokens.size(), context_);
    const int64_t most = std::min(offset + context_, tokens.size() - context_);
    tokens.copy(offset, std::span(crop_).first(size_t(most - offset)));
    const auto start = std::find(crop_.begin(), crop_.begin() + (most - offset), document_start_);
    const int64_t skipped = start - crop_.begin();
    tokens.copy(skipped < most - offset ? offset + skipped : offset, crop_);
    fill_row(s, context_);
  }
  upload();
}

int64_t Batch::fill_windows(const TokenView& tokens, int64_t begin) {
  for (int64_t s = 0; s < sequences_; ++s) {
    int64_t count = std::min(tokens.size() - 1 - begin, context_);
    tokens.copy(begin, std::span(crop_).first(size_t(count + 1)));
    if (begin + count < tokens.size() - 1)
      for (int64_t i = count; i > 0; --i)
        if (crop_[size_t(i)] == document_start_) {
          count = i;
          break;
        }
    fill_row(s, count);
    begin += count;
  }
  upload();
  return begin;
}

void Batch::set_random(uint64_t seed, int64_t step) {
  overwrite(tensors_.random, std::vector<int64_t>{int64_t(seed), step});
}

}  // namespace weft::train
