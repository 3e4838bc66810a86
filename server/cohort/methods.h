#pragma once

#include <memory>

#include "server/cohort/cohort_sampler.h"

namespace gossamer {

std::unique_ptr<CohortSampler> make_poisson_sampler(const Options&);
std::unique_ptr<CohortSampler> make_uniform_sampler(const Options&);

}  // namespace gossamer
