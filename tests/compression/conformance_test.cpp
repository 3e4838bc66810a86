// What every method promises (compression/compressor.h, method.h), for each line of the registry at several
// settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "compression/compressor.h"
#include "compression/method.h"
#include "compression/methods.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

struct Setting {
  std::string name;
  std::vector<std::pair<std::string, std::string>> keys;
};

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all{
      {"none", {}},
      {"fp16", {}},
      {"bf16", {}},
      {"int8", {}},
      {"int8", {{"compression.int8.rounding", "stochastic"}}},
      {"one_bit", {{"compression.error_feedback", "off"}}},
      {"one_bit", {{"compression.one_bit.block", "100"}, {"compression.error_feedback", "off"}}},
      {"terngrad", {}},
      {"terngrad", {{"compression.terngrad.clip", "0"}}},
      {"qsgd", {}},
      {"qsgd", {{"compression.qsgd.bits", "2"}}},
      {"qsgd", {{"compression.qsgd.bits", "8"}, {"compression.qsgd.norm", "l2"}}},
      {"top_k", {{"compression.error_feedback", "off"}}},
      {"top_k", {{"compression.top_k.density", "1"}, {"compression.error_feedback", "off"}}},
      {"dgc", {{"compression.momentum_correction", "off"}}},
      {"dgc", {{"compression.dgc.density", "0.2"}, {"compression.dgc.warmup_rounds", "0"}}},
      {"dgc", {{"compression.dgc.density", "1"}, {"compression.local_clip", "1e30"}}},
      {"dgc", {{"compression.nesterov", "true"}, {"compression.momentum", "0.5"}}},
      {"fp16", {{"compression.momentum_correction", "on"}, {"compression.nesterov", "true"}}},
      {"one_bit", {{"compression.momentum_correction", "on"}}},
      {"random_k", {{"compression.random_k.density", "0.3"}}},
      {"threshold", {{"compression.threshold.tau", "0.7"}, {"compression.error_feedback", "off"}}},
      {"wangni", {{"compression.wangni.density", "0.3"}}},
      {"wangni", {{"compression.wangni.density", "0.3"}, {"compression.error_feedback", "on"}}},
      {"wangni", {{"compression.wangni.density", "1"}}},
      {"adacomp", {}},
      {"esgd", {}},
      {"esgd", {{"compression.esgd.density", "0.1"}, {"compression.esgd.momentum", "1"}}},
      {"esgd", {{"compression.esgd.density", "1"}}},
      {"adacomp", {{"compression.adacomp.density", "0.3"}, {"compression.adacomp.staleness", "false"}}},
      {"powersgd", {{"compression.error_feedback", "off"}}},
      {"powersgd", {{"compression.powersgd.rank", "1"}, {"compression.error_feedback", "off"}}},
      {"powersgd", {{"compression.powersgd.rank", "7"}, {"compression.error_feedback", "off"}}},
      // At most five rows a column of the random factor.
      {"low_rank", {{"compression.low_rank.rank", "25"}, {"compression.error_feedback", "off"}}},
      {"low_rank", {{"compression.low_rank.rank", "2"}}},
      {"random_mask", {{"compression.random_mask.density", "0.3"}}},
      {"random_mask", {{"compression.random_mask.density", "0.001"}}},
      {"bounded_error", {}},
      {"bounded_error", {{"compression.bounded_error.bound", "1.7"}}},
      {"bounded_error", {{"compression.bounded_error.bound", "0.00003"}}},
      {"sketched", {}},
      {"sketched", {{"compression.sketched.bits", "1"}, {"compression.sketched.rotation", "false"}}},
      {"sketched", {{"compression.sketched.bits", "8"}, {"compression.sketched.density", "0.4"}}},
      {"sketched", {{"compression.sketched.bits", "4"}}},
      {"auto", {}},
  };
  return all;
}

