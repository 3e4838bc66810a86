// The kernels for CUDA, run by loops in the place of threads, against those for the processor: the same
// payloads, residuals and sums, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/compression/device_cases.h"
#include "tests/compression/host_team.h"

namespace gossamer::cuda {
namespace {

template <class T>
bool same_bits(const T& a, const T& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0);
}

struct Encoded {
  ByteBuffer payload;
  FloatBuffer state;
  bool refused = false;
};

// Copies at an address that is so many floats off a multiple of 64 bytes.
struct Misplaced {
  Misplaced(const FloatBuffer& values, std::size_t off) : buffer(values.size() + off), begin(off) {
    std::ranges::copy(values, buffer.begin() + static_cast<std::ptrdiff_t>(off));
  }
  float* data() { return buffer.data() + begin; }
  FloatBuffer copy() const { return {buffer.begin() + static_cast<std::ptrdiff_t>(begin), buffer.end()}; }
  FloatBuffer buffer;
  std::size_t begin;
};

// What no thread is to touch, behind a payload.
constexpr std::size_t kFence = 64;
constexpr std::byte kUntouched{0xA5};

template <bool backwards>
Encoded encode_by_loops(const Plan& plan, const Method& host, const FloatBuffer& values,
                        const FloatBuffer& state, EncodeContext context, std::size_t off) {
  Misplaced x(values, off), e(state, off);
  std::uint32_t refused = 0;
  std::uint64_t length = 0;
  ByteBuffer workspace(workspace_bytes(plan, values.size()), kUntouched);
  const std::size_t most = host.most_bytes(values.size());
  // What no thread writes stays, and differs from what the processor wrote.
  Encoded result{ByteBuffer(most + kFence, kUntouched), {}};
  encode(plan,
         {x.data(), state.empty() ? nullptr : e.data(), values.size(), context,
          reinterpret_cast<std::uint8_t*>(result.payload.data()), &refused, &length,
          reinterpret_cast<std::uint8_t*>(workspace.data())},
         [](const auto& job) { run_on_host<backwards>(job); });
  EXPECT_TRUE(std::all_of(result.payload.end() - kFence, result.payload.end(),
                          [](std::byte b) { return b == kUntouched; }));
  result.payload.resize(host.has_fixed_length() ? most : std::min<std::size_t>(length, most));
  result.state = e.copy();
  result.refused = refused != 0;
  return result;
}

Encoded encode_by_host(const Method& host, const FloatBuffer& values, const FloatBuffer& state,
                       EncodeContext context) {
  Encoded result{ByteBuffer(host.room_bytes(values.size())), state};
  const auto length = host.encode(values, result.state, context, result.payload);
  result.payload.resize(length.value_or(0));
  result.refused = !length;
  return result;
}

// Forwards where the floats are aligned, backwards where they are not. Returns what the processor wrote.
Encoded expect_the_same(const DeviceMethods& methods, const FloatBuffer& values, const FloatBuffer& state,
                        EncodeContext context) {
  const Method& own = state.empty() ? *methods.host : *methods.with_state;
  const Encoded wanted = encode_by_host(own, values, state, context);
  const Encoded forwards = encode_by_loops<false>(methods.plan, *methods.host, values, state, context, 0),
                backwards = encode_by_loops<true>(methods.plan, *methods.host, values, state, context, 1);
  for (const Encoded* got : {&forwards, &backwards}) {
    EXPECT_EQ(got->refused, wanted.refused);
    if (wanted.refused) continue;
    EXPECT_TRUE(same_bits(got->payload, wanted.payload));
    EXPECT_TRUE(same_bits(got->state, wanted.state));
  }
  return wanted;
}
void expect_the_same_sum(const DeviceMethods& methods, const ByteBuffer& payload, const FloatBuffer& start) {
  FloatBuffer wanted = start;
  methods.host->add(payload, 0.3F, wanted);
  const auto added = [&](std::size_t off, const auto& launch) {
    Misplaced sum(start, off);
    ByteBuffer workspace(workspace_bytes(methods.plan, start.size()), kUntouched);
    add(methods.plan,
        {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size(), 0.3F, sum.data(),
         start.size(), reinterpret_cast<std::uint8_t*>(workspace.data())},
        launch);
    return sum.copy();
  };
  EXPECT_TRUE(same_bits(added(0, [](const auto& job) { run_on_host<false>(job); }), wanted));
  EXPECT_TRUE(same_bits(added(1, [](const auto& job) { run_on_host<true>(job); }), wanted));
}

class CudaJobs : public testing::TestWithParam<std::size_t> {
 protected:
  const DeviceCase& one() const { return device_cases()[GetParam()]; }
};

TEST_P(CudaJobs, EncodeTheSameBits) {
  for (const std::size_t length : device_lengths()) {
    const DeviceMethods methods(one(), length);
    for (const Content content : kContents) {
      const FloatBuffer values = device_values(length, content, length);
      for (const bool keeps : {false, true}) {
        if (!keeps && methods.keeps_something(length)) continue;
        SCOPED_TRACE(testing::Message() << length << ' ' << static_cast<int>(content) << keeps);
        const FloatBuffer state =
            keeps ? device_values(methods.with_state->state_floats(length), content, 99) : FloatBuffer{};
        expect_the_same(methods, values, state, {0x9E3779B97F4A7C15U * length, one().round});
        if (HasFailure()) return;
      }
    }
  }
}

// From nothing kept on, each with what the one before it left.
TEST_P(CudaJobs, EncodeTheSameBitsMessageAfterMessage) {
  for (const std::size_t length : {1UL, 700UL, 4097UL, 24601UL}) {
    const DeviceMethods methods(one(), length);
    FloatBuffer state(methods.with_state->state_floats(length), 0.0F);
    for (std::uint64_t message = 0; message < 12; ++message) {
      SCOPED_TRACE(testing::Message() << length << ' ' << message);
      // Zeros after zeros, and the same values again.
      const Content content = message < 3 ? Content::scarce : message < 8 ? Content::normal : Content::equal;
      // A loss that falls, but for every fourth message.
      const double loss = message % 4 == 0 ? 9.0 : 5.0 - 0.25 * static_cast<double>(message);
      const EncodeContext context{message, one().round + static_cast<std::int64_t>(message / 2), loss};
      const Encoded written =
          expect_the_same(methods, device_values(length, content, message / 2), state, context);
      if (HasFailure()) return;
      expect_the_same_sum(methods, written.payload, device_values(length, Content::normal, 5));
      if (HasFailure()) return;
      state = written.state;
    }
  }
}

// More parts than there are lanes for their totals, and threads to add them up.
TEST_P(CudaJobs, EncodeTheSameBitsOfManyParts) {
  constexpr std::size_t kFloats = 600'001;
  const DeviceMethods methods(one(), kFloats);
  const FloatBuffer values = device_values(kFloats, Content::normal, 1),
                    state = device_values(methods.with_state->state_floats(kFloats), Content::special, 2);
  const EncodeContext context{3, one().round};
  const Encoded wanted = encode_by_host(*methods.with_state, values, state, context),
                got = encode_by_loops<false>(methods.plan, *methods.host, values, state, context, 0);
  ASSERT_FALSE(wanted.refused || got.refused);
  EXPECT_TRUE(same_bits(got.payload, wanted.payload));
  EXPECT_TRUE(same_bits(got.state, wanted.state));
  expect_the_same_sum(methods, wanted.payload, values);
}

TEST_P(CudaJobs, AddTheSameBits) {
  for (const std::size_t length : device_lengths()) {
    const DeviceMethods methods(one(), length);
    for (const Content content : {Content::normal, Content::special, Content::tiny, Content::scarce}) {
      SCOPED_TRACE(testing::Message() << length << ' ' << static_cast<int>(content));
      const FloatBuffer values = device_values(length, content, length);
      const FloatBuffer state(methods.host->state_floats(length), 0.0F);
      const Encoded encoded = encode_by_host(*methods.host, values, state, {length, one().round});
      ASSERT_FALSE(encoded.refused);
      expect_the_same_sum(methods, encoded.payload, device_values(length, content, 5));
      if (HasFailure()) return;
    }
  }
}

TEST_P(CudaJobs, RefuseWhatIsNotFinite) {
  for (const std::size_t length : {1UL, 17UL, 513UL, 4097UL, 8200UL, 20000UL}) {
    const DeviceMethods methods(one(), length);
    const bool keeps_something = methods.keeps_something(length);
    const auto is_refused = [&](const FloatBuffer& values, const FloatBuffer& state) {
      return encode_by_loops<false>(methods.plan, *methods.host, values, state, {1, one().round}, 0).refused;
    };
    const std::size_t kept = methods.with_state->state_floats(length);
    for (const std::size_t at : {std::size_t{0}, length / 2, length - 1}) {
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
        FloatBuffer values = device_values(length, Content::normal, 1), zeros(length, 0.0F);
        FloatBuffer state(kept, 0.0F);
        EXPECT_FALSE(!keeps_something && is_refused(values, {}));
        EXPECT_FALSE(is_refused(values, state));
        values[at] = bad;
        EXPECT_TRUE(keeps_something || is_refused(values, {})) << length << ' ' << at;
        EXPECT_TRUE(is_refused(values, state)) << length << ' ' << at;
        const std::size_t summed =
            kept - methods.host->state_floats(length) + (methods.host->has_residual() ? length : 0);
        for (std::size_t begin = 0; begin < summed; begin += length) {
          state[begin + at] = bad;
          EXPECT_TRUE(is_refused(zeros, state)) << length << ' ' << at;
          state[begin + at] = 0;
        }
      }
    }
  }
}

