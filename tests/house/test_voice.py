"""The house speaks the field's words: no file uses a word that docs/decisions/0017-the-voice.md refuses."""

from __future__ import annotations

import pytest

from tests.house import voice

WORDS = voice.pattern(voice.refused())


def test_no_file_uses_a_refused_word():
    allowed = voice.allowed()
    new = {path: sorted(words - allowed.get(path, set())) for path, words in voice.found().items()}
    assert {path: words for path, words in new.items() if words} == {}, "see docs/decisions/0017-the-voice.md"


def test_the_list_of_exceptions_only_shrinks():
    found = voice.found()
    done = {path: sorted(words - found.get(path, set())) for path, words in voice.allowed().items()}
    assert {path: words for path, words in done.items() if words} == {}, "run: python -m tests.house.voice --shrink"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.py", "x = 1  # Nobody waits here\n", ["nobody"]),
        ("a.py", '"""The vendor is ill."""\n', ["ill"]),
        ("a.py", 'print(f"{x} has stumbled over {y}")\n', ["stumbled"]),
        ("a.py", 'KEY = "trouble"\nx = "`trouble` is a field, still is"\nkills = 3\n', []),
        ("a.py", "# a sign of\nx = 1\n", []),
        ("a.lua", "local ill = 'ill'  -- whoever comes\nreturn 'it has kills'\n", ["whoever", "kills"]),
        ("a.md", "The batch is offered\nagain.\n```\nnobody\n```\n", ["offered again"]),
    ],
)
def test_what_people_read_is_checked_and_names_are_not(tmp_path, monkeypatch, name, text, words):
    monkeypatch.setattr(voice, "ROOT", tmp_path)
    (tmp_path / name).write_text(text)
    assert [use.word for use in voice.uses(tmp_path / name, WORDS)] == words


def test_the_decision_has_words_and_twenty_pairs():
    pairs = voice.DECISION.read_text(encoding="utf-8").partition("## Twenty pairs")[2]
    assert len(voice.refused()) > 20
    assert sum(1 for line in pairs.splitlines() if line.startswith("| ") and not line.startswith("| where")) == 20
