#pragma once

#include <span>
#include <string>
#include <vector>

#include "client/trainers/trainer.h"

namespace gossamer {

// What EASGD and EAMSGD share (Zhang, Choromanska, LeCun: "Deep learning with elastic averaging SGD", NeurIPS
// 2015; synchronous form). With p clients and the moving rate alpha, once a round and from old values only:
//   x_i <- x_i + (the client's first step) - alpha (x_i - centre),  centre <- centre + alpha sum_i (x_i -
//   centre)
// A client keeps x_i and returns x_i - centre as its update; the server's plain sgd moves the centre by the
// mean of these times beta = p alpha. `method` is easgd or eamsgd.

// The keys of either method.
std::vector<OptionSpec> elastic_options(const std::string& method);
// algorithm.<method>.alpha, or where that is 0 algorithm.<method>.beta / data.clients.
double elastic_alpha(const Options& options, const std::string& method);
// What the method fixes on the server and on the clients. Throws ConfigError where beta comes out above 1.
void preset_elastic(Options& options, const std::string& method);

// The vectors that a client keeps: the first, x_i, has the size of the centre and starts there; the others
// have `more` floats and start at 0. Throws FileError where a state that was there does not fit.
void open_elastic_state(const TrainTask& task, std::span<const float> centre,
                        const std::vector<std::size_t>& more);

}  // namespace gossamer