TEST_P(CudaJobs, OfNothingDoNothing) {
  const Plan plan = DeviceMethods(one(), 0).plan;
  std::uint32_t refused = 0;
  std::uint64_t length = 0;
  ByteBuffer payload(kFence, kUntouched), workspace(workspace_bytes(plan, 0), kUntouched);
  encode(plan,
         {nullptr,
          nullptr,
          0,
          {1, 0},
          reinterpret_cast<std::uint8_t*>(payload.data()),
          &refused,
          &length,
          reinterpret_cast<std::uint8_t*>(workspace.data())},
         [](const auto& job) { run_on_host<false>(job); });
  EXPECT_EQ(refused, 0U);
  // TernGrad's scaler, which is 0.
  EXPECT_TRUE(std::all_of(payload.begin() + 4, payload.end(), [](std::byte b) { return b == kUntouched; }));
  add(plan, {}, [](const auto& job) { run_on_host<false>(job); });
}

INSTANTIATE_TEST_SUITE_P(Methods, CudaJobs, testing::Range<std::size_t>(0, device_cases().size()),
                         [](const auto& test) { return name_of(device_cases()[test.param]); });

// The places that a threshold is guessed from hold all the large values, and there are fewer than are wanted.
TEST(CudaChoice, DoesWithoutAGuessThatWasTooHigh) {
  const DeviceCase cases[] = {{"top_k", {{"compression.top_k.density", "0.25"}}},
                              {"dgc", {{"compression.factor_masking", "on"}}}};
  for (const DeviceCase& one : cases) {
    const DeviceMethods methods(one, 0);
    const Plan& plan = methods.plan;
    for (const std::size_t length : {40'960UL, 100'003UL}) {
      FloatBuffer values = device_values(length, Content::normal, 1);
      const std::size_t stride = length / (GuessThreshold::kSampled / GuessThreshold::kRun);
      for (std::size_t i = 0; i < length; ++i) {
        if (i % stride >= GuessThreshold::kRun) values[i] *= 0x1p-20F;
      }
      const std::size_t k = sent_of(plan, length, 0), rank = rank_of_guess(length, k);
      ASSERT_GT(rank, 0U);
      ASSERT_LT(2 * rank, k);  // about as many as the guess leaves
      const FloatBuffer state(methods.with_state->state_floats(length), 0.0F);
      const Encoded wanted = encode_by_host(*methods.with_state, values, state, {}),
                    got = encode_by_loops<false>(plan, *methods.host, values, state, {}, 0);
      EXPECT_TRUE(same_bits(got.payload, wanted.payload));
      EXPECT_TRUE(same_bits(got.state, wanted.state));
    }
  }
}

