"""One file per application: `python -m experiments.NAME`."""

import os
import signal
import sys


def end_at_once(number: int, frame: object) -> None:
    """Ends the process in one line at Ctrl-C while the libraries are being imported, when there is nothing to save."""
    os.write(2, b"interrupted before it began\n")
    os._exit(128 + number)


# This is so while Python still looks for the module that `-m` names: the experiment is the program.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
