#!/usr/bin/env bash
# The NEON kernels compiled for 64-bit ARM and run by an emulator, beside those of this machine: tests/kernels/neon.sh [PYTHON]
# Wants a Python that has ziglang (the compiler), unicorn (the emulator) and numpy; fails where results differ.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:-python}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
for cpu in aarch64 x86_64; do
  "$python" -m ziglang c++ -target "$cpu-linux-musl" -std=c++17 -O2 -static -Iseqjax/kernels/cpu \
    tests/kernels/neon.cc seqjax/kernels/cpu/baseline.cc -o "$build/$cpu"
done
"$build/x86_64" > "$build/wanted"
"$python" tests/kernels/emulate.py "$build/aarch64" > "$build/found"
"$python" - "$build" <<'END'
import sys
import numpy as np
found, wanted = (np.fromfile(f"{sys.argv[1]}/{name}", np.float32) for name in ("found", "wanted"))
error = (np.abs(found - wanted) / (1 + np.abs(wanted))).max()
print(f"neon: {len(found):,} numbers, the largest difference {error:.1e}")
sys.exit(not error < 1e-4)
END
