"""The question at the end of a session: put by whoever knows what changed, asked by any front end.

A front end that can ask is an :data:`Asker`. What an answer does is the session's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Answer:
    """One way to answer; the first letter of ``word`` is enough.

    ``needs``: what must be said in addition, in words, such as "name of the new image"; "" for nothing.
    """

    word: str
    meaning: str
    needs: str = ""


COMMIT = Answer("commit", "write the changes into the image")
DISCARD = Answer("discard", "forget the changes")
KEEP = Answer("keep", "go on with them another time")
BRANCH = Answer("branch", "save them as an image of their own", needs="name of the new image")
GO_ON = Answer("go on", "back to the guest (Escape)")
REFUSED = "This was not done"
"""The title over a sentence that says why."""


@dataclass(frozen=True)
class Question:
    """``text`` says what is asked; ``notes`` are lines that help to decide.

    ``escape``: the word of the answer that leaves everything as it is, which Escape gives; "" when there is
    none, and an answer must be chosen on purpose. ``sudden``: the user has not called for the question, and
    may be typing for the guest.
    """

    text: str
    answers: tuple[Answer, ...]
    notes: tuple[str, ...] = ()
    escape: str = ""
    sudden: bool = False

    def answer(self, typed: str) -> Answer | None:
        """The answer that ``typed`` is, or begins alone; None when there is none, or several."""
        typed = typed.strip().lower()
        for answer in self.answers:
            if typed == answer.word:
                return answer
        fitting = [answer for answer in self.answers if typed and answer.word.startswith(typed)]
        return fitting[0] if len(fitting) == 1 else None

    def letter(self, answer: Answer) -> str:
        """The letter that is enough to give this answer; "" when several begin with it."""
        letter = answer.word[0]
        alone = sum(each.word.startswith(letter) for each in self.answers) == 1
        return letter if alone or answer.word == letter else ""


class Reply(NamedTuple):
    """The word of the answer, and what it needed in addition."""

    word: str
    text: str = ""


Asker = Callable[[Question], Reply | None]
"""Asks until there is an answer; None when nobody answered."""
