"""Two scripts of one task beside each other, in one table: what `training.py` and `inference.py` share."""

import argparse
import statistics
import sys
from collections.abc import Callable

from recurrent_layers import Peer, serve_calls
from tasks import TASKS

PRECISIONS = ("float32", "bfloat16")
SECONDS = 1.0
"""For which a peer repeats a call each time that it is its turn."""


def compare(about: str | None, script: str, calls_of: Callable) -> None:
    """Runs a script that measures both peers, each in a process of its own.

    Args:
      about: the script's docstring.
      script: its file.
      calls_of: `calls_of(peer, task, precision, threads)`, a function for each pass of a peer,
        `"seqjax"` or `"torch"`, that waits for its result.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", metavar="PEER", help=argparse.SUPPRESS)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if args.serve:
        serve_calls(args.serve, args.threads, calls_of, SECONDS)
        return
    pythons = {"torch": args.python, "seqjax": sys.executable}
    peers = {name: Peer(name, python, args.threads, script) for name, python in pythons.items()}
    print("| task | pass | precision | PyTorch, ms | seqjax, ms | times PyTorch (least, most) |")
    print("|---|---|---|---|---|---|")
    for task in args.tasks:
        for precision in args.precisions:
            for row in rows_of(peers, task, precision, args.rounds):
                print("|", " | ".join([task, *row]), "|", flush=True)


def rows_of(peers: dict[str, Peer], task: str, precision: str, rounds: int):
    """Measures a task, and yields a row for each pass."""
    for peer in peers.values():
        peer.measure(task, precision)  # compiles
    found = [{n: p.measure(task, precision) for n, p in peers.items()} for _ in range(rounds)]
    for kind in found[0]["torch"]:
        ratios = sorted(each["torch"][kind] / each["seqjax"][kind] for each in found)
        theirs, ours = (
            f"{1000 * statistics.median(each[peer][kind] for each in found):.2f}"
            for peer in ("torch", "seqjax")
        )
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}, {ratios[-1]:.2f})"
        yield kind, precision, theirs, ours, ratio