Options options_of(const Setting& setting, std::vector<std::pair<std::string, std::string>> more = {}) {
  auto schema = std::make_shared<OptionSchema>();
  add_compression_options(*schema);
  Options options(schema);
  options.set("compression.up", setting.name);
  for (const auto& [key, value] : setting.keys) options.set(key, value);
  for (const auto& [key, value] : more) options.set(key, value);
  options.check_methods();
  return options;
}

// As square as it can be: a row where the number is prime, which methods for matrices treat as a vector.
std::vector<std::int64_t> shape_of(std::size_t floats) {
  auto rows = static_cast<std::size_t>(std::sqrt(static_cast<double>(floats)));
  while (floats % rows != 0) --rows;
  return {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(floats / rows)};
}

ParameterLayout one_tensor(std::size_t floats) {
  return ParameterLayout({{"w", shape_of(floats), 0, 0, TensorRole::parameter}});
}

std::unique_ptr<Compressor> compressor_of(const Setting& setting, const ParameterLayout& layout,
                                          std::vector<std::pair<std::string, std::string>> more = {}) {
  more.emplace_back("compression.min_size", "0");
  return up_compressors().make(options_of(setting, std::move(more)), layout);
}

FloatBuffer random_floats(std::size_t count, std::uint64_t seed = 1) {
  Rng rng(seed, Purpose::test);
  FloatBuffer floats(count);
  for (float& x : floats) x = static_cast<float>(rng.normal());
  return floats;
}

Compressed compressed(const Compressor& compressor, const FloatBuffer& values, std::uint64_t stream = 1) {
  Rng rng(stream, Purpose::compression);
  FloatBuffer state(compressor.state_floats(), 0.0F);
  return compressor.compress(SharedFloats::of(values), state, {}, rng);
}

FloatBuffer decoded(const Compressor& compressor, const Compressed& content) {
  FloatBuffer values(content.elements, 77);
  EXPECT_TRUE(compressor.decompress(content, values).ok());
  return values;
}

Compressed with_bytes(const Compressed& content, std::vector<std::byte> bytes) {
  return {content.elements, SharedBytes::of(ByteBuffer(bytes.begin(), bytes.end()))};
}

std::vector<std::byte> bytes_of(const Compressed& content) {
  return {content.payload.bytes.begin(), content.payload.bytes.end()};
}

const std::vector<std::size_t> kLengths{1,   2,    3,    4,    5,    7,    8,    9,    15,   16,   17,
                                        31,  33,   63,   64,   65,   127,  129,  255,  257,  511,  512,
                                        513, 1023, 1025, 2559, 2560, 2561, 5003, 8191, 8192, 8193, 20000};

class Conformance : public testing::TestWithParam<std::size_t> {
 protected:
  const Setting& setting() const { return settings()[GetParam()]; }
};

TEST_P(Conformance, DecodesWhatItEncodesAtAnyLength) {
  for (const std::size_t length : kLengths) {
    const auto layout = one_tensor(length);
    const auto compressor = compressor_of(setting(), layout);
    const FloatBuffer values = random_floats(length, length);
    const Compressed content = compressed(*compressor, values);
    EXPECT_EQ(content.elements, length);
    EXPECT_EQ(content.payload.size(), compressor->payload_bytes().value_or(content.payload.size())) << length;
    const FloatBuffer once = decoded(*compressor, content);
    // No method here is further off than that, anywhere.
    float largest = 0;
    for (const float x : values) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < length; ++i) {
      ASSERT_TRUE(std::isfinite(once[i]));
      ASSERT_LE(std::abs(once[i] - values[i]), 4.0F * largest) << length << ' ' << i;
    }
    // Adding is adding what decompress() gives.
    FloatBuffer sum(length, 0.5F);
    ASSERT_TRUE(compressor->decompress_add(content, 2, sum).ok());
    for (std::size_t i = 0; i < length; ++i)
      ASSERT_NEAR(sum[i], 0.5F + 2 * once[i], 1e-5) << length << ' ' << i;
  }
}

