#pragma once

#include <cuda_runtime_api.h>

#include "compression/cuda/jobs.h"

namespace gossamer::cuda {

// Puts a job of jobs.h behind what `stream` has to do; nothing where it has no teams. For the jobs that
// kernels.cu names at its end. Throws RunError.
template <class Job>
void launch(const Job& job, cudaStream_t stream);

}  // namespace gossamer::cuda
