#pragma once

#include <chrono>

namespace gossamer {

// How often, and how long, a client that talks to a coordinator looks and waits.
inline constexpr std::chrono::milliseconds kPollInterval{200};   // how often a stop request is looked for
inline constexpr std::chrono::seconds kRegistrationInterval{1};  // between attempts until the server answers
inline constexpr std::chrono::milliseconds kExchangePoll{50};    // how long peers wait for a frame
inline constexpr std::chrono::seconds kFlushTime{5};             // for what is still to be sent at the end

}  // namespace gossamer
