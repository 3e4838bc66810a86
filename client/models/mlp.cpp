// The 2NN of McMahan et al.: "Communication-efficient learning of deep networks from decentralized data",
// AISTATS 2017: two hidden layers of 200 units with ReLU.
#include <torch/torch.h>

#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

constexpr std::int64_t kHidden = 200;

class Mlp final : public NativeModel {
 public:
  Mlp(const Options& options, const ExampleShape& shape)
      : NativeModel(options), inputs_(shape.feature_count()) {
    require_one_label("mlp", shape);
    fc1_ = dense_layer("fc1", inputs_, kHidden);
    fc2_ = dense_layer("fc2", kHidden, kHidden);
    fc3_ = dense_layer("fc3", kHidden, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = apply_dense_relu(features.view({-1, inputs_}), fc1_);
    x = apply_dense_relu(x, fc2_);
    return apply_dense(x, fc3_);
  }

  std::vector<StackLayer> layers() const override {
    return {{.weight = fc1_.weight, .bias = fc1_.bias, .relu = true},
            {.weight = fc2_.weight, .bias = fc2_.bias, .relu = true},
            {.weight = fc3_.weight, .bias = fc3_.bias}};
  }

 private:
  std::int64_t inputs_;
  Layer fc1_, fc2_, fc3_;
};

}  // namespace

std::unique_ptr<Model> make_mlp(const Options& options, const ExampleShape& shape) {
  return std::make_unique<Mlp>(options, shape);
}

}  // namespace gossamer
