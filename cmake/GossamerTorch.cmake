# libtorch: the distribution's (1.13 on Debian 12), what scripts/install_deps.sh unpacked where the distribution
# has none, or any newer one that Torch_DIR or CMAKE_PREFIX_PATH names.
# Imported as gossamer_torch with system headers, so that warnings as errors stop at our own code.
find_package(Torch QUIET HINTS ${CMAKE_SOURCE_DIR}/.libtorch)
if(NOT Torch_FOUND)
  gossamer_missing("libtorch" "libtorch-dev libopenblas0-pthread")
endif()
add_library(gossamer_torch INTERFACE)
target_include_directories(gossamer_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
# The standard library first: PyTorch's own builds of libtorch export parts of another release of it, with
# which std::filesystem crashes.
target_link_libraries(gossamer_torch INTERFACE stdc++ ${TORCH_LIBRARIES})
separate_arguments(GOSSAMER_TORCH_FLAGS UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(gossamer_torch INTERFACE ${GOSSAMER_TORCH_FLAGS})

# Debian's libtorch calls libblas.so.3, whichever library the alternatives system put there.
file(REAL_PATH /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libblas.so.3 GOSSAMER_BLAS)
get_target_property(GOSSAMER_TORCH_LOCATION torch_cpu LOCATION)
if(GOSSAMER_TORCH_LOCATION MATCHES "^/usr/lib" AND GOSSAMER_BLAS MATCHES "/blas/libblas")
  message(WARNING " libtorch uses the reference BLAS (${GOSSAMER_BLAS}), which trains 3 to 4 times slower. "
                  "Install OpenBLAS with: apt-get install libopenblas0-pthread")
endif()
