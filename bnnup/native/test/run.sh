#!/usr/bin/env bash
# Builds and runs the engine's own tests: once as it is installed, once with AddressSanitizer and
# UndefinedBehaviorSanitizer, once with ThreadSanitizer, and, where the cross compiler and the emulator are
# installed (Debian: g++-aarch64-linux-gnu qemu-user), once for AArch64, and with node and the
# package ziglang for WebAssembly. The checksums of all runs must be the same.
set -euo pipefail
cd "$(dirname "$0")/.."

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

native=
for sanitizers in "" address,undefined thread; do
  cmake -S . -B "$build/native-$sanitizers" -DBNNUP_TESTS=ON -DBNNUP_SANITIZE=$sanitizers >/dev/null
  cmake --build "$build/native-$sanitizers" --parallel >/dev/null
  sums=$("$build/native-$sanitizers/bnnup_test")
  echo "${sanitizers:-as installed}: $sums"
  if [ "${sums##* }" != "${native:=${sums##* }}" ]; then
    echo "with $sanitizers, other numbers" >&2
    exit 1
  fi
done

if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then
  cmake -S . -B "$build/arm" -DBNNUP_TESTS=ON -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
    -DCMAKE_EXE_LINKER_FLAGS=-static >/dev/null
  cmake --build "$build/arm" --parallel >/dev/null
  arm=$(qemu-aarch64 "$build/arm/bnnup_test")
  echo "AArch64: $arm"
  if [ "${arm##* }" != "$native" ]; then
    echo "AArch64 computes other numbers" >&2
    exit 1
  fi
else
  echo "AArch64: skipped, for lack of aarch64-linux-gnu-g++ or qemu-aarch64"
fi

if command -v node >/dev/null && python3 -c "import ziglang" 2>/dev/null; then
  python3 ../../web/build.py --tests "$build"
  relaxed=
  if node --experimental-wasm-relaxed-simd -e 0 2>/dev/null; then
    relaxed=--experimental-wasm-relaxed-simd  # which later versions of node have by default
  fi
  for program in test test-relaxed; do
    # shellcheck disable=SC2086
    wasm=$(node --no-warnings $relaxed ../../web/test/kernels.mjs "$build/$program.wasm")
    echo "WebAssembly, $program: $wasm"
    if [ "${wasm##* }" != "$native" ]; then
      echo "WebAssembly computes other numbers" >&2
      exit 1
    fi
  done
else
  echo "WebAssembly: skipped, for lack of node or the package ziglang"
fi
