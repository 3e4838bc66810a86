#!/usr/bin/env bash
# Runs a configuration and checks the accuracies that it must reach: best so far after so many rounds.
#   experiments/reproduce.sh CONFIG OUT_DIR ROUND:ACCURACY ... [-- --section.key VALUE ...]
#   experiments/reproduce.sh experiments/fedavg_mnist_cnn_iid.ini runs/cnn 10:0.985 30:0.99
# A bound that begins with < must stay above all of the run: 150:\<0.93. Ends with 77 (skipped) where the data is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
config=$1 out=$2
shift 2
bounds=() keys=()
while (($#)) && [[ $1 != -- ]]; do
  bounds+=("$1")
  shift
done
(($#)) && shift
keys=("$@")

status=0
"$gossamer" simulate "$config" --run.out "$out" --run.overwrite "${keys[@]}" || status=$?
((status != 4)) || exit 77
((status == 0)) || exit "$status"

python3 - "$out/metrics.jsonl" "${bounds[@]}" <<'PY'
import json, sys
rounds = [json.loads(line) for line in open(sys.argv[1])]
failed = False
for bound in sys.argv[2:]:
    last, accuracy = bound.split(":")
    best = max(r["test_accuracy"] or 0 for r in rounds if r["round"] <= int(last))
    below = accuracy.startswith("<")
    limit = float(accuracy.lstrip("<"))
    holds = best < limit if below else best >= limit
    failed |= not holds
    print(f"best within {last} rounds: {best:.4f}, {'below' if below else 'at least'} {limit}: {'yes' if holds else 'NO'}")
sys.exit(failed)
PY
