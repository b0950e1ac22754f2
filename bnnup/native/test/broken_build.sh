#!/usr/bin/env bash
# Builds the package with a compiler that works, from sources that do not: the installation must
# fail, with the compiler's own message. Needs pip, and what pip finds.
set -euo pipefail
cd "$(dirname "$0")/../../.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$out" 2>/dev/null
echo '#error "a fault of the sources"' >>"$out/bnnup/native/dispatch.cpp"
if pip wheel --no-deps -w "$out/wheels" "$out" >"$out/log" 2>&1; then
  echo "sources that do not compile make a wheel" >&2
  exit 1
fi
grep -q 'a fault of the sources' "$out/log" || { cat "$out/log" >&2; exit 1; }
grep -q 'though there is a C++ compiler' "$out/log" || { cat "$out/log" >&2; exit 1; }
echo "sources that do not compile: the installation fails and says why"
