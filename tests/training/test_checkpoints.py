"""Checkpoints: what they hold, which are kept, and what becomes of them when they are cut short or damaged."""

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqjax import training
from seqjax.training import CheckpointError, Checkpoints
from tests.training.regression import assert_same_bits, fresh_params, make_batch, weighted_loss

pytestmark = pytest.mark.usefixtures("quick_compile")


class Memory(NamedTuple):
    h: jax.Array
    c: jax.Array


def fresh_state(impl="threefry2x32", seed=0):
    extra = {
        "memory": Memory(jnp.ones((2, 3)), jnp.zeros((2, 3), jnp.bfloat16)),
        "count": jnp.array(3),
    }
    return training.create_state(
        fresh_params(), optax.adam(1e-2), jax.random.key(seed, impl=impl), extra=extra, ema=True
    )


def trained_state(impl="threefry2x32"):
    def loss(params, batch, rng, extra):
        value, aux = weighted_loss(params, batch, rng, None)
        return value, aux._replace(extra=jax.tree.map(lambda leaf: leaf + 1, extra))

    step = training.make_train_step(loss, optax.adam(1e-2), ema_decay=0.9)
    return step(fresh_state(impl, seed=5), make_batch(0))[0]


def small(value):
    return {"w": jnp.full(4, float(value))}


def filled(folder, steps, keep=10, **options):
    checkpoints = Checkpoints(folder, keep)
    for step in steps:
        checkpoints.save(step, small(step), {"note": f"step {step}"}, **options)
    return checkpoints


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_a_train_state_comes_back_bit_for_bit(tmp_path, impl):
    state, progress = (
        trained_state(impl),
        {"step": 1, "best": None, "data": {"position": [1, 2], "name": "ü"}},
    )
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    checkpoints.save(1, state, progress)
    step, restored, saved = Checkpoints(tmp_path / "run" / "checkpoints").restore(fresh_state(impl))
    assert (step, saved) == (1, progress)
    assert_same_bits(restored, state)
    assert isinstance(restored.extra["memory"], Memory)
    assert jax.random.key_impl(restored.rng) == jax.random.key_impl(state.rng)
    assert jax.random.bits(restored.rng) == jax.random.bits(state.rng)


