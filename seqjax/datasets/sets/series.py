"""Time series: hourly transformer temperatures (ETT), and the hourly series of the M4 competition."""

import functools
from pathlib import Path

from seqjax.datasets.download import Remote
from seqjax.datasets.sets.raw import RawSet, path_of
from seqjax.files import read_csv, read_wide_series

ETT_URL = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/"
M4_URL = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/"

# Taken of the public files; that of ETTh2 from public projects, which agree on it.
ETT_SHA256 = {
    "h1": "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "h2": "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
}

MONTH = 30 * 24
ETT_ROWS = {
    "train": (0, 12 * MONTH),
    "validation": (12 * MONTH, 16 * MONTH),
    "test": (16 * MONTH, 20 * MONTH),
    "full": (0, None),
}
"""The published protocol (Zhou et al., 2021, "Informer"): 12, 4 and 4 months of 30 days; "full" has the rest too."""

M4_FILES = {"train": "Hourly-train.csv", "test": "Hourly-test.csv"}


def _ett(station: str, folder: Path, split: str) -> dict:
    path = path_of(folder, f"ETT{station}.csv")
    columns = read_csv(path, text=("date",))
    start, stop = ETT_ROWS[split]
    rows = len(columns["date"])
    if rows < (stop or 1):
        raise ValueError(
            f"{path}: {rows:,} rows; the split {split!r} is rows {start:,} to {stop or 1:,}; use split 'full'"
        )
    return {name: [column[start:stop]] for name, column in columns.items()}


def ett(station: str) -> RawSet:
    """The hourly series of one transformer station, "h1" or "h2"."""
    name = f"ETT{station}.csv"
    return RawSet(
        name=f"ett/{station}",
        folder="ett",
        files={split: (name,) for split in ETT_ROWS},
        reader=functools.partial(_ett, station),
        remotes=(Remote(ETT_URL + name, name, ETT_SHA256[station]),),
    )


def _m4_hourly(folder: Path, split: str) -> dict:
    series = read_wide_series(path_of(folder, M4_FILES[split]))
    return {"id": list(series), "values": list(series.values())}


M4_HOURLY = RawSet(
    name="m4_hourly",
    folder="m4",
    files={split: (name,) for split, name in M4_FILES.items()},
    reader=_m4_hourly,
    remotes=(
        Remote(
            M4_URL + "d44ad827907d46b2050a47b529cb826be9561163/Dataset/Train/Hourly-train.csv",
            "Hourly-train.csv",
            "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
        ),
        Remote(
            M4_URL + "fdeb3b173f0305901c073dcc9a36b0d9f9ab537c/Dataset/Test/Hourly-test.csv",
            "Hourly-test.csv",
            "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
        ),
    ),
)
