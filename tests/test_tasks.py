"""Trained models: saved, loaded in a fresh process, refused where they are damaged."""

import json

import jax
import numpy as np
import pytest

import seqjax
from seqjax.files.weights import read_weights, write_weights
from seqjax.tasks import Trained, flatten_params, unflatten_params
from tests.fresh import run_afresh

pytestmark = pytest.mark.usefixtures("quick_compile")

ROWS = [np.asarray(np.random.default_rng(n).normal(size=(n, 2)), np.float32) for n in range(3, 9)]
LABELS = ["even" if len(row) % 2 == 0 else "odd" for row in ROWS]


@pytest.fixture(scope="module")
def trained():
    layers = seqjax.stack(seqjax.bidirectional(seqjax.LSTM(3)), seqjax.GRU(3))
    task = seqjax.Classifier.of(ROWS, LABELS, recurrence=layers, pooling="attention")
    return Trained(task, task.init(jax.random.key(0)))


@pytest.fixture
def folder(trained, tmp_path):
    trained.save(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was(trained, folder):
    found = seqjax.load(folder)
    assert found.task == trained.task
    jax.tree.map(np.testing.assert_array_equal, found.params, trained.params)
    np.testing.assert_array_equal(found.probabilities(ROWS), trained.probabilities(ROWS))
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_a_fresh_process_gives_the_same_answers(trained, folder, tmp_path):
    np.savez(tmp_path / "rows.npz", *ROWS)
    program = (
        "import json, numpy as np, seqjax\n"
        "rows = list(np.load(sys.argv[2]).values())\n"
        "model = seqjax.load(sys.argv[1])\n"
        "print(json.dumps([model.predict(rows), np.asarray(model.probabilities(rows)).tolist()]))\n"
    )
    words = folder, tmp_path / "rows.npz"
    labels, probabilities = run_afresh(program, *words, without=("pickle5",))
    assert labels == trained.predict(ROWS)
    np.testing.assert_allclose(probabilities, trained.probabilities(ROWS), atol=1e-6)


def test_loading_draws_no_parameters_and_compiles_nothing(folder):
    """Only their shapes are asked for: a fresh process does not pay for what it overwrites."""
    program = (
        "import json, jax, seqjax\n"
        "compiled = []\n"
        "jax.monitoring.register_event_duration_secs_listener(\n"
        "    lambda name, *_, **__: compiled.append(name) if 'backend_compile' in name else None\n"
        ")\n"
        "seqjax.load(sys.argv[1])\n"
        "print(json.dumps(compiled))\n"
        "jax.jit(lambda x: x + 1)(1)\n"
        "assert compiled\n"
    )
    assert run_afresh(program, folder) == []


def test_a_run_folder_is_read_by_its_model(trained, folder):
    assert seqjax.load(folder.parent).predict(ROWS) == trained.predict(ROWS)


def test_a_model_of_another_kind_is_refused(folder):
    assert seqjax.load(folder, seqjax.Classifier).predict(ROWS[:1])
    with pytest.raises(ValueError, match="model holds a Classifier; give a WordTagger$"):
        seqjax.load(folder, seqjax.text.WordTagger)


def test_repr_is_one_line(trained):
    assert repr(trained).startswith("Trained(Classifier(") and repr(trained).endswith(
        " parameters)"
    )
    assert "\n" not in repr(trained)


def test_methods_of_the_task_are_methods_of_the_model(trained):
    assert [len(weights) for weights in trained.attention(ROWS)] == [len(row) for row in ROWS]
    assert "probabilities" in dir(trained)
    with pytest.raises(AttributeError, match="Classifier has no method 'translate'"):
        trained.translate(ROWS)
    with pytest.raises(TypeError, match="Classifier reads whole sequences and cannot stream"):
        trained.stream()


def test_params_are_listed_by_path_and_nested_again():
    params = {"a": {"b": {"w": 1}, "c": 2}, "d": 3}
    assert flatten_params(params) == {"a/b/w": 1, "a/c": 2, "d": 3}
    assert unflatten_params(flatten_params(params)) == params


def edited(folder, change):
    about = json.loads((folder / "model.json").read_text())
    change(about)
    (folder / "model.json").write_text(json.dumps(about))


def reweighed(folder, change):
    path = folder / "weights.safetensors"
    arrays = read_weights(path)
    change(arrays)
    write_weights(path, arrays)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f: (f / "model.json").unlink(), "holds no model: it has no model.json"),
        (
            lambda f: (f / "model.json").write_text("{"),
            "is no model that seqjax saved, or is damaged",
        ),
        (
            lambda f: (f / "model.json").write_text("[]"),
            "is no model that seqjax saved, or is damaged",
        ),
        (
            lambda f: edited(f, lambda a: a.update(format=99)),
            "has format 99; this version of seqjax reads 1",
        ),
        (lambda f: edited(f, lambda a: a.pop("task")), "lacks 'task'"),
        (
            lambda f: edited(f, lambda a: a["task"].update({"class": "os.system"})),
            "os.system is no class of seqjax",
        ),
        (lambda f: edited(f, lambda a: a.update(task=3)), "holds a int, which is no task"),
        (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors: no such file"),
        (
            lambda f: (f / "weights.safetensors").write_bytes(b"x" * 9),
            "no safetensors file, or a damaged one",
        ),
        (
            lambda f: reweighed(f, lambda a: a.popitem()),
            "does not belong to its model.json, or is damaged",
        ),
    ],
)
def test_what_is_no_sound_model_is_refused_in_one_line(folder, spoil, message):
    spoil(folder)
    with pytest.raises(ValueError, match=message) as caught:
        seqjax.load(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(trained, folder):
    other = seqjax.Classifier.of(ROWS, LABELS, recurrence=seqjax.GRU(5))
    Trained(other, other.init(jax.random.key(0))).save(folder)
    saved = json.loads((folder / "model.json").read_text())
    trained.save(folder)
    edited(folder, lambda about: about.update(task=saved["task"]))
    with pytest.raises(
        ValueError, match="which the network lacks|the network wants|which the network has"
    ):
        seqjax.load(folder)
