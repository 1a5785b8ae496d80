"""Draws the README's picture of the demo, from a real run: `python -m tests.around.demo_picture`."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.house.imports import ROOT

PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"
_COLUMNS: Final = 112


def draw(picture: Path, folder: Path) -> None:
    """Raises CalledProcessError when the demo fails."""
    done = subprocess.run(
        [sys.executable, "-m", "marketfetch", "demo"], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ make demo", style="bold green"))
    # What to try next stands in the README already.
    console.print(Text(done.stdout.partition("The rows are in ")[0].rstrip()))
    drawn = console.export_svg(title="marketfetch", theme=DIMMED_MONOKAI, unique_id="demo")
    # rich names a font on another server: a picture asks no server for anything.
    picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        draw(PICTURE, Path(scratch))
