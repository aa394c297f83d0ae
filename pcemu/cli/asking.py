"""Questions to the user on the terminal."""

from __future__ import annotations

import sys

from pcemu.cli.output import ask, say
from pcemu.cli.signals import Interrupted, Interrupts
from pcemu.frontends.prompt import Answer, Question, Reply

MAX_IN_LINE = 4  # answers; more are listed
PATIENCE = 2  # Ctrl-C: the first may be one too many for the guest


class TerminalAsker:
    """Asks on stderr and reads stdin; both must be terminals, else nobody answers."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts

    @property
    def available(self) -> bool:
        """True when there is somebody to ask."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def __call__(self, question: Question) -> Reply | None:
        """See :data:`pcemu.frontends.prompt.Asker`."""
        if not self.available:
            return None
        for line in question.notes:
            say(line)
        keys = "/".join(question.letter(answer) or answer.word for answer in question.answers)
        if len(question.answers) > MAX_IN_LINE:
            say(question.text)
            for each in question.answers:
                say(f"  {each.word:>5}  {each.meaning}")
            keys = question.escape
        else:
            words = ", ".join(f"{answer.word} ({answer.meaning})" for answer in question.answers)
            say(f"{question.text} {words}")
        while True:
            typed = self._line(f"[{keys}] ")
            if typed is None:
                return None
            answer = question.answer(typed.strip() or question.escape)
            if answer is not None and (text := self._addition(answer)) is not None:
                return Reply(answer.word, text)

    def _addition(self, answer: Answer) -> str | None:
        if not answer.needs:
            return ""
        text = self._line(f"{answer.needs}: ")
        return (text or "").strip() or None

    def _line(self, prompt: str) -> str | None:
        """A line that the user typed; None when there will be none."""
        interrupted = 0
        while interrupted < PATIENCE:
            ask(prompt)
            try:
                with self._interrupts.at_once():
                    line = sys.stdin.readline()
            except Interrupted as signal:
                ask("\n")
                interrupted += 1 if signal.by_user else PATIENCE
                if interrupted >= PATIENCE:
                    self._interrupts.number = signal.number  # for who cares why nobody answered
                continue
            if line:
                return line
            ask("\n")
            break
        return None
