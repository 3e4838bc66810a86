// LeNet with 6 and 16 channels, as NIID-Bench trains it (Li, Diao, Chen, He: "Federated learning on non-IID
// data silos", ICDE 2022), after LeCun, Bottou, Bengio, Haffner: "Gradient-based learning applied to document
// recognition", 1998: 5x5x6, pool 2, 5x5x16, pool 2 (no padding), dense 120, 84, classes.
#include <torch/torch.h>

#include "client/models/layers.h"
#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

class LeNet final : public NativeModel {
  static constexpr std::int64_t kChannels1 = 6, kChannels2 = 16, kHidden1 = 120, kHidden2 = 84;
  static constexpr std::int64_t kKernel = 5, kSmallestImage = 16;

  static std::int64_t after_convolution_and_pool(std::int64_t extent) { return (extent - kKernel + 1) / 2; }

 public:
  LeNet(const Options& options, const ExampleShape& shape)
      : NativeModel(options), extents_(image_extents("lenet", shape, kSmallestImage)) {
    flat_ = kChannels2 * after_convolution_and_pool(after_convolution_and_pool(extents_.height)) *
            after_convolution_and_pool(after_convolution_and_pool(extents_.width));
    conv1_ = convolution_layer("conv1", extents_.channels, kChannels1, kKernel);
    conv2_ = convolution_layer("conv2", kChannels1, kChannels2, kKernel);
    fc1_ = dense_layer("fc1", flat_, kHidden1);
    fc2_ = dense_layer("fc2", kHidden1, kHidden2);
    fc3_ = dense_layer("fc3", kHidden2, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, extents_.channels, extents_.height, extents_.width});
    x = max_pool2_relu(apply_convolution(x, conv1_));
    x = max_pool2_relu(apply_convolution(x, conv2_));
    x = apply_dense_relu(x.view({-1, flat_}), fc1_);
    x = apply_dense_relu(x, fc2_);
    return apply_dense(x, fc3_);
  }

  std::vector<StackLayer> layers() const override {
    return {{.weight = conv1_.weight, .bias = conv1_.bias, .relu = true, .pool = true},
            {.weight = conv2_.weight, .bias = conv2_.bias, .relu = true, .pool = true},
            {.weight = fc1_.weight, .bias = fc1_.bias, .relu = true},
            {.weight = fc2_.weight, .bias = fc2_.bias, .relu = true},
            {.weight = fc3_.weight, .bias = fc3_.bias}};
  }

 private:
  ImageExtents extents_;
  std::int64_t flat_;
  Layer conv1_, conv2_, fc1_, fc2_, fc3_;
};

}  // namespace

std::unique_ptr<Model> make_lenet(const Options& options, const ExampleShape& shape) {
  return std::make_unique<LeNet>(options, shape);
}

}  // namespace gossamer
