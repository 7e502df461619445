"""Writes the reference from the docstrings: a page of Markdown for each public module.

A page begins with the module's own docstring and a table of its names. Signatures are taken from
the source, so that annotations read as they were written: `Float[Array, "*batch time"]`, `Params`.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

FOLDER = "reference"

GROUPS = {
    "The core": (
        "seqjax",
        "seqjax.combinators",
        "seqjax.losses",
        "seqjax.losses.crf",
        "seqjax.losses.likelihoods",
        "seqjax.decoding",
        "seqjax.decoding.ctc",
        "seqjax.attention",
        "seqjax.kernels",
        "seqjax.rtrl",
        "seqjax.testing",
        "seqjax.typing",
    ),
    "Models and training": (
        "seqjax.models",
        "seqjax.nnx",
        "seqjax.tasks",
        "seqjax.training",
        "seqjax.diagnostics",
        "seqjax.diagnostics.plots",
        "seqjax.diagnostics.portrait",
        "seqjax.diagnostics.vanishing",
        "seqjax.diagnostics.cliff",
        "seqjax.diagnostics.clipping",
        "seqjax.diagnostics.memory",
        "seqjax.diagnostics.cost",
        "seqjax.diagnostics.writers",
    ),
    "Rooms": (
        "seqjax.text",
        "seqjax.text.codecs",
        "seqjax.text.toys",
        "seqjax.vision",
        "seqjax.music",
        "seqjax.speech",
        "seqjax.forecasting",
        "seqjax.forecasting.metrics",
        "seqjax.forecasting.plots",
    ),
    "Data, files, figures": (
        "seqjax.data",
        "seqjax.datasets",
        "seqjax.files",
        "seqjax.figures",
        "seqjax.metrics",
    ),
    "Other frameworks and run times": (
        "seqjax.interop",
        "seqjax.interop.c",
        "seqjax.interop.equinox",
        "seqjax.interop.flax",
        "seqjax.interop.haiku",
        "seqjax.interop.keras",
        "seqjax.interop.onnx",
        "seqjax.interop.stablehlo",
        "seqjax.interop.torch",
        "seqjax.interop.signature",
    ),
}
"""Title of a group -> its modules, in the order of the page of contents."""

SECTIONS = (
    "Args|Attributes|Returns|Yields|Raises|Example|Examples|Reference|References|Paper|Papers|Note"
)
HEAD = re.compile(rf"^({SECTIONS}):(?:\s+(.*))?$")
ITEM = re.compile(r"^(\*{0,2}[\w.*]+(?:, \*{0,2}[\w.]+)*): ?(.*)$")
CODE = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)
CONSTANT = 72
"""Characters of a constant's value that are shown, at most."""


class Entry(NamedTuple):
    """A public name.

    Attributes:
      module: where it is public.
      name: in that module.
      value: the object.
      about: its docstring; of a constant the string below it.
    """

    module: str
    name: str
    value: Any
    about: str

    @property
    def path(self) -> str:
        """The full name."""
        return f"{self.module}.{self.name}"

    @property
    def summary(self) -> str:
        """The first line."""
        first = self.about.strip().split("\n\n")[0]
        return " ".join(first.split())


# --- What is public ---------------------------------------------------------------------------


def modules() -> list[str]:
    """Lists the modules that have a page."""
    return [name for group in GROUPS.values() for name in group]


def entries_of(module_name: str) -> list[Entry]:
    """Lists the public names of a module that are no modules, in the order of its source."""
    module = importlib.import_module(module_name)
    tree = ast.parse(inspect.getsource(module))
    comments = _comments(tree)
    entries = []
    for name in dict.fromkeys(_names(module, tree)):
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            continue
        about = comments.get(name, "")
        if inspect.isclass(value) or callable(value):
            about = inspect.getdoc(value) or about
        entries.append(Entry(module_name, name, value, about))
    return entries


