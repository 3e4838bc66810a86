#pragma once

#include <filesystem>
#include <functional>
#include <span>

#include "core/types.h"

namespace gossamer {

using SumInPlace = std::function<void(std::span<float>)>;

// Gloo's all-reduce over TCP on loopback, as PyTorch calls it. The ranks find one another through the empty
// folder, which all of them see. Throws where they do not, and when a peer is lost.
SumInPlace make_gloo_all_reduce(Rank self, int world_size, const std::filesystem::path& folder);

}  // namespace gossamer
