# CUDA: nvcc compiles the kernels, wherever it is found; a GPU and its driver are only looked for at run time. The
# distribution has no package of a toolkit that is new enough, so nobody is told to install one unless they ask for it.
set(GOSSAMER_HAVE_CUDA OFF)
if(GOSSAMER_CUDA STREQUAL "OFF" OR (GOSSAMER_CUDA STREQUAL "AUTO" AND GOSSAMER_SANITIZE))
  return()
endif()

# CMake looks along PATH alone, where NVIDIA's packages do not put it.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(GOSSAMER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(GOSSAMER_NVCC)
    set(ENV{CUDACXX} ${GOSSAMER_NVCC})
  endif()
endif()
# Turing and Hopper, each also as code that the driver compiles for what came after it.
set(CMAKE_CUDA_ARCHITECTURES 75 90 CACHE STRING "Compute capabilities that the CUDA kernels are compiled for")
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  if(CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
    set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  endif()
  enable_language(CUDA)
  find_package(CUDAToolkit QUIET)
  if(CUDAToolkit_FOUND AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12)
    set(GOSSAMER_HAVE_CUDA ON)
  endif()
endif()
if(GOSSAMER_CUDA STREQUAL "ON" AND NOT GOSSAMER_HAVE_CUDA)
  message(FATAL_ERROR " nvcc of CUDA 12 or newer, and a host compiler that it takes, were not found. "
                      "Put nvcc on PATH or set CUDACXX to it")
endif()
