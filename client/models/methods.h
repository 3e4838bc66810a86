#pragma once

#include "client/models/models.h"

namespace gossamer {

// Factories of the models, one file each; the table is in registry.cpp. Each throws ConfigError for examples
// that the model cannot read.
std::unique_ptr<Model> make_logistic(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_mlp(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_cnn(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_lenet(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_dp_cnn(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_easgd_cnn(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_char_lstm(const Options& options, const ExampleShape& shape);
std::unique_ptr<Model> make_resnet18(const Options& options, const ExampleShape& shape);
// model.file: a TorchScript module in place of a model of the table. Throws FileError.
std::unique_ptr<Model> make_script_model(const Options& options, const ExampleShape& shape);

}  // namespace gossamer
