"""docs/add-a-vendor.md shows the files of tests/vendors/acme as they are."""

from __future__ import annotations

import re
from pathlib import Path

ACME = Path(__file__).parent / "acme"
PAGE = (Path(__file__).parents[2] / "docs" / "add-a-vendor.md").read_text(encoding="utf-8")
SHOWN = dict(re.findall(r"^\*\*([a-z_/]+\.[a-z]+)\*\*\n\n```[a-z]+\n(.*?)```$", PAGE, flags=re.MULTILINE | re.DOTALL))


def test_every_file_of_the_package_is_shown_as_it_is():
    files = [path for path in ACME.rglob("*") if path.suffix in (".py", ".toml", ".json")]
    assert {name for name in SHOWN if name != "marketfetch.toml"} == {str(path.relative_to(ACME)) for path in files}
    for path in files:
        assert SHOWN[str(path.relative_to(ACME))] == path.read_text(encoding="utf-8"), path
