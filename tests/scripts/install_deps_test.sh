#!/usr/bin/env bash
# scripts/install_deps.sh against a make-believe dpkg and apt: nothing is run when nothing is missing, only
# what is missing is installed, and a failure is one line with the reason.
#   install_deps_test.sh SOURCE_DIR
set -euo pipefail
script=$1/scripts/install_deps.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "install_deps_test.sh: $*" >&2
  exit 1
}
pretend() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/$1"
  chmod +x "$work/$1"
}
export PATH=$work:$PATH

# Every package but one is installed; one comes under a name that another package provides.
# shellcheck disable=SC2016  # expanded when the stand-in runs
all=$(sed -n '/packages=(/,/^)/p; /^test_packages=/p' "$script" | sed 's/^[a-z_]*=//; s/[()]//g; s/#.*//' | tr -s ' \n' '\n')
grep -qx libzmq3-dev <<<"$all" || fail "could not read the package list of $script"
{
  grep -vxE 'libxxhash-dev|pkg-config|' <<<"$all" | sed 's/.*/installed &, /'
  echo "installed pkgconf, pkg-config (= 1.8.1)"
  echo "config-files libxxhash-dev, "
} >"$work/packages"
pretend dpkg-query "cat $work/packages"
pretend sudo 'exec "$@"'
pretend apt-get "echo \"\$*\" >>$work/calls"

"$script" --tests >"$work/out"
grep -qx -- '-q update' "$work/calls" || fail "no apt-get update: $(cat "$work/calls")"
grep -qx -- '-q install --yes --no-install-recommends libxxhash-dev' "$work/calls" ||
  fail "expected exactly libxxhash-dev to be installed: $(cat "$work/calls")"

[[ $("$script" --tests --list) == libxxhash-dev ]] || fail "--list names something else"

pretend apt-get 'echo "E: Unable to locate package libxxhash-dev" >&2; exit 100'
if "$script" >"$work/out" 2>"$work/err"; then
  fail "a failing apt-get went unnoticed"
fi
[[ $(tail -n 1 "$work/err") == "install_deps.sh: apt-get update failed: E: Unable to locate package libxxhash-dev" ]] ||
  fail "the last line is: $(tail -n 1 "$work/err")"

echo "installed libxxhash-dev, " >>"$work/packages"
pretend apt-get "echo called >>$work/again"
"$script" --tests >"$work/out"
[[ ! -s $work/out && ! -e $work/again ]] || fail "something was done although nothing was missing"

status=0
"$script" --nonsense 2>/dev/null || status=$?
((status == 2)) || fail "an unknown option ended with $status"
