// The 7-layer CIFAR-10 network of Zhang, Choromanska, LeCun: "Deep learning with elastic averaging SGD",
// NeurIPS 2015: 28x28 crop, 5x5x64, pool 2, 5x5x128, pool 2, 3x3x64 (no padding), dense 256, dropout 0.5,
// dense. Training crops at random, evaluation in the centre.
#include <torch/torch.h>

#include "client/models/layers.h"
#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

class EasgdCnn final : public NativeModel {
  static constexpr std::int64_t kCrop = 28;
  static constexpr std::int64_t kChannels1 = 64, kChannels2 = 128, kChannels3 = 64, kHidden = 256;
  static constexpr std::int64_t kFlat = kChannels3 * 2 * 2;
  static constexpr double kDropout = 0.5;

 public:
  EasgdCnn(const Options& options, const ExampleShape& shape)
      : NativeModel(options), extents_(image_extents("easgd_cnn", shape, kCrop)) {
    conv1_ = convolution_layer("conv1", extents_.channels, kChannels1, 5);
    conv2_ = convolution_layer("conv2", kChannels1, kChannels2, 5);
    conv3_ = convolution_layer("conv3", kChannels2, kChannels3, 3);
    fc1_ = dense_layer("fc1", kFlat, kHidden);
    fc2_ = dense_layer("fc2", kHidden, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, extents_.channels, extents_.height, extents_.width});
    x = training() ? random_crop(x, kCrop, randomness()) : centre_crop(x, kCrop);
    x = max_pool2_relu(apply_convolution(x, conv1_));
    x = max_pool2_relu(apply_convolution(x, conv2_));
    x = apply_convolution_relu(x, conv3_);
    x = apply_dense_relu(x.view({-1, kFlat}), fc1_);
    if (training()) x = dropout(x, kDropout, randomness());
    return apply_dense(x, fc2_);
  }

 private:
  ImageExtents extents_;
  Layer conv1_, conv2_, conv3_, fc1_, fc2_;
};

}  // namespace

std::unique_ptr<Model> make_easgd_cnn(const Options& options, const ExampleShape& shape) {
  return std::make_unique<EasgdCnn>(options, shape);
}

}  // namespace gossamer
