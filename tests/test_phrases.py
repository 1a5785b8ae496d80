"""Parts of sentences: names in a row, and numbers with what they count."""

from __future__ import annotations

import pytest

from marketfetch.phrases import counted, joined


@pytest.mark.parametrize(("names", "said"), [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c")])
def test_names_are_joined_as_people_join_them(names: str, said: str) -> None:
    assert joined([*names]) == said


def test_one_is_one_and_many_are_many() -> None:
    assert [counted(number, "row") for number in (0, 1, 2_000)] == ["0 rows", "1 row", "2,000 rows"]
    assert counted(2, "reply", "replies") == "2 replies"
