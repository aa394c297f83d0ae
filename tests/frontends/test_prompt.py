"""Questions: what the user types finds the answer that is meant, and no other."""

from __future__ import annotations

import pytest

from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, KEEP, Answer, Question

END = Question("What becomes of these changes?", (COMMIT, DISCARD, KEEP, BRANCH))
NUMBERS = Question("Which one?", tuple(Answer(str(number), "") for number in (1, 2, 10, 11, 20)))


@pytest.mark.parametrize(
    ("question", "typed", "word"),
    [
        (END, "commit", "commit"),
        (END, " D\n", "discard"),
        (END, "ke", "keep"),
        (END, "", None),
        (END, "x", None),
        (END, "commits", None),
        (NUMBERS, "1", "1"),
        (NUMBERS, "10", "10"),
        (NUMBERS, "2", "2"),
        (NUMBERS, "3", None),
    ],
)
def test_answers(question: Question, typed: str, word: str | None) -> None:
    answer = question.answer(typed)
    assert (answer.word if answer else None) == word


def test_a_letter_is_enough_where_it_is_the_only_one() -> None:
    assert [END.letter(answer) for answer in END.answers] == ["c", "d", "k", "b"]
    assert [NUMBERS.letter(answer) for answer in NUMBERS.answers] == ["1", "2", "", "", ""]