// What is zero and has a velocity, while other values are left to the next message.
TEST(CudaChoice, MasksTheVelocityOfWhatCancelsOut) {
  for (const char* masking : {"auto", "on", "off"}) {
    const DeviceCase one{
        "dgc", {{"compression.dgc.density", "0.1"}, {"compression.factor_masking", masking}}, 4};
    const DeviceMethods methods(one, 0);
    constexpr std::size_t kLength = 5003;
    for (const std::size_t nonzero : {100UL, 3000UL}) {
      FloatBuffer values(kLength, 0.0F), state(2 * kLength, 0.0F);
      for (std::size_t i = 0; i < kLength; ++i) {
        if (i < nonzero) {
          values[i] = static_cast<float>(i) + 1;
        } else if (i % 7 == 0) {
          values[i] = 2;
          state[kLength + i] = -2;
        }
      }
      const Encoded wanted = encode_by_host(*methods.with_state, values, state, {1, one.round});
      for (const bool backwards : {false, true}) {
        const EncodeContext context{1, one.round};
        const Encoded got =
            backwards ? encode_by_loops<true>(methods.plan, *methods.host, values, state, context, 1)
                      : encode_by_loops<false>(methods.plan, *methods.host, values, state, context, 0);
        EXPECT_TRUE(same_bits(got.payload, wanted.payload)) << masking << nonzero;
        EXPECT_TRUE(same_bits(got.state, wanted.state)) << masking << nonzero;
      }
    }
  }
}