TEST_P(Conformance, TheSameStreamGivesTheSameBytes) {
  const auto layout = one_tensor(5005);
  const auto compressor = compressor_of(setting(), layout);
  const FloatBuffer values = random_floats(5005);
  EXPECT_EQ(bytes_of(compressed(*compressor, values)), bytes_of(compressed(*compressor, values)));
}

// Compiled for one kind of processor at a time, of those whose code runs on this one.
class OneTarget {
 public:
  explicit OneTarget(std::int64_t target) { choose(target); }
  OneTarget(const OneTarget&) = delete;
  OneTarget& operator=(const OneTarget&) = delete;
  ~OneTarget() { choose(0); }

 private:
  static void choose(std::int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

TEST_P(Conformance, AllKindsOfProcessorsGiveTheSameBits) {
  const auto layout = one_tensor(5003);
  const auto compressor = compressor_of(setting(), layout);
  const auto run = [&] {
    FloatBuffer state(compressor->state_floats(), 0.0F), sums(layout.size(), 0.0F);
    std::vector<std::vector<std::byte>> payloads;
    for (std::uint64_t step = 0; step < 4; ++step) {
      Rng rng(step, Purpose::compression);
      const Compressed content =
          compressor->compress(SharedFloats::of(random_floats(5003, step)), state,
                               {static_cast<Round>(step), 1.0 / static_cast<double>(1 + step)}, rng);
      EXPECT_TRUE(compressor->decompress_add(content, 0.3F, sums).ok());
      payloads.push_back(bytes_of(content));
    }
    return std::tuple(payloads, state, sums);
  };
  const auto best = run();
  for (std::int64_t targets = hwy::SupportedTargets(); targets != 0; targets &= targets - 1) {
    const OneTarget only(targets & -targets);
    EXPECT_TRUE(run() == best) << hwy::TargetName(targets & -targets);
  }
}

TEST_P(Conformance, ZerosStayZeros) {
  for (const std::size_t length : {std::size_t{1}, std::size_t{513}, std::size_t{9000}}) {
    const auto layout = one_tensor(length);
    const auto compressor = compressor_of(setting(), layout);
    EXPECT_EQ(decoded(*compressor, compressed(*compressor, FloatBuffer(length, 0.0F))),
              FloatBuffer(length, 0.0F));
  }
}

TEST_P(Conformance, TinyAndHugeValuesStayFinite) {
  for (const float scale : {1e-44F, 1e-38F, 1e-20F, 1e30F}) {
    const auto layout = one_tensor(600);
    const auto compressor = compressor_of(setting(), layout);
    FloatBuffer values = random_floats(600);
    for (float& x : values) x *= scale;
    for (const float x : decoded(*compressor, compressed(*compressor, values))) ASSERT_TRUE(std::isfinite(x));
  }
}

TEST_P(Conformance, IsUnbiasedWhereItSaysSo) {
  constexpr std::size_t kFloats = 700;
  constexpr int kDraws = 20'000;
  const auto layout = one_tensor(kFloats);
  const auto compressor = compressor_of(setting(), layout);
  if (!compressor->traits().unbiased) return;
  const FloatBuffer values = random_floats(kFloats);
  std::vector<double> sum(kFloats), sum_of_squares(kFloats);
  for (int draw = 0; draw < kDraws; ++draw) {
    const FloatBuffer once =
        decoded(*compressor, compressed(*compressor, values, static_cast<std::uint64_t>(draw)));
    for (std::size_t i = 0; i < kFloats; ++i) {
      sum[i] += once[i];
      sum_of_squares[i] += static_cast<double>(once[i]) * once[i];
    }
  }
  double largest = 0;
  for (const float x : values) largest = std::max(largest, static_cast<double>(std::abs(x)));
  for (std::size_t i = 0; i < kFloats; ++i) {
    const double mean = sum[i] / kDraws;
    const double variance = std::max(0.0, sum_of_squares[i] / kDraws - mean * mean);
    // Five standard errors; or, of what is drawn too rarely for these to be known, ten draws.
    ASSERT_NEAR(mean, values[i], 5 * std::sqrt(variance / kDraws) + 10 * largest / kDraws) << i;
  }
}

TEST_P(Conformance, DoesNotMakeVectorsLongerWhereItSaysSo) {
  const auto layout = one_tensor(3000);
  const auto compressor = compressor_of(setting(), layout);
  if (!compressor->traits().norm_nonincreasing) return;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const FloatBuffer values = random_floats(3000, seed);
    EXPECT_LE(squares(decoded(*compressor, compressed(*compressor, values, seed))),
              squares(values) * (1 + 1e-6));
  }
}

TEST_P(Conformance, IsLinearWhereItSaysSo) {
  const auto layout = one_tensor(3000);
  const auto compressor = compressor_of(setting(), layout);
  if (!compressor->traits().linear) return;
  const FloatBuffer a = random_floats(3000, 1), b = random_floats(3000, 2);
  FloatBuffer both(3000);
  for (std::size_t i = 0; i < both.size(); ++i) both[i] = 2 * a[i] + b[i];
  const FloatBuffer x = decoded(*compressor, compressed(*compressor, a)),
                    y = decoded(*compressor, compressed(*compressor, b)),
                    z = decoded(*compressor, compressed(*compressor, both));
  for (std::size_t i = 0; i < both.size(); ++i) ASSERT_NEAR(z[i], 2 * x[i] + y[i], 1e-4);
}

TEST_P(Conformance, ErrorFeedbackTelescopes) {
  if (setting().name == "none") return;
  for (const std::size_t length : {std::size_t{5}, std::size_t{1000}, std::size_t{20000}}) {
    const auto layout = one_tensor(length);
    const auto compressor =
        compressor_of(setting(), layout,
                      {{"compression.error_feedback", "on"}, {"compression.momentum_correction", "off"}});
    if (!compressor->traits().telescopes) {
      ASSERT_THAT(setting().name, AnyOf("adacomp", "esgd"));
      return;  // their own memory is not made to: sparse_methods_test.cpp says what it is
    }
    // The residual, and behind it what the method keeps itself.
    ASSERT_GE(compressor->state_floats(), length);
    FloatBuffer state(compressor->state_floats(), 0.0F);
    std::vector<double> wanted(length), sent(length);
    for (std::uint64_t step = 0; step < 20; ++step) {
      const FloatBuffer values = random_floats(length, step);
      Rng rng(step, Purpose::compression);
      const FloatBuffer once =
          decoded(*compressor, compressor->compress(SharedFloats::of(values), state, {}, rng));
      for (std::size_t i = 0; i < length; ++i) {
        wanted[i] += values[i];
        sent[i] += once[i];
      }
    }
    for (std::size_t i = 0; i < length; ++i)
      ASSERT_NEAR(wanted[i] - sent[i], state[i], 1e-3) << length << ' ' << i;
  }
}

TEST_P(Conformance, AFusedResidualIsTheSameAsOneInSteps) {
  if (setting().name == "none" || setting().name == "auto") return;  // no method of their own
  const Options options = options_of(setting());
  for (const std::size_t length : kLengths) {
    const auto method = make_up_method(options, shape_of(length));
    const FloatBuffer values = random_floats(length, length);
    if (method->has_residual()) {
      ASSERT_THAT(setting().name, AnyOf("adacomp", "esgd"));
      return;  // they keep their residual themselves
    }
    FloatBuffer fused = random_floats(length + method->state_floats(length), 99), in_steps = fused;
    ByteBuffer a(method->room_bytes(length)), b(method->room_bytes(length));
    const auto fused_bytes = method->encode_with_residual(values, fused, {5}, a);
    const auto bytes = method->Method::encode_with_residual(values, in_steps, {5}, b);
    ASSERT_TRUE(fused_bytes && bytes && *fused_bytes == *bytes) << length;
    ASSERT_EQ(std::memcmp(a.data(), b.data(), *bytes), 0) << length;
    for (std::size_t i = 0; i < fused.size(); ++i) ASSERT_EQ(fused[i], in_steps[i]) << length << ' ' << i;
  }
}

// Also where values are zero, and where what is accumulated cancels what is left over.
TEST_P(Conformance, AFusedVelocityIsTheSameAsOneInSteps) {
  if (setting().name == "none" || setting().name == "auto") return;  // no method of their own
  const Options options = options_of(setting());
  for (const std::size_t length : kLengths) {
    const auto method = make_up_method(options, shape_of(length));
    if (method->has_residual()) return;  // it is given the velocity as values
    FloatBuffer values = random_floats(length, length), velocity = random_floats(length, 98);
    FloatBuffer fused = random_floats(length + method->state_floats(length), 99);
    for (std::size_t i = 0; i < length; ++i) {
      if (i % 5 == 1) values[i] = velocity[i] = fused[i] = 0;
      if (i % 5 == 2 && length > 4) fused[i] = -(0.5F * velocity[i] + 0.25F * values[i]);
    }
    FloatBuffer in_steps = fused, velocity_in_steps = velocity;
    ByteBuffer a(method->room_bytes(length)), b(method->room_bytes(length));
    const auto encoded =
        method->encode_velocity_with_residual(values, {velocity.data(), 0.5F, 0.25F}, fused, {5}, a);
    const auto wanted = method->Method::encode_velocity_with_residual(
        values, {velocity_in_steps.data(), 0.5F, 0.25F}, in_steps, {5}, b);
    ASSERT_TRUE(encoded && wanted && encoded->bytes == wanted->bytes) << length;
    ASSERT_EQ(std::memcmp(a.data(), b.data(), wanted->bytes), 0) << length;
    std::vector<bool> is_settled(length, false);
    if (encoded->settled) {
      for (const std::uint32_t place : *encoded->settled) is_settled.at(place) = true;
    }
    for (std::size_t i = 0; i < length; ++i) {
      ASSERT_EQ(fused[i], in_steps[i]) << length << ' ' << i;
      ASSERT_EQ(velocity[i], velocity_in_steps[i]) << length << ' ' << i;
      const bool has_to_be = encoded->settled && fused[i] == 0 && velocity[i] != 0;
      ASSERT_TRUE(!has_to_be || is_settled[i]) << length << ' ' << i;
    }
  }
}

TEST_P(Conformance, NamesTheTensorOfANaN) {
  if (setting().name == "none") return;  // the receiver refuses what comes in
  const ParameterLayout layout({{"first", {25, 28}, 0, 0, TensorRole::parameter},
                                {"second", {25, 28}, 0, 0, TensorRole::parameter},
                                {"third", {10}, 0, 0, TensorRole::parameter}});
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const auto& [at, name] :
         {std::pair{700UL, "second"}, {1399UL, "second"}, {3UL, "first"}, {1405UL, "third"}}) {
      const auto compressor = compressor_of(setting(), layout);
      FloatBuffer values = random_floats(layout.size());
      values[at] = bad;
      try {
        static_cast<void>(compressed(*compressor, values));
        FAIL() << "not refused";
      } catch (const RunError& error) {
        EXPECT_THAT(error.what(), HasSubstr(name));
      }
    }
  }
}

