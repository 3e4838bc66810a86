#include "client/datasets/dataset.h"

#include <stdexcept>

namespace gossamer {

void ExampleSet::gather(std::span<const std::int64_t>, float*, std::int64_t*) const {
  throw std::logic_error("these examples are tokens, not numbers");
}

void ExampleSet::gather(std::span<const std::int64_t>, std::int64_t*, std::int64_t*) const {
  throw std::logic_error("these examples are numbers, not tokens");
}

}  // namespace gossamer
