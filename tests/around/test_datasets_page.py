"""docs/datasets.md shows the columns of every kind of record, as the definitions have them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketfetch.schemas.record_kinds import KINDS, RecordKind

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"


def table_of(kind: RecordKind) -> str:
    """The table of the page, as it is to be."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for column in kind.columns:
        more = ", key" if column.name in kind.key else "" if column.filled else ", or null"
        lines.append(f"| `{column.name}` | {column.type}{more} | {column.meaning} |")
    return "\n".join(lines)


@pytest.mark.parametrize("kind", [one for one in KINDS.values() if one.stored], ids=lambda kind: kind.name)
def test_the_page_shows_the_columns_of_every_kind(kind: RecordKind) -> None:
    found = re.search(rf"<!-- columns: {kind.name} -->\n(.*?)\n<!-- end -->", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found, f"put it between <!-- columns: {kind.name} --> and <!-- end -->:\n{table_of(kind)}"
    assert found[1] == table_of(kind)
