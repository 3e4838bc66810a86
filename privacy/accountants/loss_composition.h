#pragma once

#include <span>

#include "privacy/accountants/privacy_loss.h"

namespace gossamer {

// Of all steps of the events together, in one direction, never below the exact values. Events must not be
// none. Takes milliseconds for each different event at a thousand steps, half a second at a million.
double composed_epsilon(std::span<const PrivacyEvent> events, Direction direction, double delta);
double composed_delta(std::span<const PrivacyEvent> events, Direction direction, double epsilon);

}  // namespace gossamer
