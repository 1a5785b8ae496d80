"""Puts the pages of the site together for `make docs`: `python -m tests.around.docs_site build/docs`.

The pages of docs/ as they are, those of the repository's root, and the reference made from the code. A link to a file that is
no page leads to a copy in `files/`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from tests.around.reference.__main__ import write
from tests.house.imports import ROOT

#: The pages of the root, and what they are called in the site.
OF_THE_ROOT = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting-a-hole.md",
}


def put_together(folder: Path) -> None:
    """Makes `folder` anew. Raises FileNotFoundError for a link to a file that there is not."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for name, staged in OF_THE_ROOT.items():
        shutil.copy(ROOT / name, folder / staged)
    sources = {folder / path.relative_to(ROOT / "docs"): path for path in (ROOT / "docs").rglob("*.md")}
    sources |= {folder / staged: ROOT / name for name, staged in OF_THE_ROOT.items()}
    for place, source in sources.items():
        place.write_text(_linked(source, place, folder), encoding="utf-8")
    write(folder / "reference")


def _linked(source: Path, staged: Path, folder: Path) -> str:
    """The page with links that are right where it is staged."""

    def link(found: re.Match[str]) -> str:
        target = (source.parent / found[1]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            place = folder / target.relative_to(ROOT / "docs")
        elif target.is_relative_to(ROOT) and str(target.relative_to(ROOT)) in OF_THE_ROOT:
            place = folder / OF_THE_ROOT[str(target.relative_to(ROOT))]
        else:
            place = folder / "files" / target.relative_to(ROOT)
            if target.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, place)
        return f"]({os.path.relpath(place, staged.parent)}{found[2] or ''})"

    return re.sub(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)", link, source.read_text(encoding="utf-8"))


if __name__ == "__main__":
    put_together(Path(sys.argv[1]).resolve())
