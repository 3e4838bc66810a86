// The executable: settles the environment, then loads the program (libgossamer_cli) and runs it. OpenBLAS
// chooses its kernels when it is loaded, and takes AVX-512 machines that it does not know for Haswell; so
// what it reads must be set before libtorch comes in, which is why the program is not linked but opened.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "core/tuning.h"

int main(int argc, char** argv) {
  if (const char* core_type = gossamer::blas_core_type()) setenv("OPENBLAS_CORETYPE", core_type, 0);
  // One thread a trainer, whoever asks; a user's own setting stands.
  setenv("OPENBLAS_NUM_THREADS", "1", 0);
  setenv("OMP_NUM_THREADS", "1", 0);

  void* program = dlopen("libgossamer_cli.so", RTLD_NOW | RTLD_GLOBAL);
  if (program == nullptr) {
    std::fprintf(stderr, "gossamer: %s\n", dlerror());
    return 3;
  }
  using Entry = int (*)(int, char**);
  const auto entry = reinterpret_cast<Entry>(dlsym(program, "gossamer_main"));
  if (entry == nullptr) {
    std::fprintf(stderr, "gossamer: %s\n", dlerror());
    return 3;
  }
  return entry(argc, argv);
}
