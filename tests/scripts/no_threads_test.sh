#!/usr/bin/env bash
# The thread sanitizer runs over the tests of what starts threads, which these folders do not (docs/threading.md).
set -euo pipefail
cd "$1"
folders=(core compression privacy server client/datasets client/models)

if found=$(grep -rnE --include='*.h' --include='*.cpp' --include='*.cu' \
  'std::(jthread|thread|async)\b|pthread_create|pragma omp' "${folders[@]}"); then
  printf 'these start threads:\n%s\n' "$found" >&2
  exit 1
fi
