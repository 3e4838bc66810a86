#pragma once

#include <cstdint>
#include <vector>

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// Who takes part in a round. Pure: the same seed and round choose the same cohort, anywhere.
class CohortSampler {
 public:
  virtual ~CohortSampler() = default;
  // `size` distinct numbers in [0, population), ascending. Requires 1 <= size <= population. Costs
  // O(size log size), whatever the population.
  virtual std::vector<std::int64_t> sample(std::int64_t population, std::int64_t size, std::uint64_t seed,
                                           Round round) const = 0;
};

// `cohort.sampler`.
const Registry<CohortSampler>& cohort_samplers();

}  // namespace gossamer
