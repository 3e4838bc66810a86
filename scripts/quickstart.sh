#!/usr/bin/env bash
# From a fresh clone to a trained federation and its curve: installs what is missing, builds the program,
# trains the default federation into runs/quickstart and draws its accuracy.
# What is already there is not done again; `rm -r runs/quickstart` to train once more.
set -euo pipefail
cd "$(dirname "$0")/.."

run=runs/quickstart
program=build/release/gossamer
library=build/release/libgossamer_cli.so

scripts/install_deps.sh

mkdir -p build/logs
log=build/logs/quickstart.log
cmake --preset release >"$log" 2>&1 || {
  cat "$log" >&2
  exit 1
}
grep -A2 'reference BLAS' "$log" >&2 || true
cmake --build --preset release --target gossamer

# A run is finished when its summary is there, and stale when the program was built after it.
if [[ -f $run/summary.json && ! $library -nt $run/summary.json ]]; then
  echo "Already trained: $run"
else
  "$program" simulate --run.name quickstart --run.out "$run" --run.overwrite true
fi

csv=$run/accuracy.csv
"$program" plot "$run" --x round --y test_accuracy --out "$csv" >/dev/null
columns=${COLUMNS:-$( (tput cols || echo 80) 2>/dev/null)}
((columns >= 40 && columns <= 120)) || columns=80
gnuplot <<GNUPLOT
set terminal dumb size $columns, 20
set datafile separator ","
set key off
set xlabel "round"
set title "test accuracy"
plot [1:] [0:1] "$csv" using 2:3 every ::1 with points
GNUPLOT
echo "Results: $run (summary.json, metrics.jsonl, model.pt); curve: $run/curve.svg"
