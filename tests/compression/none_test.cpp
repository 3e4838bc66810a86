#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "compression/methods.h"
#include "core/checksum.h"

namespace gossamer {
namespace {

constexpr std::size_t kFloats = 5003;

std::unique_ptr<Compressor> none() { return make_no_compressor(kFloats); }

FloatBuffer example() {
  FloatBuffer floats(kFloats);
  for (std::size_t i = 0; i < kFloats; ++i) floats[i] = std::sin(static_cast<float>(i));
  return floats;
}

// These floats as a payload that begins `odd` bytes behind a float's place, as a receiver has it who has
// looked at it, or has not.
Compressed payload_of(const FloatBuffer& floats, std::size_t odd, bool looked) {
  ByteBuffer bytes(odd + floats.size() * sizeof(float));
  std::memcpy(bytes.data() + odd, floats.data(), floats.size() * sizeof(float));
  SharedBytes payload = SharedBytes::of(std::move(bytes));
  payload.bytes = payload.bytes.subspan(odd);
  payload.finite = looked && all_finite(payload.bytes);
  return {floats.size(), std::move(payload)};
}

TEST(None, AddsTheWeightedFloats) {
  const FloatBuffer floats = example();
  for (const bool looked : {false, true}) {
    for (std::size_t odd = 0; odd < 5; ++odd) {
      FloatBuffer sum(kFloats, 0.25F);
      ASSERT_TRUE(none()->decompress_add(payload_of(floats, odd, looked), 3, sum).ok());
      for (std::size_t i = 0; i < kFloats; ++i) ASSERT_EQ(sum[i], 0.25F + 3 * floats[i]) << i;
    }
  }
}

TEST(None, OfAMalformedPayloadNothingIsAdded) {
  for (const bool looked : {false, true}) {
    for (const float bad :
         {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      FloatBuffer floats = example();
      floats[kFloats - 1] = bad;
      FloatBuffer sum(kFloats, 1);
      EXPECT_FALSE(none()->decompress_add(payload_of(floats, 0, looked), 1, sum).ok());
      EXPECT_EQ(sum, FloatBuffer(kFloats, 1));
      EXPECT_FALSE(none()->decompress(payload_of(floats, 0, looked), sum).ok());
    }
    FloatBuffer shorter(kFloats - 1, 1);
    EXPECT_FALSE(none()->decompress_add(payload_of(example(), 0, looked), 1, shorter).ok());
    EXPECT_EQ(shorter, FloatBuffer(kFloats - 1, 1));
  }
}

}  // namespace
}  // namespace gossamer
