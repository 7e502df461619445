"""One file per application: `python -m experiments.NAME`."""
