#pragma once

// GOSSAMER_MULTIVERSION in front of a function compiles its loops once for each x86-64 level and lets the
// loader pick: one binary runs everywhere and uses the vectors that are there. All versions give the same
// bits as long as a loop sums nothing across elements: the build keeps ISO floating point, without
// contraction to fused multiply-add. Off under sanitizers (their start-up runs after the loader's choice) and
// for clang.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(GOSSAMER_SANITIZED)
#define GOSSAMER_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GOSSAMER_MULTIVERSION
#endif
