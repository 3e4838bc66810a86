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
    device_ = make_device_method(one().method, options_);
    stream_.emplace();
  }

  const DeviceCase& one() const { return device_cases()[GetParam()]; }

  // On the device and on the processor, with a residual unless it is empty. Floats lie `off` floats from
  // where memory begins.
  void expect_the_same(const FloatBuffer& values, const FloatBuffer& residual, std::size_t off) {
    const std::size_t n = values.size();
    const std::uint64_t key = 0x9E3779B97F4A7C15U * n;
    ByteBuffer wanted(host_->most_bytes(n));
    FloatBuffer left = residual;
    const auto length = residual.empty() ? host_->encode(values, {}, {key}, wanted)
                                         : host_->encode_with_residual(values, left, {key}, wanted);
    ASSERT_EQ(device_->payload_bytes(n), wanted.size());
    const auto x = on_device<float>(values, off, *stream_), e = on_device<float>(residual, off, *stream_);
    // What no thread writes stays, and differs from what the processor wrote.
    const auto payload = on_device<std::byte>(ByteBuffer(wanted.size(), std::byte{0xA5}), 0, *stream_);
    EncodeScratch scratch(n);
    device_->encode(x.data() + off, residual.empty() ? nullptr : e.data() + off, n, {key}, payload.data(),
                    scratch, *stream_);
    ASSERT_EQ(scratch.was_finite(*stream_), length.has_value()) << n;
    if (!length) return;
    ASSERT_TRUE(same_bits_as(from_device<ByteBuffer>(payload, 0, wanted.size(), *stream_), wanted)) << n;
    const auto kept = from_device<FloatBuffer>(e, off, residual.size(), *stream_);
    ASSERT_TRUE(same_bits_as(kept, left)) << n;

    FloatBuffer sum = device_values(n, Content::normal, 5);
    const auto added = on_device<float>(sum, off, *stream_);
    device_->add(payload.data(), 0.3F, added.data() + off, n, *stream_);
    host_->add(wanted, 0.3F, sum);
    ASSERT_TRUE(same_bits_as(from_device<FloatBuffer>(added, off, n, *stream_), sum)) << n;
  }

  const Options options_ = options_of(one());
  const std::unique_ptr<Method> host_ = host_method_of(plan_of(one().method, options_).value(), options_);
  std::unique_ptr<DeviceMethod> device_;
  std::optional<Stream> stream_;
};

TEST_P(Cuda, GivesTheBitsOfTheProcessorAtAnyLength) {
  for (const std::size_t n : device_lengths()) {
    for (const Content content : kContents) {
      expect_the_same(device_values(n, content, n), {}, 0);
      expect_the_same(device_values(n, content, n), device_values(n, content, 99), n % 4);
    }
  }
}

TEST_P(Cuda, GivesThemOfALongVector) {
  constexpr std::size_t kFloats = 3'000'001;
  const FloatBuffer values = device_values(kFloats, Content::normal, 1);
  expect_the_same(values, {}, 0);
  expect_the_same(values, device_values(kFloats, Content::special, 2), 0);
}

TEST_P(Cuda, DoesNothingToNothing) {
  EncodeScratch scratch(0);
  const DeviceBuffer<std::byte> payload(64);
  device_->encode(nullptr, nullptr, 0, {1}, payload.data(), scratch, *stream_);
  device_->add(payload.data(), 1, nullptr, 0, *stream_);
  EXPECT_TRUE(scratch.was_finite(*stream_));
}

TEST_P(Cuda, RefusesWhatIsNotFinite) {
  for (const std::size_t n : {1UL, 17UL, 513UL, 4097UL, 8200UL, 20000UL}) {
    for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
      for (const float bad :
           {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
        FloatBuffer values = device_values(n, Content::normal, 1);
        values[at] = bad;
        expect_the_same(values, {}, 0);
        expect_the_same(device_values(n, Content::normal, 2), values, 0);
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
