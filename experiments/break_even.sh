#!/usr/bin/env bash
# Time to 97% on MNIST with the 2NN, 4 clients with a quarter of the examples each, 10 local steps of 64 examples a round,
# in lockstep: of each method of compression, at 10, 100 and 1,000 Mbit/s, as rounds from simulation times the seconds a
# round measured on 4 hosts (network namespaces of this machine) over ZeroMQ. With a parameter server a fifth host has
# the server; each host's line, the server's too, carries the rate in either direction, so that the server's is what
# all wait for: four models down, four updates up. What comes at once waits in its queue, up to a second's worth.
#   experiments/break_even.sh [OUT_DIR]    break_even.csv: a row for each method and rate
# Seconds a round vary from run to run more than from round to round, so each method is timed in several short runs, one
# pass over all methods after another, and each client keeps to one core.
#   NAMES="none one_bit/int8 ..." RATES="10 100 1000" SEEDS="1 2 3" PASSES=3 LR=0.464 DOWN=one_bit
#   ROUNDS=6 (of a short run; four times as many from 100 Mbit/s on), PASSES: three times as many from 1,000 Mbit/s on
#   A name is UP/DOWN (models as they are where there is no /DOWN), ring-UP for a ring; experiments/compression_methods.sh
# Ends with 77 where MNIST is missing or the machine does not permit such hosts; with 1 where none does not come to 97%,
# the best method with a server is less than 5 or 2 times faster than none at 10 and 100 Mbit/s, the whole runs of none
# and the best method at 100 Mbit/s, between two more short runs each, last 15% longer or shorter than rounds times
# seconds a round, or what compression.up = auto has chosen is more than 10% slower than the best of what it chooses from.
set -euo pipefail
cd "$(dirname "$0")/.."
gossamer=$(realpath "${GOSSAMER:-build/release/gossamer}")
clients=4 target=0.97
source experiments/compression_methods.sh
lr=${LR:-0.464} momentum_lr=${MOMENTUM_LR:-0.2} warmup=10 tau=0.01

# What auto chooses from, by its names and by ours.
declare -A choices=([none]=none [fp16]=fp16 [int8]=int8 [qsgd]=qsgd [one_bit]=one_bit [top_k_0.01]=top_k [top_k_0.001]=top_k-0.001)
down=${DOWN:-one_bit}
default_names() {
  echo none fp16 one_bit top_k fp16/fp16 none/int8 int8/int8 one_bit/int8 top_k/int8
  local up
  for up in none fp16 bf16 int8 qsgd terngrad one_bit top_k top_k-0.001 dgc powersgd esgd-0.25 random_k random_mask threshold \
    wangni adacomp low_rank sketched bounded_error; do echo "$up/$down"; done
  echo ring-none ring-fp16 ring-int8 ring-qsgd ring-one_bit ring-top_k ring-powersgd
}
read -ra names <<<"${NAMES:-$(default_names | tr '\n' ' ')}"
read -ra rates <<<"${RATES:-10 100 1000}"
read -ra seeds <<<"${SEEDS:-1 2 3}"
common=(--data.dataset mnist --data.clients "$clients" --data.partition iid --cohort.fraction 1 --model.name mlp
  --client.local_steps 10 --client.batch_size 64 --server.checkpoint_every 0 -q --run.overwrite)
