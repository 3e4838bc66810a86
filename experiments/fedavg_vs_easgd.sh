#!/usr/bin/env bash
# FedAvg against elastic averaging (Zhang, Choromanska, LeCun 2015) on MNIST: 4 clients, the 2NN, equal gradient
# steps, EASGD at tau = 1, 16, 64 and FedAvg with the same numbers of local steps a round. The centre is evaluated.
#   experiments/fedavg_vs_easgd.sh [OUT_DIR]      the runs, and comparison.svg and .png: rounds, bytes, time
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/fedavg_vs_easgd}
epochs=${EPOCHS:-10}
examples=15000 batch=10 # of each of the 4 clients
steps=$((epochs * examples / batch))
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

common=(--data.dataset mnist --data.clients 4 --data.partition iid --model.name mlp --client.batch_size $batch
  --client.lr 0.1 --server.checkpoint_every 0 -q --run.overwrite)
runs=()
for tau in 1 16 64; do
  rounds=$((steps / tau))
  every=$((rounds / 60 > 0 ? rounds / 60 : 1))
  for algorithm in easgd fedavg; do
    run=$out/$algorithm-tau$tau
    keys=(--algorithm.name $algorithm --client.local_steps $tau --run.rounds $rounds --run.eval_every $every)
    [[ $algorithm == fedavg ]] && keys+=(--cohort.fraction 1)
    [[ -f $run/summary.json ]] || "$gossamer" simulate --run.out "$run" "${common[@]}" "${keys[@]}"
    runs+=("$run")
  done
done
for kind in svg png csv; do
  "$gossamer" plot "${runs[@]}" --x round,bytes,time --log --y test_accuracy --out "$out/comparison.$kind"
done

python3 - "${runs[@]}" <<'PY'
import json, os, sys
final = {}
for run in sys.argv[1:]:
    summary = json.load(open(f"{run}/summary.json"))
    final[os.path.basename(run)] = summary["final_test_accuracy"]
    print(f"{os.path.basename(run):14} final {summary['final_test_accuracy']:.4f} best {summary['best_test_accuracy']:.4f}")
lowest = min(final.values())
gap = final["easgd-tau1"] - final["easgd-tau64"]
print(f"lowest {lowest:.4f} (0.97 or more is expected); EASGD tau = 1 minus tau = 64: {100 * gap:.2f} points (0.3 at most)")
sys.exit(0 if lowest >= 0.97 and gap <= 0.003 else 1)
PY
