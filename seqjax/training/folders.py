"""Run folders: made, recognised, and their settings read again."""

import json
import platform
import typing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seqjax.training.options import Options, flag


def check_free(folder: Path) -> None:
    """Refuses a folder for a new run that holds a run, or any other files.

    Raises:
      ValueError: names what is there.
    """
    if not folder.is_dir():
        return
    if (folder / "config.json").exists():
        raise ValueError(
            f"{folder} holds a run already; --resume it, or name another folder with --out"
        )
    for path in sorted(folder.iterdir()):
        if not _is_left_by_a_killed_run(path):
            raise ValueError(
                f"{folder} holds files that are no run's, such as {path.name}; give --out a new folder"
            )


def _is_left_by_a_killed_run(path: Path) -> bool:
    """Tells what a run leaves that was killed before it wrote its config.json."""
    if path.name == "checkpoints" and path.is_dir():
        return not any(path.iterdir())
    return path.name == ".lock"


def make_folder(folder: Path, named: bool) -> Path:
    """Makes a run's folder.

    Args:
      folder: where it shall be.
      named: whether the user chose the name; else a number is added to one that another run has
        taken.

    Returns:
      Where it is.
    """
    if named:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    candidate, count = folder, 1
    while True:
        try:
            candidate.mkdir()
            return candidate
        except FileExistsError:
            count += 1
            candidate = folder.with_name(f"{folder.name}-{count}")


def read_run(folder: Path) -> dict[str, Any]:
    """Reads a run folder's `config.json`: the experiment's name, its settings, and its data.

    Raises:
      ValueError: there is none, or it is of another kind.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} is no run folder: it has no config.json")
    saved = read_json(path)
    parts = {"experiment": str, "config": dict, "data": dict}
    if not isinstance(saved, dict) or not all(
        isinstance(saved.get(name), kind) for name, kind in parts.items()
    ):
        raise ValueError(
            f"{folder} is no run folder: its config.json is not one that an experiment wrote"
        )
    return saved


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
      ValueError: it is damaged or cannot be read; names it.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def load_config(folder: Path, name: str, config_class: type) -> Any:
    """Reads the settings that a run was begun with.

    Args:
      folder: the run's.
      name: of the experiment.
      config_class: a dataclass, whose fields are the settings.

    Raises:
      ValueError: the folder is no run folder, or one of another experiment or version.
    """
    saved = read_run(folder)
    if saved["experiment"] != name:
        raise ValueError(
            f"{folder} is a run of experiments.{saved['experiment']}, not of experiments.{name}"
        )
    path = folder / "config.json"
    kinds = typing.get_type_hints(config_class)
    for key, value in saved["config"].items():
        if key not in kinds:
            raise ValueError(f"{path} has the setting {key!r}, which this version does not know")
        if not _fits(value, kinds[key]):
            raise ValueError(
                f"{path}: {key} is {value!r}; put the value back that the run was begun with"
            )
    return config_class(**saved["config"])


def _fits(value: Any, kind: Any) -> bool:
    """Tells whether a value read from JSON is one of a field's type; a whole number does for a float."""
    kinds = (kind, *typing.get_args(kind))
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kind) or (isinstance(value, int) and float in kinds)


def changed_settings(config: Options, leave: tuple[str, ...] = ()) -> list[str]:
    """Spells the settings that are not the defaults, as words of a command line.

    Args:
      config: the settings.
      leave: names to leave out.
    """
    words, preset = [], config.preset()
    for name, value in settings_of(config).items():
        if name in leave or value == getattr(preset, name):
            continue
        if value is True:
            words.append(flag(name))
        elif value is False:
            words.append(flag(f"no_{name}"))
        else:
            words.append(f"{flag(name)} {value}")
    return words


def settings_of(config: Options) -> dict[str, Any]:
    """Lists settings by name."""
    return {name: getattr(config, name) for name in type(config).__dataclass_fields__}


def versions() -> dict[str, str]:
    """Lists the versions that a result may depend on."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
