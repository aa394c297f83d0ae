"""Panels: keyboard and mouse lead to the same results, and what is shown is what can be chosen."""

from __future__ import annotations

import pytest

from pcemu.frontends.actions import Action
from pcemu.frontends.cells import UI_ROWS
from pcemu.frontends.panels import (
    CANCEL,
    CHOSEN,
    Choice,
    EntryPanel,
    Panel,
    help_panel,
    menu_panel,
    notice_panel,
    question_panel,
)
from pcemu.frontends.prompt import BRANCH, COMMIT, DISCARD, KEEP, Answer, Question
from pcemu.frontends.window.view import REACH
from pcemu.keys import Key

QUESTION = Question("What becomes of these changes?", (COMMIT, DISCARD, KEEP, BRANCH), ("C:\\A.TXT made",))


def panel() -> Panel:
    banana = Choice("b", "Banana", "b", enabled=False)
    choices = [Choice("a", "Apple", "a"), banana, Choice("c", "Cherry", "c")]
    return Panel("Fruit", ["Choose one."], choices)


def place(panel: Panel, text: str) -> tuple[int, int]:
    """(row, column) at which the panel shows ``text``."""
    for row, line in enumerate(panel.grid().text.split("\n")):
        if text in line:
            return row, line.index(text)
    raise AssertionError(f"{text!r} is not shown")


def chosen(panel: Panel) -> str | None:
    return None if panel.selected is None else panel.selected.value


def test_what_a_panel_looks_like() -> None:
    assert panel().grid().text == (
        "╔═══ Fruit ═══╗\n"
        "║ Choose one. ║\n"
        "║             ║\n"
        "║ Apple       ║\n"
        "║ Banana      ║\n"
        "║ Cherry      ║\n"
        "╚═════════════╝"
    )


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ([Key.ENTER], "a"),
        ([Key.DOWN, Key.KP_ENTER], "c"),
        ([Key.UP, Key.ENTER], "c"),
        ([Key.DOWN, Key.DOWN, Key.ENTER], "a"),
        ([Key.TAB, Key.ENTER], "c"),
        ([Key.ESCAPE], CANCEL),
        ([Key.F1], None),
    ],
)
def test_arrows_and_enter_pass_over_what_cannot_be_chosen(keys: list[Key], result: str | None) -> None:
    fruit = panel()
    for key in keys:
        fruit.key(key, "")
    assert fruit.result == result


@pytest.mark.parametrize(("letter", "result"), [("a", "a"), ("C", "c"), ("b", None), ("x", None), ("", None)])
def test_letters(letter: str, result: str | None) -> None:
    fruit = panel()
    fruit.key(None, letter)
    assert fruit.result == result


def test_the_mouse() -> None:
    fruit = panel()
    fruit.point(*place(fruit, "Cherry"))
    assert chosen(fruit) == "c"
    fruit.point(*place(fruit, "Banana"))
    assert chosen(fruit) == "c"
    for text in ("Banana", "Choose"):
        fruit.click(*place(fruit, text))
        assert fruit.result is None
    fruit.click(*place(fruit, "Apple"))
    assert fruit.result == "a"


@pytest.mark.parametrize("beside", [(-1, 3), (3, -1), (7, 3), (3, 15)])
def test_a_click_beside_a_panel_puts_it_away(beside: tuple[int, int]) -> None:
    fruit = panel()
    fruit.click(*beside)
    assert fruit.result == CANCEL


def test_a_question_must_be_answered_on_purpose() -> None:
    question = question_panel(QUESTION)
    for key in (Key.ESCAPE, Key.ENTER):
        question.key(key, "")
    question.click(-1, -1)
    question.key(None, "x")
    assert question.result is None
    assert chosen(question) is None
    question.key(Key.UP, "")
    assert chosen(question) == "branch"


@pytest.mark.parametrize("answer", QUESTION.answers)
def test_each_answer_by_letter_and_by_mouse(answer: Answer) -> None:
    word = answer.word
    by_letter, by_mouse = question_panel(QUESTION), question_panel(QUESTION)
    by_letter.key(None, word[0])
    by_mouse.click(*place(by_mouse, word.capitalize()))
    assert by_letter.result == by_mouse.result == word


def test_a_question_shows_its_notes_as_far_as_they_fit() -> None:
    assert "A.TXT made" in question_panel(QUESTION).grid().text
    many = Question("What now?", QUESTION.answers, tuple(f"file {n}" for n in range(100)))
    grid = question_panel(many).grid()
    assert grid.rows < UI_ROWS
    assert "file 11" in grid.text
    assert "and 88 more lines" in grid.text
    assert "What now?" in grid.text


