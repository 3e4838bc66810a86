#pragma once

#include <vector>

#include "core/buffers.h"

namespace gossamer {

// What an algorithm keeps of a client from round to round, as flat vectors whose meaning it knows (EASGD: the
// client's own x_i; EAMSGD: x_i and its velocity). Empty until the client's first round.
using TrainingState = std::vector<FloatBuffer>;

}  // namespace gossamer
