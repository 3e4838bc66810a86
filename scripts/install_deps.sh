#!/usr/bin/env bash
# Installs what Gossamer is built from, out of the distribution's packages (Debian 12, Ubuntu 24.04).
# Touches nothing, and needs neither root nor a network, when everything is there.
#
# Ubuntu 24.04 has no package of libtorch: there PyTorch's own build is unpacked into .libtorch/, where the
# configuration finds it. Where Torch_DIR or CMAKE_PREFIX_PATH is set, that libtorch is used and none installed.
#
#   scripts/install_deps.sh            what the build and the program need
#   scripts/install_deps.sh --tests    and what scripts/test.sh needs
#   scripts/install_deps.sh --slow     and what its slow tests need: hosts on one machine, and a Slurm cluster on them
#   scripts/install_deps.sh --list     only print the packages that are missing
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config ca-certificates
  libtorch-dev libopenblas0-pthread libopenmpi-dev openmpi-bin libzmq3-dev cppzmq-dev libcereal-dev
  libboost-program-options-dev libgtest-dev libgmock-dev libbenchmark-dev libspdlog-dev nlohmann-json3-dev
  libxxhash-dev libhwy-dev libsodium-dev zlib1g-dev gnuplot-nox
)
# Clang brings libFuzzer; torch for Python loads the models that the program saves; Gloo is what all-reduce is
# compared with.
test_packages=(clang libclang-rt-dev python3-torch python3-numpy libgloo-dev git curl)
slow_packages=(iproute2 hostname python3 slurm-wlm munge)

libtorch_url=https://download.pytorch.org/libtorch/cpu/libtorch-cxx11-abi-shared-with-deps-2.1.2%2Bcpu.zip
libtorch_sha256=904b764df6106a8a35bef64c4b55b8c1590ad9d071eb276e680cf42abafe79e9

fail() {
  echo "install_deps.sh: $*" >&2
  exit 1
}

list_only=false
for argument in "$@"; do
  case $argument in
    --tests) packages+=("${test_packages[@]}") ;;
    --slow) packages+=("${test_packages[@]}" "${slow_packages[@]}") ;;
    --list) list_only=true ;;
    *)
      echo "usage: scripts/install_deps.sh [--tests | --slow] [--list]   (unknown: $argument)" >&2
      exit 2
      ;;
  esac
done

command -v dpkg-query >/dev/null ||
  fail "this system has no dpkg; install these packages' counterparts by hand: ${packages[*]}"

# An installed package counts under its own name and under every name that it provides.
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}, ${Provides}\n' |
  sed -n 's/^installed //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//' | sort -u)
unpacked=$(cd "$(dirname "$0")/.." && pwd)/.libtorch
missing=()
for package in "${packages[@]}"; do
  grep -qxF -- "$package" <<<"$installed" && continue
  case $package in
    libtorch-dev) [[ -n ${Torch_DIR:-}${CMAKE_PREFIX_PATH:-} || -d $unpacked ]] && continue ;;
    python3-torch) [[ -d $unpacked ]] && continue ;;
  esac
  missing+=("$package")
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
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" </dev/null >"$log" 2>&1 && return
  tail -n 20 "$log" >&2
  # The first complaint of apt says what is wrong; the rest follows from it.
  fail "apt-get $1 failed: $(grep -m1 -E '^(E|W|Err)' "$log" || tail -n 1 "$log")"
}
apt update

# Where apt has no libtorch there is none for Python either; the tests that need it are skipped.
fetch_libtorch=false
if [[ " ${missing[*]} " == *" libtorch-dev "* && -z $(apt-cache search --names-only '^libtorch-dev$') ]]; then
  [[ $(uname -m) == x86_64 ]] ||
    fail "there is no libtorch for $(uname -m) here; unpack or build one and set Torch_DIR to its share/cmake/Torch"
  fetch_libtorch=true
  kept=()
  for package in "${missing[@]}" curl; do
    [[ $package == libtorch-dev || $package == python3-torch ]] || kept+=("$package")
  done
  missing=("${kept[@]}")
fi

apt install --yes --no-install-recommends "${missing[@]}"

if $fetch_libtorch; then
  echo "Fetching: $libtorch_url"
  curl --fail --silent --show-error --location --output "$work/libtorch.zip" "$libtorch_url" 2>"$log" ||
    fail "$libtorch_url could not be fetched: $(tail -n 1 "$log")"
  sha256sum --quiet --check - <<<"$libtorch_sha256  $work/libtorch.zip" >/dev/null 2>&1 ||
    fail "$libtorch_url is not the file that was expected (SHA-256 $libtorch_sha256)"
  (cd "$work" && cmake -E tar xf libtorch.zip) || fail "libtorch.zip could not be unpacked"
  mv "$work/libtorch" "$unpacked"
fi
