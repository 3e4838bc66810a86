#!/usr/bin/env bash
# scripts/install_deps.sh against a make-believe dpkg, apt and curl: nothing is run when nothing is missing, only
# what is missing is installed, a failure is one line with the reason, and a libtorch that apt does not have is
# fetched once and only accepted with the right checksum.
#   install_deps_test.sh SOURCE_DIR
set -euo pipefail
unset Torch_DIR CMAKE_PREFIX_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/scripts" "$work/bin"
script=$work/tree/scripts/install_deps.sh
cp "$1/scripts/install_deps.sh" "$script"

fail() {
  echo "install_deps_test.sh: $*" >&2
  exit 1
}
pretend() {
  printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
export PATH=$work/bin:$PATH

# Every package but one is installed; one comes under a name that another package provides.
all=$(sed -n '/packages=(/,/^)/p; /^test_packages=/p; /^slow_packages=/p' "$script" | sed 's/^[a-z_]*=//; s/[()]//g; s/#.*//' | tr -s ' \n' '\n')
grep -qx libzmq3-dev <<<"$all" || fail "could not read the package list of $script"
{
  grep -vxE 'libxxhash-dev|pkg-config|' <<<"$all" | sed 's/.*/installed &, /'
  echo "installed pkgconf, pkg-config (= 1.8.1)"
  echo "config-files libxxhash-dev, "
} >"$work/packages"
pretend dpkg-query "cat $work/packages"
# shellcheck disable=SC2016  # expanded when the stand-in runs
pretend sudo 'exec "$@"'
pretend apt-get "echo \"\$*\" >>$work/calls"

"$script" --tests >"$work/out"
grep -qx -- '-q update' "$work/calls" || fail "no apt-get update: $(cat "$work/calls")"
grep -qx -- '-q install --yes --no-install-recommends libxxhash-dev' "$work/calls" ||
  fail "expected exactly libxxhash-dev to be installed: $(cat "$work/calls")"

[[ $("$script" --tests --list) == libxxhash-dev ]] || fail "--list names something else"

[[ $("$script" --slow --list) == libxxhash-dev ]] || fail "--slow --list names something else"
sed -i '/ munge, $/d' "$work/packages"
[[ $("$script" --slow --list) == $'libxxhash-dev\nmunge' ]] || fail "--slow does not ask for munge"

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

# A distribution without libtorch.
sed -i '/libtorch-dev\|python3-torch/d' "$work/packages"
pretend apt-cache ':'
pretend apt-get ':'
pretend uname 'echo x86_64'
(cd "$work" && mkdir libtorch && echo 2.1.2 >libtorch/build-version && cmake -E tar cf libtorch.zip --format=zip libtorch)
pretend curl "echo called >>$work/fetched; while [ \"\$1\" != --output ]; do shift; done; cp $work/libtorch.zip \"\$2\""
if "$script" --tests >"$work/out" 2>"$work/err"; then
  fail "a libtorch with the wrong checksum was accepted"
fi
grep -q '^install_deps.sh: https://.* is not the file that was expected' "$work/err" || fail "it says: $(cat "$work/err")"
[[ ! -e $work/tree/.libtorch ]] || fail "a refused libtorch was unpacked"

sed -i "s/^libtorch_sha256=.*/libtorch_sha256=$(sha256sum "$work/libtorch.zip" | cut -d ' ' -f 1)/" "$script"
"$script" --tests >"$work/out"
[[ $(cat "$work/tree/.libtorch/build-version") == 2.1.2 ]] || fail "libtorch was not unpacked"
[[ -z $("$script" --tests --list) ]] || fail "still missing: $("$script" --tests --list)"
rm "$work/fetched"
"$script" --tests >"$work/out"
[[ ! -e $work/fetched ]] || fail "libtorch was fetched twice"

rm -r "$work/tree/.libtorch"
pretend uname 'echo riscv64'
if "$script" >"$work/out" 2>"$work/err"; then
  fail "a machine for which there is no libtorch went unnoticed"
fi
grep -q '^install_deps.sh: there is no libtorch for riscv64 here' "$work/err" || fail "it says: $(cat "$work/err")"
[[ -z $(Torch_DIR=/opt/torch "$script" --list) ]] || fail "Torch_DIR is not heeded"
