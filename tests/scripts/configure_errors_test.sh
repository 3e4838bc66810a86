#!/usr/bin/env bash
# A missing package ends the configuration with one line that names the apt command; a reference BLAS is said.
#   configure_errors_test.sh SOURCE_DIR
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect LINE CMAKE_OPTIONS...: the configuration fails and says LINE on a line of its own.
expect() {
  local line=$1
  shift
  rm -rf "$work/build"
  if cmake -S "$source" -B "$work/build" -G Ninja "$@" >"$work/log" 2>&1; then
    echo "configured without a package that it needs: $*" >&2
    exit 1
  fi
  grep -qE "^ *$line\$" "$work/log" || {
    cat "$work/log" >&2
    echo "expected the line: $line" >&2
    exit 1
  }
}

install='was not found\. Install it with: apt-get install'
expect "spdlog $install libspdlog-dev" -DCMAKE_DISABLE_FIND_PACKAGE_spdlog=ON
expect "libtorch $install libtorch-dev libopenblas0-pthread" -DCMAKE_DISABLE_FIND_PACKAGE_Torch=ON
expect "Open MPI $install libopenmpi-dev openmpi-bin" -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON \
  -DGOSSAMER_WITH_MPI=ON -DGOSSAMER_WITH_TORCH=OFF
PKG_CONFIG_LIBDIR=$work PKG_CONFIG_PATH='' \
  expect "libsodium $install libsodium-dev" -DGOSSAMER_WITH_TORCH=OFF

# Each optional transport may be absent: the configuration goes on without it.
cmake -S "$source" -B "$work/build" -G Ninja -DGOSSAMER_WITH_TORCH=OFF -DGOSSAMER_WITH_MPI=OFF \
  -DGOSSAMER_WITH_ZMQ=OFF >"$work/log" 2>&1 || {
  cat "$work/log" >&2
  exit 1
}
