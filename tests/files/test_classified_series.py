import gzip

import numpy as np
import pytest

from seqjax.files import read_classified_series
from tests.datasets.data_files import write

HEADER = "# a comment\n@problemName Two\n@timeStamps false\n@classLabel true up down\n@data\n"


def refused(match):
    return pytest.raises(ValueError, match=match)


def test_a_file_of_the_archive(tmp_path):
    path = write(tmp_path / "a.ts", HEADER + "1,2,3:4,?,6:up\n\n7:8:down\n")
    found = read_classified_series(path)
    assert [series.tolist() for series in found.values] == [[[1, 4], [2, 5], [3, 6]], [[7, 8]]]
    assert found.labels == ["up", "down"] and found.gaps == 1


def test_a_file_of_the_archive_may_be_gzipped_and_named_in_capitals(tmp_path):
    text = HEADER + "1,2:up\n"
    path = tmp_path / "a.TS.gz"
    path.write_bytes(gzip.compress(text.encode()))
    for found in (path, write(tmp_path / "A.TS", text)):
        assert read_classified_series(found).labels == ["up"]


def test_gaps_are_filled_from_their_neighbours(tmp_path):
    path = write(tmp_path / "a.ts", HEADER + "?,1,NaN,NaN,4,?:?,?,?,?,?,?:up\n1,2:3:down\n")
    found = read_classified_series(path)
    assert found.values[0][:, 0].tolist() == [1, 1, 2, 3, 4, 4]
    assert not found.values[0][:, 1].any()
    # A channel that ends before the others.
    assert found.values[1].tolist() == [[1, 3], [2, 3]]
    assert found.gaps == 4 + 6 + 1


def test_a_table_has_a_row_for_each_step(tmp_path):
    text = "series,label,x,y\na,up,1,2\na,up,3,4\nb,down,5,\nb,down,6,7\nb,down,7,8\n"
    found = read_classified_series(write(tmp_path / "a.csv", text))
    assert [series.tolist() for series in found.values] == [
        [[1, 2], [3, 4]],
        [[5, 7], [6, 7], [7, 8]],
    ]
    assert found.labels == ["up", "down"] and found.gaps == 1
    with refused("no column 'label'; give series, label and the channels"):
        read_classified_series(write(tmp_path / "b.csv", "series,x\na,1\n"))
    with refused("series 'a' has 2 labels; give it one"):
        read_classified_series(write(tmp_path / "c.csv", "series,label,x\na,up,1\na,down,2\n"))
    with refused("no channel beside series and label"):
        read_classified_series(write(tmp_path / "d.csv", "series,label\na,up\n"))


def test_arrays_of_numpy(tmp_path):
    x = np.array([[[1, 2], [3, np.nan], [5, 6]], [[7, 8], [np.nan, np.nan], [np.nan, np.nan]]])
    np.savez(tmp_path / "a.npz", x=x, y=np.array([3, 4]))
    found = read_classified_series(tmp_path / "a.npz")
    assert [series.tolist() for series in found.values] == [[[1, 2], [3, 4], [5, 6]], [[7, 8]]]
    assert found.labels == ["3", "4"]
    np.savez(tmp_path / "b.npz", x=x[..., 0], y=np.array(["p", "q"]))
    assert read_classified_series(tmp_path / "b.npz").values[0].shape == (3, 1)
    np.savez(tmp_path / "c.npz", x=x)
    with refused("wanted the arrays x and y; it has x"):
        read_classified_series(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", x=x, y=np.zeros(3))
    with refused(r"x float64\[2, 3, 2\], y \[3\]; give numbers"):
        read_classified_series(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", x=np.array([object()]), y=np.zeros(1))
    with refused("e.npz: no .npz of plain arrays"):
        read_classified_series(tmp_path / "e.npz")
    for content in (b"", b"PK\x03\x04 cut off"):
        (tmp_path / "f.npz").write_bytes(content)
        with refused("f.npz: no .npz of plain arrays"):
            read_classified_series(tmp_path / "f.npz")
    np.save(tmp_path / "g.npy", x)
    (tmp_path / "g.npy").rename(tmp_path / "g.npz")
    with refused("g.npz: wanted the arrays x and y; it has none"):
        read_classified_series(tmp_path / "g.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:up\n", "a.ts, line 1: '1,2:up' before @data"),
        (HEADER.replace("@data\n", ""), "a.ts: no @data line"),
        (HEADER, "a.ts: no series; give at least one"),
        (HEADER + "1,2\n", "a.ts, line 6: no class"),
        (HEADER + "1,x:up\n", "a.ts, line 6: channel 1 has '1,x'; wanted numbers"),
        (HEADER + "1,2:up\n1:2:down\n", "a.ts, line 7: 2 channels; the series before have 1"),
        (HEADER.replace("timeStamps false", "timeStamps true") + "1:up\n", "@timeStamps true"),
        (
            HEADER.replace("classLabel true up down", "classLabel false") + "1\n",
            "@classLabel false",
        ),
    ],
)
def test_mistakes_name_file_and_place(tmp_path, text, message):
    with refused(message):
        read_classified_series(write(tmp_path / "a.ts", text))
