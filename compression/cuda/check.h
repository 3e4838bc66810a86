#pragma once

#include <cuda_runtime_api.h>

namespace gossamer::cuda {

// Throws RunError, with the name of the call and what CUDA says, where it has failed.
void check(cudaError_t status, const char* call);

}  // namespace gossamer::cuda
