"""A symbol of a universe that the planner refuses costs only itself, in every way in; one that is named by itself refuses."""

from __future__ import annotations

import json

import pytest

from marketfetch import connections, submit
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.universe_wishes import symbols_to_ask
from marketfetch.jobs.updating import update
from marketfetch.sections import Universe

KNOWN: dict[str, Universe] = {
    "mixed": ["PFE", "BRK_A", "T", "bad", "2024-01-02"],
    "nest": ["@mixed", "BA"],
    "wrong": ["BRK_A", "bad"],
    "many": ["PFE", "a", "b", "c", "d", "e"],
}


@pytest.fixture
def folder(emptied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mixed.txt").write_text("PFE\nBRK_A\nT\nbad\n")
    emptied()


def asked(*words, **wish):
    notes: list[str] = []
    return symbols_to_ask("polygon", words, known=KNOWN, told=notes.append, **wish), notes


def test_the_others_of_a_universe_go_on_and_a_sentence_names_each_that_is_left_out(folder):
    symbols, notes = asked("@mixed", "IBM", start="2024-01-02", end="2024-01-31")
    assert symbols == ("PFE", "T", "IBM")
    assert len(notes) == 3
    assert "write BRK.A instead of BRK_A. It came with a universe and is left out." in notes[0]
    assert "2024-01-02 is a date" in notes[2]
    symbols, notes = asked("@many")
    assert symbols == ("PFE",)
    assert notes[-1] == "2 more symbols are left out for such a reason."


def test_a_symbol_that_is_named_by_itself_is_not_left_out(folder):
    symbols, _ = asked("@mixed", "bad")
    assert symbols == ("PFE", "T", "bad")
    with pytest.raises(BadRequestError, match="write BAD instead of bad"):
        submit("polygon", ["@mixed.txt", "bad"], start="2024-01-02", end="2024-01-05")


def test_what_is_wrong_with_the_whole_wish_leaves_no_symbol_out(folder):
    assert asked("@wrong") == (("BRK_A", "bad"), [])
    assert asked("@mixed", dataset="barz")[1] == []
    assert asked("@mixed", start="banana")[1] == []


def test_a_universe_in_a_universe_is_named_as_one(folder):
    symbols, notes = asked("@nest")
    assert symbols == ("BA",)
    assert notes == ["@nest: @mixed is a universe itself, and a universe has symbols alone, so it is left out."]


def test_a_job_and_an_update_ask_for_the_others(folder):
    for job in (
        submit("polygon", ["@mixed.txt"], start="2024-01-02", end="2024-01-05"),
        update("polygon", ["@mixed.txt"], last="3 sessions"),
    ):
        recorded = connections.store().job(job.job_id)
        assert recorded
        assert json.loads(recorded.spec)["symbols"] == ["PFE", "T"]
