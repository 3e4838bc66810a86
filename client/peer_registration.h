#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comms/transport.h"
#include "core/layout.h"
#include "core/options.h"

namespace gossamer {

// What a peer learns from the meeting point.
struct Introduction {
  ClientId client = 0;
  std::vector<std::string> addresses;  // by client id
};

// Registers a peer (or one whose id the server gives: kUnassignedClient) that listens at `address`, and waits
// until all have come. Tries again where the connection breaks. None where `stop_requested` says so before.
// Throws ConfigError on a refusal, RunError after `patience` without a word from the server or where the run
// is over before it began.
std::optional<Introduction> register_peer(Transport& transport, const Options& options,
                                          const ParameterLayout& layout, ClientId client,
                                          const std::string& address, std::chrono::duration<double> patience,
                                          const std::function<bool()>& stop_requested);

}  // namespace gossamer
