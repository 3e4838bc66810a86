#!/usr/bin/env bash
# What a newcomer does: in a fresh container, from a clean clone, scripts/quickstart.sh and then
# scripts/test.sh; a second quickstart finds everything done. Ends with 77 (skipped) without Docker.
#
#   tests/scripts/fresh_machine_test.sh [IMAGE=debian:bookworm-slim]     also ubuntu:24.04
set -euo pipefail
cd "$(dirname "$0")/../.."

image=${1:-debian:bookworm-slim}
docker info >/dev/null 2>&1 || {
  echo "fresh_machine_test.sh: skipped: no Docker engine answers"
  exit 77
}
clone=$(mktemp -d)
container=gossamer-fresh-$$
cleanup() {
  docker rm -f "$container" >/dev/null 2>&1 || true
  rm -rf "$clone"
}
trap cleanup EXIT

git clone --quiet . "$clone/gossamer"
docker run --detach --init --network=host --name "$container" "$image" sleep infinity >/dev/null
docker cp -q "$clone/gossamer" "$container:/root/gossamer" 2>/dev/null ||
  docker cp "$clone/gossamer" "$container:/root/gossamer"

step() {
  local start=$SECONDS
  echo "-- $*"
  docker exec -e CI=true -w /root/gossamer "$container" "$@"
  echo "-- $* ended with 0 after $((SECONDS - start)) s"
}
step scripts/quickstart.sh
again=$(step scripts/quickstart.sh | tee /dev/stderr)
! grep -q 'Building CXX' <<<"$again" || {
  echo "fresh_machine_test.sh: the second quickstart.sh compiled what the first one had compiled" >&2
  exit 1
}
step scripts/test.sh
