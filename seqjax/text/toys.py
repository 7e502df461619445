"""Toy tasks from text to text, whose right answer is known: reverse, copy, sort, add."""

import string

import numpy as np


def _add(text: str) -> str:
    left, right = text.split("+")
    return str(int(left) + int(right))


TASKS = {
    "reverse": lambda text: text[::-1],
    "copy": lambda text: text,
    "sort": lambda text: "".join(sorted(text)),
    "add": _add,
}
"""Name of a task -> the answer to a text: letters, or for "add" two numbers with a plus between."""


def toy_pairs(task: str, count: int, longest: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Different questions of a task, drawn from a seed, and their answers.

    Args:
      task: one of `TASKS`.
      count: questions to draw; fewer are left where some are drawn twice.
      longest: letters of a question at most (at least 2), or digits of each number to add.
      seed: of the draws.

    Raises:
      ValueError: the task is unknown, or a number is out of range.

    Example:
      >>> questions, answers = toy_pairs("sort", count=3, longest=5)
      >>> ["".join(sorted(question)) == answer for question, answer in zip(questions, answers)]
      [True, True, True]
    """
    if task not in TASKS:
        raise ValueError(f"task {task!r} is unknown; choose one of {', '.join(TASKS)}")
    if count < 1 or longest < 2:
        raise ValueError(f"count={count}, longest={longest}; give at least 1 and 2")
    generator = np.random.default_rng([seed, list(TASKS).index(task)])
    if task == "add":
        # As many digits as often as one another: large numbers would else be nearly all.
        bounds = 10 ** generator.integers(1, longest, (count, 2), endpoint=True)
        questions = [f"{left}+{right}" for left, right in generator.integers(0, bounds)]
    else:
        letters = np.array(list(string.ascii_lowercase))
        lengths = generator.integers(2, longest, count, endpoint=True)
        questions = ["".join(generator.choice(letters, length)) for length in lengths]
    questions = list(dict.fromkeys(questions))
    return questions, [TASKS[task](question) for question in questions]
