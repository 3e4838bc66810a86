#include "core/tuning.h"

#include <cstdlib>

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

std::vector<std::pair<std::string, std::string>> numeric_environment() {
  std::vector<std::pair<std::string, std::string>> wanted{{"OPENBLAS_NUM_THREADS", "1"}, {"OMP_NUM_THREADS", "1"}};
  if (const char* type = blas_core_type()) wanted.emplace_back("OPENBLAS_CORETYPE", type);
  std::erase_if(wanted, [](const auto& variable) { return std::getenv(variable.first.c_str()) != nullptr; });
  return wanted;
}

}  // namespace gossamer
