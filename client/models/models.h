#pragma once

#include "client/datasets/dataset.h"
#include "core/model.h"
#include "core/registry.h"

namespace gossamer {

// `model.name`: every model, built for examples of a given shape and initialised from run.seed. Two models
// made from the same options are equal bit for bit, on any thread and in any process.
// `model.file` names a TorchScript module instead; make_model() chooses.
const Registry<Model, const ExampleShape&>& models();
std::unique_ptr<Model> make_model(const Options& options, const ExampleShape& shape);

}  // namespace gossamer
