import functools
import gzip
import hashlib
import http.server
import io
import socket
import tarfile
import threading

import pytest

from seqjax import files
from seqjax.datasets import download
from seqjax.datasets.download import Remote, Unreachable, fetch, fetch_all
from seqjax.datasets.entry import DataSet
from seqjax.datasets.features import Text
from seqjax.datasets.registry import REGISTRY

answers = download.answers


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An address on this machine that serves a folder."""
    monkeypatch.setattr(download, "answers", answers)
    folder = tmp_path / "public"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_fetch_checks_the_sum(server):
    folder, url = server
    (folder / "a.txt").write_bytes(b"content")
    good = hashlib.sha256(b"content").hexdigest()
    assert fetch(Remote(url + "a.txt", "a.txt", good)) == b"content"
    assert fetch(Remote(url + "a.txt", "a.txt")) == b"content"
    with pytest.raises(
        ValueError, match=f"sha256 is {good}, wanted 0000; the download is damaged or has changed"
    ):
        fetch(Remote(url + "a.txt", "a.txt", "0000"))
    with pytest.raises(Unreachable, match="b.txt cannot be read .*404"):
        fetch(Remote(url + "b.txt", "b.txt"))


def test_fetch_all_keeps_what_is_there(server, tmp_path):
    folder, url = server
    (folder / "a").write_bytes(b"new")
    (folder / "b").write_bytes(b"new")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.gz").write_bytes(b"old")
    (folder / "c").write_bytes(b"new")
    (mine / "c").write_bytes(b"a login page, from before sums were recorded")
    kept = Remote(url + "c", "c", hashlib.sha256(b"new").hexdigest())
    fetch_all((Remote(url + "a", "a", "0000"), Remote(url + "b", "b")), mine)
    fetch_all((kept,), mine)
    assert (mine / "c").read_bytes() == b"new"
    (mine / "c").unlink()
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == {
        "a.gz": b"old",
        "b": b"new",
    }


def test_an_archive_gives_the_files_of_one_folder_and_never_climbs_out(server, tmp_path):
    folder, url = server
    with tarfile.open(folder / "set.tar.gz", "w:gz") as archive:
        for name in (
            "set-1.0/recordings/0_a_1.wav",
            "set-1.0/README",
            "../recordings/../../evil.wav",
        ):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"data"))
    mine = tmp_path / "mine"
    fetch_all((Remote(url + "set.tar.gz", "recordings/"),), mine)
    assert sorted(path.relative_to(mine).as_posix() for path in mine.rglob("*")) == [
        "recordings",
        "recordings/0_a_1.wav",
    ]
    assert not list(tmp_path.rglob("evil.wav"))


def test_an_archive_that_another_process_has_unpacked_meanwhile_stays(
    server, tmp_path, monkeypatch
):
    folder, url = server
    with tarfile.open(folder / "set.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("set/a"), io.BytesIO())
    mine = tmp_path / "mine"
    (mine / "set").mkdir(parents=True)
    (mine / "set" / "theirs").write_text("")
    monkeypatch.setattr(download, "find", lambda *_: None)
    fetch_all((Remote(url + "set.tar", "set/"),), mine)
    assert [path.relative_to(mine).as_posix() for path in sorted(mine.rglob("*"))] == [
        "set",
        "set/theirs",
    ]


def test_an_archive_that_is_cut_or_damaged_leaves_nothing(server, tmp_path):
    folder, url = server
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz", compresslevel=0) as archive:
        member = tarfile.TarInfo("set/a")
        member.size = 200_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    data = whole.getvalue()
    mine = tmp_path / "mine"
    for bad in (data[:9000], data[:9000] + b"\xff" * 200_000, b"no archive"):
        (folder / "set.tgz").write_bytes(bad)
        with pytest.raises(
            ValueError, match=r"set.tgz: no whole tar archive \(.+\); fetch it by hand"
        ):
            fetch_all((Remote(url + "set.tgz", "set/"),), mine)
        assert not list(mine.iterdir())


@pytest.mark.parametrize("name", ["set.tar", "set.tgz"])
def test_an_archive_that_is_cut_between_two_files_leaves_nothing(server, tmp_path, name):
    folder, url = server
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz" if name.endswith("gz") else "w") as archive:
        for inside in ("set/a", "set/b"):
            member = tarfile.TarInfo(inside)
            member.size = 512
            archive.addfile(member, io.BytesIO(b"x" * 512))
    data = whole.getvalue()
    # A header and a block for each file; of the zipped one its sum is missing.
    bad = data[:1024] if name == "set.tar" else data[:-4]
    (folder / name).write_bytes(bad)
    mine = tmp_path / "mine"
    with pytest.raises(ValueError, match="no whole tar archive"):
        fetch_all((Remote(url + name, "set/"),), mine)
    assert not list(mine.iterdir())
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match="the archive has no file in a folder other"):
        fetch_all((Remote(url + name, "other/"),), mine)
    assert not list(mine.iterdir())
    fetch_all((Remote(url + name, "set/"),), mine)
    assert sorted(path.name for path in (mine / "set").iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a.txt",
            b"\n<!DOCTYPE html>\n<html>Please log in</html>",
            "a page for a browser came, perhaps of a login",
        ),
        ("a.txt", b"\xef\xbb\xbf<!-- proxy --> <HTML><head>", "a page for a browser came"),
        ("a.gz", b"<html>", "a page for a browser came"),
        ("a.gz", gzip.compress(b"whole" * 100, mtime=0)[:-9], "damaged gzip file"),
        ("a.gz", b"text", "damaged gzip file"),
        ("a.txt", b"", "empty"),
        ("a.txt", b"x" * 1001, "more than 1,000 bytes"),
    ],
)
def test_what_is_not_the_file_never_stays(server, tmp_path, monkeypatch, name, data, message):
    monkeypatch.setattr(download, "LARGEST", 1000)
    folder, url = server
    (folder / name).write_bytes(data)
    for sha256 in (None, "0000") if "page" in message else (None,):
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            fetch_all((Remote(url + name, name, sha256),), tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())


def test_a_host_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(download, "answers", lambda url: True)
    monkeypatch.setattr(download, "LONGEST", 0.3)
    enough = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(1000):
                if enough.wait(0.05):
                    return
                self.wfile.write(b"x")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        with pytest.raises(Unreachable, match=r"cannot be read \(\d+ bytes came in 0.3 seconds\)"):
            fetch(Remote(f"http://127.0.0.1:{running.server_port}/a", "a"))
        enough.set()
        running.shutdown()


def test_a_file_without_a_sum_is_read_before_it_stays(server, tmp_path):
    folder, url = server
    entry = DataSet(
        name="tiny",
        description="",
        features={"line": Text()},
        splits={"train": ("a",)},
        reader=lambda path, split: {"line": files.read_labelled(path, ("0", "1"))[1]},
        remotes=(Remote(url + "a", "a"),),
    )
    (folder / "a").write_bytes(b'{"error": "log in"}')
    with pytest.raises(ValueError, match="wanted one of 0, 1"):
        entry.fetch(tmp_path / "mine")
    assert not list((tmp_path / "mine").iterdir())
    (folder / "a").write_bytes(b"1 good\n")
    entry.fetch(tmp_path / "mine")
    assert entry.read(tmp_path / "mine", "train")[0] == {"line": "good"}


def test_files_are_taken_at_fixed_revisions_with_their_sums():
    remotes = [remote for entry in REGISTRY.values() for remote in entry.remotes]
    without = {remote.name for remote in remotes if remote.sha256 is None}
    assert {name for name in without if not name.startswith(("train/", "dev/", "test/"))} == {
        *("stsa.binary.test", "recordings/", "ptb.test.txt"),
        *("Nottingham.mat", "Piano_midi.mat"),
    }
    # And five languages, and the test set of SNIPS, that were not at hand.
    assert len(without) == 3 + 2 + 5 * 3 + 3
    moving = {
        remote.name for remote in remotes if "/master/" in remote.url or "/main/" in remote.url
    }
    # Of these no revision is known; their sums, where there are, tell a change.
    names = {"multi30k", "sst2", "penn", "conll2000", "atis", "snips"}
    names |= {name for name in REGISTRY if name.startswith("sigmorphon2020/")}
    assert moving <= {remote.name for name in names for remote in REGISTRY[name].remotes}


def test_a_connection_that_is_cut_is_unreachable(monkeypatch):
    monkeypatch.setattr(download, "answers", lambda url: True)

    class Cut(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cut) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        with pytest.raises(Unreachable, match="cannot be read"):
            fetch(Remote(f"http://127.0.0.1:{running.server_port}/a", "a"))
        running.shutdown()


def test_no_answer_is_known_within_seconds(monkeypatch):
    monkeypatch.setattr(download, "answers", answers)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="127.0.0.1 does not answer"):
            fetch(Remote(f"http://127.0.0.1:{unused.getsockname()[1]}/x", "x"))


def test_a_name_that_is_looked_up_forever(monkeypatch):
    given_up = threading.Event()

    def look_up(*_, **__):
        given_up.wait()
        raise OSError

    monkeypatch.setattr(download, "PATIENCE", 0.2)
    monkeypatch.setattr(download.socket, "create_connection", look_up)
    assert not answers("https://example.org/x")
    given_up.set()
