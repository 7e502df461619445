"""What a run can be told, and what a resumed run may change of it."""

import dataclasses
from pathlib import Path
from typing import Any, get_args

from seqjax.training.folders import load_config
from seqjax.training.options import Options, flag, option
from seqjax.training.recipe import Recipe
from seqjax.typing import Backend

PATHS = ("data_dir", "text", "train", "dev", "test", "csv", "table", "recordings", "pictures")
"""Settings that say where the data is; what it is the fingerprint tells, wherever it has moved."""

CHANGEABLE = ("steps", "epochs", "devices", "backend", "precision", *PATHS)
"""Settings that a resumed run may change."""

INVOCATION = ("out", "resume", "quiet")
"""Settings that belong to one call and not to the run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """What every run can be told, also one that follows no recipe.

    Attributes:
      seed: of all that is random.
      data_dir: folder of the data sets.
      out: run folder to make; None makes `runs/NAME-TIME`.
      resume: run folder to go on with.
      devices: how many to spread each batch over.
      backend: implementation of the recurrences.
      precision: of products, as JAX's `jax_default_matmul_precision` knows it: by `"bfloat16"` what
        is multiplied may be rounded, on CPUs by the compiled recurrences.
      quiet: print errors alone.
    """

    seed: int = option(0, "seed of all that is random", least=0)
    data_dir: str | None = option(
        None, "data sets; else SEQJAX_DATA, else a download", metavar="FOLDER"
    )
    out: str | None = option(None, "run folder to make (default: runs/NAME-TIME)", metavar="FOLDER")
    resume: str | None = option(None, "run folder to go on with", metavar="RUN")
    devices: int = option(1, "devices to spread each batch over", least=1)
    backend: str = option("auto", "implementation of the recurrences", choices=get_args(Backend))
    precision: str = option(
        "default", "of products; rounded, they are faster", choices=("default", "bfloat16")
    )
    quiet: bool = option(False, "print errors alone")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Settings, Recipe):
    """A recipe, and where a run's data and folder are."""


def resumed_config(name: str, given: Any) -> Any:
    """Returns the settings that a run was begun with, with those changes that a resumed run may make.

    Raises:
      ValueError: a setting cannot change (which), or the folder holds no run of this experiment.
    """
    saved = load_config(Path(given.resume), name, type(given))
    changes = {name: getattr(given, name) for name in INVOCATION}
    for key in sorted(given.given - set(INVOCATION)):
        changes[key] = getattr(given, key)
        if key not in CHANGEABLE and changes[key] != getattr(saved, key):
            raise ValueError(
                f"{flag(key)} cannot change in a resumed run; leave it out, or begin a new run"
            )
    return dataclasses.replace(saved, **changes)
