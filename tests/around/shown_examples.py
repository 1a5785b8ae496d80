"""docs/enqueue.md shows the programs of examples/ as they are: `python -m tests.around.shown_examples` brings it up to date."""

from __future__ import annotations

import re

from tests.house.imports import ROOT

PAGE = ROOT / "docs" / "enqueue.md"
_SHOWN = re.compile(r"(?<=^\*\*)(examples/[\w/.]+)(\*\*\n\n```[a-z]+\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)


def shown() -> dict[str, str]:
    """The files that the page shows, by their paths."""
    return {path: text for path, _, text in _SHOWN.findall(PAGE.read_text(encoding="utf-8"))}


def page() -> str:
    """The page as it should be."""

    def as_it_is(found: re.Match[str]) -> str:
        return found[1] + found[2] + (ROOT / found[1]).read_text(encoding="utf-8")

    return _SHOWN.sub(as_it_is, PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
