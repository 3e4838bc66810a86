#pragma once

#include <functional>
#include <memory>

#include "privacy/accountants/accountant.h"

namespace gossamer {

// Gives an accountant that has spent what was spent so far: one for each question.
using MakeAccountant = std::function<std::unique_ptr<PrivacyAccountant>()>;

// The least noise multiplier with which the event, whose own is not looked at, keeps the total epsilon at
// this delta at or below the target: never above it, and at most 1e-7 of itself more noise than is needed.
// At least kLeastNoiseMultiplier. Throws ConfigError where a million is not enough.
double noise_multiplier_for(const MakeAccountant& make, PrivacyEvent event, double delta,
                            double target_epsilon);

// How many steps of the event (whose number is not looked at) the target allows, up to 10^9.
std::uint64_t steps_for(const MakeAccountant& make, PrivacyEvent event, double delta, double target_epsilon);

}  // namespace gossamer
