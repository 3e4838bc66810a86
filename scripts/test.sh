#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test that this machine can run.
# The last line is "N passed, N failed, N skipped" over all suites; the exit code is 0 when nothing failed.
#
#   scripts/test.sh          release tests, sanitizers over what needs no libtorch (for threads: over what starts some),
#                            5 seconds of fuzzing a target
#   scripts/test.sh --all    also slow tests, sanitizers over the rest, 10 minutes of fuzzing a target, containers
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
exec </dev/null

all=false
for argument in "$@"; do
  case $argument in
    --all) all=true ;;
    *)
      echo "usage: scripts/test.sh [--all]   (unknown: $argument)" >&2
      exit 2
      ;;
  esac
done

dependencies=--tests
$all && dependencies=--slow
scripts/install_deps.sh $dependencies || exit 1

jobs=$(nproc)
reports=$PWD/build/reports
mkdir -p "$reports"
rm -f "$reports"/*.xml

# More ranks than cores; Open MPI refuses that, and root, unless told that it is meant.
export OMPI_MCA_rmaps_base_oversubscribe=1
if ((EUID == 0)); then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export UBSAN_OPTIONS=print_stacktrace=1

passed=0
failed=0
skipped=0
table=()
again=()
suite_start=0

section() {
  printf '\n== %s\n' "$1"
  suite_start=$SECONDS
}

# count NAME PASSED FAILED SKIPPED: adds a suite to the totals.
count() {
  ((passed += $2, failed += $3, skipped += $4))
  table+=("$(printf '%-24s %5d passed %4d failed %4d skipped %6d s' "$1" "$2" "$3" "$4" $((SECONDS - suite_start)))")
}

# build PRESET [cmake --build options]: configures and builds one preset.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" >"$reports/$preset.configure.log" 2>&1 || {
    cat "$reports/$preset.configure.log"
    return 1
  }
  grep -A2 'CMake Warning' "$reports/$preset.configure.log"
  cmake --build --preset "$preset" -j "$jobs" "$@"
}

# attribute FILE NAME: a number from the head of a JUnit report.
attribute() { sed -n "/<testsuite/,/>/s/.*[[:space:]]$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1; }

# with_status STATUS FILE: the names of the tests that a JUnit report gives this status.
with_status() { sed -n "s/.*<testcase name=\"\([^\"]*\)\".*status=\"$1\".*/\1/p" "$2"; }

# run_again NAME PRESET: runs those failed tests of a suite once more that start processes or wait for sockets, one
# at a time, and leaves the names of those that pass now in `passes`.
passes=()
run_again() {
  local name=$1 preset=$2 report=$reports/$1.xml second=$reports/$1.again.xml start=$suite_start failures
  passes=()
  failures=$(ctest --test-dir "build/$preset" -N -L 'mpi|zmq|integration' | sed -n 's/^ *Test *#[0-9]*: //p' |
    grep -xF "$(with_status fail "$report")" | sed 's/[][().*+?^$|]/\\&/g' | paste -sd '|')
  [[ -n $failures ]] || return
  section "$name: once more, alone"
  ctest --test-dir "build/$preset" --output-on-failure -R "^($failures)\$" --output-junit "$second"
  mapfile -t passes < <(with_status run "$second")
  again+=("${passes[@]/#/$name: }")
  suite_start=$start
}

# suite NAME PRESET TARGET [ctest options]: builds a preset's target, runs its tests, counts them. The summary names the
# tests that passed only when they ran again, alone.
suite() {
  local name=$1 preset=$2 target=$3
  shift 3
  section "$name"
  if ! build "$preset" --target "$target"; then
    echo "$name: the build failed"
    count "$name" 0 1 0
    return
  fi
  local report=$reports/$name.xml status=0
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" --output-junit "$report" "$@" || status=$?
  local total bad off
  total=$(attribute "$report" tests)
  bad=$(attribute "$report" failures)
  if ((status != 0 && ${bad:-0} > 0)); then
    run_again "$name" "$preset"
    ((bad -= ${#passes[@]})) || status=0
  fi
  off=$(($(attribute "$report" skipped) + $(attribute "$report" disabled)))
  # A test whose binary is missing fails the run without being counted as failed.
  if ((status != 0 && ${bad:-0} == 0)); then
    bad=1
    ((off > 0)) && ((off--))
  fi
  count "$name" $((${total:-bad} - bad - off)) "${bad:-0}" "$off"
}

# script NAME COMMAND...: one test that is a script; 77 means that this machine cannot run it.
script() {
  local name=$1 status=0
  shift
  section "$name"
  "$@" || status=$?
  case $status in
    0) count "$name" 1 0 0 ;;
    77) count "$name" 0 0 1 ;;
    *)
      echo "$name: ended with $status"
      count "$name" 0 1 0
      ;;
  esac
}

fuzz() {
  local seconds=$1 targets target ok=0 bad=0
  section "fuzz"
  if ! targets=$(scripts/fuzz.sh --list); then
    count fuzz 0 1 0
    return
  fi
  for target in $targets; do
    if scripts/fuzz.sh "$seconds" "$target"; then ((++ok)); else ((++bad)); fi
  done
  count fuzz "$ok" "$bad" 0
}

quick=(-LE slow)
$all && quick=()
suite release release all "${quick[@]}"
# Open MPI itself leaks by design and is not instrumented: its tests run in the release build only.
suite asan asan all -LE 'slow|mpi|statistics'
suite tsan tsan thread_tests -L threads
if $all; then
  fuzz 600
  suite asan-torch asan-torch all -LE 'slow|mpi'
  suite tsan-torch tsan-torch all -LE 'slow|mpi'
  script docker docker/test.sh
  script fresh-machine tests/scripts/fresh_machine_test.sh
else
  fuzz 5
fi

printf '\n== Summary\n'
printf '%s\n' "${table[@]}"
((${#again[@]} == 0)) || printf 'passed only when run again, alone: %s\n' "${again[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
