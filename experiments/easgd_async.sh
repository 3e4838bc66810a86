#!/usr/bin/env bash
# Asynchronous EASGD (Zhang, Choromanska, LeCun 2015) on MNIST: 4 clients with the 2NN, each asking for the centre every
# tau = 1, 16, 64 of its own steps, in virtual time on devices of unlike speeds; and DOWNPOUR at tau = 64 with the same
# learning rate. As many gradient steps for all of them. The centre is evaluated.
#   experiments/easgd_async.sh [OUT_DIR]      the runs, and async.svg, .png and .csv: rounds (exchanges), bytes, time
# Ends with 77 where MNIST is missing, with 1 where the error at tau = 64 is more than 0.3 points above that at tau = 1,
# or DOWNPOUR's is not above both.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/easgd_async}
epochs=${EPOCHS:-10}
clients=4 examples=15000 batch=10
steps=$((epochs * examples / batch))
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

common=(--data.dataset mnist --data.clients $clients --data.partition iid --model.name mlp --client.batch_size $batch
  --client.lr 0.1 --sync.mode async --cohort.fraction 1 --devices.distribution uniform --server.checkpoint_every 0 -q
  --run.overwrite)
runs=()
for name in easgd-tau1 easgd-tau16 easgd-tau64 downpour-tau64; do
  run=$out/$name tau=${name#*tau}
  rounds=$((steps * clients / tau))
  every=$((rounds / 60 > 0 ? rounds / 60 : 1))
  [[ -f $run/summary.json ]] ||
    "$gossamer" simulate --run.out "$run" "${common[@]}" --algorithm.name "${name%-*}" --client.local_steps "$tau" \
      --run.rounds $rounds --run.eval_every $every || [[ $name == downpour* ]]
  runs+=("$run")
done
for kind in svg png csv; do
  "$gossamer" plot "${runs[@]}" --x round,bytes,time --log --y test_accuracy --out "$out/async.$kind"
done

python3 - "${runs[@]}" <<'PY'
import json, os, sys
error = {}
for run in sys.argv[1:]:
    name = os.path.basename(run)
    accuracy = json.load(open(f"{run}/summary.json")).get("final_test_accuracy")
    error[name] = 100 * (1 - accuracy) if accuracy is not None else 100.0
    print(f"{name:16} test error {error[name]:.2f}%")
gap = error["easgd-tau64"] - error["easgd-tau1"]
worst = max(error["easgd-tau1"], error["easgd-tau64"])
print(f"EASGD tau = 64 minus tau = 1: {gap:.2f} points (0.3 at most); DOWNPOUR tau = 64: {error['downpour-tau64']:.2f}%")
sys.exit(0 if gap <= 0.3 and error["downpour-tau64"] > worst else 1)
PY
