#pragma once

#include <memory>

#include "client/optimizers/client_optimizer.h"

namespace gossamer {

std::unique_ptr<ClientOptimizer> make_sgd(const Options&, std::size_t parameter_count);
std::unique_ptr<ClientOptimizer> make_adam(const Options&, std::size_t parameter_count);
std::unique_ptr<ClientOptimizer> make_rmsprop(const Options&, std::size_t parameter_count);
std::unique_ptr<ClientOptimizer> make_adagrad(const Options&, std::size_t parameter_count);

}  // namespace gossamer
