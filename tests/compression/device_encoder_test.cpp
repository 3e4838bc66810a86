// Updates that lie on another device, with the processor's methods in the place of kernels: what is encoded
// there, what is brought here, and that payloads and states are the same.
#include "compression/device_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "compression/methods.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

// Memory that says what of it was brought here.
class FarFloats final : public DeviceFloats {
 public:
  explicit FarFloats(FloatBuffer values) : values_(std::move(values)) {}
  std::size_t size() const noexcept override { return values_.size(); }
  const float* address() const noexcept override { return values_.data(); }
  void read(std::size_t begin, std::span<float> out) const override {
    std::ranges::copy(std::span(values_).subspan(begin, out.size()), out.begin());
    read_ += out.size();
  }
  std::size_t floats_read() const { return read_; }

 private:
  FloatBuffer values_;
  mutable std::size_t read_ = 0;
};

class FarEncoder final : public DeviceEncoder {
 public:
  explicit FarEncoder(const Options& options) : options_(options) {}
  std::optional<std::size_t> encode(const float* values, std::size_t floats,
                                    std::span<const std::int64_t> shape, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) override {
    encoded_ += floats;
    const auto method = with_memories(make_up_method(options_, shape),
                                      memories_of(options_.text("compression.up"), options_));
    return method->encode({values, floats}, state, context, payload);
  }
  std::size_t floats_encoded() const { return encoded_; }

 private:
  Options options_;
  std::size_t encoded_ = 0;
};

// A kernel, its bias, a kernel and a statistic that is no parameter, behind floats of somebody else.
constexpr std::size_t kBefore = 37;
ParameterLayout layout_of_four() {
  return ParameterLayout({{"a.weight", {40, 50}, 0, 0, TensorRole::parameter},
                          {"a.bias", {40}, 0, 0, TensorRole::parameter},
                          {"b.weight", {3000}, 0, 0, TensorRole::parameter},
                          {"b.mean", {10}, 0, 0, TensorRole::buffer}});
}

class OnADevice : public ::testing::TestWithParam<Keys> {
 protected:
  const Options options_ = options_with(GetParam());
  const ParameterLayout layout_ = layout_of_four();
  const std::unique_ptr<Compressor> compressor_ = up_compressors().make(options_, layout_);

  FloatBuffer floats(std::uint64_t seed) const { return normal_floats(kBefore + layout_.size(), seed); }
};

TEST_P(OnADevice, PayloadsAndStatesAreThoseOfTheProcessor) {
  FloatBuffer here(compressor_->state_floats(), 0.0F), there = here;
  FarEncoder encoder(options_);
  for (std::uint64_t message = 1; message <= 4; ++message) {
    const FarFloats values(floats(message));
    const FloatBuffer own(values.address() + kBefore, values.address() + values.size());
    const MessageContext context{static_cast<Round>(message), 0.5};
    Rng first(9, Purpose::compression, 0, message), second = first;
    const Compressed wanted = compressor_->compress(SharedFloats::of(own), here, context, first);
    const Compressed got =
        compressor_->compress(DevicePart{values, kBefore, layout_.size()}, encoder, there, context, second);
    EXPECT_EQ(got.elements, wanted.elements);
    EXPECT_TRUE(std::ranges::equal(got.payload.bytes, wanted.payload.bytes));
    EXPECT_TRUE(std::ranges::equal(there, here));
    EXPECT_EQ(values.floats_read(), 50U);  // what travels as it is: the bias and the statistic
  }
  EXPECT_EQ(encoder.floats_encoded(), 4 * 5000U);
}

TEST_P(OnADevice, WhatIsNotFiniteIsRefusedByTheNameOfItsTensor) {
  FarEncoder encoder(options_);
  for (const auto& [at, name] : {std::pair{1999U, "a.weight"}, {2039U, "a.bias"}, {2040U, "b.weight"}}) {
    FloatBuffer values = floats(1);
    values[kBefore + at] = std::numeric_limits<float>::infinity();
    const FarFloats far(std::move(values));
    FloatBuffer state(compressor_->state_floats(), 0.0F);
    Rng rng(9, Purpose::compression);
    try {
      static_cast<void>(
          compressor_->compress(DevicePart{far, kBefore, layout_.size()}, encoder, state, {1}, rng));
      ADD_FAILURE() << name;
    } catch (const RunError& error) {
      EXPECT_EQ(std::string(error.what()).rfind(std::string(name) + ':', 0), 0U) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods, OnADevice,
    ::testing::Values(Keys{{"compression.up", "fp16"}}, Keys{{"compression.up", "one_bit"}},
                      Keys{{"compression.up", "qsgd"}},
                      Keys{{"compression.up", "qsgd"}, {"compression.error_feedback", "on"}},
                      Keys{{"compression.up", "terngrad"}}, Keys{{"compression.up", "top_k"}},
                      Keys{{"compression.up", "threshold"}}, Keys{{"compression.up", "low_rank"}},
                      Keys{{"compression.up", "powersgd"}}, Keys{{"compression.up", "wangni"}}),
    [](const auto& test) {
      return test.param.at("compression.up") + (test.param.size() > 1 ? "_with_feedback" : "");
    });

// A compressor that knows nothing of devices.
TEST(OnADevice, WhatHasNoPiecesIsBroughtHere) {
  const auto compressor = make_no_compressor(100);
  const FarFloats values(normal_floats(120));
  FarEncoder encoder(options_with({{"compression.up", "fp16"}}));
  Rng rng(9, Purpose::compression);
  const Compressed content = compressor->compress(DevicePart{values, 20, 100}, encoder, {}, {}, rng);
  FloatBuffer decoded(100);
  ASSERT_TRUE(compressor->decompress(content, decoded).ok());
  EXPECT_TRUE(std::ranges::equal(decoded, std::span(values.address() + 20, 100)));
  EXPECT_EQ(values.floats_read(), 100U);
}

}  // namespace
}  // namespace gossamer
