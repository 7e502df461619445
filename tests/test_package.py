"""The package as a whole: what an import brings in, and what the doctor says."""

import pydoc
import re
import subprocess
import sys
from pathlib import Path

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


def test_help_has_a_line_for_every_public_name():
    source = Path(seqjax.__file__).read_text(encoding="utf-8")
    imported = re.findall(r"^from seqjax\S* import (\w+) as \1$", source, re.MULTILINE)
    lines = re.findall(r"^ {4}(\w+) +(\S.*)$", seqjax.__doc__, re.MULTILINE)
    assert sorted(name for name, _ in lines) == sorted({*imported, *seqjax._LAZY, *seqjax._ROOMS})
    shown = pydoc.plain(pydoc.render_doc(seqjax))
    for name, about in lines:
        assert re.search(rf"^ +{name} +{re.escape(about)}$", shown, re.MULTILINE), name
    assert max(map(len, seqjax.__doc__.splitlines()[1:])) <= 76, "pydoc indents by four"


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
    for word in (
        "jaxlib",
        "devices",
        "kernels",
        "LSTM(256): ",
        "LRU(256): linear scan",
        "all is well",
    ):
        assert word in report


def test_the_doctor_says_that_the_kernels_are_not_there(monkeypatch, capsys):
    monkeypatch.setattr(doctor.native, "missing", lambda: "the compiled kernels are not there")
    monkeypatch.setattr(doctor, "scan_growth", lambda: 1.0)
    assert doctor.main() == 0, "pure Python is no fault"
    report = capsys.readouterr().out
    assert "kernels    the compiled kernels are not there\n" in report
    assert "LSTM(256): fused, the compiled kernels are not there\n" in report


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ModuleNotFoundError("_native"),
            "are not there; install a C++ compiler, then seqjax again",
        ),
        (ImportError("GLIBC_2.99 not found"), "cannot be loaded (GLIBC_2.99 not found)"),
    ],
)
def test_why_the_kernels_do_not_run_is_told(monkeypatch, error, said):
    def find(name):
        raise error

    monkeypatch.setattr("importlib.import_module", find)
    assert said in doctor.native.missing.__wrapped__()


def test_a_finding_is_printed_and_fails(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "scan_growth", lambda: 8.0)
    assert doctor.main() == 1
    assert "FINDING" in capsys.readouterr().out


@pytest.mark.parametrize(("backend", "said"), [("fused", "as asked for"), ("scan", "as asked for")])
def test_explain_says_which_and_why(backend, said):
    assert said in seqjax.kernels.explain(seqjax.LSTM(8), backend=backend)
