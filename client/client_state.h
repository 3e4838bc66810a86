#pragma once

#include <cstdint>

#include "client/trainers/training_state.h"
#include "core/buffers.h"

namespace gossamer {

// What one client keeps from round to round. Travels in checkpoints, never over the network.
struct ClientState {
  TrainingState training;
  FloatBuffer compression;  // what its compressors left out; empty until its first round

  bool operator==(const ClientState&) const = default;
};

// Of its floats.
inline std::uint64_t bytes_of(const ClientState& state) noexcept {
  std::uint64_t floats = state.compression.size();
  for (const FloatBuffer& values : state.training) floats += values.size();
  return floats * sizeof(float);
}

}  // namespace gossamer
