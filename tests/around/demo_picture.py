"""Draws the README's picture of the demo, from a real run: `python -m tests.around.demo_picture`.

One file for light and dark screens: the reader's scheme chooses the colours. The lines appear one after the other, once, and at
once where a reader wants no motion.
"""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI, TerminalTheme
from rich.text import Text

from tests.house.imports import ROOT

PICTURE: Final = ROOT / "docs" / "images" / "demo.svg"
_COLUMNS: Final = 112
#: Seconds between two lines.
_LINE_S: Final = 0.25
_WINDOW: Final = re.compile(r'<rect fill="(#[0-9a-f]{6})" stroke="[^"]*"')
_TITLE: Final = re.compile(r'<text class="demo-title" fill="(#[0-9a-f]{6})"')


def draw(picture: Path, folder: Path) -> None:
    """Raises CalledProcessError when the demo fails."""
    done = subprocess.run(
        [sys.executable, "-m", "marketfetch", "demo"], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    # What to try next stands in the README already.
    picture.write_text(drawn(done.stdout.partition("The rows are in ")[0].rstrip()), encoding="utf-8")


def drawn(text: str) -> str:
    """The picture of a terminal with this text, as SVG."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ make demo", style="bold green"))
    console.print(Text(text))
    light, dark = (_exported(console, theme) for theme in (DEFAULT_TERMINAL_THEME, DIMMED_MONOKAI))
    style = f"""{_colours(light)}
    @media (prefers-color-scheme: dark) {{ {_colours(dark)} }}
    @media (prefers-reduced-motion: no-preference) {{ .demo-matrix text {{ animation: demo-line 0.3s both }} }}
    @keyframes demo-line {{ from {{ opacity: 0 }} }}
    </style>"""
    found = re.sub(r"\.demo-r\d+ \{[^}]*\}\n?", "", light).replace("</style>", style, 1)
    found = _TITLE.sub('<text class="demo-title"', _WINDOW.sub('<rect class="demo-window"', found))
    return re.sub(
        r'<text (class="demo-r\d+"[^>]*url\(#demo-line-(\d+)\))',
        lambda line: f'<text style="animation-delay: {int(line[2]) * _LINE_S:g}s" {line[1]}',
        found,
    )


def text_of(picture: str) -> str:
    """The text in a picture, without the line of the command: `drawn` makes the same picture of it."""
    lines: dict[int, str] = {}
    for words, number, text in re.findall(r'<text ([^>]*)url\(#demo-line-(\d+)\)">([^<]*)</text>', picture):
        lines[int(number)] = lines.get(int(number), "") + ("" if 'textLength="12.2"' in words else html.unescape(text))
    return "\n".join(lines[number].replace("\xa0", " ").rstrip() for number in sorted(lines)[1:]).rstrip()


def _exported(console: Console, theme: TerminalTheme) -> str:
    found = console.export_svg(title="marketfetch", theme=theme, unique_id="demo", clear=False)
    # rich names a font on another server: a picture asks no server for anything.
    return re.sub(r"@font-face \{.*?\}\s*", "", found, flags=re.DOTALL)


def _colours(picture: str) -> str:
    """The rules of a picture that a scheme decides."""
    window, title = _WINDOW.search(picture), _TITLE.search(picture)
    assert window is not None
    assert title is not None
    frame = f".demo-window {{ fill: {window[1]}; stroke: #8888 }} .demo-title {{ fill: {title[1]} }}"
    return " ".join([frame, *re.findall(r"\.demo-r\d+ \{[^}]*\}", picture)])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        draw(PICTURE, Path(scratch))
