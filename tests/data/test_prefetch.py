import gc
import threading
import time

import jax
import numpy as np
import pytest

from seqjax.data import Records, batches, prefetch


def stream(**options):
    return batches(Records({"id": np.arange(20)}), 4, seed=1, **options)


def running():
    return [thread for thread in threading.enumerate() if thread.name == "seqjax-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    gc.collect()
    assert not running()


def test_it_gives_the_same_items_on_the_device():
    expected = [batch["id"].tolist() for batch in stream(epochs=2)]
    with prefetch(stream(epochs=2)) as items:
        got = list(items)
    assert all(isinstance(item["id"], jax.Array) for item in got)
    assert [item["id"].tolist() for item in got] == expected


def test_state_is_that_of_the_last_item_handed_out():
    plain = stream()
    with prefetch(stream(), size=3, device_put=lambda item: item) as items:
        assert items.state() == plain.state()
        for _ in range(7):
            next(plain), next(items)
            time.sleep(0.01)
            assert items.state() == plain.state()


def test_restore_throws_away_what_was_read_ahead():
    with prefetch(stream(), size=4) as items:
        next(items)
        state = items.state()
        second = next(items)["id"].tolist()
        next(items)
        items.restore(state)
        assert items.state() == state
        assert next(items)["id"].tolist() == second


def test_close_leaves_the_iterator_where_the_state_says():
    iterator, plain = stream(), stream()
    items = prefetch(iterator, size=4)
    next(items), next(plain)
    time.sleep(0.05)
    items.close()
    items.close()
    assert next(iterator)["id"].tolist() == next(plain)["id"].tolist()
    with pytest.raises(ValueError, match="this prefetch is closed"):
        next(items)


class Failing:
    def __init__(self, good):
        self.good, self.count = good, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.count += 1
        if self.count > self.good:
            raise OSError("the disk is gone")
        return self.count

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_what_the_thread_raises_reaches_the_caller_in_turn():
    items = prefetch(Failing(2), size=5)
    assert [int(next(items)), int(next(items))] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert not running()
    items.restore({"count": 0})
    assert int(next(items)) == 1
    items.close()


def test_a_failing_device_put_reaches_the_caller():
    def refuse(item):
        raise TypeError("no device")

    with (
        prefetch(stream(), device_put=refuse) as items,
        pytest.raises(TypeError, match="no device"),
    ):
        next(items)


def test_a_finished_iterator_stays_finished():
    items = prefetch(stream(epochs=1))
    assert len(list(items)) == 5
    assert list(items) == []
    items.close()


def test_it_reads_no_further_ahead_than_asked():
    iterator = Failing(100)
    with prefetch(iterator, size=2, device_put=lambda item: item) as items:
        next(items)
        time.sleep(0.3)
        assert iterator.count <= 1 + 2 + 1


def test_a_forgotten_one_stops_its_thread():
    items = prefetch(stream())
    next(items)
    assert running()
    del items
    gc.collect()
    assert not running()


def aligned(shape):
    """An array that the CPU's device would take over as it is."""
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(np.float32).reshape(shape)


class Reusing(Failing):
    """Fills one array, and changes one state, again and again."""

    def __init__(self, good):
        super().__init__(good)
        self.array, self.position = aligned(1024), {"count": 0}

    def __next__(self):
        self.position["count"] = super().__next__()
        self.array[:] = self.count
        return {"x": self.array}

    def state(self):
        return self.position


@pytest.mark.parametrize("device_put", [jax.device_put, lambda item: item])
def test_a_source_may_fill_the_same_array_again(device_put):
    with prefetch(Reusing(9), size=4, device_put=device_put) as items:
        got = [next(items)["x"]]
        time.sleep(0.2)  # Four more have been read.
        assert items.state() == {"count": 1}
        got += [next(items)["x"] for _ in range(4)]
        assert [float(array[0]) for array in got] == [1, 2, 3, 4, 5]


def test_what_is_no_array_is_handed_on_as_it_is():
    class Named(Failing):
        def __next__(self):
            super().__next__()
            return {"words": ["a"], "batch": marker}

    marker = object()
    with prefetch(Named(2), device_put=lambda item: item) as items:
        item = next(items)
    assert item["batch"] is marker and item["words"] == ["a"]


def test_size_is_checked():
    with pytest.raises(ValueError, match="size is 0; give at least 1"):
        prefetch(stream(), size=0)
