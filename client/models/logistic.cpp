// Multinomial logistic regression.
#include <torch/torch.h>

#include "client/models/methods.h"
#include "client/models/native_model.h"

namespace gossamer {
namespace {

class Logistic final : public NativeModel {
 public:
  Logistic(const Options& options, const ExampleShape& shape)
      : NativeModel(options), inputs_(shape.feature_count()) {
    require_one_label("logistic", shape);
    fc_ = dense_layer("fc", inputs_, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    return apply_dense(features.view({-1, inputs_}), fc_);
  }

  std::vector<StackLayer> layers() const override { return {{.weight = fc_.weight, .bias = fc_.bias}}; }

 private:
  std::int64_t inputs_;
  Layer fc_;
};

}  // namespace

std::unique_ptr<Model> make_logistic(const Options& options, const ExampleShape& shape) {
  return std::make_unique<Logistic>(options, shape);
}

}  // namespace gossamer
