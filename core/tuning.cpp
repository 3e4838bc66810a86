#include "core/tuning.h"

#include <cstdlib>  // defines __GLIBC__ where it is the C library

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace gossamer {

void tune_allocator() {
#ifdef __GLIBC__
  // glibc before 2.35 refuses thresholds above half a heap, 32 MiB.
  constexpr int kLargest = 1 << 30;
  constexpr int kLargestBefore235 = 32 << 20;
  if (mallopt(M_MMAP_THRESHOLD, kLargest) == 0) mallopt(M_MMAP_THRESHOLD, kLargestBefore235);
  mallopt(M_TRIM_THRESHOLD, kLargest);
#endif
}

const char* blas_core_type() {
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    return "SKYLAKEX";
  }
#endif
  return nullptr;
}

}  // namespace gossamer
