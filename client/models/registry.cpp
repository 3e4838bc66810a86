#include "client/models/methods.h"

namespace gossamer {
namespace {

const char* const kFedAvg =
    "McMahan, Moore, Ramage, Hampson, Aguera y Arcas: Communication-efficient learning of deep networks from "
    "decentralized data, 2017";
const char* const kLeNet =
    "LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998";
const char* const kTemperedSigmoids =
    "Papernot, Thakurta, Song, Chien, Erlingsson: Tempered sigmoid activations for deep learning with "
    "differential privacy, 2021";
const char* const kEasgd = "Zhang, Choromanska, LeCun: Deep learning with elastic averaging SGD, 2015";
const char* const kResNet = "He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2016";

}  // namespace

const Registry<Model, const ExampleShape&>& models() {
  static const Registry<Model, const ExampleShape&> table{
      "models",
      "model.name",
      "lenet",
      "what is trained",
      {
          {{"logistic", "logistic regression: one dense layer", "", {}}, make_logistic},
          {{"mlp",
            "hidden layers, as published two of 200 (199,210 parameters on 28x28)",
            kFedAvg,
            {text_option("model.mlp.hidden", "200,200", "units of each hidden layer")}},
           make_mlp},
          {{"cnn", "two 5x5 convolutions, dense 512 (1,663,370 parameters on 28x28)", kFedAvg, {}}, make_cnn},
          {{"lenet", "two 5x5 convolutions (6 and 16 channels), dense 120 and 84", kLeNet, {}}, make_lenet},
          {{"dp_cnn",
            "two convolutions of stride 2 (16 and 32 channels), dense 32 (26,010 parameters on 28x28)",
            kTemperedSigmoids,
            {text_option("model.dp_cnn.activation", "relu", "after each layer but the last")
                 .one_of({"relu", "tanh"})}},
           make_dp_cnn},
          {{"easgd_cnn", "the 7-layer CIFAR-10 network of the EASGD paper", kEasgd, {}}, make_easgd_cnn},
          {{"char_lstm", "embedding of 8, two LSTM layers of 256; text", kFedAvg, {}}, make_char_lstm},
          {{"resnet18", "18 layers with batch norm, for small images", kResNet, {}}, make_resnet18},
      }};
  return table;
}

std::unique_ptr<Model> make_model(const Options& options, const ExampleShape& shape) {
  if (!options.text("model.file").empty()) return make_script_model(options, shape);
  return models().make(options, shape);
}

}  // namespace gossamer
