#!/usr/bin/env bash
# Trains on four hosts behind wires of 100 Mbit/s (hosts.sh), over MPI and over ZeroMQ, in each row of the table below.
# Each run must end well, learn, put on the wires the bytes that it reports (and hardly more), need the time that the
# wires need, and, where the row says so, give the same model as the same run in simulation.
# Ends with 77 where the machine does not permit such hosts.
#   tests/network/hosts_test.sh [ROW...]      all rows, or those in which one of the words is found
set -euo pipefail
cd "$(dirname "$0")/../.."
gossamer=$(realpath "${GOSSAMER:-build/release/gossamer}")

# topology        sync.mode  same model   rounds and other keys
table='
parameter_server  bsp        yes          --run.rounds 12 --cohort.fraction 1
parameter_server  ssp        no           --run.rounds 12 --cohort.fraction 1
parameter_server  async      no           --run.rounds 96 --cohort.fraction 1
parameter_server  buffered   no           --run.rounds 24 --cohort.fraction 1 --sync.buffer 4
tree              bsp        yes          --run.rounds 12 --cohort.fraction 1
tree              ssp        no           --run.rounds 12 --cohort.fraction 1 --topology.tree.sync ssp
tree              async      no           --run.rounds 48 --cohort.fraction 1 --topology.tree.sync async
tree              buffered   no           --run.rounds 12 --cohort.fraction 1 --topology.tree.sync buffered --sync.buffer 2
ring              bsp        yes          --run.rounds 24
ring              bsp        yes          --run.rounds 6 --algorithm.name sync_sgd --client.local_steps 10
grouped_ring     bsp        yes          --run.rounds 24
all_to_all        bsp        yes          --run.rounds 12
all_to_all        bsp        yes          --run.rounds 6 --algorithm.name sync_sgd --client.local_steps 10
mpi_allreduce     bsp        no           --run.rounds 24
gossip            bsp        yes          --run.rounds 12
gossip            bsp        yes          --run.rounds 24 --topology.gossip.method pairwise
gossip            async      no           --run.rounds 24 --topology.gossip.method pairwise
gossip            async      no           --run.rounds 24 --topology.gossip.method go_sgd
'
hosts=4 rate=100
common=(--data.clients "$hosts" --data.digits.samples_per_client 300 --model.name mlp --client.lr 0.2
  --run.eval_every 1000 --run.seed 5 -q)

fail() {
  echo "hosts_test.sh: $*" >&2
  exit 1
}

# What is checked of hosts.sh itself: it passes an exit code on, two may be up at once, nothing of it is seen outside,
# and a kill -9 takes down all that runs on its hosts.
check_hosts() {
  local status=0 line='' victim
  tests/network/hosts.sh 2 sh -c 'exit 9' || status=$?
  ((status == 9)) || fail "hosts.sh ended with $status, its command with 9"
  mkfifo "$work/alive"
  # shellcheck disable=SC2016  # expanded inside
  tests/network/hosts.sh 2 bash -c 'exec 3>"$1"; "$GOSSAMER_ON_HOST" host1 "echo up >&3; sleep infinity" & wait' \
    bash "$work/alive" &
  victim=$!
  exec 4<"$work/alive"
  read -r -t 60 line <&4 || true
  [[ $line == up ]] || fail "a process on host1 did not answer"
  ! ip link show to-host1 >/dev/null 2>&1 || fail "the wires of hosts.sh are seen outside"
  tests/network/hosts.sh 2 true || fail "a second hosts.sh beside the first ended with $?"
  disown $victim
  kill -KILL $victim
  timeout 60 cat <&4 >/dev/null || fail "processes on the hosts outlived hosts.sh"
  exec 4<&-
}

if [[ ${1:-} != --inside ]]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  status=0
  tests/network/hosts.sh 1 true || status=$?
  ((status == 0)) || exit $status
  check_hosts
  status=0
  TMPDIR=$work tests/network/hosts.sh --rate $rate $hosts tests/network/hosts_test.sh --inside "$work" "$@" || status=$?
  exit $status
