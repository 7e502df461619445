"""Toy tasks: their answers are right, and their questions are drawn from a seed."""

import pytest

from seqjax.text.toys import TASKS, toy_pairs


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_right_and_questions_differ(task):
    questions, answers = toy_pairs(task, count=300, longest=4, seed=1)
    assert len(set(questions)) == len(questions) > 200
    for question, answer in zip(questions, answers, strict=True):
        if task == "add":
            assert int(answer) == sum(map(int, question.split("+")))
            assert all(1 <= len(number) <= 4 for number in question.split("+"))
            continue
        assert 2 <= len(question) <= 4
        if task == "reverse":
            assert all(question[-1 - i] == letter for i, letter in enumerate(answer))
        elif task == "copy":
            assert answer == question
        else:
            assert all(a <= b for a, b in zip(answer, answer[1:], strict=False))
            assert all(
                question.count(letter) == answer.count(letter) for letter in question + answer
            )
    assert (
        toy_pairs(task, count=300, longest=4, seed=1)[0]
        == questions
        != toy_pairs(task, 300, 4, seed=2)[0]
    )


def test_every_length_of_number_occurs_about_as_often():
    questions, _ = toy_pairs("add", count=3000, longest=3)
    lengths = [len(question.split("+")[0]) for question in questions]
    assert all(lengths.count(digits) > 400 for digits in (2, 3))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="'halve' is unknown"):
        toy_pairs("halve", 10, 4)
    with pytest.raises(ValueError, match="longest=1"):
        toy_pairs("copy", 10, 1)
