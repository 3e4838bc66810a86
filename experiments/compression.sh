#!/usr/bin/env bash
# Compressed updates: MNIST, 4 workers with a quarter of the examples each, one step of 64 examples an update, in lockstep
# with a parameter server (ring-NAME: around a ring; gossip-NAME: each mixes with its neighbours on a ring). A server's
# models travel as they are, so bytes are those of the updates.
# momentum and dgc: half the learning rate, and momentum 0.9 at the server or before compression.
#   experiments/compression.sh [OUT_DIR]     a run for each model, method and seed; MODEL.svg (and .png) of the first
#                                            seed's accuracy against the bytes of all updates so far (of peers: all that
#                                            they have sent); compression.csv
#   MODELS="mlp lenet" SEEDS="1 2 3" EPOCHS=5 NAMES="none fp16 ..."
# Ends with 77 where MNIST is missing, with 1 where a method's mean accuracy is further below that of 32-bit floats than
# it may be: 0.3 points for fp16, bf16, int8, qsgd and one_bit, 0.5 for terngrad, top_k, powersgd and dgc (which is held
# to 32-bit floats with momentum), with a server or around a ring; or esgd below 91.2, 86.7 and 81.5% at densities of a
# half, a quarter and an eighth. Others are reported.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=${GOSSAMER:-build/release/gossamer}
out=${1:-runs/compression}
read -ra models <<<"${MODELS:-mlp lenet}"
read -ra seeds <<<"${SEEDS:-1 2 3}"
rounds=$((${EPOCHS:-5} * 234))
source experiments/compression_methods.sh
lr=0.1 momentum_lr=0.05 warmup=$((4 * 234)) tau=0.003
mkdir -p "$out"
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }

common=(--data.dataset mnist --data.clients 4 --data.partition iid --cohort.fraction 1 --client.local_steps 1
  --client.batch_size 64 --run.rounds "$rounds" --run.eval_every 117 --server.checkpoint_every 0 -q
  --run.overwrite)
read -ra names <<<"${NAMES:-none momentum fp16 bf16 int8 qsgd terngrad one_bit one_bit-without top_k top_k-without dgc powersgd \
  powersgd-without esgd-0.5 esgd-0.25 esgd-0.125 random_k random_mask threshold wangni adacomp low_rank sketched bounded_error \
  ring-none ring-fp16 ring-int8 ring-qsgd ring-terngrad ring-terngrad-shared ring-one_bit ring-top_k ring-powersgd ring-dgc \
  gossip-none gossip-int8 gossip-one_bit gossip-qsgd gossip-terngrad gossip-top_k gossip-powersgd}"
for model in "${models[@]}"; do
  runs=()
  for name in "${names[@]}"; do
    read -ra keys <<<"$(keys_of "$name")"
    for seed in "${seeds[@]}"; do
      run=$out/$model/$seed/$name
      [[ -f $run/summary.json ]] ||
        "$gossamer" simulate --run.out "$run" "${common[@]}" --model.name "$model" --run.seed "$seed" "${keys[@]}"
    done
    runs+=("$out/$model/${seeds[0]}/$name")
  done
  for kind in svg png; do
    "$gossamer" plot "${runs[@]}" --x bytes_up --log --y test_accuracy --out "$out/$model.$kind"
  done
done

python3 - "$out" "${models[*]}" "${seeds[*]}" "${names[@]}" <<'PY'
import csv, json, sys
out, models, seeds, names = sys.argv[1], sys.argv[2].split(), sys.argv[3].split(), sys.argv[4:]
allowed = {"fp16": 0.3, "bf16": 0.3, "int8": 0.3, "qsgd": 0.3, "one_bit": 0.3, "terngrad": 0.5, "terngrad-shared": 0.5, "top_k": 0.5,
           "powersgd": 0.5, "dgc": 0.5}
least = {"esgd-0.5": 91.2, "esgd-0.25": 86.7, "esgd-0.125": 81.5}
faults = []
with open(f"{out}/compression.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["model", "method", "mean_final_test_accuracy", "points_above_dense", "update_bytes", "ratio"])
    for model in models:
        mean, size = {}, {}
        for name in names:
            ends = [json.load(open(f"{out}/{model}/{seed}/{name}/summary.json")) for seed in seeds]
            if any(end["stopped_by"] == "signal" for end in ends):
                sys.exit(f"FAILED: a run of {out}/{model}/*/{name} was interrupted; remove it and run again")
            mean[name] = 100 * sum(end["final_test_accuracy"] for end in ends) / len(ends)
            size[name] = sum(end["bytes_up"] / end["rounds"] / 4 for end in ends) / len(ends)
        for name in names:
            method = name.removeprefix("ring-")
            base = "momentum" if method == "dgc" and "momentum" in mean else "none"
            points, ratio = mean[name] - mean[base], size["none"] / size[name]
            table.writerow([model, name, f"{mean[name]:.2f}", f"{points:+.2f}", f"{size[name]:.0f}", f"{ratio:.1f}"])
            print(f"{model:6} {name:16} {mean[name]:6.2f}%  {points:+.2f} points  {size[name]:9.0f} bytes an update, 1/{ratio:.1f}")
            if -points > allowed.get(method, 100):
                faults.append(f"{model}: {name} is {-points:.2f} points below 32-bit floats; {allowed[method]} are allowed")
            if mean[name] < least.get(method, 0):
                faults.append(f"{model}: {name} comes to {mean[name]:.2f}%; {least[method]}% are expected")
for fault in faults:
    print("FAILED:", fault)
sys.exit(1 if faults else 0)
PY
