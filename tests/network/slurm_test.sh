#!/usr/bin/env bash
# experiments/cluster/train.sbatch on a Slurm cluster of two hosts (hosts.sh) with two ranks each: the model must be
# that of the same run in simulation, and a job that is cancelled under way and submitted again must end with it too.
# Ends with 77 without slurm-wlm and munge, or where the machine does not permit such hosts.
#   tests/network/slurm_test.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
gossamer=$(realpath "${GOSSAMER:-build/release/gossamer}")
export PATH=$PATH:/usr/sbin:/sbin

fail() {
  echo "slurm_test.sh: $*" >&2
  exit 1
}

if [[ ${1:-} != --inside ]]; then
  for tool in slurmctld slurmd sbatch munged; do
    command -v $tool >/dev/null || {
      echo "slurm_test.sh: skipped: there is no $tool (apt-get install slurm-wlm munge)"
      exit 77
    }
  done
  ((EUID == 0)) || { echo "slurm_test.sh: skipped: slurmd needs root"; exit 77; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  status=0
  TMPDIR=$work tests/network/hosts.sh 2 tests/network/slurm_test.sh --inside "$work" || status=$?
  exit $status
fi
work=$2

head -c 1024 /dev/urandom >"$work/key"
chmod 400 "$work/key"
munged --force --key-file "$work/key" --socket "$work/munge.socket" --pid-file "$work/munge.pid" \
  --log-file "$work/munge.log" --seed-file "$work/munge.seed" --origin 127.0.0.1
mkdir -p "$work/state" "$work/spool/host0" "$work/spool/host1"
cat >"$work/slurm.conf" <<CONF
ClusterName=gossamer
SlurmctldHost=host0
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool/%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
NodeName=host[0-1] CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
echo "CgroupPlugin=cgroup/v1" >"$work/cgroup.conf" # named, so that slurmd does not look for a mounted one
export SLURM_CONF=$work/slurm.conf GOSSAMER=$gossamer NETWORK=$GOSSAMER_SUBNET
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

on() { # HOST COMMAND...
  local host=$1
  shift
  "$GOSSAMER_ON_HOST" "$host" "$(printf '%q ' "$@")"
}
on host0 slurmctld -c
on host0 slurmd -c
on host1 slurmd -c
for ((k = 0; ; ++k)); do
  on host0 scontrol ping >/dev/null 2>&1 && break
  ((k < 100)) || fail "slurmctld does not answer: $(cat "$work/slurmctld.log")"
  sleep 0.1
done

keys=(--data.clients 4 --cohort.fraction 1 --model.name logistic --run.eval_every 100 --server.checkpoint_every 5
  --run.rounds 2000 -q)
submit() { # NAME: prints the number of the job
  on host0 sbatch --parsable --output="$work/$1.log" experiments/cluster/train.sbatch "${keys[@]}" --run.out "$work/$1"
}
until_true() { # WHAT COMMAND...: asks ten times a second, two minutes long
  local what=$1 k
  shift
  for ((k = 0; k < 1200; ++k)); do
    "$@" && return
    sleep 0.1
  done
  tail -n 20 "$work"/*.log >&2
  fail "in vain: waited for $what"
}
ended() { [[ -z $(on host0 squeue --noheader --job "$1" 2>/dev/null) ]]; }
has_checkpoint() { compgen -G "$work/$1/checkpoint/round-*" >/dev/null; }
model_of() { sed -n 's/.*"model_sha256": "\(.*\)".*/\1/p' "$work/$1/summary.json"; }

"$gossamer" simulate "${keys[@]}" --run.out "$work/simulated"

job=$(submit whole)
until_true "the job to end" ended "$job"
[[ $(model_of whole) == "$(model_of simulated)" ]] || {
  cat "$work/whole.log" >&2
  fail "the job's model is not the simulation's"
}

job=$(submit parts)
until_true "a checkpoint" has_checkpoint parts
on host0 scancel "$job"
until_true "the cancelled job to end" ended "$job"
[[ ! -e $work/parts/summary.json ]] || fail "the job was done before it could be cancelled"
job=$(submit parts)
until_true "the second job to end" ended "$job"
[[ $(model_of parts) == "$(model_of simulated)" ]] || {
  cat "$work/parts.log" >&2
  fail "the model of the job that was cancelled and went on is not the simulation's"
}
echo "slurm_test.sh: four ranks on two nodes, whole and with an interruption: the simulation's model"
