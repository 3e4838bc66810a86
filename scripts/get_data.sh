#!/bin/sh
# Downloads a data set and checks it:
#   scripts/get_data.sh mnist|fashion_mnist|cifar10|shakespeare DIR
# Files that are already there and right are kept. GOSSAMER_DATA_URL names a mirror to fetch the files from
# instead (https://... or file:///...). Exit codes: 0 done, 2 bad usage, 3 a download failed, 4 a file is not
# what it should be.
set -eu

usage() {
  echo "usage: scripts/get_data.sh mnist|fashion_mnist|cifar10|shakespeare DIR" >&2
  exit 2
}

[ $# -eq 2 ] || usage
dataset=$1
folder=$2

# The files of a data set: name, kind of checksum, checksum. `content` is the SHA-256 of what a .gz file
# decompresses to, which is the same for every mirror; the others are of the file itself.
case $dataset in
  mnist)
    url=https://ossci-datasets.s3.amazonaws.com/mnist
    files="train-images-idx3-ubyte.gz content ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
train-labels-idx1-ubyte.gz content 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
t10k-images-idx3-ubyte.gz content 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
t10k-labels-idx1-ubyte.gz content ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ;;
  fashion_mnist)
    url=http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
    files="train-images-idx3-ubyte.gz md5 8d4fb7e6c68d591d4c3dfef9ec88bf0d
train-labels-idx1-ubyte.gz md5 25c81989df183df01b3e8a0aad5dffbe
t10k-images-idx3-ubyte.gz md5 bef4ecab320f06d8554ea6380940ec79
t10k-labels-idx1-ubyte.gz md5 bb300cfdad3c16e7a12a480ee83cd310"
    ;;
  cifar10)
    url=https://www.cs.toronto.edu/~kriz
    files="cifar-10-binary.tar.gz sha256 c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    ;;
  shakespeare)
    url=https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare
    files="input.txt sha256 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    ;;
  *) usage ;;
esac
url=${GOSSAMER_DATA_URL:-$url}

download() {  # URL FILE
  if command -v curl > /dev/null; then
    curl --fail --silent --show-error --location --retry 2 --output "$2" "$1"
  elif command -v wget > /dev/null; then
    wget --quiet --tries=3 --output-document="$2" "$1"
  else
    echo "get_data.sh: needs curl or wget; install one with: apt-get install curl" >&2
    return 1
  fi
}

checksum() {  # KIND FILE
  case $1 in
    content) gzip -dc "$2" 2> /dev/null | sha256sum ;;
    sha256) sha256sum < "$2" ;;
    md5) md5sum < "$2" ;;
  esac | cut -d ' ' -f 1
}

mkdir -p "$folder"
part=
trap '[ -z "$part" ] || rm -f "$part"' EXIT
trap 'exit 130' INT TERM

while read -r name kind sum; do
  if [ -f "$folder/$name" ] && [ "$(checksum "$kind" "$folder/$name")" = "$sum" ]; then
    echo "$folder/$name: already there"
    continue
  fi
  part=$folder/$name.part
  if ! download "$url/$name" "$part"; then
    echo "get_data.sh: $url/$name: cannot be downloaded" >&2
    exit 3
  fi
  got=$(checksum "$kind" "$part")
  if [ "$got" != "$sum" ]; then
    echo "get_data.sh: $url/$name: checksum ($kind) is $got; expected $sum" >&2
    exit 4
  fi
  mv "$part" "$folder/$name"
  part=
  echo "$folder/$name: downloaded"
done << END
$files
END

if [ "$dataset" = cifar10 ]; then
  tar -xzf "$folder/cifar-10-binary.tar.gz" -C "$folder"
fi
echo "use it with: --data.dataset $dataset --data.path $folder"
