// The MNIST CNN of McMahan et al.: "Communication-efficient learning of deep networks from decentralized
// data", AISTATS 2017: 5x5x32, pool 2, 5x5x64, pool 2 (convolutions padded to keep the size), dense 512,
// dense.
#include <torch/torch.h>

#include "client/models/layers.h"
#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

class Cnn final : public NativeModel {
  static constexpr std::int64_t kChannels1 = 32, kChannels2 = 64, kHidden = 512;
  static constexpr std::int64_t kKernel = 5, kPadding = 2, kPool = 2;

 public:
  Cnn(const Options& options, const ExampleShape& shape)
      : NativeModel(options), extents_(image_extents("cnn", shape, kPool * kPool)) {
    require_one_label("cnn", shape);
    flat_ = kChannels2 * (extents_.height / kPool / kPool) * (extents_.width / kPool / kPool);
    conv1_ = convolution_layer("conv1", extents_.channels, kChannels1, kKernel);
    conv2_ = convolution_layer("conv2", kChannels1, kChannels2, kKernel);
    fc1_ = dense_layer("fc1", flat_, kHidden);
    fc2_ = dense_layer("fc2", kHidden, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, extents_.channels, extents_.height, extents_.width});
    x = max_pool2_relu(apply_convolution(x, conv1_, kPadding));
    x = max_pool2_relu(apply_convolution(x, conv2_, kPadding));
    x = apply_dense_relu(x.view({-1, flat_}), fc1_);
    return apply_dense(x, fc2_);
  }

  std::vector<StackLayer> layers() const override {
    return {{.weight = conv1_.weight, .bias = conv1_.bias, .padding = kPadding, .relu = true, .pool = true},
            {.weight = conv2_.weight, .bias = conv2_.bias, .padding = kPadding, .relu = true, .pool = true},
            {.weight = fc1_.weight, .bias = fc1_.bias, .relu = true},
            {.weight = fc2_.weight, .bias = fc2_.bias}};
  }

 private:
  ImageExtents extents_;
  std::int64_t flat_;
  Layer conv1_, conv2_, fc1_, fc2_;
};

}  // namespace

std::unique_ptr<Model> make_cnn(const Options& options, const ExampleShape& shape) {
  return std::make_unique<Cnn>(options, shape);
}

}  // namespace gossamer
