#!/usr/bin/env bash
# Installs what Gossamer is built from, out of the distribution's packages (Debian 12, Ubuntu 24.04).
# Touches nothing, and needs neither root nor a network, when everything is there.
#
#   scripts/install_deps.sh            what the build and the program need
#   scripts/install_deps.sh --tests    and what scripts/test.sh needs
#   scripts/install_deps.sh --list     only print the packages that are missing
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates
  libtorch-dev libopenblas0-pthread libopenmpi-dev openmpi-bin libzmq3-dev cppzmq-dev libcereal-dev
  libboost-program-options-dev libgtest-dev libgmock-dev libbenchmark-dev libspdlog-dev nlohmann-json3-dev
  libxxhash-dev libhwy-dev libsodium-dev zlib1g-dev gnuplot-nox
)
# Clang brings libFuzzer; torch for Python loads the models that the program saves.
test_packages=(clang libclang-rt-dev python3-torch python3-numpy git curl)

fail() {
  echo "install_deps.sh: $*" >&2
  exit 1
}

list_only=false
for argument in "$@"; do
  case $argument in
    --tests) packages+=("${test_packages[@]}") ;;
    --list) list_only=true ;;
    *)
      echo "usage: scripts/install_deps.sh [--tests] [--list]   (unknown: $argument)" >&2
      exit 2
      ;;
  esac
done

command -v dpkg-query >/dev/null ||
  fail "this system has no dpkg; install these packages' counterparts by hand: ${packages[*]}"

# An installed package counts under its own name and under every name that it provides.
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}, ${Provides}\n' |
  sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//' | sort -u)
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done

if $list_only; then
  ((${#missing[@]} == 0)) || printf '%s\n' "${missing[@]}"
  exit 0
fi
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    fail "root or sudo is needed to run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  # The first complaint of apt says what is wrong; the rest follows from it.
  fail "apt-get $1 failed: $(grep -m1 -E '^(E|W|Err)' "$log" || tail -n 1 "$log")"
}
apt update
apt install --yes --no-install-recommends "${missing[@]}"
