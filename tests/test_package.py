"""The package as a whole: what an import brings in, and what the doctor says."""

import subprocess
import sys

import pytest

import seqjax
from seqjax import doctor

HEAVY = (
    "tensorflow",
    "torch",
    "tensorflow_datasets",
    "orbax",
    "matplotlib",
    "grain",
    "flax",
    "optax",
)


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_core_brings_in_nothing_heavy():
    found = python(f"import sys, seqjax; print([name for name in {HEAVY} if name in sys.modules])")
    assert found.strip() == "[]"


def test_every_room_is_reachable_from_the_package():
    code = (
        "import seqjax\n"
        "assert set(seqjax._ROOMS) <= set(dir(seqjax))\n"
        "print({name for name in seqjax._ROOMS if getattr(seqjax, name).__name__ != f'seqjax.{name}'})\n"
        "print(seqjax.load.__module__, seqjax.Classifier.__module__)\n"
    )
    assert python(code).split() == ["set()", "seqjax.tasks", "seqjax.classification"]
    with pytest.raises(AttributeError, match="has no attribute 'attic'"):
        seqjax.attic  # noqa: B018


def test_importing_everything_brings_in_neither_tensorflow_nor_torch():
    code = "import sys, seqjax.models, seqjax.training, seqjax.data; print({'tensorflow', 'torch'} & set(sys.modules))"
    assert python(code).strip() == "set()"


def test_the_public_face_names_what_the_readme_uses():
    cells = ("LSTM", "GRU", "Elman", "LRU", "MinGRU", "MinLSTM")
    cells += ("SLSTM", "MLSTM", "RGLRU", "IndRNN", "MGU")
    combinators = ("stack", "bidirectional", "residual", "dropout", "zoneout", "gated")
    combinators += ("block", "skip", "weight_drop", "learn_initial_state", "return_states")
    for name in (
        *cells,
        *combinators,
        "unroll",
        "rtrl",
        "attention",
        "decoding",
        "kernels",
        "losses",
    ):
        assert hasattr(seqjax, name)


def test_a_scan_takes_time_linear_in_its_length():
    assert doctor.scan_growth(short=500, factor=8) < 3


def test_the_doctor_prints_versions_devices_and_backends(capsys):
    assert doctor.main() == 0
    report = capsys.readouterr().out
    for word in ("jaxlib", "devices", "LSTM(256): ", "LRU(256): linear scan", "all is well"):
        assert word in report


def test_a_finding_is_printed_and_fails(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "scan_growth", lambda: 8.0)
    assert doctor.main() == 1
    assert "FINDING" in capsys.readouterr().out


@pytest.mark.parametrize(("backend", "said"), [("fused", "as asked for"), ("scan", "as asked for")])
def test_explain_says_which_and_why(backend, said):
    assert said in seqjax.kernels.explain(seqjax.LSTM(8), backend=backend)
