#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `gossamer bench train`: samples/s of local training as a client does it, for logistic, mlp and cnn at batch
// sizes 10 and 64 (or the one that model.name and client.batch_size name), beside a plain libtorch program
// (bench_reference.cpp); then of two trainer threads beside two such processes of our own. All run in
// processes of their own, in turn, five times each. Throws RunError where one of them ends early. With
// `--privacy` bench_clipping() instead.
int bench_train(const CommandLine& line);

}  // namespace gossamer
