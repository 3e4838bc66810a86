include(CMakeDependentOption)

foreach(part MPI ZMQ)
  set(GOSSAMER_WITH_${part} AUTO CACHE STRING "Build the ${part} transport: ON, OFF or AUTO (if found)")
  set_property(CACHE GOSSAMER_WITH_${part} PROPERTY STRINGS ON OFF AUTO)
endforeach()
set(GOSSAMER_WITH_GLOO AUTO CACHE STRING "Compare with Gloo in `gossamer bench allreduce`: ON, OFF or AUTO (if found)")
set_property(CACHE GOSSAMER_WITH_GLOO PROPERTY STRINGS ON OFF AUTO)
set(GOSSAMER_CUDA AUTO CACHE STRING "Build the CUDA kernels: ON, OFF or AUTO (if nvcc is found, and no sanitizer is on)")
set_property(CACHE GOSSAMER_CUDA PROPERTY STRINGS ON OFF AUTO)
option(GOSSAMER_WITH_TORCH "Build what needs libtorch: models, trainers, the program" ON)
option(GOSSAMER_BUILD_TESTS "Build the tests" ON)
option(GOSSAMER_BUILD_FUZZERS "Build the fuzz targets (clang only)" OFF)
set(GOSSAMER_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined or thread")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# ccache has to be told that a precompiled header may be cached by its contents.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CCACHE})
endif()

# What all of our own code is compiled with.
add_library(gossamer_flags INTERFACE)
target_include_directories(gossamer_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(gossamer_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
# a * b + c rounds twice everywhere: which processors fuse it depends on the machine (core/simd.h), and so would models.
target_compile_options(gossamer_flags INTERFACE -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # These five depend on what the optimiser inlines: they differ from release to release and take the standard
  # library's own code for a fault of ours (GCC bugs 105329, 105651, 105593).
  target_compile_options(gossamer_flags INTERFACE -fpch-preprocess -Wno-maybe-uninitialized -Wno-array-bounds
                                                  -Wno-stringop-overflow -Wno-restrict -Wno-alloc-size-larger-than)
  # The program is a library (cli/CMakeLists.txt) whose functions nobody else replaces: calls may be inlined.
  target_compile_options(gossamer_flags INTERFACE -fno-semantic-interposition)
endif()
if(GOSSAMER_SANITIZE)
  target_compile_options(gossamer_flags INTERFACE -fsanitize=${GOSSAMER_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all)
  target_link_options(gossamer_flags INTERFACE -fsanitize=${GOSSAMER_SANITIZE})
  target_compile_definitions(gossamer_flags INTERFACE GOSSAMER_SANITIZED)
endif()
if(GOSSAMER_BUILD_FUZZERS)
  target_compile_options(gossamer_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