TEST_P(Conformance, OfAMalformedPayloadNothingIsAdded) {
  constexpr std::size_t kFloats = 3003;  // as a matrix 39 by 77
  const auto layout = one_tensor(kFloats);
  const auto compressor = compressor_of(setting(), layout);
  const Compressed content = compressed(*compressor, random_floats(kFloats));
  const auto refused = [&](const Compressed& bad) {
    FloatBuffer sum(bad.elements, 1);
    const bool added = compressor->decompress_add(bad, 1, sum).ok();
    EXPECT_TRUE(added || sum == FloatBuffer(bad.elements, 1));
    EXPECT_EQ(compressor->decompress(bad, sum).ok(), added);
    if (added) {
      for (const float x : sum) EXPECT_TRUE(std::isfinite(x));
    }
    return !added;
  };
  EXPECT_FALSE(refused(content));
  const auto bytes = bytes_of(content);
  EXPECT_TRUE(refused(with_bytes(content, {})));
  EXPECT_TRUE(refused(with_bytes(content, {bytes.begin(), bytes.end() - 1})));
  auto longer = bytes;
  longer.push_back(std::byte{0});
  EXPECT_TRUE(refused(with_bytes(content, longer)));
  Compressed shorter = content;
  --shorter.elements;
  EXPECT_TRUE(refused(shorter));
  EXPECT_TRUE(refused(with_bytes(content, std::vector<std::byte>(bytes.size(), std::byte{0xFF}))));
  // Whatever is changed in it: refused, or finite.
  Rng rng(7, Purpose::test);
  for (int change = 0; change < 300; ++change) {
    auto changed = bytes;
    for (int k = 0; k < 4; ++k)
      changed[static_cast<std::size_t>(rng.below(changed.size()))] = static_cast<std::byte>(rng() & 0xFFU);
    static_cast<void>(refused(with_bytes(content, changed)));
  }
}

