#pragma once

namespace gossamer {

// What makes local training fast outside of our own code; called by main() before anything large is
// allocated or loaded (design: docs/architecture.md).

// Keeps the large temporaries of a training step in the process: with glibc's defaults each of them is
// mapped, faulted in page by page and unmapped again. Costs memory that is freed but not given back. Does
// nothing where the C library has no such setting.
void tune_allocator();

// The value of OPENBLAS_CORETYPE that fits this processor, or null where OpenBLAS's own choice is right: it
// takes AVX-512 processors that are newer than itself for Haswell. OpenBLAS reads it when it is loaded.
const char* blas_core_type();

}  // namespace gossamer
