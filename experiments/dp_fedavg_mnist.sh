#!/usr/bin/env bash
# DP-FedAvg (McMahan, Ramage, Talwar, Zhang: "Learning differentially private recurrent language models", 2018): the 2NN
# on MNIST, 1,000 clients with 60 examples each, of which each takes part in a round with probability 0.1; the server
# adds noise with multiplier 1. After 100 rounds epsilon is 7.899 at delta 1e-5. Beside it the same without noise and bound.
#   experiments/dp_fedavg_mnist.sh [OUT_DIR]      the runs, and dp_fedavg.csv; fails below 85% or above that epsilon
# CLIP (0.5) and LR (0.1) choose the clip norm and the clients' rate. Ends with 77 (skipped) where the data is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/dp_fedavg_mnist}
clip=${CLIP:-0.5}
lr=${LR:-0.1}
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

train() { # name, keys ...
  local name=$1
  shift
  [[ -f $out/$name/summary.json ]] ||
    "$gossamer" simulate experiments/fedavg_mnist_2nn_iid.ini -q --run.out "$out/$name" --run.overwrite \
      --run.target_accuracy 0 --run.rounds 100 --run.eval_every 5 --server.checkpoint_every 0 --data.clients 1000 \
      --cohort.sampler poisson --cohort.fraction 0.1 --client.local_epochs 5 --client.lr "$lr" "$@"
}
train plain --server.weighting uniform
train private --privacy.mechanism gaussian --privacy.placement central --privacy.clip_norm "$clip" \
  --privacy.noise_multiplier 1

python3 - "$out" <<'PY'
import csv, json, sys
out = sys.argv[1]
summaries = {name: json.load(open(f"{out}/{name}/summary.json")) for name in ("plain", "private")}
with open(f"{out}/dp_fedavg.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["run", "rounds", "epsilon", "final_test_accuracy"])
    for name, summary in summaries.items():
        table.writerow([name, summary["rounds"], summary["epsilon"], summary["final_test_accuracy"]])
        print(f"{name}: {summary['final_test_accuracy']:.4f} after {summary['rounds']} rounds, epsilon {summary['epsilon']}")
private = summaries["private"]
sys.exit(0 if private["final_test_accuracy"] >= 0.85 and abs(private["epsilon"] - 7.899) < 5e-4 else 1)
PY
