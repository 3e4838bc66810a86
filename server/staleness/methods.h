#pragma once

#include <memory>

#include "server/staleness/correction.h"
#include "server/staleness/staleness_weight.h"

namespace gossamer {

std::unique_ptr<StalenessWeight> make_constant_weight(const Options& options);
std::unique_ptr<StalenessWeight> make_polynomial_weight(const Options& options);
std::unique_ptr<StalenessWeight> make_hinge_weight(const Options& options);

std::unique_ptr<Correction> make_no_correction(const Options& options);
std::unique_ptr<Correction> make_mixing(const Options& options);
std::unique_ptr<Correction> make_delay_compensation(const Options& options);

}  // namespace gossamer
