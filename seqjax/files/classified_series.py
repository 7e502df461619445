"""Multivariate series of unequal length, each with its class: `.ts` of the UEA archive, CSV, NumPy."""

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqjax.files.tables import MISSING, numbers, read_table
from seqjax.files.text import read_lines

GAPS = MISSING | {"?"}
"""What stands for a value that is missing, in small letters."""


class ClassifiedSeries(NamedTuple):
    """Series and their classes.

    Attributes:
      values: float64 `[time, channels]` each, without gaps.
      labels: the class of each, as text.
      gaps: how many values were missing, and were filled.
    """

    values: list[np.ndarray]
    labels: list[str]
    gaps: int


def read_classified_series(path: str | os.PathLike) -> ClassifiedSeries:
    """Reads series and their classes; the name of the file tells its form.

    * `.ts`, of the UEA and UCR archives, plain or gzipped: a series a line, its channels parted by
      colons, its class last; `?` and NaN are gaps.
    * `.npz`: `x`, `[series, time, channels]` or `[series, time]` with NaN past the end of a series,
      and `y`, the classes.
    * else CSV, plain or gzipped: a row for each step, with the columns `series` and `label`; the
      others are channels.

    A gap is filled on the straight line between its neighbours in time; a channel that is missing
    over a whole series is 0 there.

    Raises:
      ValueError: the file is not what it claims (where).
    """
    match Path(os.fspath(path).lower().removesuffix(".gz")).suffix:
        case ".ts":
            values, labels = _read_ts(path)
        case ".npz":
            values, labels = _read_npz(path)
        case _:
            values, labels = _read_steps(path)
    if not values:
        raise ValueError(f"{path}: no series; give at least one")
    gaps = sum(int(np.isnan(series).sum()) for series in values)
    return ClassifiedSeries([_filled(series) for series in values], labels, gaps)


def _read_ts(path: str | os.PathLike) -> tuple[list[np.ndarray], list[str]]:
    values, labels, begun, settings = [], [], False, {}
    for number, line in enumerate(read_lines(path), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "%")):
            continue
        where = f"{path}, line {number}"
        if not begun:
            if not line.startswith("@"):
                raise ValueError(f"{where}: {line[:30]!r} before @data; wanted a header of @ lines")
            name, _, rest = line[1:].partition(" ")
            settings[name.lower()] = rest.strip()
            begun = name.lower() == "data"
            if begun:
                _check_settings(path, settings)
            continue
        *channels, label = line.split(":")
        if not channels:
            raise ValueError(f"{where}: no class; wanted channels and a class, colons between")
        series = _as_series(where, channels)
        if values and series.shape[1] != values[0].shape[1]:
            raise ValueError(
                f"{where}: {series.shape[1]} channels; the series before have {values[0].shape[1]}"
            )
        values.append(series)
        labels.append(label.strip())
    if not begun:
        raise ValueError(f"{path}: no @data line; give a .ts file of the UEA archive")
    return values, labels


def _check_settings(path: str | os.PathLike, settings: dict[str, str]) -> None:
    if settings.get("timestamps", "false").lower() == "true":
        raise ValueError(f"{path}: @timeStamps true; give the values alone, at even steps")
    if settings.get("classlabel", "true").lower().startswith("false"):
        raise ValueError(f"{path}: @classLabel false; give series with their classes")


def _as_series(where: str, channels: list[str]) -> np.ndarray:
    """Reads the channels of a line, `[time, channels]`; those that end before others have gaps."""
    columns = []
    for place, channel in enumerate(channels, start=1):
        try:
            fields = [field.strip() for field in channel.split(",")]
            columns.append([np.nan if field.lower() in GAPS else float(field) for field in fields])
        except ValueError:
            raise ValueError(
                f"{where}: channel {place} has {channel[:30]!r}; wanted numbers with commas between"
            ) from None
    series = np.full((max(map(len, columns)), len(columns)), np.nan)
    for place, column in enumerate(columns):
        series[: len(column), place] = column
    return series


def _read_npz(path: str | os.PathLike) -> tuple[list[np.ndarray], list[str]]:
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            names = getattr(arrays, "files", ())
            found = {name: arrays[name] for name in ("x", "y") if name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: no .npz of plain arrays ({error})") from None
    if found.keys() != {"x", "y"}:
        raise ValueError(f"{path}: wanted the arrays x and y; it has {', '.join(found) or 'none'}")
    x, y = found["x"], found["y"]
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3 or y.shape != (len(x),) or x.dtype.kind not in "fiub":
        raise ValueError(
            f"{path}: x {x.dtype}{list(x.shape)}, y {list(y.shape)}; "
            "give numbers [series, time, channels] and a class for each series"
        )
    values = []
    for series in x.astype(np.float64):
        known = np.flatnonzero(~np.isnan(series).all(-1))
        values.append(series[: known[-1] + 1 if len(known) else 1])
    return values, [str(label) for label in y]


def _read_steps(path: str | os.PathLike) -> tuple[list[np.ndarray], list[str]]:
    columns, lines, decimal, _ = read_table(path)
    for name in ("series", "label"):
        if name not in columns:
            raise ValueError(
                f"{path}: no column {name!r}; give series, label and the channels, a row a step"
            )
    channels = []
    for name, fields in columns.items():
        if name not in ("series", "label"):
            gaps = np.array([field.strip().lower() in GAPS for field in fields])
            known = ["0" if gap else field for field, gap in zip(fields, gaps, strict=True)]
            channels.append(np.where(gaps, np.nan, numbers(path, name, known, lines, decimal)))
    if not channels:
        raise ValueError(f"{path}: no channel beside series and label; add a column of numbers")
    steps = np.stack(channels, -1)
    rows: dict[str, list[int]] = {}
    for row, series in enumerate(columns["series"]):
        rows.setdefault(series, []).append(row)
    labels = []
    for series, places in rows.items():
        found = {columns["label"][place] for place in places}
        if len(found) > 1:
            raise ValueError(f"{path}: series {series!r} has {len(found)} labels; give it one")
        labels.append(found.pop())
    return [steps[places] for places in rows.values()], labels


def _filled(series: np.ndarray) -> np.ndarray:
    """Fills the gaps of each channel."""
    gaps = np.isnan(series)
    if not gaps.any():
        return series
    filled, time = series.copy(), np.arange(len(series))
    for channel in np.flatnonzero(gaps.any(0)):
        known = ~gaps[:, channel]
        filled[:, channel] = (
            np.interp(time, time[known], series[known, channel]) if known.any() else 0
        )
    return filled
