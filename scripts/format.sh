#!/usr/bin/env bash
# Formats the C++ sources that git knows, with clang-format and the style in .clang-format.
#
#   scripts/format.sh            rewrites them
#   scripts/format.sh --check    changes nothing; names the files that differ and ends with 1
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-format >/dev/null || {
  echo "format.sh: clang-format was not found. Install it with: apt-get install clang-format" >&2
  exit 1
}
case ${1:-} in
  '') action=(-i) ;;
  --check) action=(--dry-run -Werror) ;;
  *)
    echo "usage: scripts/format.sh [--check]" >&2
    exit 2
    ;;
esac
git ls-files -z --cached --others --exclude-standard '*.h' '*.cpp' '*.cu' | xargs -0r clang-format "${action[@]}"