def test_nothing_is_written_before_the_first_save(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == [] and not (tmp_path / "checkpoints").exists()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.restore(small(0))
    assert not (tmp_path / "checkpoints").exists()


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoints = Checkpoints("here")
    monkeypatch.chdir("/")
    checkpoints.save(0, small(0), {})
    assert (tmp_path / "here" / "00000000").is_dir()


def test_a_checkpoint_holds_no_pickle(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickled")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    state = trained_state()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state, {})
    assert_same_bits(checkpoints.restore(fresh_state())[1], state)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(path.read_bytes().startswith(b"\x80") for path in files)


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints, kept = Checkpoints(tmp_path, keep=2), []
    for step, best in [(1, None), (2, 2), (3, 2), (4, 2), (5, 5), (6, 5), (7, 5), (8, 5)]:
        checkpoints.save(step, small(step), {}, best=best)
        kept.append(checkpoints.steps())
    assert kept == [[1], [1, 2], [2, 3], [2, 3, 4], [4, 5], [5, 6], [5, 6, 7], [5, 7, 8]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000005", "00000007", "00000008"]
    np.testing.assert_array_equal(checkpoints.restore(small(0), 5)[1]["w"], 5)


def test_keep_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="keep is 0; give at least 1"):
        Checkpoints(tmp_path, keep=0)


def test_a_sound_checkpoint_of_the_same_step_stays_as_it_is(tmp_path):
    checkpoints = filled(tmp_path, [1])
    checkpoints.save(1, small(9), {"note": "another"})
    step, tree, saved = checkpoints.restore(small(0))
    assert (step, saved) == (1, {"note": "step 1"}) and tree["w"][0] == 1


def largest(folder):
    return max(
        (p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"),
        key=lambda p: p.stat().st_size,
    )


def cut_a_file(folder):
    os.truncate(largest(folder), largest(folder).stat().st_size // 2)


def flip_a_bit(folder):
    data = bytearray(largest(folder).read_bytes())
    data[len(data) // 2] ^= 1
    largest(folder).write_bytes(data)


def flip_a_bit_of_an_array(folder):
    path = max(
        (p for p in (folder / "state").rglob("d/*") if p.is_file()), key=lambda p: p.stat().st_size
    )
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def delete_a_file(folder):
    largest(folder).unlink()


def change_the_progress(folder):
    (folder / "progress.json").write_text('{"note": "step 99"}')


def delete_the_manifest(folder):
    (folder / "manifest.json").unlink()


def cut_the_manifest(folder):
    os.truncate(folder / "manifest.json", 20)


def empty_the_folder(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


DAMAGE = [
    cut_a_file,
    flip_a_bit,
    flip_a_bit_of_an_array,
    delete_a_file,
    change_the_progress,
    delete_the_manifest,
    cut_the_manifest,
    empty_the_folder,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_and_said_so(tmp_path, damage):
    checkpoints = filled(tmp_path, [1, 2, 3])
    damage(tmp_path / "00000003")
    with pytest.warns(UserWarning, match=r"00000003 is damaged \(.*\); passed over") as caught:
        step, tree, saved = checkpoints.restore(small(0))
    assert len(caught) == 1 and "\n" not in str(caught[0].message)
    assert (step, saved) == (2, {"note": "step 2"}) and tree["w"][0] == 2

    checkpoints.save(3, small(33), {"note": "again"})
    step, tree, saved = checkpoints.restore(small(0))
    assert (step, saved) == (3, {"note": "again"}) and tree["w"][0] == 33


@pytest.mark.parametrize("damage", [cut_a_file, delete_the_manifest])
def test_with_no_sound_checkpoint_left_it_says_so_in_one_line(tmp_path, damage):
    checkpoints = filled(tmp_path, [1, 2])
    for step in (1, 2):
        damage(tmp_path / f"{step:08d}")
    with (
        pytest.warns(UserWarning, match="passed over") as caught,
        pytest.raises(CheckpointError) as error,
    ):
        checkpoints.restore(small(0))
    assert len(caught) == 2
    assert "no sound checkpoint" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("step", [1, 7])
def test_a_step_asked_for_by_name_is_read_or_refused(tmp_path, step):
    checkpoints = filled(tmp_path, [1, 2])
    flip_a_bit(tmp_path / "00000001")
    with pytest.raises(CheckpointError) as error:
        checkpoints.restore(small(0), step)
    assert "\n" not in str(error.value)


def test_damaged_later_checkpoints_do_not_push_sound_ones_out(tmp_path):
    checkpoints = filled(tmp_path, [10, 20, 30])
    for step in (20, 30):
        cut_a_file(tmp_path / f"{step:08d}")
    checkpoints = Checkpoints(tmp_path, keep=2)  # a resumed run, back at step 10, saves at 15
    checkpoints.save(15, small(15), {"note": "step 15"})
    with warnings.catch_warnings(action="ignore"):
        assert checkpoints.restore(small(0))[0] == 15
    assert checkpoints.restore(small(0), 10)[0] == 10


def test_a_crash_before_the_last_rename_leaves_nothing_that_counts(tmp_path, monkeypatch):
    checkpoints, rename = filled(tmp_path, [1]), os.rename

    def killed(source, target):
        if Path(target).parent == tmp_path:
            raise OSError("killed")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", killed)
        with pytest.raises(OSError, match="killed"):
            checkpoints.save(2, small(2), {})
    assert len(list(tmp_path.iterdir())) == 2, "the draft is there"
    assert checkpoints.steps() == [1] and checkpoints.restore(small(0))[0] == 1
    checkpoints.save(3, small(3), {})
    assert checkpoints.restore(small(0))[1]["w"][0] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000003"]


def test_a_crash_in_the_middle_of_dropping_an_old_one_is_made_good(tmp_path):
    checkpoints = filled(tmp_path, [1, 2, 3])
    delete_the_manifest(tmp_path / "00000001")
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.restore(small(0))[0] == 3
    checkpoints.save(4, small(4), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000003", "00000004"]


@pytest.mark.parametrize(
    ("like", "words"),
    [
        ({"w": jnp.zeros(5)}, r"w.* is \(4,\) there, \(5,\) here"),
        ({"w": jnp.zeros((4, 1))}, r"w.* is \(4,\) there, \(4, 1\) here"),
        ({"w": jnp.zeros(4), "more": jnp.zeros(2)}, r"more.* is missing there, \(2,\) here"),
        ({"other": jnp.zeros(4)}, "is missing"),
        ({}, r"w.* is \(4,\) there, missing here"),
    ],
)
def test_a_checkpoint_of_another_model_names_what_differs(tmp_path, like, words):
    checkpoints = filled(tmp_path, [1])
    with pytest.raises(CheckpointError, match=f"of another model: {'.*' + words}") as error:
        checkpoints.restore(like)
    assert "\n" not in str(error.value)


def test_an_optimiser_of_another_kind_is_another_model(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(
        0, training.create_state(fresh_params(), optax.adam(1e-2), jax.random.key(0)), {}
    )
    with pytest.raises(CheckpointError, match=r"opt_state.* missing here"):
        checkpoints.restore(
            training.create_state(fresh_params(), optax.sgd(1e-2), jax.random.key(0))
        )


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "42").write_text("a file, not a checkpoint")
    checkpoints = filled(tmp_path, [1, 2, 3], keep=1)
    assert checkpoints.steps() == [3]
    assert {"notes.txt", "42"} <= {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "00000003" / "progress.json").read_text()) == {"note": "step 3"}


DTYPES = [
    "int8",
    "uint8",
    "int32",
    "int64",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "bool",
    "complex64",
]


def array_of(dtype):
    """Values that no smaller dtype holds."""
    values = {"int64": [2**40 + 5, -1], "uint64": [2**63, 1], "float64": [1 / 3, 1e300]}.get(
        dtype, [1, 0]
    )
    return np.array(values, jnp.dtype(dtype))


@pytest.mark.parametrize("device", [False, True], ids=["NumPy", "JAX"])
def test_arrays_keep_their_dtypes_and_every_bit(tmp_path, device):
    """JAX works with 32 bits here; its arrays of 64 come from elsewhere."""
    tree = {dtype: array_of(dtype) for dtype in DTYPES}
    if device:
        with jax.enable_x64(True):
            tree = jax.tree.map(jnp.asarray, tree)
    tree |= {"key": jax.random.key(1), "old key": jax.random.PRNGKey(2)}
    tree |= {"none": None, "empty": np.zeros((0, 3), np.int8)}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree, {})
    for like in (
        tree,
        {**tree, **{d: jax.ShapeDtypeStruct(tree[d].shape, tree[d].dtype) for d in DTYPES}},
    ):
        _, restored, _ = checkpoints.restore(like)
        assert {name: restored[name].dtype.name for name in DTYPES} == {
            name: name for name in DTYPES
        }
        for dtype in DTYPES:
            assert np.asarray(restored[dtype]).tobytes() == array_of(dtype).tobytes()
        assert_same_bits((restored["key"], restored["old key"]), (tree["key"], tree["old key"]))
        assert (
            restored["none"] is None
            and restored["empty"].shape == (0, 3)
            and restored["empty"].dtype == np.int8
        )


def test_numbers_of_python_come_back_as_they_were(tmp_path):
    tree = {"count": 2**40 + 5, "rate": 1 / 3, "on": True, "w": np.ones(2)}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, tree, {})
    _, restored, _ = checkpoints.restore({"count": 0, "rate": 0.0, "on": False, "w": np.zeros(2)})
    assert restored.pop("w").tolist() == [1, 1]
    tree.pop("w")
    assert restored == tree and all(type(restored[name]) is type(tree[name]) for name in tree)


@pytest.mark.parametrize(
    ("saved", "like"),
    [
        ("float32", "int32"),
        ("float32", "float16"),
        ("float64", "float32"),
        ("int64", "int32"),
        ("bool", "int8"),
    ],
)
def test_a_template_of_another_dtype_is_refused_in_one_line(tmp_path, saved, like):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"w": array_of(saved)}, {})
    with pytest.raises(
        CheckpointError, match=rf"has other dtypes: \['w'\] is {saved} there, {like} here"
    ) as error:
        checkpoints.restore({"w": np.zeros(2, like)})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_pushes_nothing_out_and_is_replaced(tmp_path, bad):
    checkpoints = filled(tmp_path, [1, 2], keep=2)
    for step in (3, 4, 5):
        checkpoints.save(step, small(bad), {})
    assert checkpoints.steps() == [1, 2, 4, 5]
    passed_over = r"0000000[45] is damaged \(\['w'\] holds (NaN|infinity)\); passed over"
    with pytest.warns(UserWarning, match=passed_over) as caught:
        assert checkpoints.restore(small(0))[0] == 2
    assert len(caught) == 2
    with pytest.raises(CheckpointError, match="holds"):
        checkpoints.restore(small(0), 5)
    checkpoints.save(5, small(5), {})
    assert checkpoints.restore(small(0))[0] == 5


def test_infinities_that_belong_there_are_restored(tmp_path):
    bounds = {
        "best": jnp.array([jnp.inf, 1.0]),
        "mask": jnp.array([0.0, -jnp.inf]),
        "unknown": jnp.array(jnp.nan),
    }
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, bounds, {})
    assert_same_bits(checkpoints.restore(bounds)[1], bounds)
    with (
        pytest.raises(CheckpointError, match=r"\['unknown'\] holds NaN"),
        pytest.warns(UserWarning),
    ):
        checkpoints.restore(bounds | {"unknown": jnp.array(0.0)})


def test_a_donated_state_does_for_a_template(tmp_path):
    state = fresh_state()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(0, state, {})
    kept = jax.tree.map(jnp.array, state)
    for leaf in jax.tree.leaves(state):
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf.delete()
    assert_same_bits(checkpoints.restore(state)[1], kept)


def test_the_newest_progress_is_read_alone(tmp_path):
    kept = Checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match="holds no checkpoint; train first"):
        kept.progress()
    for step in (3, 5):
        kept.save(step, {"a": jnp.ones(2)}, {"best_step": step - 1})
    assert kept.progress() == {"best_step": 4}
