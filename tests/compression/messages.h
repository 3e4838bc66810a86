#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "compression/method.h"
#include "core/buffers.h"

// What tests of methods have in common.
namespace gossamer {

// Keys of compression; the others have their defaults.
Options options_with(const std::map<std::string, std::string>& keys);

// The CNN of McMahan et al. for MNIST: 1,663,370 floats.
ParameterLayout cnn_layout();
FloatBuffer normal_floats(std::size_t count, std::uint64_t seed = 3);
// The squared Euclidean norm.
double squares(std::span<const float> values);

// One message, which its receiver must accept. Without `state` the first of a sender.
ByteBuffer encoded(const Method& method, std::span<const float> values, std::span<float> state,
                   std::uint64_t key);
ByteBuffer encoded(const Method& method, std::span<const float> values, std::uint64_t key = 1);
FloatBuffer decoded(const Method& method, std::span<const std::byte> payload, std::size_t floats);
FloatBuffer through(const Method& method, std::span<const float> values, std::uint64_t key = 1);

using Keys = std::map<std::string, std::string>;

// One client's messages of one tensor, as a server decodes them.
class Stream {
 public:
  Stream(const Keys& keys, std::size_t floats)
      : compressor_(make(keys, floats)), state_(compressor_->state_floats(), 0.0F) {}

  FloatBuffer send(const FloatBuffer& values, MessageContext context = {}) {
    Rng rng(9, Purpose::compression, 0, ++messages_);
    const Compressed content = compressor_->compress(SharedFloats::of(values), state_, context, rng);
    bytes_ = content.payload.size();
    FloatBuffer decoded(values.size());
    EXPECT_TRUE(compressor_->decompress(content, decoded).ok());
    return decoded;
  }
  const FloatBuffer& state() const { return state_; }
  std::size_t bytes() const { return bytes_; }  // of the last message

 private:
  static std::unique_ptr<Compressor> make(Keys keys, std::size_t floats) {
    keys["compression.min_size"] = "0";
    const ParameterLayout layout({{"w", {static_cast<std::int64_t>(floats)}, 0, 0, TensorRole::parameter}});
    return up_compressors().make(options_with(keys), layout);
  }

  std::unique_ptr<Compressor> compressor_;
  FloatBuffer state_;
  std::uint64_t messages_ = 0;
  std::size_t bytes_ = 0;
};

std::size_t non_zeros(const FloatBuffer& values);
std::vector<float> floats_of(std::span<const std::byte> bytes);
// The Euclidean norm of a - b.
double distance(std::span<const float> a, std::span<const float> b);

}  // namespace gossamer
