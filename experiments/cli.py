"""The command line, the same for every experiment.

python -m experiments.NAME [options]                 # train, which is the default
python -m experiments.NAME VERB RUN ... [options]    # use what a run has learnt
"""

import argparse
import contextlib
import dataclasses
import dis
import errno
import io
import os
import signal
import sys
import types
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

import experiments
import seqjax
from experiments import end_at_once
from seqjax import training
from seqjax.training import PEERS, Options
from seqjax.training.options import flag

OURS = tuple(str(Path(package.__file__ or "").parent) for package in (seqjax, experiments))
"""Folders of the code whose errors are told to a user in one line."""

DISK = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOTDIR,
)
"""Errors of the system that a user can mend: a file that is missing, a disk that is full or may not be written."""


class Verb(typing.NamedTuple):
    """A use of a trained model: `VERB RUN OPERAND... [options]`.

    Attributes:
      call: `call(run, *operands, options)`, all operands being text.
      options: the class of its options.
      text: what it does, for the help.
      operands: names of what follows RUN; one that ends in dots, such as "FILE...", may come
        several times.
    """

    call: Callable[..., None]
    options: type[Options]
    text: str
    operands: tuple[str, ...] = ()


class Mistake(Exception):
    """The words of a command line cannot be understood."""


def launch(
    config_class: type[Options],
    main: Callable[[Any], Any],
    page: str,
    verbs: dict[str, Verb] | None = None,
) -> None:
    """Runs an experiment from the command line and exits.

    The exit code is 0 when all is done, 2 for a user's mistake (one line on stderr), 1 for a
    defect, and 128 and the number of the signal that ended it: 143 after SIGTERM, 130 after Ctrl-C,
    129 after SIGHUP.

    Args:
      config_class: the settings, from `seqjax.training.RunConfig`, or from `Settings` where nothing
        is trained by a recipe.
      main: trains with such settings.
      page: the docstring of the experiment, which is its help.
      verbs: uses of its model, by name.
    """
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    print_whatever_comes()
    keep_small_programs()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        with exit_code(), contextlib.ExitStack() as stack:
            stack.callback(training.unlock_folders)
            _call(sys.argv[1:], config_class, main, page, verbs or {})


def keep_small_programs() -> None:
    """Lets a compilation cache that the user has asked for keep programs that compile in less than a second, too.

    The cache is JAX's: where `JAX_COMPILATION_CACHE_DIR` names a folder. A command uses a model once,
    and most of its time goes into such programs.
    """
    least = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") and least not in os.environ:
        jax.config.update(least.lower(), 0.0)


def print_whatever_comes() -> None:
    """Lets the standard streams write what their encoding lacks, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def exit_code() -> typing.Iterator[None]:
    """Ends the process in one line and with the exit code that its error deserves."""
    try:
        yield
        PEERS.leave()
    except training.Interrupted as stop:
        # All processes have agreed to it.
        PEERS.leave()
        print(stop, file=sys.stderr)
        sys.exit(128 + stop.signal)
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT, "interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Mistake as mistake:
        _end(2, f"error: {mistake}")
    except OSError as error:
        if error.errno not in DISK and not is_told(error):
            PEERS.fail(error)
            raise
        _end(2, f"error: {_words_of(error)}")
    except Exception as error:
        if not is_told(error):
            PEERS.fail(error)
            raise
        _end(2, f"error: {error}")


def is_told(error: BaseException) -> bool:
    """Tells a user's mistake, which the library's code raises on purpose, from a defect.

    An error that arises in a library below, or in an expression, is a defect.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    on_purpose = code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return on_purpose and code.co_filename.startswith(OURS)


def _words_of(error: OSError) -> str:
    if error.filename is None:
        return str(error.strerror or error)
    return f"{error.filename}: {error.strerror}"


def _end(code: int, line: str) -> typing.NoReturn:
    """Says why this process ends, to the user and to the run's other processes."""
    print(line, file=sys.stderr)
    PEERS.end(code, line)
    sys.exit(code)


def _call(
    words: Sequence[str],
    config_class: type[Options],
    main: Callable[[Any], Any],
    page: str,
    verbs: dict[str, Verb],
) -> None:
    """Calls a verb where the first word is one, else trains."""
    if words and words[0] in verbs:
        verb = verbs[words[0]]
        operands, options = _read_verb(words, verb, page)
        verb.call(*operands, options)
    else:
        parser = _Parser(
            prog=_program(page),
            usage=f"{_program(page)} [options]\n       {_program(page)} VERB RUN ... [options]"
            if verbs
            else None,
            description=page,
            epilog=_list_verbs(page, verbs),
        )
        _add_options(parser, config_class)
        main(_checked(config_class, vars(parser.parse_args(words))))