def test_the_menu_offers_what_is_there() -> None:
    menu = menu_panel(REACH, [Action.HELP, Action.PAUSE], {})
    assert "Pause" in menu.grid().text
    menu.key(None, "k")
    assert menu.result is None
    menu.key(None, "p")
    assert menu.result == "PAUSE"
    assert "Go on" in menu_panel(REACH, list(Action), {Action.PAUSE: "Go on"}).grid().text


def test_the_help_lists_all_keys_and_fits() -> None:
    page = help_panel(REACH)
    assert page.grid().rows < UI_ROWS
    for action in REACH.actions:
        assert f"  {action.value.key.upper()}   {action.value.meaning}" in page.grid().text
        assert REACH.by_key[action.value.key] is action
    page.key(Key.ENTER, "")
    assert page.result == CANCEL


def test_a_line_of_text() -> None:
    entry = EntryPanel("Branch", ["Name of the new image:"])
    entry.key(Key.ENTER, "\r")
    entry.click(-1, -1)
    assert entry.result is None
    for letter in "gaméx":
        entry.key(None, letter)
    entry.key(Key.BACKSPACE, "\b")
    assert "gamé_" in entry.grid().text
    entry.key(None, "x" * 100)
    assert entry.grid().text.count("x") <= 48
    for _ in range(60):
        entry.key(Key.BACKSPACE, "\b")
    entry.key(None, "two")
    entry.key(Key.ENTER, "\r")
    assert entry.result == "two"
    assert EntryPanel("x", []).grid().rows < UI_ROWS


def test_a_line_of_text_can_be_taken_back() -> None:
    entry = EntryPanel("Branch", [])
    entry.key(None, "a")
    entry.key(Key.ESCAPE, "")
    assert entry.result == CANCEL


def test_a_notice_is_put_away_by_any_means() -> None:
    for key, text in ((Key.ENTER, "\r"), (Key.ESCAPE, ""), (None, "c")):
        notice = notice_panel("Bad", "The guest\ncannot go on")
        assert "cannot go on" in notice.grid().text
        notice.key(key, text)
        assert notice.result is not None


MANY = Question(
    "Go back to which one?",
    (*(Answer(str(n), f"checkpoint no. {n:02}") for n in range(40, 0, -1)), Answer("later", "stay here")),
    escape="later",
)


def test_many_answers_are_shown_in_part() -> None:
    panel = question_panel(MANY)
    assert panel.grid().rows < UI_ROWS
    assert "no. 40" in panel.grid().text
    assert "no. 01" not in panel.grid().text
    assert "▼" in panel.grid().text
    assert "▲" not in panel.grid().text


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        ([Key.ENTER], None),
        ([Key.DOWN, Key.ENTER], "40"),
        ([Key.DOWN] * 31 + [Key.ENTER], "10"),
        ([Key.UP, Key.ENTER], "later"),
        ([Key.END, Key.UP, Key.ENTER], "1"),
        ([Key.END, Key.HOME, Key.ENTER], "40"),
        ([Key.PAGE_DOWN, Key.PAGE_UP, Key.DOWN, Key.ENTER], "39"),
        ([Key.PAGE_DOWN, Key.PAGE_DOWN, Key.PAGE_DOWN, Key.ENTER], "later"),
        ([Key.ESCAPE], CANCEL),
    ],
)
def test_keys_reach_all_of_many_answers(keys: list[Key], result: str | None) -> None:
    panel = question_panel(MANY)
    for key in keys:
        if panel.selected is not None:
            assert panel.selected.label[:5].strip() in panel.grid().text, "what is selected is shown"
        panel.key(key, "")
    assert panel.result == result


def test_the_wheel_reaches_all_of_many_answers() -> None:
    panel = question_panel(MANY)
    panel.scroll(-3)
    assert "no. 40" in panel.grid().text
    panel.scroll(100)
    assert "▼" not in panel.grid().text
    panel.click(*place(panel, "no. 02"))
    assert panel.result == "2"


def test_a_letter_counts_only_where_it_is_enough() -> None:
    for letter, result in (("4", "4"), ("l", "later"), ("x", None)):
        panel = question_panel(MANY)
        panel.key(None, letter)
        assert panel.result == result


def test_the_selected_line_is_painted() -> None:
    fruit = panel()
    row, column = place(fruit, "Apple")
    dots = fruit.grid().dots()
    paper = dots[row * 16, (column + 8) * 8]
    assert tuple(paper) == (170, 170, 170)
    assert CHOSEN == 0x70
