import gzip

import pytest

from seqjax.files import disk as files


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_atomically(path, b"old")

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_replaces_and_names_a_missing_folder(tmp_path):
    path = tmp_path / "a"
    files.write_atomically(path, b"1")
    files.write_atomically(path, b"2")
    assert path.read_bytes() == b"2"
    with pytest.raises(ValueError, match="nowhere is not a folder; make it first"):
        files.write_atomically(tmp_path / "nowhere" / "a", b"")


def test_find_prefers_the_plain_file(tmp_path):
    assert files.find(tmp_path, "a") is None
    (tmp_path / "a.gz").write_bytes(gzip.compress(b""))
    assert files.find(tmp_path, "a") == tmp_path / "a.gz"
    (tmp_path / "a").touch()
    assert files.find(tmp_path, "a") == tmp_path / "a"


def test_sha256_of_nothing(tmp_path):
    (tmp_path / "a").touch()
    assert (
        files.sha256(tmp_path / "a")
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
