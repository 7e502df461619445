"""Checks an installation: `python -m seqjax.doctor`.

Prints versions, devices, threads, whether the CPU kernels are compiled, and which backend each cell
would take; measures that the time of a scan is linear in its length, which it is not under jaxlib
0.11.1 on a CPU (jax-ml/jax#40101). Exit code 1 on a finding.
"""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import jax
import jax.numpy as jnp

import seqjax
from seqjax.kernels import native

PACKAGES = (
    "seqjax",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "chex",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "grain",
    "matplotlib",
)
CELLS = (
    seqjax.Elman(256),
    seqjax.LSTM(256),
    seqjax.GRU(256),
    seqjax.LRU(256),
    seqjax.MinGRU(256),
    seqjax.MinLSTM(256),
    seqjax.SLSTM(256),
    seqjax.MLSTM(256, heads=4),
    seqjax.RGLRU(256),
    seqjax.IndRNN(256),
    seqjax.MGU(256),
)


def scan_growth(short: int = 2_000, factor: int = 8, rounds: int = 5) -> float:
    """How much longer a step of a long scan takes than one of a short scan: about 1 where time is linear in length.

    Args:
      short: steps of the short scan.
      factor: how many times longer the other one is.
      rounds: measurements of each, of which the fastest counts.

    Returns:
      The ratio of the times for a step.
    """
    cell = seqjax.Elman(8)
    params = cell.init(jax.random.key(0), 8)
    run = jax.jit(lambda xs: seqjax.unroll(cell, params, xs, backend="scan")[1])

    def seconds_per_step(steps):
        xs = jnp.zeros((steps, 8))
        run(xs).block_until_ready()
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            run(xs).block_until_ready()
            times.append(time.perf_counter() - began)
        return min(times) / steps

    return seconds_per_step(short * factor) / seconds_per_step(short)


def findings() -> list[str]:
    """What is wrong with this installation, each with its mend; empty where all is well."""
    found = []
    growth = scan_growth()
    if growth > 3:
        found.append(
            f"a step of a scan takes {growth:.1f} times longer when the scan is 8 times longer, so time is not linear; "
            f"jaxlib {version('jaxlib')} may be a release with this defect (0.11.1 is): pip install 'jax!=0.11.1'"
        )
    for forbidden in ("tensorflow", "torch"):
        if forbidden in sys.modules:
            found.append(
                f"importing seqjax brought {forbidden} in; a package that you installed imports it"
            )
    return found


def main() -> int:
    """Prints the report; returns the exit code."""
    print(f"python     {platform.python_version()} on {platform.platform()}")
    for package in PACKAGES:
        print(f"{package:<20} {_version(package)}")
    print(f"devices    {', '.join(str(device) for device in jax.devices())}")
    print(f"threads    {_threads()} usable cores")
    print(f"kernels    {native.missing() or 'compiled for CPUs'}")
    for cell in CELLS:
        print(f"backend    {seqjax.kernels.explain(cell)}")
    found = findings()
    for finding in found:
        print(f"FINDING    {finding}")
    print("all is well" if not found else f"{len(found)} finding(s)")
    return 1 if found else 0


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
