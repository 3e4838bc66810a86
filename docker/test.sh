#!/usr/bin/env bash
# Builds the image and trains a federation of a server and 10 client containers; its results must lie in the
# mounted folder, and its model must be the one that a simulation of the same configuration ends with.
# Ends with 77 (skipped) where there is no Docker engine.
set -euo pipefail
cd "$(dirname "$0")"

skip() {
  echo "docker/test.sh: skipped: $*"
  exit 77
}
fail() {
  echo "docker/test.sh: $*" >&2
  exit 1
}

docker info >/dev/null 2>&1 || skip "no Docker engine answers"
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  skip "neither 'docker compose' nor docker-compose is installed"
fi
compose+=(--project-name "gossamer-test-$$")

RESULTS=$(mktemp -d)
export RESULTS CLIENTS=10
cleanup() {
  "${compose[@]}" down --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$RESULTS"
}
trap cleanup EXIT

docker build --network=host -t gossamer -f Dockerfile ..

timeout 900 "${compose[@]}" up || fail "the federation did not end by itself"
containers=$("${compose[@]}" ps -a -q)
(($(wc -l <<<"$containers") == CLIENTS + 1)) || fail "expected $((CLIENTS + 1)) containers, got: $containers"
for container in $containers; do
  state=$(docker inspect -f '{{.Name}} ended with {{.State.ExitCode}}' "$container")
  [[ $state == *" 0" ]] || fail "$state"
done

# value FILE KEY: what the summary says.
value() { sed -n "s/.*\"$2\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$1" | head -n 1; }

run=$RESULTS/runs/federation
[[ -s $run/summary.json && -s $run/model.pt ]] || fail "no results in the mounted folder: $(ls -R "$RESULTS")"
docker run --rm -v "$PWD/federation.ini:/federation.ini:ro" -v "$RESULTS:/results" gossamer \
  simulate /federation.ini --data.clients="$CLIENTS" --run.out=/results/simulated
for key in model_sha256 rounds bytes_up bytes_down; do
  ours=$(value "$run/summary.json" "$key")
  simulated=$(value "$RESULTS/simulated/summary.json" "$key")
  [[ -n $ours && $ours == "$simulated" ]] || fail "$key is $ours in containers and $simulated in simulation"
done
echo "docker/test.sh: $CLIENTS clients, $(value "$run/summary.json" rounds) rounds, test accuracy" \
  "$(value "$run/summary.json" final_test_accuracy), the simulation's model"
