#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "client/trainers/trainer.h"

namespace gossamer {

// The averaging trainer (methods.h) on another device than the processor, with steps of SGD (client.optimizer
// = sgd and its keys): the model goes there once, weights, gradients and momentum stay there, and so does the
// update (UpdateContent::on_device). Batches are gathered here and follow one by one. The same batches,
// random numbers and rule as on the processor, by ATen's operations: equal up to rounding. `device` may be
// the processor, for the sake of tests.
std::unique_ptr<LocalTrainer> make_device_trainer(const Options& options, std::unique_ptr<Model> model,
                                                  at::Device device);

}  // namespace gossamer