def _names(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """Yields the names that a module defines, and those that a package hands on."""
    for node in tree.body:
        match node:
            case ast.ImportFrom(names=aliases):
                yield from (alias.name for alias in aliases if alias.asname == alias.name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if not name.startswith("_"):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if not name.startswith("_"):
                    yield name
    # Names that are imported when they are used first.
    for table in ("_LAZY", "_NAMES"):
        yield from getattr(module, table, ())


def _comments(tree: ast.Module) -> dict[str, str]:
    """Returns the string that stands below each constant."""
    found = {}
    for node, below in zip(tree.body, tree.body[1:], strict=False):
        match node, below:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = inspect.cleandoc(text)
    return found


# --- Signatures -------------------------------------------------------------------------------


def signature_of(entry: Entry) -> str:
    """Returns the arguments as they were written, `(x: int = 1) -> float`; empty for a constant."""
    value = entry.value
    if inspect.isclass(value):
        return _of_class(value)
    if callable(value):
        return _of_function(value) or _inspected(value)
    return ""


def _of_function(function: Any, bound: bool = False) -> str:
    """Reads the signature of a function from its source; empty where there is none."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        node = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndentationError):
        return ""
    if not isinstance(node, ast.FunctionDef):
        return ""
    args = node.args
    if bound:
        args.args = args.args[1:]
    written = f"({ast.unparse(args)})"
    if node.returns is not None:
        written += f" -> {ast.unparse(node.returns)}"
    return written


def _of_class(value: type) -> str:
    """Returns the arguments of a class: of its own `__init__`, or its fields."""
    own = vars(value).get("__init__")
    if inspect.isfunction(own) and not hasattr(value, "__dataclass_fields__"):
        return _of_function(own, bound=True)
    if getattr(value, "_is_protocol", False):
        return ""
    return _inspected(value)


def _inspected(value: Any) -> str:
    """Returns the signature that Python tells, with annotations as they were written where found."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    written = _field_annotations(value)
    parts, seen_keyword = [], False
    for name, parameter in signature.parameters.items():
        if name.startswith("_"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not seen_keyword:
            parts.append("*")
            seen_keyword = True
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        text = stars.get(parameter.kind, "") + name
        seen_keyword |= parameter.kind is parameter.VAR_POSITIONAL
        annotation = written.get(name) or _plain(parameter.annotation)
        if annotation:
            text += f": {annotation}"
        if parameter.default is not parameter.empty:
            text += f" = {_default(parameter.default)}"
        parts.append(text)
    return f"({', '.join(parts)})"


def _field_annotations(value: Any) -> dict[str, str]:
    """Reads the annotations of fields from the sources of a class and its bases."""
    found: dict[str, str] = {}
    for base in reversed(getattr(value, "__mro__", ())):
        if not base.__module__.startswith("seqjax"):
            continue
        try:
            node = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        for line in getattr(node, "body", ()):
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                found[line.target.id] = ast.unparse(line.annotation)
    return found


def _plain(annotation: Any) -> str:
    """Writes an annotation without the modules of its names."""
    if annotation is inspect.Parameter.empty:
        return ""
    return re.sub(r"\b(?:[a-zA-Z_]\w*\.)+(?=\w)", "", inspect.formatannotation(annotation))


def _default(value: Any) -> str:
    """Writes a default: what is no expression becomes dots."""
    text = repr(value)
    if inspect.isfunction(value) or inspect.isclass(value):
        return value.__name__
    if type(value).__name__.startswith("_") or "<" in text or len(text) > 60:
        return "..."
    return text


# --- Markdown ---------------------------------------------------------------------------------


def markdown_of(docstring: str, link: Any) -> str:
    """Converts a docstring of Google's style to Markdown.

    Args:
      docstring: cleaned of its indentation.
      link: a function of the words of an inline code; gives Markdown.
    """
    blocks = []
    for title, lines in _sections(docstring):
        if title in ("Example", "Examples"):
            code = textwrap.dedent("\n".join(lines)).strip("\n")
            kind = "pycon" if ">>>" in code else "python"
            blocks.append(f"**{title}**\n\n```{kind}\n{code}\n```")
        elif title in ("Args", "Attributes", "Raises"):
            blocks.append(f"**{title}**\n\n{_items(lines, link)}")
        elif title:
            text = _prose(textwrap.dedent("\n".join(lines)).splitlines(), link)
            blocks.append(f"**{title}**\n\n{text}")
        else:
            blocks.append(_prose(lines, link))
    return "\n\n".join(block for block in blocks if block.strip())


def _sections(docstring: str) -> Iterator[tuple[str, list[str]]]:
    """Yields the title of each section, empty for text, and its lines."""
    title, lines = "", []
    for line in docstring.splitlines():
        head = HEAD.match(line)
        leaves = title and line and not line.startswith(" ")
        if head or leaves:
            yield title, lines
            title, lines = "", []
        if head:
            title = head.group(1)
            if head.group(2):
                lines.append(head.group(2))
            continue
        lines.append(line)
    yield title, lines


def _items(lines: list[str], link: Any) -> str:
    """Writes `name: text` lines as a list."""
    found: list[list[str]] = []
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        if line and not line.startswith(" "):
            found.append([line])
        elif found:
            found[-1].append(line)
    written = []
    for item in found:
        whole = "\n".join([item[0], *textwrap.dedent("\n".join(item[1:])).splitlines()]).strip()
        matched = ITEM.match(item[0])
        if matched:
            whole = whole[len(matched.group(1)) + 1 :].strip()
            text = f"`{matched.group(1)}`: {_prose(whole.splitlines(), link)}"
        else:
            text = _prose(whole.splitlines(), link)
        written.append("* " + textwrap.indent(text, "  ").strip())
    return "\n".join(written)


def _prose(lines: list[str], link: Any) -> str:
    """Writes paragraphs; lines that are set in become blocks of text."""
    blocks = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        if not block.strip():
            continue
        if block.startswith("  ") and blocks:
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            blocks.append(_marked(block, link))
    return "\n\n".join(blocks)


def _marked(text: str, link: Any) -> str:
    """Keeps what is code, and takes from all else what Markdown would read as marks."""
    parts = CODE.split(text)
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = link(part.strip("`"))
            continue
        part = re.sub(r"([{}<>\[\]$])", r"\\\1", part)
        # A star that begins a line begins an item of a list.
        parts[place] = re.sub(r"(?<!^)(?<!\n)\*", r"\\*", part)
    return "".join(parts)


class Linker:
    """Makes links of the names in backquotes that have an entry.

    Attributes:
      targets: full name -> where it is described; that of a name handed on is its first place.
    """

    def __init__(self, targets: dict[str, str]):
        self.targets = targets

    def of(self, module: str) -> Any:
        """Returns the function that links from a module."""

        def link(code: str) -> str:
            words = " ".join(code.split())
            for path in (words, f"seqjax.{words}", f"{module}.{words}"):
                if path in self.targets and words != "seqjax":
                    return f"{{py:obj}}`{words} <{self.targets[path]}>`"
            return f"`{words}`"

        return link


# --- Pages ------------------------------------------------------------------------------------


def page_of(module_name: str, linker: Linker, seen: dict[int, str]) -> str:
    """Writes the page of a module."""
    link = linker.of(module_name)
    module = importlib.import_module(module_name)
    entries = entries_of(module_name)
    lines = [f"# {module_name}", "", f"```{{py:module}} {module_name}", "```", ""]
    lines += [markdown_of(inspect.getdoc(module) or "", link), ""]
    below = [name for name in modules() if name.startswith(f"{module_name}.")]
    if below and module_name != "seqjax":
        named = ", ".join(f"[{name}]({name}.md)" for name in below)
        lines += [f"Modules of their own: {named}.", ""]
    lines += ["| name | |", "|---|---|"]
    for entry in entries:
        summary = _marked(entry.summary, link).replace("|", "\\|")
        lines.append(f"| {{py:obj}}`{entry.name} <{entry.path}>` | {summary} |")
    lines.append("")
    for entry in entries:
        lines += _described(entry, link, seen)
    return "\n".join(lines) + "\n"


def _described(entry: Entry, link: Any, seen: dict[int, str]) -> list[str]:
    """Writes one name with its signature and docstring."""
    value = entry.value
    if not inspect.isclass(value) and not callable(value):
        kind, signature = "data", ""
    else:
        kind = "class" if inspect.isclass(value) else "function"
        signature = signature_of(entry)
    # The module is that of the page, the class that of the block around.
    lines = [f"::::{{py:{kind}}} {entry.name}{signature}"]
    if kind == "data":
        shown = " ".join(repr(value).split())
        if len(shown) <= CONSTANT and "<" not in shown and " at 0x" not in shown:
            lines.append(f":value: {shown}")
    lines.append("")
    first = entry.path
    if kind != "data":
        first = seen.setdefault(id(value), entry.path)
    if first != entry.path:
        lines += [f"The same as {{py:obj}}`{first}`: {_marked(entry.summary, link)}"]
    else:
        lines += [markdown_of(entry.about, link)]
        if kind == "class":
            lines += _members(entry, link)
    return [*lines, "::::", ""]


def _members(entry: Entry, link: Any) -> list[str]:
    """Writes the documented methods and properties that a class defines itself."""
    lines = []
    for name, member in vars(entry.value).items():
        if name.startswith("_"):
            continue
        options, kind, signature = [], "method", ""
        if isinstance(member, classmethod | staticmethod):
            options = [f":{type(member).__name__}:"]
            signature = _of_function(member.__func__, bound=isinstance(member, classmethod))
            member = member.__func__
        elif isinstance(member, property) or hasattr(member, "func"):
            kind = "property"
        elif callable(member) and not inspect.isclass(member):
            signature = _of_function(member, bound=True)
        else:
            continue
        about = inspect.getdoc(member)
        if not about:
            continue
        lines += ["", f":::{{py:{kind}}} {name}{signature}", *options, ""]
        lines += [markdown_of(about, link), ":::"]
    return lines


def contents() -> str:
    """Writes the page that lists all modules."""
    lines = ["# Reference", ""]
    lines += ["Every public name, from the docstrings. Shapes are written with the letters of", ""]
    lines[-2] += " [seqjax.typing](seqjax.typing.md)."
    for title, names in GROUPS.items():
        lines += [f"## {title}", ""]
        for name in names:
            about = (inspect.getdoc(importlib.import_module(name)) or "").split("\n\n")[0]
            about = _marked(" ".join(about.split()), lambda code: f"`{code}`")
            lines.append(f"* [{name}]({name}.md): {about}")
        lines.append("")
    lines += ["```{toctree}", ":hidden:", "", *modules(), "```", ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Writes all pages; returns their text by file name."""
    linker, seen = Linker(targets()), {}
    written = {"index.md": contents()}
    for name in modules():
        written[f"{name}.md"] = page_of(name, linker, seen)
    return written


def targets() -> dict[str, str]:
    """Returns where every module, name and method is described, by full name."""
    found = {name: name for name in modules()}
    first: dict[int, str] = {}
    for module in modules():
        for entry in entries_of(module):
            found[entry.path] = entry.path
            if not inspect.isclass(entry.value):
                continue
            described = first.setdefault(id(entry.value), entry.path)
            for name, member in vars(entry.value).items():
                is_method = callable(getattr(entry.value, name)) and inspect.getdoc(member)
                if is_method and not name.startswith("_"):
                    found[f"{entry.path}.{name}"] = f"{described}.{name}"
    return found


def write_pages(app: Any) -> None:
    """Writes the pages that have changed, and removes those of modules that are gone."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(exist_ok=True)
    written = pages()
    for path in folder.glob("*.md"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_pages, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