struct MatrixCase {
  std::string rank;
  std::int64_t rows, columns;
};

// Message after message of matrices of all kinds of shapes, with and without error feedback.
void expect_the_same_of_matrices(const std::string& method, const std::vector<MatrixCase>& matrices) {
  for (const MatrixCase& matrix : matrices) {
    for (const char* const feedback : {"on", "off"}) {
      const DeviceCase one{
          method,
          {{"compression." + method + ".rank", matrix.rank}, {"compression.error_feedback", feedback}}};
      const DeviceMethods methods(one, std::vector<std::int64_t>{matrix.rows, matrix.columns});
      const std::size_t length = methods.plan.matrix.floats();
      ASSERT_LT(methods.host->most_bytes(length), length * sizeof(float));  // not as it is
      FloatBuffer state(methods.with_state->state_floats(length), 0.0F);
      for (const Content content : kContents) {
        SCOPED_TRACE(testing::Message() << matrix.rank << ' ' << matrix.rows << ' ' << matrix.columns << ' '
                                        << feedback << static_cast<int>(content));
        const EncodeContext context{length * 77 + static_cast<std::uint64_t>(content)};
        const Encoded written = expect_the_same(methods, device_values(length, content, 3), state, context);
        if (!written.refused)
          expect_the_same_sum(methods, written.payload, device_values(length, content, 5));
        if (testing::Test::HasFailure()) return;
        if (!methods.keeps_something(length) && *feedback == 'o' && feedback[1] == 'f')
          expect_the_same(methods, device_values(length, content, 3), {}, context);
        state = written.refused ? FloatBuffer(state.size(), 0.0F) : written.state;
      }
    }
  }
}

