"""The line between processes: who has ended, what they said, and who hears of it."""

import contextlib
import queue
import socket

import pytest

from seqjax.training import watch
from seqjax.training.watch import Watch


@pytest.fixture
def three(monkeypatch):
    """Three processes' ends of their lines, what each is told, and the sockets that a kill would close."""
    monkeypatch.setattr(watch, "GRACE", 0.2)
    pairs = {index: _tcp_pair() for index in (1, 2)}
    told = [queue.Queue() for _ in range(3)]
    ends = [
        Watch(
            0, {index: pair[0] for index, pair in pairs.items()}, lambda *news: told[0].put(news)
        ),
        Watch(1, {0: pairs[1][1]}, lambda *news: told[1].put(news)),
        Watch(2, {0: pairs[2][1]}, lambda *news: told[2].put(news)),
    ]
    yield ends, told, pairs
    for pair in pairs.values():
        for line in pair:
            _cut(line)


def _tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = socket.create_connection(server.getsockname())
        return server.accept()[0], line


def _cut(line):
    """Ends a line as the system does when its process is killed."""
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    line.close()


def test_a_killed_process_is_named_to_all_others(three):
    _, told, pairs = three
    _cut(pairs[2][1])
    assert told[0].get(timeout=5) == told[1].get(timeout=5) == (2, "")


def test_a_killed_process_0_is_named_to_all_others(three):
    ends, told, pairs = three
    ends[0]._lines.clear()  # here it lives on, and must not pass on that the others are gone
    for index in (1, 2):
        _cut(pairs[index][0])
    assert told[1].get(timeout=5) == told[2].get(timeout=5) == (0, "")


def test_a_process_that_fails_is_named_with_its_words_and_speaks_of_no_other(three):
    ends, told, pairs = three
    ends[1].leave("--text is empty")
    _cut(pairs[1][1])
    assert told[0].get(timeout=5) == told[2].get(timeout=5) == (1, "--text is empty")
    assert told[1].empty()


def test_processes_that_fail_together_each_speak_for_themselves(three):
    ends, told, _ = three
    for index, end in enumerate(ends):
        end.leave(f"mistake of {index}")
    for news in told:
        with pytest.raises(queue.Empty):
            news.get(timeout=0.4)


def test_one_that_leaves_in_good_order_is_not_missed_but_goes_on_listening(three):
    ends, told, pairs = three
    ends[1].leave()
    with pytest.raises(queue.Empty):
        told[0].get(timeout=0.3)
    _cut(pairs[2][1])
    assert told[0].get(timeout=5) == told[1].get(timeout=5) == (2, "")


def test_a_caller_without_the_token_is_not_let_in():
    greetings = (
        b"GET / HTTP/1.0\r\n\r\n",
        b'{"token": "wrong", "index": 2}\n',
        b"[1]\n",
        b'{"token": "right", "index": 1}\n',
    )
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for greeting in greetings:
            caller = stack.enter_context(socket.create_connection(server.getsockname()))
            caller.sendall(greeting)
        found = dict(watch._callers(server, "right", 1))
        assert list(found) == [1]
        found[1].close()
