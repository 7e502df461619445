import numpy as np
import pytest

from seqjax.datasets import load
from tests.datasets.packages import need


@pytest.mark.parametrize(
    ("name", "package", "rows", "column"),
    [
        ("vic_elec", "tsdata", 52_608, "demand"),
        ("co2", "statsmodels", 2_284, "co2"),
        ("sunspots", "statsmodels", 309, "sunspots"),
    ],
)
def test_series_are_cut_in_time(name, package, rows, column):
    need(package)
    parts = [load(name, split).records[0][column] for split in ("train", "validation", "test")]
    whole = load(name, "full").records[0][column]
    assert len(whole) == rows
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(parts[0]) == int(0.8 * rows)
