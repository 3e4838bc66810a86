#!/usr/bin/env bash
# Runs the fuzz targets, each for some seconds, under the address and undefined-behaviour sanitizers.
#
#   scripts/fuzz.sh [SECONDS=60] [TARGET...]     all targets, or only those named
#   scripts/fuzz.sh --list                       builds the targets and prints their names
#
# What a run learns is kept in build/fuzz/corpus/TARGET; tests/fuzz/corpus/TARGET holds the first inputs.
# An input that fails is written to build/fuzz/failures/.
set -euo pipefail
cd "$(dirname "$0")/.."

list_only=false
seconds=60
if [[ ${1:-} == --list ]]; then
  list_only=true
  shift
elif [[ ${1:-} =~ ^[0-9]+$ ]]; then
  seconds=$1
  shift
elif [[ ${1:-} == -* ]]; then
  echo "usage: scripts/fuzz.sh [SECONDS=60] [TARGET...] | --list" >&2
  exit 2
fi

for tool in clang clang++; do
  command -v "$tool" >/dev/null || {
    echo "fuzz.sh: $tool was not found. Install it with: scripts/install_deps.sh --tests" >&2
    exit 1
  }
done

mkdir -p build/logs build/fuzz/failures
if ! { cmake --preset fuzz && cmake --build --preset fuzz --target fuzzers; } >build/logs/fuzz_build.log 2>&1; then
  tail -n 40 build/logs/fuzz_build.log >&2
  echo "fuzz.sh: the targets did not build; see build/logs/fuzz_build.log" >&2
  exit 1
fi

targets=()
for binary in build/fuzz/fuzz/*; do
  [[ -f $binary && -x $binary ]] && targets+=("${binary##*/}")
done
if $list_only; then
  ((${#targets[@]} == 0)) || printf '%s\n' "${targets[@]}"
  exit 0
fi
if (($#)); then
  for target in "$@"; do
    [[ -x build/fuzz/fuzz/$target ]] || {
      echo "fuzz.sh: no target '$target'; there are: ${targets[*]}" >&2
      exit 2
    }
  done
  targets=("$@")
fi

status=0
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  log=build/logs/fuzz_$target.log
  mkdir -p "$corpus"
  folders=("$corpus")
  [[ -d tests/fuzz/corpus/$target ]] && folders+=("tests/fuzz/corpus/$target")
  if "build/fuzz/fuzz/$target" -max_total_time="$seconds" -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/failures/$target-" "${folders[@]}" >"$log" 2>&1 </dev/null; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: ${runs:-0} inputs in $seconds s, no failure"
  else
    status=1
    tail -n 60 "$log"
    echo "$target: FAILED; the input lies in build/fuzz/failures/, the log in $log"
  fi
done
exit $status
