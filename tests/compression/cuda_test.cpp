// The kernels on a GPU against those for the processor: the same payloads, residuals and sums, bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "compression/cuda/device_method.h"
#include "core/error.h"
#include "tests/compression/device_cases.h"

namespace gossamer::cuda {
namespace {

template <class T, class Buffer>
DeviceBuffer<T> on_device(const Buffer& values, std::size_t off, const Stream& stream) {
  DeviceBuffer<T> memory(values.size() + off + 1);
  copy(memory.data() + off, values.data(), values.size() * sizeof(T), stream);
  return memory;
}

template <class Buffer, class T>
Buffer from_device(const DeviceBuffer<T>& memory, std::size_t off, std::size_t size, const Stream& stream) {
  Buffer values(size);
  copy(values.data(), memory.data() + off, size * sizeof(T), stream);
  stream.wait();
  return values;
}

template <class T>
bool same_bits_as(const T& a, const T& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof a[0]) == 0);
}

class Cuda : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    // Without a GPU there is nothing to compare; cuda_jobs_test.cpp runs the same jobs everywhere.
    if (const std::string why = why_no_device(); !why.empty()) GTEST_SKIP() << why;
    stream_.emplace();
  }

  const DeviceCase& one() const { return device_cases()[GetParam()]; }

  // On the device and on the processor, with a state unless it is empty. Floats lie `off` floats from where
  // memory begins. Returns the state that is left.
  FloatBuffer expect_the_same(const FloatBuffer& values, const FloatBuffer& state, std::size_t off,
                              EncodeContext context) {
    const std::size_t n = values.size();
    const DeviceMethods methods(one(), n);
    const auto device = make_device_method(one().method, methods.options, device_shape(n));
    ByteBuffer wanted(methods.with_state->room_bytes(n));
    FloatBuffer left = state;
    const auto length =
        (state.empty() ? *methods.host : *methods.with_state).encode(values, left, context, wanted);
    wanted.resize(length.value_or(0));
    EXPECT_EQ(device->payload_bytes(n), methods.host->most_bytes(n));
    const auto x = on_device<float>(values, off, *stream_), e = on_device<float>(state, off, *stream_);
    // What no thread writes stays, and differs from what the processor wrote.
    const auto payload =
        on_device<std::byte>(ByteBuffer(device->payload_bytes(n), std::byte{0xA5}), 0, *stream_);
    EncodeScratch scratch(*device, n);
    device->encode(x.data() + off, state.empty() ? nullptr : e.data() + off, n, context, payload.data(),
                   scratch, *stream_);
    EXPECT_EQ(scratch.finish(*stream_), length) << n;
    if (!length || HasFailure()) return left;
    EXPECT_TRUE(same_bits_as(from_device<ByteBuffer>(payload, 0, wanted.size(), *stream_), wanted)) << n;
    const auto kept = from_device<FloatBuffer>(e, off, state.size(), *stream_);
    EXPECT_TRUE(same_bits_as(kept, left)) << n;

    FloatBuffer sum = device_values(n, Content::normal, 5);
    const auto added = on_device<float>(sum, off, *stream_);
    device->add({payload.data(), wanted.size()}, 0.3F, added.data() + off, n, scratch, *stream_);
    methods.host->add(wanted, 0.3F, sum);
    EXPECT_TRUE(same_bits_as(from_device<FloatBuffer>(added, off, n, *stream_), sum)) << n;
    return left;
  }
  // Without a state, where there is such an encoding.
  void expect_the_same_without_state(const FloatBuffer& values) {
    if (!DeviceMethods(one(), values.size()).keeps_something(values.size()))
      expect_the_same(values, {}, 0, context(values.size()));
  }
  std::size_t state_floats(std::size_t n) const {
    return DeviceMethods(one(), n).with_state->state_floats(n);
  }
  EncodeContext context(std::size_t n) const { return {0x9E3779B97F4A7C15U * n, one().round}; }

  std::optional<Stream> stream_;
};

TEST_P(Cuda, GivesTheBitsOfTheProcessorAtAnyLength) {
  for (const std::size_t n : device_lengths()) {
    for (const Content content : kContents) {
      expect_the_same_without_state(device_values(n, content, n));
      expect_the_same(device_values(n, content, n), device_values(state_floats(n), content, 99), n % 4,
                      context(n));
      if (HasFailure()) return;
    }
  }
}

TEST_P(Cuda, GivesThemOfALongVector) {
  constexpr std::size_t kFloats = 3'000'001;
  const FloatBuffer values = device_values(kFloats, Content::normal, 1);
  expect_the_same_without_state(values);
  expect_the_same(values, device_values(state_floats(kFloats), Content::special, 2), 0, context(1));
}

TEST_P(Cuda, GivesThemMessageAfterMessage) {
  constexpr std::size_t kFloats = 200'003;
  FloatBuffer state(state_floats(kFloats), 0.0F);
  for (std::uint64_t message = 0; message < 12 && !HasFailure(); ++message) {
    const Content content = message < 3 ? Content::scarce : message < 8 ? Content::normal : Content::equal;
    state = expect_the_same(device_values(kFloats, content, message / 2), state, 0,
                            {message, one().round + static_cast<std::int64_t>(message / 2),
                             message % 4 == 0 ? 9.0 : 5.0 - 0.25 * static_cast<double>(message)});
  }
}

TEST_P(Cuda, DoesNothingToNothing) {
  const auto device = make_device_method(one().method, options_of(one()));
  EncodeScratch scratch(0);
  const DeviceBuffer<std::byte> payload(64);
  device->encode(nullptr, nullptr, 0, {1}, payload.data(), scratch, *stream_);
  device->add({payload.data(), 0}, 1, nullptr, 0, scratch, *stream_);
  EXPECT_EQ(scratch.finish(*stream_), device->payload_bytes(0));
}

TEST_P(Cuda, RefusesWhatIsNotFinite) {
  for (const std::size_t n : {1UL, 17UL, 513UL, 4097UL, 8200UL, 20000UL}) {
    for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        FloatBuffer values = device_values(n, Content::normal, 1),
                    state = device_values(state_floats(n), Content::normal, 2);
        expect_the_same(values, state, 0, context(n));
        if (at < state.size()) state[at] = bad;
        expect_the_same(values, state, 0, context(n));
        values[at] = bad;
        expect_the_same_without_state(values);
        if (HasFailure()) return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, Cuda, testing::Range<std::size_t>(0, device_cases().size()),
                         [](const auto& test) { return name_of(device_cases()[test.param]); });

TEST(CudaCheck, NamesTheCallThatFailed) {
  try {
    check(cudaErrorMemoryAllocation, "cudaMalloc");
    FAIL() << "not thrown";
  } catch (const RunError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("cudaMalloc: ", 0), 0U) << error.what();
  }
  EXPECT_NO_THROW(check(cudaSuccess, "cudaMalloc"));
}

}  // namespace
}  // namespace gossamer::cuda
