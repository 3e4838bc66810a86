# Every package that the build needs. A missing one ends the configuration with one line that says which
# package of the distribution brings it.

# The blank at the start keeps CMake from wrapping the line.
function(gossamer_missing what package)
  message(FATAL_ERROR " ${what} was not found. Install it with: apt-get install ${package}")
endfunction()

find_package(Threads REQUIRED)
find_package(PkgConfig)
if(NOT PKG_CONFIG_FOUND)
  gossamer_missing("pkg-config" pkg-config)
endif()

# Leaves of a package's flags only where its own headers lie. Those that packages behind it need (libzmq's: -isystem
# ...) CMake reads otherwise from its cache than from pkg-config, so that a second configuration would make everything
# anew.
function(gossamer_own_headers name)
  set_target_properties(PkgConfig::${name} PROPERTIES
    INTERFACE_COMPILE_OPTIONS "" INTERFACE_INCLUDE_DIRECTORIES "${${name}_INCLUDEDIR}")
endfunction()

function(gossamer_pkg name module package)
  pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL ${module})
  if(NOT ${name}_FOUND)
    gossamer_missing("${module}" ${package})
  endif()
  gossamer_own_headers(${name})
endfunction()

gossamer_pkg(SODIUM libsodium libsodium-dev)
gossamer_pkg(XXHASH libxxhash libxxhash-dev)
gossamer_pkg(ZLIB zlib zlib1g-dev)
gossamer_pkg(HWY libhwy libhwy-dev)

find_package(spdlog QUIET)
if(NOT spdlog_FOUND)
  gossamer_missing("spdlog" libspdlog-dev)
endif()
find_package(nlohmann_json QUIET)
if(NOT nlohmann_json_FOUND)
  gossamer_missing("nlohmann-json" nlohmann-json3-dev)
endif()
find_package(cereal QUIET)
if(NOT cereal_FOUND)
  gossamer_missing("cereal" libcereal-dev)
endif()

if(GOSSAMER_WITH_TORCH)
  # By Boost's own files: CMake's old search module takes a Boost without this part for a whole one.
  find_package(Boost QUIET CONFIG COMPONENTS program_options)
  if(NOT TARGET Boost::program_options)
    gossamer_missing("Boost.Program_options" libboost-program-options-dev)
  endif()
  include(GossamerTorch)
endif()

# MPI and ZeroMQ are transports: each is optional, and what was found is what `gossamer --version` names.
set(GOSSAMER_HAVE_MPI OFF)
if(NOT GOSSAMER_WITH_MPI STREQUAL "OFF")
  find_package(MPI QUIET COMPONENTS C)
  if(MPI_C_FOUND)
    set(GOSSAMER_HAVE_MPI ON)
  elseif(GOSSAMER_WITH_MPI STREQUAL "ON")
    gossamer_missing("Open MPI" "libopenmpi-dev openmpi-bin")
  endif()
endif()

set(GOSSAMER_HAVE_ZMQ OFF)
if(NOT GOSSAMER_WITH_ZMQ STREQUAL "OFF")
  pkg_check_modules(LIBZMQ QUIET IMPORTED_TARGET GLOBAL libzmq)
  if(LIBZMQ_FOUND)
    gossamer_own_headers(LIBZMQ)
  endif()
  find_path(CPPZMQ_INCLUDE zmq.hpp)
  if(LIBZMQ_FOUND AND CPPZMQ_INCLUDE)
    set(GOSSAMER_HAVE_ZMQ ON)
  elseif(GOSSAMER_WITH_ZMQ STREQUAL "ON")
    gossamer_missing("ZeroMQ" "libzmq3-dev cppzmq-dev")
  endif()
endif()

# What `gossamer bench allreduce` compares with, under mpirun.
set(GOSSAMER_HAVE_GLOO OFF)
if(GOSSAMER_HAVE_MPI AND GOSSAMER_WITH_TORCH AND NOT GOSSAMER_WITH_GLOO STREQUAL "OFF")
  find_package(Gloo QUIET)
  if(Gloo_FOUND)
    set(GOSSAMER_HAVE_GLOO ON)
  elseif(GOSSAMER_WITH_GLOO STREQUAL "ON")
    gossamer_missing("Gloo" libgloo-dev)
  endif()
endif()

include(GossamerCuda)

if(GOSSAMER_BUILD_TESTS)
  find_package(GTest QUIET)
  if(NOT GTest_FOUND)
    gossamer_missing("GoogleTest" "libgtest-dev libgmock-dev")
  endif()
  include(GoogleTest)
endif()