TEST_P(Conformance, WhatIsSkippedOrShortOrNoParameterTravelsAsItIs) {
  const ParameterLayout layout({{"layer1.weight", {40, 10}, 0, 0, TensorRole::parameter},
                                {"layer1.bias", {20}, 0, 0, TensorRole::parameter},
                                {"layer2.weight", {40, 10}, 0, 0, TensorRole::parameter},
                                {"layer10.weight", {40, 10}, 0, 0, TensorRole::parameter},
                                {"running_mean", {400}, 0, 0, TensorRole::buffer}});
  const auto compressor =
      up_compressors().make(options_of(setting(), {{"compression.skip", "layer1, other"},
                                                   {"compression.min_size", "21"},
                                                   {"compression.momentum_correction", "off"}}),
                            layout);
  const FloatBuffer values = random_floats(layout.size());
  const FloatBuffer got = decoded(*compressor, compressed(*compressor, values));
  for (std::size_t i = 0; i < 420; ++i) EXPECT_EQ(got[i], values[i]) << i;
  for (std::size_t i = 1220; i < 1620; ++i) EXPECT_EQ(got[i], values[i]) << i;
  const bool exact = setting().keys.empty() || std::ranges::any_of(setting().keys, [](const auto& key) {
                       return key.first.ends_with(".density") && key.second == "1";
                     });
  std::size_t same = 0;
  for (std::size_t i = 420; i < 1220; ++i) same += got[i] == values[i] ? 1 : 0;
  EXPECT_TRUE(exact || same < 400) << same;
}

INSTANTIATE_TEST_SUITE_P(Methods, Conformance, testing::Range<std::size_t>(0, settings().size()),
                         [](const auto& test) {
                           std::string name = settings()[test.param].name;
                           for (const auto& [key, value] : settings()[test.param].keys) {
                             name += '_' + key.substr(key.rfind('.') + 1) + '_' + value;
                           }
                           std::ranges::replace(name, '.', '_');
                           return name;
                         });

TEST(Conformance, EveryMethodIsAmongTheSettings) {
  for (const std::string& name : up_compressors().names())
    EXPECT_TRUE(std::ranges::any_of(settings(), [&](const Setting& setting) { return setting.name == name; }))
        << name;
}

}  // namespace
}  // namespace gossamer
