#pragma once

#include <cstdint>

namespace gossamer {

using ClientId = std::int64_t;  // a participant, 0 .. data.clients - 1
// Stands for a client that asks the server for an id.
inline constexpr ClientId kUnassignedClient = INT64_MAX;
using Rank = int;            // a process of a transport's world; the coordinator is rank 0
using Round = std::int64_t;  // 1-based; round r turns model version r - 1 into version r

// Seconds since the start of the run, virtual or wall. Clocks live in the drivers only.
using Seconds = double;

}  // namespace gossamer
