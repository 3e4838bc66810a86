#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

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

}  // namespace gossamer
