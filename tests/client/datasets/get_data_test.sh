#!/bin/sh
# get_data_test.sh refusals|real REPOSITORY: scripts/get_data.sh against file:// mirrors. `real` needs the
# MNIST and Shakespeare files and ends with 77 (skipped) where they are missing.
set -u
case_name=$1
repository=$2
script=$repository/scripts/get_data.sh
data=${GOSSAMER_DATA:-$repository/../shared/data}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v curl > /dev/null || { echo "skipped: file:// needs curl"; exit 77; }

fail() {
  echo "FAILED: $1" >&2
  exit 1
}
expect() {  # CODE WHAT COMMAND...
  code=$1
  what=$2
  shift 2
  "$@" > "$work/out" 2>&1
  got=$?
  [ "$got" -eq "$code" ] || { cat "$work/out" >&2; fail "$what: exit $got, expected $code"; }
}

if [ "$case_name" = refusals ]; then
  expect 2 "no arguments" "$script"
  expect 2 "unknown data set" "$script" imagenet "$work/x"
  [ ! -e "$work/x" ] || fail "an unknown data set made a folder"

  mkdir "$work/empty"
  GOSSAMER_DATA_URL=file://$work/empty expect 3 "missing file" "$script" mnist "$work/a"
  grep -q "train-images-idx3-ubyte.gz: cannot be downloaded" "$work/out" || fail "missing file is not named"

  mkdir "$work/bad"
  for file in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
    echo rubbish | gzip > "$work/bad/$file.gz"
  done
  echo rubbish > "$work/bad/input.txt"
  echo rubbish > "$work/bad/cifar-10-binary.tar.gz"
  for dataset in mnist fashion_mnist cifar10 shakespeare; do
    GOSSAMER_DATA_URL=file://$work/bad expect 4 "$dataset with a wrong file" "$script" "$dataset" "$work/$dataset"
    grep -q "checksum .* expected" "$work/out" || fail "$dataset: the checksum is not named"
    [ -z "$(ls -A "$work/$dataset")" ] || fail "$dataset: a wrong file was left behind"
  done
  exit 0
fi

if [ ! -f "$data/mnist/train-images-idx3-ubyte.gz" ] || [ ! -f "$data/shakespeare/input.txt" ]; then
  echo "skipped: no MNIST and Shakespeare in $data (GOSSAMER_DATA names another folder)"
  exit 77
fi
for dataset in mnist shakespeare; do
  mirror=file://$(cd "$data/$dataset" && pwd)
  GOSSAMER_DATA_URL=$mirror expect 0 "$dataset" "$script" "$dataset" "$work/$dataset"
  for file in "$work/$dataset"/*; do
    cmp -s "$file" "$data/$dataset/$(basename "$file")" || fail "$file differs"
  done
  # Nothing is fetched a second time; a damaged file is.
  GOSSAMER_DATA_URL=file://$work/nowhere expect 0 "$dataset again" "$script" "$dataset" "$work/$dataset"
  for file in "$work/$dataset"/*; do
    echo damage > "$file"
    break
  done
  GOSSAMER_DATA_URL=$mirror expect 0 "$dataset after damage" "$script" "$dataset" "$work/$dataset"
  cmp -s "$file" "$data/$dataset/$(basename "$file")" || fail "$file was not repaired"
done
