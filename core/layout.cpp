#include "core/layout.h"
#include "core/checksum.h"

#include <sodium.h>

#include <array>

#include "core/error.h"

namespace gossamer {

ParameterLayout::ParameterLayout(std::vector<TensorSpec> tensors) : tensors_(std::move(tensors)) {
  std::string description;
  bool in_buffers = false;
  for (TensorSpec& tensor : tensors_) {
    if (tensor.role == TensorRole::buffer) in_buffers = true;
    if (tensor.role == TensorRole::parameter && in_buffers)
      throw std::logic_error("layout: parameter " + tensor.name + " after a buffer");
    tensor.size = 1;
    description += tensor.name + (in_buffers ? " buffer" : " parameter");
    for (std::int64_t extent : tensor.shape) {
      tensor.size *= static_cast<std::size_t>(extent);
      description += ' ' + std::to_string(extent);
    }
    description += '\n';
    tensor.offset = size_;
    size_ += tensor.size;
    if (!in_buffers) parameter_count_ = size_;
  }
  fingerprint_ = checksum_of(description);
}

std::string sha256(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  std::array<char, crypto_hash_sha256_BYTES * 2 + 1> text{};
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  return text.data();
}

}  // namespace gossamer
