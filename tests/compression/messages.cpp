#include "tests/compression/messages.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace gossamer {

Options options_with(const std::map<std::string, std::string>& keys) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : keys) options.set(key, value);
  return options;
}

ParameterLayout cnn_layout() {
  return ParameterLayout({{"conv1.weight", {32, 1, 5, 5}, 0, 0, TensorRole::parameter},
                          {"conv1.bias", {32}, 0, 0, TensorRole::parameter},
                          {"conv2.weight", {64, 32, 5, 5}, 0, 0, TensorRole::parameter},
                          {"conv2.bias", {64}, 0, 0, TensorRole::parameter},
                          {"fc1.weight", {512, 3136}, 0, 0, TensorRole::parameter},
                          {"fc1.bias", {512}, 0, 0, TensorRole::parameter},
                          {"fc2.weight", {10, 512}, 0, 0, TensorRole::parameter},
                          {"fc2.bias", {10}, 0, 0, TensorRole::parameter}});
}

FloatBuffer normal_floats(std::size_t count, std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  FloatBuffer floats(count);
  for (float& x : floats) x = static_cast<float>(rng.normal());
  return floats;
}

double squares(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

ByteBuffer encoded(const Method& method, std::span<const float> values, std::span<float> state,
                   std::uint64_t key) {
  ByteBuffer payload(method.room_bytes(values.size()));
  payload.resize(method.encode(values, state, {key}, payload).value());
  EXPECT_TRUE(method.is_valid(payload, values.size()));
  return payload;
}

ByteBuffer encoded(const Method& method, std::span<const float> values, std::uint64_t key) {
  FloatBuffer state(method.state_floats(values.size()), 0.0F);
  return encoded(method, values, state, key);
}

FloatBuffer decoded(const Method& method, std::span<const std::byte> payload, std::size_t floats) {
  FloatBuffer values(floats, 0.0F);
  method.add(payload, 1, values);
  return values;
}

FloatBuffer through(const Method& method, std::span<const float> values, std::uint64_t key) {
  return decoded(method, encoded(method, values, key), values.size());
}

std::size_t non_zeros(const FloatBuffer& values) {
  return static_cast<std::size_t>(std::ranges::count_if(values, [](float x) { return x != 0; }));
}

std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += off * off;
  }
  return std::sqrt(sum);
}

}  // namespace gossamer
