#!/usr/bin/env bash
# Builds the package where no C++ compiler can be found: a wheel without the engine must
# come out, with one line that says what it lacks. Where there is a compiler, a build that
# fails must fail. Needs pip, and what pip finds.
set -euo pipefail
cd "$(dirname "$0")/../../.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
CC=no-compiler CXX=no-compiler pip wheel --verbose --no-deps -w "$out" \
  -C build-dir="$out/build" . >"$out/log" 2>&1 || { cat "$out/log" >&2; exit 1; }
grep -q 'no compiled engine' "$out/log" || { echo "the build does not say what it lacks" >&2; exit 1; }
wheel=$(basename "$out"/*.whl)
if python3 -m zipfile -l "$out/$wheel" | grep -E 'native/|_native'; then
  echo "$wheel holds parts of the engine" >&2
  exit 1
fi
echo "without a compiler: $wheel, without the engine"

if CXXFLAGS=-Dbnnup=1 pip wheel --no-deps -w "$out/broken" -C build-dir="$out/build-broken" . \
  >"$out/log" 2>&1; then
  echo "a build that fails passes for one without a compiler" >&2
  exit 1
fi
grep -q 'error:' "$out/log" || { cat "$out/log" >&2; exit 1; }
echo "a build that fails is a failure"
