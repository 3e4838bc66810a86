#!/usr/bin/env bash
# Topologies beside each other: MNIST, the 2NN, 16 clients with a sixteenth of the examples each, one epoch in batches of
# 10 a round, in virtual time. Every client has 100 Mbit/s each way, and so has the server, which its clients share, and
# each aggregator of the tree (4 of them, with 4 clients each).
#   experiments/topologies.sh [OUT_DIR]      the runs; round.svg, bytes.svg and time.svg (and .png) of them all;
#                                            topologies.csv
# Ends with 77 where MNIST is missing, with 1 where a topology does not reach 97%, or where what has no bottleneck (ring,
# all_to_all) is not there before the parameter server.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/topologies}
rounds=${ROUNDS:-40}
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

common=(--data.dataset mnist --data.clients 16 --data.partition iid --cohort.fraction 1 --model.name mlp
  --client.local_epochs 1 --client.batch_size 10 --client.lr 0.1 --run.rounds "$rounds" --devices.speed 20000
  --network.up_mbps 100 --network.down_mbps 100 --network.server_mbps 100 --network.latency_ms 1
  --server.checkpoint_every 0 -q --run.overwrite)
names=(parameter_server tree ring all_to_all gossip_ring gossip_exponential gossip_async)
keys_of() { # NAME
  case $1 in
    parameter_server | ring | all_to_all) echo "--topology.name $1" ;;
    tree) echo "--topology.name tree --topology.tree.fanout 4" ;;
    gossip_ring) echo "--topology.name gossip --topology.graph ring" ;;
    gossip_exponential) echo "--topology.name gossip --topology.graph exponential" ;;
    gossip_async)
      echo "--topology.name gossip --topology.graph exponential --sync.mode async --topology.gossip.method pairwise"
      ;;
  esac
}
runs=()
for name in "${names[@]}"; do
  run=$out/$name
  read -ra keys <<<"$(keys_of "$name")"
  [[ -f $run/summary.json ]] || "$gossamer" simulate --run.out "$run" "${common[@]}" "${keys[@]}"
  runs+=("$run")
done
for x in round bytes time; do
  for kind in svg png; do
    "$gossamer" plot "${runs[@]}" --x "$x" --y test_accuracy --out "$out/$x.$kind"
  done
done

python3 - "$out" "${names[@]}" <<'PY'
import csv, json, sys
out, names = sys.argv[1], sys.argv[2:]
seconds, faults = {}, []
with open(f"{out}/topologies.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["topology", "rounds_to_97", "mb_to_97", "virtual_s_to_97", "best_test_accuracy", "mb_a_round",
                    "virtual_s_a_round"])
    for name in names:
        lines = [json.loads(line) for line in open(f"{out}/{name}/metrics.jsonl")]
        summary = json.load(open(f"{out}/{name}/summary.json"))
        sent = [0.0]
        for line in lines:
            # Without a server, what one peer sends another receives.
            both = "parameter_server" in name or name == "tree"
            sent.append(sent[-1] + (line["bytes_up"] + (line["bytes_down"] if both else 0)) / 1e6)
        at = next((k for k, line in enumerate(lines) if (line["test_accuracy"] or 0) >= 0.97), None)
        every = [sent[-1] / len(lines), lines[-1]["time_s"] / len(lines)]
        if at is None:
            faults.append(f"{name} never reached 97%")
            table.writerow([name, "", "", "", summary["best_test_accuracy"], *(f"{x:.3f}" for x in every)])
            continue
        seconds[name] = lines[at]["time_s"]
        table.writerow([name, lines[at]["round"], f"{sent[at + 1]:.1f}", f"{seconds[name]:.2f}",
                        summary["best_test_accuracy"], *(f"{x:.3f}" for x in every)])
        print(f"{name:18} 97% after {lines[at]['round']:2} rounds, {sent[at + 1]:7.1f} MB, {seconds[name]:6.2f} s; "
              f"best {summary['best_test_accuracy']:.4f}; {every[0]:.1f} MB and {every[1]:.3f} s a round")
for name in ("ring", "all_to_all"):
    if seconds.get(name, 1e9) >= seconds.get("parameter_server", 0):
        faults.append(f"{name} is not there before the parameter server")
for fault in faults:
    print("FAILED:", fault)
sys.exit(1 if faults else 0)
PY
