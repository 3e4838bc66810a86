#include "client/models/methods.h"

namespace gossamer {
namespace {

const char* const kFedAvg =
    "McMahan, Moore, Ramage, Hampson, Aguera y Arcas: Communication-efficient learning of deep networks from "
    "decentralized data, 2017";

}  // namespace

const Registry<Model, const ExampleShape&>& models() {
  static const Registry<Model, const ExampleShape&> table{
      "models",
      "model.name",
      "mlp",
      "what is trained",
      {
          {{"logistic", "logistic regression: one dense layer", "", {}}, make_logistic},
          {{"mlp", "two hidden layers of 200 (199,210 parameters on 28x28)", kFedAvg, {}}, make_mlp},
          {{"cnn", "two 5x5 convolutions, dense 512 (1,663,370 parameters on 28x28)", kFedAvg, {}}, make_cnn},
      }};
  return table;
}

std::unique_ptr<Model> make_model(const Options& options, const ExampleShape& shape) {
  return models().make(options, shape);
}

}  // namespace gossamer
