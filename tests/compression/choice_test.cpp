// compression.up = auto: one residual under several methods, and what a message says of itself.
#include "compression/choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compression/compressor.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

const ParameterLayout& layout() {
  static const ParameterLayout two({{"weight", {60, 50}, 0, 0, TensorRole::parameter},
                                    {"bias", {40}, 0, 0, TensorRole::parameter},
                                    {"more", {20, 50}, 0, 0, TensorRole::parameter}});
  return two;
}

std::unique_ptr<Compressor> choice() {
  return up_compressors().make(options_with({{"compression.up", "auto"}}), layout());
}

std::size_t number_of(const std::string& name) {
  const auto found = std::ranges::find(chosen_methods(), name);
  EXPECT_NE(found, chosen_methods().end()) << name;
  return static_cast<std::size_t>(found - chosen_methods().begin());
}

Compressed message(const Compressor& compressor, const FloatBuffer& values, FloatBuffer& state,
                   std::size_t method, std::uint64_t seed = 1) {
  Rng rng(seed, Purpose::compression);
  return compressor.compress(SharedFloats::of(values), state, {1, 0.5, method}, rng);
}

FloatBuffer read(const Compressor& compressor, const Compressed& content) {
  FloatBuffer values(layout().size());
  EXPECT_TRUE(compressor.decompress(content, values).ok());
  return values;
}

TEST(Choice, WhatOneMethodLeavesOutTheNextSends) {
  const auto compressor = choice();
  ASSERT_EQ(compressor->choices(), chosen_methods().size());
  FloatBuffer state(compressor->state_floats(), 0.0F);
  std::vector<double> wanted(layout().size()), sent(layout().size());
  for (std::size_t step = 0; step < 3 * chosen_methods().size(); ++step) {
    const FloatBuffer values = normal_floats(layout().size(), step);
    const std::size_t method = (step * 5 + 6) % chosen_methods().size();
    const FloatBuffer got = read(*compressor, message(*compressor, values, state, method, step));
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      wanted[i] += values[i];
      sent[i] += got[i];
      ASSERT_NEAR(wanted[i] - sent[i], state[i], 1e-4) << chosen_methods()[method] << ' ' << i;
    }
  }
  // All that has waited goes out with the first message that leaves nothing out.
  message(*compressor, normal_floats(layout().size(), 99), state, number_of("top_k_0.001"));
  EXPECT_GT(squares(state), 0);
  message(*compressor, FloatBuffer(layout().size(), 0.0F), state, number_of("none"));
  EXPECT_EQ(state, FloatBuffer(layout().size(), 0.0F));
}

TEST(Choice, LaterMethodsSendLess) {
  const auto compressor = choice();
  std::size_t before = SIZE_MAX;
  for (std::size_t method = 0; method < compressor->choices(); ++method) {
    FloatBuffer state(compressor->state_floats(), 0.0F);
    const std::size_t bytes =
        message(*compressor, normal_floats(layout().size()), state, method).payload.size();
    EXPECT_LT(bytes, before) << chosen_methods()[method];
    before = bytes;
  }
}

TEST(Choice, AMessageSaysByWhichMethodAndWhatItDelivers) {
  const auto compressor = choice();
  for (std::size_t method = 0; method < compressor->choices(); ++method) {
    FloatBuffer state = normal_floats(compressor->state_floats(), 7);
    const FloatBuffer values = normal_floats(layout().size());
    FloatBuffer both = values;
    for (std::size_t i = 0; i < both.size(); ++i) both[i] += state[i];
    const auto report = method_report(message(*compressor, values, state, method));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->method, method);
    EXPECT_NEAR(report->delivered, 1 - squares(state) / squares(both), 1e-6) << chosen_methods()[method];
  }
}

TEST(Choice, OfNothingAllIsDelivered) {
  const auto compressor = choice();
  FloatBuffer state(compressor->state_floats(), 0.0F);
  const auto report =
      method_report(message(*compressor, FloatBuffer(layout().size(), 0.0F), state, number_of("one_bit")));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->delivered, 1);
}

TEST(Choice, OtherReportsAreRefused) {
  const auto compressor = choice();
  FloatBuffer state(compressor->state_floats(), 0.0F), sum(layout().size(), 1.0F);
  const Compressed good = message(*compressor, normal_floats(layout().size()), state, 0);
  const auto with_tail = [&](float delivered, unsigned method) {
    ByteBuffer bytes(good.payload.bytes.begin(), good.payload.bytes.end());
    std::memcpy(bytes.data() + bytes.size() - 5, &delivered, sizeof delivered);
    bytes.back() = static_cast<std::byte>(method);
    return Compressed{good.elements, SharedBytes::of(std::move(bytes))};
  };
  EXPECT_TRUE(compressor->decompress_add(with_tail(0.25F, 0), 0, sum).ok());
  for (const Compressed& bad :
       {with_tail(1.5F, 0), with_tail(-0.1F, 0), with_tail(std::nanf(""), 0),
        with_tail(0.5F, static_cast<unsigned>(chosen_methods().size())), with_tail(0.5F, 1)}) {
    EXPECT_FALSE(compressor->decompress_add(bad, 1, sum).ok());
  }
  EXPECT_EQ(sum, FloatBuffer(layout().size(), 1.0F));
  EXPECT_FALSE(method_report({4, SharedBytes::of(ByteBuffer(4))}));
}

}  // namespace
}  // namespace gossamer