def _read_verb(words: Sequence[str], verb: Verb, page: str) -> tuple[list[str], Options]:
    """Reads the operands and options of a verb."""
    text = f"{verb.text[0].upper()}{verb.text[1:]}."
    parser = _Parser(prog=f"{_program(page)} {words[0]}", description=text)
    operands = ("RUN", *verb.operands)
    for operand in operands:
        name = operand.removesuffix("...")
        several = None if name == operand else "+"
        parser.add_argument(name.lower(), metavar=name, nargs=several)
    _add_options(parser, verb.options)
    given = vars(parser.parse_args(words[1:]))
    values: list[str] = []
    for operand in operands:
        value = given.pop(operand.removesuffix("...").lower())
        values += value if isinstance(value, list) else [value]
    return values, _checked(verb.options, given)


def _checked(options_class: type[Options], given: dict[str, Any]) -> Options:
    options = options_class(**given)
    options.check()
    return options


def _program(page: str) -> str:
    """Spells the command of a page, whose docstring begins with `experiments.NAME:`."""
    return f"python -m {page.split(':')[0].split()[0]}"


def _list_verbs(page: str, verbs: dict[str, Verb]) -> str | None:
    """Lists the uses of a model, for the end of the help."""
    if not verbs:
        return None
    lines = ["uses of a trained model:"]
    for name, verb in verbs.items():
        lines.append(f"  {' '.join((name, 'RUN', *verb.operands)):28}  {verb.text}")
    lines.append(f"{_program(page)} VERB --help says more of each")
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other mistake."""

    def __init__(self, **settings: Any):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            allow_abbrev=False,
            **settings,
        )

    def error(self, message: str) -> typing.NoReturn:
        raise Mistake(f"{message} (see --help)")


def _add_options(parser: argparse.ArgumentParser, options_class: type[Options]) -> None:
    """Adds the fields of a dataclass: the experiment's own first, then those of training and of the run."""
    recipe = _names_from(training.Recipe, options_class)
    run = _names_from(training.Settings, options_class) - recipe
    own, of_recipe, of_run = [], [], []
    for field in dataclasses.fields(options_class):
        if field.name in recipe:
            of_recipe.append(field)
        elif field.name in run:
            of_run.append(field)
        else:
            own.append(field)
    _add_group(parser, "experiment", own)
    _add_group(parser, "training", of_recipe)
    _add_group(parser, "run", of_run)


def _names_from(base: type[Options], options_class: type[Options]) -> set[str]:
    """Names the fields that a dataclass has from a base."""
    if not issubclass(options_class, base):
        return set()
    return {field.name for field in dataclasses.fields(base)}


def _add_group(
    parser: argparse.ArgumentParser, title: str, fields: Iterable[dataclasses.Field]
) -> None:
    group = parser.add_argument_group(title)
    for field in fields:
        _add_option(group, field)


def _add_option(group: Any, field: dataclasses.Field) -> None:
    kind = _kind_of(field)
    meta = field.metadata
    text = meta.get("help", "").replace("%", "%%")
    if field.default is not None and (kind is not bool or field.default):
        text += f" (default: {field.default})"
    if kind is bool:
        group.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, help=text)
        return
    metavar = meta.get("metavar")
    if metavar is None and meta.get("choices") is None:
        metavar = getattr(kind, "__name__", "value").upper()
    group.add_argument(
        flag(field.name),
        type=_reader(field, kind),
        help=text,
        choices=meta.get("choices"),
        metavar=metavar,
        **_optional_value(meta),
    )


def _optional_value(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what argparse must know of an option that may stand alone."""
    if meta.get("alone") is None:
        return {}
    return {"nargs": "?", "const": meta["alone"]}


def _kind_of(field: dataclasses.Field) -> Any:
    """Returns the type of a field's values other than None."""
    if isinstance(field.type, types.UnionType):
        return next(part for part in typing.get_args(field.type) if part is not types.NoneType)
    return field.type


def _reader(field: dataclasses.Field, kind: Any) -> Callable[[str], Any]:
    """Returns what reads a word as a value; "none" is None where a default can be taken away."""
    if kind is field.type or kind is str or field.default is None:
        return kind

    def read(word: str) -> Any:
        if word == "none":
            return None
        return kind(word)

    read.__name__ = kind.__name__
    return read
