"""Prints what the image installs besides marketfetch itself, a requirement a line: `python dependencies.py pyproject.toml`.

The Dockerfile installs these before it copies a source file, so that a change of the sources leaves their layer as it is.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

EXTRAS = ("worker", "postgres", "flower", "serve", "encryption")


def dependencies(pyproject: Path) -> list[str]:
    """The dependencies of the package and of EXTRAS, sorted, each once."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    found = {*project["dependencies"], *(one for extra in EXTRAS for one in extras[extra])}
    return sorted(one for one in found if not one.startswith(f"{project['name']}["))


if __name__ == "__main__":
    sys.stdout.write("\n".join([*dependencies(Path(sys.argv[1])), ""]))
