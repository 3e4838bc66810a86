#pragma once

#include <memory>

#include "compression/method.h"

namespace gossamer {

// Over a method whose error may be larger than the vector, since it is right only in the mean: what it
// decodes to is multiplied by the factor between 0 and 1 that brings it nearest to the vector, so that the
// error is at most as large. Then what is left out does not grow from message to message. The payload has
// the factor first.
std::unique_ptr<Method> make_shrunk(std::unique_ptr<Method> inner);

}  // namespace gossamer
