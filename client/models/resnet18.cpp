// ResNet-18 of He, Zhang, Ren, Sun: "Deep residual learning for image recognition", CVPR 2016, with the first
// layer for small images (3x3, stride 1, no pooling). Tensors are named as in torchvision.
#include <torch/torch.h>

#include <cmath>

#include "client/models/layers.h"
#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

constexpr std::int64_t kStages = 4, kBlocksPerStage = 2, kFirstChannels = 64, kSmallestImage = 8;
constexpr double kMomentum = 0.1, kEpsilon = 1e-5;

class ResNet18 final : public NativeModel {
 public:
  ResNet18(const Options& options, const ExampleShape& shape)
      : NativeModel(options), extents_(image_extents("resnet18", shape, kSmallestImage)) {
    stem_ = convolution_and_norm("conv1", "bn1", extents_.channels, kFirstChannels, 3);
    std::int64_t in = kFirstChannels;
    for (std::int64_t stage = 0; stage < kStages; ++stage) {
      const std::int64_t out = kFirstChannels << stage;
      for (std::int64_t index = 0; index < kBlocksPerStage; ++index) {
        const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(index) + ".";
        Block block;
        block.stride = stage > 0 && index == 0 ? 2 : 1;
        block.first = convolution_and_norm(name + "conv1", name + "bn1", in, out, 3);
        block.second = convolution_and_norm(name + "conv2", name + "bn2", out, out, 3);
        if (in != out)
          block.shortcut = convolution_and_norm(name + "downsample.0", name + "downsample.1", in, out, 1);
        blocks_.push_back(block);
        in = out;
      }
    }
    fc_ = dense_layer("fc", in, shape.classes);
    seal();
  }

  // Batch norm mixes the examples of a batch: no example has a gradient of its own.
  bool traces_layers() const override { return false; }
  at::Tensor forward_traced(const at::Tensor& features, std::vector<LayerTrace>& traces) override {
    return Model::forward_traced(features, traces);
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, extents_.channels, extents_.height, extents_.width});
    x = apply(stem_, x, 1).relu_();
    for (const Block& block : blocks_) {
      const at::Tensor shortcut =
          block.shortcut.weight.defined() ? apply(block.shortcut, x, block.stride) : x;
      const at::Tensor hidden = apply(block.first, x, block.stride).relu_();
      x = apply(block.second, hidden, 1).add_(shortcut).relu_();
    }
    return dense(x.mean({2, 3}), fc_.weight, fc_.bias);
  }

 private:
  struct Unit {
    at::Tensor weight;
    at::Tensor scale, shift, mean, variance;
  };
  struct Block {
    std::int64_t stride;
    Unit first, second, shortcut;
  };

  Unit convolution_and_norm(const std::string& convolution, const std::string& norm, std::int64_t in,
                            std::int64_t out, std::int64_t kernel) {
    Unit unit;
    const double bound = 1.0 / std::sqrt(static_cast<double>(in * kernel * kernel));
    unit.weight = uniform(convolution + ".weight", {out, in, kernel, kernel}, bound);
    unit.scale = constant(norm + ".weight", {out}, 1);
    unit.shift = constant(norm + ".bias", {out}, 0);
    unit.mean = buffer(norm + ".running_mean", {out}, 0);
    unit.variance = buffer(norm + ".running_var", {out}, 1);
    // Python's module expects the counter in a state_dict, but with a fixed momentum nobody reads it, and
    // counting would make files depend on which replica trained whom.
    counter(norm + ".num_batches_tracked");
    return unit;
  }

  at::Tensor apply(const Unit& unit, const at::Tensor& x, std::int64_t stride) const {
    const std::int64_t padding = unit.weight.size(2) / 2;
    const at::Tensor y = at::conv2d(x, unit.weight, /*bias=*/{}, stride, padding);
    return at::batch_norm(y, unit.scale, unit.shift, unit.mean, unit.variance, training(), kMomentum,
                          kEpsilon,
                          /*cudnn_enabled=*/false);
  }

  ImageExtents extents_;
  Unit stem_;
  std::vector<Block> blocks_;
  Layer fc_;
};

}  // namespace

std::unique_ptr<Model> make_resnet18(const Options& options, const ExampleShape& shape) {
  return std::make_unique<ResNet18>(options, shape);
}

}  // namespace gossamer
