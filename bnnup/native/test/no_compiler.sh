#!/usr/bin/env bash
# Builds the package where no C++ compiler can be found: a pure-Python wheel must come
# out, with one line that says what it lacks. Needs pip, and what pip finds.
set -euo pipefail
cd "$(dirname "$0")/../../.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CC=no-compiler CXX=no-compiler pip wheel --verbose --no-deps -w "$out" \
  -C build-dir="$out/build" . >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
grep -q 'no compiled engine' "$out/log" || { echo "the build does not say what it lacks" >&2; exit 1; }
wheel=$(basename "$out"/*.whl)
case $wheel in
  *-py3-none-any.whl) echo "without a compiler: $wheel" ;;
  *) echo "$wheel is not pure Python" >&2; exit 1 ;;
esac
if python3 -m zipfile -l "$out/$wheel" | grep -E 'native/|_native'; then
  echo "$wheel holds parts of the engine" >&2
  exit 1
fi
