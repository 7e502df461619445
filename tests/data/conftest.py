import os
from pathlib import Path

import pytest
from data_files import tiny_files

REAL = Path(os.environ.get("SEQJAX_DATA") or "/nonexistent")


@pytest.fixture(scope="session")
def real_data():
    if not REAL.is_dir():
        pytest.skip("no real data: SEQJAX_DATA names no folder of it")
    return REAL


@pytest.fixture(autouse=True)
def quiet_place(monkeypatch, tmp_path_factory):
    """No test looks at this machine's own data folders, and none reaches for the network."""
    monkeypatch.delenv("SEQJAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path_factory.mktemp("tfds")))
    monkeypatch.setattr("seqjax.data.download.answers", lambda url: False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_files(tmp_path_factory.mktemp("published"))
