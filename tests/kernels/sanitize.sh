#!/usr/bin/env bash
# The compiled kernels under AddressSanitizer with UndefinedBehaviorSanitizer, then ThreadSanitizer: tests/kernels/sanitize.sh
# Wants g++ (or CXX) with their runtimes; prints what it ran, and fails at the first report.
set -euo pipefail
cd "$(dirname "$0")/../.."
cpu=seqjax/kernels/cpu
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
x86=(avx2 avx512 avx512bf16 amx)
declare -A sets=(
  [avx2]="-mavx2 -mfma"
  [avx512]="-mavx2 -mfma -mavx512f -mavx512dq -mavx512vl"
  [avx512bf16]="-mavx2 -mfma -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx512bf16 -mavx512vnni"
  [amx]="-mavx2 -mfma -mavx512f -mavx512dq -mavx512vl -mavx512bw -mavx512bf16 -mavx512vnni -mamx-tile -mamx-bf16"
)
[ "$(uname -m)" = x86_64 ] || x86=()
for sanitizers in address,undefined thread; do
  flags=(-std=c++17 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all "-fsanitize=$sanitizers" "-I$cpu"
    -DSEQJAX_AVX512BF16 -DSEQJAX_AMX)
  compile() { "${CXX:-g++}" "${flags[@]}" "${@:2}" -c "$1" -o "$build/$(basename "$1").o"; }
  compile "$cpu/baseline.cc"
  for set in "${x86[@]}"; do compile "$cpu/$set.cc" ${sets[$set]}; done
  compile tests/kernels/sanitize.cc
  "${CXX:-g++}" "${flags[@]}" "$build"/*.o -pthread -o "$build/sanitize"
  echo "sanitizers: $sanitizers"
  "$build/sanitize"
done