TEST(CudaLowRank, GivesTheSameBitsOfAnyShape) {
  // Blocks of 64 rows a rank, panels of 8,192 columns over it, and parts of both.
  expect_the_same_of_matrices("low_rank", {{"1", 2, 20},
                                           {"1", 5, 8192},
                                           {"1", 65, 8193},
                                           {"1", 1000, 3},
                                           {"2", 128, 33},
                                           {"2", 10, 4097},
                                           {"3", 401, 20},
                                           {"4", 3000, 17},
                                           {"7", 900, 130},
                                           {"256", 300, 70},
                                           {"255", 20'000, 3}});
}

// Sums beyond the largest float in some panels only.
TEST(CudaLowRank, ScalesThePanelsThatOverflow) {
  const DeviceCase one{"low_rank", {{"compression.low_rank.rank", "4"}}};
  const DeviceMethods methods(one, std::vector<std::int64_t>{300, 2100});
  FloatBuffer values = device_values(300 * 2100, Content::normal, 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 2100 == 2070) values[i] = std::copysign(3e38F, SignMatrix(300, 4, 11).sign(i / 2100));
  }
  const FloatBuffer state(values.size(), 0.0F);
  const Encoded written = expect_the_same(methods, values, state, {11});
  ASSERT_FALSE(written.refused);
  expect_the_same_sum(methods, written.payload, values);
}

TEST(CudaPowerSgd, GivesTheSameBitsOfAnyShape) {
  // Blocks of 256 rows, panels of 8,192 columns over the rank, tiles of four rows and ranks, and parts of
  // them; norms of 4,096 rows.
  expect_the_same_of_matrices("powersgd", {{"1", 2, 20},
                                           {"1", 9, 8192},
                                           {"2", 12, 4113},
                                           {"2", 4099, 9},
                                           {"1", 70'000, 3},
                                           {"3", 256, 33},
                                           {"4", 257, 65},
                                           {"4", 20, 2049},
                                           {"5", 773, 130},
                                           {"7", 61, 1201},
                                           {"40", 300, 200}});
}

TEST(CudaPowerSgd, RefusesAStateThatIsNoNumber) {
  const DeviceCase one{"powersgd", {{"compression.error_feedback", "off"}}};
  const DeviceMethods methods(one, std::vector<std::int64_t>{20, 30});
  const FloatBuffer values = device_values(600, Content::normal, 1);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    FloatBuffer state(methods.with_state->state_floats(600), 0.5F);
    state[7] = bad;
    EXPECT_TRUE(expect_the_same(methods, values, state, {1}).refused);
  }
}

// Of values of which each is larger than all that are smaller take a bound for nearly each.
TEST(CudaWangni, FindsABoundThatTakesManySteps) {
  for (const char* const density : {"0.02", "0.025"}) {
    const DeviceCase one{"wangni", {{"compression.wangni.density", density}}};
    const DeviceMethods methods(one, 0);
    constexpr std::size_t kLength = 9001;
    FloatBuffer values(kLength, 0.0F);
    for (std::size_t i = 0; i < 246; ++i)
      values[i * 36 + 3] = std::ldexp(i % 3 == 0 ? -1.0F : 1.0F, 120 - static_cast<int>(i));
    const double kept = BoundSearch::kept_of(methods.plan.density, kLength);
    BoundSearch search;
    int steps = 0;
    while (search.found == 0) {
      MagnitudeSplit now;
      for (const float x : values) {
        if (std::abs(x) < search.bound) {
          now.below += static_cast<double>(std::abs(x));
        } else {
          ++now.above;
        }
      }
      search.take(now, methods.plan.density, kept);
      ++steps;
    }
    EXPECT_GT(steps, 2 * kBoundSteps);
    for (const FloatBuffer& state : {FloatBuffer{}, FloatBuffer(kLength, 0.0F)}) {
      const Encoded written = expect_the_same(methods, values, state, {5});
      ASSERT_FALSE(written.refused);
      expect_the_same_sum(methods, written.payload, values);
    }
  }
}

// Where the first 16 bits of a probability do not say whether a value travels.
TEST(CudaWangni, DrawsTheOtherBitsOfAProbability) {
  const DeviceCase one{"wangni", {{"compression.wangni.density", "0.00001"}}};
  const DeviceMethods methods(one, 0);
  const FloatBuffer values(200'000, 1.0F);
  std::uint32_t sent = 0;
  for (std::uint64_t key = 1; key < 6; ++key) {
    const Encoded written = expect_the_same(methods, values, {}, {key * 0x9E3779B97F4A7C15U});
    std::uint32_t count;
    std::memcpy(&count, written.payload.data(), sizeof count);
    sent += count;
    expect_the_same_sum(methods, written.payload, values);
  }
  EXPECT_GT(sent, 0U);
}

// A workspace does for whatever is shorter, and one for any method for each.
TEST(CudaPlan, WorkspacesGrow) {
  for (const DeviceCase& one : device_cases()) {
    const Plan plan = DeviceMethods(one, 9000).plan;
    std::size_t before = 0;
    for (std::size_t n = 0; n < 20'000; n += 1 + n / 40) {
      const std::size_t bytes = workspace_bytes(plan, n);
      EXPECT_GE(bytes, before) << name_of(one) << ' ' << n;
      EXPECT_GE(most_workspace_bytes(n), bytes) << name_of(one) << ' ' << n;
      before = bytes;
    }
  }
}

// Also where most of it is due to the shape.
TEST(CudaPlan, WorkspacesOfMatricesAreNoLargerThanThoseOfAnyMethod) {
  for (const char* const method : {"low_rank", "powersgd"}) {
    for (const char* const rank : {"1", "4", "256"}) {
      const DeviceCase one{method, {{std::string("compression.") + method + ".rank", rank}}};
      for (const std::int64_t rows : {2, 40, 257, 5000, 300'000}) {
        for (const std::int64_t columns : {1, 2, 40, 257, 9000}) {
          const DeviceMethods methods(one, std::vector<std::int64_t>{rows, columns});
          const std::size_t floats = methods.plan.matrix.floats();
          EXPECT_GE(most_workspace_bytes(floats), workspace_bytes(methods.plan, floats)) << rows << columns;
        }
      }
    }
  }
}

// What there are no kernels for.
TEST(CudaPlan, LeavesOutOtherMethods) {
  for (const char* const method : {"none", "auto"}) EXPECT_FALSE(plan_of(method, options_of({method, {}})));
  for (const char* const method : {"fp16", "wangni", "low_rank", "powersgd"}) {
    const DeviceCase one{method, {{"compression.momentum_correction", "on"}}};
    EXPECT_FALSE(plan_of(one.method, options_of(one)));
  }
}

TEST(CudaArithmetic, RoundsFloatsOfAnySizeToTheSameHalves) {
  // Every 251st that there is, and is finite.
  std::vector<std::uint32_t> bits;
  for (std::uint64_t b = 0; b < 0x100000000U; b += 251) {
    if ((b & kInfinityBits) != kInfinityBits) bits.push_back(static_cast<std::uint32_t>(b));
  }
  FloatBuffer values(bits.size());
  std::memcpy(values.data(), bits.data(), bits.size() * sizeof bits[0]);
  const DeviceCase cases[] = {{"fp16", {}}, {"bf16", {}}};
  for (const DeviceCase& one : cases) {
    const Options options = options_of(one);
    const Plan plan = plan_of(one.method, options).value();
    const auto host = host_method_of(plan, options);
    const Encoded wanted = encode_by_host(*host, values, {}, {});
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, wanted.payload.data() + 2 * i, sizeof half);
      ASSERT_EQ(one.method == "fp16" ? Fp16::encode(values[i]) : Bf16::encode(values[i]), half) << bits[i];
    }
  }
}

}  // namespace
}  // namespace gossamer::cuda
