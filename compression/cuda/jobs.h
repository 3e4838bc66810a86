// The kernels for CUDA, up to what is CUDA's. A job is what one launch does: plain data, and run(), which one
// team of kThreads threads executes for each of teams() parts of a vector. Team is one of the GPU's
// (kernels.cu) or one of loops in the place of threads, with which tests run the very same code where there
// is no GPU:
//
//   team.each(f)       f(thread) on every thread, then a barrier
//   team.largest(f)    the same, and the largest of what f returned, to all
//   team.prefix(before, f)  the same, and the sum of what f returned, to all; before[thread] becomes that of
//                           the threads before it
//   PerThread<T>       a T of each thread's own, [thread], from one of these calls to the next
//
// Between the calls all threads do the same, on the same data. Within one call no thread may rely on another.
// kTeamsAtOnce, where a job has it: how many teams a processor of the GPU should have registers for.
//
// All jobs: `n` floats; pointers are to the device's memory, payloads aligned to 16 bytes, floats as they
// come (faster where to 16 bytes). `residual` may be null. `refused` becomes 1 where a value, or one plus its
// residual, is NaN or infinite; payload and residual are then of no use. Sparse methods take several jobs a
// message, which know what they have in common from Choosing.
#pragma once

#include "compression/cuda/bounded_jobs.h"
#include "compression/cuda/dense_jobs.h"
#include "compression/cuda/esgd_jobs.h"
#include "compression/cuda/half_jobs.h"
#include "compression/cuda/index_jobs.h"
#include "compression/cuda/level_jobs.h"
#include "compression/cuda/low_rank_jobs.h"
#include "compression/cuda/norm_jobs.h"
#include "compression/cuda/one_bit_jobs.h"
#include "compression/cuda/powersgd_jobs.h"
#include "compression/cuda/random_jobs.h"
#include "compression/cuda/sketched_jobs.h"
#include "compression/cuda/sparse_choice_jobs.h"
#include "compression/cuda/terngrad_jobs.h"
#include "compression/cuda/wangni_payload_jobs.h"
