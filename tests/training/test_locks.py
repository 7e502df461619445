"""One writer for a folder: another process is refused, and a killed one leaves nothing in the way."""

import errno
import subprocess
import sys

import pytest

from seqjax.training import locks

HOLDER = """
import runpy, sys, time
_held = runpy.run_path(sys.argv[1])
_held["lock_folder"](sys.argv[2])
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def unlocked():
    yield
    locks.unlock_folders()


@pytest.fixture
def holder(tmp_path):
    """Another process that has locked the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, locks.__file__, tmp_path], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_folder_of_another_process_is_refused_until_that_one_is_killed(tmp_path, holder):
    for _ in range(2):
        with pytest.raises(
            locks.FolderLocked, match=rf"is being written by process {holder.pid} on "
        ):
            locks.lock_folder(tmp_path)
    holder.kill()
    holder.wait()
    locks.lock_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [locks.NAME]


def test_a_process_may_lock_its_folder_again(tmp_path):
    locks.lock_folder(tmp_path)
    locks.lock_folder(tmp_path)


def test_a_disk_that_knows_no_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def fail(file):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(locks, "_lock", fail)
    locks.lock_folder(tmp_path)