fi
work=$2
shift 2
wanted=("$@")

if known=$("$gossamer" list topologies 2>/dev/null); then
  known=$(awk '/^  [a-z]/ { print $1 }' <<<"$known")
  for topology in $known; do
    grep -q "^$topology " <<<"$table" || fail "topology.name = $topology has no row in the table of this test"
  done
  choose=true
else
  known=parameter_server
  choose=false
fi

on() { # HOST COMMAND...
  local host=$1
  shift
  "$GOSSAMER_ON_HOST" "$host" "$(printf '%q ' "$@")"
}

# Bytes that hosts have put on their wires, and that they have sent to themselves by way of their addresses.
sent() {
  local k total=0
  for ((k = 0; k < hosts; ++k)); do ((total += $(</sys/class/net/to-host$k/statistics/rx_bytes))); done
  echo $total
}
sent_by_host0() { cat /sys/class/net/to-host0/statistics/rx_bytes; }
sent_to_themselves() {
  local k total=0
  for ((k = 0; k < hosts; ++k)); do ((total += $(on host$k cat /sys/class/net/lo/statistics/tx_bytes))); done
  echo $total
}

over_mpi() { # OUT KEYS...
  local out=$1
  shift
  # Each rank is alone on its host as far as Open MPI knows, and would be bound to the first core.
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 on host0 timeout -k 5 180 mpirun \
    --mca plm rsh --mca plm_rsh_agent "$GOSSAMER_ON_HOST" --mca pml ob1 --mca btl tcp,self \
    --mca btl_tcp_if_include "$GOSSAMER_SUBNET" --mca oob_tcp_if_include "$GOSSAMER_SUBNET" \
    --host "${GOSSAMER_HOSTS// /,}" --bind-to none -n $hosts \
    "$gossamer" train "$@" --run.out "$out" >"$out.log" 2>&1
}

# The server and client 0 share host 0. In a tree with two aggregators, these are beside client 0 and client 2.
over_zmq() { # OUT KEYS...
  local out=$1 k status=0 jobs=()
  shift
  on host0 timeout -k 5 180 "$gossamer" server "$@" --server.listen tcp://10.77.0.10:5555 --security.insecure true \
    --run.out "$out" >"$out.log" 2>&1 &
  jobs=($!)
  for ((k = 0; k < hosts; k += 2)); do
    [[ $topology == tree ]] || break
    on host$k timeout -k 5 180 "$gossamer" server "$@" --server.id $((k / 2)) --server.connect tcp://10.77.0.10:5555 \
      --server.listen "tcp://10.77.0.$((10 + k)):5556" --security.insecure true >"$out.aggregator$((k / 2)).log" 2>&1 &
    jobs+=($!)
  done
  for ((k = 0; k < hosts; ++k)); do
    local peer=() parent=tcp://10.77.0.10:5555
    case $topology in
      parameter_server) ;;
      tree) parent=tcp://10.77.0.$((10 + k / 2 * 2)):5556 ;;
      *) peer=(--client.listen "tcp://10.77.0.$((10 + k)):*" --security.insecure true) ;;
    esac
    on host$k timeout -k 5 180 "$gossamer" client "$@" --server.connect $parent --client.id $k \
      ${peer[@]+"${peer[@]}"} >"$out.client$k.log" 2>&1 &
    jobs+=($!)
  done
  for job in "${jobs[@]}"; do wait "$job" || status=$?; done
  return $status
}

