#pragma once

#include <chrono>

namespace gossamer {

// How often, and how long, a driver of a coordinator looks and waits.
inline constexpr std::chrono::milliseconds kDriverPoll{200};   // how often a stop request is looked for
inline constexpr std::chrono::seconds kDriverFlush{30};        // for what is still to be sent at the end
inline constexpr std::chrono::seconds kDriverRegistration{1};  // between hellos to whom one works for

}  // namespace gossamer
