#include "tests/compression/messages.h"

#include <gtest/gtest.h>

namespace gossamer {

Options options_with(const std::map<std::string, std::string>& keys) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : keys) options.set(key, value);
  return options;
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

}  // namespace gossamer