# check SUMMARY TOPOLOGY MODE LOCAL SENT SENT_BY_HOST0: what a finished run says against what the wires carried. LOCAL is the
# share of the bytes that stayed in rank 0.
check() {
  python3 - "$@" $rate <<'PY'
import json, sys
path, topology, mode, local, sent, sent_by_host0, rate = sys.argv[1:]
run = json.load(open(path))
# Without a root every byte has a sender and a receiver, and is counted at both.
counted = run["bytes_up"] + (run["bytes_down"] if topology in ("parameter_server", "tree") else 0)
expected = counted * (1 - float(local))
# Headers, acknowledgements and control traffic (of peers, their first and last models); and work that was under way
# when the run ended, which is more where peers go on while the last models are shown.
tail = 40e6 if topology == "gossip" and mode == "async" else 4e6
most = 1.06 * (expected + run["bytes_control"]) + tail
wire_s = float(sent_by_host0) * 8 / (float(rate) * 1e6)
print(f"  {run['rounds']} rounds in {run['wall_s']:.2f} s (the wire of host 0 needs {wire_s:.2f} s), accuracy "
      f"{run['final_test_accuracy']:.3f}, {counted / 1e6:.1f} MB counted, {expected / 1e6:.1f} MB of it between hosts; "
      f"carried {float(sent) / 1e6:.1f} MB")
faults = []
if not expected <= float(sent) <= most:
    faults.append(f"carried {sent} bytes; expected {expected:.0f} .. {most:.0f}")
if run["wall_s"] < 0.95 * (wire_s - tail * 8 / (float(rate) * 1e6) / 4):
    faults.append(f"took {run['wall_s']} s; its wire needs {wire_s} s")
if run["final_test_accuracy"] < 0.5:
    faults.append(f"test accuracy {run['final_test_accuracy']}; 0.5 is expected")
for fault in faults:
    print("  FAILED:", fault)
sys.exit(1 if faults else 0)
PY
}
sha_of() { sed -n 's/.*"model_sha256": "\(.*\)".*/\1/p' "$1/summary.json"; }

failures=0 number=0
while read -ru 3 topology mode same keys; do
  if [[ -z $topology ]] || ! grep -qx "$topology" <<<"$known"; then continue; fi
  row="$topology $mode $keys"
  if ((${#wanted[@]})); then
    chosen=false
    for word in "${wanted[@]}"; do [[ $row == *$word* ]] && chosen=true; done
    $chosen || continue
  fi
  ((++number))
  read -ra keys <<<"$keys"
  keys=("${common[@]}" --sync.mode "$mode" "${keys[@]}")
  ! $choose || keys+=(--topology.name "$topology")
  simulated=
  if [[ $same == yes ]]; then
    "$gossamer" simulate "${keys[@]}" --run.out "$work/$number-$topology-simulated"
    simulated=$(sha_of "$work/$number-$topology-simulated")
  fi
  for place in mpi zmq; do
    [[ $topology != mpi_allreduce || $place == mpi ]] || continue
    out=$work/$number-$topology-$place
    there=()
    local_share=0
    case "$place $topology $mode" in
      # Rank 0 trains too, and what it exchanges with itself is a quarter where all do alike; else it only coordinates.
      "mpi parameter_server bsp") local_share=0.25 ;;
      "mpi parameter_server "*) there=(--train.coordinator_trains false) ;;
      # The root, two aggregators and all clients.
      "mpi tree "*) there=(--train.aggregator_ranks true) ;;
    esac
    echo "$row over $place"
    before=$(sent) before0=$(sent_by_host0) themselves=$(sent_to_themselves)
    if ! over_$place "$out" "${keys[@]}" ${there[@]+"${there[@]}"}; then
      tail -n 20 "$out"*.log
      ((++failures))
      continue
    fi
    # Under -q a run says nothing but warnings.
    grep -hvE 'setpgid|^$' "$out"*.log | sort | uniq -c | head -n 10 || true
    carried=$(($(sent) - before))
    # Over ZeroMQ those that meet on a host take the loopback.
    [[ $place != zmq ]] || ((carried += $(sent_to_themselves) - themselves))
    check "$out/summary.json" "$topology" "$mode" $local_share $carried $(($(sent_by_host0) - before0)) || ((++failures))
    if [[ -n $simulated && $(sha_of "$out") != "$simulated" ]]; then
      echo "  FAILED: the model differs from that of the simulation"
      ((++failures))
    fi
  done
done 3<<<"$table"
((failures == 0)) || fail "$failures failures"
