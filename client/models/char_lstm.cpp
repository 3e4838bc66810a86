// The character model of McMahan et al.: "Communication-efficient learning of deep networks from
// decentralized data", AISTATS 2017: embedding of 8, two LSTM layers of 256, dense; the next character is
// predicted at every position of the window.
#include <torch/torch.h>

#include <cmath>

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
    const at::Tensor x = apply_embedding(tokens.view({-1, window_}), embedding_);
    if (tracing()) return apply_dense(traced_lstm(traced_lstm(x, 0), 1).reshape({-1, kHidden}), fc_);
    const at::Tensor start = at::zeros({kLayers, x.size(0), kHidden}, x.options());
    const auto outputs = at::lstm(x, {start, start}, lstm_, /*has_biases=*/true, kLayers, /*dropout=*/0.0,
                                  training(), /*bidirectional=*/false, /*batch_first=*/true);
    return apply_dense(std::get<0>(outputs).reshape({-1, kHidden}), fc_);
  }

 private:
  // One layer of at::lstm(), step by step: x [n, window, in] -> [n, window, kHidden]. The gates' sums before
  // their activations are the output of two dense layers, one on x and one on the hidden states before each
  // step, whose gradients are therefore one and the same.
  at::Tensor traced_lstm(const at::Tensor& x, std::int64_t layer) const {
    const auto first = static_cast<std::size_t>(4 * layer);
    const Layer of_input{lstm_[first], lstm_[first + 2]}, of_hidden{lstm_[first + 1], lstm_[first + 3]};
    const at::Tensor rows = x.reshape({-1, x.size(2)});
    const at::Tensor sums = note({.kind = LayerTrace::Kind::dense,
                                  .weight = of_input.weight,
                                  .bias = of_input.bias,
                                  .input = rows,
                                  .output = at::addmm(of_input.bias.detach() + of_hidden.bias.detach(), rows,
                                                      of_input.weight.detach().t())});
    const at::Tensor recurrent = of_hidden.weight.detach().t();
    at::Tensor hidden = at::zeros({x.size(0), kHidden}, x.options()), cell = hidden;
    std::vector<at::Tensor> before, after;
    for (const at::Tensor& step : sums.view({-1, window_, 4 * kHidden}).unbind(1)) {
      before.push_back(hidden.detach());
      const auto gates = at::addmm(step, hidden, recurrent).chunk(4, 1);  // input, forget, cell, output
      cell = gates[1].sigmoid() * cell + gates[0].sigmoid() * gates[2].tanh();
      hidden = gates[3].sigmoid() * cell.tanh();
      after.push_back(hidden);
    }
    note({.kind = LayerTrace::Kind::dense,
          .weight = of_hidden.weight,
          .bias = of_hidden.bias,
          .input = at::stack(before, 1).view({-1, kHidden}),
          .output = sums});
    return at::stack(after, 1);
  }

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
