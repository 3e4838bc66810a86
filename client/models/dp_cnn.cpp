// The small CNN that private training is compared on: 8x8x16 of stride 2 (padded by 3), pool 2, 4x4x32 of
// stride 2, pool 2 (both pools of stride 1), dense 32, dense. With ReLU in TensorFlow Privacy's tutorial;
// with tanh in Papernot, Thakurta, Song, Chien, Erlingsson: "Tempered sigmoid activations for deep learning
// with differential privacy", AAAI 2021.
#include <torch/torch.h>

#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

class DpCnn final : public NativeModel {
  static constexpr std::int64_t kChannels1 = 16, kChannels2 = 32, kHidden = 32;
  static constexpr std::int64_t kKernel1 = 8, kPadding1 = 3, kKernel2 = 4, kStride = 2, kPool = 2;
  static constexpr std::int64_t kSmallestImage = 14;

  static std::int64_t after_convolutions_and_pools(std::int64_t extent) {
    const std::int64_t pooled = (extent + 2 * kPadding1 - kKernel1) / kStride + 1 - (kPool - 1);
    return (pooled - kKernel2) / kStride + 1 - (kPool - 1);
  }

 public:
  DpCnn(const Options& options, const ExampleShape& shape)
      : NativeModel(options),
        tanh_(options.text("model.dp_cnn.activation") == "tanh"),
        extents_(image_extents("dp_cnn", shape, kSmallestImage)) {
    flat_ = kChannels2 * after_convolutions_and_pools(extents_.height) *
            after_convolutions_and_pools(extents_.width);
    conv1_ = convolution_layer("conv1", extents_.channels, kChannels1, kKernel1);
    conv2_ = convolution_layer("conv2", kChannels1, kChannels2, kKernel2);
    fc1_ = dense_layer("fc1", flat_, kHidden);
    fc2_ = dense_layer("fc2", kHidden, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, extents_.channels, extents_.height, extents_.width});
    x = at::max_pool2d(activated(apply_convolution(x, conv1_, kPadding1, kStride)), kPool, 1);
    x = at::max_pool2d(activated(apply_convolution(x, conv2_, 0, kStride)), kPool, 1);
    x = activated(apply_dense(x.reshape({-1, flat_}), fc1_));
    return apply_dense(x, fc2_);
  }

 private:
  at::Tensor activated(const at::Tensor& x) const { return tanh_ ? x.tanh() : x.relu(); }

  bool tanh_;
  ImageExtents extents_;
  std::int64_t flat_;
  Layer conv1_, conv2_, fc1_, fc2_;
};

}  // namespace

std::unique_ptr<Model> make_dp_cnn(const Options& options, const ExampleShape& shape) {
  return std::make_unique<DpCnn>(options, shape);
}

}  // namespace gossamer
