// The 2NN of McMahan et al.: "Communication-efficient learning of deep networks from decentralized data",
// AISTATS 2017: two hidden layers of 200 units with ReLU, or those of model.mlp.hidden.
#include <torch/torch.h>

#include <charconv>

#include "client/models/methods.h"
#include "client/models/native_model.h"
#include "core/error.h"
#include "core/text.h"

namespace gossamer {
namespace {

std::vector<std::int64_t> hidden_units(const Options& options) {
  std::vector<std::int64_t> units;
  for (const std::string& word : split(options.text("model.mlp.hidden"))) {
    std::int64_t count = 0;
    const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), count);
    if (fault != std::errc() || end != word.data() + word.size() || count < 1 || count > 100'000)
      throw ConfigError("model.mlp.hidden = " + options.text("model.mlp.hidden") +
                        ": expected numbers from 1 to 100000 with commas between them");
    units.push_back(count);
  }
  return units;
}

class Mlp final : public NativeModel {
 public:
  Mlp(const Options& options, const ExampleShape& shape)
      : NativeModel(options), inputs_(shape.feature_count()) {
    require_one_label("mlp", shape);
    std::int64_t in = inputs_;
    for (const std::int64_t units : hidden_units(options)) {
      hidden_.push_back(dense_layer("fc" + std::to_string(hidden_.size() + 1), in, units));
      in = units;
    }
    last_ = dense_layer("fc" + std::to_string(hidden_.size() + 1), in, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, inputs_});
    for (const Layer& layer : hidden_) x = apply_dense_relu(x, layer);
    return apply_dense(x, last_);
  }

  std::vector<StackLayer> layers() const override {
    std::vector<StackLayer> stack;
    for (const Layer& layer : hidden_)
      stack.push_back({.weight = layer.weight, .bias = layer.bias, .relu = true});
    stack.push_back({.weight = last_.weight, .bias = last_.bias});
    return stack;
  }

 private:
  std::int64_t inputs_;
  std::vector<Layer> hidden_;
  Layer last_;
};

}  // namespace

std::unique_ptr<Model> make_mlp(const Options& options, const ExampleShape& shape) {
  return std::make_unique<Mlp>(options, shape);
}

}  // namespace gossamer