row_keys() { # NAME
  local down=none
  [[ $1 != */* ]] || down=${1#*/}
  echo "$(keys_of "${1%/*}") --compression.down $down"
}

on() { # HOST COMMAND...
  local host=$1
  shift
  "$GOSSAMER_ON_HOST" "$host" "$(printf '%q ' "$@")"
}
# A run on the hosts: clients 0 .. 3 on host0 .. host3, the server on host4. Clients of a ring reach one another by their
# own lines.
on_hosts() { # OUT KEYS...
  local out=$1 k status=0 jobs=() peer=()
  shift
  mkdir -p "$(dirname "$out")"
  on host$clients timeout -k 5 280 "$gossamer" server "$@" --server.listen tcp://10.77.0.$((10 + clients)):5555 \
    --security.insecure true --run.out "$out" >"$out.log" 2>&1 &
  jobs=($!)
  for ((k = 0; k < clients; ++k)); do
    [[ " $* " != *" --topology.name ring "* ]] ||
      peer=(--client.listen "tcp://10.77.0.$((10 + k)):*" --security.insecure true)
    on host$k timeout -k 5 280 taskset -c $((k % $(nproc))) "$gossamer" client "$@" --server.connect tcp://10.77.0.$((10 + clients)):5555 \
      --client.id $k ${peer[@]+"${peer[@]}"} >"$out.client$k.log" 2>&1 &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || status=$?; done
  ((status == 0)) || tail -n 3 "$out"*.log >&2
  return $status
}

# On hosts at one rate: RUN is OUT=NAME=ROUNDS=SEED; nothing is evaluated before the last round.
if [[ ${1:-} == --inside ]]; then
  shift
  for wanted in "$@"; do
    IFS='=' read -r run name rounds seed <<<"$wanted"
    read -ra keys <<<"$(row_keys "$name")"
    [[ -f $run/summary.json ]] ||
      on_hosts "$run" "${common[@]}" "${keys[@]}" --run.seed "$seed" --run.rounds "$rounds" --run.eval_every "$rounds"
  done
  exit
fi

out=${1:-runs/break_even}
short=${ROUNDS:-6} passes=${PASSES:-3}
mkdir -p "$out"
out=$(realpath "$out")
"$gossamer" simulate --dry-run --data.dataset mnist >/dev/null || { (($? == 4)) && exit 77; exit 1; }
tests/network/hosts.sh 1 true || exit $?
at_rate() { # RATE RUN...
  local rate=$1
  shift
  tests/network/hosts.sh --rate "$rate" --burst 1 --queue 1000 $((clients + 1)) experiments/break_even.sh --inside "$@"
}
# Rounds of a short run: of some tens of milliseconds each, six say little.
short_at() { echo $(($1 < 100 ? short : 4 * short)); } # RATE
file_of() { echo "${1//\//-}"; } # NAME

for name in "${names[@]}"; do
  read -ra keys <<<"$(row_keys "$name")"
  for seed in "${seeds[@]}"; do
    run=$out/rounds/$seed/$(file_of "$name")
    [[ -f $run/summary.json ]] ||
      "$gossamer" simulate --run.out "$run" "${common[@]}" "${keys[@]}" --run.seed "$seed" \
        --run.target_accuracy $target --run.rounds 400 --run.eval_every 1
  done
done
# Where nobody waits for lines, the rounds of one short run may be twice as long as those of another.
passes_at() { echo $(($1 < 1000 ? passes : 3 * passes)); } # RATE
# Of auto as many rounds as it may take to settle, and more.
for rate in "${rates[@]}"; do
  wanted=("$out/$rate/auto=auto/$down=80=1")
  for ((pass = 1; pass <= $(passes_at "$rate"); ++pass)); do
    for name in "${names[@]}"; do wanted+=("$out/$rate/$pass/$(file_of "$name")=$name=$(short_at "$rate")=1"); done
  done
  at_rate "$rate" "${wanted[@]}"
done

# The table; prints the names of the whole runs to make, and their rounds.
table() { # [with-whole-runs]
  python3 experiments/break_even.py "$out" "$down" "${rates[*]}" "${seeds[*]}" \
    "$(for rate in "${rates[@]}"; do passes_at "$rate"; done)" "${names[*]}" \
    "$(for choice in "${!choices[@]}"; do echo -n "$choice=${choices[$choice]} "; done)" "$@"
}
# Between short runs of the same method, for a machine is faster at times; these count in the table as well, so that
# another method may be the best then.
while :; do
  wanted=()
  while read -r name whole; do
    beside=$out/whole/$(file_of "$name") few=$name=$(short_at 100)=1
    [[ -f $beside/summary.json ]] ||
      wanted+=("$beside.before=$few" "$beside=$name=$whole=${seeds[0]}" "$beside.after=$few")
  done < <(table)
  ((${#wanted[@]} == 0)) && break
  at_rate 100 "${wanted[@]}"
done
table check
