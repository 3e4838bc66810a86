#!/usr/bin/env bash
# How many rounds FedSGD (E = 1, B = all) needs to 97% on IID MNIST with the 2NN, against FedAvg (E = 10, B = 10),
# each at its best learning rate of one grid (steps of 10^(1/3)). McMahan et al. 2017, Table 4: 1468 and 34 rounds.
#   experiments/fedsgd_vs_fedavg.sh [OUT_DIR]      the runs of both sweeps, and sweep.csv
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/fedsgd_vs_fedavg}
grid=${GRID:-0.0464 0.1 0.215 0.464 1.0}
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

sweep() { # name, most rounds, rounds between evaluations, keys ...
  local name=$1 rounds=$2 every=$3 lr
  shift 3
  for lr in $grid; do
    [[ -f $out/$name-$lr/summary.json ]] ||
      "$gossamer" simulate experiments/fedavg_mnist_2nn_iid.ini -q --run.out "$out/$name-$lr" --run.overwrite \
        --run.rounds "$rounds" --run.eval_every "$every" --server.checkpoint_every 0 --client.lr "$lr" "$@"
  done
}
sweep fedavg 100 1 --client.local_epochs 10
sweep fedsgd 3000 2 --algorithm.name fedsgd --client.batch_size 0

python3 - "$out" $grid <<'PY'
import csv, json, sys
out, grid = sys.argv[1], sys.argv[2:]
best = {}
with open(f"{out}/sweep.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["algorithm", "lr", "rounds_to_97", "best_test_accuracy"])
    for name in ("fedavg", "fedsgd"):
        for lr in grid:
            summary = json.load(open(f"{out}/{name}-{lr}/summary.json"))
            rounds = summary["rounds_to_target"]
            table.writerow([name, lr, rounds, summary["best_test_accuracy"]])
            print(f"{name} lr {lr}: rounds to 97% {rounds}, best {summary['best_test_accuracy']:.4f}")
            if rounds is not None and (name not in best or rounds < best[name][0]):
                best[name] = (rounds, lr)
if len(best) < 2:
    sys.exit("one of the two never reached 97%")
ratio = best["fedsgd"][0] / best["fedavg"][0]
print(f"best: fedavg {best['fedavg'][0]:.1f} rounds (lr {best['fedavg'][1]}), "
      f"fedsgd {best['fedsgd'][0]:.1f} rounds (lr {best['fedsgd'][1]}): {ratio:.1f} times the rounds")
sys.exit(0 if ratio >= 25 else 1)
PY
