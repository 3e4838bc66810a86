// Messages of vectors on a GPU against those of the processor, with what the sender keeps from one to the
// next.
#include "compression/cuda/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "compression/cuda/device.h"
#include "compression/methods.h"
#include "tests/compression/device_cases.h"

namespace gossamer::cuda {
namespace {

class OnAGpu final : public DeviceFloats {
 public:
  OnAGpu(const FloatBuffer& values, const Stream& stream) : memory_(values.size()), stream_(stream) {
    copy(memory_.data(), values.data(), values.size() * sizeof(float), stream);
    stream.wait();
  }
  std::size_t size() const noexcept override { return memory_.size(); }
  const float* address() const noexcept override { return memory_.data(); }
  void read(std::size_t begin, std::span<float> out) const override {
    copy(out.data(), memory_.data() + begin, out.size_bytes(), stream_);
    stream_.wait();
  }

 private:
  DeviceBuffer<float> memory_;
  const Stream& stream_;
};

ParameterLayout layout_of_four() {
  return ParameterLayout({{"a", {30'000}, 0, 0, TensorRole::parameter},
                          {"b", {41}, 0, 0, TensorRole::parameter},
                          {"c", {50, 100}, 0, 0, TensorRole::parameter},
                          {"d", {300, 12, 5}, 0, 0, TensorRole::parameter}});
}

class CudaEncoder : public testing::TestWithParam<std::size_t> {};

TEST_P(CudaEncoder, SendsWhatTheProcessorSends) {
  // Needs the device itself; device_encoder_test.cpp goes the same way everywhere, without kernels.
  if (const std::string why = why_no_device(); !why.empty()) GTEST_SKIP() << why;
  const Options options = options_of(device_cases()[GetParam()]);
  const ParameterLayout layout = layout_of_four();
  const auto compressor = up_compressors().make(options, layout);
  const auto encoder = make_encoder(options, layout.size());
  ASSERT_NE(encoder, nullptr);
  const Stream stream;
  FloatBuffer here(compressor->state_floats(), 0.0F), there = here;
  for (std::uint64_t message = 1; message <= 6; ++message) {
    const FloatBuffer values = device_values(layout.size(), Content::normal, message);
    const MessageContext context{static_cast<Round>(message), 0.5};
    Rng first(9, Purpose::compression, 0, message), second = first;
    const Compressed wanted = compressor->compress(SharedFloats::of(values), here, context, first);
    const OnAGpu far(values, stream);
    const Compressed got =
        compressor->compress(DevicePart{far, 0, layout.size()}, *encoder, there, context, second);
    EXPECT_TRUE(std::ranges::equal(got.payload.bytes, wanted.payload.bytes));
    EXPECT_TRUE(std::ranges::equal(there, here));
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, CudaEncoder, testing::Range<std::size_t>(0, device_cases().size()),
                         [](const auto& test) { return name_of(device_cases()[test.param]); });

}  // namespace
}  // namespace gossamer::cuda
