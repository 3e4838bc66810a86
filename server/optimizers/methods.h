#pragma once

#include <memory>

#include "server/optimizers/server_optimizer.h"

namespace gossamer {

std::unique_ptr<ServerOptimizer> make_server_sgd(const Options&);
std::unique_ptr<ServerOptimizer> make_server_momentum(const Options&);
std::unique_ptr<ServerOptimizer> make_server_adam(const Options&);
std::unique_ptr<ServerOptimizer> make_server_yogi(const Options&);
std::unique_ptr<ServerOptimizer> make_server_adagrad(const Options&);

}  // namespace gossamer
