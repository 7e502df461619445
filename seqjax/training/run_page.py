"""`index.html` of a run folder: the run at a glance."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqjax.figures import Section, write_html
from seqjax.training.folders import settings_of
from seqjax.training.options import Options, flag


def write_page(
    folder: Path, result: Mapping[str, Any], config: Options, sections: Sequence[Section] = ()
) -> None:
    """Writes `index.html`: metrics, pictures, what to go on with, files, settings.

    Args:
      folder: of the run.
      result: what `result.json` holds.
      config: the settings.
      sections: parts of the page, in place of all pictures of the folder.
    """
    title = "Result"
    if result["split"] is not None:
        title += f" ({result['split']})"
    figures = [*result["scores"].items(), *result["counts"].items()]
    settings = settings_of(config)
    pictures = sorted(folder.glob("*.png"))
    texts = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".txt", ".conll", ".tsv", ".html") and path.name != "index.html"
    )
    program = f"python -m experiments.{result['experiment']}"
    uses = {
        f'seqjax.load("{folder}")': "gives the model to a program",
        f"{program} --resume {folder}": "goes on, with --steps or --epochs for more",
        f"{program} --help": "lists what else the model can be used for",
    }
    parts = [Section(title, result["command"], table=_rows(figures))]
    parts += sections or [Section("Pictures", pictures=pictures)]
    if (folder / "model").exists():
        parts.append(Section("To go on", table=_rows(uses.items(), "command", "what it does")))
    parts += [
        Section("Files", ", ".join(path.name for path in texts) or "none"),
        Section("Settings", table=_rows((flag(k), str(v)) for k, v in settings.items())),
    ]
    write_html(folder / "index.html", f"{result['experiment']}: {folder.name}", parts)


def _rows(
    pairs: Iterable[tuple[str, Any]], left: str = "name", right: str = "value"
) -> list[dict[str, Any]]:
    return [{left: name, right: value} for name, value in pairs]
