// The character model of McMahan et al.: "Communication-efficient learning of deep networks from
// decentralized data", AISTATS 2017: embedding of 8, two LSTM layers of 256, dense; the next character is
// predicted at every position of the window.
#include <torch/torch.h>

#include <cmath>

#include "client/models/layers.h"
#include "client/models/methods.h"
#include "client/models/native_model.h"
#include "core/error.h"

namespace gossamer {
namespace {

class CharLstm final : public NativeModel {
  static constexpr std::int64_t kEmbedding = 8, kHidden = 256, kLayers = 2;

 public:
  CharLstm(const Options& options, const ExampleShape& shape)
      : NativeModel(options), window_(shape.feature_count()) {
    if (shape.kind != FeatureKind::tokens || shape.labels != window_) {
      throw ConfigError(
          "model.name = char_lstm reads text with one label a token, such as data.dataset = shakespeare");
    }
    embedding_ = normal("embedding.weight", {shape.classes, kEmbedding});
    const double bound = 1.0 / std::sqrt(static_cast<double>(kHidden));
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string suffix = "_l" + std::to_string(layer);
      const std::int64_t inputs = layer == 0 ? kEmbedding : kHidden;
      lstm_.push_back(uniform("lstm.weight_ih" + suffix, {4 * kHidden, inputs}, bound));
      lstm_.push_back(uniform("lstm.weight_hh" + suffix, {4 * kHidden, kHidden}, bound));
      lstm_.push_back(uniform("lstm.bias_ih" + suffix, {4 * kHidden}, bound));
      lstm_.push_back(uniform("lstm.bias_hh" + suffix, {4 * kHidden}, bound));
    }
    fc_ = dense_layer("fc", kHidden, shape.classes);
    seal();
  }

  at::Tensor forward(const at::Tensor& tokens) override {
    const at::Tensor x = at::embedding(embedding_, tokens.view({-1, window_}));
    const at::Tensor start = at::zeros({kLayers, x.size(0), kHidden});
    const auto outputs = at::lstm(x, {start, start}, lstm_, /*has_biases=*/true, kLayers, /*dropout=*/0.0,
                                  training(), /*bidirectional=*/false, /*batch_first=*/true);
    return dense(std::get<0>(outputs).reshape({-1, kHidden}), fc_.weight, fc_.bias);
  }

 private:
  std::int64_t window_;
  at::Tensor embedding_;
  std::vector<at::Tensor> lstm_;
  Layer fc_;
};

}  // namespace

std::unique_ptr<Model> make_char_lstm(const Options& options, const ExampleShape& shape) {
  return std::make_unique<CharLstm>(options, shape);
}

}  // namespace gossamer
