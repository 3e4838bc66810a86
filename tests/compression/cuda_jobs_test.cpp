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
  FloatBuffer residual;
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

template <bool backwards>
Encoded encode_by_loops(const Plan& plan, const Method& host, const FloatBuffer& values,
                        const FloatBuffer& residual, std::uint64_t key, std::size_t off) {
  Misplaced x(values, off), e(residual, off);
  std::uint32_t refused = 0;
  std::vector<TernaryTotal> totals(totals_of(plan, values.size()));
  // What no thread writes stays, and differs from what the processor wrote.
  Encoded result{ByteBuffer(host.most_bytes(values.size()), std::byte{0xA5}), {}};
  encode(plan,
         {x.data(), residual.empty() ? nullptr : e.data(), values.size(), key,
          reinterpret_cast<std::uint8_t*>(result.payload.data()), &refused, totals.data()},
         [](const auto& job) { run_on_host<backwards>(job); });
  result.residual = e.copy();
  result.refused = refused != 0;
  return result;
}

Encoded encode_by_host(const Method& host, const FloatBuffer& values, const FloatBuffer& residual,
                       std::uint64_t key) {
  Encoded result{ByteBuffer(host.most_bytes(values.size())), residual};
  const auto length = residual.empty()
                          ? host.encode(values, {}, {key}, result.payload)
                          : host.encode_with_residual(values, result.residual, {key}, result.payload);
  result.refused = !length;
  return result;
}

class CudaJobs : public testing::TestWithParam<std::size_t> {
 protected:
  const DeviceCase& one() const { return device_cases()[GetParam()]; }
  const Options options_ = options_of(one());
  const Plan plan_ = plan_of(one().method, options_).value();
  const std::unique_ptr<Method> host_ = host_method_of(plan_, options_);
};

TEST_P(CudaJobs, EncodeTheSameBits) {
  for (const std::size_t length : device_lengths()) {
    for (const Content content : kContents) {
      const FloatBuffer values = device_values(length, content, length);
      for (const bool feedback : {false, true}) {
        const FloatBuffer residual = feedback ? device_values(length, content, 99) : FloatBuffer{};
        const std::uint64_t key = 0x9E3779B97F4A7C15U * length;
        const Encoded wanted = encode_by_host(*host_, values, residual, key);
        const Encoded forwards = encode_by_loops<false>(plan_, *host_, values, residual, key, 0),
                      backwards = encode_by_loops<true>(plan_, *host_, values, residual, key, 1);
        for (const Encoded* got : {&forwards, &backwards}) {
          ASSERT_EQ(got->refused, wanted.refused) << length << ' ' << static_cast<int>(content) << feedback;
          if (wanted.refused) continue;
          ASSERT_TRUE(same_bits(got->payload, wanted.payload))
              << length << ' ' << static_cast<int>(content) << feedback;
          ASSERT_TRUE(same_bits(got->residual, wanted.residual))
              << length << ' ' << static_cast<int>(content);
        }
      }
    }
  }
}

// More parts than TernGrad has lanes for their totals, and threads to add them up.
TEST_P(CudaJobs, EncodeTheSameBitsOfManyParts) {
  constexpr std::size_t kFloats = 600'001;
  const FloatBuffer values = device_values(kFloats, Content::normal, 1),
                    residual = device_values(kFloats, Content::special, 2);
  const Encoded wanted = encode_by_host(*host_, values, residual, 3),
                got = encode_by_loops<false>(plan_, *host_, values, residual, 3, 0);
  ASSERT_FALSE(wanted.refused || got.refused);
  EXPECT_TRUE(same_bits(got.payload, wanted.payload));
  EXPECT_TRUE(same_bits(got.residual, wanted.residual));
}

TEST_P(CudaJobs, AddTheSameBits) {
  for (const std::size_t length : device_lengths()) {
    for (const Content content : {Content::normal, Content::special, Content::tiny}) {
      const FloatBuffer values = device_values(length, content, length);
      const Encoded encoded = encode_by_host(*host_, values, {}, length);
      ASSERT_FALSE(encoded.refused);
      const FloatBuffer start = device_values(length, content, 5);
      FloatBuffer wanted = start;
      host_->add(encoded.payload, 0.3F, wanted);
      const auto added = [&](std::size_t off, const auto& launch) {
        Misplaced sum(start, off);
        add(plan_, {reinterpret_cast<const std::uint8_t*>(encoded.payload.data()), 0.3F, sum.data(), length},
            launch);
        return sum.copy();
      };
      ASSERT_TRUE(same_bits(added(0, [](const auto& job) { run_on_host<false>(job); }), wanted)) << length;
      ASSERT_TRUE(same_bits(added(1, [](const auto& job) { run_on_host<true>(job); }), wanted)) << length;
    }
  }
}

TEST_P(CudaJobs, RefuseWhatIsNotFinite) {
  for (const std::size_t length : {1UL, 17UL, 513UL, 4097UL, 8200UL, 20000UL}) {
    for (const std::size_t at : {std::size_t{0}, length / 2, length - 1}) {
      for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity()}) {
        FloatBuffer values = device_values(length, Content::normal, 1), zeros(length, 0.0F);
        EXPECT_FALSE(encode_by_loops<false>(plan_, *host_, values, {}, 1, 0).refused);
        values[at] = bad;
        EXPECT_TRUE(encode_by_loops<false>(plan_, *host_, values, {}, 1, 0).refused) << length << ' ' << at;
        EXPECT_TRUE(encode_by_loops<false>(plan_, *host_, zeros, values, 1, 0).refused)
            << length << ' ' << at;
      }
    }
  }
}

TEST_P(CudaJobs, OfNothingDoNothing) {
  const Encoded got = encode_by_loops<false>(plan_, *host_, {}, {}, 1, 0);
  EXPECT_FALSE(got.refused);
  EXPECT_TRUE(std::ranges::all_of(got.payload, [](std::byte b) { return b == std::byte{0}; }));
  add(plan_, {}, [](const auto& job) { run_on_host<false>(job); });
}

INSTANTIATE_TEST_SUITE_P(Methods, CudaJobs, testing::Range<std::size_t>(0, device_cases().size()),
                         [](const auto& test) { return name_of(device_cases()[test.param]); });

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
    const Encoded wanted = encode_by_host(*host, values, {}, 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t half;
      std::memcpy(&half, wanted.payload.data() + 2 * i, sizeof half);
      ASSERT_EQ(one.method == "fp16" ? Fp16::encode(values[i]) : Bf16::encode(values[i]), half) << bits[i];
    }
  }
}

}  // namespace
}  // namespace gossamer::cuda
