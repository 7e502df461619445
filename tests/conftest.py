"""What the whole test run shares: shapes checked at run time, fresh keys, float64 on demand, short property tests."""

import gc
import itertools
import os
from pathlib import Path

import hypothesis
import jax
import jaxtyping
import pytest
from jax.experimental.compilation_cache import compilation_cache

from tests.datasets.data_files import tiny_files

# An array that is broadcast over axes that it has not is a mistake until someone writes the axes.
jax.config.update("jax_numpy_rank_promotion", "raise")

# Before the first import of seqjax: from here on its annotations are checked at every call.
jaxtyping.install_import_hook("seqjax", "beartype.beartype")

# Hundreds of small functions are compiled and each runs for microseconds: XLA's older code
# generator, on one thread, compiles them in half the time. XLA aborts at a flag it does not know,
# hence the guard.
if jax.__version_info__[:2] == (0, 10):
    quick = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {quick}"
# No program of a test is looked up in its traceback, and what is traced makes garbage by the million.
jax.config.update("jax_traceback_in_locations_limit", 0)
gc.set_threshold(200_000, 50, 1000)

hypothesis.settings.register_profile(
    "seqjax",
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink],
    # Drawing is cheap and the first example compiles: what these two checks measure is XLA.
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.differing_executors,
    ],
)
hypothesis.settings.load_profile("seqjax")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One process more than there are cores: tests that start processes of their own wait for them."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config):
    """What another process has half written is compiled anew, without a word."""
    config.addinivalue_line("filterwarnings", "ignore:Error .*persistent compilation cache")


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """What is compiled is kept on disk for the run's other modules and processes: many programs are the same."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    settings = {
        "jax_compilation_cache_dir": str(place / "compiled"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    for name, value in settings.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session", autouse=True)
def unflushed():
    """No test cuts the power: what is written need not wait for the disk, ten times a checkpoint."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def getkey():
    """A function that gives a fresh key at each call, the same ones in every run."""
    count = itertools.count()
    return lambda: jax.random.fold_in(jax.random.key(0), next(count))


@pytest.fixture
def x64():
    """The test runs in float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked():
    """Shape annotations go unchecked, so that the library's own words about a mistake are heard."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(scope="module")
def quick_compile():
    """A module of many small functions: XLA spends no time on making them fast, and they are forgotten afterwards."""
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in fresh processes, which share programs
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    del os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
    jax.clear_caches()


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
    monkeypatch.setattr("seqjax.datasets.download.answers", lambda url: False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return tiny_files(tmp_path_factory.mktemp("published"))
