#!/usr/bin/env bash
# The compiled kernels under AddressSanitizer with UndefinedBehaviorSanitizer, then ThreadSanitizer: tests/kernels/sanitize.sh
# Wants g++ (or CXX) with their runtimes; prints what it ran, and fails at the first report.
set -euo pipefail
cd "$(dirname "$0")/../.."
cpu=seqjax/kernels/cpu
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
avx2=() avx512=()
if [ "$(uname -m)" = x86_64 ]; then
  avx2=(-mavx2 -mfma) avx512=(-mavx512f -mavx512dq -mavx512vl -mavx2 -mfma)
fi
for sanitizers in address,undefined thread; do
  flags=(-std=c++17 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all "-fsanitize=$sanitizers" "-I$cpu")
  compile() { "${CXX:-g++}" "${flags[@]}" "${@:2}" -c "$1" -o "$build/$(basename "$1").o"; }
  compile "$cpu/baseline.cc"
  compile "$cpu/avx2.cc" "${avx2[@]}"
  compile "$cpu/avx512.cc" "${avx512[@]}"
  compile tests/kernels/sanitize.cc
  "${CXX:-g++}" "${flags[@]}" "$build"/*.o -pthread -o "$build/sanitize"
  echo "sanitizers: $sanitizers"
  "$build/sanitize"
done
