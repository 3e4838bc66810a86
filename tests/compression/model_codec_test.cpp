// Models as a whole and as differences: which is sent, and what a receiver makes of either.
#include "compression/model_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "compression/methods.h"
#include "compression/shrunk.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Given = std::map<std::string, std::string>;

ParameterLayout layout_of(std::int64_t floats) {
  return ParameterLayout({{"w", {floats}, 0, 0, TensorRole::parameter}});
}

std::string refusal(const Given& keys) {
  try {
    check_down_form(options_with(keys));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(DownForm, FollowsTheMethodUnlessAsked) {
  for (const std::string& method : down_compressors().names()) {
    const bool whole = method == "none" || method == "fp16" || method == "bf16" || method == "int8";
    EXPECT_EQ(sends_differences(options_with({{"compression.down", method}})), !whole) << method;
    EXPECT_FALSE(
        sends_differences(options_with({{"compression.down", method}, {"compression.down_form", "model"}})))
        << method;
  }
  EXPECT_TRUE(sends_differences(
      options_with({{"compression.down", "int8"}, {"compression.down_form", "difference"}})));
}

TEST(DownForm, WhatDoesNotFitIsRefused) {
  EXPECT_THAT(refusal({{"compression.down", "one_bit"}, {"compression.down_form", "model"}}),
              HasSubstr("whole models travel with none, fp16, bf16, int8"));
  EXPECT_THAT(refusal({{"compression.down_form", "difference"}}), HasSubstr("choose a method"));
  for (const char* method : {"adacomp", "esgd"}) {
    EXPECT_THAT(refusal({{"compression.down", method}}), HasSubstr("in its own way")) << method;
    EXPECT_THROW(down_compressors().make(options_with({{"compression.down", method}}), layout_of(9)),
                 ConfigError);
  }
  EXPECT_EQ(refusal({}), "");
  EXPECT_EQ(refusal({{"compression.down", "top_k"}}), "");
}

class Codec : public ::testing::Test {
 protected:
  Codec()
      : codec_(options_with({{"compression.down", "top_k"},
                             {"compression.top_k.density", "0.5"},
                             {"compression.min_size", "0"}}),
               layout_of(4)) {}

  Compressed difference(std::vector<float> values) const {
    Rng rng(1, Purpose::compression);
    return codec_.difference()->compress(SharedFloats::of(FloatBuffer(values.begin(), values.end())), {}, {},
                                         rng);
  }

  const ModelCodec codec_;
  const std::vector<float> held_{1, 2, 3, 4};
  std::vector<float> values_ = std::vector<float>(4);
};

TEST_F(Codec, ADifferenceIsAddedToWhatIsHeld) {
  const std::uint64_t mark = mark_of(held_);
  ASSERT_TRUE(codec_.decode(difference({0, 5, 1, -7}), mark, {held_, mark}, values_).ok());
  EXPECT_THAT(values_, ElementsAre(1, 7, 3, -3));
}

TEST_F(Codec, AWholeModelIsFloatsWhateverIsHeld) {
  const FloatBuffer model{0.1F, 0.2F, 0.3F, 0.4F};
  ASSERT_TRUE(codec_.decode(as_they_are({nullptr, model}), 0, {}, values_).ok());
  EXPECT_EQ(std::memcmp(values_.data(), model.data(), sizeof(float) * 4), 0);
}

TEST_F(Codec, ADifferenceToAnotherModelIsAFault) {
  const Compressed content = difference({0, 5, 1, -7});
  const std::uint64_t mark = mark_of(held_);
  EXPECT_FALSE(codec_.decode(content, mark + 1, {held_, mark}, values_).ok());
  EXPECT_FALSE(codec_.decode(content, mark, {}, values_).ok()) << "nothing is held";
  const std::vector<float> longer{1, 2, 3, 4, 5};
  EXPECT_FALSE(codec_.decode(content, mark, {longer, mark}, values_).ok());
  EXPECT_FALSE(codec_.decode(content, 0, {held_, mark}, values_).ok()) << "no whole model";
  const ModelCodec whole(options_with({}), layout_of(4));
  EXPECT_FALSE(whole.decode(content, mark, {held_, mark}, values_).ok());
}

TEST_F(Codec, AMalformedDifferenceIsAFault) {
  const std::uint64_t mark = mark_of(held_);
  const Compressed content = difference({0, 5, 1, -7});
  for (std::size_t size = 0; size < content.payload.size(); ++size) {
    Compressed cut = content;
    cut.payload.bytes = cut.payload.bytes.first(size);
    EXPECT_FALSE(codec_.decode(cut, mark, {held_, mark}, values_).ok()) << size;
  }
}

TEST(Mark, IsOfTheContentAndNeverNothing) {
  const std::vector<float> one{1, 2}, same{1, 2}, other{1, 3}, zero{0, 0}, negative{0, -0.0F};
  EXPECT_EQ(mark_of(one), mark_of(same));
  EXPECT_NE(mark_of(one), mark_of(other));
  EXPECT_NE(mark_of(zero), mark_of(negative));
  EXPECT_EQ(mark_of_checksum(0), 1U);
  EXPECT_EQ(mark_of_checksum(2), 2U);
}

std::vector<std::pair<std::string, std::unique_ptr<Method>>> wide_methods() {
  std::vector<std::pair<std::string, std::unique_ptr<Method>>> all;
  all.emplace_back("terngrad", make_terngrad(options_with({{"compression.terngrad.clip", "0"}})));
  all.emplace_back("qsgd", make_qsgd(options_with({{"compression.qsgd.bits", "2"}})));
  return all;
}

// Where the method alone is further from the vector than zero is, on average.
TEST(Shrunk, IsNoFurtherFromTheVectorThanZeroIs) {
  const FloatBuffer x = normal_floats(5000);
  const double whole = squares(x);
  const auto error_of = [&](const Method& method, std::uint64_t key) {
    FloatBuffer error = through(method, x, key);
    for (std::size_t i = 0; i < x.size(); ++i) error[i] -= x[i];
    return squares(error);
  };
  for (auto& [name, method] : wide_methods()) {
    EXPECT_GT(error_of(*method, 1), whole) << name;
    const auto shrunk = make_shrunk(std::move(method));
    for (std::uint64_t key = 1; key < 20; ++key) EXPECT_LT(error_of(*shrunk, key), 0.8 * whole) << name;
  }
}

TEST(Shrunk, SendsTheNearestMultiple) {
  const FloatBuffer x = normal_floats(700);
  for (auto& [name, method] : wide_methods()) {
    const FloatBuffer plain = through(*method, x, 5);
    const auto shrunk = make_shrunk(std::move(method));
    const ByteBuffer payload = encoded(*shrunk, x, 5);
    float factor;
    std::memcpy(&factor, payload.data(), sizeof factor);
    double product = 0;
    for (std::size_t i = 0; i < x.size(); ++i) product += double{x[i]} * double{plain[i]};
    EXPECT_FLOAT_EQ(factor, static_cast<float>(product / squares(plain))) << name;
    const FloatBuffer sent = decoded(*shrunk, payload, x.size());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(sent[i], factor * plain[i]) << name;
  }
}

TEST(Shrunk, OfNothingIsNothing) {
  const FloatBuffer zeros(100, 0.0F);
  for (auto& [name, method] : wide_methods()) {
    const auto shrunk = make_shrunk(std::move(method));
    EXPECT_EQ(through(*shrunk, zeros), zeros) << name;
  }
}

TEST(Shrunk, AFactorThatNobodyWritesIsRefused) {
  const FloatBuffer x = normal_floats(100);
  const auto shrunk = make_shrunk(make_qsgd(options_with({})));
  ByteBuffer payload = encoded(*shrunk, x);
  ASSERT_TRUE(shrunk->is_valid(payload, x.size()));
  for (const float bad : {-1.0F, -0.0F, 1.5F, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    std::memcpy(payload.data(), &bad, sizeof bad);
    EXPECT_FALSE(shrunk->is_valid(payload, x.size())) << bad;
  }
  EXPECT_FALSE(shrunk->is_valid(std::span(payload).first(3), x.size()));
}

}  // namespace
}  // namespace gossamer
