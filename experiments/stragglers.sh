#!/usr/bin/env bash
# Stragglers under each sync mode: MNIST, the 2NN, 10 workers with a tenth of the examples each, one step of 10 examples
# an update, in virtual time. Transient: each step is 3 times slower with probability 0.2. Persistent: one worker of the
# ten is always 3 times slower. The network is so fast that computing is all that takes time. All modes have the
# learning rate at which bsp is fastest on the grid of steps of 10^(1/3), and, but for backup workers (the mean of
# eight), an update counts a tenth everywhere.
#   experiments/stragglers.sh [OUT_DIR]      the runs, transient.svg and persistent.svg (and .png) against virtual time,
#                                            staleness.svg (and .png) of async, stragglers.csv
# Ends with 77 where MNIST is missing, with 1 where a mode does not reach 97% or, with transient stragglers, ssp at
# s = 1, 3 or 10 needs more than 0.8 of the time that bsp needs.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/stragglers}
workers=10 lr=${LR:-0.464} rounds=${ROUNDS:-4000} every=25
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

{
  echo 333.333333
  for ((k = 1; k < workers; ++k)); do echo 1000; done
} >"$out/one_slow.csv"

common=(--data.dataset mnist --data.clients "$workers" --data.partition iid --model.name mlp --client.local_steps 1
  --client.batch_size 10 --client.lr "$lr" --run.target_accuracy 0.97 --network.latency_ms 0
  --network.up_mbps 1000000 --network.down_mbps 1000000 --server.checkpoint_every 0 -q --run.overwrite)
names=(bsp backup ssp-1 ssp-3 ssp-10 async buffered)
keys_of() { # NAME: a round of the run is $1 updates, then the keys
  local all="--cohort.size $workers"
  case $1 in
    bsp) echo "$workers $all" ;;
    backup) echo "$workers --cohort.size 8 --sync.backup_workers 2" ;;
    ssp-*) echo "$workers $all --sync.mode ssp --sync.staleness ${1#ssp-}" ;;
    async) echo "1 $all --sync.mode async" ;;
    buffered) echo "5 $all --sync.mode buffered --sync.buffer 5 --server.lr 0.5" ;;
  esac
}
for case in transient persistent; do
  case $case in
    transient) devices=(--devices.slow_step_probability 0.2 --devices.slow_step_factor 3) ;;
    persistent) devices=(--devices.trace "$out/one_slow.csv") ;;
  esac
  runs=()
  for name in "${names[@]}"; do
    run=$out/$case/$name
    read -ra keys <<<"$(keys_of "$name")"
    ratio=$((workers / keys[0]))
    [[ -f $run/summary.json ]] ||
      "$gossamer" simulate --run.out "$run" "${common[@]}" "${devices[@]}" "${keys[@]:1}" \
        --run.rounds $((rounds * ratio)) --run.eval_every $((every * ratio))
    runs+=("$run")
  done
  for kind in svg png; do
    "$gossamer" plot "${runs[@]}" --x time --y test_accuracy --out "$out/$case.$kind"
  done
done

python3 - "$out" "${names[@]}" <<'PY'
import collections, csv, json, subprocess, sys
out, names = sys.argv[1], sys.argv[2:]


def lines_of(case, name):
    return [json.loads(line) for line in open(f"{out}/{case}/{name}/metrics.jsonl")]


def time_to(lines, target):
    """Virtual seconds until the best accuracy so far reaches the target, linear between evaluations."""
    best, since = 0.0, 0.0
    for line in lines:
        if line["test_accuracy"] is None:
            continue
        if line["test_accuracy"] >= target:
            return since + (line["time_s"] - since) * (target - best) / (line["test_accuracy"] - best)
        if line["test_accuracy"] > best:
            best = line["test_accuracy"]
        since = line["time_s"]
    return None


faults = []
with open(f"{out}/stragglers.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["stragglers", "sync", "virtual_s_to_97", "of_bsp", "updates", "updates_per_virtual_s",
                    "staleness_mean", "staleness_max", "best_test_accuracy", "wall_s"])
    for case in ("transient", "persistent"):
        bsp = None
        for name in names:
            lines = lines_of(case, name)
            summary = json.load(open(f"{out}/{case}/{name}/summary.json"))
            seconds = time_to(lines, 0.97)
            bsp = seconds if name == "bsp" else bsp
            ratio = seconds / bsp if seconds and bsp else None
            updates = sum(line["clients"] for line in lines)
            stale = [(line["staleness_mean"], line["clients"]) for line in lines if line["staleness_mean"] is not None]
            mean = sum(age * clients for age, clients in stale) / max(1, sum(clients for _, clients in stale))
            most = max((line["staleness_max"] or 0 for line in lines), default=0)
            rate = updates / lines[-1]["time_s"]
            table.writerow([case, name, seconds and f"{seconds:.2f}", ratio and f"{ratio:.3f}", updates, f"{rate:.1f}",
                            f"{mean:.2f}", most, summary["best_test_accuracy"], f"{summary['wall_s']:.1f}"])
            if seconds is None:
                print(f"{case:10} {name:9} best {summary['best_test_accuracy']:.4f}: never 97%")
                faults.append(f"{case} {name} never reached 97%")
                continue
            print(f"{case:10} {name:9} {seconds:6.2f} s to 97%, {ratio:.2f} of bsp; {rate:5.0f} updates/s, "
                  f"staleness {mean:.2f} (at most {most})")
            if case == "transient" and name.startswith("ssp") and ratio > 0.8:
                faults.append(f"{name} needs {ratio:.2f} of the time of bsp (0.8 at most)")

# An async round is one update, so each line of its metrics is the staleness of one.
counts = {case: collections.Counter(line["staleness_max"] for line in lines_of(case, "async"))
          for case in ("transient", "persistent")}
with open(f"{out}/staleness.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["staleness", *counts])
    for age in range(max(max(count) for count in counts.values()) + 1):
        table.writerow([age, *(count[age] / count.total() for count in counts.values())])
for kind, terminal in (("svg", "svg size 720,420 dynamic background 'white'"), ("png", "pngcairo size 720,420")):
    script = f"""set terminal {terminal}
set output "{out}/staleness.{kind}"
set datafile separator ","
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.8 noborder
set title "Staleness of the updates of 10 asynchronous workers"
set xlabel "versions of the model made since the update's own"
set ylabel "share of the updates"
set grid ytics
set xtics nomirror
set key top right
plot for [i=2:3] "{out}/staleness.csv" using i:xtic(int($1) % 5 == 0 ? stringcolumn(1) : "") title columnheader(i)
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)

for fault in faults:
    print("FAILED:", fault)
sys.exit(1 if faults else 0)
PY
