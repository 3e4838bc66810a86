#pragma once

#include <cstdint>
#include <vector>

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// Who takes part in a round. Not thread-safe.
class CohortSampler {
 public:
  virtual ~CohortSampler() = default;
  // Distinct numbers in [0, population), ascending: `size` of them, or on average as many. Requires
  // 1 <= size <= population. The same seed and round choose the same cohort, anywhere, but where privacy
  // wants it secret.
  virtual std::vector<std::int64_t> sample(std::int64_t population, std::int64_t size, std::uint64_t seed,
                                           Round round) = 0;
  // Whether cohorts are of that size.
  virtual bool fixed_size() const noexcept { return true; }
};

// `cohort.sampler`.
const Registry<CohortSampler>& cohort_samplers();

}  // namespace gossamer
