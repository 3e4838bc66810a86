# One library a folder (two where a part needs libtorch and a part does not), linked only downwards:
#
#   core <- compression, privacy, comms <- client, server <- simulation <- cli
#
# The table says what each may link; anything else ends the configuration.
set(GOSSAMER_MAY_LINK_gossamer_core "")
set(GOSSAMER_MAY_LINK_gossamer_model gossamer_core)
set(GOSSAMER_MAY_LINK_gossamer_compression gossamer_core)
set(GOSSAMER_MAY_LINK_gossamer_compression_cuda gossamer_core gossamer_compression)
set(GOSSAMER_MAY_LINK_gossamer_compression_bench gossamer_core gossamer_compression gossamer_compression_cuda)
set(GOSSAMER_MAY_LINK_gossamer_privacy gossamer_core)
set(GOSSAMER_MAY_LINK_gossamer_comms gossamer_core)
set(GOSSAMER_MAY_LINK_gossamer_datasets gossamer_core)
set(GOSSAMER_MAY_LINK_gossamer_client
    gossamer_core gossamer_model gossamer_compression gossamer_privacy gossamer_comms gossamer_datasets)
set(GOSSAMER_MAY_LINK_gossamer_server gossamer_core gossamer_compression gossamer_privacy gossamer_comms)
set(GOSSAMER_MAY_LINK_gossamer_simulation ${GOSSAMER_MAY_LINK_gossamer_client} gossamer_client gossamer_server)
set(GOSSAMER_MAY_LINK_gossamer_cli
    ${GOSSAMER_MAY_LINK_gossamer_simulation} gossamer_simulation gossamer_compression_bench)
set(GOSSAMER_TORCH_TARGETS gossamer_model gossamer_client gossamer_simulation gossamer_cli)

# gossamer_library(NAME [SHARED] SOURCES ... [LINKS our targets ...] [PACKAGES imported targets ...])
function(gossamer_library name)
  cmake_parse_arguments(ARG "SHARED" "" "SOURCES;LINKS;PACKAGES" ${ARGN})
  if(NOT DEFINED GOSSAMER_MAY_LINK_${name})
    message(FATAL_ERROR "${name} is not in the table of layers (cmake/GossamerTargets.cmake)")
  endif()
  foreach(link IN LISTS ARG_LINKS)
    if(NOT link IN_LIST GOSSAMER_MAY_LINK_${name})
      message(FATAL_ERROR "${name} must not link ${link}: dependencies point one way (docs/architecture.md)")
    endif()
  endforeach()
  if(ARG_SHARED)
    add_library(${name} SHARED ${ARG_SOURCES})
  else()
    add_library(${name} STATIC ${ARG_SOURCES})
  endif()
  target_link_libraries(${name} PUBLIC gossamer_flags ${ARG_LINKS} ${ARG_PACKAGES} Threads::Threads)
  gossamer_compile_in_groups(${name})
  if(name IN_LIST GOSSAMER_TORCH_TARGETS)
    target_link_libraries(${name} PUBLIC gossamer_torch)
    gossamer_precompile_torch(${name})
  endif()
endfunction()

# Most of a file's time goes into headers and their inline code: the files of a target are compiled eight at a time. So
# two files of one target must not use one name for different things, not even in anonymous namespaces.
function(gossamer_compile_in_groups name)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
endfunction()

# A torch header costs ten seconds a file. All targets that need one share one precompiled header.
function(gossamer_precompile_torch name)
  if(name STREQUAL "gossamer_model")
    target_precompile_headers(${name} PRIVATE <torch/torch.h>)
  else()
    target_precompile_headers(${name} REUSE_FROM gossamer_model)
    target_compile_options(${name} PRIVATE -fPIC)  # executables too: what the header was compiled with
  endif()
endfunction()

# gossamer_test(NAME LABELS labels... SOURCES ... LINKS ... [TORCH] [SERIAL] [THREADS] [TIMEOUT seconds]
#               [ENVIRONMENT ...])
# A GoogleTest binary, each of its tests a ctest of its own. SERIAL: its tests start processes of their own, and
# run while no other test does. THREADS: it needs no libtorch and starts threads, so that scripts/test.sh runs it under
# the thread sanitizer (label `threads`, target `thread_tests`).
function(gossamer_test name)
  cmake_parse_arguments(ARG "TORCH;SERIAL;THREADS" "TIMEOUT" "LABELS;SOURCES;LINKS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gossamer_flags ${ARG_LINKS} GTest::gmock GTest::gtest_main)
  gossamer_compile_in_groups(${name})
  if(ARG_THREADS)
    list(APPEND ARG_LABELS threads)
    if(NOT TARGET thread_tests)
      add_custom_target(thread_tests)
    endif()
    add_dependencies(thread_tests ${name})
  endif()
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE gossamer_torch)
    gossamer_precompile_torch(${name})
    # One thread a trainer, as in the program. (How OpenBLAS orders threads of its own no sanitizer sees.)
    list(APPEND ARG_ENVIRONMENT OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
         TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/support/tsan.supp)
  endif()
  gtest_discover_tests(${name} NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60)
  # gtest_discover_tests() takes lists apart, so a second label would be lost: the properties are set by a file
  # that ctest reads after the one with the tests' names.
  set(properties "LABELS \"${ARG_LABELS}\" TIMEOUT ${ARG_TIMEOUT} RUN_SERIAL ${ARG_SERIAL} ENVIRONMENT \"${ARG_ENVIRONMENT}\"")
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake
       "foreach(test IN LISTS ${name}_TESTS)\n"
       "  set_tests_properties(\"\${test}\" PROPERTIES ${properties})\n"
       "endforeach()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake)
endfunction()

# gossamer_mpi_test(NAME SOURCES ... LINKS ... RANKS numbers... [TORCH])
# One binary with a main() of its own, whose tests all run at each number of ranks. Open MPI's run-time keeps memory in
# libraries that it unloads, where a leak cannot be told from ours nor suppressed by name.
function(gossamer_mpi_test name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINKS;RANKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gossamer_flags ${ARG_LINKS} GTest::gmock GTest::gtest)
  if(ARG_TORCH)
    target_link_libraries(${name} PRIVATE gossamer_torch)
    gossamer_precompile_torch(${name})
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    add_test(NAME ${name}.${ranks}_ranks
      COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}.${ranks}_ranks PROPERTIES LABELS mpi TIMEOUT 180 RUN_SERIAL ON
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;ASAN_OPTIONS=detect_leaks=0")
  endforeach()
endfunction()

# gossamer_fuzzer(NAME SOURCES ... LINKS ...): a libFuzzer target for scripts/fuzz.sh, built by the target `fuzzers`.
function(gossamer_fuzzer name)
  if(NOT GOSSAMER_BUILD_FUZZERS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE gossamer_flags ${ARG_LINKS} -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers ${name})
endfunction()
